//! One login on its way: its delay after failures, its place in the queue, and what its outcome means for the delays.
//! Knows no user list.

use std::net::IpAddr;
use std::sync::Arc;

use super::AuthError;
use super::credentials::Credentials;
use super::delay::{Attempt, Delays};
use super::password::{Flight, Full, NoOutcome, Standing, Verifier};
use super::phc::StoredHash;
use crate::limit::{AddressGroup, Limit};
use crate::telemetry::metrics::Metrics;

/// What a login goes through.
#[derive(Clone)]
pub(super) struct Gates {
    pub(super) verifier: Arc<Verifier>,
    pub(super) delays: Arc<Delays>,
    pub(super) metrics: Metrics,
}

impl Gates {
    /// Whether the password fits `stored`; delayed after failures, and counted as one if it does not.
    ///
    /// # Cancel safety
    /// Dropped before its password was tried, a login leaves the queue and is no failure. One that is delayed goes on
    /// without its client: a password that is right ends the delays all the same, and next time nobody waits.
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
            // The guess of a login that waited already: telling costs nothing.
            Standing::UnderWay => None,
            Standing::New => {
                let begun = self.delays.begin(address, user);
                Some(begun.map_err(|limit| self.overloaded(limit))?)
            }
        };
        match attempt {
            Some(attempt) if !attempt.delay().is_zero() => {
                self.metrics.limit_hit(Limit::LoginDelay);
                self.after_delay(attempt, credentials, stored, address).await
            }
            attempt => self.check(attempt, credentials, stored, address).await,
        }
    }

    /// In a task of its own; at most `login.delayed` of them, and the queue behind.
    async fn after_delay(
        &self,
        mut attempt: Attempt,
        credentials: &Credentials,
        stored: &Arc<StoredHash>,
        address: IpAddr,
    ) -> Result<bool, AuthError> {
        let (gates, credentials, stored) = (self.clone(), credentials.clone(), Arc::clone(stored));
        let delayed = tokio::spawn(async move {
            attempt.wait().await;
            gates.check(Some(attempt), &credentials, &stored, address).await
        });
        // An error: the runtime ends.
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
        let outcome = trial.flight.matches().await;
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
        // Its client went away. What was not tried is no guess.
        if let Some(attempt) = self.attempt.take().filter(|_| !self.flight.tried()) {
            attempt.not_tried();
        }
    }
}

#[cfg(test)]
mod tests;
