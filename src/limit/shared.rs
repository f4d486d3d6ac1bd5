//! One rate for many holders, each with 8 bytes of memory of its own. governor measures (GCRA).

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};

/// The memory of one holder of a [`SharedRate`]: when its full burst will be available again, in ns of the limiter's
/// time. Belongs to one task; nobody else reads it.
#[derive(Debug, Default)]
pub struct Memory(AtomicU64);

/// The limiter. Each holder brings its own [`Memory`].
pub struct SharedRate<C: Clock = MonotonicClock>(RateLimiter<Memory, InKey, C, NoOpMiddleware<C::Instant>>);

impl SharedRate {
    /// A limiter with `quota` per memory.
    pub fn new(quota: Quota) -> Self {
        Self::with(quota, MonotonicClock)
    }
}

impl<C: Clock> SharedRate<C> {
    fn with(quota: Quota, clock: C) -> Self {
        Self(RateLimiter::new(quota, InKey, clock))
    }

    /// Takes one unit of the rate of `memory`'s holder, and returns whether there was one.
    pub fn passes(&self, memory: &Memory) -> bool {
        self.0.check_key(memory).is_ok()
    }
}

/// governor keeps one state per key in a store. Here the key is the state.
struct InKey;

impl StateStore for InKey {
    type Key = Memory;

    fn measure_and_replace<T, F, E>(&self, memory: &Memory, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let before = memory.0.load(Ordering::Relaxed);
        let (result, after) = decide((before > 0).then(|| before.into()))?;
        memory.0.store(after.into(), Ordering::Relaxed);
        Ok(result)
    }
}

// governor requires these traits of every key, but this store never looks a memory up.
impl Clone for Memory {
    fn clone(&self) -> Self {
        Self(self.0.load(Ordering::Relaxed).into())
    }
}

impl PartialEq for Memory {
    fn eq(&self, other: &Self) -> bool {
        self.0.load(Ordering::Relaxed) == other.0.load(Ordering::Relaxed)
    }
}

impl Eq for Memory {}

impl Hash for Memory {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.load(Ordering::Relaxed).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;
    use crate::setting::Rate;

    #[test]
    fn each_memory_has_its_burst_and_then_its_rate() {
        let clock = FakeRelativeClock::default();
        let quota = Rate::per_second(10, 3).quota().unwrap();
        let rate = SharedRate::with(quota, clock.clone());
        let (one, other) = (Memory::default(), Memory::default());
        assert_eq!(
            std::array::from_fn(|_| rate.passes(&one)),
            [true, true, true, false, false]
        );
        assert!(rate.passes(&other));
        clock.advance(Duration::from_millis(200));
        assert_eq!(std::array::from_fn(|_| rate.passes(&one)), [true, true, false]);
        clock.advance(Duration::from_secs(60));
        assert_eq!(
            std::array::from_fn(|_| rate.passes(&one)),
            [true, true, true, false]
        );
        assert_eq!(size_of::<Memory>(), 8);
    }
}
