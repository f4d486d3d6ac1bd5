//! How a shard begins a subscription to a destination that history keeps: where it begins ([`super::held`] has the
//! rule), what its RECEIPT says, and, if it resumes, what is written after that, piece by piece. Knows no bus: it does
//! not matter who reads the replay.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use super::Shard;
use super::held::{Answered, Holding, Next, Resumed, Rooms, Waiting, Written};
use crate::close_reason::CloseReason;
use crate::delivery::command::{Hold, Piece, Receipt, SessionKey};
use crate::delivery::interest::Coming;
use crate::delivery::outbox::Pushed;
use crate::delivery::roster::{Roster, Slot};
use crate::delivery::wire;
use crate::destination::Target;
use crate::envelope::{Envelope, Kind, Position, Unrecovered};

/// What a shard knows of history. A session resumes one subscription at a time.
#[derive(Default)]
pub(crate) struct Resuming {
    holding: Holding<SessionKey, Target, Arc<Envelope>>,
    /// The subscriptions that are held.
    pending: HashMap<SessionKey, Pending>,
    /// How many messages this shard has given a position of its own.
    local: u64,
}

/// A subscription that is held. It is in its session's list and in no group.
struct Pending {
    number: u32,
    target: Target,
    /// Until it has joined its group: notifications must come to this shard.
    coming: Option<Coming>,
}

/// The outboxes of a shard's sessions: what is held back for one counts towards its bound.
struct Outboxes<'a>(&'a Roster);

impl Rooms<SessionKey> for Outboxes<'_> {
    fn take(&mut self, key: SessionKey, bytes: usize) -> bool {
        let session = self.0.slot(key).and_then(|slot| self.0.get(slot));
        session.is_some_and(|(_, session)| session.outbox.hold(bytes) == Pushed::Queued)
    }

    fn free(&mut self, key: SessionKey, bytes: usize) {
        if let Some((_, session)) = self.0.slot(key).and_then(|slot| self.0.get(slot)) {
            session.outbox.release(bytes);
        }
    }
}

impl Resuming {
    /// Where a subscription to `target` begins, whose command carries `begun`.
    pub(super) fn begins(&mut self, target: &Target, begun: Position) -> Position {
        self.holding.begins(Kind::of(target), begun)
    }

    /// This notification is delivered now.
    pub(crate) fn saw(&mut self, envelope: &Envelope) {
        if let Some((kind, position)) = envelope.stored_at().filter(|_| envelope.local.is_none()) {
            self.holding.saw(kind, position);
        }
    }

    /// Holds `envelope` back for whoever waits for its target.
    pub(crate) fn offer(&mut self, envelope: &Arc<Envelope>, roster: &Roster) {
        if !self.holding.is_empty() {
            let (target, weight) = (&envelope.target, envelope.weight());
            self.holding
                .offer(target, weight, &mut Outboxes(roster), || envelope.clone());
        }
    }

    /// The same of what this instance made itself. Returns the sessions for which too much waits.
    pub(crate) fn offer_own(&mut self, envelope: &Arc<Envelope>, roster: &Roster) -> Vec<SessionKey> {
        let mut waiting = match self.holding.is_empty() {
            true => Vec::new(),
            false => self.holding.waiting_for(&envelope.target),
        };
        let (rooms, weight) = (&mut Outboxes(roster), envelope.weight());
        waiting.retain(|key| {
            let answered = self.holding.answer(*key, weight, true, rooms, envelope.clone());
            answered == Answered::TooMuch
        });
        waiting
    }

    /// Gives what this instance made itself, for a destination that is kept, a position: how far this shard has come.
    pub(crate) fn place(&mut self, envelope: &mut Envelope) {
        self.local += 1;
        envelope.position = Some(self.holding.seen(Kind::of(&envelope.target)));
        envelope.local = NonZeroU64::new(self.local);
    }

    /// Everything of `kind` in front of `base` is lost. Returns the sessions whose subscriptions waited; they wait no more.
    pub(super) fn cut(&mut self, kind: Kind, base: Position, roster: &Roster) -> Vec<SessionKey> {
        let keys = self.holding.cut(kind, base, &mut Outboxes(roster));
        for key in &keys {
            self.pending.remove(key);
        }
        keys
    }

    /// The session has ended, or resumes another subscription.
    pub(super) fn leave(&mut self, key: SessionKey, roster: &Roster) {
        if self.pending.remove(&key).is_some() {
            self.holding.forget(key, &mut Outboxes(roster));
        }
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.holding.is_empty() && self.pending.is_empty()
    }

    /// Whether the subscription `number` of the session `key` waits for its replay.
    pub(super) fn is_held(&self, key: SessionKey, number: u32) -> bool {
        self.pending
            .get(&key)
            .is_some_and(|pending| pending.number == number)
    }

    /// The number of the subscription to `target` with which the session `key` waits for its replay, if it does.
    pub(super) fn waiting(&self, key: SessionKey, target: &Target) -> Option<u32> {
        let pending = self.pending.get(&key)?;
        (pending.target == *target).then_some(pending.number)
    }

    /// The target of the subscription `number` of the session `key`, if it waits for its replay.
    pub(super) fn target(&self, key: SessionKey, number: u32) -> Option<&Target> {
        let pending = self.pending.get(&key)?;
        (pending.number == number).then_some(&pending.target)
    }
}

impl Shard {
    /// Sends the RECEIPT of a subscription that is live now; `begins` is its position where history keeps the destination.
    pub(super) fn say_begun(&mut self, slot: Slot, receipt: &Receipt, begins: Option<Position>) {
        let outcome = receipt.refused.map(Err);
        if let Some(outcome) = outcome {
            self.setting.trail.resumed(outcome);
        }
        self.say_receipt(slot, &receipt.id, begins, outcome);
    }

    /// Subscribes, and holds what comes. A second one of the same session would be a fault of the session: it replaces the
    /// first.
    pub(super) fn hold(&mut self, slot: Slot, hold: Hold) {
        let Some((_, session)) = self.roster.get(slot) else {
            return;
        };
        let Hold {
            subscription,
            coming,
            begun,
            bound,
            begins,
        } = hold;
        let (key, target) = (session.key, subscription.target.clone());
        self.resuming.leave(key, &self.roster);
        let kind = Kind::of(&target);
        let position = self
            .resuming
            .holding
            .hold(key, kind, target.clone(), begun, bound);
        let number = subscription.number;
        self.subscribe_held(slot, subscription);
        let pending = Pending {
            number,
            target,
            coming,
        };
        self.resuming.pending.insert(key, pending);
        // If nobody waits for it, the session is about to leave.
        let _ = begins.send(position);
    }

    /// Writes a piece of a replay, the first one behind its RECEIPT. With the last one the hold ends in one step: the subscription
    /// joins its group, then all is written, what was held last. Returns how it goes on, unless the session or the hold has ended.
    pub(super) fn write_piece(&mut self, slot: Slot, piece: Piece) -> Option<Next> {
        let (_, session) = self.roster.get(slot)?;
        let (key, outbox) = (session.key, session.outbox.clone());
        outbox.release(piece.room);
        let written = self.resuming.holding.piece(key, piece.after, piece.outcome);
        let written = written?;
        let number = self.resuming.pending.get(&key)?.number;
        let Written {
            receipt,
            replay,
            from_stream,
            held,
            freed,
            next,
        } = written;
        outbox.release(freed);
        if let Next::Live | Next::Lost(_) = next
            && let Some(pending) = self.resuming.pending.remove(&key)
        {
            if next == Next::Live {
                self.go_live(slot, number, &pending.target);
            }
            // The index now knows the subscription itself.
            drop(pending.coming);
        }
        if let Some(Resumed { position, outcome }) = receipt {
            self.setting.trail.resumed(outcome);
            self.say_receipt(slot, &piece.receipt, Some(position), Some(outcome));
        }
        match next {
            Next::Lost(_) => self.doomed.push((slot, CloseReason::HistoryGap)),
            Next::Live | Next::Read { .. } => {
                let from_tail = replay.len().saturating_sub(from_stream);
                self.setting.trail.replayed(from_tail, from_stream);
                self.write_run(slot, number, &replay, true);
                let held: Vec<Arc<Envelope>> = held.into_iter().map(placed).collect();
                self.write_run(slot, number, &held, false);
            }
        }
        Some(next)
    }

    fn say_receipt(
        &mut self,
        slot: Slot,
        id: &str,
        position: Option<Position>,
        outcome: Option<Result<usize, Unrecovered>>,
    ) {
        let Some((_, session)) = self.roster.get(slot) else {
            return;
        };
        let position = position.map(|position| position.to_string());
        let replayed = outcome.and_then(Result::ok).map(|count| count.to_string());
        let mut headers: Vec<(&str, &str)> = Vec::new();
        if let Some(position) = &position {
            headers.push(("position", position));
        }
        match outcome {
            None => {}
            Some(Ok(_)) => headers.push(("recovered", "true")),
            Some(Err(reason)) => headers.extend([("recovered", "false"), ("reason", reason.as_str())]),
        }
        if let Some(replayed) = &replayed {
            headers.push(("replayed", replayed));
        }
        let receipt = wire::receipt(id, &headers, session.version);
        self.say(slot, receipt);
    }

    /// Delivers an answer that this instance made to one session only, on its user's destination.
    pub(super) fn answer(&mut self, slot: Slot, mut envelope: Envelope) {
        if self.setting.kept.holds(&envelope.target) {
            self.resuming.place(&mut envelope);
        }
        let envelope = Arc::new(envelope);
        let Some((_, session)) = self.roster.get(slot) else {
            return;
        };
        let key = session.key;
        if self.resuming.waiting(key, &envelope.target).is_some() {
            let rooms = &mut Outboxes(&self.roster);
            let weight = envelope.weight();
            let answered = self
                .resuming
                .holding
                .answer(key, weight, false, rooms, envelope.clone());
            if answered == Answered::TooMuch {
                self.doomed.push((slot, CloseReason::SlowConsumer));
            }
        }
        self.deliver_to(slot, &envelope);
    }
}

/// What was held, with the position that it has in the end.
fn placed(waiting: Waiting<Arc<Envelope>>) -> Arc<Envelope> {
    match waiting {
        Waiting::Notification(envelope) => envelope,
        Waiting::Local(position, mut envelope) => {
            if envelope.position != Some(position) {
                Arc::make_mut(&mut envelope).position = Some(position);
            }
            envelope
        }
    }
}
