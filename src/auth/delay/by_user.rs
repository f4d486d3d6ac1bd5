//! Protects a user whose password is guessed from many addresses: logins from addresses where that user has never
//! succeeded wait briefly. Nobody is locked out: where the user has succeeded nothing changes, elsewhere the wait is
//! short, and a login that finds no place to wait continues without waiting. Knows no password.
//!
//! Memory is bounded: [`USERS_MAX`] counts and [`FAMILIAR_MAX`] addresses of success, of which the least used are
//! evicted. A user whose entry was evicted waits there once more while somebody is guessing.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quick_cache::unsync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::hour::LastHour;
use crate::auth::LoginConfig;

/// How many users' counts are kept, about 40 bytes each.
const USERS_MAX: usize = 1 << 16;
/// How many pairs of a user and an address with a success are remembered, about 24 bytes each.
const FAMILIAR_MAX: usize = 1 << 16;

/// Failures by user, and the addresses where each user has succeeded. Users, and pairs of user and address, are
/// identified by a hash.
pub(super) struct ByUser {
    free: u32,
    wait: Duration,
    places: Arc<Semaphore>,
    failures: Mutex<Cache<u64, LastHour>>,
    familiar: Mutex<Cache<u64, ()>>,
}

impl ByUser {
    pub(super) fn new(config: &LoginConfig) -> Self {
        Self {
            free: config.free_failures_per_user,
            wait: config.unfamiliar_delay.0,
            places: Arc::new(Semaphore::new(config.delayed.min(Semaphore::MAX_PERMITS))),
            failures: Mutex::new(Cache::new(USERS_MAX)),
            familiar: Mutex::new(Cache::new(FAMILIAR_MAX)),
        }
    }

    /// Begins a login of `user` from the address of `pair`: it counts as failed until [`not_failed`](Self::not_failed).
    /// Returns how long it has to wait, if it does.
    pub(super) fn begin(&self, user: u64, pair: u64, now: Instant) -> Option<Duration> {
        if self.wait.is_zero() {
            return None;
        }
        let guessed = {
            let mut failures = self.failures.lock();
            let mut hour = failures.get(&user).copied().unwrap_or_else(|| LastHour::new(now));
            let guessed = hour.count(now) >= self.free;
            hour.add(now);
            failures.insert(user, hour);
            guessed
        };
        (guessed && self.familiar.lock().get(&pair).is_none()).then_some(self.wait)
    }

    /// A place for a wait. `None` if all are taken.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// A login that began did not fail.
    pub(super) fn not_failed(&self, user: u64, now: Instant) {
        if let Some(mut hour) = self.failures.lock().get_mut(&user) {
            hour.take_back(now);
        }
    }

    /// The user of `pair` has succeeded at its address.
    pub(super) fn succeeded(&self, pair: u64) {
        let mut familiar = self.familiar.lock();
        // The lookup marks the entry as used.
        if familiar.get(&pair).is_none() {
            familiar.insert(pair, ());
        }
    }
}
