//! The steps of one login: its delay after failures, its place in the queue, and the effect of its result on the
//! delays. Knows no list of users.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing::{Instrument as _, Span};

use super::AuthError;
use super::credentials::Credentials;
use super::delay::{Attempt, Delays, Who};
use super::inline::Inline;
use super::password::{self, Flight, Full, NoOutcome, Outcome, Prove, Standing, Verifier};
use super::phc::StoredHash;
use super::token::Refusal;
use crate::limit::{AddressGroup, Limit};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace;

/// What a login has to pass.
#[derive(Clone)]
pub(super) struct Gates {
    pub(super) verifier: Arc<Verifier>,
    pub(super) delays: Arc<Delays>,
    pub(super) inline: Arc<Inline>,
    pub(super) metrics: Metrics,
}

impl Gates {
    /// Whether the password matches `stored`. The login is delayed after failures, and counts as a failure if the
    /// password does not match.
    ///
    /// # Cancel safety
    /// A login dropped before its password was tried leaves the queue and does not count as a failure. A delayed
    /// login continues without its client: a right password still ends the delays, so that nobody waits next time.
    pub(super) async fn matches(
        &self,
        credentials: &Credentials,
        stored: &Arc<StoredHash>,
        address: IpAddr,
    ) -> Result<bool, AuthError> {
        let Credentials { user, password } = credentials;
        let attempt = match self.verifier.standing(user, stored, password) {
            Standing::Remembered => {
                self.delays.succeeded(self.delays.keys(address, user.as_str()));
                return Ok(true);
            }
            // The password of a login that has already waited: reporting the result costs nothing.
            Standing::UnderWay => None,
            Standing::New => {
                let begun = self.delays.begin(address, user.as_str());
                Some(begun.map_err(|limit| self.overloaded(limit))?)
            }
        };
        let asked = Asked::Password(credentials.clone(), Arc::clone(stored));
        Ok(self.run(attempt, asked, address).await? == Outcome::Match)
    }

    /// Runs `prove`, which takes about `cost`, on the token with this digest. A cheap one that is not delayed is
    /// computed here, while all such computations together use a small share of a core; others wait for their turn.
    /// Only a wrong signature counts as a failure, for the address and for this token: a client that keeps sending an
    /// old token does not delay the others of its office.
    ///
    /// # Cancel safety
    /// As [`matches`](Self::matches).
    pub(super) async fn proves(
        &self,
        digest: [u8; 32],
        cost: Option<Duration>,
        prove: Prove,
        address: IpAddr,
    ) -> Result<Outcome, AuthError> {
        let mut attempt = match self.verifier.is_token_under_way(&digest) {
            true => None,
            false => {
                let begun = self.delays.begin(address, Who::Token(&digest));
                Some(begun.map_err(|limit| self.overloaded(limit))?)
            }
        };
        let fits = |attempt: &mut Attempt| {
            attempt.delay().is_zero() && cost.is_some_and(|cost| self.inline.takes(cost))
        };
        if let Some(attempt) = attempt.take_if(fits) {
            let outcome = password::caught(prove);
            let verdict = verdict(&outcome);
            if let (Some(false), Some(cost)) = (verdict, cost) {
                self.inline.was_wrong(cost);
            }
            attempt.settle(verdict);
            return self.said(outcome);
        }
        let asked = Asked::Token(digest, prove);
        self.run(attempt, asked, address).await
    }

    async fn run(
        &self,
        attempt: Option<Attempt>,
        asked: Asked,
        address: IpAddr,
    ) -> Result<Outcome, AuthError> {
        match attempt {
            Some(attempt) if !attempt.delay().is_zero() => {
                self.metrics.limit_hit(attempt.limit());
                self.after_delay(attempt, asked, address).await
            }
            attempt => self.check(attempt, asked, address).await,
        }
    }

    /// Runs in a separate task. At most `login.delayed` of them exist, and after that the queue bounds them.
    async fn after_delay(
        &self,
        mut attempt: Attempt,
        asked: Asked,
        address: IpAddr,
    ) -> Result<Outcome, AuthError> {
        let gates = self.clone();
        let delayed = async move {
            attempt.wait().await;
            gates.check(Some(attempt), asked, address).await
        };
        #[expect(clippy::disallowed_methods, reason = "one login, which is awaited below")]
        let delayed = tokio::spawn(delayed.in_current_span());
        // An error means that the runtime is shutting down.
        delayed.await.unwrap_or(Err(AuthError::Overloaded(None)))
    }

    async fn check(
        &self,
        attempt: Option<Attempt>,
        asked: Asked,
        address: IpAddr,
    ) -> Result<Outcome, AuthError> {
        let group = AddressGroup::of(address);
        let is_hashed = matches!(asked, Asked::Password(..));
        let (keys, flight) = match asked {
            Asked::Password(Credentials { user, password }, stored) => (
                self.delays.keys(address, user.as_str()),
                self.verifier.begin(group, &user, &stored, &password),
            ),
            Asked::Token(digest, prove) => (
                self.delays.keys(address, Who::Token(&digest)),
                self.verifier.begin_token(group, &digest, prove),
            ),
        };
        let mut trial = match flight {
            Ok(flight) => Trial { attempt, flight },
            Err(full) => {
                if let Some(attempt) = attempt {
                    attempt.not_tried();
                }
                return Err(self.full(full));
            }
        };
        let span = match is_hashed {
            true => trace::hash(),
            false => Span::none(),
        };
        let outcome = trial.flight.outcome().instrument(span).await;
        match (verdict(&outcome), trial.attempt.take()) {
            (verdict, Some(attempt)) => attempt.settle(verdict),
            (Some(true), None) => self.delays.succeeded(keys),
            (Some(false), None) => self.delays.failed(keys),
            (None, None) => {}
        }
        self.said(outcome)
    }

    fn said(&self, outcome: Result<Outcome, NoOutcome>) -> Result<Outcome, AuthError> {
        outcome.map_err(|error| match error {
            NoOutcome::Full(full) => self.full(full),
            NoOutcome::Unable => AuthError::Overloaded(None),
        })
    }

    fn full(&self, full: Full) -> AuthError {
        self.metrics.limit_hit(full.limit);
        AuthError::Overloaded(Some(full.retry_after))
    }

    fn overloaded(&self, limit: Limit) -> AuthError {
        self.metrics.limit_hit(limit);
        AuthError::Overloaded(None)
    }
}

/// What a login presents.
enum Asked {
    Password(Credentials, Arc<StoredHash>),
    /// The digest, whose failures are counted together, and what to compute.
    Token([u8; 32], Prove),
}

/// Whether the result counts as a success or as a guess; `None`: as neither.
fn verdict(outcome: &Result<Outcome, NoOutcome>) -> Option<bool> {
    match outcome {
        Ok(Outcome::Match | Outcome::Token(Ok(_))) => Some(true),
        Ok(Outcome::Mismatch | Outcome::Token(Err(Refusal::Signature))) => Some(false),
        Ok(Outcome::Token(Err(_)) | Outcome::Unable) | Err(_) => None,
    }
}

/// A login that waits for its turn.
struct Trial {
    attempt: Option<Attempt>,
    flight: Flight,
}

impl Drop for Trial {
    fn drop(&mut self) {
        // The client disconnected. A password that was not tried is not a guess.
        if let Some(attempt) = self.attempt.take().filter(|_| !self.flight.tried()) {
            attempt.not_tried();
        }
    }
}

#[cfg(test)]
mod tests;
