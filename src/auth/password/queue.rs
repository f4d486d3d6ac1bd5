//! Decides whose turn it is to compute a hash, or to ask a backend: fair between addresses, in order of arrival within
//! one address, bounded in number and in time. Knows no user and no password, and uses a clock only to say when to try
//! again. A login is a `J`. A thread that has computed one takes the next, so that no core is idle between two.
//!
//! **Fair.** Start-time fair queueing: a login's round is one after that of its address's last login, and not before
//! the round being served. Turns go by round, then by arrival. An address with thousands of waiting logins costs an
//! address with one login a single turn. A full queue evicts the last in that order: the newest login of an address
//! that has most waiting.
//!
//! **Bounded in time.** A login that would wait longer than its client does is refused at once, so that the client goes
//! elsewhere and no hash is computed in vain. The expected wait follows from the CPU time of recent hashes. If the
//! estimate was too low, the login is taken out when its time is over ([`Queue::late`]).
//!
//! **When to try again.** Each refused client is told a different time, one hash after the other, as if it waited
//! outside.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limit::{AddressGroup, Limit};

mod cost;

use cost::Costs;
#[cfg(test)]
use cost::KNOWN_AFTER;
pub(in crate::auth) use cost::Kind;

/// The longest time that a client is told to stay away. A flood of refused logins pushes everyone's time up to this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// Why a login may not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::auth) struct Full {
    /// The limit that it would exceed.
    pub(in crate::auth) limit: Limit,
    /// When to try again.
    pub(in crate::auth) retry_after: Duration,
}

/// The order of turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    round: u64,
    /// Unique.
    arrival: u64,
}

/// The place of a waiting login.
#[derive(Debug, Clone, Copy)]
pub(in crate::auth) struct Place {
    rank: Rank,
    /// When its time is over. Its waiter then calls [`Queue::late`].
    pub(in crate::auth) until: Instant,
}

/// A permit, held for a login from this address. [`Queue::next`] returns it.
#[derive(Debug)]
#[must_use = "a permit that is not given back is lost"]
pub(in crate::auth) struct Turn(AddressGroup);

/// What happened to a login that arrived.
#[derive(Debug)]
pub(in crate::auth) enum Entered<J> {
    /// A permit is free. The caller makes sure that the hash is computed.
    Turn(Turn, J),
    /// The login waits. If the queue was full, holds the login that was evicted for it and what its client is told.
    Waits(Place, Option<(J, Full)>),
}

/// A waiting login.
struct Waiting<J> {
    address: AddressGroup,
    kind: Kind,
    login: J,
}

/// The logins of one address, waiting and computing. Kept as long as there are any, so that an address does not start
/// afresh by having one computed while the next arrives.
struct Lane {
    logins: usize,
    /// The round of the last login that arrived.
    round: u64,
}

struct State<J> {
    /// Empty while a permit is free.
    waiting: BTreeMap<Rank, Waiting<J>>,
    /// How many permits are taken.
    computing: usize,
    lanes: HashMap<AddressGroup, Lane>,
    /// The round of the last login whose turn came.
    round: u64,
    arrivals: u64,
    costs: Costs,
    /// When the last refused login is to return.
    told: Option<Instant>,
}

/// The queue. Nobody waits while a permit is free.
pub(in crate::auth) struct Queue<J> {
    permits: usize,
    length: usize,
    wait: Duration,
    hashing: RandomState,
    state: Mutex<State<J>>,
}

impl<J> Queue<J> {
    /// `permits` hashes are computed at the same time; `length` logins may wait, none longer than `wait`.
    pub(in crate::auth) fn new(permits: usize, length: usize, wait: Duration) -> Self {
        Self {
            permits,
            length,
            wait,
            hashing: RandomState::new(),
            state: Mutex::new(State {
                waiting: BTreeMap::new(),
                computing: 0,
                lanes: HashMap::new(),
                round: 0,
                arrivals: 0,
                costs: Costs::default(),
                told: None,
            }),
        }
    }

    /// A place in the queue, or a turn, for `login`, which came from `address`.
    ///
    /// # Errors
    /// The queue is full, in number or in time.
    pub(in crate::auth) fn enter(
        &self,
        address: AddressGroup,
        kind: Kind,
        login: J,
    ) -> Result<Entered<J>, Full> {
        let mut state = self.state.lock();
        let round = match state.lanes.get(&address) {
            Some(lane) => state.round.max(lane.round + 1),
            None => state.round,
        };
        state.arrivals += 1;
        let rank = Rank {
            round,
            arrival: state.arrivals,
        };
        if state.computing < self.permits {
            state.come(address, round);
            state.round = round;
            state.computing += 1;
            return Ok(Entered::Turn(Turn(address), login));
        }
        let pushed_out = match self.reached(&state) {
            None => None,
            Some(limit) => match state.waiting.last_key_value().map(|(last, _)| *last) {
                Some(last) if last > rank => self.take_out(&mut state, last, limit),
                _ => return Err(self.full(&mut state, kind, limit)),
            },
        };
        state.come(address, round);
        state.costs.came(kind);
        let waiting = Waiting { address, kind, login };
        state.waiting.insert(rank, waiting);
        let until = Instant::now() + self.wait;
        Ok(Entered::Waits(Place { rank, until }, pushed_out))
    }

    /// Passes `done`'s permit on to the login whose turn it is. `None`: nobody waits, and the permit is free.
    pub(in crate::auth) fn next(&self, done: Turn) -> Option<(Turn, J)> {
        let mut state = self.state.lock();
        state.leave(done.0);
        let Some((rank, next)) = state.waiting.pop_first() else {
            state.computing = state.computing.saturating_sub(1);
            // Clients that arrive now are served: nobody has to stay away.
            state.told = None;
            return None;
        };
        state.round = rank.round;
        state.costs.left(next.kind);
        Some((Turn(next.address), next.login))
    }

    /// Takes out a login that nobody waits for any more. `None`: its turn has come.
    pub(in crate::auth) fn leave(&self, place: Place) -> Option<J> {
        let mut state = self.state.lock();
        let waiting = state.waiting.remove(&place.rank)?;
        state.costs.left(waiting.kind);
        state.leave(waiting.address);
        Some(waiting.login)
    }

    /// Takes out a login whose time is over, with what its client is told. `None`: its turn has come.
    pub(in crate::auth) fn late(&self, place: Place) -> Option<(J, Full)> {
        self.take_out(&mut self.state.lock(), place.rank, Limit::LoginQueueTimeout)
    }

    /// Records the CPU time of one of this kind.
    pub(in crate::auth) fn computed(&self, kind: Kind, took: Duration) {
        self.state.lock().costs.computed(kind, took);
    }

    /// The limit that one more login in the queue would exceed.
    fn reached(&self, state: &State<J>) -> Option<Limit> {
        if state.waiting.len() >= self.length {
            return Some(Limit::LoginQueue);
        }
        let longest = self.step(state.costs.surely()?);
        (longest >= self.wait).then_some(Limit::LoginQueueTimeout)
    }

    /// The time in which all permits compute this much.
    fn step(&self, costs: Duration) -> Duration {
        costs / u32::try_from(self.permits).unwrap_or(u32::MAX)
    }

    fn take_out(&self, state: &mut State<J>, rank: Rank, limit: Limit) -> Option<(J, Full)> {
        let waiting = state.waiting.remove(&rank)?;
        state.costs.left(waiting.kind);
        state.leave(waiting.address);
        Some((waiting.login, self.full(state, waiting.kind, limit)))
    }

    /// What a refused client is told. The first is to return when half of the queue has been served, each further one a
    /// hash later; those that would have to stay away for too long return at random times.
    fn full(&self, state: &mut State<J>, kind: Kind, limit: Limit) -> Full {
        let now = Instant::now();
        let step = self.step(state.costs.of(kind));
        let first = now + self.step(state.costs.half()).min(RETRY_AFTER_MAX);
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

    /// How many compute and how many wait.
    #[cfg(test)]
    pub(in crate::auth) fn taken(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.computing, state.waiting.len())
    }
}

impl<J> State<J> {
    /// A login of this address has arrived, in this round.
    fn come(&mut self, address: AddressGroup, round: u64) {
        let lane = self.lanes.entry(address).or_insert(Lane { logins: 0, round });
        lane.logins += 1;
        lane.round = round;
    }

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

#[cfg(test)]
mod tests;
