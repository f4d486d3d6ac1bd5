//! How a shard ends sessions: first it removes them from every table, so that nothing more is made for them, then it
//! sends their last frames.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::Shard;
use crate::close_reason::CloseReason;
use crate::delivery::roster::{Session, Slot};
use crate::delivery::wire;
use crate::principal::{Principal, UserName};

/// When a session comes again that was too slow: long enough to spread many of them, short enough for a history that is short.
const RETRY_AFTER_MS: std::ops::RangeInclusive<u32> = 500..=4_500;

/// When a client should come again that is closed for `reason`, in ms, if that is known: to each one another time. What closes
/// one slow consumer closes many, and what they missed is read again for each.
pub(crate) fn retry_after_ms(reason: CloseReason) -> Option<String> {
    let is_behind = matches!(reason, CloseReason::SlowConsumer | CloseReason::HistoryGap);
    is_behind.then(|| fastrand::u32(RETRY_AFTER_MS).to_string())
}

impl Shard {
    /// Ends the session at `slot`, if there is one: the slot is then free, and its outbox closed behind
    /// `last_frames`.
    pub(super) fn end(
        &mut self,
        slot: Slot,
        reason: CloseReason,
        last_frames: impl IntoIterator<Item = Bytes>,
    ) {
        let Some(session) = self.roster.remove(slot) else {
            return;
        };
        let user = session.principal.user();
        // Each anonymous session has a name of its own.
        if !session.principal.is_anonymous() {
            let now = self.setting.clock.load(Ordering::Relaxed);
            self.ended.add(user, session.address, session.outbox.sent(), now);
        }
        if self.roster.of_user(user).is_empty() {
            self.setting.interest.user_went(self.setting.index, user);
        }
        for held in session.subscriptions {
            self.leave_topic(held, &session.outbox);
        }
        // Closing the outbox gives back what was held.
        self.resuming.leave(session.key, &self.roster);
        self.setting.counters.sessions.fetch_sub(1, Ordering::Relaxed);
        session.outbox.close(reason, last_frames);
    }

    /// Ends the sessions that walks and heart-beats found lost, too slow or silent.
    pub(crate) fn end_doomed(&mut self) {
        while let Some((slot, reason)) = self.doomed.pop() {
            if reason == CloseReason::SlowConsumer && self.roster.get(slot).is_some() {
                self.setting.counters.overflows.fetch_add(1, Ordering::Relaxed);
            }
            self.end_with_words(slot, reason);
        }
    }

    pub(super) fn close_user(&mut self, user: &UserName, reason: CloseReason) {
        let slots = self.roster.of_user(user).to_vec();
        for slot in slots {
            self.end_with_words(slot, reason);
        }
    }

    pub(super) fn close_of_user(
        &mut self,
        user: &UserName,
        which: impl Fn(&Session) -> bool,
        reason: CloseReason,
    ) {
        let mut slots = self.roster.of_user(user).to_vec();
        slots.retain(|slot| {
            let session = self.roster.get(*slot);
            session.is_some_and(|(_, session)| which(session))
        });
        for slot in slots {
            self.end_with_words(slot, reason);
        }
    }

    pub(super) fn close_where(&mut self, which: &dyn Fn(&Principal) -> bool, reason: CloseReason) {
        let sessions = self.roster.iter();
        let meant = sessions.filter(|(_, _, session)| which(&session.principal));
        let slots: Vec<Slot> = meant.map(|(slot, ..)| slot).collect();
        for slot in slots {
            self.end_with_words(slot, reason);
        }
    }

    /// Ends up to `count` sessions in random order. Returns how many are left.
    pub(super) fn close_some(&mut self, count: usize, reason: CloseReason) -> usize {
        if self.leaving.is_empty() {
            self.leaving = self.roster.keys().collect();
            fastrand::shuffle(&mut self.leaving);
        }
        for _ in 0..count {
            let Some(key) = self.leaving.pop() else { break };
            if let Some(slot) = self.roster.slot(key) {
                self.end_with_words(slot, reason);
            }
        }
        self.roster.len()
    }

    /// Ends `count` sessions, or all if there are fewer, picked at random. Returns how many.
    pub(super) fn close_exactly(&mut self, count: usize, reason: CloseReason) -> usize {
        let picked = fastrand::choose_multiple(self.roster.keys(), count);
        let slots: Vec<Slot> = picked.iter().filter_map(|key| self.roster.slot(*key)).collect();
        for slot in &slots {
            self.end_with_words(*slot, reason);
        }
        slots.len()
    }

    pub(super) fn end_with_words(&mut self, slot: Slot, reason: CloseReason) {
        let Some((_, session)) = self.roster.get(slot) else {
            return;
        };
        let words = match reason {
            CloseReason::SlowConsumer => {
                let (limit, bytes) = session.outbox.passed();
                format!("{}: over {bytes} bytes ({})", reason.words(), limit.name()).into()
            }
            _ => Cow::Borrowed(reason.words()),
        };
        let retry_after_ms = retry_after_ms(reason);
        let last_words = wire::last_words(reason, &words, retry_after_ms.as_deref(), session.version);
        self.end(slot, reason, last_words);
    }
}
