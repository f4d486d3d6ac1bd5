//! The heart-beat of a client: the agreed intervals, and when something is due. Knows no connection; time is a
//! parameter.

use std::time::Duration;

use tokio::time::Instant;

/// The heart-beat requested in both directions.
pub(super) const HEARTBEAT_MS: u64 = 10_000;

/// What the heart-beat requires of both sides.
pub(super) struct Beat {
    /// How often this side sends.
    pub(super) send: Option<Duration>,
    /// When this side sent something.
    pub(super) sent: Instant,
    /// How long the other side may be silent.
    pub(super) expect: Option<Duration>,
    /// When the other side was heard.
    pub(super) heard: Instant,
}

impl Beat {
    /// The outcome of CONNECTED's `heart-beat`.
    pub(super) fn agreed(header: Option<&str>, now: Instant) -> Self {
        let (theirs, wanted) = header.and_then(|text| text.split_once(',')).unwrap_or_default();
        let agreed = |text: &str| match text.trim().parse::<u64>() {
            Ok(0) | Err(_) => None,
            Ok(ms) => Some(Duration::from_millis(ms.clamp(HEARTBEAT_MS, 3_600_000))),
        };
        Self {
            // A little early; the other side gets twice its time.
            send: agreed(wanted).map(|interval| interval * 4 / 5),
            sent: now,
            expect: agreed(theirs).map(|interval| interval * 5 / 2),
            heard: now,
        }
    }

    /// When something is to be done next.
    pub(super) fn next(&self) -> Instant {
        let far = self.heard + Duration::from_secs(3_600);
        let send = self.send.map_or(far, |interval| self.sent + interval);
        let give_up = self.expect.map_or(far, |interval| self.heard + interval);
        send.min(give_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heart_beat_is_the_slower_of_both_sides() {
        let now = Instant::now();
        #[track_caller]
        fn check(header: Option<&str>, now: Instant, expected: (Option<u64>, Option<u64>)) {
            let beat = Beat::agreed(header, now);
            let secs = |interval: Option<Duration>| interval.map(|interval| interval.as_secs());
            assert_eq!((secs(beat.send), secs(beat.expect)), expected, "{header:?}");
        }
        check(None, now, (None, None));
        check(Some("0,0"), now, (None, None));
        check(Some("5000,5000"), now, (Some(8), Some(25)));
        check(Some("20000,0"), now, (None, Some(50)));
        check(Some("0,20000"), now, (Some(16), None));
        check(Some("x"), now, (None, None));
        check(Some("99999999999999999999,1"), now, (Some(8), None));
    }
}
