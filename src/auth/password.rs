//! Passwords and the signatures of tokens, checked off the runtime by bounded work (docs/architecture.md, decision 6):
//! a few at a time, a bounded and fair queue in front of them, one computation for equal logins at the same time, and
//! accepted passwords that are remembered for a while. Knows no list of users, and of a token only what has to be
//! computed.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, Mac};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use sha2::Sha256;
use tokio::sync::watch;
use tokio::time::Instant;

use super::keys::KeyId;
use super::phc::{Memory, StoredHash};
use super::token::Refusal;
use super::{AuthSetupError, LoginConfig, phc};
use crate::limit::AddressGroup;
use crate::principal::Principal;
use crate::setting::Secret;

mod flight;
pub(super) mod queue;
mod threads;

pub(super) use flight::Flight;
use queue::{Entered, Place, Queue, Turn};
pub(super) use queue::{Full, Kind};
use threads::{Threads, cpu_time};

/// The identity of a login: a MAC under a key that only this process knows. Elsewhere it does not serve as a hash of a
/// password, and comparing two of them reveals nothing through timing.
type Key = [u8; 32];

/// The computation itself. Tests replace it by one that counts.
pub(super) type Matches = Box<dyn Fn(&StoredHash, &str) -> Outcome + Send + Sync>;

/// What has to be computed for a token.
pub(super) type Prove = Box<dyn FnOnce() -> Outcome + Send>;

/// The state of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Too many logins wait.
    Full(Full),
    /// [`Outcome::Unable`], or the process is ending.
    Unable,
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Match,
    Mismatch,
    /// A token, with the user whom it proves and the key.
    Token(Result<Proof, Refusal>),
    /// This machine could not compute the hash (no memory): the password is neither right nor wrong.
    Unable,
}

/// The user whom a token proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) principal: Principal,
    /// With this key of its issuer.
    pub(super) key: KeyId,
}

/// What is known of a password before it is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was right recently.
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
    /// Locked after `flights` where both are locked.
    queue: Queue<Verification>,
    /// The verifications in progress.
    flights: Mutex<HashMap<Key, UnderWay>>,
    matches: Matches,
}

/// What is computed for one login.
enum Work {
    Password(Arc<StoredHash>, Secret),
    Token(Prove),
}

impl Work {
    fn kind(&self) -> Kind {
        match self {
            Self::Password(..) => Kind::Password,
            Self::Token(_) => Kind::Token,
        }
    }
}

/// A login that waits for its turn.
struct Verification {
    key: Key,
    work: Work,
    /// When the login arrived. A success is remembered from then on: the hashing threads have a separate clock if a
    /// test stops the runtime's.
    since: Instant,
}

/// A verification as its waiters see it.
struct UnderWay {
    progress: watch::Sender<Progress>,
    /// `None` if its turn came at once.
    place: Option<Place>,
    /// How many waiters it still has.
    waiters: usize,
}

impl Verifier {
    /// A verifier within the bounds of `config`.
    pub(super) fn new(config: &LoginConfig) -> Result<Arc<Self>, AuthSetupError> {
        // At most `login.permits` buffers, kept for the life of the process.
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

    /// The same with a given computation.
    pub(super) fn with(config: &LoginConfig, matches: Matches) -> Result<Arc<Self>, AuthSetupError> {
        let permits = config.permits.unwrap_or((super::inline::cores() / 2).max(1));
        let mut key = [0; 32];
        for half in key.chunks_exact_mut(16) {
            half.copy_from_slice(&phc::random().map_err(AuthSetupError::Random)?);
        }
        let remembers = config.cache_entries > 0 && !config.cache_ttl.0.is_zero();
        Ok(Arc::new(Self {
            // HMAC accepts keys of any length.
            mac: Hmac::new_from_slice(&key).map_err(|_| AuthSetupError::Key)?,
            cache: remembers.then(|| Cache::new(config.cache_entries)),
            cache_ttl: config.cache_ttl.0,
            threads: Threads::new(permits).map_err(AuthSetupError::Threads)?,
            queue: Queue::new(permits, config.queue, config.queue_timeout.0),
            flights: Mutex::default(),
            matches,
        }))
    }

    /// What is known of `password` at the moment.
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

    /// Begins to check whether `password` matches `stored`, which belongs to `user` or is a decoy. If it has to wait,
    /// it waits among the logins from `address`.
    ///
    /// # Errors
    /// Fails at once if the queue is full.
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
            return Ok(self.flight(key, None, progress));
        }
        self.enter(address, key, || {
            Work::Password(Arc::clone(stored), password.clone())
        })
    }

    /// Begins to compute what `prove` does for the token with this digest.
    ///
    /// # Errors
    /// Fails at once if the queue is full.
    pub(super) fn begin_token(
        self: &Arc<Self>,
        address: AddressGroup,
        digest: &[u8; 32],
        prove: Prove,
    ) -> Result<Flight, Full> {
        self.enter(address, self.token_key(digest), || Work::Token(prove))
    }

    /// Whether an equal token is being checked.
    pub(super) fn is_token_under_way(&self, digest: &[u8; 32]) -> bool {
        let flights = self.flights.lock();
        !flights.is_empty() && flights.contains_key(&self.token_key(digest))
    }

    fn enter(
        self: &Arc<Self>,
        address: AddressGroup,
        key: Key,
        work: impl FnOnce() -> Work,
    ) -> Result<Flight, Full> {
        let mut flights = self.flights.lock();
        if let Some(open) = flights.get_mut(&key) {
            open.waiters += 1;
            return Ok(self.flight(key, open.place, open.progress.subscribe()));
        }
        let work = work();
        let kind = work.kind();
        let verification = Verification {
            key,
            work,
            since: Instant::now(),
        };
        let mut begun = Progress::Waiting;
        let (place, turn) = match self.queue.enter(address, kind, verification)? {
            Entered::Turn(turn, verification) => {
                begun = Progress::Computing;
                (None, Some((turn, verification)))
            }
            Entered::Waits(place, pushed_out) => {
                if let Some((verification, full)) = pushed_out {
                    refuse(&mut flights, &verification.key, full);
                }
                (Some(place), None)
            }
        };
        let (progress, receiver) = watch::channel(begun);
        let waiters = 1;
        flights.insert(
            key,
            UnderWay {
                progress,
                place,
                waiters,
            },
        );
        drop(flights);
        if let Some((turn, verification)) = turn {
            let verifier = Arc::clone(self);
            self.threads.run(move || verifier.compute(turn, verification));
        }
        Ok(self.flight(key, place, receiver))
    }

    fn flight(
        self: &Arc<Self>,
        key: Key,
        place: Option<Place>,
        progress: watch::Receiver<Progress>,
    ) -> Flight {
        Flight {
            verifier: Arc::clone(self),
            key,
            place,
            progress,
        }
    }

    /// Computes this hash, and then the next ones in turn until no login waits. One thread keeps one permit: no other
    /// thread has to wake between two hashes.
    fn compute(&self, mut turn: Turn, mut verification: Verification) {
        loop {
            let key = verification.key;
            let outcome = self.outcome(verification);
            let mut flights = self.flights.lock();
            let done = flights.remove(&key);
            let next = self.queue.next(turn);
            if let Some((_, verification)) = &next
                && let Some(called) = flights.get(&verification.key)
            {
                called.progress.send_replace(Progress::Computing);
            }
            drop(flights);
            // Last, so that a client that logs in as soon as it learns the result finds a free place, and no failure.
            if let Some(done) = done {
                done.progress.send_replace(Progress::Done(outcome));
            }
            match next {
                Some(next) => (turn, verification) = next,
                None => return,
            }
        }
    }

    fn outcome(&self, verification: Verification) -> Outcome {
        let Verification { key, work, since } = verification;
        let (before, kind) = (cpu_time(), work.kind());
        let compute = || match work {
            Work::Password(stored, password) => (self.matches)(&stored, password.expose()),
            Work::Token(prove) => prove(),
        };
        // A panic must not take the permit, and those that wait for it, down with it.
        let Ok(outcome) = caught(compute) else {
            return Outcome::Unable;
        };
        let took = cpu_time().saturating_sub(before);
        self.queue.computed(kind, took);
        if let (Outcome::Match, Some(cache)) = (&outcome, &self.cache) {
            cache.insert(key, since);
        }
        outcome
    }

    /// Lengths come first, so that no two different (user, stored, password) yield the same bytes.
    fn key(&self, user: &str, stored: &StoredHash, password: &Secret) -> Key {
        let mut mac = self.mac.clone();
        for part in [user, stored.text()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac.update(password.expose().as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Differs from every password's: the lengths in front of that are never so large.
    fn token_key(&self, digest: &[u8; 32]) -> Key {
        let mut mac = self.mac.clone();
        mac.update(&u64::MAX.to_be_bytes());
        mac.update(digest);
        mac.finalize().into_bytes().into()
    }

    fn remembers(&self, key: &Key) -> bool {
        let since = self.cache.as_ref().and_then(|cache| cache.get(key));
        since.is_some_and(|since| since.elapsed() < self.cache_ttl)
    }
}

/// The result of `compute`. A panic in it, and [`Outcome::Unable`], are [`NoOutcome::Unable`].
pub(super) fn caught(compute: impl FnOnce() -> Outcome) -> Result<Outcome, NoOutcome> {
    match catch_unwind(AssertUnwindSafe(compute)) {
        Ok(Outcome::Unable) => Err(NoOutcome::Unable),
        Ok(outcome) => Ok(outcome),
        Err(_) => {
            tracing::error!("a verification ended early");
            Err(NoOutcome::Unable)
        }
    }
}

/// Tells everyone who waits for this verification that its turn will not come.
fn refuse(flights: &mut HashMap<Key, UnderWay>, key: &Key, full: Full) {
    if let Some(open) = flights.remove(key) {
        open.progress.send_replace(Progress::Refused(full));
    }
}

#[cfg(test)]
mod tests;
