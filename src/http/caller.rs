//! Who sends a request: the bearer of a key, a user with a role, or anyone, and from which address. Knows no route:
//! each group of routes names the scope that it requires.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::access::{self, ApiKey, Policy, Scope};
use super::api::State;
use super::audit::{Guard, Told};
use super::error::ApiError;
use crate::auth::callout::{Circumstances, Protocol};
use crate::auth::presented::Presented as Credential;
use crate::auth::{AuthError, Authenticator};
use crate::envelope::unix_ms;
use crate::permissions::Who;
use crate::principal::Principal;
use crate::setting::Secret;
use crate::telemetry::audit::event::Event;
use crate::telemetry::audit::{Audit, Claims};
use crate::tls::identity::Names;
use crate::ws::peer::Peer;

/// Who sent a request. The middleware of a guarded route puts it into the request's extensions.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// Nobody in particular (`api.access = "open"`).
    Anyone,
    /// The holder of a key.
    Key(Arc<ApiKey>),
    /// The holder of a certificate, and what it may do.
    Certificate(Arc<ApiKey>),
    /// A user, by a password or a token.
    User(Principal),
}

impl Caller {
    /// The caller for [`crate::permissions`].
    pub(super) fn who(&self) -> Who<'_> {
        match self {
            Self::Anyone => Who::Anyone,
            Self::Key(key) => Who::Key(&key.destinations),
            Self::Certificate(rights) => Who::Certificate(&rights.destinations),
            Self::User(principal) => Who::User(principal),
        }
    }

    /// The name of its key, if it has one.
    pub(super) fn key_name(&self) -> Option<&Arc<str>> {
        match self {
            Self::Key(key) => Some(&key.name),
            Self::Anyone | Self::Certificate(_) | Self::User(_) => None,
        }
    }

    /// What tells callers apart: the names of keys, users and certificates are names of different kinds.
    fn name(&self) -> (u8, &str) {
        match self {
            Self::Anyone => (0, ""),
            Self::Key(key) => (1, &key.name),
            Self::User(principal) => (2, principal.user().as_str()),
            Self::Certificate(rights) => (3, &rights.name),
        }
    }
}

#[cfg(test)]
impl Caller {
    /// The holder of `key`.
    pub(crate) fn of_key(key: &super::access::Key) -> Self {
        let prefixes = crate::destination::Prefixes::default();
        let key = ApiKey::new("api.keys[0]", key, &prefixes, None, &mut Default::default());
        Self::Key(Arc::new(key))
    }

    /// The holder of a key of this name.
    pub(crate) fn key_named(name: &str) -> Self {
        Self::of_key(&super::access::Key::new(name, [0; 32], &[Scope::Publish]))
    }
}

impl PartialEq for Caller {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Caller {}

impl Hash for Caller {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::Key(key) => write!(f, "key:{}", key.name),
            Self::Certificate(rights) => write!(f, "certificate:{}", rights.name),
            Self::User(principal) => write!(f, "user:{}", principal.user()),
        }
    }
}

/// A caller who was let in.
pub(crate) struct Admitted<'a> {
    /// Who.
    pub caller: Caller,
    /// What the audit is told of it.
    pub told: Told<'a>,
}

/// Why a caller was not let in.
#[derive(Debug)]
pub(crate) struct Denied {
    /// The answer.
    pub error: ApiError,
    /// Who it was, if that was proven.
    pub caller: Option<Caller>,
}

impl Denied {
    /// Whose key was presented, if one was: its name, or `Some(None)` for one that does not exist.
    pub(super) fn key_name(&self, headers: &HeaderMap) -> Option<Option<Arc<str>>> {
        match (&self.caller, &self.error) {
            (Some(caller), _) => caller.key_name().cloned().map(Some),
            (None, ApiError::Unauthenticated(_)) => {
                matches!(presented(headers), Presented::Bearer(_)).then_some(None)
            }
            (None, _) => None,
        }
    }
}

impl From<ApiError> for Denied {
    fn from(error: ApiError) -> Self {
        Self { error, caller: None }
    }
}

/// Who sent a request that was refused, as far as it is known: an extension of the response, for the log.
#[derive(Debug, Clone)]
pub(super) struct Known(pub Caller);

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let mut response = self.error.into_response();
        if let Some(caller) = self.caller {
            response.extensions_mut().insert(Known(caller));
        }
        response
    }
}

/// The credentials in an `Authorization` header.
enum Presented<'a> {
    Nothing,
    Bearer(&'a str),
    Basic(&'a str),
    Unusable,
}

fn presented(headers: &HeaderMap) -> Presented<'_> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(header::AUTHORIZATION) {
            Presented::Unusable
        } else {
            Presented::Nothing
        };
    };
    match value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' ').map(|parts| (text, parts)))
    {
        Some((_, (scheme, token))) if scheme.eq_ignore_ascii_case("bearer") => {
            Presented::Bearer(token.trim())
        }
        Some((text, (scheme, _))) if scheme.eq_ignore_ascii_case("basic") => Presented::Basic(text),
        _ => Presented::Unusable,
    }
}

/// Decides on one request from `address` with `headers`, from a client whose `certificate` names it or not, to what `guard` stands before. The only way to the scope `admin`: it
/// gives nobody in without what the audit is told.
///
/// # Errors
/// The credentials are missing, wrong or not enough, or could not be checked now.
pub(crate) async fn authorize<'a>(
    state: &'a State,
    guard: Guard,
    headers: &HeaderMap,
    address: IpAddr,
    certificate: Option<&Names>,
) -> Result<Admitted<'a>, Denied> {
    let caller = match guard {
        Guard::Open => Caller::Anyone,
        _ => {
            let granted = granted(
                &state.policy,
                &state.authenticator,
                headers,
                address,
                certificate,
                guard.scope(),
            );
            granted
                .await
                .inspect_err(|denied| tell(&state.audit, guard, denied, headers, address))?
        }
    };
    match &caller {
        Caller::Key(key) | Caller::Certificate(key) if key.is_news(unix_ms()) => {
            state.audit.key_used(&caller.to_string(), address);
        }
        _ => {}
    }
    let told = Told::of(&state.audit, guard, &caller, address, headers);
    Ok(Admitted { caller, told })
}

/// Tells of a key that is none, or none any more, and of whoever has proven itself and may not do this; of users and tokens that
/// are refused [`Authenticator`] does.
fn tell(audit: &Audit, guard: Guard, denied: &Denied, headers: &HeaderMap, address: IpAddr) {
    if let (ApiError::Forbidden(_), Some(caller)) = (&denied.error, &denied.caller) {
        let lacks = match caller {
            Caller::User(_) => "no-role",
            Caller::Anyone | Caller::Key(_) | Caller::Certificate(_) => "no-scope",
        };
        return guard.refuses(audit, &caller.to_string(), address, lacks);
    }
    let reason = match (&denied.error, presented(headers)) {
        (ApiError::KeyEnded, _) => "key-ended",
        (ApiError::Unauthenticated(_), Presented::Bearer(_)) => "key",
        (ApiError::Unauthenticated(_), Presented::Unusable) => "unusable",
        _ => return,
    };
    let who = denied.caller.as_ref().map(Caller::to_string);
    audit.login_refused(
        address,
        who.as_deref().map_or(Claims::Nobody, Claims::Key),
        reason,
    );
}

/// Who has `scope`, or with `None` whoever it is.
///
/// A header decides before a certificate: what a client says is meant, what its connection shows need not be.
///
/// With `api.access = "open"`, publishing is never refused because of credentials, and no password is checked for it:
/// only a valid key gives its holder a name.
async fn granted(
    policy: &Policy,
    authenticator: &Authenticator,
    headers: &HeaderMap,
    address: IpAddr,
    certificate: Option<&Names>,
    scope: Option<Scope>,
) -> Result<Caller, Denied> {
    let denied = |caller, what| Denied {
        error: ApiError::Forbidden(format!(
            "this requires the scope {}, which the {what} does not have",
            scope.map_or("", Scope::name)
        )),
        caller: Some(caller),
    };
    let grants = |rights: &ApiKey| scope.is_none_or(|scope| rights.grants(scope));
    let open = policy.is_open() && scope == Some(Scope::Publish);
    let from = Circumstances {
        address,
        protocol: Protocol::Rest,
        origin: headers
            .get(header::ORIGIN)
            .and_then(|origin| origin.to_str().ok()),
        headers: &[],
    };
    let granted = match presented(headers) {
        Presented::Bearer(token) => {
            let digest = Sha256::digest(token).into();
            match policy.key(&digest) {
                Some(key) => {
                    let caller = Caller::Key(Arc::clone(&key));
                    match grants(&key) {
                        _ if key.has_ended() => Err(Denied {
                            error: ApiError::KeyEnded,
                            caller: Some(caller),
                        }),
                        true => Ok(caller),
                        false => Err(denied(caller, "key")),
                    }
                }
                // A mistyped or withdrawn key is no token, whoever's tokens are taken.
                None if !open && authenticator.takes_tokens() && !token.starts_with(access::KEY_PREFIX) => {
                    let credential = Credential::Token(Secret::new(token), Some(digest));
                    Box::pin(user(authenticator, &credential, &from, scope)).await
                }
                None => Err(ApiError::Unauthenticated(scope).into()),
            }
        }
        Presented::Basic(text) if !open => {
            Box::pin(user(authenticator, &Credential::header(text), &from, scope)).await
        }
        Presented::Nothing => match certificate.and_then(|names| policy.certificate(names)) {
            Some(rights) => {
                let caller = Caller::Certificate(Arc::clone(&rights));
                match grants(&rights) {
                    true => Ok(caller),
                    false => Err(denied(caller, "certificate")),
                }
            }
            None => Err(ApiError::Unauthenticated(scope).into()),
        },
        _ => Err(ApiError::Unauthenticated(scope).into()),
    };
    match granted {
        Err(_) if open => Ok(Caller::Anyone),
        other => other,
    }
}

/// The user with this credential, if a role grants `scope`, where one is wanted.
async fn user(
    authenticator: &Authenticator,
    credential: &Credential,
    from: &Circumstances<'_>,
    scope: Option<Scope>,
) -> Result<Caller, Denied> {
    let is_token = matches!(credential, Credential::Token(..));
    match authenticator.authenticate(credential, from).await {
        Ok(principal) => {
            authenticator.audit().logged_in(Event::Login, &principal, from.address);
            match scope.filter(|scope| !access::role_grants(&principal, *scope)) {
                None => Ok(Caller::User(principal)),
                Some(scope) => Err(Denied {
                    error: ApiError::Forbidden(format!(
                        "this requires {}, which the user does not have",
                        scope.roles()
                    )),
                    caller: Some(Caller::User(principal)),
                }),
            }
        }
        Err(AuthError::Failed | AuthError::Revoked) if is_token => Err(ApiError::InvalidToken { expired: false }.into()),
        Err(AuthError::Failed | AuthError::Revoked) => Err(ApiError::Unauthenticated(scope).into()),
        Err(AuthError::Expired) => Err(ApiError::InvalidToken { expired: true }.into()),
        Err(AuthError::Unavailable(_)) => Err(ApiError::IdentityUnavailable.into()),
        Err(AuthError::Overloaded(_)) => Err(ApiError::Overloaded(
            "too many logins wait (login.queue, login.queue_timeout, login.delayed, login.delayed_per_address, \
             auth.token.waiting)",
            None,
        )
        .into()),
    }
}

/// The client's address, which the listener has put into the request's extensions.
pub(crate) fn address(request: &Request) -> IpAddr {
    address_of(request.extensions().get::<Peer>())
}

/// Whom its certificate names, if the client has shown one to this server itself. Never out of a header.
pub(crate) fn certificate_of(peer: Option<&Peer>) -> Option<&Names> {
    peer?.certificate.as_deref()
}

/// The same, from what the listener has put there.
pub(crate) fn address_of(peer: Option<&Peer>) -> IpAddr {
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.address)
}

#[cfg(test)]
mod tests;
