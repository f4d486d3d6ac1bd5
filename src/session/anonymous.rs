//! How many anonymous sessions an instance may have (`limits.anonymous_sessions`). Each has a unique name, so limits on
//! the sessions of one user do not bound them. Knows no session: it grants places.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::action::Refusal;
use crate::close_reason::CloseReason;
use crate::limit::Limit;
use crate::setting::Limits;

/// The places.
pub(crate) struct AnonymousPlaces {
    most: usize,
    free: Arc<Semaphore>,
}

/// One session's place, free again when dropped. Boxed: most sessions have none.
pub(crate) type AnonymousPlace = Box<OwnedSemaphorePermit>;

impl AnonymousPlaces {
    /// From `[limits]`: `anonymous_sessions`.
    pub(crate) fn new(limits: &Limits) -> Self {
        let most = limits.anonymous_sessions;
        let free = Arc::new(Semaphore::new(most));
        Self { most, free }
    }

    /// A place for another one.
    ///
    /// # Errors
    /// All are taken: ERROR, 1013.
    pub(crate) fn admit(&self) -> Result<AnonymousPlace, Refusal> {
        let limit = Limit::AnonymousSessions;
        let place = Arc::clone(&self.free).try_acquire_owned();
        place.map(Box::new).map_err(|_| {
            let reason = CloseReason::Overloaded;
            let bound = format!("at most {} anonymous sessions ({})", self.most, limit.name());
            Refusal::new(reason, format!("{}: {bound}", reason.words())).at(limit)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_session_has_ended() {
        let places = AnonymousPlaces::new(&Limits {
            anonymous_sessions: 1,
            ..Limits::default()
        });
        let held = places.admit().unwrap();
        let refusal = places.admit().err().unwrap();
        assert_eq!(refusal.reason.code(), 1013);
        assert_eq!(refusal.limit, Some(Limit::AnonymousSessions));
        assert_eq!(
            refusal.message,
            "overloaded: at most 1 anonymous sessions (limits.anonymous_sessions)"
        );
        drop(held);
        assert!(places.admit().is_ok());
    }
}
