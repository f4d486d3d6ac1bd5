//! `[auth]` and `[login]`: the users, and the limits on logins. No finding repeats a hash.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::callout::{self, CalloutConfig, Source};
use super::phc::StoredHash;
use super::token;
use super::token::config::{IssuerConfig, TokenConfig};
use crate::principal::{Attributes, Role, UserName};
use crate::setting::{ByteSize, Findings, HumanDuration, Secret, as_text};

/// One user from the configuration or from the users file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserEntry {
    /// The name, without `:`.
    #[serde(deserialize_with = "name")]
    pub name: UserName,
    /// An argon2id PHC string, as `herald hash-password` prints.
    pub password: Secret,
    /// Full role names; default `["ROLE_USER"]`.
    #[serde(default = "default_roles", deserialize_with = "roles")]
    pub roles: Vec<Role>,
    /// Other claims of the user, for rules that use them (`{claim.tenant}`); default none.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UserName, D::Error> {
    let name = UserName::deserialize(deserializer)?;
    UserName::with_password(name.as_str()).map_err(de::Error::custom)
}

fn default_roles() -> Vec<Role> {
    vec![Role::user()]
}

/// The maximum number of roles of a user.
const ROLES_MAX: usize = 64;

fn roles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Role>, D::Error> {
    let roles = Vec::<Role>::deserialize(deserializer)?;
    match roles.len() <= ROLES_MAX {
        true => Ok(roles),
        false => Err(de::Error::custom(format!("expected at most {ROLES_MAX} roles"))),
    }
}

/// `[auth]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A TOML file of `[[users]]`, watched and reloaded.
    pub users_file: Option<String>,
    /// The maximum size of the users file.
    pub users_file_bytes: ByteSize,
    /// Users defined in the configuration itself.
    pub users: Vec<UserEntry>,
    /// The longest life of a session that logged in with a password. `None`: it does not end by itself.
    pub password_session: Option<HumanDuration>,
    /// The issuers whose tokens are accepted.
    pub issuers: Vec<IssuerConfig>,
    /// The limits on tokens.
    pub token: TokenConfig,
    /// A cookie that contains a token.
    pub cookie: CookieConfig,
    /// Who decides about credentials.
    pub order: Vec<Source>,
    /// A backend that decides.
    pub callout: CalloutConfig,
    /// Sessions of clients without a credential.
    pub anonymous: AnonymousConfig,
    /// The maximum number of revocations.
    pub revocations: usize,
    /// The file, of this instance alone, that keeps them over a restart. `None`: they are in memory only.
    pub revoked_file: Option<String>,
}

/// `[auth.anonymous]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnonymousConfig {
    /// Whether a client without a credential gets a session.
    pub enabled: bool,
}

/// `[auth.cookie]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CookieConfig {
    /// Its name. `None`: cookies are ignored.
    pub name: Option<CookieName>,
}

/// A cookie's name (RFC 6265, section 4.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieName(Box<str>);

impl CookieName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CookieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CookieName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let legal = |byte: u8| byte.is_ascii_graphic() && !br#"()<>@,;:\"/[]?={}"#.contains(&byte);
        match (1..=128).contains(&text.len()) && text.bytes().all(legal) {
            true => Ok(Self(text.into())),
            false => Err("expected the name of a cookie".into()),
        }
    }
}

as_text!(CookieName);

/// The minimum of `auth.password_session`: the ends of sessions are kept to within a second.
const SESSION_MIN: HumanDuration = HumanDuration::secs(1);

/// The maximum of `auth.revocations`.
const REVOCATIONS_MAX: usize = 1_000_000;

impl Config {
    /// Checks that no name occurs twice, and that sessions have a minimum life. Whether `login.hash_memory` allows a
    /// password's hash is checked where `[login]` is known too.
    pub fn check(&self, findings: &mut Findings) {
        if let Some(life) = self.password_session {
            findings.at_least("auth.password_session", life, SESSION_MIN);
        }
        token::config::check(&self.issuers, findings);
        self.token.check(findings);
        findings.within("auth.revocations", self.revocations, 1, REVOCATIONS_MAX);
        let prefixes = self.issuers.iter().map(|issuer| issuer.user_prefix.as_str());
        self.callout.check(prefixes, findings);
        let mut names = HashSet::new();
        for (index, user) in self.users.iter().enumerate() {
            if !names.insert(&user.name) {
                let message = format!("{:?} is there twice", user.name);
                findings.error(format!("auth.users[{index}].name"), message);
            }
        }
    }

    /// Checks that everybody who can decide is asked. `demo`: the users of `--demo` will exist too.
    pub fn check_order(&self, demo: bool, findings: &mut Findings) {
        let users = demo || !self.users.is_empty() || self.users_file.is_some();
        let issuers = !self.issuers.is_empty();
        callout::config::check_order(&self.order, users, issuers, &self.callout, findings);
    }

    /// Checks the hash of each user's password against the memory that a hash may use.
    pub fn check_passwords(&self, hash_memory: ByteSize, findings: &mut Findings) {
        for (index, user) in self.users.iter().enumerate() {
            if let Err(problem) = StoredHash::parse(user.password.expose(), hash_memory) {
                let message = format!("{problem} (the value is not shown)");
                findings.error(format!("auth.users[{index}].password"), message);
            }
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            users_file: None,
            users_file_bytes: ByteSize::mib(16),
            users: Vec::new(),
            password_session: None,
            issuers: Vec::new(),
            token: TokenConfig::default(),
            cookie: CookieConfig::default(),
            order: vec![Source::Token, Source::Password],
            callout: CalloutConfig::default(),
            anonymous: AnonymousConfig::default(),
            revocations: 100_000,
            revoked_file: None,
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
    /// Failures of one user within an hour, from all addresses, before logins of that user from addresses where it has never
    /// succeeded wait for `unfamiliar_delay`.
    pub free_failures_per_user: u32,
    /// How long these wait. 0s: not at all.
    pub unfamiliar_delay: HumanDuration,
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

impl LoginConfig {
    /// Checks that queues, caches and delays are bounded and fit each other.
    pub fn check(&self, findings: &mut Findings) {
        if let Some(permits) = self.permits {
            findings.within("login.permits", permits, 1, 1_024);
        }
        findings.within("login.queue", self.queue, 0, 1_000_000);
        findings.positive("login.queue_timeout", self.queue_timeout);
        findings.within("login.cache_entries", self.cache_entries, 0, 1_000_000);
        findings.within("login.delayed", self.delayed, 0, 1_000_000);
        findings.positive("login.failures_half_life", self.failures_half_life);
        if self.delay_max < self.delay {
            findings.error(
                "login.delay_max",
                format!(
                    "expected at least login.delay ({}), got {}",
                    self.delay, self.delay_max
                ),
            );
        }
    }
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
            free_failures_per_user: 50,
            unfamiliar_delay: HumanDuration::secs(1),
            delay: HumanDuration::millis(250),
            delay_max: HumanDuration::secs(10),
            failures_half_life: HumanDuration::secs(600),
            delayed: 256,
            delayed_per_address: 16,
        }
    }
}
