//! Control messages over NATS: from an instance to all others, and questions between two instances. Knows no kind of
//! message by name except the bus's own.

use std::sync::Arc;
use std::time::Duration;

use async_nats::message::OutboundMessage;
use async_nats::{Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::NatsBus;
use super::kept::{EPOCH_KIND, Keeper};
use super::link::Connection;
use crate::bus::headers::Undeliverable;
use crate::bus::subject::{Subjects, is_control_kind};
use crate::bus::{ControlMessage, PublishError, Responder};
use crate::instance::InstanceId;

/// Messages that may wait for the reader of `control_incoming`; beyond that, the subscription's own limit applies.
pub(super) const QUEUE_CAPACITY: usize = 64;
/// Questions to this instance that may be unanswered at the same time.
const UNANSWERED_MAX: usize = 64;
/// How long a question may stay unanswered: longer than any asker waits.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads one control subscription.
pub(super) struct Control {
    pub(super) subjects: Subjects,
    pub(super) instance: InstanceId,
    pub(super) connection: Connection,
    pub(super) queue: mpsc::Sender<ControlMessage>,
    pub(super) tasks: TaskTracker,
    /// Where to report that, according to another instance, the epoch of a stream has changed.
    pub(super) history: Option<Arc<Keeper>>,
}

impl Control {
    /// Runs until the bus drains or the reader is gone. The order of the subscription is kept.
    pub(super) async fn run(self, subscription: Subscriber) {
        let unanswered = Arc::new(Semaphore::new(UNANSWERED_MAX));
        let closing = self.connection.link.closing.clone();
        let mut messages = std::pin::pin!(subscription.take_until(closing.clone().cancelled_owned()));
        while let Some(message) = messages.next().await {
            let kind = self.subjects.control_kind(&message.subject, self.instance);
            let Some(kind) = kind.filter(|kind| is_control_kind(kind)) else {
                self.connection
                    .link
                    .undeliverable(Undeliverable::Subject, &message.subject);
                continue;
            };
            if !self.connection.link.seal.admits(&message, kind) {
                continue;
            }
            if kind == EPOCH_KIND {
                self.history
                    .iter()
                    .for_each(|history| history.look(&message.payload));
                continue;
            }
            let message = ControlMessage {
                kind: kind.to_owned(),
                responder: self.responder(&message, &unanswered).await,
                payload: message.payload,
            };
            let sent = closing.run_until_cancelled(self.queue.send(message)).await;
            if !matches!(sent, Some(Ok(()))) {
                return;
            }
        }
    }

    /// Starts a task that carries the answer back; only for a question to this instance alone.
    async fn responder(&self, message: &Message, unanswered: &Arc<Semaphore>) -> Option<Responder> {
        let reply = message.reply.clone()?;
        // Only instances may have what instances know.
        if !self.subjects.is_reply(&reply) {
            self.connection.link.undeliverable(Undeliverable::Subject, &reply);
            return None;
        }
        let permit = unanswered.clone().acquire_owned().await.ok()?;
        let (sender, answer) = oneshot::channel::<Bytes>();
        let connection = self.connection.clone();
        #[expect(clippy::disallowed_methods, reason = "one answer, bounded in time")]
        self.tasks.spawn(async move {
            let _permit = permit;
            // Neither a dropped responder nor a time-out is reported: the asker has its own time-out.
            let closing = connection.link.closing.clone();
            let answer = tokio::time::timeout(ANSWER_TIMEOUT, answer);
            let Some(Ok(Ok(payload))) = closing.run_until_cancelled(answer).await else {
                return;
            };
            let answer = OutboundMessage {
                headers: connection.link.seal.sign(&reply, None, &payload),
                subject: reply,
                reply: None,
                payload,
            };
            match connection.send(answer).await {
                Ok(()) => {}
                // No other message says why this instance is silent.
                Err(error @ PublishError::TooLarge { .. }) => connection.link.answer_too_large(&error),
                Err(error) => tracing::debug!(%error, "an answer to another instance was not sent"),
            }
        });
        Some(Responder(sender))
    }
}

impl NatsBus {
    /// Reads the keys of control messages again when their file changes.
    pub(super) fn watch_control_keys(&self) {
        let link = self.connection.link.clone();
        let Some(path) = link.seal.key_file() else { return };
        self.start("bus control keys", async move {
            let watch = link.seal.watch(path);
            link.closing.run_until_cancelled(watch).await;
        });
    }
}
