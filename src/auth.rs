//! Authentication: users from the configuration and a watched file, tokens of identity providers, and a backend that
//! decides. Passwords and signatures are checked off the runtime by bounded work (docs/architecture.md, decision 6).
//! Knows no STOMP and no HTTP; credentials arrive as text.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use ulid::Ulid;

use crate::envelope::unix_ms;
use crate::principal::{Origin, Principal, UserName};
use crate::task::Task;
use crate::telemetry::audit::{Audit, Claims};
use crate::telemetry::metrics::Metrics;
use bearer::Bearer;
use callout::{Callout, Circumstances};
use credentials::Credentials;
use delay::Delays;
use inline::Inline;
use issuers::KnownIssuers;
use keys::source::Fetch;
use login::Gates;
use password::Verifier;
use presented::Presented;
use revoked::Revoked;
use users::{KnownUsers, UserStore};

mod bearer;
pub mod callout;
pub(crate) mod config;
pub mod credentials;
mod delay;
mod error;
mod inline;
pub mod issuers;
pub mod keys;
mod login;
mod password;
pub(crate) mod phc;
pub mod presented;
pub(crate) mod revoked;
mod roles;
pub(crate) mod survey;
pub mod token;
pub mod users;

pub use config::{Config, CookieName, LoginConfig, UserEntry};
pub use error::{AuthError, AuthSetupError};

/// Authenticates clients. Shared as `Arc<Authenticator>`.
pub struct Authenticator {
    store: Arc<UserStore>,
    /// `auth.password_session`
    session: Option<Duration>,
    /// `auth.anonymous.enabled`
    anonymous: bool,
    gates: Gates,
    bearer: Bearer,
    audit: Audit,
    revoked: Arc<Revoked>,
    callout: Option<Callout>,
    /// Holds the task until it is taken.
    watch: Mutex<Option<Task>>,
}

impl Authenticator {
    /// Reads the users and starts watching `auth.users_file`, until the authenticator or, once taken, its
    /// [task](Self::tasks) is dropped. Call it on a tokio runtime; it blocks while it reads the file.
    pub fn new(config: &Config, login: &LoginConfig, metrics: Metrics) -> Result<Arc<Self>, AuthSetupError> {
        let known = KnownUsers::open(config, login, false).map_err(AuthSetupError::Users)?;
        Self::of(
            known,
            &KnownIssuers::default(),
            None,
            login,
            metrics,
            Audit::default(),
        )
    }

    /// The same, with users and issuers that were read before, and a backend that decides about all others, if any.
    ///
    /// # Errors
    /// No tokio runtime, no random bytes, or no threads.
    pub fn of(
        known: KnownUsers,
        issuers: &KnownIssuers,
        callout: Option<Callout>,
        login: &LoginConfig,
        metrics: Metrics,
        audit: Audit,
    ) -> Result<Arc<Self>, AuthSetupError> {
        Handle::try_current().map_err(|_| AuthSetupError::NoRuntime)?;
        let (verifier, delays) = (Verifier::new(login)?, Delays::new(login));
        let KnownUsers {
            store,
            watched,
            session,
            anonymous,
            revocations,
        } = known;
        let revoked = Revoked::new(revocations);
        let store = Arc::new(store);
        let watch = watched.map(|watched| {
            let following = Arc::clone(&store).follow(watched, audit.clone());
            Task::essential("users file", following)
        });
        let bearer = Bearer::new(issuers, metrics.clone(), audit.clone());
        let gates = Gates {
            verifier,
            delays,
            inline: Arc::new(Inline::new(issuers.token.inline_percent, inline::cores())),
            metrics,
        };
        Ok(Arc::new(Self {
            store,
            session,
            anonymous,
            gates,
            bearer,
            audit,
            revoked,
            callout,
            watch: Mutex::new(watch),
        }))
    }

    /// The task that watches `auth.users_file`, if that is set. Without it, users that were removed would keep their
    /// sessions. It can be taken once; later calls return nothing.
    pub fn tasks(&self) -> Option<Task> {
        self.watch.lock().take()
    }

    /// Checks a name and a password and counts the result in [`Metrics::logins`]. `address` is the client's address.
    ///
    /// An unknown user costs the same as a known one: the same code path, one hash, the same message. Roles are not
    /// checked here: opening a session requires `ROLE_USER` in addition.
    ///
    /// After failures from `address` this waits before it computes anything, unless the password was accepted recently.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the login: a waiting login leaves the queue, and a running computation finishes and
    /// frees its permit. A login that is delayed after failures continues without its client.
    pub async fn verify(&self, credentials: &Credentials, address: IpAddr) -> Result<Principal, AuthError> {
        let result = self.check(credentials, address).await;
        if let Err(AuthError::Failed | AuthError::Revoked) = &result {
            let reason = match &result {
                Err(AuthError::Revoked) => "blocked",
                _ => "password",
            };
            let known = self.known(&credentials.user);
            let claims = known
                .as_ref()
                .map_or(Claims::Nobody, |known| Claims::User(known.user()));
            self.audit.login_refused(address, claims, reason);
        }
        self.count(result.as_ref().err(), address);
        result
    }

    /// Checks any kind of credential and counts the result in [`Metrics::logins`]: the password of one of Herald's own
    /// users as [`verify`](Self::verify) does, a token of an issuer with the issuer's keys, and everything else by
    /// asking the backend, if there is one. The principal of a token expires.
    ///
    /// # Cancel safety
    /// As [`verify`](Self::verify).
    pub async fn authenticate(
        &self,
        presented: &Presented,
        from: &Circumstances<'_>,
    ) -> Result<Principal, AuthError> {
        let address = from.address;
        if let Some(callout) = self.deciding(presented) {
            let store = Arc::clone(&self.store);
            let is_own = move |name: &str| store.current().get(name).is_some();
            let asked = callout.verify(&self.gates, &self.audit, &self.revoked, presented, from, is_own);
            let result = Box::pin(asked).await;
            let result = result.and_then(|principal| match Callout::too_soon(&self.revoked, &principal) {
                Some(again) => Err(AuthError::Unavailable(Some(again))),
                None => self.let_in(principal, address),
            });
            self.count(result.as_ref().err(), address);
            return result;
        }
        match presented {
            Presented::Password(credentials) => self.verify(credentials, address).await,
            Presented::Token(token, digest) => {
                let result = self
                    .bearer
                    .verify(&self.gates, &self.revoked, token, *digest, address)
                    .await;
                self.count(result.as_ref().err(), address);
                result
            }
            Presented::Unusable => Err(self.unusable(address)),
            Presented::Nothing => {
                self.audit.login_refused(address, Claims::Nobody, "nothing");
                self.count(Some(&AuthError::Failed), address);
                Err(AuthError::Failed)
            }
        }
    }

    /// Refuses everybody to whom a revocation applies, no matter who authenticated them.
    fn let_in(&self, principal: Principal, address: IpAddr) -> Result<Principal, AuthError> {
        let Some(shut) = self.revoked.refuses(&principal) else {
            return Ok(principal);
        };
        let claims = Claims::User(principal.user());
        self.audit.login_refused(address, claims, shut.label());
        Err(AuthError::Revoked)
    }

    /// The backend, if it decides about this credential. Herald's own users and those of issuers never depend on it.
    fn deciding(&self, presented: &Presented) -> Option<&Callout> {
        let callout = self.callout.as_ref()?;
        let is_anothers = match presented {
            Presented::Password(credentials) => self.store.current().get(&credentials.user).is_none(),
            Presented::Token(token, _) => self.bearer.is_anothers(token),
            Presented::Unusable | Presented::Nothing => false,
        };
        is_anothers.then_some(callout)
    }

    /// A unique principal for a client that opens a session without a credential; counted in [`Metrics::logins`].
    /// `None` unless `auth.anonymous.enabled`. Only for sessions, and never after a credential was refused.
    pub fn anonymous(&self, address: IpAddr) -> Option<Principal> {
        let principal = Principal::anonymous(&Ulid::new().to_string());
        let principal = principal.ok().filter(|_| self.anonymous)?;
        self.told("anonymous", address);
        Some(principal)
    }

    /// The tasks that fetch the keys of issuers, each with the client from `fetch`. They never end. Called once.
    pub fn fetching(&self, fetch: impl Fn(&str) -> Option<Arc<dyn Fetch>>) -> Vec<BoxFuture<'static, ()>> {
        let sources = self.bearer.sources();
        let running = sources.filter_map(|source| {
            let fetch = fetch(source.issuer())?;
            Some(Box::pin(Arc::clone(source).run(fetch, self.audit.clone())) as BoxFuture<'static, ()>)
        });
        running.collect()
    }

    /// The issuers whose keys are required before the instance is ready, and are still missing.
    pub fn missing_keys(&self) -> impl Iterator<Item = &str> {
        let missing = self.bearer.sources().filter(|source| !source.is_ready());
        missing.map(|source| &**source.issuer())
    }

    /// The age of the keys of each issuer whose keys come from its server, if they have been fetched.
    pub fn key_ages(&self) -> impl Iterator<Item = (&str, Duration)> {
        let sources = self.bearer.sources();
        sources.filter_map(|source| Some((&**source.issuer(), source.age()?)))
    }

    /// Where logins are counted.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Whether any tokens are accepted.
    pub fn takes_tokens(&self) -> bool {
        !self.bearer.is_empty() || self.callout.is_some()
    }

    /// Counts a login without a usable credential, and returns its error.
    pub fn unusable(&self, address: IpAddr) -> AuthError {
        self.audit.login_refused(address, Claims::Nobody, "unusable");
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

    /// Whether the result of [`verify`](Self::verify) is still valid: it is not revoked, the key of its token still
    /// counts, and a user with a password still exists, with the same password and roles.
    pub fn is_current(&self, principal: &Principal) -> bool {
        if self.revoked.refuses(principal).is_some() {
            return false;
        }
        match principal.origin() {
            Origin::Issuer(_) | Origin::Callout | Origin::Anonymous => true,
            Origin::Password => {
                let users = self.store.current();
                let user = users.get(principal.user().as_str());
                user.is_some_and(|user| user.principal.is_clone_of(principal))
            }
        }
    }

    /// The same of a session that has just joined, with what its client is told.
    ///
    /// # Errors
    /// [`AuthError::Revoked`] if the result no longer holds; [`AuthError::Expired`] if only the key of its token is gone, because a
    /// token of another key is let in.
    pub fn recheck(&self, principal: &Principal) -> Result<(), AuthError> {
        match (self.is_current(principal), self.has_key_of(principal)) {
            (false, _) => Err(AuthError::Revoked),
            (true, false) => Err(AuthError::Expired),
            (true, true) => Ok(()),
        }
    }

    /// Waits until keys are gone from an issuer's set with which sessions are to end (`close_on_key_removal`).
    pub async fn keys_gone(&self) {
        self.bearer.keys_gone().await;
    }

    /// Whether the key of the principal's token is still in force, if the session is to end when it is not.
    pub fn has_key_of(&self, principal: &Principal) -> bool {
        self.bearer.has_key_of(principal)
    }

    /// The revocations.
    pub(crate) fn revoked(&self) -> &Arc<Revoked> {
        &self.revoked
    }

    /// For each issuer, how long its tokens may remain valid after the moment of their revocation, in ms.
    pub(crate) fn longest_lives(&self) -> impl Iterator<Item = (&str, u64)> {
        self.bearer.longest_lives()
    }

    /// The same for a backend's answers, if there is a backend.
    pub(crate) fn callout_life(&self) -> Option<u64> {
        self.callout.as_ref().map(Callout::longest_life_ms)
    }

    /// The name prefixes of users without a password here: those of `issuer`, or of all issuers and of a backend.
    pub(crate) fn prefixes<'a>(&'a self, issuer: Option<&'a str>) -> impl Iterator<Item = &'a str> {
        let of_issuers = self.bearer.prefixes();
        let of_issuers = of_issuers.filter(move |(name, _)| issuer.is_none_or(|issuer| issuer == *name));
        let callout = self.callout.as_ref().filter(|_| issuer.is_none());
        of_issuers
            .map(|(_, prefix)| prefix)
            .chain(callout.map(Callout::prefix))
    }

    /// The user with this name, as after a login.
    pub fn known(&self, name: &str) -> Option<Principal> {
        let users = self.store.current();
        users.get(name).map(|user| user.principal.clone())
    }

    /// Whether any user could log in.
    pub fn has_users(&self) -> bool {
        !self.store.current().is_empty()
    }

    async fn check(&self, credentials: &Credentials, address: IpAddr) -> Result<Principal, AuthError> {
        let users = self.store.current();
        let found = users.get(&credentials.user);
        let stored = found.map_or(&users.decoy, |user| &user.hash);
        let matches = self.gates.matches(credentials, stored, address).await?;
        let user = found.filter(|_| matches).ok_or(AuthError::Failed)?;
        // The users may have been reloaded in the meantime; their current state counts.
        match self.store.current().get(&credentials.user) {
            Some(now) if now.hash.text() == user.hash.text() => match self.revoked.refuses(&now.principal) {
                Some(_) => Err(AuthError::Revoked),
                None => Ok(now.principal.clone().ending(self.ends_ms())),
            },
            _ => Err(AuthError::Failed),
        }
    }

    /// When a session that logs in with a password now will end.
    fn ends_ms(&self) -> Option<u64> {
        let life_ms = u64::try_from(self.session?.as_millis()).unwrap_or(u64::MAX);
        Some(unix_ms().saturating_add(life_ms))
    }

    fn count(&self, error: Option<&AuthError>, address: IpAddr) {
        let result = match error {
            None => "ok",
            Some(AuthError::Failed | AuthError::Expired | AuthError::Revoked) => "failed",
            Some(AuthError::Unavailable(_) | AuthError::Overloaded(_)) => "overloaded",
        };
        self.told(result, address);
    }

    fn told(&self, result: &'static str, address: IpAddr) {
        self.gates.metrics.logins.with_label_values(&[result]).inc();
        tracing::debug!(%address, result, "login");
    }
}

#[cfg(test)]
mod tests;
