//! One shard: its part of the sessions, and the only one that writes to their sockets while nothing waits there. A walk
//! takes no lock and touches only the dense vectors unless a write comes up short. Knows no bus, no runtime and no thread;
//! what it is told comes through its mailbox, one command at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

use super::command::{Command, Delivery, Join, SessionKey, Subscription};
use super::counters::Counters;
use super::fanout::Frames;
use super::interest::Interest;
use super::members::{Place, Topics};
use super::outbox::{Outbox, TryWrite};
use super::trail::Trail;
use super::wheel::{Timer, Wheel};
use super::window::Window;
use super::wire::{AckMode, GroupKey};
use crate::close_reason::CloseReason;
use crate::destination::{Path, Target};
use crate::principal::{Principal, UserName};
use crate::stomp::Version;

mod acknowledge;
mod beat;
mod closing;
mod explain;
mod send;
mod walk;

/// Notifications that are delivered together.
pub(super) const BATCH_MAX: usize = super::fanout::FRAMES_PER_WRITE;
/// Sessions of a user up to which a notification to them is little work: about 30 µs.
const LITTLE_SESSIONS: usize = 4;

/// What a walk touches of a session, in one dense vector.
struct Hot {
    socket: Arc<dyn TryWrite>,
    /// The tick of the last write that the kernel took whole.
    last_write: u32,
    /// The session's task is the writer.
    blocked: bool,
}

/// The rest of a session, beside it under the same slot.
struct Session {
    key: SessionKey,
    outbox: Arc<Outbox>,
    id: Box<str>,
    principal: Principal,
    version: Version,
    send_after_ticks: u32,
    receive_ticks: u32,
    pinged: Option<u32>,
    address: std::net::IpAddr,
    since_ms: u64,
    subscriptions: Vec<Subscribed>,
}

struct Subscribed {
    number: u32,
    to: To,
    /// In the ack modes that acknowledge.
    window: Option<Box<Window>>,
}

enum To {
    Broadcast(Place),
    User {
        path: Path,
        id: Option<Arc<str>>,
        ack: AckMode,
    },
}

/// What all shards of an instance share or are told at the start.
pub(super) struct Setting {
    pub index: usize,
    pub interest: Arc<Interest>,
    pub counters: Arc<Counters>,
    pub clock: Arc<AtomicU32>,
    pub user_prefix: Path,
    pub grace_ticks: u32,
    pub trail: Arc<dyn Trail>,
    /// Whether `trail` records any notification.
    pub records: bool,
}

pub(super) struct Shard {
    setting: Setting,
    hot: Vec<Hot>,
    sessions: Vec<Option<Session>>,
    generations: Vec<u32>,
    vacant: Vec<u32>,
    by_key: HashMap<SessionKey, u32>,
    users: HashMap<UserName, Vec<u32>>,
    topics: Topics,
    wheel: Wheel,
    frames: Frames,
    /// Sessions that a walk found to be lost or too slow; ended after it.
    doomed: Vec<(u32, CloseReason)>,
    /// Sessions to be closed by a drain, shuffled once.
    leaving: Vec<SessionKey>,
}

/// A socket that takes nothing, for vacant slots: the real one must be gone before its descriptor is used again.
struct NoSocket;

impl TryWrite for NoSocket {
    fn try_write(&self, _: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::NotConnected.into())
    }
}

impl Shard {
    pub fn new(setting: Setting) -> Self {
        let now = setting.clock.load(Ordering::Relaxed);
        Self {
            setting,
            hot: Vec::new(),
            sessions: Vec::new(),
            generations: Vec::new(),
            vacant: Vec::new(),
            by_key: HashMap::new(),
            users: HashMap::new(),
            topics: Topics::default(),
            wheel: Wheel::new(now),
            frames: Frames::default(),
            doomed: Vec::new(),
            leaving: Vec::new(),
        }
    }

    /// Whether a notification to `target` is so little work that whoever brings it may do it.
    pub fn is_little(&self, target: &Target) -> bool {
        match target {
            Target::Broadcast(_) => false,
            Target::User { user, .. } => self.users.get(user).map_or(0, Vec::len) <= LITTLE_SESSIONS,
        }
    }

    /// Does what `command` says. To be followed by [`Shard::end_doomed`].
    pub fn handle(&mut self, command: Command) {
        match command {
            Command::Join(key, join, coming) => {
                self.join(key, *join);
                drop(coming);
            }
            Command::Subscribe(key, subscription, receipt, coming) => {
                self.subscribe(key, *subscription, receipt);
                // The index knows it by itself now.
                drop(coming);
            }
            Command::Unsubscribe(key, number, receipt) => self.unsubscribe(key, number, receipt),
            Command::Say(key, bytes) => {
                if let Some(slot) = self.by_key.get(&key) {
                    self.say(*slot, bytes);
                }
            }
            Command::Acknowledge(key, ack) => self.acknowledge(key, &ack),
            Command::Deliver(delivery) => self.deliver(&[delivery]),
            Command::DeliverTo(key, envelope) => self.deliver_to(key, &envelope),
            Command::Drained(key) => self.drained(key),
            Command::Close(key, reason, frames) => {
                if let Some(slot) = self.by_key.get(&key) {
                    self.end(*slot, reason, frames);
                }
            }
            Command::Leave(key) => {
                if let Some(slot) = self.by_key.get(&key) {
                    self.end(*slot, CloseReason::PeerGone, []);
                }
            }
            Command::CloseUser(user, reason) => self.close_user(&user, reason),
            Command::CloseWhere(which, reason) => self.close_where(&*which, reason),
            Command::CloseSome(count, reason, left) => {
                // An asker that is gone is no error.
                let _ = left.send(self.close_some(count, reason));
            }
            Command::Inspect(user, reply) => {
                let _ = reply.send(self.inspect(&user));
            }
            Command::UserOf(session, reply) => {
                let _ = reply.send(self.user_of(&session));
            }
            Command::Explain(target, max, reply) => {
                let _ = reply.send(self.explain(&target, max));
            }
            Command::OldestWaiting(reply) => {
                let _ = reply.send(self.oldest_waiting());
            }
            Command::Tick(now) => self.tick(now),
        }
    }

    fn join(&mut self, key: SessionKey, join: Join) {
        let user = join.principal.user().clone();
        let hot = Hot {
            socket: join.outbox.socket().clone(),
            last_write: self.wheel.now(),
            blocked: false,
        };
        let session = Session {
            key,
            outbox: join.outbox,
            id: join.session,
            principal: join.principal,
            version: join.version,
            send_after_ticks: super::wheel::send_after_ticks(join.send_every_ms),
            receive_ticks: super::wheel::ticks_of(join.receive_every_ms),
            pinged: None,
            address: join.address,
            since_ms: join.since_ms,
            subscriptions: Vec::new(),
        };
        let slot = match self.vacant.pop() {
            Some(slot) => {
                self.hot[slot as usize] = hot;
                self.sessions[slot as usize] = Some(session);
                slot
            }
            None => {
                self.hot.push(hot);
                self.sessions.push(Some(session));
                self.generations.push(0);
                self.hot.len() as u32 - 1
            }
        };
        self.by_key.insert(key, slot);
        let of_user = self.users.entry(user.clone()).or_default();
        of_user.push(slot);
        if of_user.len() == 1 {
            self.setting.interest.user_came(self.setting.index, &user);
        }
        self.setting.counters.sessions.fetch_add(1, Ordering::Relaxed);
        self.start_timers(slot);
        self.say(slot, join.connected);
    }

    fn subscribe(&mut self, key: SessionKey, subscription: Subscription, receipt: Option<Bytes>) {
        let Some(&slot) = self.by_key.get(&key) else {
            return;
        };
        let Some(session) = &mut self.sessions[slot as usize] else {
            return;
        };
        let Subscription {
            number,
            id,
            target,
            ack,
            prefetch,
        } = subscription;
        let window = Window::new(ack, prefetch).map(Box::new);
        let to = match target {
            Target::Broadcast(path) => {
                let group = GroupKey {
                    subscription: id,
                    version: session.version,
                    ack,
                };
                let place = self.topics.add(&path, group, slot);
                self.setting.interest.subscribed(self.setting.index, &path);
                To::Broadcast(place)
            }
            Target::User { path, .. } => To::User { path, id, ack },
        };
        super::reserve_one(&mut session.subscriptions);
        session.subscriptions.push(Subscribed { number, to, window });
        self.setting
            .counters
            .subscriptions
            .fetch_add(1, Ordering::Relaxed);
        // After the index knows, or a client that publishes on its RECEIPT would be dropped as unwanted; before any MESSAGE,
        // since only the shard writes (STOMP rule R3).
        if let Some(receipt) = receipt {
            self.say(slot, receipt);
        }
    }

    fn unsubscribe(&mut self, key: SessionKey, number: u32, receipt: Option<Bytes>) {
        let Some(&slot) = self.by_key.get(&key) else {
            return;
        };
        let Some(session) = &mut self.sessions[slot as usize] else {
            return;
        };
        if let Some(index) = session
            .subscriptions
            .iter()
            .position(|held| held.number == number)
        {
            let held = session.subscriptions.remove(index);
            let outbox = session.outbox.clone();
            if self.hot[slot as usize].blocked {
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
            acknowledge::drop_window(self, outbox, window);
        }
        self.setting
            .counters
            .subscriptions
            .fetch_sub(1, Ordering::Relaxed);
        let To::Broadcast(place) = held.to else { return };
        let Some(path) = self.topics.path(place).cloned() else {
            return;
        };
        let sessions = &mut self.sessions;
        let last = self.topics.remove(place, |slot, member| {
            let session = sessions.get_mut(slot as usize).and_then(Option::as_mut);
            for held in session.into_iter().flat_map(|session| &mut session.subscriptions) {
                match &mut held.to {
                    To::Broadcast(at) if (at.topic, at.group) == (place.topic, place.group) => {
                        at.member = member
                    }
                    _ => {}
                }
            }
        });
        self.setting
            .interest
            .unsubscribed(self.setting.index, &path, last);
    }

    fn drained(&mut self, key: SessionKey) {
        let Some(&slot) = self.by_key.get(&key) else {
            return;
        };
        // Not drained any more: something was pushed meanwhile, the task is awake and will say it again.
        if let Some(session) = &self.sessions[slot as usize]
            && session.outbox.is_drained()
        {
            self.hot[slot as usize].blocked = false;
        }
    }
}

/// The sizes of a session's place in the dense vector, of its entry, and of one subscription of that.
pub(super) fn sizes() -> [usize; 3] {
    [
        size_of::<Hot>(),
        size_of::<Option<Session>>(),
        size_of::<Subscribed>(),
    ]
}

/// The timer of `slot` in its present generation.
fn timer(slot: u32, generations: &[u32], duty: super::wheel::Duty) -> Timer {
    Timer {
        session: slot,
        generation: generations[slot as usize],
        duty,
    }
}

#[cfg(test)]
mod tests;
