//! Who may use the REST interface: API keys, users with roles, or anyone (`api.access`). Knows no route: each group of
//! routes says which scope it wants.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tracing::Instrument;

use super::error::ApiError;
use super::listener::Peer;
use super::router::Api;
use super::trace::{self, Recorded};
use crate::auth::credentials::Credentials;
use crate::auth::{AuthError, Authenticator};
use crate::principal::{Principal, ROLE_ADMIN, ROLE_PUBLISHER};

/// `[api]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who may publish.
    pub access: Access,
    /// The named keys.
    pub keys: Vec<Key>,
    /// Samples of what is fanned out (`GET /api/v1/tap`) at once; above it 503.
    pub taps: usize,
    /// Destinations that one sample tells apart.
    pub tap_destinations: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            access: Access::default(),
            keys: Vec::new(),
            taps: 4,
            tap_destinations: 1_000,
        }
    }
}

/// `api.access`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Only the bearer of a key, or a user with the role.
    #[default]
    Keys,
    /// Anyone who reaches the port may publish, nothing else.
    Open,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Publish notifications.
    Publish,
    /// Read presence and metrics.
    Read,
    /// Disconnect users; includes the others.
    Admin,
}

/// One `[[api.keys]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Stands in spans and the audit log.
    pub name: String,
    /// SHA-256 of the key, 64 hex digits.
    pub sha256: String,
    /// What it may do.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<Scope>,
}

fn default_scopes() -> Vec<Scope> {
    vec![Scope::Publish]
}

/// Who sent a request, for the audit log and spans. Found in the request's extensions behind [`require`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Nobody in particular (`api.access = "open"`).
    Anyone,
    /// The bearer of the key of this name.
    Key(Arc<str>),
    /// A user by name and password.
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

/// Why `[api]` cannot be used. Names the key by its place and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyError {
    /// `sha256` is not 64 hex digits.
    Digest(String),
    /// Empty, or given twice.
    Name(String),
    /// No scope at all.
    NoScope(String),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(name) => write!(f, "api.keys: sha256 of {name:?} must be 64 hex digits"),
            Self::Name(name) => write!(f, "api.keys: the name {name:?} is empty or given twice"),
            Self::NoScope(name) => write!(f, "api.keys: {name:?} has no scopes"),
        }
    }
}

impl std::error::Error for PolicyError {}

#[derive(Clone)]
struct CompiledKey {
    name: Arc<str>,
    digest: [u8; 32],
    scopes: Box<[Scope]>,
}

/// `[api]`, checked and ready to compare.
#[derive(Clone)]
pub struct Policy {
    open: bool,
    keys: Box<[CompiledKey]>,
}

impl Policy {
    /// Checks and compiles `[api]`.
    pub fn compile(config: &Config) -> Result<Self, PolicyError> {
        let mut keys: Vec<CompiledKey> = Vec::with_capacity(config.keys.len());
        for key in &config.keys {
            if key.name.is_empty() || keys.iter().any(|seen| *seen.name == *key.name) {
                return Err(PolicyError::Name(key.name.clone()));
            }
            if key.scopes.is_empty() {
                return Err(PolicyError::NoScope(key.name.clone()));
            }
            keys.push(CompiledKey {
                name: key.name.as_str().into(),
                digest: digest_from_hex(&key.sha256).ok_or_else(|| PolicyError::Digest(key.name.clone()))?,
                scopes: key.scopes.as_slice().into(),
            });
        }
        Ok(Self {
            open: config.access == Access::Open,
            keys: keys.into(),
        })
    }

    /// The key that `token` is. Takes the same time whichever key it is, and whether it is one.
    fn key(&self, token: &str) -> Option<&CompiledKey> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut found = 0_u32;
        for (index, key) in (1_u32..).zip(&self.keys) {
            let same: Choice = digest.ct_eq(&key.digest);
            found.conditional_assign(&index, same);
        }
        self.keys.get((found as usize).checked_sub(1)?)
    }
}

fn digest_from_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

/// Whether `principal` may do what needs `scope`.
fn role_grants(principal: &Principal, scope: Scope) -> bool {
    principal.has_role(ROLE_ADMIN) || (scope == Scope::Publish && principal.has_role(ROLE_PUBLISHER))
}

/// What an `Authorization` header presents.
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
/// With `api.access = "open"` publishing is never refused for its credentials, and no password is checked for it: only a
/// valid key gives its bearer a name.
pub async fn authorize(
    policy: &Policy,
    authenticator: &Authenticator,
    headers: &HeaderMap,
    address: IpAddr,
    scope: Scope,
) -> Result<Caller, ApiError> {
    let open = policy.open && scope == Scope::Publish;
    let granted = match presented(headers) {
        Presented::Bearer(token) => match policy.key(token) {
            Some(key) if key.scopes.contains(&scope) || key.scopes.contains(&Scope::Admin) => {
                Ok(Caller::Key(Arc::clone(&key.name)))
            }
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

/// Where a request comes from: what the listener has put into its extensions.
pub fn address(request: &Request) -> IpAddr {
    address_of(request.extensions().get::<Peer>())
}

/// The same of what the listener has put there.
pub fn address_of(peer: Option<&Peer>) -> IpAddr {
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.address)
}

/// What stands before a route that wants `scope`. Runs before any byte of the body is read.
pub(super) async fn require(api: &Api, scope: Scope, mut request: Request, next: Next) -> Response {
    let address = address(&request);
    let state = &api.state;
    // The clock is read here, so that a login is part of the span.
    let start = (scope == Scope::Publish && state.tracer.is_on()).then(SystemTime::now);
    match authorize(
        &state.policy,
        &state.authenticator,
        request.headers(),
        address,
        scope,
    )
    .await
    {
        Ok(caller) => {
            tracing::Span::current().record("caller", tracing::field::display(&caller));
            let begun = start.and_then(|at| trace::begin(&state.tracer, &mut request, &caller, address, at));
            request.extensions_mut().insert(caller);
            let Some((span, context)) = begun else {
                return next.run(request).await;
            };
            // Every line of the log that is about a traced request says so.
            let ids = tracing::info_span!(
                "trace",
                trace_id = context.trace_id(),
                span_id = context.span_id()
            );
            let mut response = next.run(request).instrument(ids).await;
            span.answered(response.status().as_u16());
            response.extensions_mut().insert(Recorded(context));
            response
        }
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests;
