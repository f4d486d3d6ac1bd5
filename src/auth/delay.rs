//! Growing delays after failed logins: per address, and per user (or token) and address together. Never per user alone,
//! since anyone could then lock a user out (docs/architecture.md, decision 6); [`by_user`] handles a user's failures
//! from all addresses. Knows no password and no hash. A delayed login waits here before it takes a place in
//! `login.queue`.
//!
//! An address counts only the failures that are still free for their user, so that a delay for one user does not delay
//! the others: one page that retries an old password forever does not slow down its whole office. Failures of an IPv6
//! address also count for the /48 around it, at a tenth: the owner of a /48 has 65,536 addresses here, but many
//! customers may also share a /48.
//!
//! Memory is bounded: a table of [`ENTRIES_MAX`] counts, of which the least used are evicted. Only a login that costs a
//! hash adds a count, so evicting other counts costs as many hashes.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quick_cache::unsync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use super::LoginConfig;
use crate::limit::{AddressGroup, Limit};
use by_user::ByUser;

mod by_user;
mod hour;

/// How many counts are kept, about 40 bytes each.
const ENTRIES_MAX: usize = 1 << 16;
/// How many failures within a /48 count as one of an address, and how many times as many delayed logins it may have.
const SITE_WEIGHT: u32 = 10;

/// The state of an address, of a /48, or of a user at an address.
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
    by_user: ByUser,
}

/// Whose login it is.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) enum Who<'a> {
    /// A user, by password.
    User(&'a str),
    /// The bearer of the token with this digest.
    Token(&'a [u8; 32]),
}

impl<'a> From<&'a str> for Who<'a> {
    fn from(user: &'a str) -> Self {
        Self::User(user)
    }
}

/// What a login counts for.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    /// The user or the token, at the address.
    pair: u64,
    address: u64,
    /// `None` for IPv4.
    site: Option<u64>,
    /// `None` for a token: nobody guesses one, and it must not evict what is known of users.
    user: Option<u64>,
}

impl Delays {
    /// Delays according to `config`.
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
            by_user: ByUser::new(config),
        })
    }

    /// What a login of `who` from `address` counts for.
    pub(super) fn keys<'a>(&self, address: IpAddr, who: impl Into<Who<'a>>) -> Keys {
        let (group, who) = (AddressGroup::of(address), who.into());
        Keys {
            pair: self.hashing.hash_one((group, who)),
            address: self.hashing.hash_one(group),
            site: group.site().map(|site| self.hashing.hash_one(site)),
            user: match who {
                Who::User(user) => Some(self.hashing.hash_one(user)),
                Who::Token(_) => None,
            },
        }
    }

    /// Begins a login that will cost a hash. Until it is settled it counts as failed for its user and address, so
    /// that many logins at the same time do not slip through.
    ///
    /// # Errors
    /// The limit on delayed logins that was reached.
    pub(super) fn begin<'a>(
        self: &Arc<Self>,
        address: IpAddr,
        who: impl Into<Who<'a>>,
    ) -> Result<Attempt, Limit> {
        let keys = self.keys(address, who);
        let mut attempt = Attempt {
            keys,
            counts_for_address: true,
            delay: Duration::ZERO,
            limit: Limit::LoginDelay,
            counted: false,
            permit: None,
            delays: Arc::clone(self),
        };
        if self.first.is_zero() {
            return Ok(attempt);
        }
        let now = Instant::now();
        let of_pair = self.failures(keys.pair, now);
        attempt.counts_for_address = of_pair < self.free;
        let of_address = self.failures(keys.address, now);
        let of_site = keys.site.map_or(0, |site| self.failures(site, now) / SITE_WEIGHT);
        let delay = self
            .delay_after(of_pair, self.free)
            .max(self.delay_after(of_address.max(of_site), self.free_per_address));
        if !delay.is_zero() {
            let permit = Arc::clone(&self.delayed).try_acquire_owned();
            attempt.permit = Some(permit.map_err(|_| Limit::LoginDelayed)?);
            attempt.delay = delay;
            if !attempt.take_places() {
                return Err(Limit::LoginDelayedPerAddress);
            }
        }
        let of_user = |user| self.by_user.begin(user, keys.pair, now);
        if let Some(wait) = keys.user.and_then(of_user).filter(|wait| *wait > delay) {
            attempt.permit = attempt.permit.take().or_else(|| self.by_user.place());
            if attempt.permit.is_some() {
                attempt.delay = wait;
                attempt.limit = Limit::LoginUnfamiliarDelay;
            }
        }
        self.add_failure(keys.pair, now);
        Ok(attempt)
    }

    /// Counts a failed login that cost no hash of its own: it waited for the result of an equal one, which counts for
    /// the user.
    pub(super) fn failed(&self, keys: Keys) {
        let now = Instant::now();
        if self.add_failure(keys.pair, now) <= self.free {
            self.add_failure_of_address(keys, now);
        }
    }

    /// Counts a successful login that cost no hash of its own.
    pub(super) fn succeeded(&self, keys: Keys) {
        self.update(keys.pair, Instant::now(), |failures| failures.count = 0);
        if keys.user.is_some() {
            self.by_user.succeeded(keys.pair);
        }
    }

    fn failures(&self, key: u64, now: Instant) -> u32 {
        self.update(key, now, |failures| failures.count)
    }

    fn add_failure_of_address(&self, keys: Keys, now: Instant) {
        self.add_failure(keys.address, now);
        if let Some(site) = keys.site {
            self.add_failure(site, now);
        }
    }

    /// Adds one failure and returns how many there are.
    fn add_failure(&self, key: u64, now: Instant) -> u32 {
        if self.first.is_zero() {
            return 0;
        }
        self.update(key, now, |failures| {
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
    fn update<T>(&self, key: u64, now: Instant, step: impl FnOnce(&mut Failures) -> T) -> T {
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
    keys: Keys,
    counts_for_address: bool,
    delay: Duration,
    limit: Limit,
    /// Whether it counts among the delayed logins of its address.
    counted: bool,
    permit: Option<OwnedSemaphorePermit>,
    delays: Arc<Delays>,
}

impl Attempt {
    /// How long the login has to wait.
    pub(super) fn delay(&self) -> Duration {
        self.delay
    }

    /// The limit that makes it wait, if it has to wait.
    pub(super) fn limit(&self) -> Limit {
        self.limit
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

    /// Settles it: the password was right, or wrong, or `None`: it was not tried.
    pub(super) fn settle(self, verdict: Option<bool>) {
        match verdict {
            Some(true) => self.succeeded(),
            Some(false) => self.failed(),
            None => self.not_tried(),
        }
    }

    /// The password was right: forgets the user's failures from this address, but not the address's own.
    pub(super) fn succeeded(self) {
        let (delays, keys, now) = (&self.delays, self.keys, Instant::now());
        delays.update(keys.pair, now, |failures| failures.count = 0);
        if let Some(user) = keys.user {
            delays.by_user.not_failed(user, now);
            delays.by_user.succeeded(keys.pair);
        }
    }

    /// The password was wrong.
    pub(super) fn failed(self) {
        if self.counts_for_address {
            self.delays.add_failure_of_address(self.keys, Instant::now());
        }
    }

    /// The password was not tried.
    pub(super) fn not_tried(self) {
        let now = Instant::now();
        self.delays.update(self.keys.pair, now, |failures| {
            failures.count = failures.count.saturating_sub(1)
        });
        if let Some(user) = self.keys.user {
            self.delays.by_user.not_failed(user, now);
        }
    }

    /// Counts it among the delayed logins of its address and /48. `false` if these already have the maximum.
    fn take_places(&mut self) -> bool {
        self.counted = true;
        let (most, now) = (self.delays.delayed_per_address, Instant::now());
        let mut fit = true;
        for (key, most) in self.places(most) {
            fit &= self.delays.update(key, now, |failures| {
                failures.delayed = failures.delayed.saturating_add(1);
                failures.delayed <= most
            });
        }
        fit
    }

    /// Its address and its /48, each with the maximum of delayed logins.
    fn places(&self, most: u32) -> impl Iterator<Item = (u64, u32)> + use<> {
        let site = self
            .keys
            .site
            .map(|site| (site, most.saturating_mul(SITE_WEIGHT)));
        std::iter::once((self.keys.address, most)).chain(site)
    }

    fn give_back(&mut self) {
        self.permit = None;
        self.delay = Duration::ZERO;
        if std::mem::take(&mut self.counted) {
            let now = Instant::now();
            for (key, _) in self.places(0) {
                self.delays.update(key, now, |failures| {
                    failures.delayed = failures.delayed.saturating_sub(1);
                });
            }
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
