//! Who is who: users from the configuration and a watched file, passwords checked off the runtime with bounded work
//! (DESIGN decision 6). Knows no STOMP and no HTTP; credentials come in as text.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::units::HumanDuration;

pub mod credentials;
pub mod password;
pub mod users;

/// One user of the configuration or of the users file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserEntry {
    /// The name.
    pub name: String,
    /// An argon2id PHC string, as `herald hash-password` prints.
    pub password: crate::config::secret::Secret,
    /// Full role names; default `["ROLE_USER"]`.
    #[serde(default = "default_roles")]
    pub roles: Vec<String>,
}

fn default_roles() -> Vec<String> {
    vec![crate::principal::ROLE_USER.into()]
}

/// `[auth]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// TOML file of `[[users]]`, watched and reloaded.
    pub users_file: Option<String>,
    /// Users named in the configuration itself.
    pub users: Vec<UserEntry>,
}

/// `[login]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoginConfig {
    /// Password hashes computed at once; none: max(1, cores / 2).
    pub permits: Option<usize>,
    /// Logins that wait for a permit; above it: overloaded.
    pub queue: usize,
    /// How long a success is remembered.
    pub cache_ttl: HumanDuration,
    /// Successes remembered.
    pub cache_entries: usize,
}

impl Default for LoginConfig {
    fn default() -> Self {
        Self {
            permits: None,
            queue: 256,
            cache_ttl: HumanDuration::secs(300),
            cache_entries: 10_000,
        }
    }
}

/// Why a login failed. Its words are the same for every client-side cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthError {
    /// Unknown user, wrong password, or nothing usable presented: told apart by nothing that a client sees.
    Failed,
    /// More logins wait than `login.queue` allows.
    Overloaded,
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "authentication failed",
            Self::Overloaded => "overloaded",
        })
    }
}

impl std::error::Error for AuthError {}

use std::net::IpAddr;
use std::sync::Arc;

use crate::principal::{Principal, UserName};
use crate::telemetry::metrics::Metrics;
use credentials::Credentials;
use tokio::sync::broadcast;

/// Proves who somebody is. Shared as `Arc<Authenticator>`.
pub struct Authenticator {}

impl Authenticator {
    /// Checks a name and password; counts the result in [`Metrics::logins`]. `address` is where they came from.
    pub async fn verify(&self, _credentials: &Credentials, _address: IpAddr) -> Result<Principal, AuthError> {
        Err(AuthError::Failed)
    }

    /// Names of users that were removed or changed by a reload: their sessions end with 4401.
    pub fn withdrawn(&self) -> broadcast::Receiver<UserName> {
        broadcast::channel(1).1
    }

    /// Whether anyone at all could log in.
    pub fn has_users(&self) -> bool {
        false
    }
}

/// Placeholder that keeps the imports of the sketch in use.
pub type Shared = (Arc<Authenticator>, Metrics);
