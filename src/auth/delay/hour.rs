//! The number of events in the last hour, in twenty bytes. Pure: the time is a parameter.

use std::time::Duration;

use tokio::time::Instant;

const HOUR: Duration = Duration::from_secs(3_600);

/// A sliding window: the events of the current hour are counted exactly, those of the hour before as if evenly
/// distributed.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastHour {
    /// When the current hour began.
    began: Instant,
    current: u32,
    before: u32,
}

impl LastHour {
    /// No events yet; the first hour begins `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began: now,
            current: 0,
            before: 0,
        }
    }

    /// Adds one event.
    pub(super) fn add(&mut self, now: Instant) {
        self.roll(now);
        self.current = self.current.saturating_add(1);
    }

    /// Takes one event back.
    pub(super) fn take_back(&mut self, now: Instant) {
        self.roll(now);
        let hour = if self.current > 0 {
            &mut self.current
        } else {
            &mut self.before
        };
        *hour = hour.saturating_sub(1);
    }

    /// How many there were.
    pub(super) fn count(&mut self, now: Instant) -> u32 {
        self.roll(now);
        let left = HOUR.saturating_sub(now.saturating_duration_since(self.began));
        let before = u64::from(self.before) * left.as_secs() / HOUR.as_secs();
        self.current
            .saturating_add(u32::try_from(before).unwrap_or(u32::MAX))
    }

    fn roll(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.began);
        if passed >= HOUR * 2 {
            *self = Self::new(now);
        } else if passed >= HOUR {
            self.began += HOUR;
            self.before = std::mem::take(&mut self.current);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_forgotten_within_the_hour_after_theirs() {
        let start = Instant::now();
        let at = |minutes: u64| start + Duration::from_secs(60 * minutes);
        let mut hour = LastHour::new(start);
        for minute in 0..60 {
            hour.add(at(minute));
        }
        assert_eq!(hour.count(at(59)), 60);
        assert_eq!(hour.count(at(60)), 60);
        assert_eq!(hour.count(at(90)), 30);
        hour.add(at(90));
        assert_eq!(hour.count(at(119)), 2);
        assert_eq!(hour.count(at(150)), 0, "half of one");
        assert_eq!(hour.count(at(10_000)), 0);
    }

    #[test]
    fn an_event_that_was_none_is_taken_back() {
        let start = Instant::now();
        let mut hour = LastHour::new(start);
        hour.add(start);
        hour.add(start);
        hour.take_back(start);
        assert_eq!(hour.count(start), 1);
        // It began an hour ago.
        let later = start + HOUR;
        hour.take_back(later);
        hour.take_back(later);
        assert_eq!(hour.count(later), 0);
    }
}
