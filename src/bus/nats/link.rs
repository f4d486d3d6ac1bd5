//! The state of the NATS connection: turns the client's events into health, counts and log lines, and sends messages
//! only while the connection is live. Knows no notification and no control message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::client::traits::Publisher;
use async_nats::connection::State;
use async_nats::message::OutboundMessage;
use async_nats::{Client, Event, HeaderMap};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::causes::{self, Causes};
use super::rights::{self, RefusedPublishes};
use super::seal::{ControlKeys, Seal};
use crate::bus::headers::Undeliverable;
use crate::bus::requests::Requests;
use crate::bus::subject::Subjects;
use crate::bus::{Config, Health, PublishError};
use crate::limit::OncePerSecond;

/// What is away if nothing more is known.
const NOT_CONNECTED: &str = "NATS is not connected (bus.url)";

/// How long a publish may wait for the connection to accept it: callers are answered within a second.
pub(super) const PUBLISH_TIMEOUT: Duration = Duration::from_millis(800);

/// The state that the client's callbacks use. Created before the client.
pub(super) struct Link {
    health: watch::Sender<Health>,
    pub(super) changed: Notify,
    pub(super) requests: Arc<Requests>,
    /// Cancelled when the bus drains.
    pub(super) closing: CancellationToken,
    pub(super) refused_publishes: RefusedPublishes,
    pub(super) seal: Seal,
    causes: Causes,
    /// `bus.url`, which has no credentials.
    servers: String,
    /// Why the last attempt to connect failed, if known.
    cause: Mutex<Option<String>>,
    slow_consumer_drops: AtomicU64,
    undeliverable: AtomicU64,
    poisoned: AtomicU64,
    slow_log: OncePerSecond,
    error_log: OncePerSecond,
    undeliverable_logs: [OncePerSecond; 4],
}

impl Link {
    /// For a connection with these settings and keys.
    pub(super) fn new(config: &Config, control_keys: Option<ControlKeys>) -> Arc<Self> {
        Arc::new(Self {
            health: watch::Sender::new(Health::Disconnected),
            changed: Notify::new(),
            requests: Requests::new(&Subjects::new(&config.prefix)),
            closing: CancellationToken::new(),
            refused_publishes: RefusedPublishes::new(&config.prefix),
            seal: Seal::new(control_keys, config.control_unsigned),
            causes: Causes::of(config),
            servers: config.url.as_ref().map(ToString::to_string).unwrap_or_default(),
            cause: Mutex::new(None),
            slow_consumer_drops: AtomicU64::new(0),
            undeliverable: AtomicU64::new(0),
            poisoned: AtomicU64::new(0),
            slow_log: OncePerSecond::default(),
            error_log: OncePerSecond::default(),
            undeliverable_logs: Default::default(),
        })
    }

    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// An event of the client. Never waits: the client drops events while 128 others are unhandled.
    pub(super) fn on_event(&self, event: Event) {
        match event {
            Event::Disconnected | Event::Closed => {
                self.lost();
                self.requests.fail_all();
            }
            Event::SlowConsumer(_) => self.dropped_by_slowness(),
            // The watch reads them from the client, which forgets none, and reports them.
            Event::ServerError(error) if rights::is_refused_subscription(&error) => {}
            Event::ServerError(error) => {
                self.refused_publishes.note(&error);
                if let Some(left_out) = self.error_log.pass() {
                    tracing::warn!(%error, left_out, "the NATS server refuses");
                }
            }
            Event::ClientError(error) => self.not_reached(&error.to_string()),
            // Counted by the client itself, since events are dropped in a flood of them: see [`Connection::malformed`].
            Event::MalformedMessage(message) => {
                self.log_undeliverable(Undeliverable::Malformed, &message.subject)
            }
            Event::LameDuckMode => tracing::info!("the NATS server is about to stop"),
            Event::Connected | Event::Draining => {}
        }
        self.changed.notify_one();
    }

    /// An attempt to connect failed.
    fn not_reached(&self, error: &str) {
        let cause = self.causes.of_error(error);
        if let Some(left_out) = self.error_log.pass() {
            let cause = cause.as_deref();
            tracing::warn!(servers = self.servers, %error, cause, left_out, "cannot reach NATS, trying again");
        }
        // A server that refuses a certificate may close the connection before its reason is read; the next attempt
        // reads it.
        let says_nothing = ["reset", "roken pipe", "closed"]
            .iter()
            .any(|word| error.contains(word));
        let mut held = self.cause.lock();
        if cause.is_some() || held.is_none() || !says_nothing {
            *held = Some(cause.unwrap_or_else(|| causes::unreachable(error)));
        }
    }

    /// There was no room for a message between the client and the reader.
    pub(super) fn dropped_by_slowness(&self) {
        self.slow_consumer_drops.fetch_add(1, Ordering::Relaxed);
        if let Some(left_out) = self.slow_log.pass() {
            tracing::warn!(
                left_out,
                "messages from NATS dropped: this instance reads them too slowly"
            );
        }
    }

    /// An answer to another instance is larger than the server's `max_payload`.
    pub(super) fn answer_too_large(&self, error: &PublishError) {
        if let Some(left_out) = self.error_log.pass() {
            tracing::warn!(%error, left_out, "an answer to another instance was not sent, which takes this one for silent");
        }
    }

    /// A message cannot be delivered.
    pub(super) fn undeliverable(&self, kind: Undeliverable, subject: &str) {
        self.undeliverable.fetch_add(1, Ordering::Relaxed);
        self.log_undeliverable(kind, subject);
    }

    fn log_undeliverable(&self, kind: Undeliverable, subject: &str) {
        if let Some(left_out) = self.undeliverable_logs[kind as usize].pass() {
            // Foreign text: no control characters in the log, and not all of it.
            let subject: String = subject.escape_debug().take(128).collect();
            tracing::warn!(kind = kind.as_str(), %subject, left_out, "undeliverable message from NATS");
        }
    }

    /// Decoding a message panicked; it is dropped. Perhaps its id cannot be read, so its subject identifies it.
    pub(super) fn poisoned(&self, subject: &str) {
        self.poisoned.fetch_add(1, Ordering::Relaxed);
        let subject: String = subject.escape_debug().take(128).collect();
        tracing::error!(%subject, "a notification from NATS was dropped: decoding it panicked");
    }

    pub(super) fn poisoned_count(&self) -> u64 {
        self.poisoned.load(Ordering::Relaxed)
    }

    pub(super) fn slow_consumer_drops(&self) -> u64 {
        self.slow_consumer_drops.load(Ordering::Relaxed)
    }

    pub(super) fn undeliverable_count(&self) -> u64 {
        self.undeliverable.load(Ordering::Relaxed)
    }

    /// Sets the health, and returns whether it has changed.
    pub(super) fn set_health(&self, health: Health) -> bool {
        self.health.send_if_modified(|held| {
            let changed = *held != health;
            *held = health;
            changed
        })
    }

    /// The connection is lost, or not established yet.
    pub(super) fn lost(&self) {
        if self.set_health(Health::Disconnected) && !self.closing.is_cancelled() {
            tracing::warn!("the connection to NATS is lost");
        }
    }
}

/// The client and its state. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) link: Arc<Link>,
    /// `limits.body_bytes`
    pub(super) body_bytes: usize,
}

impl Connection {
    /// Whether publishes are accepted: connected, subscriptions in place, not draining.
    pub(super) fn is_live(&self) -> bool {
        *self.link.health.borrow() == Health::Connected && !self.link.closing.is_cancelled() && self.is_up()
    }

    /// Whether the client is connected.
    pub(super) fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Problems that keep it from working properly ([`crate::bus::Bus::trouble`]).
    pub(super) fn trouble(&self) -> Vec<String> {
        let mut trouble = self.away();
        trouble.extend(self.link.refused_publishes.recent());
        trouble.extend(self.link.seal.trouble());
        trouble
    }

    /// Why nothing can be sent. Empty: it can.
    pub(super) fn outage(&self) -> Vec<String> {
        match (self.is_live(), self.link.closing.is_cancelled()) {
            (true, _) => Vec::new(),
            (false, true) => vec!["this instance is stopping".to_owned()],
            (false, false) => self.away(),
        }
    }

    /// Why it is not live, as far as that is known.
    fn away(&self) -> Vec<String> {
        let mut away: Vec<String> = self.cause().into_iter().collect();
        away.extend(self.refused_words());
        away.extend(self.open_words());
        if away.is_empty() && !self.is_up() {
            away.push(NOT_CONNECTED.to_owned());
        }
        away
    }

    /// How often the connection came back, by the client's own count, which loses none.
    pub(super) fn reconnects(&self) -> u64 {
        self.connects().saturating_sub(1)
    }

    /// Passes a message to a live connection.
    ///
    /// The client queues it (at most 64 in all) and one of its tasks writes it at once. When the connection is lost, a
    /// message in the socket is gone, and one in that queue may still be sent after the reconnect.
    ///
    /// # Errors
    /// [`PublishError::Unavailable`] at once while not live, or if the client does not accept it within
    /// [`PUBLISH_TIMEOUT`]; nothing is queued then. [`PublishError::TooLarge`] if headers and payload exceed the
    /// server's `max_payload`.
    ///
    /// # Cancel safety
    /// If dropped before it is ready, it has sent nothing.
    pub(super) async fn send(&self, message: OutboundMessage) -> Result<(), PublishError> {
        if !self.is_live() {
            return Err(PublishError::Unavailable);
        }
        self.hand_over(message).await
    }

    async fn hand_over(&self, message: OutboundMessage) -> Result<(), PublishError> {
        let limit = self.client.max_payload();
        let size = message.payload.len() + message.headers.as_ref().map_or(0, HeaderMap::wire_len);
        if size > limit {
            return Err(PublishError::TooLarge {
                size,
                limit,
                which: super::WHICH_SERVER,
            });
        }
        match tokio::time::timeout(PUBLISH_TIMEOUT, self.client.publish_message(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                if let Some(left_out) = self.link.error_log.pass() {
                    tracing::warn!(%error, left_out, "the NATS client refuses a message");
                }
                Err(PublishError::Unavailable)
            }
            Err(_) => Err(PublishError::Unavailable),
        }
    }

    /// Sends a message to our own inbox and waits for it: the server has then handled everything sent before, both
    /// subscriptions and publishes. Returns `false` if it was lost, or did not return in time.
    pub(super) async fn round_trip(&self, timeout: Duration) -> bool {
        let Some(waiting) = self.link.requests.open() else {
            return false;
        };
        let probe = OutboundMessage {
            subject: waiting.subject().into(),
            reply: None,
            payload: bytes::Bytes::new(),
            headers: None,
        };
        self.hand_over(probe).await.is_ok() && waiting.wait(timeout).await.is_ok()
    }

    /// Whether the server has handled everything that was sent before on this connection.
    pub(super) async fn flush(&self, within: Duration) -> bool {
        self.is_live()
            && tokio::time::timeout(within, self.round_trip(within))
                .await
                .unwrap_or(false)
    }

    /// Messages that the client skipped because it could not read their subject or headers.
    pub(super) fn malformed(&self) -> u64 {
        let statistics = self.client.statistics();
        statistics.malformed_messages.load(Ordering::Relaxed)
    }

    /// Why there is no connection, if known.
    pub(super) fn cause(&self) -> Option<String> {
        let is_known_good = *self.link.health.borrow() == Health::Connected;
        let cause = self.link.cause.lock();
        cause.clone().filter(|_| !self.is_up() && !is_known_good)
    }

    /// Messages that the server refused to publish, by the client's own count.
    pub(super) fn refused_publishes(&self) -> u64 {
        let statistics = self.client.statistics();
        statistics.refused_publishes.load(Ordering::Relaxed)
    }

    /// How often a connection was established.
    pub(super) fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }
}
