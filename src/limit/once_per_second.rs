//! Limits a log line that others can provoke at will to one a second. Knows nothing of what is logged.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Admits one line a second and counts the others.
#[derive(Default)]
pub(crate) struct OncePerSecond(Mutex<State>);

#[derive(Default)]
struct State {
    last: Option<Instant>,
    suppressed: u64,
}

impl OncePerSecond {
    /// `Some`: write the line. Holds how many were left out since the last one.
    pub(crate) fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        let second = Duration::from_secs(1);
        if state.last.is_some_and(|last| now.duration_since(last) < second) {
            state.suppressed += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second() {
        let limit = OncePerSecond::default();
        let start = Instant::now();
        let at = |ms| limit.pass_at(start + Duration::from_millis(ms));
        assert_eq!(
            [at(0), at(1), at(999), at(1_000), at(2_500)],
            [Some(0), None, None, Some(2), Some(0)]
        );
    }
}
