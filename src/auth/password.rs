//! Passwords checked off the runtime with bounded work (docs/architecture.md, decision 6): a few hashes at
//! once, a queue before them that is bounded and fair, equal logins at the same time share one hash, and a success is
//! remembered for a while. Knows no user list.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, Mac};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use sha2::Sha256;
use tokio::sync::watch;
use tokio::time::Instant;

use super::phc::{Memory, StoredHash};
use super::{AuthSetupError, LoginConfig, phc};
use crate::config::secret::Secret;
use crate::limit::AddressGroup;

mod queue;
mod threads;

pub(super) use queue::Full;
use queue::{Place, Queue};
use threads::{Threads, cpu_time};

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

/// How far a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Its turn has not come.
    Waiting,
    Computing,
    Done(Outcome),
    /// Its turn will not come.
    Refused(Full),
}

/// Why there is no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoOutcome {
    /// Too many wait.
    Full(Full),
    /// [`Outcome::Unable`], or the end of the process.
    Unable,
}

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
    queue: Arc<Queue>,
    /// Verifications that are under way, each with the channel that its outcome comes on.
    flights: Mutex<HashMap<Key, watch::Sender<Progress>>>,
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
            queue: Queue::new(permits, config.queue, config.queue_timeout.0),
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

    /// Begins to check whether `password` fits `stored`, which is `user`'s or a decoy. What has to wait does so among
    /// the logins from `address`.
    ///
    /// # Errors
    /// At once, where as many wait already as may.
    pub(super) fn begin(
        self: &Arc<Self>,
        address: AddressGroup,
        user: &str,
        stored: &Arc<StoredHash>,
        password: &Secret,
    ) -> Result<Flight, Full> {
        let key = self.key(user, stored, password);
        if self.remembers(&key) {
            let (_, progress) = watch::channel(Progress::Done(Outcome::Match));
            return Ok(Flight(progress));
        }
        let (progress, landing) = self.join(key, address)?;
        if let Some((landing, place)) = landing {
            // Not under the lock: a runtime that shuts down drops the task here, and its drop takes the lock.
            tokio::spawn(landing.fly(place, Arc::clone(stored), password.clone()));
        }
        Ok(Flight(progress))
    }

    /// Joins the verification known by `key`, or opens one that the caller has to start.
    #[expect(clippy::type_complexity, reason = "taken apart by its only caller")]
    fn join(
        self: &Arc<Self>,
        key: Key,
        address: AddressGroup,
    ) -> Result<(watch::Receiver<Progress>, Option<(Landing, Place)>), Full> {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(&key) {
            return Ok((flight.subscribe(), None));
        }
        let place = self.queue.enter(address)?;
        let (flight, progress) = watch::channel(Progress::Waiting);
        flights.insert(key, flight.clone());
        let landing = Landing {
            verifier: Arc::clone(self),
            key,
            flight,
        };
        Ok((progress, Some((landing, place))))
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

/// A verification that somebody waits for.
///
/// Dropped, the interest in it is given up. A verification that nobody is interested in leaves the queue; one
/// that computes already runs to its end (a thread cannot be stopped) and then frees its permit.
pub(super) struct Flight(watch::Receiver<Progress>);

impl Flight {
    /// Whether the password was or is being tried.
    pub(super) fn tried(&self) -> bool {
        matches!(*self.0.borrow(), Progress::Computing | Progress::Done(_))
    }

    /// Whether the password fits.
    pub(super) async fn matches(&mut self) -> Result<bool, NoOutcome> {
        let ended = |progress: &Progress| matches!(progress, Progress::Done(_) | Progress::Refused(_));
        match self.0.wait_for(ended).await.as_deref() {
            Ok(Progress::Done(Outcome::Match)) => Ok(true),
            Ok(Progress::Done(Outcome::Mismatch)) => Ok(false),
            Ok(Progress::Refused(full)) => Err(NoOutcome::Full(*full)),
            // An error: the flight ended without an outcome, as at the end of the runtime.
            _ => Err(NoOutcome::Unable),
        }
    }
}

/// One verification under way. However it ends (an outcome, a panic, the end of the runtime), its drop takes it off the
/// list.
struct Landing {
    verifier: Arc<Verifier>,
    key: Key,
    flight: watch::Sender<Progress>,
}

impl Landing {
    async fn fly(self, place: Place, stored: Arc<StoredHash>, password: Secret) {
        let permit = match self.turn(place).await {
            Some(Ok(permit)) => permit,
            Some(Err(full)) => {
                let flight = self.flight.clone();
                drop(self);
                flight.send_replace(Progress::Refused(full));
                return;
            }
            None => return,
        };
        self.flight.send_replace(Progress::Computing);
        let verifier = Arc::clone(&self.verifier);
        // Here: those threads have a clock of their own where a test stops this one.
        let now = Instant::now();
        let computed = verifier.threads.run(move || {
            // The computation owns the permit: it is taken for as long as it runs, whatever becomes of the tasks
            // around it.
            let before = cpu_time();
            let outcome = (self.verifier.matches)(&stored, password.expose());
            self.verifier.queue.computed(cpu_time().saturating_sub(before));
            if let (Outcome::Match, Some(cache)) = (outcome, &self.verifier.cache) {
                cache.insert(self.key, now);
            }
            // First everything is given back, then it is said: who logs in next finds a place, and no failure.
            let flight = self.flight.clone();
            drop((self, permit));
            flight.send_replace(Progress::Done(outcome));
        });
        if let Err(error) = computed.await {
            tracing::error!(%error, "a password verification ended early");
        }
    }

    /// Waits for its turn, for as long as anybody waits for the outcome.
    async fn turn(&self, place: Place) -> Option<Result<Place, Full>> {
        let turn = place.turn();
        tokio::pin!(turn);
        loop {
            tokio::select! {
                turn = &mut turn => return Some(turn),
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
