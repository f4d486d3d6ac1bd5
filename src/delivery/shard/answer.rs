//! How a shard answers questions about its sessions: whose they are, how far they lag, and which would get a
//! notification. Reads only.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Shard;
use crate::delivery::command::{SenderView, SessionKey, SessionView};
use crate::delivery::explain::{Explained, Missed, Reached, Way, Why};
use crate::delivery::roster::{Hot, Session, Subscribed, To};
use crate::delivery::sent::users::{UserSent, sum};
use crate::delivery::sent::{By, SentView, keep_first};
use crate::destination::{Path, Target};
use crate::principal::{Principal, UserName};

/// How many subscriptions are named of a session that would not get the notification.
const SUBSCRIPTIONS_NAMED: usize = 16;

impl Shard {
    /// The sessions of `user`.
    pub(crate) fn sessions_of(&self, user: &UserName) -> Vec<SessionView> {
        let slots = self.roster.of_user(user).iter();
        let sessions = slots.filter_map(|slot| self.roster.get(*slot));
        let views = sessions.map(|(_, session)| SessionView {
            session: session.id.to_string(),
            since_ms: session.since_ms,
            address: session.address,
            subscriptions: session
                .subscriptions
                .iter()
                .filter_map(|held| self.as_subscribed(session, held))
                .collect(),
            sent: Some(self.sent(session)),
        });
        views.collect()
    }

    fn sent(&self, session: &Session) -> SentView {
        let now = self.setting.clock.load(Ordering::Relaxed);
        session.outbox.sent().view(now)
    }

    /// The sessions that have sent most, at most `most` of them. Walks every session: for rare needs.
    pub(crate) fn senders(&self, by: By, most: usize) -> Vec<SenderView> {
        let mut senders: Vec<(SentView, &Session)> = Vec::new();
        for (_, _, session) in self.roster.iter() {
            let sent = self.sent(session);
            if sent.frames > 0 {
                senders.push((sent, session));
            }
            // Sorted now and then, not at each session.
            if senders.len() > most.saturating_mul(4) {
                keep_first(&mut senders, by, most, |(sent, _)| *sent);
            }
        }
        keep_first(&mut senders, by, most, |(sent, _)| *sent);
        let view = |(sent, session): (SentView, &Session)| SenderView {
            session: session.id.to_string(),
            user: session.principal.user().clone(),
            since_ms: session.since_ms,
            address: session.address,
            sent,
        };
        senders.into_iter().map(view).collect()
    }

    /// The users who have sent most, at most `most` of them, in open sessions and in those that ended lately. Walks every
    /// session: for rare needs.
    pub(crate) fn sending_users(&self, by: By, most: usize) -> Vec<UserSent> {
        let sessions = self.roster.iter().map(|(_, _, session)| UserSent {
            user: session.principal.user().clone(),
            address: session.address,
            sessions: 1,
            ended: 0,
            sent: self.sent(session),
        });
        let sessions = sessions.filter(|one| one.sent.frames > 0);
        let now = self.setting.clock.load(Ordering::Relaxed);
        sum(sessions.chain(self.ended.at(now)), by, most)
    }

    /// The address of the client of the session `key`.
    pub(crate) fn address_of(&self, key: SessionKey) -> Option<IpAddr> {
        let (_, session) = self.roster.get(self.roster.slot(key)?)?;
        Some(session.address)
    }

    /// Whom the session `id` belongs to. Walks every session: for rare needs.
    pub(crate) fn principal_of(&self, id: &str) -> Option<Principal> {
        let mut sessions = self.roster.iter();
        let found = sessions.find(|(_, _, session)| *session.id == *id);
        found.map(|(_, _, session)| session.principal.clone())
    }

    /// How long the oldest frame of any session has been waiting; zero if none waits.
    pub(crate) fn oldest_waiting(&self) -> Duration {
        let lagging = self.roster.iter().filter(|(_, hot, _)| hot.blocked);
        let oldest = lagging
            .filter_map(|(_, _, session)| session.outbox.waiting().1)
            .min();
        oldest.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Which sessions would get a notification to `target`, and why not the others; at most `max` in each list. For a
    /// broadcast it walks every session: for rare needs.
    pub(crate) fn explain(&self, target: &Target, max: usize) -> Explained {
        let mut explained = Explained::default();
        match target {
            Target::Broadcast(_) => {
                for (_, hot, session) in self.roster.iter() {
                    self.explain_session(hot, session, target, max, &mut explained);
                }
            }
            Target::User { user, .. } => {
                let slots = self.roster.of_user(user).iter();
                for (hot, session) in slots.filter_map(|slot| self.roster.get(*slot)) {
                    self.explain_session(hot, session, target, max, &mut explained);
                }
            }
        }
        explained
    }

    fn explain_session(
        &self,
        hot: &Hot,
        session: &Session,
        target: &Target,
        max: usize,
        into: &mut Explained,
    ) {
        let mut is_reached = false;
        for held in &session.subscriptions {
            if self.is_for(session, held, target) {
                is_reached = true;
                into.reached_count += 1;
                if into.reached.len() < max {
                    into.reached.push(self.reached(session, held, hot.blocked));
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

    fn is_for(&self, session: &Session, held: &Subscribed, target: &Target) -> bool {
        match (&held.to, target) {
            (To::Held { .. }, _) => self.resuming.waiting(session.key, target) == Some(held.number),
            (To::Broadcast(place), Target::Broadcast(path)) => self.topics.path(place.group) == Some(path),
            (To::User { path: own, .. }, Target::User { path, .. }) => own == path,
            _ => false,
        }
    }

    fn missed(&self, session: &Session, target: &Target) -> Missed {
        let (Target::Broadcast(path) | Target::User { path, .. }) = target;
        let is_namesake = |held: &Subscribed| self.path_of(session, held) == Some(path);
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
                .filter_map(|held| self.as_subscribed(session, held))
                .take(SUBSCRIPTIONS_NAMED)
                .collect(),
        }
    }

    fn path_of<'a>(&'a self, session: &Session, held: &'a Subscribed) -> Option<&'a Path> {
        match &held.to {
            To::Broadcast(place) => self.topics.path(place.group),
            To::User { path, .. } => Some(path),
            To::Held { .. } => match self.resuming.target(session.key, held.number)? {
                Target::Broadcast(path) | Target::User { path, .. } => Some(path),
            },
        }
    }

    /// The destination as the client wrote it.
    pub(super) fn as_subscribed(&self, session: &Session, held: &Subscribed) -> Option<String> {
        let path = self.path_of(session, held)?;
        match held.to {
            To::Broadcast(_) | To::Held { is_user: false, .. } => Some(path.to_string()),
            To::User { .. } | To::Held { is_user: true, .. } => {
                Some(format!("{}{path}", self.setting.user_prefix))
            }
        }
    }

    fn reached(&self, session: &Session, held: &Subscribed, blocked: bool) -> Reached {
        let id = match &held.to {
            To::Broadcast(place) => self
                .topics
                .key(place.group)
                .and_then(|key| key.subscription.as_deref()),
            To::User { id, .. } | To::Held { id, .. } => id.as_deref(),
        };
        let window = held.window.as_deref();
        let way = match (&held.to, window.is_some_and(|window| window.room() == 0), blocked) {
            (To::Held { .. }, ..) => Way::Resuming,
            (_, true, _) => Way::Held,
            (_, false, true) => Way::Queued,
            (_, false, false) => Way::AtOnce,
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
