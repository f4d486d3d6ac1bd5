//! The bus between publishers and instances: one trait, two implementations ([`embedded`], [`nats`]), and one contract
//! suite that both pass. Knows no STOMP and no session; async-nats is only used in this module.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::{mpsc, oneshot, watch};

use crate::envelope::{Envelope, Kind, Position};
use crate::instance::InstanceId;
use crate::principal::UserName;
use crate::setting::ByteSize;
use crate::task::Task;

mod application;
pub(crate) mod config;
pub mod embedded;
pub(crate) mod feed;
pub mod headers;
pub mod history;
mod listening;
pub mod nats;
mod publish;
mod queue;
pub(crate) mod reader;
pub(crate) mod replay;
mod request_error;
mod requests;
#[cfg(test)]
mod simulation;
mod stats;
pub mod subject;
pub(crate) mod tail;

pub use application::{AppReply, AppRequest, PendingReply};
pub use config::{Config, Unsigned};
pub use history::{History, StreamStats, TailStats};
pub use listening::Listening;
pub use publish::{Content, Key, PublishError, Published};
pub use request_error::RequestError;
pub use stats::{Stats, Unverified};

/// A boxed future, so that `dyn Bus` can be async.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A boxed stream.
pub type BoxStream<T> = Pin<Box<dyn Stream<Item = T> + Send>>;

/// The bus as every other module sees it.
///
/// Every method that publishes returns within a second: if the bus is not connected, it refuses before it queues anything
/// (docs/rest.md). With history over NATS or in a file, a publish to a kept target returns within `history.publish_timeout`.
pub trait Bus: Send + Sync + 'static {
    /// Publishes a notification. If history keeps its target, `Ok` means that it is stored, and where; otherwise that it was
    /// passed to a live connection, at most once. Order: if one task makes a second call after the first has returned, with
    /// the same target, every instance receives the two in that order. Kept notifications have the same order everywhere.
    ///
    /// A `key` is only for kept notifications. Within `history.duplicate_window` a repeat is not stored again: it returns the
    /// first result, as a duplicate. If its [`Content`] differs, it returns [`PublishError::KeyReused`].
    fn publish_once<'a>(
        &'a self,
        envelope: &'a Envelope,
        key: Option<Key>,
    ) -> BoxFuture<'a, Result<Published, PublishError>>;

    /// Like [`Bus::publish_once`], without a key.
    fn publish<'a>(&'a self, envelope: &'a Envelope) -> BoxFuture<'a, Result<Published, PublishError>> {
        self.publish_once(envelope, None)
    }

    /// Publishes several in their order, and returns the outcome of each. Over NATS all are in flight at the same time. Kept
    /// ones are stored in that order, for each [`Kind`]; if a lost or late answer changes the order, the outcome is
    /// [`PublishError::OrderChanged`]. If the bus is not connected or one outcome is unknown, the rest may be
    /// [`PublishError::Unavailable`] without an attempt.
    fn publish_all<'a>(
        &'a self,
        all: &'a [(Envelope, Option<Key>)],
    ) -> BoxFuture<'a, Vec<Result<Published, PublishError>>> {
        Box::pin(async move {
            let mut outcomes = Vec::with_capacity(all.len());
            for (envelope, key) in all {
                // On a bus that is always ready, a long list must not monopolize the thread.
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

    /// Publishes all of these or none, in their order and without others in between. If all their keys are known, they are
    /// duplicates; if only some are, the result is [`PublishError::KeyReused`].
    ///
    /// `None` if this bus cannot do it, or not for these: history must keep them all, and they must have one [`Kind`].
    fn publish_atomic<'a>(
        &'a self,
        _batch: &'a [(Envelope, Option<Key>)],
    ) -> Option<BoxFuture<'a, Result<Vec<Published>, PublishError>>> {
        None
    }

    /// Every notification from any instance or backend, including this instance's own. Taken once, by
    /// `relay`; later calls return `None`. The stream is polled only as fast as its items are handled, so a slow
    /// instance makes the bus wait, and the bus's own bounds apply. After [`Bus::drain`] it yields what waits, and ends.
    fn incoming(&self) -> Option<BoxStream<Incoming>>;

    /// The kept notifications of `kind`, in the order of their positions, if they have a stream of their own, so that
    /// neither kind makes the other wait. Taken once. `None` if they come through [`Bus::incoming`]. Ends like that stream.
    fn kept_incoming(&self, _kind: Kind) -> Option<BoxStream<Incoming>> {
        None
    }

    /// The history. `None` if the bus keeps nothing; then no notification has a position.
    fn history(&self) -> Option<&dyn History> {
        None
    }

    /// Sends an application request to a backend. The outer result says whether the bus has the request. The reply is
    /// awaited separately; after `bus.request_timeout` it is [`RequestError::Timeout`].
    fn request<'a>(&'a self, request: &'a AppRequest) -> BoxFuture<'a, Result<PendingReply, PublishError>>;

    /// Asks the backend that decides about logins, and waits at most `timeout` for the first answer. On a bus without
    /// backends, the result is [`RequestError::NoResponders`].
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

    /// Waits at most `within` for the bus to confirm everything that was published before; whether it did. A publish alone
    /// only hands the message to the connection.
    fn flush(&self, _within: Duration) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(true))
    }

    /// Messages to all instances ([`Bus::control_publish`]) and questions to this one ([`Bus::control_request`]). Taken once.
    fn control_incoming(&self) -> Option<BoxStream<ControlMessage>>;

    /// Tells backends that a user connected or disconnected (`herald.event.user.…`), at least once.
    fn publish_user_event<'a>(&'a self, event: &'a UserEvent) -> BoxFuture<'a, Result<(), PublishError>>;

    /// Whether the bus is connected and has all its subscriptions. Changes wake the receiver.
    fn health(&self) -> watch::Receiver<Health>;

    /// Whether an instance on this bus can serve: the bus is connected and has everything that history needs.
    fn is_ready(&self) -> bool {
        *self.health().borrow() == Health::Connected
    }

    /// Whether other instances can be on this bus.
    fn is_shared(&self) -> bool {
        false
    }

    /// Makes this instance visible to new ones, as one that has everything that instances tell each other.
    fn be_found(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Who is to be found. `None`: not known.
    fn who_listens(&self) -> BoxFuture<'_, Option<Listening>> {
        Box::pin(std::future::ready(Some(Listening::Nobody)))
    }

    /// Problems of the bus, in words for `/readyz`. Anybody may read them, so they contain no secret, no file path and no
    /// user name. Empty if there are none.
    fn trouble(&self) -> Vec<String> {
        Vec::new()
    }

    /// Those problems alone for which it does not publish: what is away, and why.
    fn outage(&self) -> Vec<String> {
        self.trouble()
    }

    /// Tells the bus how many other instances there are, whenever the number changes.
    fn others(&self, _count: usize) {}

    /// The largest body that can currently be published: min(`limits.body_bytes`, NATS' `max_payload` − 16 KiB).
    fn max_body_bytes(&self) -> usize;

    /// Counters since start, for `/metrics`.
    fn stats(&self) -> Stats;

    /// The essential tasks of the bus, to be watched until [`Bus::drain`]. Taken once; later calls return none.
    fn tasks(&self) -> Vec<Task>;

    /// Stops receiving, sends what was accepted, and disconnects, within two seconds.
    fn drain(&self) -> BoxFuture<'_, ()>;
}

/// What the bus passes to the relay, in bus order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A notification to be delivered.
    Notification(Arc<Envelope>),
    /// Nothing to deliver at this position: the stored notification was stale, or this instance starts here.
    Passed(Kind, Position),
    /// This instance has lost everything before this position, or the epoch has changed: clients subscribed to this
    /// kind must reconnect and be told.
    Broken(Kind, Position),
}

/// What instances tell each other fits into this; a NATS server whose `max_payload` is smaller loses some of it.
pub(crate) const CONTROL_MAX_BYTES: usize = 768 << 10;

/// The state of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Not connected yet, connection lost, or without a subscription that an instance needs.
    Disconnected,
    /// Connected, with every subscription in place.
    Connected,
}

/// A message from an instance to all, or a question to one.
#[derive(Debug)]
pub struct ControlMessage {
    /// Its kind: lower-case words with dots, such as `presence.digest`.
    pub kind: String,
    /// The type of that kind, as JSON.
    pub payload: Bytes,
    /// How to answer. `None` for a message to all.
    pub responder: Option<Responder>,
}

/// Answers one [`ControlMessage`]. If it is dropped without an answer, the other instance runs into its time-out.
#[derive(Debug)]
pub struct Responder(pub(crate) oneshot::Sender<Bytes>);

impl Responder {
    /// Sends the answer. It is not an error if nobody waits for it any more.
    pub fn respond(self, payload: Bytes) {
        let _ = self.0.send(payload);
    }
}

/// What backends learn about users (`herald.event.user.connected`, `.disconnected`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserEvent {
    /// The user.
    pub user: UserName,
    /// The name of the instance that the user connected to, or was last on.
    pub instance: Box<str>,
    /// Whether the user connected (`true`) or disconnected.
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

/// The part of `[limits]` that the bus uses.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// `limits.body_bytes`.
    pub body_bytes: ByteSize,
    /// `limits.headers` and `limits.header_bytes`.
    pub headers: crate::envelope::HeaderLimits,
}
