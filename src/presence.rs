//! The users online in the whole cluster, over the bus's control channel (docs/architecture.md, decision 8). Knows the
//! bus and the registry by their handles, and no session and no NATS.
//!
//! [`view`] makes all decisions and is pure; [`run`](self::run) gives it the time and sends its messages; [`announce`]
//! sends the list to its subscribers. docs/presence.md describes the whole.
//!
//! **Order**: there is one lock, around the view. `opened` and `closed` take it for one step in a tree, and its order
//! is the order of the changes; nothing is queued between a session and the view. The single task of `run` sends the
//! view's messages in its order.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bus::{Bus, ControlMessage, Responder};
use crate::control::complaints::Complaints;
use crate::control::desk::Desk;
use crate::control::question::{Payload, Question, Refused, Statement, read};
use crate::delivery::registry::Registry;
use crate::destination::Path;
use crate::instance::{Instance, InstanceId};
use crate::principal::UserName;
use crate::setting::{ByteSize, Findings, HumanDuration};

mod announce;
mod local;
mod online;
mod peer;
mod protocol;
mod run;
mod snapshot;
mod view;

use announce::Subscribers;
use protocol::{Changes, Departed, Digest, Goodbye, Snapshot};
use snapshot::Snapshots;
use view::{Timing, View};

/// `[presence]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long changes are collected before they are published.
    pub batch: HumanDuration,
    /// How often an instance announces what it holds.
    pub digest_interval: HumanDuration,
    /// How long an instance may be silent before it counts as gone.
    pub instance_timeout: HumanDuration,
    /// Where the list of online users goes when it changes. `None` means nowhere.
    pub list_destination: Option<Path>,
    /// The shortest time between two lists.
    pub list_interval: HumanDuration,
    /// The bound on list size × subscribers per second.
    pub list_bytes_per_second: ByteSize,
}

impl Config {
    /// Checks that the times are longer than nothing and fit each other.
    pub fn check(&self, findings: &mut Findings) {
        findings.positive("presence.batch", self.batch);
        findings.positive("presence.digest_interval", self.digest_interval);
        findings.positive("presence.list_interval", self.list_interval);
        findings.at_least(
            "presence.list_bytes_per_second",
            self.list_bytes_per_second,
            ByteSize(1),
        );
        if self.instance_timeout.0 < self.digest_interval.0.saturating_mul(2) {
            findings.error(
                "presence.instance_timeout",
                format!(
                    "expected at least twice presence.digest_interval ({}), got {}",
                    self.digest_interval, self.instance_timeout
                ),
            );
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch: HumanDuration::millis(100),
            digest_interval: HumanDuration::secs(1),
            instance_timeout: HumanDuration::secs(5),
            list_destination: Path::parse("/queue/users").ok(),
            list_interval: HumanDuration::secs(1),
            list_bytes_per_second: ByteSize::mib(8),
        }
    }
}

/// The view of who is online. Shared as `Arc<Presence>`.
pub(crate) struct Presence {
    config: Config,
    bus: Arc<dyn Bus>,
    subscribers: Arc<dyn Subscribers>,
    started: Instant,
    view: Mutex<View>,
    snapshots: Mutex<Snapshots>,
    list: Mutex<Option<(u64, Bytes)>>,
    version: watch::Sender<u64>,
    complaints: Complaints,
}

/// One live instance of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstanceView {
    /// Its identity.
    pub id: InstanceId,
    /// Its name.
    pub name: Arc<str>,
    /// How many users are online there.
    pub users: usize,
}

impl Presence {
    /// The view of an instance that has just started: it knows only itself, with nobody online.
    pub(crate) fn new(instance: Instance, bus: Arc<dyn Bus>, registry: Registry, config: Config) -> Self {
        Self::with_subscribers(instance, bus, Arc::new(registry), config)
    }

    fn with_subscribers(
        instance: Instance,
        bus: Arc<dyn Bus>,
        subscribers: Arc<dyn Subscribers>,
        config: Config,
    ) -> Self {
        let timing = Timing {
            digest_interval: config.digest_interval.0,
            instance_timeout: config.instance_timeout.0,
        };
        Self {
            config,
            bus,
            subscribers,
            started: Instant::now(),
            view: Mutex::new(View::new(instance, timing)),
            snapshots: Mutex::default(),
            list: Mutex::default(),
            version: watch::channel(0).0,
            complaints: Complaints::default(),
        }
    }

    /// A session of `user` has logged in on this instance. Only a user's first session changes anything.
    pub(crate) fn opened(&self, user: &UserName) {
        self.with_view(|view| view.opened(user));
    }

    /// A session of `user` has ended on this instance. Only a user's last session changes anything.
    pub(crate) fn closed(&self, user: &UserName) {
        self.with_view(|view| view.closed(user));
    }

    /// The users online in the whole cluster, sorted and without duplicates.
    pub(crate) fn users(&self) -> Vec<UserName> {
        self.view.lock().users()
    }

    /// The same as a JSON array of names, made once for each state of the set and shared.
    pub(crate) fn list(&self) -> Bytes {
        // Held while the list is made, so that concurrent callers share one.
        let mut list = self.list.lock();
        let (version, users) = {
            let view = self.view.lock();
            match &*list {
                Some((version, made)) if *version == view.version() => return made.clone(),
                _ => (view.version(), view.users()),
            }
        };
        let names: Vec<&str> = users.iter().map(UserName::as_str).collect();
        // A sequence of texts always has a JSON form.
        let made = Bytes::from(serde_json::to_vec(&names).unwrap_or_else(|_| b"[]".to_vec()));
        *list = Some((version, made.clone()));
        made
    }

    /// Whether `user` has a session anywhere.
    pub(crate) fn is_online(&self, user: &UserName) -> bool {
        self.view.lock().is_online(user)
    }

    /// How many users are online in the cluster.
    pub(crate) fn online(&self) -> usize {
        self.view.lock().online()
    }

    /// Whether this instance is the one that counts a notification to `user` as offline: the user has no session
    /// anywhere, and no live instance has a lower id.
    pub(crate) fn counts_as_offline(&self, user: &UserName) -> bool {
        let view = self.view.lock();
        view.is_first() && !view.is_online(user)
    }

    /// The live instances but this one, sorted by id.
    pub(crate) fn others(&self) -> Vec<InstanceView> {
        let view = self.view.lock();
        let mut instances = view.instances();
        instances.retain(|instance| instance.id != view.own_id());
        instances
    }

    /// The live instances, including this one, sorted by id.
    pub(crate) fn instances(&self) -> Vec<InstanceView> {
        self.view.lock().instances()
    }

    /// Changes whenever the set of online users changes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Control messages dropped since start because they could not be read or were out of bounds.
    pub(crate) fn refused(&self) -> u64 {
        self.complaints.total()
    }

    /// Has the desk bring this module's messages: every kind that begins with `presence.`.
    pub(crate) fn register(self: &Arc<Self>, desk: &mut Desk) {
        let presence = Arc::clone(self);
        desk.family("presence.", move |message| {
            presence.handle(message);
            std::future::ready(())
        });
    }

    /// Handles what another instance says or asks; kinds `presence.…` only. Never waits. A message that cannot be read is
    /// counted, logged at most once a second for its kind, and dropped.
    fn handle(&self, message: ControlMessage) {
        let ControlMessage {
            kind,
            payload,
            responder,
        } = message;
        let now = self.now();
        let (kind, heard) = match kind.as_str() {
            Changes::KIND => self.hear(responder, &payload, |view, changes: Changes| {
                view.on_changes(now, changes)
            }),
            Digest::KIND => self.hear(responder, &payload, |view, digest: Digest| {
                view.on_digest(now, &digest)
            }),
            Departed::KIND => self.hear(responder, &payload, |view, departed: Departed| {
                view.on_departed(&departed);
                Ok(())
            }),
            Goodbye::KIND => self.hear(responder, &payload, |view, goodbye: Goodbye| {
                view.on_goodbye(now, &goodbye);
                Ok(())
            }),
            Snapshot::KIND => (Snapshot::KIND, self.answer(now, responder, &payload)),
            _ => ("presence.?", Err(Refused::UnknownKind)),
        };
        if let Err(refused) = heard {
            self.complaints.refused(kind, refused);
        }
    }

    fn hear<S: Statement>(
        &self,
        responder: Option<Responder>,
        payload: &[u8],
        step: impl FnOnce(&mut View, S) -> Result<(), Refused>,
    ) -> (&'static str, Result<(), Refused>) {
        let heard = match responder {
            Some(_) => Err(Refused::WrongForm),
            None => read(payload, S::MAX_BYTES),
        };
        let heard = heard.and_then(|said| self.with_view(|view| step(view, said)));
        (S::KIND, heard)
    }

    /// Publishes changes and digests, watches the other instances and the bus, and sends the list to its subscribers
    /// until `shutdown`. It then says goodbye, so that this instance's users are gone at once. Run it once.
    pub(crate) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let driver = run::drive(&self, shutdown);
        match &self.config.list_destination {
            None => driver.await,
            Some(path) => {
                tokio::select! {
                    () = driver => {}
                    () = announce::announce(&self, path) => {}
                }
            }
        }
    }

    fn answer(&self, now: Duration, responder: Option<Responder>, payload: &[u8]) -> Result<(), Refused> {
        let responder = responder.ok_or(Refused::WrongForm)?;
        let request = read(payload, Snapshot::MAX_BYTES)?;
        let number = self.view.lock().number();
        let page_bytes = self.page_bytes();
        let take = || self.view.lock().told();
        let reply = self
            .snapshots
            .lock()
            .answer(now, &request, page_bytes, number, take);
        responder.respond(reply.to_payload());
        Ok(())
    }

    fn with_view<T>(&self, step: impl FnOnce(&mut View) -> T) -> T {
        let (result, version) = {
            let mut view = self.view.lock();
            (step(&mut view), view.version())
        };
        // Outside the lock: a late caller with an older version changes nothing.
        self.version.send_if_modified(|seen| {
            let newer = version > *seen;
            *seen = version.max(*seen);
            newer
        });
        result
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn page_bytes(&self) -> usize {
        let fits = self.bus.max_body_bytes().saturating_sub(protocol::HEAD_MAX_BYTES);
        // Room for one name whatever the limit says: with pages that hold nobody a snapshot would never end.
        fits.clamp(protocol::HEAD_MAX_BYTES, protocol::PAGE_MAX_BYTES)
    }
}

#[cfg(test)]
mod tests;
