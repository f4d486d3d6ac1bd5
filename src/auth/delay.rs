//! Growing delays after failed logins: per address, and per user and address together. Never per user alone, which
//! would let anyone lock a user out (docs/architecture.md, decision 6). Knows no password and no hash. A delayed
//! login waits here before it takes a place in `login.queue`.
//!
//! An address counts only those failures that its user's own count lets pass freely, so that a delay for one user
//! does not delay the others: one page that retries an old password forever does not slow down its whole office.
//!
//! Memory is bounded: a table of [`ENTRIES_MAX`] counts, of which the least used are evicted. Only a login that costs
//! a hash adds a count, so evicting other counts costs as many hashes.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quick_cache::unsync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use super::LoginConfig;
use crate::limit::{AddressGroup, Limit};

/// How many counts are kept, about 40 bytes each.
const ENTRIES_MAX: usize = 1 << 16;

/// The state of an address, or of a user at an address.
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    /// The time up to which `failures` has been halved.
    at: Instant,
    /// How many logins are delayed at the moment.
    delayed: u32,
}

/// The counts. Shared as `Arc<Delays>`.
pub(super) struct Delays {
    free: u32,
    free_per_address: u32,
    first: Duration,
    most: Duration,
    half_life: Duration,
    delayed_per_address: u32,
    delayed: Arc<Semaphore>,
    hashing: RandomState,
    table: Mutex<Cache<u64, Failures>>,
}

impl Delays {
    /// The delays of `config`.
    pub(super) fn new(config: &LoginConfig) -> Arc<Self> {
        Arc::new(Self {
            free: config.free_failures,
            free_per_address: config.free_failures_per_address,
            first: config.delay.0,
            most: config.delay_max.0,
            half_life: config.failures_half_life.0,
            delayed_per_address: u32::try_from(config.delayed_per_address).unwrap_or(u32::MAX),
            delayed: Arc::new(Semaphore::new(config.delayed.min(Semaphore::MAX_PERMITS))),
            hashing: RandomState::new(),
            table: Mutex::new(Cache::new(ENTRIES_MAX)),
        })
    }

    /// Begins a login that will cost a hash. Until it is settled it counts as failed for its user and address, so
    /// that many logins at the same time do not slip through.
    ///
    /// # Errors
    /// The limit on delayed logins that was reached.
    pub(super) fn begin(self: &Arc<Self>, address: IpAddr, user: &str) -> Result<Attempt, Limit> {
        let group = AddressGroup::of(address);
        let mut attempt = Attempt {
            pair: self.hashing.hash_one((group, user)),
            address: self.hashing.hash_one(group),
            counts_for_address: true,
            delay: Duration::ZERO,
            permit: None,
            delays: Arc::clone(self),
        };
        if self.first.is_zero() {
            return Ok(attempt);
        }
        let of_pair = self.update(attempt.pair, |failures| failures.count);
        attempt.counts_for_address = of_pair < self.free;
        let of_address = self.update(attempt.address, |failures| failures.count);
        let delay = self
            .delay_after(of_pair, self.free)
            .max(self.delay_after(of_address, self.free_per_address));
        if !delay.is_zero() {
            let permit = Arc::clone(&self.delayed).try_acquire_owned();
            attempt.permit = Some(permit.map_err(|_| Limit::LoginDelayed)?);
            let fits = self.update(attempt.address, |failures| {
                failures.delayed = failures.delayed.saturating_add(1);
                failures.delayed <= self.delayed_per_address
            });
            attempt.delay = delay;
            if !fits {
                return Err(Limit::LoginDelayedPerAddress);
            }
        }
        self.add_failure(attempt.pair);
        Ok(attempt)
    }

    /// Counts a failed login that cost no hash of its own: it waited for the outcome of an equal one.
    pub(super) fn failed(&self, address: IpAddr, user: &str) {
        let group = AddressGroup::of(address);
        if self.add_failure(self.hashing.hash_one((group, user))) <= self.free {
            self.add_failure(self.hashing.hash_one(group));
        }
    }

    /// Counts a successful login that cost no hash of its own.
    pub(super) fn succeeded(&self, address: IpAddr, user: &str) {
        let pair = self.hashing.hash_one((AddressGroup::of(address), user));
        self.update(pair, |failures| failures.count = 0);
    }

    /// Adds one failure and returns how many there are.
    fn add_failure(&self, key: u64) -> u32 {
        if self.first.is_zero() {
            return 0;
        }
        self.update(key, |failures| {
            failures.count = failures.count.saturating_add(1);
            failures.count
        })
    }

    fn delay_after(&self, failures: u32, free: u32) -> Duration {
        match failures.checked_sub(free) {
            None => Duration::ZERO,
            Some(beyond) => self.first.saturating_mul(1 << beyond.min(20)).min(self.most),
        }
    }

    /// Updates one count after forgetting what is due. An empty count is not kept.
    fn update<T>(&self, key: u64, step: impl FnOnce(&mut Failures) -> T) -> T {
        let now = Instant::now();
        let mut table = self.table.lock();
        let before = table.get(&key).copied();
        let mut failures = before.unwrap_or(Failures {
            count: 0,
            at: now,
            delayed: 0,
        });
        while failures.count > 0 && now.duration_since(failures.at) >= self.half_life {
            failures.count /= 2;
            failures.at += self.half_life;
        }
        if failures.count == 0 {
            failures.at = now;
        }
        let result = step(&mut failures);
        if failures.count > 0 || failures.delayed > 0 {
            table.insert(key, failures);
        } else if before.is_some() {
            table.remove(&key);
        }
        result
    }
}

/// One login in progress. If it is dropped unsettled, it counts as failed for its user and address: its password may
/// have been tried.
pub(super) struct Attempt {
    pair: u64,
    address: u64,
    counts_for_address: bool,
    delay: Duration,
    permit: Option<OwnedSemaphorePermit>,
    delays: Arc<Delays>,
}

impl Attempt {
    /// How long the login has to wait.
    pub(super) fn delay(&self) -> Duration {
        self.delay
    }

    /// Waits without taking a place in `login.queue` or a permit.
    ///
    /// # Cancel safety
    /// Dropping the attempt frees its place among the delayed logins.
    pub(super) async fn wait(&mut self) {
        if !self.delay.is_zero() {
            sleep(self.delay).await;
            self.give_back();
        }
    }

    /// The password was right: forgets the user's failures from this address, but not the address's own.
    pub(super) fn succeeded(self) {
        self.delays.update(self.pair, |failures| failures.count = 0);
    }

    /// The password was wrong.
    pub(super) fn failed(self) {
        if self.counts_for_address {
            self.delays.add_failure(self.address);
        }
    }

    /// The password was not tried.
    pub(super) fn not_tried(self) {
        self.delays.update(self.pair, |failures| {
            failures.count = failures.count.saturating_sub(1)
        });
    }

    fn give_back(&mut self) {
        self.permit = None;
        if !std::mem::take(&mut self.delay).is_zero() {
            self.delays.update(self.address, |failures| {
                failures.delayed = failures.delayed.saturating_sub(1);
            });
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests;
