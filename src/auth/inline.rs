//! Decides which signatures are computed where their token arrived instead of on the threads for hashes: cheap ones,
//! while they use only a small share of the cores. The way to those threads and back is two wake-ups, which cost as
//! much as most signatures. Knows no login and no key; the caller states the cost.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::MonotonicClock;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// What one percent of a core computes in a second, in the limiter's unit.
const MICROS_PER_PERCENT: u32 = 10_000;
/// The maximum per second: one each nanosecond, the limiter's shortest period.
const MICROS_MAX: u32 = 1_000_000_000;
/// What may be computed at once after a pause: so little that notifications are not noticeably delayed.
const BURST: NonZeroU32 = NonZeroU32::new(1_000).unwrap();
/// How many times its cost a wrong signature takes: a client that sends many of them then waits on the threads for
/// hashes.
const WRONG: usize = 10;

/// The rest of the share. Its unit is the microsecond of CPU time; governor does the counting.
pub(super) struct Inline(Option<RateLimiter<NotKeyed, InMemoryState, MonotonicClock>>);

impl Inline {
    /// `percent` of `cores` cores. 0: nothing is computed inline.
    pub(super) fn new(percent: u32, cores: usize) -> Self {
        let cores = u32::try_from(cores).unwrap_or(u32::MAX);
        let micros = percent
            .saturating_mul(MICROS_PER_PERCENT)
            .saturating_mul(cores)
            .min(MICROS_MAX);
        let period = Duration::from_secs(1).checked_div(micros);
        let quota = period.and_then(Quota::with_period);
        Self(quota.map(|quota| RateLimiter::direct_with_clock(quota.allow_burst(BURST), MonotonicClock)))
    }

    /// A signature that took `cost` was wrong.
    pub(super) fn was_wrong(&self, cost: Duration) {
        for _ in 1..WRONG {
            if !self.takes(cost) {
                return;
            }
        }
    }

    /// Takes `cost` from the share, if that much is left.
    pub(super) fn takes(&self, cost: Duration) -> bool {
        let micros = u32::try_from(cost.as_micros()).ok().and_then(NonZeroU32::new);
        let (Some(limiter), Some(micros)) = (&self.0, micros) else {
            return false;
        };
        matches!(limiter.check_n(micros), Ok(Ok(())))
    }
}

/// The number of cores that this process may use.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_bounded() {
        let share = Inline::new(1, 1);
        let cost = Duration::from_micros(100);
        let taken = (0..100_000).filter(|_| share.takes(cost)).count();
        // The burst, and what one percent allowed while these were counted: less than 10 s.
        assert!((10..1_010).contains(&taken), "{taken}");
    }

    #[test]
    fn a_wrong_one_uses_up_ten_times_its_cost() {
        let share = Inline::new(1, 1);
        let cost = Duration::from_micros(100);
        assert!(share.takes(cost));
        share.was_wrong(cost);
        assert!(!share.takes(Duration::from_micros(900)));
    }

    #[test]
    fn what_costs_more_than_the_burst_never_fits() {
        let share = Inline::new(50, 2);
        assert!(!share.takes(Duration::from_micros(1_001)));
        assert!(share.takes(Duration::from_micros(1_000)));
    }

    #[test]
    fn a_share_grows_with_the_cores() {
        // More microseconds in a second than the period of one can express: still a share, and no panic.
        for cores in [1, 64, 4_096, usize::MAX] {
            assert!(
                Inline::new(100, cores).takes(Duration::from_micros(100)),
                "{cores}"
            );
        }
    }

    #[test]
    fn none_is_none() {
        assert!(!Inline::new(0, 2).takes(Duration::from_micros(1)));
        assert!(
            !Inline::new(50, 2).takes(Duration::ZERO),
            "a cost that nobody knows"
        );
    }
}
