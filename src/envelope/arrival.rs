//! When a notification reached this instance, by its own clock. Not part of the notification: two that differ only in
//! it are equal.

use std::time::Instant;

/// `None` until a bus has set it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arrival(Option<Instant>);

impl Arrival {
    /// An arrival at this moment.
    pub fn now() -> Self {
        Self(Some(Instant::now()))
    }

    /// The time of arrival, if it is known.
    pub fn at(self) -> Option<Instant> {
        self.0
    }
}

impl PartialEq for Arrival {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Arrival {}
