//! One shard, which owns a part of the sessions. Only the shard writes to their sockets, unless something waits in the
//! outbox. Knows no bus, no runtime and no thread.
//!
//! **Order.** A shard executes the commands in its mailbox one at a time, and completes each before it starts the
//! next: the order of the mailbox is the order on the wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

use super::command::{Command, Join, Renewal, SessionCommand, SessionKey, Subscribe, Subscription, Whom};
use super::counters::Counters;
use super::fanout::write::{Sent, send_one};
use super::frames::Frames;
use super::interest::Interest;
use super::outbox::{Outbox, Outgoing};
use super::roster::{Roster, Session, Slot, Subscribed, To};
use super::sent::ended::Ended;
use super::topics::{Place, Topics};
use super::trail::Trail;
use super::wheel::Wheel;
use super::window::Window;
use super::wire::{AckMode, GroupKey};
use crate::close_reason::CloseReason;
use crate::destination::{Path, Target};
use crate::envelope::Kept;
use crate::stomp::Version;

use resume::Resuming;

mod acknowledge;
mod answer;
pub(crate) mod closing;
mod cut;
mod expiry;
pub(crate) mod held;
mod renew;
mod resume;
mod timers;

/// The most notifications that are delivered together.
pub(super) const BATCH_MAX: usize = super::frames::FRAMES_PER_WRITE;
/// Up to this many sessions of a user, a notification to the user is little work: about 30 µs.
const LITTLE_SESSIONS: usize = 4;

/// What all shards of an instance share, or receive when they start.
pub(super) struct Setting {
    pub index: usize,
    pub interest: Arc<Interest>,
    pub counters: Arc<Counters>,
    pub clock: Arc<AtomicU32>,
    pub user_prefix: Path,
    pub kept: Kept,
    pub grace_ticks: u32,
    /// `auth.token.remind`
    pub remind_ms: u64,
    /// The wall clock, in Unix ms: sessions end at wall-clock times.
    pub unix_ms: fn() -> u64,
    pub trail: Arc<dyn Trail>,
    /// Whether `trail` ever records a notification.
    pub records: bool,
}

pub(super) struct Shard {
    pub(super) setting: Setting,
    pub(super) roster: Roster,
    pub(super) topics: Topics,
    pub(super) wheel: Wheel,
    pub(super) frames: Frames,
    /// Sessions that were found lost or too slow during a delivery. They are ended after it.
    pub(super) doomed: Vec<(Slot, CloseReason)>,
    /// Sessions that a drain will close, shuffled once.
    leaving: Vec<SessionKey>,
    /// Sessions that lost a subscription through a cut, and have to be closed.
    cut_off: Vec<SessionKey>,
    /// What the clients of sessions that ended have SENT.
    ended: Ended,
    /// Subscriptions that wait for their replay, and this shard's progress in the notifications that history keeps.
    pub(super) resuming: Resuming,
}

impl Shard {
    pub(super) fn new(setting: Setting) -> Self {
        let now = setting.clock.load(Ordering::Relaxed);
        Self {
            setting,
            roster: Roster::default(),
            topics: Topics::default(),
            wheel: Wheel::new(now),
            frames: Frames::default(),
            doomed: Vec::new(),
            leaving: Vec::new(),
            cut_off: Vec::new(),
            ended: Ended::default(),
            resuming: Resuming::default(),
        }
    }

    /// Whether a notification to `target` is so little work that the sender's thread may do it.
    pub(super) fn is_little(&self, target: &Target) -> bool {
        match target {
            Target::Broadcast(_) => false,
            Target::User { user, .. } => self.roster.of_user(user).len() <= LITTLE_SESSIONS,
        }
    }

    /// Executes `command`. Call [`Shard::end_doomed`] afterwards.
    pub(super) fn handle(&mut self, command: Command) {
        match command {
            Command::Session(key, SessionCommand::Join(join, coming)) => {
                self.join(key, *join);
                // From here on, the index has the user.
                drop(coming);
            }
            Command::Session(key, command) => {
                // A session that has ended gets no more commands.
                if let Some(slot) = self.roster.slot(key) {
                    self.handle_for(slot, command);
                }
            }
            Command::Deliver(delivery) => self.deliver(&[delivery]),
            Command::End(Whom::User(user), reason) => self.close_user(&user, reason),
            Command::End(Whom::Since(user, since_ms), reason) => {
                self.close_of_user(&user, |session| session.since_ms <= since_ms, reason);
            }
            Command::End(Whom::OfUser(user, which), reason) => {
                self.close_of_user(&user, |session| which(&session.principal), reason);
            }
            Command::End(Whom::Where(which), reason) => self.close_where(&*which, reason),
            Command::End(Whom::Some(count, left), reason) => {
                // It is not an error if nobody waits for the answer.
                let _ = left.send(self.close_some(count, reason));
            }
            Command::End(Whom::Exactly(count, ended), reason) => {
                let _ = ended.send(self.close_exactly(count, reason));
            }
            Command::End(Whom::Cut(count, left), reason) => {
                let _ = left.send(self.close_cut(count, reason));
            }
            Command::Cut(kind, base) => self.cut(kind, base),
            Command::Ask(question) => question(self),
            Command::Tick(now) => self.tick(now),
        }
    }

    fn handle_for(&mut self, slot: Slot, command: SessionCommand) {
        match command {
            // A key is never reused, so this session is not in the roster yet.
            SessionCommand::Join(..) => {}
            SessionCommand::Subscribe(subscribe) => {
                let Subscribe {
                    subscription,
                    receipt,
                    coming,
                    begun,
                } = *subscribe;
                let begins = begun.map(|begun| self.resuming.begins(&subscription.target, begun));
                let target = subscription.target.clone();
                self.subscribe(slot, subscription);
                // From here on, the index has the subscription.
                drop(coming);
                // After the index has it, because otherwise the notification of a client that publishes on its RECEIPT
                // would be dropped as unwanted; before any MESSAGE, since only the shard writes (STOMP rule R3).
                if let Some(receipt) = receipt {
                    self.say_begun(slot, &receipt, begins);
                }
                self.remind_late(slot, &target);
            }
            SessionCommand::Hold(hold) => self.hold(slot, *hold),
            SessionCommand::Replay(piece, answer) => {
                if let Some(next) = self.write_piece(slot, *piece) {
                    // If nobody waits for it, the session is about to leave.
                    let _ = answer.send(next);
                }
            }
            SessionCommand::Renew(renewal) => {
                let Renewal {
                    principal,
                    judge,
                    lost,
                } = *renewal;
                // If nobody waits for it, the session is about to leave.
                let _ = lost.send(self.renew(slot, principal, &judge));
            }
            SessionCommand::Unsubscribe(number, receipt) => self.unsubscribe(slot, number, receipt),
            SessionCommand::Acknowledge(ack) => self.acknowledge(slot, &ack),
            SessionCommand::Say(bytes) => self.say(slot, bytes),
            SessionCommand::Deliver(envelope) => self.answer(slot, *envelope),
            SessionCommand::Drained => self.drained(slot),
            SessionCommand::Close(reason, last_messages) => self.end(slot, reason, last_messages),
            SessionCommand::Leave => self.end(slot, CloseReason::PeerGone, []),
        }
    }

    fn join(&mut self, key: SessionKey, join: Join) {
        let (user, connected) = (join.principal.user().clone(), join.connected.clone());
        let slot = self.roster.add(Session::new(key, join), self.wheel.now());
        if let [_] = self.roster.of_user(&user) {
            self.setting.interest.user_came(self.setting.index, &user);
        }
        self.setting.counters.sessions.fetch_add(1, Ordering::Relaxed);
        self.start_timers(slot);
        self.begin_life(slot);
        self.say(slot, connected);
    }

    fn subscribe(&mut self, slot: Slot, subscription: Subscription) {
        let Some((_, session)) = self.roster.get(slot) else {
            return;
        };
        let Subscription {
            number,
            id,
            target,
            ack,
            prefetch,
        } = subscription;
        let version = session.version;
        let to = self.joined(slot, &target, id, ack, version);
        self.list(slot, number, to, Window::new(ack, prefetch));
    }

    /// Adds a subscription that does not join a group yet: see [`Shard::go_live`].
    fn subscribe_held(&mut self, slot: Slot, subscription: Subscription) {
        let Subscription {
            number,
            id,
            target,
            ack,
            prefetch,
        } = subscription;
        let is_user = matches!(target, Target::User { .. });
        let to = To::Held { id, ack, is_user };
        self.list(slot, number, to, Window::new(ack, prefetch));
    }

    /// Makes a held subscription join its group.
    fn go_live(&mut self, slot: Slot, number: u32, target: &Target) {
        let Some((_, session)) = self.roster.get(slot) else {
            return;
        };
        let mut subscriptions = session.subscriptions.iter();
        let Some(index) = subscriptions.position(|held| held.number == number) else {
            return;
        };
        let To::Held { id, ack, .. } = &session.subscriptions[index].to else {
            return;
        };
        let (id, ack, version) = (id.clone(), *ack, session.version);
        let to = self.joined(slot, target, id, ack, version);
        if let Some((_, session)) = self.roster.get_mut(slot) {
            session.subscriptions[index].to = to;
        }
    }

    /// Makes a subscription to `target` live, and returns where it was added.
    fn joined(
        &mut self,
        slot: Slot,
        target: &Target,
        id: Option<Arc<str>>,
        ack: AckMode,
        version: Version,
    ) -> To {
        match target {
            Target::Broadcast(path) => {
                let group = GroupKey {
                    subscription: id,
                    version,
                    ack,
                };
                let place = self.topics.add(path, group, slot);
                self.setting.interest.subscribed(self.setting.index, path);
                To::Broadcast(place)
            }
            Target::User { path, .. } => To::User {
                path: path.clone(),
                id,
                ack,
            },
        }
    }

    fn list(&mut self, slot: Slot, number: u32, to: To, window: Option<Window>) {
        let Some((_, session)) = self.roster.get_mut(slot) else {
            return;
        };
        let window = window.map(Box::new);
        super::reserve_one(&mut session.subscriptions);
        session.subscriptions.push(Subscribed { number, to, window });
        self.setting
            .counters
            .subscriptions
            .fetch_add(1, Ordering::Relaxed);
    }

    fn unsubscribe(&mut self, slot: Slot, number: u32, receipt: Option<Bytes>) {
        if let Some((_, session)) = self.roster.get(slot)
            && self.resuming.is_held(session.key, number)
        {
            // Drops the rest of its replay.
            let key = session.key;
            self.resuming.leave(key, &self.roster);
        }
        let Some((hot, session)) = self.roster.get_mut(slot) else {
            return;
        };
        let mut subscriptions = session.subscriptions.iter();
        if let Some(index) = subscriptions.position(|held| held.number == number) {
            let held = session.subscriptions.remove(index);
            let outbox = session.outbox.clone();
            if hot.blocked {
                outbox.prune(number);
            }
            self.leave_topic(held, &outbox);
        }
        if let Some(receipt) = receipt {
            self.say(slot, receipt);
        }
    }

    fn leave_topic(&mut self, held: Subscribed, outbox: &Outbox) {
        if let Some(window) = &held.window {
            self.drop_window(outbox, window);
        }
        self.setting
            .counters
            .subscriptions
            .fetch_sub(1, Ordering::Relaxed);
        let To::Broadcast(place) = held.to else { return };
        let Some(path) = self.topics.path(place.group).cloned() else {
            return;
        };
        let roster = &mut self.roster;
        let group = place.group;
        let last = self.topics.remove(place, |slot, member, to| {
            if let Some((_, session)) = roster.get_mut(slot) {
                session.moved(Place { group, member }, to);
            }
        });
        self.setting
            .interest
            .unsubscribed(self.setting.index, &path, last);
    }

    /// Writes one message that is not a notification.
    fn say(&mut self, slot: Slot, bytes: Bytes) {
        let now = self.wheel.now();
        let Some((hot, session)) = self.roster.get_mut(slot) else {
            return;
        };
        if let Sent::Failed(reason) = send_one(hot, &session.outbox, Outgoing::plain(bytes), now) {
            self.doomed.push((slot, reason));
        }
    }

    fn drained(&mut self, slot: Slot) {
        // If it is no longer drained, something was pushed in the meantime; the task is awake and will report again.
        if let Some((hot, session)) = self.roster.get_mut(slot)
            && session.outbox.is_drained()
        {
            hot.blocked = false;
        }
    }
}

#[cfg(test)]
mod tests;
