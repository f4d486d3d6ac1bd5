//! From a subscription to the reader: every message is decoded on arrival and waits, bounded in bytes, for `relay`.
//! Knows no control message and no reply.
//!
//! The subscription is always read: the client itself limits only the number of waiting messages, so that many large
//! messages would take any amount of memory, and it loses count of what it drops. Here every drop is counted exactly.

use std::sync::Arc;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use futures_util::stream::select_all;

use super::link::Link;
use crate::bus::Limits;
use crate::bus::headers::{Undeliverable, decode_envelope};
use crate::bus::queue::{NotQueued, QueueSender};
use crate::bus::subject::Subjects;
use crate::envelope::Envelope;
use crate::task;

/// Turns the messages of subscriptions of one kind into queued notifications.
pub(super) struct Incoming {
    pub(super) subjects: Subjects,
    pub(super) limits: Limits,
    pub(super) queue: QueueSender,
    pub(super) link: Arc<Link>,
}

impl Incoming {
    /// Runs until the bus drains or the reader has ended. The order of each subscription is kept: one task, one queue.
    pub(super) async fn run(self, subscriptions: Vec<Subscriber>) {
        let mut subscription = select_all(subscriptions);
        let mut closing = std::pin::pin!(self.link.closing.clone().cancelled_owned());
        loop {
            // Messages first: what arrived before the bus drains is passed on.
            let message = tokio::select! {
                biased;
                message = subscription.next() => message,
                () = &mut closing => None,
            };
            let Some(message) = message else { return };
            match task::caught_now(|| self.decode(&message)) {
                Err(_panic) => self.link.poisoned(&message.subject),
                Ok(Err(kind)) => self.link.undeliverable(kind, &message.subject),
                Ok(Ok(envelope)) => match self.queue.try_push(envelope) {
                    Ok(()) => {}
                    Err(NotQueued::Full) => self.link.dropped_by_slowness(),
                    Err(NotQueued::Closed) => return,
                },
            }
        }
    }

    fn decode(&self, message: &Message) -> Result<Envelope, Undeliverable> {
        #[cfg(test)]
        task::faults::trip(&message.payload);
        let target = self
            .subjects
            .parse(&message.subject)
            .map_err(|_| Undeliverable::Subject)?;
        decode_envelope(
            target,
            message.headers.as_ref(),
            message.payload.clone(),
            &self.limits,
        )
    }
}
