//! One rate for many holders, each with only 8 bytes of memory. Uses GCRA, exactly as governor does up to a burst; governor
//! refuses more than a burst, and keeps its states behind keys or one state per limiter, and a session has neither. Knows no
//! holder.

use std::time::{Duration, Instant};

use governor::Quota;

/// The longest time that a holder waits until a debt is paid: one request by mistake does not lock anybody out for days.
const DEBT_MAX: Duration = Duration::from_secs(60 * 60);

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

    /// Takes `units` of the rate of `memory`'s holder at once, or none of them, and returns whether they were there. See
    /// [`SharedRate::take_at`] for more than a burst.
    pub(crate) fn passes_many(&self, memory: &mut Memory, units: u32) -> bool {
        self.take_at(self.now_ns(), memory, units).is_ok()
    }

    /// The time that memories are in.
    pub(super) fn now_ns(&self) -> u64 {
        nanos(self.start.elapsed().as_nanos())
    }

    /// Takes `units` of the rate of `memory`'s holder at `now_ns`, or none of them. More than a burst passes where a full burst is
    /// there, since it could never pass otherwise; what it costs beyond that is a debt of at most [`DEBT_MAX`], and nothing
    /// passes until it is paid. Returns what was taken, for [`Memory::give_back`].
    ///
    /// # Errors
    /// The ns until they are available.
    pub(super) fn take_at(&self, now_ns: u64, memory: &mut Memory, units: u32) -> Result<u64, u64> {
        let full_at = memory.0.max(now_ns);
        let burst_ns = self.ahead_ns.saturating_add(self.each_ns);
        let costs_ns = self.each_ns.saturating_mul(units.into());
        let then = full_at.saturating_add(costs_ns.min(burst_ns));
        match (then - now_ns).saturating_sub(burst_ns) {
            0 => {
                let most = now_ns
                    .saturating_add(burst_ns)
                    .saturating_add(nanos(DEBT_MAX.as_nanos()));
                memory.0 = full_at.saturating_add(costs_ns).min(most);
                Ok(memory.0 - full_at)
            }
            wait_ns => Err(wait_ns),
        }
    }
}

impl Memory {
    /// Gives back what [`SharedRate::take_at`] took.
    pub(super) fn give_back(&mut self, taken_ns: u64) {
        self.0 = self.0.saturating_sub(taken_ns);
    }

    /// Whether its full burst is there at `now_ns`, as if nothing had ever been taken.
    pub(super) fn is_full(&self, now_ns: u64) -> bool {
        self.0 <= now_ns
    }
}

/// Saturates after 584 years.
fn nanos(nanos: u128) -> u64 {
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use governor::RateLimiter;
    use governor::clock::{Clock, FakeRelativeClock};
    use proptest::prelude::*;

    use super::*;
    use crate::setting::Rate;

    #[test]
    fn each_memory_has_its_burst_and_then_its_rate() {
        let rate = SharedRate::new(Rate::per_second(10, 3).quota().unwrap());
        let (mut one, mut other) = (Memory::default(), Memory::default());
        let at = |ms: u64, memory: &mut Memory| rate.take_at(ms * 1_000_000, memory, 1).is_ok();
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

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn more_than_a_burst_is_a_debt() {
        let rate = SharedRate::new(Rate::per_second(10, 20).quota().unwrap());
        let mut memory = Memory::default();
        assert!(rate.take_at(0, &mut memory, 500).is_ok(), "the burst is there");
        // 480 are owed, 10 each second, and one is to be there.
        assert_eq!(rate.take_at(0, &mut memory, 1), Err(48 * SECOND + SECOND / 10));
        assert_eq!(rate.take_at(48 * SECOND, &mut memory, 1), Err(SECOND / 10));
        // More than a burst wants the whole burst again.
        assert_eq!(rate.take_at(48 * SECOND, &mut memory, 500), Err(2 * SECOND));
        assert!(rate.take_at(50 * SECOND, &mut memory, 500).is_ok());
    }

    #[test]
    fn a_debt_has_a_longest_time_and_no_request_overflows_it() {
        for period in [1, 1_000_000, 60_000_000_000] {
            let quota = Quota::with_period(Duration::from_nanos(period)).unwrap();
            let rate = SharedRate::new(quota.allow_burst(NonZeroU32::MIN));
            let mut memory = Memory::default();
            assert!(rate.take_at(0, &mut memory, u32::MAX).is_ok(), "{period}");
            let wait = rate.take_at(0, &mut memory, 1).unwrap_err();
            assert!(
                wait <= nanos(DEBT_MAX.as_nanos()).saturating_add(period),
                "{period}: {wait}"
            );
        }
    }

    #[test]
    fn what_was_taken_is_given_back() {
        let rate = SharedRate::new(Rate::per_second(10, 20).quota().unwrap());
        let mut memory = Memory::default();
        assert!(rate.take_at(0, &mut memory, 5).is_ok());
        let taken = rate.take_at(0, &mut memory, 15).unwrap();
        assert!(rate.take_at(0, &mut memory, 1).is_err());
        memory.give_back(taken);
        let debt = rate.take_at(2 * SECOND, &mut memory, u32::MAX).unwrap();
        memory.give_back(debt);
        assert!(rate.take_at(2 * SECOND, &mut memory, 20).is_ok());
        assert!(rate.take_at(2 * SECOND, &mut memory, 1).is_err());
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
                let units = NonZeroU32::new(units.min(burst)).unwrap();
                let expected = governor.check_n(units).unwrap();
                let expected = expected.map_err(|until| nanos(until.wait_time_from(clock.now()).as_nanos()));
                let taken = rate.take_at(now_ns, &mut memory, units.get());
                prop_assert_eq!(taken.map(|_| ()), expected, "at {} ns", now_ns);
            }
        }
    }
}
