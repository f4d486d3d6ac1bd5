//! Waiting for the result of a verification. Knows no password.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::timeout_at;

use super::queue::Place;
use super::{Key, NoOutcome, Outcome, Progress, Verifier, refuse};

/// A verification that somebody waits for.
///
/// Dropping it gives up the interest in the result. A verification that nobody waits for leaves the queue; one that is
/// being computed runs to its end (a thread cannot be stopped) and then frees its permit.
pub(in crate::auth) struct Flight {
    pub(super) verifier: Arc<Verifier>,
    pub(super) key: Key,
    pub(super) place: Option<Place>,
    pub(super) progress: watch::Receiver<Progress>,
}

impl Flight {
    /// Whether the password was or is being tried.
    pub(in crate::auth) fn tried(&self) -> bool {
        matches!(*self.progress.borrow(), Progress::Computing | Progress::Done(_))
    }

    /// Whether the password matches.
    #[cfg(test)]
    pub(in crate::auth) async fn matches(&mut self) -> Result<bool, NoOutcome> {
        Ok(self.outcome().await? == Outcome::Match)
    }

    /// The result. Never [`Outcome::Unable`], which is an error here.
    pub(in crate::auth) async fn outcome(&mut self) -> Result<Outcome, NoOutcome> {
        if let Some(place) = self.place {
            let called = |progress: &Progress| !matches!(progress, Progress::Waiting);
            let waited = timeout_at(place.until, self.progress.wait_for(called)).await;
            if waited.map(|_| ()).is_err() {
                self.late(place);
            }
        }
        let ended = |progress: &Progress| matches!(progress, Progress::Done(_) | Progress::Refused(_));
        match self.progress.wait_for(ended).await.as_deref() {
            Ok(Progress::Refused(full)) => Err(NoOutcome::Full(*full)),
            Ok(Progress::Done(outcome)) if *outcome != Outcome::Unable => Ok(outcome.clone()),
            // An error means that nobody is left to report the result.
            _ => Err(NoOutcome::Unable),
        }
    }

    /// The time in the queue is over for everyone who shares this verification, unless its turn has just come.
    fn late(&self, place: Place) {
        let mut flights = self.verifier.flights.lock();
        if let Some((_, full)) = self.verifier.queue.late(place) {
            refuse(&mut flights, &self.key, full);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        if !matches!(*self.progress.borrow(), Progress::Waiting) {
            return;
        }
        let mut flights = self.verifier.flights.lock();
        let Some(open) = flights.get_mut(&self.key) else {
            return;
        };
        open.waiters = open.waiters.saturating_sub(1);
        // Nobody can join under the lock: it is gone for good, unless its turn has just come.
        if open.waiters == 0 && self.verifier.queue.leave(place).is_some() {
            flights.remove(&self.key);
        }
    }
}
