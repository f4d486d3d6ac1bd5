//! Remembers the signed messages that have arrived, for as long as their time would allow them to be sent again.
//! Bounded: if more arrive than can be remembered, the oldest are refused rather than accepted twice. Knows no key and
//! no message.

use std::collections::{BTreeMap, HashSet};

use super::WINDOW_MS;

/// Messages whose times share this many ms are remembered together.
const SPAN_MS: u64 = 5_000;
/// The maximum number of remembered messages: far more than an idle cluster of 1,024 instances sends in two minutes.
const REMEMBERED_MAX: usize = 1 << 20;

/// The marks of the signatures that arrived, by their time.
#[derive(Default)]
pub(super) struct Replays {
    spans: BTreeMap<u64, HashSet<u64>>,
    remembered: usize,
    /// Spans before this one were forgotten because there was no room.
    first: u64,
}

/// What is known about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It arrives for the first time.
    New,
    /// It has arrived before.
    Again,
    /// It is too old to tell.
    Forgotten,
}

impl Replays {
    /// Remembers a message of the time `time_ms`, which the caller has found to be within the window around `now_ms`.
    pub(super) fn note(&mut self, now_ms: u64, time_ms: u64, mark: u64) -> Known {
        self.note_within(REMEMBERED_MAX, now_ms, time_ms, mark)
    }

    fn note_within(&mut self, max: usize, now_ms: u64, time_ms: u64, mark: u64) -> Known {
        let over = now_ms.saturating_sub(WINDOW_MS) / SPAN_MS;
        while let Some(oldest) = self.spans.first_entry().filter(|span| *span.key() < over) {
            self.remembered -= oldest.remove().len();
        }
        let span = time_ms / SPAN_MS;
        if span < self.first {
            return Known::Forgotten;
        }
        if !self.spans.entry(span).or_default().insert(mark) {
            return Known::Again;
        }
        self.remembered += 1;
        if self.remembered > max
            && let Some((oldest, marks)) = self.spans.pop_first()
        {
            self.remembered -= marks.len();
            self.first = oldest + 1;
        }
        Known::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_once_as_long_as_its_time_is_good() {
        let mut replays = Replays::default();
        let now = 1_000_000_000;
        for (time, mark) in [(now - WINDOW_MS, 1), (now, 2), (now + WINDOW_MS, 3), (now, 4)] {
            assert_eq!(replays.note(now, time, mark), Known::New);
            assert_eq!(replays.note(now, time, mark), Known::Again);
        }
        // From the other end of the window: the last moment at which each could arrive again.
        assert_eq!(replays.note(now + WINDOW_MS, now, 2), Known::Again);
        assert_eq!(
            replays.note(now + 2 * WINDOW_MS, now + WINDOW_MS, 3),
            Known::Again
        );
        assert_eq!((replays.remembered, replays.spans.len()), (1, 1));
    }

    #[test]
    fn what_cannot_be_remembered_is_not_taken_twice() {
        let mut replays = Replays::default();
        let now = 1_000_000_000;
        for mark in 0..4 {
            assert_eq!(replays.note_within(4, now, now, mark), Known::New);
        }
        let later = now + SPAN_MS;
        assert_eq!(replays.note_within(4, later, later, 9), Known::New);
        assert_eq!(replays.remembered, 1);
        assert_eq!(replays.note_within(4, later, now, 0), Known::Forgotten);
        assert_eq!(replays.note_within(4, later, later, 9), Known::Again);
    }
}
