//! The steps of one login: its delay after failures, its place in the queue, and what its outcome means for the
//! delays. Knows no list of users.

use std::net::IpAddr;
use std::sync::Arc;

use tracing::Instrument as _;

use super::AuthError;
use super::credentials::Credentials;
use super::delay::{Attempt, Delays};
use super::password::{Flight, Full, NoOutcome, Standing, Verifier};
use super::phc::StoredHash;
use crate::limit::{AddressGroup, Limit};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace;

/// What a login has to pass.
#[derive(Clone)]
pub(super) struct Gates {
    pub(super) verifier: Arc<Verifier>,
    pub(super) delays: Arc<Delays>,
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
                self.delays.succeeded(address, user);
                return Ok(true);
            }
            // The password of a login that has waited already: reporting the result costs nothing.
            Standing::UnderWay => None,
            Standing::New => {
                let begun = self.delays.begin(address, user);
                Some(begun.map_err(|limit| self.overloaded(limit))?)
            }
        };
        match attempt {
            Some(attempt) if !attempt.delay().is_zero() => {
                self.metrics.limit_hit(attempt.limit());
                self.after_delay(attempt, credentials, stored, address).await
            }
            attempt => self.check(attempt, credentials, stored, address).await,
        }
    }

    /// Runs in a task of its own. At most `login.delayed` of them exist, and then the queue.
    async fn after_delay(
        &self,
        mut attempt: Attempt,
        credentials: &Credentials,
        stored: &Arc<StoredHash>,
        address: IpAddr,
    ) -> Result<bool, AuthError> {
        let (gates, credentials, stored) = (self.clone(), credentials.clone(), Arc::clone(stored));
        let delayed = async move {
            attempt.wait().await;
            gates.check(Some(attempt), &credentials, &stored, address).await
        };
        #[expect(clippy::disallowed_methods, reason = "one login, which is awaited below")]
        let delayed = tokio::spawn(delayed.in_current_span());
        // An error means that the runtime is shutting down.
        delayed.await.unwrap_or(Err(AuthError::Overloaded(None)))
    }

    async fn check(
        &self,
        attempt: Option<Attempt>,
        Credentials { user, password }: &Credentials,
        stored: &Arc<StoredHash>,
        address: IpAddr,
    ) -> Result<bool, AuthError> {
        let flight = self
            .verifier
            .begin(AddressGroup::of(address), user, stored, password);
        let mut trial = match flight {
            Ok(flight) => Trial { attempt, flight },
            Err(full) => {
                if let Some(attempt) = attempt {
                    attempt.not_tried();
                }
                return Err(self.full(full));
            }
        };
        let outcome = trial.flight.matches().instrument(trace::hash()).await;
        match (outcome, trial.attempt.take()) {
            (Ok(true), Some(attempt)) => attempt.succeeded(),
            (Ok(true), None) => self.delays.succeeded(address, user),
            (Ok(false), Some(attempt)) => attempt.failed(),
            (Ok(false), None) => self.delays.failed(address, user),
            (Err(_), Some(attempt)) => attempt.not_tried(),
            (Err(_), None) => {}
        }
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

/// A password that waits for its turn.
struct Trial {
    attempt: Option<Attempt>,
    flight: Flight,
}

impl Drop for Trial {
    fn drop(&mut self) {
        // The client went away. A password that was not tried is not a guess.
        if let Some(attempt) = self.attempt.take().filter(|_| !self.flight.tried()) {
            attempt.not_tried();
        }
    }
}

#[cfg(test)]
mod tests;
