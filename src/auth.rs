//! Who is who: users from the configuration and a watched file, with passwords checked off the runtime by bounded
//! work (docs/architecture.md, decision 6). Knows no STOMP and no HTTP; credentials come in as text.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;

use crate::principal::{Principal, UserName};
use crate::setting::{ByteSize, HumanDuration};
use crate::telemetry::metrics::Metrics;
use credentials::Credentials;
use delay::Delays;
use login::Gates;
use password::Verifier;
use users::{UserStore, UsersError};

pub mod credentials;
mod delay;
mod login;
mod password;
pub mod phc;
pub mod survey;
pub mod users;

/// One user from the configuration or from the users file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserEntry {
    /// The name.
    pub name: String,
    /// An argon2id PHC string, as `herald hash-password` prints.
    pub password: crate::setting::Secret,
    /// Full role names; default `["ROLE_USER"]`.
    #[serde(default = "default_roles")]
    pub roles: Vec<String>,
}

fn default_roles() -> Vec<String> {
    vec![crate::principal::ROLE_USER.into()]
}

/// `[auth]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A TOML file of `[[users]]`, watched and reloaded.
    pub users_file: Option<String>,
    /// The largest users file.
    pub users_file_bytes: ByteSize,
    /// Users defined in the configuration itself.
    pub users: Vec<UserEntry>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            users_file: None,
            users_file_bytes: ByteSize::mib(16),
            users: Vec::new(),
        }
    }
}

/// `[login]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoginConfig {
    /// How many password hashes are computed at the same time. `None` means max(1, cores / 2).
    pub permits: Option<usize>,
    /// How many logins may wait for a permit. Beyond it: overloaded.
    pub queue: usize,
    /// The longest that a login may wait for a permit. A login that would wait longer is overloaded.
    pub queue_timeout: HumanDuration,
    /// The most memory that a stored hash may need for its computation. Logins take at most `permits` times this.
    pub hash_memory: ByteSize,
    /// How long a success is remembered. 0s: not at all.
    pub cache_ttl: HumanDuration,
    /// How many successes are remembered.
    pub cache_entries: usize,
    /// Failures of one user from one address before the user's next logins from there are delayed.
    pub free_failures: u32,
    /// Failures from one address, of any users, before all logins from there are delayed.
    pub free_failures_per_address: u32,
    /// The first delay; each further failure doubles it. 0s: no delays.
    pub delay: HumanDuration,
    /// The longest delay.
    pub delay_max: HumanDuration,
    /// The time after which half of the failures are forgotten.
    pub failures_half_life: HumanDuration,
    /// How many logins may be delayed at the same time. Beyond it: overloaded.
    pub delayed: usize,
    /// The same for one address.
    pub delayed_per_address: usize,
}

impl Default for LoginConfig {
    fn default() -> Self {
        Self {
            permits: None,
            queue: 10_000,
            queue_timeout: HumanDuration::secs(8),
            hash_memory: ByteSize::mib(64),
            cache_ttl: HumanDuration::secs(300),
            cache_entries: 10_000,
            free_failures: 5,
            free_failures_per_address: 100,
            delay: HumanDuration::millis(250),
            delay_max: HumanDuration::secs(10),
            failures_half_life: HumanDuration::secs(600),
            delayed: 256,
            delayed_per_address: 16,
        }
    }
}

/// Why a login failed. The words are the same for every cause on the client's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthError {
    /// An unknown user, a wrong password, or nothing usable presented. A client cannot tell these apart.
    Failed,
    /// More logins wait than `login.queue`, `login.queue_timeout` or `login.delayed` allow. Holds when to come again,
    /// if that is known.
    Overloaded(Option<Duration>),
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "authentication failed",
            Self::Overloaded(_) => "overloaded",
        })
    }
}

impl std::error::Error for AuthError {}

/// Why the [`Authenticator`] cannot be set up.
#[derive(Debug)]
pub enum AuthSetupError {
    /// The configured users or the users file are wrong.
    Users(UsersError),
    /// A setting outside its range.
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: usize,
        /// The smallest value allowed.
        min: usize,
        /// The largest value allowed.
        max: usize,
    },
    /// The operating system returned no random bytes.
    Random(argon2::password_hash::Error),
    /// The operating system could not start threads for hashes.
    Threads(std::io::Error),
    /// The random bytes could not be made into a key.
    Key,
    /// Called outside a tokio runtime.
    NoRuntime,
}

impl fmt::Display for AuthSetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Users(error) => error.fmt(f),
            Self::OutOfRange {
                name,
                value,
                min,
                max,
            } => {
                write!(f, "{name}: expected {min} to {max}, got {value}")
            }
            Self::Random(error) => write!(f, "no random bytes from the operating system: {error}"),
            Self::Threads(error) => write!(f, "no threads for password hashes: {error}"),
            Self::Key => f.write_str("no key could be made for the cache of logins"),
            Self::NoRuntime => f.write_str("the authenticator needs a tokio runtime"),
        }
    }
}

impl std::error::Error for AuthSetupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Users(error) => error.source(),
            _ => None,
        }
    }
}

/// Proves who somebody is. Shared as `Arc<Authenticator>`; dropping the last one stops watching the users file.
pub struct Authenticator {
    store: Arc<UserStore>,
    gates: Gates,
    _watch: Option<AbortOnDropHandle<()>>,
}

impl Authenticator {
    /// Reads the users and starts watching `auth.users_file`. Call it on a tokio runtime; it blocks while it reads
    /// the file.
    pub fn new(config: &Config, login: &LoginConfig, metrics: Metrics) -> Result<Arc<Self>, AuthSetupError> {
        let runtime = Handle::try_current().map_err(|_| AuthSetupError::NoRuntime)?;
        let (verifier, delays) = (Verifier::new(login)?, Delays::new(login)?);
        let (store, watched) = UserStore::open(config, login).map_err(AuthSetupError::Users)?;
        let store = Arc::new(store);
        let watch = watched.map(|(path, content)| {
            let watching = users::watch::run(Arc::clone(&store), path, content);
            AbortOnDropHandle::new(runtime.spawn(watching))
        });
        for result in ["ok", "failed", "overloaded"] {
            metrics.logins.with_label_values(&[result]);
        }
        let gates = Gates {
            verifier,
            delays,
            metrics,
        };
        Ok(Arc::new(Self {
            store,
            gates,
            _watch: watch,
        }))
    }

    /// Checks a name and a password and counts the result in [`Metrics::logins`]. `address` is the client's address.
    ///
    /// An unknown user costs what a known one costs: the same path, one hash, the same words. Roles are not checked
    /// here: opening a session requires `ROLE_USER` in addition.
    ///
    /// After failures from `address` this waits before it computes anything, unless the password was right recently.
    ///
    /// # Cancel safety
    /// Dropping the future gives the login up: a waiting login leaves the queue, a running computation finishes and
    /// frees its permit. A login that is delayed after failures continues without its client.
    pub async fn verify(&self, credentials: &Credentials, address: IpAddr) -> Result<Principal, AuthError> {
        let result = self.check(credentials, address).await;
        self.count(result.as_ref().err(), address);
        result
    }

    /// Counts a login that presented nothing usable, and returns its error.
    pub fn unusable(&self, address: IpAddr) -> AuthError {
        self.count(Some(&AuthError::Failed), address);
        AuthError::Failed
    }

    /// The names of users that a reload removed or changed (password or roles): their sessions end with 4401.
    ///
    /// The channel is bounded. A receiver that gets `Lagged` has missed names and recovers by asking
    /// [`is_current`](Self::is_current) for each of its sessions. A session that joins its registry after the name
    /// was sent is missed in the same way: ask `is_current` again after joining.
    pub fn withdrawn(&self) -> broadcast::Receiver<UserName> {
        self.store.withdrawn()
    }

    /// Whether the result of [`verify`](Self::verify) still holds: the user exists, with the same password and roles.
    pub fn is_current(&self, principal: &Principal) -> bool {
        self.store
            .current()
            .get(principal.user().as_str())
            .is_some_and(|user| user.principal.is_clone_of(principal))
    }

    /// Whether there is any user who could log in.
    pub fn has_users(&self) -> bool {
        !self.store.current().is_empty()
    }

    async fn check(&self, credentials: &Credentials, address: IpAddr) -> Result<Principal, AuthError> {
        let users = self.store.current();
        let found = users.get(&credentials.user);
        let stored = found.map_or(&users.decoy, |user| &user.hash);
        let matches = self.gates.matches(credentials, stored, address).await?;
        let user = found.filter(|_| matches).ok_or(AuthError::Failed)?;
        // The users may have been reloaded in the meantime; what counts is what they are now.
        match self.store.current().get(&credentials.user) {
            Some(now) if now.hash.text() == user.hash.text() => Ok(now.principal.clone()),
            _ => Err(AuthError::Failed),
        }
    }

    fn count(&self, error: Option<&AuthError>, address: IpAddr) {
        let result = match error {
            None => "ok",
            Some(AuthError::Failed) => "failed",
            Some(AuthError::Overloaded(_)) => "overloaded",
        };
        self.gates.metrics.logins.with_label_values(&[result]).inc();
        tracing::debug!(%address, result, "login");
    }
}

#[cfg(test)]
mod tests;
