//! The bus between publishers and instances: one trait, two implementations ([`embedded`], [`nats`]), one contract suite
//! that both pass. Knows no STOMP and no session; async-nats appears only below here.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::{mpsc, oneshot, watch};

use crate::destination::Path;
use crate::envelope::{Envelope, Headers, Kind, Position, TraceContext};
use crate::instance::InstanceId;
use crate::principal::UserName;
use crate::setting::ByteSize;
use crate::task::Task;

pub(crate) mod config;
pub mod embedded;
pub(crate) mod feed;
pub mod headers;
pub mod history;
pub mod nats;
mod publish;
mod queue;
pub(crate) mod reader;
pub(crate) mod replay;
mod request_error;
mod requests;
#[cfg(test)]
mod simulation;
pub mod subject;
pub(crate) mod tail;

pub use config::{Config, Unsigned};
pub use history::{History, StreamStats, TailStats};
pub use publish::{Content, Key, PublishError, Published};
pub use request_error::RequestError;

/// A boxed future, so that `dyn Bus` can be async.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A boxed stream.
pub type BoxStream<T> = Pin<Box<dyn Stream<Item = T> + Send>>;

/// The bus as every other module sees it.
///
/// Every method that publishes answers within a second: while the bus is not connected it refuses before anything is
/// queued (docs/rest.md). With history over NATS or in a file, what is kept is answered within `history.publish_timeout`.
pub trait Bus: Send + Sync + 'static {
    /// Publishes a notification. `Ok` means that it is stored, and where, if history keeps its target; else that it was
    /// handed to a live connection, at most once. Order: two calls from one task, the second after the first returned,
    /// reach every instance in that order if their target is the same; all that is kept has one order for all.
    ///
    /// With a `key`, which is for what is kept alone, a repeat is not stored again within `history.duplicate_window`: it is
    /// answered as the first one was, as a duplicate. Where its [`Content`] is another, it is [`PublishError::KeyReused`].
    fn publish_once<'a>(
        &'a self,
        envelope: &'a Envelope,
        key: Option<Key>,
    ) -> BoxFuture<'a, Result<Published, PublishError>>;

    /// The same without a key.
    fn publish<'a>(&'a self, envelope: &'a Envelope) -> BoxFuture<'a, Result<Published, PublishError>> {
        self.publish_once(envelope, None)
    }

    /// Publishes several, each with its outcome, in their order: over NATS all are on their way at once. What is kept is
    /// stored in that order, for each [`Kind`]; where an answer that was lost or came late turns it round, that is said
    /// ([`PublishError::OrderChanged`]). Once the bus is not connected or does not say what became of one, the rest may be
    /// [`PublishError::Unavailable`] untried.
    fn publish_all<'a>(
        &'a self,
        all: &'a [(Envelope, Option<Key>)],
    ) -> BoxFuture<'a, Vec<Result<Published, PublishError>>> {
        Box::pin(async move {
            let mut outcomes = Vec::with_capacity(all.len());
            for (envelope, key) in all {
                // Many on a bus that is always ready must not keep the thread to themselves.
                tokio::task::coop::consume_budget().await;
                let outcome = self.publish_once(envelope, *key).await;
                let is_over = matches!(outcome, Err(PublishError::Unavailable | PublishError::Unknown));
                outcomes.push(outcome);
                if is_over {
                    break;
                }
            }
            outcomes.resize_with(all.len(), || Err(PublishError::Unavailable));
            outcomes
        })
    }

    /// Publishes all of these or none, in their order and with nobody's in between. Where all of them are known by their
    /// keys they are duplicates; where some are, [`PublishError::KeyReused`].
    ///
    /// `None`: this bus cannot, or not these: history has to keep them all, and they have to be of one [`Kind`].
    fn publish_atomic<'a>(
        &'a self,
        _batch: &'a [(Envelope, Option<Key>)],
    ) -> Option<BoxFuture<'a, Result<Vec<Published>, PublishError>>> {
        None
    }

    /// Every notification that any instance or backend publishes, including this instance's own. Taken once, by
    /// `relay`; later calls return `None`. The stream is not polled faster than its items are handled, so a slow
    /// instance makes the bus wait, and the bus's own bounds apply. After [`Bus::drain`] it yields what waits, and
    /// ends.
    fn incoming(&self) -> Option<BoxStream<Incoming>>;

    /// What the bus keeps of `kind`, in the order of its positions, where that comes beside [`Bus::incoming`], so that
    /// neither kind makes the other wait. Taken once; `None`: whatever there is comes there. Ends as that does.
    fn kept_incoming(&self, _kind: Kind) -> Option<BoxStream<Incoming>> {
        None
    }

    /// What the bus keeps. `None`: nothing, and no notification has a position.
    fn history(&self) -> Option<&dyn History> {
        None
    }

    /// Sends an application request to a backend. The outer result says whether the bus has the request. The reply is
    /// awaited separately, and is [`RequestError::Timeout`] after `bus.request_timeout`.
    fn request<'a>(&'a self, request: &'a AppRequest) -> BoxFuture<'a, Result<PendingReply, PublishError>>;

    /// Asks whoever decides about logins, and waits at most `timeout` for the first answer. Nobody listens on a bus without
    /// backends.
    fn ask_about_login<'a>(
        &'a self,
        _question: Bytes,
        _timeout: Duration,
    ) -> BoxFuture<'a, Result<Bytes, RequestError>> {
        Box::pin(std::future::ready(Err(RequestError::NoResponders)))
    }

    /// Sends a message to every instance, including this one.
    fn control_publish<'a>(
        &'a self,
        kind: &'a str,
        payload: Bytes,
    ) -> BoxFuture<'a, Result<(), PublishError>>;

    /// Asks one instance, and waits at most `timeout`.
    fn control_request<'a>(
        &'a self,
        instance: InstanceId,
        kind: &'a str,
        payload: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Bytes, RequestError>>;

    /// What instances send to all ([`Bus::control_publish`]) and ask this one ([`Bus::control_request`]). Taken once.
    fn control_incoming(&self) -> Option<BoxStream<ControlMessage>>;

    /// Tells backends that a user came or went (`herald.event.user.…`), at least once.
    fn publish_user_event<'a>(&'a self, event: &'a UserEvent) -> BoxFuture<'a, Result<(), PublishError>>;

    /// Whether the bus is connected, and receives everything that it should. Changes wake the receiver.
    fn health(&self) -> watch::Receiver<Health>;

    /// Whether an instance on this bus can serve: connected, and with everything that history needs.
    fn is_ready(&self) -> bool {
        *self.health().borrow() == Health::Connected
    }

    /// Whether other instances may be on it.
    fn is_shared(&self) -> bool {
        false
    }

    /// Has newcomers find this instance: it has everything that instances tell each other.
    fn be_found(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Whether any instance is to be found, be it paused. `None`: not known.
    fn finds_somebody(&self) -> BoxFuture<'_, Option<bool>> {
        Box::pin(std::future::ready(Some(false)))
    }

    /// What keeps the bus from working as it should, in words for `/readyz`, which anybody may read: no secret, no path of
    /// a file, no user's name. Empty if all is well.
    fn trouble(&self) -> Vec<String> {
        Vec::new()
    }

    /// How many other instances there are at the moment, told whenever the number changes.
    fn others(&self, _count: usize) {}

    /// The largest body that can be published at the moment: min(`limits.body_bytes`, the server's `max_payload` − 16
    /// KiB).
    fn max_body_bytes(&self) -> usize;

    /// Counters since start, for `/metrics`.
    fn stats(&self) -> Stats;

    /// The tasks that the bus cannot work without, to be watched until [`Bus::drain`]. Taken once; later calls give none.
    fn tasks(&self) -> Vec<Task>;

    /// Stops receiving, sends what was accepted, and disconnects; bounded by two seconds.
    fn drain(&self) -> BoxFuture<'_, ()>;
}

/// What the bus gives to the relay, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A notification to be delivered.
    Notification(Arc<Envelope>),
    /// Nothing is to be delivered of what is stored at this position: it was stale, or it is where this instance begins.
    Passed(Kind, Position),
    /// What lies in front of this position is lost for this instance, or the epoch is another: whoever is subscribed to this
    /// kind has to come back and be told.
    Broken(Kind, Position),
}

/// The state of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Never connected yet, lost and not back yet, or without a subscription that an instance needs.
    Disconnected,
    /// Connected, with every subscription in place.
    Connected,
}

/// Counters since start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// How often the connection came back.
    pub reconnects: u64,
    /// Incoming messages dropped because this instance read too slowly. Exact for what `bus.incoming_bytes` refused.
    /// For what found the NATS client full (`bus.subscription_capacity`) it is a lower bound: the client reports many
    /// drops, but not each.
    pub slow_consumer_drops: u64,
    /// Incoming messages that cannot be delivered: subject not canonical, path or header invalid, body too large, or
    /// unreadable.
    pub undeliverable: u64,
    /// Incoming messages that were stale (`Herald-Expires`) on arrival or when the reader reached them.
    pub expired: u64,
    /// Notifications dropped because decoding one panicked.
    pub poisoned: u64,
    /// Subscriptions that the server refuses at the moment, not since start. 1 stands for any number over its limit.
    pub refused_subscriptions: u64,
    /// Messages that the server refused to publish, for lack of a permission.
    pub refused_publishes: u64,
    /// Control messages without a good signature, whether they were refused or not.
    pub unverified: Unverified,
    /// What history holds in this instance's memory at the moment, in the order of [`Kind::ALL`].
    pub tails: [TailStats; 2],
    /// How streams are read, in the same order. Zero without any.
    pub streams: [StreamStats; 2],
    /// Publishes into streams that were tried again.
    pub publish_repeats: u64,
    /// Resumes that read a stream: by the index alone, by it in vain and then by a search, by a search.
    pub resume_reads: [u64; 3],
    /// The bytes of `history.path`.
    pub history_file_bytes: u64,
}

/// Control messages without a good signature, by cause (docs/nats.md).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unverified {
    /// No signature.
    pub unsigned: u64,
    /// A signature of no key of this instance, or of another message.
    pub signature: u64,
    /// A good signature, of a time more than 60 s from this instance's.
    pub clock: u64,
    /// A good signature that came before.
    pub replayed: u64,
}

/// A SEND to an application destination, on its way to a backend (docs/nats.md).
#[derive(Debug, Clone)]
pub struct AppRequest {
    /// The path without its prefix.
    pub path: Path,
    /// `Herald-User`.
    pub user: UserName,
    /// `Herald-Session`.
    pub session: Box<str>,
    /// `Herald-Instance`: the instance's name.
    pub instance: Box<str>,
    /// The `content-type` of the SEND.
    pub content_type: Option<Box<str>>,
    /// The headers of the SEND, filtered.
    pub headers: Headers,
    /// The trace context of the SEND.
    pub trace: TraceContext,
    /// The body of the SEND.
    pub body: Bytes,
}

/// A backend's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppReply {
    /// The body.
    pub body: Bytes,
    /// `Content-Type`.
    pub content_type: Option<Box<str>>,
    /// Other headers, filtered.
    pub headers: Headers,
    /// `Herald-Error`: the backend refuses, in these words.
    pub error: Option<Box<str>>,
    /// The backend's trace context.
    pub trace: TraceContext,
}

/// A request that the bus has accepted. [`PendingReply::reply`] waits for its outcome.
pub struct PendingReply(BoxFuture<'static, Result<AppReply, RequestError>>);

impl PendingReply {
    /// Wraps the waiting half.
    pub fn new(reply: impl Future<Output = Result<AppReply, RequestError>> + Send + 'static) -> Self {
        Self(Box::pin(reply))
    }

    /// Waits for the reply or its failure; bounded by `bus.request_timeout`.
    pub async fn reply(self) -> Result<AppReply, RequestError> {
        self.0.await
    }
}

impl fmt::Debug for PendingReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingReply")
    }
}

/// A message of an instance to all, or a question to one.
#[derive(Debug)]
pub struct ControlMessage {
    /// Its kind: lower-case words with dots, such as `presence.digest`.
    pub kind: String,
    /// JSON of the kind's type.
    pub payload: Bytes,
    /// How to answer. `None` for a message to all.
    pub responder: Option<Responder>,
}

/// Answers one [`ControlMessage`]. If it is dropped unanswered, the asker's time-out expires.
#[derive(Debug)]
pub struct Responder(pub(crate) oneshot::Sender<Bytes>);

impl Responder {
    /// Sends the answer. It is not an error if the asker is gone.
    pub fn respond(self, payload: Bytes) {
        let _ = self.0.send(payload);
    }
}

/// What backends learn about users (`herald.event.user.connected`, `.disconnected`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserEvent {
    /// The user.
    pub user: UserName,
    /// The name of the instance that the user came to, or was last on.
    pub instance: Box<str>,
    /// Whether the user came (`true`) or went.
    pub connected: bool,
    /// The time, in Unix ms.
    pub time_ms: u64,
}

/// Refuses a body of `size` bytes that exceeds `limit`, which comes from the setting `which`.
fn check_size(size: usize, limit: usize, which: &'static str) -> Result<(), PublishError> {
    if size <= limit {
        Ok(())
    } else {
        Err(PublishError::TooLarge { size, limit, which })
    }
}

/// The receiving end of a bounded channel as a stream.
fn receiver_stream<T: Send + 'static>(mut receiver: mpsc::Receiver<T>) -> BoxStream<T> {
    Box::pin(futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx)))
}

/// What the bus needs of `[limits]`.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// `limits.body_bytes`.
    pub body_bytes: ByteSize,
    /// `limits.headers` and `limits.header_bytes`.
    pub headers: crate::envelope::HeaderLimits,
}
