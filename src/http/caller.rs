//! Who sends a request: the bearer of a key, a user with a role, or anyone, and from which address. Knows no route: each
//! group of routes names the scope it requires.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, header};

use super::access::{Policy, Scope};
use super::error::ApiError;
use crate::auth::credentials::Credentials;
use crate::auth::{AuthError, Authenticator};
use crate::principal::{Principal, ROLE_ADMIN, ROLE_PUBLISHER};
use crate::ws::peer::Peer;

/// Who sent a request, for the audit log and spans. The middleware of a guarded route puts
/// it into the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    /// Nobody in particular (`api.access = "open"`).
    Anyone,
    /// The holder of the key with this name.
    Key(Arc<str>),
    /// A user, by name and password.
    User(Arc<str>),
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::Key(name) => write!(f, "key:{name}"),
            Self::User(name) => write!(f, "user:{name}"),
        }
    }
}

/// Whether a role of `principal` grants `scope`.
fn role_grants(principal: &Principal, scope: Scope) -> bool {
    principal.has_role(ROLE_ADMIN) || (scope == Scope::Publish && principal.has_role(ROLE_PUBLISHER))
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

/// Decides on one request.
///
/// With `api.access = "open"`, publishing is never refused because of credentials, and no password is checked for it:
/// only a valid key gives its holder a name.
pub(crate) async fn authorize(
    policy: &Policy,
    authenticator: &Authenticator,
    headers: &HeaderMap,
    address: IpAddr,
    scope: Scope,
) -> Result<Caller, ApiError> {
    let open = policy.is_open() && scope == Scope::Publish;
    let granted = match presented(headers) {
        Presented::Bearer(token) => match policy.key(token) {
            Some(key) if key.grants(scope) => Ok(Caller::Key(Arc::clone(&key.name))),
            Some(_) => Err(ApiError::Forbidden("the key does not have the scope for this")),
            None => Err(ApiError::Unauthenticated),
        },
        Presented::Basic(text) if !open => {
            let credentials = Credentials::from_basic(text).ok_or(ApiError::Unauthenticated)?;
            match authenticator.verify(&credentials, address).await {
                Ok(principal) if role_grants(&principal, scope) => {
                    Ok(Caller::User(principal.user().as_str().into()))
                }
                Ok(_) => Err(ApiError::Forbidden("the user does not have the role for this")),
                Err(AuthError::Failed) => Err(ApiError::Unauthenticated),
                Err(AuthError::Overloaded(_)) => Err(ApiError::Overloaded(
                    "too many logins wait (login.queue, login.queue_timeout, login.delayed, login.delayed_per_address)",
                    None,
                )),
            }
        }
        _ => Err(ApiError::Unauthenticated),
    };
    match granted {
        Err(_) if open => Ok(Caller::Anyone),
        other => other,
    }
}

/// The client's address, which the listener has put into the request's extensions.
pub(crate) fn address(request: &Request) -> IpAddr {
    address_of(request.extensions().get::<Peer>())
}

/// The same, from what the listener has put there.
pub(crate) fn address_of(peer: Option<&Peer>) -> IpAddr {
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.address)
}

#[cfg(test)]
mod tests;
