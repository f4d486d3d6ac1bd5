//! How a shard ends the subscriptions of a kind of which this instance has lost notifications: from their place in the
//! mailbox on nothing more is produced for them; their sessions are closed afterwards, in waves, and learn the reason
//! when they reconnect. Knows no bus.

use std::collections::HashSet;

use super::Shard;
use crate::close_reason::CloseReason;
use crate::delivery::command::SessionKey;
use crate::delivery::roster::{Session, Slot, Subscribed, To};
use crate::destination::Target;
use crate::envelope::{Kind, Position};

impl Shard {
    /// Ends every subscription of `kind`, held or live, in front of `base`: no MESSAGE, no local answer, no RECEIPT for it any
    /// more.
    pub(super) fn cut(&mut self, kind: Kind, base: Position) {
        let held = self.resuming.cut(kind, base, &self.roster);
        for slot in held
            .iter()
            .filter_map(|key| self.roster.slot(*key))
            .collect::<Vec<_>>()
        {
            self.strip_held(slot);
        }
        let mut keys: HashSet<SessionKey> = held.into_iter().collect();
        let affected = self.roster.iter().filter(|(_, _, session)| {
            let mut subscriptions = session.subscriptions.iter();
            subscriptions.any(|held| self.is_kept(session, held, kind))
        });
        let slots: Vec<Slot> = affected.map(|(slot, ..)| slot).collect();
        for slot in slots {
            keys.extend(self.roster.get(slot).map(|(_, session)| session.key));
            self.strip(slot, kind);
        }
        self.cut_off.extend(keys);
        fastrand::shuffle(&mut self.cut_off);
    }

    /// Ends up to `count` of the sessions that were cut off. Returns how many are left.
    pub(super) fn close_cut(&mut self, count: usize, reason: CloseReason) -> usize {
        for _ in 0..count {
            let Some(key) = self.cut_off.pop() else { break };
            if let Some(slot) = self.roster.slot(key) {
                self.end_with_words(slot, reason);
            }
        }
        self.cut_off.len()
    }

    /// Takes every subscription of `kind` that is kept from the session.
    fn strip(&mut self, slot: Slot, kind: Kind) {
        // What waits in the outbox stays: it lies in front of the gap.
        while let Some((_, session)) = self.roster.get(slot) {
            let mut subscriptions = session.subscriptions.iter();
            let Some(index) = subscriptions.position(|held| self.is_kept(session, held, kind)) else {
                return;
            };
            let Some((_, session)) = self.roster.get_mut(slot) else {
                return;
            };
            let (held, outbox) = (session.subscriptions.remove(index), session.outbox.clone());
            self.leave_topic(held, &outbox);
        }
    }

    /// Takes the subscription that waited from the session: it waits no more.
    fn strip_held(&mut self, slot: Slot) {
        let Some((_, session)) = self.roster.get_mut(slot) else {
            return;
        };
        let mut subscriptions = session.subscriptions.iter();
        if let Some(index) = subscriptions.position(|held| matches!(held.to, To::Held { .. })) {
            let (held, outbox) = (session.subscriptions.remove(index), session.outbox.clone());
            self.leave_topic(held, &outbox);
        }
    }

    fn is_kept(&self, session: &Session, held: &Subscribed, kind: Kind) -> bool {
        let target = match &held.to {
            To::Broadcast(place) if kind == Kind::Broadcast => {
                self.topics.path(place.group).cloned().map(Target::Broadcast)
            }
            To::User { path, .. } if kind == Kind::User => Some(Target::User {
                user: session.principal.user().clone(),
                path: path.clone(),
            }),
            _ => None,
        };
        target.is_some_and(|target| self.setting.kept.holds(&target))
    }
}
