//! Credentials that a backend decides about: those that are neither a token of a configured issuer nor the password of
//! one of Herald's own users. Each login is one question. The number of questions at the same time is bounded, behind
//! the fair queue, and each is bounded in time and bytes. If no clear answer arrives, nobody is let in and the
//! credential does not count as wrong: the client is told to try again. Knows no NATS and no HTTP; the caller provides
//! the transport ([`Ask`]).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hmac::{Hmac, Mac};
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::delay::{Attempt, Who};
use super::login::Gates;
use super::presented::Presented;
use super::revoked::Revoked;
use super::revoked::set::Shut;
use super::roles::RoleRules;
use super::{AuthError, AuthSetupError, LoginConfig, phc};
use crate::envelope::unix_ms;
use crate::limit::{AddressGroup, OncePerSecond};
use crate::principal::{Principal, TokenMark};
use crate::telemetry::audit::{Audit, Claims};
use crate::telemetry::metrics::Metrics;
use answer::{Answer, Reading, Unusable};
use line::Line;

mod answer;
pub mod config;
mod line;
mod question;

pub use answer::ANSWER_MAX_BYTES;
pub use config::{CalloutConfig, HeaderName, Source, Target};
pub use question::{Circumstances, Protocol, Shown};

/// When a client is to try again after a question without an answer: each client at a different time between these two,
/// so that they do not return together.
const RETRY_AFTER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// Carries a question to the backend.
pub trait Ask: Send + Sync + 'static {
    /// Returns the answer, of at most [`ANSWER_MAX_BYTES`], if it arrives `within` this time.
    fn ask(&self, question: Bytes, within: Duration) -> BoxFuture<'static, Result<Bytes, NoAnswer>>;
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// None arrived in time.
    Timeout,
    /// Nobody is listening.
    Nobody,
    /// There is no way to ask at the moment, for this reason.
    Unavailable(String),
    /// The reply is not an answer, for this reason.
    Unusable(String),
}

impl From<Unusable> for NoAnswer {
    fn from(unusable: Unusable) -> Self {
        Self::Unusable(unusable.0.to_owned())
    }
}

/// By how much the clocks of instances may differ. An acceptance counts as this much older when a revocation of its
/// user is made.
const CLOCKS_MS: u64 = 5_000;

/// Asks a backend. Shared as `Arc<Callout>`.
pub struct Callout {
    ask: Arc<dyn Ask>,
    reading: Reading,
    instance: Arc<str>,
    timeout: Duration,
    line: Arc<Line>,
    remembered: Option<Remembered>,
    complained: OncePerSecond,
}

/// The users that were accepted recently, by a MAC of the whole question under a key that only this process knows, so
/// that elsewhere it does not serve as a hash of a credential.
struct Remembered {
    mac: Hmac<Sha256>,
    ttl: Duration,
    users: Cache<[u8; 32], (Principal, Instant)>,
}

impl Remembered {
    fn new(config: &CalloutConfig) -> Result<Self, AuthSetupError> {
        let mut key = [0; 32];
        for half in key.chunks_exact_mut(16) {
            half.copy_from_slice(&phc::random().map_err(AuthSetupError::Random)?);
        }
        Ok(Self {
            // HMAC accepts keys of any length.
            mac: Hmac::new_from_slice(&key).map_err(|_| AuthSetupError::Key)?,
            ttl: config.cache.0,
            users: Cache::new(config.cache_entries),
        })
    }

    fn key(&self, question: &Bytes) -> [u8; 32] {
        let mut mac = self.mac.clone();
        mac.update(question);
        mac.finalize().into_bytes().into()
    }

    fn get(&self, key: &[u8; 32]) -> Option<Principal> {
        let (principal, until) = self.users.get(key)?;
        let has_ended = principal.ends_ms().is_some_and(|ends| unix_ms() >= ends);
        match Instant::now() >= until || has_ended {
            true => {
                self.users.remove(key);
                None
            }
            false => Some(principal),
        }
    }
}

impl Callout {
    /// Asks through `ask`, as `instance`.
    ///
    /// # Errors
    /// No random bytes.
    pub fn new(
        config: &CalloutConfig,
        login: &LoginConfig,
        instance: &str,
        ask: Arc<dyn Ask>,
    ) -> Result<Self, AuthSetupError> {
        let remembers = !config.cache.0.is_zero();
        Ok(Self {
            ask,
            reading: Reading {
                prefix: config.user_prefix.as_deref().unwrap_or_default().into(),
                roles: RoleRules::new(&config.roles, &config.role_map, &config.roles_allowed),
            },
            instance: instance.into(),
            timeout: config.timeout.0,
            line: Line::new(config.at_once, login.queue, login.queue_timeout.0),
            remembered: remembers.then(|| Remembered::new(config)).transpose()?,
            complained: OncePerSecond::default(),
        })
    }

    /// The prefix of its users' names.
    pub(super) fn prefix(&self) -> &str {
        &self.reading.prefix
    }

    /// For how long an acceptance may be remembered, plus how late it may arrive.
    pub(super) fn longest_life_ms(&self) -> u64 {
        let ttl = self
            .remembered
            .as_ref()
            .map_or(Duration::ZERO, |remembered| remembered.ttl);
        let longest = u64::try_from((ttl + self.timeout).as_millis()).unwrap_or(u64::MAX);
        longest.saturating_add(2 * CLOCKS_MS)
    }

    /// When a client that the backend has just accepted is to try again, if the backend was asked after the revocations
    /// that apply to it, but within the tolerance of the clocks: then Herald cannot tell whether the acceptance is
    /// older, and the credential is not at fault.
    pub(super) fn too_soon(revoked: &Revoked, principal: &Principal) -> Option<Duration> {
        let mark = principal.token()?;
        let asked = principal.clone().by_token(TokenMark {
            id: None,
            earliest_ms: mark.earliest_ms.saturating_add(CLOCKS_MS),
            key: None,
        });
        let is_by_clocks =
            revoked.refuses(principal) == Some(Shut::Revoked) && revoked.refuses(&asked).is_none();
        is_by_clocks.then_some(Duration::from_millis(CLOCKS_MS))
    }

    /// The user according to the backend. `is_own` says whether Herald itself has a user with this name. A refusal
    /// counts as a failure and delays later logins, as a wrong password does.
    ///
    /// # Cancel safety
    /// A login that is dropped before its question was sent leaves the queue and does not count as a failure. A
    /// question that was sent keeps its place until it is answered, so that clients that disconnect cannot cause more
    /// questions at the same time than clients that stay.
    pub(super) async fn verify(
        &self,
        gates: &Gates,
        audit: &Audit,
        revoked: &Revoked,
        presented: &Presented,
        from: &Circumstances<'_>,
        is_own: impl FnOnce(&str) -> bool + Send,
    ) -> Result<Principal, AuthError> {
        let (result, outcome) = self.run(gates, revoked, presented, from, is_own).await;
        gates.metrics.callouts.with_label_values(&[result]).inc();
        tracing::debug!(address = %from.address, result, "callout");
        match result {
            "refused" => audit.login_refused(from.address, Claims::Nobody, "callout-refused"),
            "expired" => audit.login_refused(from.address, Claims::Nobody, "callout-expired"),
            "timeout" | "nobody" | "unavailable" | "unusable" => audit.callout_failed(result),
            _ => {}
        }
        outcome
    }

    async fn run(
        &self,
        gates: &Gates,
        revoked: &Revoked,
        presented: &Presented,
        from: &Circumstances<'_>,
        is_own: impl FnOnce(&str) -> bool + Send,
    ) -> (&'static str, Result<Principal, AuthError>) {
        let Some(question) = question::question(presented, from, &self.instance) else {
            return ("refused", Err(AuthError::Failed));
        };
        let remembered = self.remembered.as_ref();
        let remembered = remembered.map(|remembered| (remembered, remembered.key(&question)));
        if let Some((remembered, key)) = &remembered
            && let Some(principal) = remembered.get(key)
            // An acceptance from before the revocation is no longer valid: the backend is asked again.
            && revoked.refuses(&principal) != Some(Shut::Revoked)
        {
            return ("remembered", Ok(principal));
        }
        let overloaded = |limit, retry_after| {
            gates.metrics.limit_hit(limit);
            ("overloaded", Err(AuthError::Overloaded(retry_after)))
        };
        let digest;
        let who = match presented {
            Presented::Password(credentials) => Who::User(&credentials.user),
            Presented::Token(token, known) => {
                digest = known.unwrap_or_else(|| Sha256::digest(token.expose()).into());
                Who::Token(&digest)
            }
            Presented::Unusable | Presented::Nothing => Who::User(""),
        };
        let attempt = match gates.delays.begin(from.address, who) {
            Ok(attempt) => attempt,
            Err(limit) => return overloaded(limit, None),
        };
        let mut trial = Trial(Some(attempt));
        trial.wait(&gates.metrics).await;
        let permit = match self.line.enter(AddressGroup::of(from.address)).await {
            Ok(permit) => permit,
            Err(full) => return overloaded(full.limit, Some(full.retry_after)),
        };
        let asked_ms = unix_ms().saturating_sub(CLOCKS_MS);
        let (asked, within) = (self.ask.ask(question, self.timeout), self.timeout);
        let asked = async move {
            let answer = tokio::time::timeout(within, asked).await;
            drop(permit);
            answer.unwrap_or(Err(NoAnswer::Timeout))
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "one question, bounded in number and in time, which is awaited below"
        )]
        let asked = tokio::spawn(asked.in_current_span());
        let attempt = trial.asked();
        let settle = move |how: fn(Attempt)| {
            if let Some(attempt) = attempt {
                how(attempt);
            }
        };
        // An error means that the runtime is shutting down.
        let answer = asked
            .await
            .unwrap_or_else(|_| Err(NoAnswer::Unavailable("the instance is ending".into())));
        let read = answer.and_then(|answer| Ok(self.reading.read(&answer, asked_ms, unix_ms(), is_own)?));
        match read {
            Ok(Answer::User(principal)) => {
                settle(Attempt::succeeded);
                if let Some((remembered, key)) = remembered {
                    let until = Instant::now() + remembered.ttl;
                    remembered.users.insert(key, (principal.clone(), until));
                }
                ("ok", Ok(principal))
            }
            Ok(Answer::Refused) => {
                settle(Attempt::failed);
                ("refused", Err(AuthError::Failed))
            }
            // It was accepted: this is no guess.
            Ok(Answer::Expired) => {
                settle(Attempt::not_tried);
                ("expired", Err(AuthError::Expired))
            }
            Err(none) => {
                settle(Attempt::not_tried);
                (self.note(&none), Err(AuthError::Unavailable(Some(retry_after()))))
            }
        }
    }

    /// Logs why there is no answer, at most once a second, and returns the metric's label.
    fn note(&self, none: &NoAnswer) -> &'static str {
        let (result, words) = match none {
            NoAnswer::Timeout => ("timeout", "none in time (auth.callout.timeout)"),
            NoAnswer::Nobody => ("nobody", "nobody is there"),
            NoAnswer::Unavailable(words) => ("unavailable", &**words),
            NoAnswer::Unusable(words) => ("unusable", &**words),
        };
        if let Some(others) = self.complained.pass() {
            tracing::warn!(
                result,
                reason = words,
                others,
                "no answer from auth.callout.target"
            );
        }
        result
    }
}

fn retry_after() -> Duration {
    let [least, most] = RETRY_AFTER;
    least + (most - least).mul_f64(fastrand::f64())
}

/// A login before its question. If it is dropped here, nothing was tried.
struct Trial(Option<Attempt>);

impl Trial {
    async fn wait(&mut self, metrics: &Metrics) {
        if let Some(attempt) = self.0.as_mut().filter(|attempt| !attempt.delay().is_zero()) {
            metrics.limit_hit(attempt.limit());
            attempt.wait().await;
        }
    }

    /// From here on, dropping it counts as a failure.
    fn asked(mut self) -> Option<Attempt> {
        self.0.take()
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let Some(attempt) = self.0.take() {
            attempt.not_tried();
        }
    }
}

#[cfg(test)]
mod tests;
