//! Growing delays after failed logins: by address, and by user and address together. Never by user alone, which would let
//! anyone lock a user out (DESIGN decision 6). Knows no password and no hash; a delayed login waits here, before it takes
//! a place in `login.queue`.
//!
//! Memory is bounded: a table of [`ENTRIES_MAX`] counts, the least used of which give way. A count is made only by a login
//! that costs a hash, so pushing others' out costs as many hashes.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quick_cache::unsync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use super::{AuthSetupError, LoginConfig, password};
use crate::limit::{AddressGroup, Limit};

/// Counts kept, about 40 bytes each.
const ENTRIES_MAX: usize = 1 << 16;
/// Most `login.delayed`.
const DELAYED_MAX: usize = 1_000_000;

/// What is known of an address, or of a user at an address.
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    /// Halved up to here.
    at: Instant,
    /// Logins that are delayed now.
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
    /// Delays after `config`.
    pub(super) fn new(config: &LoginConfig) -> Result<Arc<Self>, AuthSetupError> {
        password::bounded("login.delayed", config.delayed, 0, DELAYED_MAX)?;
        Ok(Arc::new(Self {
            free: config.free_failures,
            free_per_address: config.free_failures_per_address,
            first: config.delay.0,
            most: config.delay_max.0,
            half_life: config.failures_half_life.0,
            delayed_per_address: u32::try_from(config.delayed_per_address).unwrap_or(u32::MAX),
            delayed: Arc::new(Semaphore::new(config.delayed)),
            hashing: RandomState::new(),
            table: Mutex::new(Cache::new(ENTRIES_MAX)),
        }))
    }

    /// Begins a login that will cost a hash. It counts as failed for its user and address until it is settled, so that
    /// many at the same time do not slip through.
    ///
    /// # Errors
    /// The limit of delayed logins that is reached.
    pub(super) fn begin(self: &Arc<Self>, address: IpAddr, user: &str) -> Result<Attempt, Limit> {
        let group = AddressGroup::of(address);
        let mut attempt = Attempt {
            pair: self.hashing.hash_one((group, user)),
            address: self.hashing.hash_one(group),
            delay: Duration::ZERO,
            permit: None,
            delays: Arc::clone(self),
        };
        if self.first.is_zero() {
            return Ok(attempt);
        }
        let of_pair = self.update(attempt.pair, |failures| failures.count);
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
        self.update(attempt.pair, |failures| {
            failures.count = failures.count.saturating_add(1)
        });
        Ok(attempt)
    }

    /// A login that cost no hash of its own has failed: it waited for the outcome of an equal one.
    pub(super) fn failed(&self, address: IpAddr, user: &str) {
        let group = AddressGroup::of(address);
        for key in [self.hashing.hash_one((group, user)), self.hashing.hash_one(group)] {
            self.add_failure(key);
        }
    }

    /// A login that cost no hash of its own was right.
    pub(super) fn succeeded(&self, address: IpAddr, user: &str) {
        let pair = self.hashing.hash_one((AddressGroup::of(address), user));
        self.update(pair, |failures| failures.count = 0);
    }

    fn add_failure(&self, key: u64) {
        if !self.first.is_zero() {
            self.update(key, |failures| failures.count = failures.count.saturating_add(1));
        }
    }

    fn delay_after(&self, failures: u32, free: u32) -> Duration {
        match failures.checked_sub(free) {
            None => Duration::ZERO,
            Some(beyond) => self.first.saturating_mul(1 << beyond.min(20)).min(self.most),
        }
    }

    /// One step on one count, what is due forgotten first. A count that says nothing is not kept.
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

/// One login under way. Dropped unsettled it counts as failed for its user and address: its password may have been tried.
pub(super) struct Attempt {
    pair: u64,
    address: u64,
    delay: Duration,
    permit: Option<OwnedSemaphorePermit>,
    delays: Arc<Delays>,
}

impl Attempt {
    /// How long it has to wait.
    pub(super) fn delay(&self) -> Duration {
        self.delay
    }

    /// Waits. Takes no place in `login.queue` and no permit.
    ///
    /// # Cancel safety
    /// Dropping the attempt gives its place among the delayed back.
    pub(super) async fn wait(&mut self) {
        if !self.delay.is_zero() {
            sleep(self.delay).await;
            self.give_back();
        }
    }

    /// The password was right: the user's failures from this address are forgotten, the address's are not.
    pub(super) fn succeeded(self) {
        self.delays.update(self.pair, |failures| failures.count = 0);
    }

    /// It was wrong.
    pub(super) fn failed(self) {
        self.delays.add_failure(self.address);
    }

    /// It was not tried.
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
