//! When a notification came to this instance, by its own clock. No part of what a notification is: two that differ in it
//! alone are equal.

use std::time::Instant;

/// None until a bus has set it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arrival(Option<Instant>);

impl Arrival {
    /// It comes now.
    pub fn now() -> Self {
        Self(Some(Instant::now()))
    }

    /// When it came, if that is known.
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
