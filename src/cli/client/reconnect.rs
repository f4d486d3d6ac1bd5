//! Whether to reconnect after an end, and when: docs/stomp.md ("Close codes") from a client's point of view. Knows no
//! clock and no connection.

use std::time::Duration;

use super::session::End;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// Another instance replaces a drained one: come back soon, but not all at the same moment.
const DRAINED: Duration = Duration::from_secs(1);
/// A session that lasted this long was a success, and the pauses start afresh.
const SUCCESS: Duration = Duration::from_secs(10);

/// Whether reconnecting can help.
pub(super) fn may_come_back(end: &End) -> bool {
    match end {
        End::Lost(_) => true,
        End::NoUpgrade { status, .. } => matches!(status.as_u16(), 429 | 502..=504),
        End::Closed { code, .. } => matches!(code, 1001 | 1005 | 1006 | 1011..=1013 | 4408),
        End::NotStomp(_) => false,
    }
}

/// How long to wait before the next attempt.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after `end` of a session that lasted `lasted` (zero: there was none). `random` is from 0 to 1. Half
    /// of each pause is random, since all clients of an instance lose it at the same time.
    pub(super) fn after(&mut self, end: &End, lasted: Duration, random: f64) -> Duration {
        if lasted >= SUCCESS {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 && matches!(end, End::Closed { code: 1001, .. }) {
            return DRAINED.mul_f64(random);
        }
        let doublings = self.failures.saturating_sub(1).min(16);
        let bound = (FIRST * 2_u32.pow(doublings)).min(LONGEST);
        bound / 2 + (bound / 2).mul_f64(random)
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn closed(code: u16) -> End {
        let words = String::new();
        let reason = None;
        End::Closed { code, words, reason }
    }

    #[test]
    fn the_code_says_whether_to_come_back() {
        for code in [1001, 1006, 1011, 1013, 4408] {
            assert!(may_come_back(&closed(code)), "{code}");
        }
        for code in [1000, 1002, 1007, 1008, 1009, 4401, 4403, 4409] {
            assert!(!may_come_back(&closed(code)), "{code}");
        }
        assert!(may_come_back(&End::Lost(String::new())));
        let refused = |status| {
            let words = String::new();
            may_come_back(&End::NoUpgrade { status, words })
        };
        assert!(refused(StatusCode::SERVICE_UNAVAILABLE) && !refused(StatusCode::NOT_FOUND));
        assert!(!may_come_back(&End::NotStomp(String::new())));
    }

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let mut pause = |lasted, random| {
            let pause = backoff.after(&closed(1006), Duration::from_secs(lasted), random);
            pause.as_millis()
        };
        assert_eq!((pause(0, 0.0), pause(0, 1.0), pause(1, 0.0)), (250, 1_000, 1_000));
        for _ in 0..40 {
            pause(0, 0.5);
        }
        assert_eq!((pause(0, 0.0), pause(0, 1.0)), (15_000, 30_000));
        assert_eq!(pause(60, 1.0), 500);
    }

    #[test]
    fn a_drained_instance_is_left_soon_the_first_time() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.after(&closed(1001), SUCCESS, 0.0), Duration::ZERO);
        assert_eq!(
            backoff.after(&closed(1001), Duration::ZERO, 0.0),
            Duration::from_millis(500)
        );
    }
}
