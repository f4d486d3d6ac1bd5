//! How a shard answers an operator: who of its sessions would get a notification, and why not the others. Reads only.

use super::{Session, Shard, Subscribed, To};
use crate::delivery::explain::{Explained, Missed, Reached, Way, Why};
use crate::destination::{Path, Target};

/// Subscriptions named of a session that would not get it.
const SUBSCRIPTIONS_NAMED: usize = 16;

impl Shard {
    /// At most `max` in each list. Of a broadcast every session is looked at: for rare needs.
    pub(super) fn explain(&self, target: &Target, max: usize) -> Explained {
        let mut explained = Explained::default();
        match target {
            Target::Broadcast(_) => {
                for slot in 0..self.sessions.len() {
                    self.explain_slot(slot, target, max, &mut explained);
                }
            }
            Target::User { user, .. } => {
                for slot in self.users.get(user).into_iter().flatten() {
                    self.explain_slot(*slot as usize, target, max, &mut explained);
                }
            }
        }
        explained
    }

    fn explain_slot(&self, slot: usize, target: &Target, max: usize, into: &mut Explained) {
        let Some(session) = &self.sessions[slot] else {
            return;
        };
        let blocked = self.hot[slot].blocked;
        let mut is_reached = false;
        for held in &session.subscriptions {
            if self.is_for(&held.to, target) {
                is_reached = true;
                into.reached_count += 1;
                if into.reached.len() < max {
                    into.reached.push(self.reached(session, held, blocked));
                }
            }
        }
        if !is_reached {
            into.missed_count += 1;
            if into.missed.len() < max {
                into.missed.push(self.missed(session, target));
            }
        }
    }

    fn is_for(&self, to: &To, target: &Target) -> bool {
        match (to, target) {
            (To::Broadcast(place), Target::Broadcast(path)) => self.topics.path(*place) == Some(path),
            (To::User { path: own, .. }, Target::User { path, .. }) => own == path,
            _ => false,
        }
    }

    fn missed(&self, session: &Session, target: &Target) -> Missed {
        let (Target::Broadcast(path) | Target::User { path, .. }) = target;
        let is_namesake = |held: &Subscribed| self.path_of(&held.to) == Some(path);
        let why = match (session.subscriptions.iter().any(is_namesake), target) {
            (false, _) => Why::NotSubscribed,
            (true, Target::Broadcast(_)) => Why::SubscribedToUserDestination,
            (true, Target::User { .. }) => Why::SubscribedToBroadcast,
        };
        Missed {
            session: session.id.to_string(),
            user: session.principal.user().to_string(),
            why,
            subscriptions: session
                .subscriptions
                .iter()
                .filter_map(|held| self.as_subscribed(&held.to))
                .take(SUBSCRIPTIONS_NAMED)
                .collect(),
        }
    }

    fn path_of<'a>(&'a self, to: &'a To) -> Option<&'a Path> {
        match to {
            To::Broadcast(place) => self.topics.path(*place),
            To::User { path, .. } => Some(path),
        }
    }

    /// The destination as the client wrote it.
    pub(super) fn as_subscribed(&self, to: &To) -> Option<String> {
        match to {
            To::Broadcast(place) => self.topics.path(*place).map(ToString::to_string),
            To::User { path, .. } => Some(format!("{}{path}", self.setting.user_prefix)),
        }
    }

    fn reached(&self, session: &Session, held: &Subscribed, blocked: bool) -> Reached {
        let id = match &held.to {
            To::Broadcast(place) => self
                .topics
                .key(*place)
                .and_then(|key| key.subscription.as_deref()),
            To::User { id, .. } => id.as_deref(),
        };
        let window = held.window.as_deref();
        let way = match (window.is_some_and(|window| window.room() == 0), blocked) {
            (true, _) => Way::Held,
            (false, true) => Way::Queued,
            (false, false) => Way::AtOnce,
        };
        Reached {
            session: session.id.to_string(),
            user: session.principal.user().to_string(),
            subscription: id.map(ToOwned::to_owned),
            way,
            waiting_bytes: session.outbox.waiting().0 as u64,
            unacknowledged: window.map(|window| window.unacknowledged() as u64),
        }
    }
}
