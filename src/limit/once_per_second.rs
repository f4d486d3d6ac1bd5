//! Limits a log line that others can provoke to one a second, or to a few. Knows nothing of what is logged.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How many lines a second [`SomePerSecond`] admits: enough for people to see who does what, and too few to fill a disk.
const SOME: u32 = 10;

/// Admits one line a second and counts the others.
#[derive(Default)]
pub(crate) struct OncePerSecond(Lines<1>);

/// Admits [`SOME`] lines a second and counts the others.
#[derive(Default)]
pub(crate) struct SomePerSecond(Lines<SOME>);

#[derive(Default)]
struct Lines<const MOST: u32>(Mutex<State>);

#[derive(Default)]
struct State {
    /// When the first line of this second was admitted.
    begun: Option<Instant>,
    admitted: u32,
    suppressed: u64,
}

impl OncePerSecond {
    /// `Some`: write the line. Holds how many were left out since the last one.
    pub(crate) fn pass(&self) -> Option<u64> {
        self.0.pass_at(Instant::now())
    }
}

impl SomePerSecond {
    /// `Some`: write the line. Holds how many were left out since the last one.
    pub(crate) fn pass(&self) -> Option<u64> {
        self.0.pass_at(Instant::now())
    }
}

impl<const MOST: u32> Lines<MOST> {
    fn pass_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        let second = Duration::from_secs(1);
        if state
            .begun
            .is_none_or(|begun| now.duration_since(begun) >= second)
        {
            state.begun = Some(now);
            state.admitted = 0;
        }
        if state.admitted >= MOST {
            state.suppressed += 1;
            return None;
        }
        state.admitted += 1;
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second() {
        let limit = Lines::<1>::default();
        let start = Instant::now();
        let at = |ms| limit.pass_at(start + Duration::from_millis(ms));
        assert_eq!(
            [at(0), at(1), at(999), at(1_000), at(2_500)],
            [Some(0), None, None, Some(2), Some(0)]
        );
    }

    #[test]
    fn a_few_lines_a_second() {
        let limit = Lines::<2>::default();
        let start = Instant::now();
        let at = |ms| limit.pass_at(start + Duration::from_millis(ms));
        assert_eq!(
            [at(0), at(1), at(2), at(999), at(1_000), at(1_001), at(1_002)],
            [Some(0), Some(0), None, None, Some(2), Some(0), None]
        );
    }
}
