//! The sessions of one shard, and the slot of each by key and by user. The data that a delivery needs is in one
//! dense vector. Knows no command, no mailbox and no frame.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::command::{Join, SessionKey};
use super::heartbeat;
use super::life::Life;
use super::outbox::{Outbox, TryWrite};
use super::topics::{GroupId, Place};
use super::window::Window;
use super::wire::AckMode;
use crate::destination::Path;
use crate::principal::{Principal, UserName};
use crate::stomp::Version;

/// The place of a session. When the session ends, the next one takes its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(u32);

impl Slot {
    /// The slot of no session.
    pub(super) const NONE: Self = Self(u32::MAX);

    fn index(self) -> usize {
        self.0 as usize
    }

    #[cfg(test)]
    pub(super) fn of(index: u32) -> Self {
        Self(index)
    }
}

/// A slot for as long as one session holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tenancy {
    /// The slot.
    pub slot: Slot,
    generation: u32,
}

impl Tenancy {
    #[cfg(test)]
    pub(super) fn of(slot: Slot) -> Self {
        Self { slot, generation: 0 }
    }
}

/// What a walk touches of a session.
pub(super) struct Hot {
    /// The session's socket.
    pub socket: Arc<dyn TryWrite>,
    /// The tick of the last write that the kernel took whole.
    pub last_write: u32,
    /// Something waits in the outbox: the session's task is the writer.
    pub blocked: bool,
}

/// The rest of a session.
pub(super) struct Session {
    /// Its number in this process.
    pub key: SessionKey,
    /// Its write side.
    pub outbox: Arc<Outbox>,
    /// The value of CONNECTED's `session` header.
    pub id: Box<str>,
    /// The session's principal.
    pub principal: Principal,
    /// The negotiated version.
    pub version: Version,
    /// Send a heart-beat after this many ticks without a write. 0: never.
    pub send_after_ticks: u32,
    /// Expect a byte at least every this many ticks. 0: never.
    pub receive_ticks: u32,
    /// The tick of the last ping.
    pub pinged: Option<NonZeroU32>,
    /// When it ends by itself.
    pub life: Life,
    /// The client's address.
    pub address: IpAddr,
    /// When the session began, in Unix ms.
    pub since_ms: u64,
    /// Its subscriptions, in the order of its SUBSCRIBEs.
    pub subscriptions: Vec<Subscribed>,
}

/// One subscription.
pub(super) struct Subscribed {
    /// The session's own number for it.
    pub number: u32,
    /// Its destination.
    pub to: To,
    /// The unacknowledged MESSAGEs, in the ack modes that acknowledge.
    pub window: Option<Box<Window>>,
}

/// The destination of a subscription.
pub(super) enum To {
    /// A broadcast destination: the place among its members.
    Broadcast(Place),
    /// A destination of the session's own user.
    User {
        /// Without the prefix.
        path: Path,
        /// The `id` header of SUBSCRIBE.
        id: Option<Arc<str>>,
        /// The `ack` header of SUBSCRIBE.
        ack: AckMode,
    },
    /// One of these whose replay is being written. What comes for it is held back, so it is in no group and has no path.
    Held {
        /// The `id` header of SUBSCRIBE.
        id: Option<Arc<str>>,
        /// The `ack` header of SUBSCRIBE.
        ack: AckMode,
        /// Whether it is a destination of the session's own user.
        is_user: bool,
    },
}

impl Session {
    /// The session that `join` describes, with no subscription.
    pub(super) fn new(key: SessionKey, join: Join) -> Self {
        Self {
            key,
            outbox: join.outbox,
            id: join.session,
            principal: join.principal,
            version: join.version,
            send_after_ticks: heartbeat::send_after_ticks(join.send_every_ms),
            receive_ticks: heartbeat::ticks_of(join.receive_every_ms),
            pinged: None,
            life: Life::default(),
            address: join.address,
            since_ms: join.since_ms,
            subscriptions: Vec::new(),
        }
    }

    /// Its subscription at `place` is the member `member` of the same group from now on.
    pub(super) fn moved(&mut self, place: Place, member: u32) {
        for held in &mut self.subscriptions {
            match &mut held.to {
                To::Broadcast(at) if *at == place => at.member = member,
                _ => {}
            }
        }
    }

    /// Its own number of its subscription among the members of `group`.
    pub(super) fn number_in(&self, group: GroupId) -> u32 {
        let mut held = self.subscriptions.iter();
        held.find(|held| matches!(held.to, To::Broadcast(place) if place.group == group))
            .map_or(0, |held| held.number)
    }
}

/// All sessions of one shard.
#[derive(Default)]
pub(super) struct Roster {
    hot: Vec<Hot>,
    /// Indexed by the same slots as `hot`. `None` if the slot is vacant.
    sessions: Vec<Option<Session>>,
    /// Indexed by the same slots: how many sessions had the slot before.
    generations: Vec<u32>,
    vacant: Vec<Slot>,
    by_key: HashMap<SessionKey, Slot>,
    by_user: HashMap<UserName, Vec<Slot>>,
}

impl Roster {
    /// Adds a session at tick `now`.
    pub(super) fn add(&mut self, session: Session, now: u32) -> Slot {
        let (key, user) = (session.key, session.principal.user().clone());
        let hot = Hot {
            socket: session.outbox.socket().clone(),
            last_write: now,
            blocked: false,
        };
        let slot = match self.vacant.pop() {
            Some(slot) => {
                self.hot[slot.index()] = hot;
                self.sessions[slot.index()] = Some(session);
                slot
            }
            None => {
                self.hot.push(hot);
                self.sessions.push(Some(session));
                self.generations.push(0);
                Slot(self.hot.len() as u32 - 1)
            }
        };
        self.by_key.insert(key, slot);
        self.by_user.entry(user).or_default().push(slot);
        slot
    }

    /// Removes the session at `slot`, if there is one: it is in no table afterwards.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<Session> {
        let session = self.sessions[slot.index()].take()?;
        self.hot[slot.index()].socket = Arc::new(NoSocket);
        let generation = &mut self.generations[slot.index()];
        *generation = generation.wrapping_add(1);
        self.vacant.push(slot);
        self.by_key.remove(&session.key);
        let user = session.principal.user();
        if let Some(of_user) = self.by_user.get_mut(user) {
            of_user.retain(|held| *held != slot);
            if of_user.is_empty() {
                self.by_user.remove(user);
            }
        }
        Some(session)
    }

    /// The slot of the session `key`.
    pub(super) fn slot(&self, key: SessionKey) -> Option<Slot> {
        self.by_key.get(&key).copied()
    }

    /// The session at `slot`.
    pub(super) fn get(&self, slot: Slot) -> Option<(&Hot, &Session)> {
        let session = self.sessions[slot.index()].as_ref()?;
        Some((&self.hot[slot.index()], session))
    }

    /// The session at `slot`, to be changed.
    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<(&mut Hot, &mut Session)> {
        let session = self.sessions[slot.index()].as_mut()?;
        Some((&mut self.hot[slot.index()], session))
    }

    /// What a walk touches of the session at `slot`. The socket of a vacant slot accepts nothing.
    #[inline]
    pub(super) fn hot(&mut self, slot: Slot) -> &mut Hot {
        &mut self.hot[slot.index()]
    }

    /// The slots of the sessions of `user`, oldest first.
    pub(super) fn of_user(&self, user: &UserName) -> &[Slot] {
        self.by_user.get(user).map_or(&[], Vec::as_slice)
    }

    /// All sessions.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Hot, &Session)> {
        let beside = self.hot.iter().zip(&self.sessions);
        (0..)
            .zip(beside)
            .filter_map(|(slot, (hot, session))| Some((Slot(slot), hot, session.as_ref()?)))
    }

    /// The keys of all sessions, in no order.
    pub(super) fn keys(&self) -> impl Iterator<Item = SessionKey> {
        self.by_key.keys().copied()
    }

    /// The number of sessions.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The slot for as long as its present session has it.
    pub(super) fn tenancy(&self, slot: Slot) -> Tenancy {
        Tenancy {
            slot,
            generation: self.generations[slot.index()],
        }
    }

    /// Whether the session of `tenancy` is still there.
    pub(super) fn is_current(&self, tenancy: Tenancy) -> bool {
        self.generations[tenancy.slot.index()] == tenancy.generation
    }
}

/// A socket that accepts nothing, for vacant slots: the real one must be gone before its descriptor is reused.
struct NoSocket;

impl TryWrite for NoSocket {
    fn try_write(&self, _: &[std::io::IoSlice<'_>]) -> std::io::Result<super::outbox::Written> {
        Err(std::io::ErrorKind::NotConnected.into())
    }
}

/// The sizes of a session's place in the dense vector, of its entry beside that, and of one subscription of the entry.
pub(super) fn sizes() -> [usize; 3] {
    [
        size_of::<Hot>(),
        size_of::<Option<Session>>(),
        size_of::<Subscribed>(),
    ]
}

#[cfg(test)]
mod tests;
