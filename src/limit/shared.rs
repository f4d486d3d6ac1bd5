//! One rate for many holders, each with only 8 bytes of memory. Uses GCRA, exactly as governor does for
//! [`super::KeyedRate`]; governor keeps its states behind keys or one state per limiter, and a session has neither.

use std::time::Instant;

use governor::Quota;

/// The memory of one holder of a [`SharedRate`]: when its full burst will be available again, in ns since the limiter
/// was made. The default, zero, has its full burst.
#[derive(Debug, Default)]
pub(crate) struct Memory(u64);

/// The limiter. Each holder brings its own [`Memory`].
pub(crate) struct SharedRate {
    start: Instant,
    /// Time until the next unit is available, in ns.
    each_ns: u64,
    /// How far in the future a memory may stand and still take one more, in ns: the burst without that one.
    ahead_ns: u64,
}

impl SharedRate {
    /// A limiter with `quota` per memory.
    pub(crate) fn new(quota: Quota) -> Self {
        let each_ns = nanos(quota.replenish_interval().as_nanos()).max(1);
        Self {
            start: Instant::now(),
            each_ns,
            ahead_ns: each_ns.saturating_mul(u64::from(quota.burst_size().get()) - 1),
        }
    }

    /// Takes `units` of the rate of `memory`'s holder at once, or none of them, and returns whether they were there. More
    /// than a burst counts as a burst, since it could never pass otherwise.
    pub(crate) fn passes_many(&self, memory: &mut Memory, units: u32) -> bool {
        self.passes_at(nanos(self.start.elapsed().as_nanos()), memory, units)
    }

    fn passes_at(&self, now_ns: u64, memory: &mut Memory, units: u32) -> bool {
        let full_at = memory.0.max(now_ns);
        let all_ns = self.ahead_ns.saturating_add(self.each_ns);
        let ns = self.each_ns.saturating_mul(units.into()).min(all_ns);
        let then = full_at.saturating_add(ns);
        let passes = then - now_ns <= all_ns;
        if passes {
            memory.0 = then;
        }
        passes
    }
}

/// Saturates after 584 years.
fn nanos(nanos: u128) -> u64 {
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use governor::RateLimiter;
    use governor::clock::FakeRelativeClock;
    use proptest::prelude::*;

    use super::*;
    use crate::setting::Rate;

    #[test]
    fn each_memory_has_its_burst_and_then_its_rate() {
        let rate = SharedRate::new(Rate::per_second(10, 3).quota().unwrap());
        let (mut one, mut other) = (Memory::default(), Memory::default());
        let at = |ms: u64, memory: &mut Memory| rate.passes_at(ms * 1_000_000, memory, 1);
        assert_eq!(
            std::array::from_fn(|_| at(0, &mut one)),
            [true, true, true, false, false]
        );
        assert!(at(0, &mut other));
        assert_eq!(std::array::from_fn(|_| at(200, &mut one)), [true, true, false]);
        assert_eq!(
            std::array::from_fn(|_| at(60_200, &mut one)),
            [true, true, true, false]
        );
        assert_eq!(size_of::<Memory>(), 8);
    }

    #[test]
    fn the_clock_runs() {
        let rate = SharedRate::new(Quota::with_period(Duration::from_nanos(1)).unwrap());
        let mut memory = Memory::default();
        assert!(rate.passes_many(&mut memory, 1));
        while !rate.passes_many(&mut memory, 1) {}
    }

    proptest! {
        #[test]
        fn it_judges_as_governor_does(
            period_ns in prop_oneof![1_u64..50, 1_000_u64..2_000_000, Just(1_000_000_000)],
            burst in 1_u32..20,
            waits in prop::collection::vec(
                (prop_oneof![Just(0_u64), 1_u64..100, 1_u64..4_000_000, Just(30_000_000_000)], 1_u32..25),
                1..60,
            ),
        ) {
            let quota = Quota::with_period(Duration::from_nanos(period_ns)).unwrap();
            let quota = quota.allow_burst(NonZeroU32::new(burst).unwrap());
            let clock = FakeRelativeClock::default();
            let governor = RateLimiter::direct_with_clock(quota, clock.clone());
            let rate = SharedRate::new(quota);
            let (mut memory, mut now_ns) = (Memory::default(), 0);
            for (wait, units) in waits {
                clock.advance(Duration::from_nanos(wait));
                now_ns += wait;
                let capped = NonZeroU32::new(units.min(burst)).unwrap();
                let expected = governor.check_n(capped).unwrap().is_ok();
                prop_assert_eq!(rate.passes_at(now_ns, &mut memory, units), expected, "at {} ns", now_ns);
            }
        }
    }
}
