//! The subscriptions of a shard that wait for their replay, and how far the shard has seen each kind. Knows no bus, no
//! socket, no session and no frame.
//!
//! **Where a subscription begins.** Its command carries J₀, which was read by the rule of [`crate::delivery::heads`].
//! It begins at J = max(J₀, seen) ([`Holding::begins`]): everything up to J is before the command in the mailbox and is
//! not delivered to it, and every match after J comes after the command.
//!
//! **Order.** Notifications and the instance's own answers are held, in the mailbox's order. [`Holding::piece`] returns
//! what is to be written in one step: with the first piece of the replay its RECEIPT, with the last one what was held
//! after it; only then may the subscription join its group.
//!
//! **Bound.** The held messages stay within a bound. Beyond it the notifications are dropped, and no more are held:
//! they are in the history as well. Once the replay has reached J, the beginning moves: J becomes what the shard has
//! seen, the replay continues up to there, and holding begins anew. So a client that reads faster than notifications
//! arrive catches up, however much there is, and nobody holds more than the bound. Messages of the instance itself are
//! in no history: they are never dropped, and beyond the bound the session is too slow ([`Answered::TooMuch`]).
//!
//! **Positions.** When the beginning moves, so do the waiting answers: each comes after everything that is replayed,
//! and must not lead the client back. A message of the instance itself takes the shard's [`Holding::seen`], never
//! `done` of the heads, which may count notifications that are still after it in the mailbox.
//!
//! **Cut.** A loss on this instance ([`Holding::cut`]) ends every subscription of the kind, held or live, at its place
//! in the mailbox: no MESSAGE and no local answer for it any more, and its next piece is empty.

use std::collections::HashMap;
use std::hash::Hash;

use crate::envelope::{Kind, Position, Unrecovered};

pub(crate) use parts::{Answered, Bound, Next, Piece, Resumed, Rooms, Waiting, Written};

mod parts;

/// One subscription that waits.
#[derive(Debug, Clone)]
struct Held<T, M> {
    kind: Kind,
    target: T,
    /// Where its live part begins: J.
    begins: Position,
    waiting: Vec<Waiting<M>>,
    /// The bytes of the notifications among them, and of the answers.
    bytes: usize,
    answer_bytes: usize,
    bound: Bound,
    /// Whether notifications were dropped since it began at J.
    has_overflowed: bool,
    /// Whether its RECEIPT has said `recovered:true`.
    is_promised: bool,
}

/// The subscriptions of a shard that wait, by their key, and what the shard has seen of each kind.
#[derive(Debug, Clone)]
pub(crate) struct Holding<K, T, M> {
    /// `None` before anything was seen.
    seen_broadcast: Option<Position>,
    seen_user: Option<Position>,
    held: HashMap<K, Held<T, M>>,
    keys: HashMap<T, Vec<K>>,
}

impl<K, T, M> Default for Holding<K, T, M> {
    fn default() -> Self {
        Self {
            seen_broadcast: None,
            seen_user: None,
            held: HashMap::new(),
            keys: HashMap::new(),
        }
    }
}

impl<K: Copy + Eq + Hash, T: Clone + Eq + Hash, M> Holding<K, T, M> {
    /// Whether nothing waits: then a walk needs to ask nothing else here.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether this subscription waits.
    #[cfg(test)]
    pub(crate) fn holds(&self, key: K) -> bool {
        self.held.contains_key(&key)
    }

    /// How far this shard has seen `kind`: the position of whatever the instance makes itself for a subscription of that
    /// kind. Never the default once there is one.
    pub(crate) fn seen(&self, kind: Kind) -> Position {
        let seen = match kind {
            Kind::Broadcast => self.seen_broadcast,
            Kind::User => self.seen_user,
        };
        seen.unwrap_or_default()
    }

    /// A notification at `position` was taken out of the mailbox. Of neighbours that are delivered together, the last.
    pub(crate) fn saw(&mut self, kind: Kind, position: Position) {
        *self.seen_mut(kind) = Some(position);
    }

    /// Where a subscription begins whose command carries `begun`: J. Its RECEIPT says so, and so does whatever the instance
    /// makes itself from now on.
    pub(crate) fn begins(&mut self, kind: Kind, begun: Position) -> Position {
        let begins = match self.seen_mut(kind) {
            // A cut reaches every shard before its epoch counts as handed over: what the shard has seen is the newer one.
            Some(seen) if seen.epoch != begun.epoch => *seen,
            Some(seen) => begun.max(*seen),
            None => begun,
        };
        *self.seen_mut(kind) = Some(begins);
        begins
    }

    /// A subscription begins that waits for its replay. Returns J. `key` must not be held already.
    pub(crate) fn hold(&mut self, key: K, kind: Kind, target: T, begun: Position, bound: Bound) -> Position {
        let begins = self.begins(kind, begun);
        self.keys.entry(target.clone()).or_default().push(key);
        let held = Held {
            kind,
            target,
            begins,
            waiting: Vec::new(),
            bytes: 0,
            answer_bytes: 0,
            bound,
            has_overflowed: false,
            is_promised: false,
        };
        self.held.insert(key, held);
        begins
    }

    /// Holds a notification back for every subscription to `target` that waits. `weight` is the notification's size in bytes.
    pub(crate) fn offer(
        &mut self,
        target: &T,
        weight: usize,
        rooms: &mut impl Rooms<K>,
        message: impl Fn() -> M,
    ) {
        for key in self.keys.get(target).into_iter().flatten() {
            if let Some(held) = self.held.get_mut(key) {
                held.offer(*key, weight, rooms, &message);
            }
        }
    }

    /// The subscriptions to `target` that wait.
    pub(crate) fn waiting_for(&self, target: &T) -> Vec<K> {
        self.keys.get(target).cloned().unwrap_or_default()
    }

    /// Holds back what the instance made itself for the subscription `key`, if that waits. `is_state`: it replaces whatever of
    /// this kind waits already.
    pub(crate) fn answer(
        &mut self,
        key: K,
        weight: usize,
        is_state: bool,
        rooms: &mut impl Rooms<K>,
        message: M,
    ) -> Answered {
        let seen = Kind::ALL.map(|kind| self.seen(kind));
        let Some(held) = self.held.get_mut(&key) else {
            return Answered::AtOnce;
        };
        let [broadcast, user] = seen;
        let seen = match held.kind {
            Kind::Broadcast => broadcast,
            Kind::User => user,
        };
        if is_state {
            held.waiting
                .retain(|waiting| matches!(waiting, Waiting::Notification(..)));
            rooms.free(key, std::mem::take(&mut held.answer_bytes));
        }
        if held.is_full(weight) || !rooms.take(key, weight) {
            held.overflow(key, rooms);
            if held.is_full(weight) || !rooms.take(key, weight) {
                return Answered::TooMuch;
            }
        }
        held.answer_bytes += weight;
        held.waiting.push(Waiting::Local(seen, message));
        Answered::Waits
    }

    /// A piece of the replay of `key`, which was asked for behind `after`, or why there is none. Returns what is to be
    /// written, or `None` if the subscription does not wait any more: it was cut, or its session is gone.
    pub(crate) fn piece(
        &mut self,
        key: K,
        after: Position,
        outcome: Result<Piece<M>, Unrecovered>,
    ) -> Option<Written<M>> {
        let held = self.held.get_mut(&key)?;
        let outcome = match after.epoch == held.begins.epoch {
            true => outcome,
            false => outcome.and(Err(Unrecovered::EpochChanged)),
        };
        let is_first = !held.is_promised;
        let (position, piece) = match outcome {
            Ok(piece) => match piece.messages.is_empty() {
                true => (held.begins, Ok(piece)),
                false => (after, Ok(piece)),
            },
            // Live begins here: what is left was made by the instance itself, and must not lead the client back.
            Err(reason) if held.has_overflowed => (self.move_on(key)?, Err(reason)),
            Err(reason) => (held.begins, Err(reason)),
        };
        let receipt = is_first.then(|| Resumed {
            position,
            outcome: piece
                .as_ref()
                .map(|piece| piece.messages.len().saturating_add(piece.behind))
                .map_err(|reason| *reason),
        });
        let held = self.held.get_mut(&key)?;
        held.is_promised = true;
        let from_stream = piece.as_ref().map_or(0, |piece| piece.from_stream);
        let (replay, next) = match piece {
            Err(reason) if !is_first => (Vec::new(), Next::Lost(reason)),
            Err(_) => (Vec::new(), Next::Live),
            Ok(piece) if piece.behind > 0 => {
                let (after, until) = (piece.reaches, held.begins);
                (piece.messages, Next::Read { after, until })
            }
            Ok(piece) if held.has_overflowed => {
                let (after, until) = (piece.reaches, self.move_on(key)?);
                (piece.messages, Next::Read { after, until })
            }
            Ok(piece) => (piece.messages, Next::Live),
        };
        let (held, freed) = match next {
            Next::Read { .. } => (Vec::new(), 0),
            Next::Live | Next::Lost(_) => {
                let held = self.remove(key)?;
                (held.waiting, held.bytes + held.answer_bytes)
            }
        };
        Some(Written {
            receipt,
            replay,
            from_stream,
            held,
            freed,
            next,
        })
    }

    /// Moves the beginning of `key` to what the shard has seen. All up to there is in front of what is held from now on.
    fn move_on(&mut self, key: K) -> Option<Position> {
        let held = self.held.get(&key)?;
        let begins = self.begins(held.kind, held.begins);
        let held = self.held.get_mut(&key)?;
        held.begins = begins;
        held.has_overflowed = false;
        for waiting in &mut held.waiting {
            if let Waiting::Local(position, _) = waiting {
                *position = begins;
            }
        }
        Some(begins)
    }

    /// The subscription `key` ends before its replay does.
    pub(crate) fn forget(&mut self, key: K, rooms: &mut impl Rooms<K>) {
        if let Some(held) = self.remove(key) {
            rooms.free(key, held.bytes + held.answer_bytes);
        }
    }

    /// Everything of `kind` up to `base` that this shard has not seen is lost. Returns the subscriptions that waited. The
    /// shard ends them as it ends its live subscriptions of this kind.
    pub(crate) fn cut(&mut self, kind: Kind, base: Position, rooms: &mut impl Rooms<K>) -> Vec<K> {
        *self.seen_mut(kind) = Some(base);
        let of_kind = self.held.iter().filter(|(_, held)| held.kind == kind);
        let keys: Vec<K> = of_kind.map(|(key, _)| *key).collect();
        for key in &keys {
            self.forget(*key, rooms);
        }
        keys
    }

    fn remove(&mut self, key: K) -> Option<Held<T, M>> {
        let held = self.held.remove(&key)?;
        if let Some(keys) = self.keys.get_mut(&held.target) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.keys.remove(&held.target);
            }
        }
        Some(held)
    }

    fn seen_mut(&mut self, kind: Kind) -> &mut Option<Position> {
        match kind {
            Kind::Broadcast => &mut self.seen_broadcast,
            Kind::User => &mut self.seen_user,
        }
    }
}

impl<T, M> Held<T, M> {
    fn offer<K: Copy>(&mut self, key: K, weight: usize, rooms: &mut impl Rooms<K>, message: impl Fn() -> M) {
        if self.has_overflowed {
            return;
        }
        if self.is_full(weight) || !rooms.take(key, weight) {
            self.overflow(key, rooms);
            return;
        }
        self.bytes += weight;
        self.waiting.push(Waiting::Notification(message()));
    }

    /// Whether one more of so many bytes is too much.
    fn is_full(&self, weight: usize) -> bool {
        let bytes = self
            .bytes
            .saturating_add(self.answer_bytes)
            .saturating_add(weight);
        self.waiting.len() >= self.bound.messages || bytes > self.bound.bytes
    }

    /// Drops the notifications: they are read from history.
    fn overflow<K>(&mut self, key: K, rooms: &mut impl Rooms<K>) {
        self.has_overflowed = true;
        self.waiting
            .retain(|waiting| matches!(waiting, Waiting::Local(..)));
        rooms.free(key, std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
pub(crate) mod tests;
