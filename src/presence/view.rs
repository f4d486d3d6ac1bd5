//! The state machine of presence: the users of this instance, what it believes about the others, and what it has to
//! send. Pure: messages and time are parameters, and the messages to send are return values. Knows no bus and no clock.
//!
//! * [`hear`]: messages from the others.
//! * [`link`]: whether silence counts, and who is gone.
//! * [`events`]: what backends are told, and what other instances are told.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::InstanceView;
use super::local::Local;
use super::online::Online;
use super::peer::{Peer, Progress};
use super::protocol::{
    Changes, Departed, Digest, Goodbye, InstanceName, SnapshotReply, SnapshotRequest, Summary,
};
use crate::bus::UserEvent;
use crate::instance::{Instance, InstanceId};
use crate::principal::UserName;

mod events;
mod hear;
mod link;

use events::Word;
use link::{Departure, Link};

/// How many fetches may be in progress at the same time.
const MAX_FETCHES: usize = 4;

/// The times of `[presence]` that the view needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// `presence.digest_interval`.
    pub digest_interval: Duration,
    /// `presence.instance_timeout`.
    pub instance_timeout: Duration,
}

/// The time of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Since this process's start. Never goes back.
    pub now: Duration,
    /// The same moment as wall-clock time, in Unix ms.
    pub unix_ms: u64,
    /// The most bytes of names in one message.
    pub page_bytes: usize,
}

/// Something to send. The order matters: backends are told before other instances are, or an instance could correct
/// what has not been said yet.
#[derive(Debug, Clone)]
pub(super) enum Output {
    /// For backends.
    Event(UserEvent),
    /// For every instance.
    Changes(Changes),
    /// For every instance.
    Digest(Digest),
    /// For every instance.
    Departed(Departed),
    /// For every instance.
    Goodbye(Goodbye),
}

/// A request for a page of another instance's snapshot. Its answer goes to [`View::answered`].
#[derive(Debug, Clone)]
pub(super) struct Ask {
    /// The instance to ask.
    pub instance: InstanceId,
    /// The request.
    pub request: SnapshotRequest,
    round: u64,
}

/// The view.
pub(super) struct View {
    me: Instance,
    name: InstanceName,
    timing: Timing,
    local: Local,
    online: Online,
    peers: BTreeMap<InstanceId, Peer>,
    departed: BTreeMap<InstanceId, Departure>,
    link: Link,
    words: HashMap<UserName, Word>,
    /// Users about whom backends were told something that may not have reached the bus, with the number of the digest
    /// that proves it.
    unacked: HashMap<UserName, u64>,
    events: BTreeMap<UserName, UserEvent>,
    statements: Vec<Output>,
    next_pages: Vec<Ask>,
    beat: u64,
    digest_at: Duration,
    audit_at: Duration,
}

impl View {
    /// An instance that has just started: nobody online, no other instance known, the bus not connected.
    pub(super) fn new(me: Instance, timing: Timing) -> Self {
        Self {
            name: InstanceName::clean(&me.name),
            me,
            timing,
            local: Local::default(),
            online: Online::default(),
            peers: BTreeMap::new(),
            departed: BTreeMap::new(),
            link: Link::default(),
            words: HashMap::new(),
            unacked: HashMap::new(),
            events: BTreeMap::new(),
            statements: Vec::new(),
            next_pages: Vec::new(),
            beat: 0,
            digest_at: Duration::ZERO,
            audit_at: Duration::ZERO,
        }
    }

    /// A session of `user` has logged in here.
    pub(super) fn opened(&mut self, user: &UserName) {
        if self.local.opened(user) {
            self.online.add(user);
        }
    }

    /// A session of `user` has ended here.
    pub(super) fn closed(&mut self, user: &UserName) {
        if self.local.closed(user) {
            self.online.remove(user);
        }
    }

    /// The users online in the cluster, sorted.
    pub(super) fn users(&self) -> Vec<UserName> {
        self.online.users()
    }

    /// Whether `user` is online in the cluster.
    pub(super) fn is_online(&self, user: &UserName) -> bool {
        self.online.contains(user)
    }

    /// How many users are online in the cluster.
    pub(super) fn online(&self) -> usize {
        self.online.len()
    }

    /// Whether no live instance has a lower id.
    pub(super) fn is_first(&self) -> bool {
        let lowest = self.peers.keys().next();
        lowest.is_none_or(|lowest| *lowest > self.me.id)
    }

    /// Grows whenever the set of users online in the cluster changes.
    pub(super) fn version(&self) -> u64 {
        self.online.version()
    }

    /// This instance.
    pub(super) fn own_id(&self) -> InstanceId {
        self.me.id
    }

    /// How many live instances there are besides this one.
    pub(super) fn others(&self) -> usize {
        self.peers.len()
    }

    /// The live instances, sorted by id.
    pub(super) fn instances(&self) -> Vec<InstanceView> {
        let mut all: Vec<InstanceView> = self
            .peers
            .iter()
            .map(|(id, peer)| InstanceView {
                id: *id,
                name: peer.name.clone(),
                users: peer.users().len(),
            })
            .collect();
        all.push(InstanceView {
            id: self.me.id,
            name: self.me.name.clone(),
            users: self.local.online(),
        });
        all.sort_unstable_by_key(|instance| instance.id);
        all
    }

    /// The number of the last change that was told, for [`super::snapshot::Snapshots`].
    pub(super) fn number(&self) -> u64 {
        self.local.number()
    }

    /// What the others have been told up to [`View::number`], unsorted.
    pub(super) fn told(&self) -> (u64, Summary, Vec<UserName>) {
        (self.local.number(), self.local.told(), self.local.told_users())
    }

    /// Advances time and returns what is to be sent now, in this order. Call it every `presence.batch`, and not
    /// before all output of the last call has been sent.
    pub(super) fn tick(&mut self, at: Moment) -> Vec<Output> {
        self.watch_link(at.now);
        if self.link.is_listening() {
            self.watch_silence(at);
            let settling = self.link.is_settling(at.now);
            if !settling {
                self.audit(at);
            }
            self.flush(at, settling);
        }
        if self.link.is_connected() && at.now >= self.digest_at {
            self.digest_at = at.now + self.timing.digest_interval;
            self.say_digest();
        }
        self.take_output()
    }

    /// Ends this instance: nobody is here any more, and the result is all that remains to be said.
    pub(super) fn leave(&mut self, at: Moment) -> Vec<Output> {
        for user in self.local.close_all() {
            self.online.remove(&user);
        }
        self.flush(at, false);
        self.statements
            .push(Output::Goodbye(Goodbye { instance: self.me.id }));
        self.take_output()
    }

    /// The requests to make now.
    pub(super) fn asks(&mut self, now: Duration) -> Vec<Ask> {
        if !self.link.is_connected() {
            return Vec::new();
        }
        let mut asks = std::mem::take(&mut self.next_pages);
        let under_way = self.peers.values().filter(|peer| peer.is_fetching()).count();
        let due = self.peers.iter_mut().filter(|(_, peer)| peer.is_fetch_due(now));
        for (id, peer) in due.take(MAX_FETCHES.saturating_sub(under_way)) {
            let (round, request) = peer.begin_fetch();
            asks.push(Ask {
                instance: *id,
                request,
                round,
            });
        }
        asks
    }

    /// Takes the answer to `ask`. `None`: there was none, or it could not be read.
    pub(super) fn answered(&mut self, now: Duration, ask: &Ask, reply: Option<SnapshotReply>) {
        let Some(peer) = self.peers.get_mut(&ask.instance) else {
            return;
        };
        let page = reply.and_then(|reply| reply.page);
        match peer.page(now, ask.round, page, &mut self.online) {
            Some(Progress::Next(request)) => self.next_pages.push(Ask {
                instance: ask.instance,
                request,
                round: ask.round,
            }),
            Some(Progress::Installed(installed)) => self.installed(now, ask.instance, installed),
            Some(Progress::Failed) => {
                tracing::debug!(instance = %ask.instance, "a presence snapshot failed, trying again");
            }
            None => {}
        }
    }

    fn say_digest(&mut self) {
        self.beat += 1;
        self.statements.push(Output::Digest(Digest {
            instance: self.me.id,
            name: self.name.clone(),
            beat: self.beat,
            number: self.local.number(),
            summary: self.local.told(),
        }));
    }

    fn take_output(&mut self) -> Vec<Output> {
        let events = std::mem::take(&mut self.events);
        let mut output: Vec<Output> = events.into_values().map(Output::Event).collect();
        output.append(&mut self.statements);
        output
    }

    /// The live instance that speaks for one that is gone.
    fn is_lowest_but(&self, gone: InstanceId) -> bool {
        let mut others = self.peers.keys().filter(|id| **id != gone);
        others.next().is_none_or(|lowest| self.me.id < *lowest)
    }

    fn holder_name(&self, user: &UserName) -> Arc<str> {
        if self.local.is_online(user) {
            return self.me.name.clone();
        }
        let mut holders = self.peers.values().filter(|peer| peer.users().contains(user));
        holders
            .next()
            .map_or_else(|| self.me.name.clone(), |peer| peer.name.clone())
    }
}

#[cfg(test)]
mod tests;
