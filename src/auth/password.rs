//! Passwords checked off the runtime with bounded work (docs/architecture.md, decision 6): a few hashes at
//! once, a bounded queue before them, equal logins at the same time share one hash, and a success is
//! remembered for a while. Knows no user list.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, Mac};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use sha2::Sha256;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::phc::{Memory, StoredHash};
use super::{AuthError, AuthSetupError, LoginConfig, phc};
use crate::config::secret::Secret;

mod threads;

use threads::Threads;

/// Most `login.permits`.
const PERMITS_MAX: usize = 1_024;
/// Most `login.queue`.
const QUEUE_MAX: usize = 1_000_000;
/// Most `login.cache_entries`.
const CACHE_ENTRIES_MAX: usize = 1_000_000;

/// What a login is known by: a MAC under a key that this process alone knows. It is no hash of a password to anyone
/// who reads it elsewhere, and comparing two of them tells nothing in time.
type Key = [u8; 32];

/// The computation itself; tests put a counting one in its place.
pub(super) type Matches = Box<dyn Fn(&StoredHash, &str) -> Outcome + Send + Sync>;

/// Where an outcome comes in.
type Awaited = watch::Receiver<Option<Outcome>>;

/// How a verification ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Match,
    Mismatch,
    /// This machine could not compute it (no memory): the password is neither right nor wrong.
    Unable,
}

/// What is known of a password before it is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was right lately.
    Remembered,
    /// An equal login is being checked.
    UnderWay,
    /// Nothing: it will cost a hash.
    New,
}

/// Checks passwords. Shared as `Arc<Verifier>`.
pub(super) struct Verifier {
    mac: Hmac<Sha256>,
    cache: Option<Cache<Key, Instant>>,
    cache_ttl: Duration,
    threads: Threads,
    /// Hashes computed now: `login.permits`.
    permits: Arc<Semaphore>,
    /// Hashes computed now and those that wait: `login.permits` + `login.queue`.
    places: Arc<Semaphore>,
    /// Verifications that are under way, each with the channel that its outcome comes on.
    flights: Mutex<HashMap<Key, watch::Sender<Option<Outcome>>>>,
    matches: Matches,
}

impl Verifier {
    /// A verifier within the bounds of `config`.
    pub(super) fn new(config: &LoginConfig) -> Result<Arc<Self>, AuthSetupError> {
        // As many as `login.permits` at most, for as long as the process lives.
        let spare: Mutex<Vec<Memory>> = Mutex::default();
        let matches = move |stored: &StoredHash, password: &str| {
            let mut memory = spare.lock().pop().unwrap_or_default();
            let outcome = match stored.matches(password, &mut memory) {
                Ok(true) => Outcome::Match,
                Ok(false) => Outcome::Mismatch,
                Err(error) => {
                    tracing::error!(%error, "a password could not be verified");
                    Outcome::Unable
                }
            };
            spare.lock().push(memory);
            outcome
        };
        Self::with(config, Box::new(matches))
    }

    /// Likewise, with the computation given.
    pub(super) fn with(config: &LoginConfig, matches: Matches) -> Result<Arc<Self>, AuthSetupError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let permits = config.permits.unwrap_or((cores / 2).max(1));
        bounded("login.permits", permits, 1, PERMITS_MAX)?;
        bounded("login.queue", config.queue, 0, QUEUE_MAX)?;
        bounded("login.cache_entries", config.cache_entries, 0, CACHE_ENTRIES_MAX)?;
        let mut key = [0; 32];
        for half in key.chunks_exact_mut(16) {
            half.copy_from_slice(&phc::random().map_err(AuthSetupError::Random)?);
        }
        let remembers = config.cache_entries > 0 && !config.cache_ttl.0.is_zero();
        Ok(Arc::new(Self {
            // HMAC takes keys of any length.
            mac: Hmac::new_from_slice(&key).map_err(|_| AuthSetupError::Key)?,
            cache: remembers.then(|| Cache::new(config.cache_entries)),
            cache_ttl: config.cache_ttl.0,
            threads: Threads::new(permits).map_err(AuthSetupError::Threads)?,
            permits: Arc::new(Semaphore::new(permits)),
            places: Arc::new(Semaphore::new(permits + config.queue)),
            flights: Mutex::default(),
            matches,
        }))
    }

    /// What is known of `password` now.
    pub(super) fn standing(&self, user: &str, stored: &StoredHash, password: &Secret) -> Standing {
        let key = self.key(user, stored, password);
        if self.remembers(&key) {
            Standing::Remembered
        } else if self.flights.lock().contains_key(&key) {
            Standing::UnderWay
        } else {
            Standing::New
        }
    }

    /// Whether `password` fits `stored`, which is `user`'s or a decoy. [`AuthError::Overloaded`] at once when
    /// `login.queue` logins wait already.
    ///
    /// # Cancel safety
    /// Dropping the future gives up its interest. A verification that nobody is interested in leaves the queue; one
    /// that computes already runs to its end (a thread cannot be stopped) and then frees its permit.
    pub(super) async fn verify(
        self: &Arc<Self>,
        user: &str,
        stored: &Arc<StoredHash>,
        password: &Secret,
    ) -> Result<bool, AuthError> {
        let key = self.key(user, stored, password);
        if self.remembers(&key) {
            return Ok(true);
        }
        let (mut outcome, landing) = self.join(key)?;
        if let Some(landing) = landing {
            // Not under the lock: a runtime that shuts down drops the task here, and its drop takes the lock.
            tokio::spawn(landing.fly(Arc::clone(stored), password.clone()));
        }
        // An error: the flight ended without an outcome, as at the end of the runtime.
        let outcome = outcome
            .wait_for(Option::is_some)
            .await
            .map_or(Outcome::Unable, |outcome| outcome.unwrap_or(Outcome::Unable));
        match outcome {
            Outcome::Match => Ok(true),
            Outcome::Mismatch => Ok(false),
            Outcome::Unable => Err(AuthError::Overloaded),
        }
    }

    /// Joins the verification known by `key`, or opens one that the caller has to start.
    fn join(self: &Arc<Self>, key: Key) -> Result<(Awaited, Option<Landing>), AuthError> {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(&key) {
            return Ok((flight.subscribe(), None));
        }
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| AuthError::Overloaded)?;
        let (flight, outcome) = watch::channel(None);
        flights.insert(key, flight.clone());
        let landing = Landing {
            verifier: Arc::clone(self),
            key,
            flight,
            _place: place,
        };
        Ok((outcome, Some(landing)))
    }

    /// Lengths in front, so that no two (user, stored, password) make the same bytes.
    fn key(&self, user: &str, stored: &StoredHash, password: &Secret) -> Key {
        let mut mac = self.mac.clone();
        for part in [user, stored.text()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac.update(password.expose().as_bytes());
        mac.finalize().into_bytes().into()
    }

    fn remembers(&self, key: &Key) -> bool {
        let since = self.cache.as_ref().and_then(|cache| cache.get(key));
        since.is_some_and(|since| since.elapsed() < self.cache_ttl)
    }
}

/// One verification under way. However it ends (an outcome, a panic, the end of the runtime), its drop takes it off the
/// list and frees its place.
struct Landing {
    verifier: Arc<Verifier>,
    key: Key,
    flight: watch::Sender<Option<Outcome>>,
    _place: OwnedSemaphorePermit,
}

impl Landing {
    async fn fly(self, stored: Arc<StoredHash>, password: Secret) {
        let Some(permit) = self.permit().await else {
            return;
        };
        let verifier = Arc::clone(&self.verifier);
        // Here: those threads have a clock of their own where a test stops this one.
        let now = Instant::now();
        let computed = verifier.threads.run(move || {
            // The computation owns the permit and the place: both are taken for as long as it runs, whatever becomes
            // of the tasks around it.
            let outcome = (self.verifier.matches)(&stored, password.expose());
            if let (Outcome::Match, Some(cache)) = (outcome, &self.verifier.cache) {
                cache.insert(self.key, now);
            }
            // First everything is given back, then it is said: who logs in next finds a place, and no failure.
            let flight = self.flight.clone();
            drop((self, permit));
            flight.send_replace(Some(outcome));
        });
        if let Err(error) = computed.await {
            tracing::error!(%error, "a password verification ended early");
        }
    }

    /// Waits for a permit, for as long as anybody waits for the outcome.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let acquire = Arc::clone(&self.verifier.permits).acquire_owned();
        tokio::pin!(acquire);
        loop {
            tokio::select! {
                // An error: closed, which nobody does.
                permit = &mut acquire => return permit.ok(),
                () = self.flight.closed() => {
                    let mut flights = self.verifier.flights.lock();
                    // Under the lock nobody can join: still alone means gone for good.
                    if self.flight.receiver_count() == 0 {
                        flights.remove(&self.key);
                        return None;
                    }
                }
            }
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut flights = self.verifier.flights.lock();
        if flights
            .get(&self.key)
            .is_some_and(|flight| flight.same_channel(&self.flight))
        {
            flights.remove(&self.key);
        }
    }
}

/// Whether a setting is in its range.
pub(super) fn bounded(
    name: &'static str,
    value: usize,
    min: usize,
    max: usize,
) -> Result<(), AuthSetupError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(AuthSetupError::OutOfRange {
            name,
            value,
            min,
            max,
        })
    }
}

#[cfg(test)]
mod tests;
