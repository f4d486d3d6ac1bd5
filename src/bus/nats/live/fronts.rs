//! How far the replicas of a stream may differ at its front, based on how much the stream dropped there recently. Pure;
//! time is a parameter.

use std::time::{Duration, Instant};

/// The period for counting what a stream drops at its front: replicas may be this far apart in time.
const SLACK_TIME: Duration = Duration::from_secs(30);

/// The stream's first sequence now, and some time ago.
#[derive(Debug, Default)]
pub(super) struct Fronts {
    old: Option<(Instant, u64)>,
    mid: Option<(Instant, u64)>,
    last: u64,
}

impl Fronts {
    /// Notes the first sequence as it is at `now`.
    pub(super) fn note(&mut self, first: u64, now: Instant) {
        self.last = self.last.max(first);
        match self.mid {
            Some((at, _)) if now.saturating_duration_since(at) < SLACK_TIME => {}
            _ => (self.old, self.mid) = (self.mid, Some((now, first))),
        }
    }

    /// At least what was dropped in the last 30 s. While that is unknown: everything, unless nothing was ever dropped.
    pub(super) fn slack(&self) -> u64 {
        match self.old {
            Some((_, earlier)) => self.last.saturating_sub(earlier),
            None if self.last <= 1 => 0,
            None => u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_may_be_apart_by_what_went_in_the_last_half_minute() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut fronts = Fronts::default();
        assert_eq!(fronts.slack(), 0);
        for (seconds, first, expected) in [
            (0, 1, 0),
            (1, 10, u64::MAX),
            (29, 20, u64::MAX),
            // What was dropped in between counts until it is certainly half a minute old.
            (31, 30, 29),
            (40, 31, 30),
            (62, 40, 10),
            (95, 40, 0),
        ] {
            fronts.note(first, at(seconds));
            assert_eq!(fronts.slack(), expected, "{seconds}");
        }
    }
}
