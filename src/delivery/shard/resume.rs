//! How a shard begins a subscription to a destination that history keeps: where it begins ([`super::held`] has the rule), what
//! its RECEIPT says, and, of one that resumes, what is written behind that. Knows no bus: who reads the replay is no matter
//! here.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use super::Shard;
use super::held::{Holding, Released, Resumed, Waiting};
use crate::delivery::command::{Hold, Receipt, Release, SessionKey, Subscription};
use crate::delivery::interest::Coming;
use crate::delivery::roster::Slot;
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

/// A subscription that is held. It is in no group and in no session's list.
struct Pending {
    subscription: Subscription,
    /// Until it has joined its group: notifications must come to this shard.
    coming: Option<Coming>,
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
    pub(crate) fn offer(&mut self, envelope: &Arc<Envelope>) {
        if !self.holding.is_empty() {
            let (target, weight) = (&envelope.target, envelope.weight());
            self.holding.offer(target, weight, |_| true, || envelope.clone());
        }
    }

    /// Gives what this instance made itself, for a destination that is kept, a position: how far this shard has come.
    pub(crate) fn place(&mut self, envelope: &mut Envelope) {
        self.local += 1;
        envelope.position = Some(self.holding.seen(Kind::of(&envelope.target)));
        envelope.local = NonZeroU64::new(self.local);
    }

    /// Everything of `kind` in front of `base` is lost. Returns the sessions whose subscriptions waited; they wait no more.
    pub(super) fn cut(&mut self, kind: Kind, base: Position) -> Vec<SessionKey> {
        let keys = self.holding.cut(kind, base);
        for key in &keys {
            self.pending.remove(key);
        }
        keys
    }

    /// The session has ended.
    pub(super) fn leave(&mut self, key: SessionKey) {
        if self.pending.remove(&key).is_some() {
            self.holding.forget(key);
        }
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.holding.is_empty() && self.pending.is_empty()
    }

    /// The subscription to `target` with which the session `key` waits for its replay, if it does.
    pub(super) fn waiting(&self, key: SessionKey, target: &Target) -> Option<&Subscription> {
        let pending = self.pending.get(&key)?;
        Some(&pending.subscription).filter(|subscription| subscription.target == *target)
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
        self.resuming.leave(key);
        let kind = Kind::of(&target);
        let position = self.resuming.holding.hold(key, kind, target, begun, bound);
        self.resuming
            .pending
            .insert(key, Pending { subscription, coming });
        // If nobody waits for it, the session is about to leave.
        let _ = begins.send(position);
    }

    /// Ends the hold in one step: the subscription joins its group, then the RECEIPT goes out, then the replay, then what
    /// was held.
    pub(super) fn release_held(&mut self, slot: Slot, release: Release) {
        let Some((_, session)) = self.roster.get(slot) else {
            return;
        };
        let (key, outbox) = (session.key, session.outbox.clone());
        outbox.release(release.room);
        let Some(Pending { subscription, coming }) = self.resuming.pending.remove(&key) else {
            return;
        };
        let released = self.resuming.holding.release(key, release.after, release.outcome);
        let Some(Released {
            receipt,
            replay,
            held,
        }) = released
        else {
            return;
        };
        let number = subscription.number;
        self.subscribe(slot, subscription);
        drop(coming);
        let Resumed { position, outcome } = receipt;
        self.setting.trail.resumed(outcome);
        self.say_receipt(slot, &release.receipt, Some(position), Some(outcome));
        self.write_run(slot, number, &replay);
        let held: Vec<Arc<Envelope>> = held.into_iter().map(placed).collect();
        self.write_run(slot, number, &held);
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
            self.resuming.holding.answer(key, envelope.clone());
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
