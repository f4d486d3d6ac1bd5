//! One rate for each of many keys, in bounded memory. governor does the counting (GCRA). Knows nothing of what a key
//! is.

use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

/// The most keys remembered, about 24 bytes each. Beyond it, new keys share [`SHARED`] memories, so that a flood of
/// keys neither takes memory nor escapes the rate.
const KEYS_MAX: usize = 1 << 16;
const SHARED: u64 = 1 << 10;
/// The fewest checks between two sweeps.
const SWEEP_MIN: usize = 1 << 10;

/// A rate for each key. Keys are remembered by a hash under a key of this process: two of them share their rate with
/// a probability of 1 in 2^64.
pub(crate) struct KeyedRate<C: Clock = MonotonicClock> {
    limiter: RateLimiter<u64, HashMapStateStore<u64>, C, NoOpMiddleware<C::Instant>>,
    hashing: RandomState,
    burst: NonZeroU32,
    keys_max: usize,
    /// Checks since the last sweep, and how many are allowed before the next: as many as there were keys left, so
    /// that sweeping adds a constant cost to each check.
    checks: AtomicUsize,
    sweep_after: AtomicUsize,
}

impl KeyedRate {
    /// A limiter with `quota` per key.
    pub(crate) fn new(quota: Quota) -> Self {
        Self::with(quota, MonotonicClock, KEYS_MAX)
    }
}

impl<C: Clock> KeyedRate<C> {
    fn with(quota: Quota, clock: C, keys_max: usize) -> Self {
        Self {
            burst: quota.burst_size(),
            limiter: RateLimiter::new(quota, HashMapStateStore::default(), clock),
            hashing: RandomState::new(),
            keys_max,
            checks: AtomicUsize::new(0),
            sweep_after: AtomicUsize::new(SWEEP_MIN),
        }
    }

    /// Takes one unit of the rate of `key`. Allocates only if the key is new.
    ///
    /// # Errors
    /// The time until the next unit is available.
    pub(crate) fn check(&self, key: impl Hash) -> Result<(), Duration> {
        self.check_many(key, 1)
    }

    /// Takes `units` of the rate of `key` at once, or none of them. More than a burst counts as a burst, since it could never
    /// pass otherwise.
    ///
    /// # Errors
    /// The time until they are available.
    pub(crate) fn check_many(&self, key: impl Hash, units: u32) -> Result<(), Duration> {
        let checks = self.checks.fetch_add(1, Ordering::Relaxed) + 1;
        if checks == self.sweep_after.load(Ordering::Relaxed) {
            self.sweep();
        }
        let mut key = self.hashing.hash_one(key);
        if self.limiter.len() >= self.keys_max {
            key %= SHARED;
        }
        let units = NonZeroU32::new(units).map_or(NonZeroU32::MIN, |units| units.min(self.burst));
        match self.limiter.check_key_n(&key, units) {
            Ok(checked) => checked.map_err(|until| until.wait_time_from(self.limiter.clock().now())),
            // Only more than a burst has no capacity.
            Err(_) => Err(Duration::ZERO),
        }
    }

    /// Forgets the keys whose full burst is available again.
    fn sweep(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
        self.sweep_after
            .store(self.limiter.len().max(SWEEP_MIN), Ordering::Relaxed);
        self.checks.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;
    use crate::setting::Rate;

    fn limiter(keys_max: usize) -> (FakeRelativeClock, KeyedRate<FakeRelativeClock>) {
        let clock = FakeRelativeClock::default();
        let quota = Rate::per_second(2, 4).quota().unwrap();
        (clock.clone(), KeyedRate::with(quota, clock, keys_max))
    }

    #[test]
    fn each_key_has_its_burst_and_then_its_rate() {
        let (clock, limiter) = limiter(100);
        for _ in 0..4 {
            assert_eq!(limiter.check("a"), Ok(()));
        }
        assert_eq!(limiter.check("a"), Err(Duration::from_millis(500)));
        assert_eq!(limiter.check("b"), Ok(()), "another's burst");
        clock.advance(Duration::from_millis(500));
        assert_eq!(limiter.check("a"), Ok(()));
        assert!(limiter.check("a").is_err());
    }

    #[test]
    fn memory_is_swept_and_bounded_and_a_flood_of_keys_does_not_escape() {
        let (clock, limiter) = limiter(5_000);
        for key in 0..4_000 {
            limiter.check(key).unwrap();
        }
        clock.advance(Duration::from_secs(10));
        for key in 0..8_000 {
            let _ = limiter.check(("x", key % 10));
        }
        assert!(limiter.limiter.len() < 20, "{} keys", limiter.limiter.len());

        let passed = (0..100_000)
            .filter(|key| limiter.check(("y", key)).is_ok())
            .count();
        let most = 5_000 + SHARED as usize;
        assert!(limiter.limiter.len() <= most, "{} keys", limiter.limiter.len());
        assert!(passed <= 5_000 + 4 * SHARED as usize, "{passed} passed");
    }
}
