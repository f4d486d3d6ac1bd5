//! The subscriptions of a shard that wait for their replay, and how far the shard has seen each kind. Knows no bus, no
//! socket, no session and no frame.
//!
//! **Where a subscription begins.** Its command carries J₀, which was read by the rule of [`crate::delivery::heads`]. It begins
//! at J = max(J₀, seen) ([`Holding::begins`]): all up to J stands in front of the command in the mailbox and is not delivered
//! to it, and all behind J that matches comes behind it.
//!
//! **Order.** Held back, in the mailbox's order, are notifications and what the instance answers locally. [`Holding::release`]
//! gives what is to be written in one step: RECEIPT, then the replay, then what was held; only then may the subscription
//! join its group.
//!
//! **Positions.** What an instance makes itself takes the shard's [`Holding::seen`], never `done` of the heads: what that counts
//! may still stand behind it in the mailbox.
//!
//! **Cut.** What this instance lost ([`Holding::cut`]) ends every subscription of the kind, held or live, at its place in the
//! mailbox: no MESSAGE and no local answer for it any more, and its release gives nothing.

use std::collections::HashMap;
use std::hash::Hash;

use crate::envelope::{Kind, Position, Unrecovered};

/// How much may be held back for one subscription.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Bound {
    /// The most notifications.
    pub messages: usize,
    /// The most bytes of them. One always fits.
    pub bytes: usize,
}

/// What is held back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Waiting<M> {
    /// A notification, which has its own position.
    Notification(M),
    /// What the instance made itself, with the position that its `message-id` begins with.
    Local(Position, M),
}

/// What a RECEIPT says of a resumed subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Resumed {
    /// The position in front of the replay, or where live begins if nothing is replayed.
    pub position: Position,
    /// How many messages are replayed, or why nothing is (`recovered:false`).
    pub outcome: Result<usize, Unrecovered>,
}

/// What is to be written when a subscription is released, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Released<M> {
    /// The RECEIPT.
    pub receipt: Resumed,
    /// The replay.
    pub replay: Vec<M>,
    /// What came meanwhile.
    pub held: Vec<Waiting<M>>,
}

/// One subscription that waits.
#[derive(Debug, Clone)]
struct Held<T, M> {
    kind: Kind,
    target: T,
    /// Where its live part begins: J.
    begins: Position,
    waiting: Vec<Waiting<M>>,
    notifications: usize,
    bytes: usize,
    bound: Bound,
    has_overflowed: bool,
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
            notifications: 0,
            bytes: 0,
            bound,
            has_overflowed: false,
        };
        self.held.insert(key, held);
        begins
    }

    /// Holds a notification back for every subscription to `target` that waits and that `is_for` selects. `weight` is the
    /// notification's size in bytes.
    pub(crate) fn offer(
        &mut self,
        target: &T,
        weight: usize,
        is_for: impl Fn(K) -> bool,
        message: impl Fn() -> M,
    ) {
        let Some(keys) = self.keys.get(target) else {
            return;
        };
        for key in keys.iter().filter(|key| is_for(**key)) {
            if let Some(held) = self.held.get_mut(key) {
                held.offer(weight, &message);
            }
        }
    }

    /// Holds back what the instance made itself for the subscription `key`. Gives it back if that does not wait: then it is
    /// written at once.
    pub(crate) fn answer(&mut self, key: K, message: M) -> Option<M> {
        let seen = Kind::ALL.map(|kind| self.seen(kind));
        let Some(held) = self.held.get_mut(&key) else {
            return Some(message);
        };
        let [broadcast, user] = seen;
        let seen = match held.kind {
            Kind::Broadcast => broadcast,
            Kind::User => user,
        };
        held.waiting.push(Waiting::Local(seen, message));
        None
    }

    /// The replay of `key`, which was asked for behind `after`, has ended. Returns what is to be written, or `None` if the
    /// subscription does not wait any more: it was cut, or its session is gone.
    pub(crate) fn release(
        &mut self,
        key: K,
        after: Position,
        outcome: Result<Vec<M>, Unrecovered>,
    ) -> Option<Released<M>> {
        let held = self.remove(key)?;
        if held.has_overflowed {
            // Live begins here: what is left was made by the instance itself, and must not lead the client back.
            let position = held.begins.max(self.seen(held.kind));
            let locals = held.waiting.into_iter().map(|waiting| match waiting {
                Waiting::Local(_, message) => Waiting::Local(position, message),
                notification @ Waiting::Notification(_) => notification,
            });
            return Some(Released {
                receipt: Resumed {
                    position,
                    outcome: Err(Unrecovered::TooMany),
                },
                replay: Vec::new(),
                held: locals.collect(),
            });
        }
        let outcome = match after.epoch == held.begins.epoch {
            true => outcome,
            false => outcome.and(Err(Unrecovered::EpochChanged)),
        };
        let position = match &outcome {
            Ok(replay) if !replay.is_empty() => after,
            _ => held.begins,
        };
        let receipt = Resumed {
            position,
            outcome: outcome.as_ref().map(Vec::len).map_err(|reason| *reason),
        };
        Some(Released {
            receipt,
            replay: outcome.unwrap_or_default(),
            held: held.waiting,
        })
    }

    /// The subscription `key` ends before its replay does.
    pub(crate) fn forget(&mut self, key: K) {
        self.remove(key);
    }

    /// Everything of `kind` up to `base` that this shard has not seen is lost. Returns the subscriptions that waited. The
    /// shard ends them as it ends its live subscriptions of this kind.
    pub(crate) fn cut(&mut self, kind: Kind, base: Position) -> Vec<K> {
        *self.seen_mut(kind) = Some(base);
        let of_kind = self.held.iter().filter(|(_, held)| held.kind == kind);
        let keys: Vec<K> = of_kind.map(|(key, _)| *key).collect();
        for key in &keys {
            self.remove(*key);
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
    fn offer(&mut self, weight: usize, message: impl Fn() -> M) {
        if self.has_overflowed {
            return;
        }
        self.notifications += 1;
        self.bytes = self.bytes.saturating_add(weight);
        if self.notifications > self.bound.messages
            || (self.bytes > self.bound.bytes && self.notifications > 1)
        {
            self.has_overflowed = true;
            self.waiting
                .retain(|waiting| matches!(waiting, Waiting::Local(..)));
            return;
        }
        self.waiting.push(Waiting::Notification(message()));
    }
}

#[cfg(test)]
pub(crate) mod tests;
