//! One rate for each of many keys, in bounded memory. [`super::SharedRate`] does the counting. Knows nothing of what a key is.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

use governor::Quota;
use parking_lot::Mutex;

use super::shared::{Memory, SharedRate};

/// The most keys remembered, about 24 bytes each. Beyond it, new keys share [`SHARED`] memories, so that a flood of
/// keys neither takes memory nor escapes the rate.
const KEYS_MAX: usize = 1 << 16;
const SHARED: u64 = 1 << 10;
/// The fewest checks between two sweeps.
const SWEEP_MIN: usize = 1 << 10;

/// A rate for each key. Keys are remembered by a hash under a key of this process: two of them share their rate with
/// a probability of 1 in 2^64.
pub(crate) struct KeyedRate {
    rate: SharedRate,
    burst: u32,
    hashing: RandomState,
    keys_max: usize,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    memories: HashMap<u64, Memory>,
    /// Checks until the next sweep: as many as there were keys left after the last, so that sweeping adds a constant cost to
    /// each check.
    until_sweep: usize,
}

/// What was taken of a [`KeyedRate`], and whose.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    key: u64,
    ns: u64,
}

impl KeyedRate {
    /// A limiter with `quota` per key.
    pub(crate) fn new(quota: Quota) -> Self {
        Self::with(quota, KEYS_MAX)
    }

    fn with(quota: Quota, keys_max: usize) -> Self {
        Self {
            rate: SharedRate::new(quota),
            burst: quota.burst_size().get(),
            hashing: RandomState::new(),
            keys_max,
            known: Mutex::new(Known {
                memories: HashMap::new(),
                until_sweep: SWEEP_MIN,
            }),
        }
    }

    /// Takes one unit of the rate of `key`. Allocates only if the key is new.
    ///
    /// # Errors
    /// The time until the next unit is available.
    pub(crate) fn check(&self, key: impl Hash) -> Result<(), Duration> {
        self.check_many(key, 1).map(|_| ())
    }

    /// Takes `units` of the rate of `key` at once, at least one, or none of them. More than a burst passes where a full burst is
    /// there, since it could never pass otherwise, and the rest is a debt: nothing passes until it is paid, for at most an hour.
    ///
    /// # Errors
    /// The time until they are available.
    pub(crate) fn check_many(&self, key: impl Hash, units: u32) -> Result<Taken, Duration> {
        self.check_at(self.rate.now_ns(), key, units)
    }

    fn check_at(&self, now_ns: u64, key: impl Hash, units: u32) -> Result<Taken, Duration> {
        let mut key = self.hashing.hash_one(key);
        let mut units = units.max(1);
        let mut known = self.known.lock();
        known.count_check(now_ns);
        if known.memories.len() >= self.keys_max && !known.memories.contains_key(&key) {
            key %= SHARED;
            // Nobody pays the debt of another.
            units = units.min(self.burst);
        }
        let memory = known.memories.entry(key).or_default();
        match self.rate.take_at(now_ns, memory, units) {
            Ok(ns) => Ok(Taken { key, ns }),
            Err(wait_ns) => Err(Duration::from_nanos(wait_ns)),
        }
    }

    /// Gives back what was taken for something that did not happen.
    pub(crate) fn give_back(&self, taken: Taken) {
        // Forgotten meanwhile: it has its full burst.
        if let Some(memory) = self.known.lock().memories.get_mut(&taken.key) {
            memory.give_back(taken.ns);
        }
    }
}

impl Known {
    /// Counts a check, and sweeps if that is due: keys whose full burst is available again are forgotten.
    fn count_check(&mut self, now_ns: u64) {
        self.until_sweep = self.until_sweep.saturating_sub(1);
        if self.until_sweep == 0 {
            self.memories.retain(|_, memory| !memory.is_full(now_ns));
            self.memories.shrink_to_fit();
            self.until_sweep = self.memories.len().max(SWEEP_MIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::Rate;

    const SECOND: u64 = 1_000_000_000;

    fn limiter(keys_max: usize) -> KeyedRate {
        KeyedRate::with(Rate::per_second(2, 4).quota().unwrap(), keys_max)
    }

    impl KeyedRate {
        fn passes(&self, now_ns: u64, key: impl Hash) -> Result<(), Duration> {
            self.check_at(now_ns, key, 1).map(|_| ())
        }

        fn keys(&self) -> usize {
            self.known.lock().memories.len()
        }
    }

    #[test]
    fn each_key_has_its_burst_and_then_its_rate() {
        let limiter = limiter(100);
        for _ in 0..4 {
            assert_eq!(limiter.passes(0, "a"), Ok(()));
        }
        assert_eq!(limiter.passes(0, "a"), Err(Duration::from_millis(500)));
        assert_eq!(limiter.passes(0, "b"), Ok(()), "another's burst");
        assert_eq!(limiter.passes(SECOND / 2, "a"), Ok(()));
        assert!(limiter.passes(SECOND / 2, "a").is_err());
    }

    #[test]
    fn more_than_a_burst_is_paid_whole_and_what_was_taken_can_be_given_back() {
        let limiter = limiter(100);
        let taken = limiter.check_at(0, "a", 100).unwrap();
        // 96 are owed.
        assert_eq!(limiter.passes(0, "a"), Err(Duration::from_millis(48_500)));
        assert_eq!(limiter.passes(0, "b"), Ok(()));
        limiter.give_back(taken);
        assert!(limiter.check_at(0, "a", 4).is_ok());
        assert_eq!(limiter.passes(0, "a"), Err(Duration::from_millis(500)));
        assert!(
            limiter.check_at(0, "c", 0).is_ok_and(|taken| taken.ns > 0),
            "nothing costs one"
        );
    }

    #[test]
    fn the_clock_runs() {
        let limiter = KeyedRate::new(Quota::with_period(Duration::from_nanos(1)).unwrap());
        assert_eq!(limiter.check("a"), Ok(()));
        while limiter.check("a").is_err() {}
    }

    #[test]
    fn memory_is_swept_and_bounded_and_a_flood_of_keys_does_not_escape() {
        let limiter = limiter(5_000);
        for key in 0..4_000 {
            limiter.passes(0, key).unwrap();
        }
        let now = 10 * SECOND;
        for key in 0..8_000 {
            let _ = limiter.passes(now, ("x", key % 10));
        }
        assert!(limiter.keys() < 20, "{} keys", limiter.keys());

        limiter.check_at(now, "in debt", 1_000).unwrap();
        let passed = (0..100_000)
            .filter(|key| limiter.check_at(now, ("y", key), 1_000).is_ok())
            .count();
        let most = 5_000 + SHARED as usize;
        assert!(limiter.keys() <= most, "{} keys", limiter.keys());
        assert!(passed <= most, "{passed} passed");
        // Who shares a memory pays no debt of others, and who has one of its own still has it.
        let now = now + 3 * SECOND;
        assert!(limiter.passes(now, "new").is_ok());
        assert!(limiter.passes(now, "in debt").is_err());
    }
}
