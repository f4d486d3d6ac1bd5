//! How far the replicas of a stream may be apart at its front, by how much the stream dropped there of late. Pure; time is a
//! parameter.

use std::time::{Duration, Instant};

/// Over how much time it is counted what a stream drops at its front: replicas may be this far apart.
const SLACK_TIME: Duration = Duration::from_secs(30);

/// The stream's first sequence now, and as it was some time ago.
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

    /// At least what went in the last 30 s. As long as that is not known: everything, unless nothing ever went.
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
            // What went in between counts until it is half a minute old for sure.
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
