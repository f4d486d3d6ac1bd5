//! The bus over NATS: core subjects, at most once, and, for what [`Keep`] selects, streams ([`history`]). Knows the
//! client, through its parts below, and no STOMP.
//!
//! * **One subscription per kind and instance, no queue group** (`<prefix>.broadcast.>`, `<prefix>.user.>`, control to
//!   all, control to this instance, one reply inbox), and one by which newcomers find the instance: six in all,
//!   whatever the number of users.
//! * **Nothing is queued while not connected**: a publish is refused at once, and one that the connection does not
//!   accept is refused within a second. One that is in progress when the connection is lost may still be sent after the
//!   reconnect, or be lost.
//! * **A message that the client cannot read affects no others**: if its subject is not UTF-8 or its header block is
//!   malformed, the patched client skips it; [`Stats::undeliverable`] counts it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use super::queue::{QueueStream, queue};
use super::subject::{Subjects, is_control_kind};
use super::{
    AppRequest, BoxFuture, BoxStream, Bus, Config, ControlMessage, Health, History, Key, Limits, Listening,
    PendingReply, PublishError, Published, RequestError, Stats, UserEvent, headers,
};
use crate::envelope::{Envelope, Kind};
use crate::instance::{Instance, InstanceId};
use crate::task::Task;
use kept::Keeper;
use link::{Connection, Link};
use subscribe::subscribe_for_streams;

mod api;
mod causes;
mod control;
mod credentials;
mod decode;
mod direct;
mod history;
mod incoming;
mod kept;
mod link;
mod live;
mod newcomers;
mod open;
mod options;
mod probe;
mod replies;
mod rights;
mod seal;
mod sending;
mod servers;
mod store;
mod streams;
mod subscribe;
mod tls;
mod verify;

pub use kept::Keep;
pub use options::{ConnectError, Identity};
pub use probe::{Account, Found, Probed, ProbedHistory, ProbedStream, StreamState, probe};
pub use servers::Servers;

/// What the server's `max_payload` must hold in addition to the body.
const HEADER_RESERVE_BYTES: usize = 16 << 10;
const WHICH_SETTING: &str = "limits.body_bytes";
const WHICH_SERVER: &str = "max_payload of the NATS server";
/// Each of the two steps of [`Bus::drain`].
const DRAIN_STEP_TIMEOUT: Duration = Duration::from_millis(900);

/// A [`Bus`] over a NATS server or cluster.
pub struct NatsBus {
    connection: Connection,
    subjects: Subjects,
    limits: Limits,
    request_timeout: Duration,
    incoming: Mutex<Option<QueueStream>>,
    /// The history, if anything is kept.
    history: Option<Arc<Keeper>>,
    control: Mutex<Option<mpsc::Receiver<ControlMessage>>>,
    expired: Arc<AtomicU64>,
    tasks: Mutex<Vec<Task>>,
    /// Everything that runs, so that the drain can wait for it.
    running: TaskTracker,
}

impl NatsBus {
    /// A bus that connects and reconnects in the background: this returns at once, whether the server is up or down,
    /// and [`Bus::health`] reports the rest. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// A cause that waiting cannot fix, such as a file that cannot be read. The error names the setting and never a
    /// secret.
    pub async fn connect(
        config: &Config,
        limits: Limits,
        instance: &Instance,
    ) -> Result<Arc<Self>, ConnectError> {
        Self::connect_as(Identity::read(config)?, config, limits, instance, None).await
    }

    /// The same, with what [`Identity::read`] has read before, and with the history that `keep` configures.
    ///
    /// # Errors
    /// The client refuses to start.
    pub async fn connect_as(
        mut identity: Identity,
        config: &Config,
        limits: Limits,
        instance: &Instance,
        keep: Option<Keep<'_>>,
    ) -> Result<Arc<Self>, ConnectError> {
        let subjects = Subjects::new(&config.prefix);
        let addresses = config.url.as_ref().map_or(&[][..], Servers::addresses);
        let link = Link::new(config, identity.control_keys.take());
        let events = link.clone();
        let options = options::options(identity, config, &instance.name).event_callback(move |event| {
            events.on_event(event);
            std::future::ready(())
        });
        // Boxed: some 7 KiB, once.
        let client = Box::pin(options.connect(addresses))
            .await
            .map_err(ConnectError::Client)?;
        let (queue, incoming) = queue(usize::MAX, config.incoming_bytes.0);
        let (control_sender, control) = mpsc::channel(control::QUEUE_CAPACITY);
        let connection = Connection {
            client,
            link,
            body_bytes: limits.body_bytes.0,
        };
        let core = keep.as_ref().map_or_else(
            || subjects.notifications().into(),
            |keep| keep.not_kept(&subjects),
        );
        let history = keep.map(|keep| Arc::new(Keeper::new(&keep, &connection, &subjects, config, limits)));
        let bus = Self {
            connection,
            history,
            subjects,
            limits,
            request_timeout: config.request_timeout.0,
            expired: incoming.expired(),
            incoming: Mutex::new(Some(incoming)),
            control: Mutex::new(Some(control)),
            tasks: Mutex::default(),
            running: TaskTracker::new(),
        };
        bus.subscribe(instance.id, &core, &queue, &control_sender).await?;
        for (name, reader) in bus.history.iter().flat_map(|history| history.readers()) {
            bus.start(name, reader);
        }
        bus.start("bus connection", bus.connection.clone().watch());
        bus.watch_control_keys();
        Ok(Arc::new(bus))
    }

    fn start(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let task = Task::essential(name, self.running.track_future(work));
        self.tasks.lock().push(task);
    }
}

impl Bus for NatsBus {
    fn publish_once<'a>(
        &'a self,
        envelope: &'a Envelope,
        key: Option<Key>,
    ) -> BoxFuture<'a, Result<Published, PublishError>> {
        Box::pin(async move {
            if let Some(history) = self.keeper(&envelope.target) {
                self.check_size(envelope)?;
                return history.publish(envelope, key).await;
            }
            let to = self.subjects.target(&envelope.target);
            let headers = Some(headers::encode_envelope(envelope));
            let sent = self.send(to, None, headers, envelope.body.clone()).await;
            sent.map(|()| Published::default())
        })
    }

    fn publish_all<'a>(
        &'a self,
        all: &'a [(Envelope, Option<Key>)],
    ) -> BoxFuture<'a, Vec<Result<Published, PublishError>>> {
        Box::pin(async move {
            let mut outcomes: Vec<_> = all.iter().map(|_| Err(PublishError::Unavailable)).collect();
            let (mut places, mut kept) = (Vec::new(), Vec::new());
            let mut is_over = false;
            for (place, ((envelope, key), outcome)) in all.iter().zip(&mut outcomes).enumerate() {
                if let Err(error) = self.check_size(envelope) {
                    *outcome = Err(error);
                } else if self.keeper(&envelope.target).is_some() {
                    places.push(place);
                    kept.push((envelope, *key));
                } else if !is_over {
                    *outcome = self.publish_once(envelope, None).await;
                    is_over = matches!(outcome, Err(PublishError::Unavailable));
                }
            }
            if let Some(history) = self.history.as_ref().filter(|_| !kept.is_empty()) {
                for (place, stored) in places.into_iter().zip(history.publish_all(&kept).await) {
                    if let Some(outcome) = outcomes.get_mut(place) {
                        *outcome = stored;
                    }
                }
            }
            outcomes
        })
    }

    fn publish_atomic<'a>(
        &'a self,
        batch: &'a [(Envelope, Option<Key>)],
    ) -> Option<BoxFuture<'a, Result<Vec<Published>, PublishError>>> {
        let history = self.history.as_ref()?;
        let kind = history.kind_of(batch)?;
        Some(Box::pin(async move {
            batch
                .iter()
                .try_for_each(|(envelope, _)| self.check_size(envelope))?;
            history.publish_atomic(kind, batch).await
        }))
    }

    fn incoming(&self) -> Option<BoxStream<super::Incoming>> {
        let stream = self.incoming.lock().take()?;
        Some(Box::pin(stream))
    }

    fn kept_incoming(&self, kind: Kind) -> Option<BoxStream<super::Incoming>> {
        self.history.as_ref()?.incoming(kind)
    }

    fn history(&self) -> Option<&dyn History> {
        let history = self.history.as_deref()?;
        Some(history)
    }

    fn request<'a>(&'a self, request: &'a AppRequest) -> BoxFuture<'a, Result<PendingReply, PublishError>> {
        Box::pin(async move {
            let waiting = self
                .connection
                .link
                .requests
                .open()
                .ok_or(PublishError::Unavailable)?;
            self.send(
                self.subjects.app(&request.path),
                Some(waiting.subject()),
                Some(headers::encode_request(request)),
                request.body.clone(),
            )
            .await?;
            let (timeout, limits) = (self.request_timeout, self.limits);
            Ok(PendingReply::new(async move {
                let message = waiting.wait(timeout).await?;
                Ok(headers::decode_reply(message, &limits))
            }))
        })
    }

    fn ask_about_login<'a>(
        &'a self,
        question: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Bytes, RequestError>> {
        Box::pin(self.ask_backend(self.subjects.login(), question, timeout))
    }

    fn control_publish<'a>(
        &'a self,
        kind: &'a str,
        payload: Bytes,
    ) -> BoxFuture<'a, Result<(), PublishError>> {
        debug_assert!(is_control_kind(kind), "{kind:?}");
        Box::pin(self.send_control(self.subjects.control_all(kind), None, payload))
    }

    fn control_request<'a>(
        &'a self,
        instance: InstanceId,
        kind: &'a str,
        payload: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Bytes, RequestError>> {
        debug_assert!(is_control_kind(kind), "{kind:?}");
        Box::pin(async move {
            let requests = &self.connection.link.requests;
            let waiting = requests.open_to_instance().ok_or(RequestError::Unavailable)?;
            let subject = self.subjects.control_instance(instance, kind);
            let ask = async {
                self.send_control(subject, Some(waiting.subject()), payload)
                    .await
                    .map_err(|_| RequestError::Unavailable)?;
                Ok(waiting.wait(timeout).await?.payload)
            };
            tokio::time::timeout(timeout, ask)
                .await
                .unwrap_or(Err(RequestError::Timeout))
        })
    }

    fn flush(&self, within: Duration) -> BoxFuture<'_, bool> {
        Box::pin(self.connection.flush(within))
    }

    fn control_incoming(&self) -> Option<BoxStream<ControlMessage>> {
        let receiver = self.control.lock().take()?;
        Some(super::receiver_stream(receiver))
    }

    fn publish_user_event<'a>(&'a self, event: &'a UserEvent) -> BoxFuture<'a, Result<(), PublishError>> {
        Box::pin(async move {
            let payload = sending::user_event(event).ok_or(PublishError::Unavailable)?;
            let subject = self.subjects.user_event(event.connected);
            self.send(subject, None, None, payload).await
        })
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.connection.link.health()
    }

    fn is_ready(&self) -> bool {
        let is_ready = |history: &Arc<Keeper>| history.trouble().is_empty();
        *self.health().borrow() == Health::Connected && self.history.as_ref().is_none_or(is_ready)
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn be_found(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.subscribe_for_newcomers())
    }

    fn who_listens(&self) -> BoxFuture<'_, Option<Listening>> {
        Box::pin(self.finds_one())
    }

    fn trouble(&self) -> Vec<String> {
        let mut trouble = self.connection.trouble();
        if self.connection.is_up() {
            trouble.extend(self.history.iter().flat_map(|history| history.trouble()));
            // A warning: the instance is ready nevertheless.
            trouble.extend(self.history.iter().flat_map(|history| history.drift()));
            trouble.extend(self.history.iter().flat_map(|history| history.silence()));
        }
        trouble
    }

    fn outage(&self) -> Vec<String> {
        let mut outage = self.connection.outage();
        if outage.is_empty() {
            outage.extend(self.history.iter().flat_map(|history| history.trouble()));
            outage.extend(self.history.iter().flat_map(|history| history.silence()));
        }
        outage
    }

    fn others(&self, count: usize) {
        self.connection.link.seal.others(count);
    }

    fn max_body_bytes(&self) -> usize {
        self.body_limit().0
    }

    fn stats(&self) -> Stats {
        let link = &self.connection.link;
        let stats = Stats {
            reconnects: self.connection.reconnects(),
            slow_consumer_drops: link.slow_consumer_drops(),
            undeliverable: link.undeliverable_count() + self.connection.malformed(),
            expired: self.expired.load(Ordering::Relaxed),
            poisoned: link.poisoned_count(),
            refused_subscriptions: rights::count(&self.connection.refused_subscriptions()),
            refused_publishes: self.connection.refused_publishes(),
            unverified: link.seal.unverified(),
            ..Stats::default()
        };
        match &self.history {
            Some(history) => history.stats(stats),
            None => stats,
        }
    }

    fn tasks(&self) -> Vec<Task> {
        std::mem::take(&mut *self.tasks.lock())
    }

    fn drain(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.leave())
    }
}
