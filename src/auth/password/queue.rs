//! Whose turn it is to compute a hash: fair between addresses, in the order they came within one, bounded in number and
//! in time. Knows no user and no password.
//!
//! **Fair.** Start-time fair queueing: a login's round is one after that of its address's last one, and not before the
//! one that is served now; turns go by round, then by arrival. Who has thousands waiting costs an address that has one
//! a single turn. A full queue pushes out its last in that order, the newest of an address that has most before it.
//!
//! **Bounded in time.** A login that would wait for longer than its client does is refused at once, so that the
//! client goes elsewhere and no hash is computed for nobody. How long it would wait follows from the CPU time of the
//! last hashes; where that was too good a guess, the login is refused at the end of its time.
//!
//! **When to come again.** Each refused client is told another time, one hash after the other, as if it waited outside.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::limit::{AddressGroup, Limit};

/// What a hash is taken to cost before one has been computed.
const UNKNOWN_HASH: Duration = Duration::from_millis(20);
/// One part in so many of a hash's time above the estimate goes into it; one below it is the estimate.
const RISES_BY_ONE_IN: u32 = 64;
/// Nobody is refused for the time that it would take before so many were computed: the first ones, in cold memory and on
/// cores that a storm's handshakes want as well, take many times what the next ones do.
const KNOWN_AFTER: u32 = 16;
/// Nobody is told to stay away for longer. A flood of refused logins pushes the times of all others up to here.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// Why a login does not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::auth) struct Full {
    /// The setting that it would pass.
    pub(in crate::auth) limit: Limit,
    /// When to come again.
    pub(in crate::auth) retry_after: Duration,
}

/// The order of turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    round: u64,
    /// Unique.
    arrival: u64,
}

/// One that waits.
struct Waiting {
    address: AddressGroup,
    turn: oneshot::Sender<Result<(), Full>>,
}

/// Those of one address, waiting and computing. Kept as long as there are any, so that nobody begins anew by having one
/// computed while the next one comes.
struct Lane {
    logins: usize,
    /// Of the last one that came.
    round: u64,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<Rank, Waiting>,
    /// Arrivals of those whose turn it is: at most as many as there are permits.
    computing: HashSet<u64>,
    lanes: HashMap<AddressGroup, Lane>,
    /// Of the last one whose turn came.
    round: u64,
    arrivals: u64,
    /// CPU time of a hash, rather too little than too much: who waits in vain has waited, and who is sent away in vain
    /// leaves cores idle.
    hash_time: Option<Duration>,
    /// Hashes computed, up to [`KNOWN_AFTER`].
    known: u32,
    /// When the last one that was refused is to come again.
    told: Option<Instant>,
}

/// The queue. Shared as `Arc<Queue>`. While a permit is free nobody waits.
pub(super) struct Queue {
    permits: usize,
    length: usize,
    wait: Duration,
    hashing: RandomState,
    state: Mutex<State>,
}

impl Queue {
    /// `permits` compute at once; `length` wait, none for longer than `wait`.
    pub(super) fn new(permits: usize, length: usize, wait: Duration) -> Arc<Self> {
        Arc::new(Self {
            permits,
            length,
            wait,
            hashing: RandomState::new(),
            state: Mutex::default(),
        })
    }

    /// A place in the queue for a login that comes from `address`.
    pub(super) fn enter(self: &Arc<Self>, address: AddressGroup) -> Result<Place, Full> {
        let (sender, turn) = oneshot::channel();
        let mut state = self.state.lock();
        let round = match state.lanes.get(&address) {
            Some(lane) => state.round.max(lane.round + 1),
            None => state.round,
        };
        state.arrivals += 1;
        let arrival = state.arrivals;
        let rank = Rank { round, arrival };
        if state.computing.len() >= self.permits
            && let Some(limit) = self.reached(&state)
        {
            match state.waiting.last_key_value() {
                Some((last, _)) if *last > rank => self.push_out_last(&mut state, limit),
                _ => return Err(self.full(&mut state, limit)),
            }
        }
        let lane = state.lanes.entry(address).or_insert(Lane { logins: 0, round });
        lane.logins += 1;
        lane.round = round;
        state.waiting.insert(
            rank,
            Waiting {
                address,
                turn: sender,
            },
        );
        self.call(&mut state);
        drop(state);
        Ok(Place {
            queue: Arc::clone(self),
            address,
            rank,
            turn,
        })
    }

    /// A hash took so much CPU time.
    pub(super) fn computed(&self, took: Duration) {
        let mut state = self.state.lock();
        state.known = (state.known + 1).min(KNOWN_AFTER);
        state.hash_time = Some(match state.hash_time {
            Some(estimate) if estimate < took => estimate + (took - estimate) / RISES_BY_ONE_IN,
            _ => took,
        });
    }

    /// The limit that one more in the queue would pass.
    fn reached(&self, state: &State) -> Option<Limit> {
        let waiting = state.waiting.len();
        if waiting >= self.length {
            return Some(Limit::LoginQueue);
        }
        let step = self.step(state.hash_time.filter(|_| state.known == KNOWN_AFTER)?);
        let longest = u32::try_from(waiting).unwrap_or(u32::MAX);
        (step.saturating_mul(longest) >= self.wait).then_some(Limit::LoginQueueTimeout)
    }

    /// From one turn to the next, while all permits compute.
    fn step(&self, hash_time: Duration) -> Duration {
        hash_time / u32::try_from(self.permits).unwrap_or(u32::MAX)
    }

    fn push_out_last(&self, state: &mut State, limit: Limit) {
        if let Some((_, last)) = state.waiting.pop_last() {
            state.leave(last.address);
            let full = self.full(state, limit);
            // Gone meanwhile: nobody to tell.
            let _ = last.turn.send(Err(full));
        }
    }

    /// What a refused login is told. The first is to come when half of the queue has been served, each further one a
    /// hash later; those who would have to stay away for too long come at random.
    fn full(&self, state: &mut State, limit: Limit) -> Full {
        let now = Instant::now();
        let step = self.step(state.hash_time.unwrap_or(UNKNOWN_HASH));
        let half = u32::try_from(state.waiting.len() / 2).unwrap_or(u32::MAX);
        let first = now + step.saturating_mul(half).min(RETRY_AFTER_MAX);
        let next = state.told.map_or(first, |told| first.max(told + step));
        let mut retry_after = next.duration_since(now);
        if retry_after <= RETRY_AFTER_MAX {
            state.told = Some(next);
        } else {
            let most = RETRY_AFTER_MAX / 2;
            let share = self.hashing.hash_one((state.arrivals, now)) >> 32;
            retry_after = most + most.mul_f64(share as f64 / f64::from(u32::MAX));
        }
        Full { limit, retry_after }
    }

    /// Gives the free permits to those whose turn it is.
    fn call(&self, state: &mut State) {
        while state.computing.len() < self.permits {
            let Some((rank, next)) = state.waiting.pop_first() else {
                // Whoever comes now is served: nobody has to stay away.
                state.told = None;
                return;
            };
            state.round = rank.round;
            state.computing.insert(rank.arrival);
            // One that goes away at this moment gives its permit back itself.
            let _ = next.turn.send(Ok(()));
        }
    }

    /// How many compute and how many wait.
    #[cfg(test)]
    pub(super) fn taken(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.computing.len(), state.waiting.len())
    }
}

impl State {
    /// One of this address is done, or gone.
    fn leave(&mut self, address: AddressGroup) {
        if let Some(lane) = self.lanes.get_mut(&address) {
            lane.logins = lane.logins.saturating_sub(1);
            if lane.logins == 0 {
                self.lanes.remove(&address);
            }
        }
    }
}

/// A login's place, from the queue to the end of its computation. Dropped, it is given up.
pub(super) struct Place {
    queue: Arc<Queue>,
    address: AddressGroup,
    rank: Rank,
    turn: oneshot::Receiver<Result<(), Full>>,
}

impl Place {
    /// Waits for its turn; what comes of it is the permit, held until it is dropped.
    ///
    /// # Cancel safety
    /// Dropping the future gives the place up.
    pub(super) async fn turn(mut self) -> Result<Self, Full> {
        let deadline = Instant::now() + self.queue.wait;
        match timeout_at(deadline, &mut self.turn).await {
            Ok(Ok(Ok(()))) => Ok(self),
            Ok(Ok(Err(full))) => Err(full),
            // No answer is left when the time is over or the queue is gone, which it cannot be.
            Ok(Err(_)) | Err(_) => {
                let queue = Arc::clone(&self.queue);
                drop(self);
                Err(queue.full(&mut queue.state.lock(), Limit::LoginQueueTimeout))
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        let computed = state.computing.remove(&self.rank.arrival);
        // Neither: it was pushed out, and has left already.
        if computed || state.waiting.remove(&self.rank).is_some() {
            state.leave(self.address);
        }
        if computed {
            self.queue.call(&mut state);
        }
    }
}

#[cfg(test)]
mod tests;
