//! How a shard ends sessions: out of every table first, so that nothing more is made for them, then their last words.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::{NoSocket, Shard};
use crate::close_reason::CloseReason;
use crate::delivery::command::SessionView;
use crate::delivery::wire;
use crate::principal::{Principal, UserName};

impl Shard {
    /// Ends the session at `slot`, if one is there: the slot is free afterwards, its outbox closed behind `last_frames`.
    pub(super) fn end(
        &mut self,
        slot: u32,
        reason: CloseReason,
        last_frames: impl IntoIterator<Item = Bytes>,
    ) {
        let Some(session) = self.sessions[slot as usize].take() else {
            return;
        };
        self.hot[slot as usize].socket = Arc::new(NoSocket);
        self.generations[slot as usize] = self.generations[slot as usize].wrapping_add(1);
        self.vacant.push(slot);
        self.by_key.remove(&session.key);
        let user = session.principal.user();
        if let Some(of_user) = self.users.get_mut(user) {
            of_user.retain(|held| *held != slot);
            if of_user.is_empty() {
                self.users.remove(user);
                self.setting.interest.user_went(self.setting.index, user);
            }
        }
        for held in session.subscriptions {
            self.leave_topic(held, &session.outbox);
        }
        self.setting.counters.sessions.fetch_sub(1, Ordering::Relaxed);
        session.outbox.close(reason, last_frames);
    }

    /// Ends what walks and heart-beats found to be lost, too slow or silent.
    pub fn end_doomed(&mut self) {
        while let Some((slot, reason)) = self.doomed.pop() {
            if reason == CloseReason::SlowConsumer && self.sessions[slot as usize].is_some() {
                self.setting.counters.overflows.fetch_add(1, Ordering::Relaxed);
            }
            self.end_with_words(slot, reason);
        }
    }

    pub(super) fn close_user(&mut self, user: &UserName, reason: CloseReason) {
        for slot in self.users.get(user).cloned().unwrap_or_default() {
            self.end_with_words(slot, reason);
        }
    }

    pub(super) fn close_where(&mut self, which: &dyn Fn(&Principal) -> bool, reason: CloseReason) {
        let meant = |session: &super::Session| which(&session.principal);
        for slot in 0..self.sessions.len() {
            if self.sessions[slot].as_ref().is_some_and(meant) {
                self.end_with_words(slot as u32, reason);
            }
        }
    }

    /// Ends up to `count` sessions in a random order; gives how many are left.
    pub(super) fn close_some(&mut self, count: usize, reason: CloseReason) -> usize {
        if self.leaving.is_empty() {
            self.leaving = self.by_key.keys().copied().collect();
            fastrand::shuffle(&mut self.leaving);
        }
        for _ in 0..count {
            let Some(key) = self.leaving.pop() else { break };
            if let Some(&slot) = self.by_key.get(&key) {
                self.end_with_words(slot, reason);
            }
        }
        self.by_key.len()
    }

    fn end_with_words(&mut self, slot: u32, reason: CloseReason) {
        let Some(session) = &self.sessions[slot as usize] else {
            return;
        };
        let words = match reason {
            CloseReason::SlowConsumer => {
                let (limit, bytes) = session.outbox.passed();
                format!("{}: over {bytes} bytes ({})", reason.words(), limit.name()).into()
            }
            _ => Cow::Borrowed(reason.words()),
        };
        let last_words = wire::last_words(reason, &words, session.version);
        self.end(slot, reason, last_words);
    }

    /// How long the oldest frame that waits for one of the sessions has waited.
    pub(super) fn oldest_waiting(&self) -> Duration {
        let lagging = self.hot.iter().zip(&self.sessions).filter(|(hot, _)| hot.blocked);
        let oldest = lagging
            .filter_map(|(_, session)| session.as_ref()?.outbox.waiting().1)
            .min();
        oldest.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Whose the session `id` is. Looks at every session: for rare needs.
    pub(super) fn user_of(&self, id: &str) -> Option<UserName> {
        let found = self.sessions.iter().flatten().find(|session| *session.id == *id);
        found.map(|session| session.principal.user().clone())
    }

    pub(super) fn inspect(&self, user: &UserName) -> Vec<SessionView> {
        let slots = self.users.get(user).into_iter().flatten();
        let sessions = slots.filter_map(|slot| self.sessions[*slot as usize].as_ref());
        let view = sessions.map(|session| SessionView {
            session: session.id.to_string(),
            since_ms: session.since_ms,
            address: session.address,
            subscriptions: session
                .subscriptions
                .iter()
                .filter_map(|held| self.as_subscribed(&held.to))
                .collect(),
        });
        view.collect()
    }
}
