//! The push consumer of one instance and stream, and the messages that it delivered and that were not passed on yet.
//! Knows no reader: the messages are judged elsewhere.
//!
//! A stored message arrives with the subject to which it was published; JetStream's own messages arrive with the
//! consumer's. So no publisher can forge a heartbeat.

use std::collections::VecDeque;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;

use crate::bus::headers::stream::heartbeat;
use crate::bus::nats::api::{Api, ApiFailure, QUESTION_TIMEOUT};
use crate::bus::nats::decode::Raw;
use crate::bus::nats::streams::Plan;
use crate::bus::reader::Mark;

/// The bytes that may be kept: more than JetStream sends without an answer to its flow control (32 MiB).
const KEPT_BYTES: usize = 48 << 20;

/// A consumer that exists.
pub(super) struct Consumer {
    messages: Subscriber,
    subject: String,
    kept: VecDeque<Kept>,
    kept_bytes: usize,
}

/// What arrived, in order.
pub(super) enum Kept {
    /// A stored message: its number in the consumer's own sequence, and how many messages the consumer still has to
    /// send.
    Message {
        number: u64,
        mark: Mark,
        pending: u64,
        raw: Raw,
    },
    /// The last number of the consumer's own sequence.
    Heartbeat(u64),
    /// JetStream waits for an answer on this subject.
    Flow(String),
}

impl Consumer {
    /// Creates a consumer of the stream that begins at the sequence `from`.
    pub(super) async fn create(api: &Api, plan: &Plan, from: u64) -> Result<Self, ApiFailure> {
        #[derive(Deserialize)]
        struct Created {}
        let subject = api.connection.link.requests.own_subject("live");
        // Before it is created: the server handles a connection's requests in order.
        let subscription = crate::bus::nats::subscribe_for_streams(&api.connection.client, subject.clone());
        let messages = subscription.await.map_err(|_| ApiFailure::Unavailable)?;
        let question = json!({
            "stream_name": plan.name,
            "config": {
                "deliver_subject": subject,
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": from.max(1),
                "ack_policy": "none",
                "max_deliver": 1,
                "mem_storage": true,
                "num_replicas": 1,
                "flow_control": true,
                "idle_heartbeat": 500_000_000_u64,
                "inactive_threshold": 10_000_000_000_u64,
            },
        });
        let _: Created = api
            .ask("CONSUMER.CREATE", &plan.name, &question, QUESTION_TIMEOUT)
            .await?;
        Ok(Self {
            messages,
            subject,
            kept: VecDeque::new(),
            kept_bytes: 0,
        })
    }

    /// The next message that arrives. `None`: the client has stopped.
    ///
    /// # Cancel safety
    /// If dropped before it is ready, nothing is lost.
    pub(super) async fn next(&mut self) -> Option<Message> {
        self.messages.next().await
    }

    /// Whether more may be kept.
    pub(super) fn has_place(&self) -> bool {
        self.kept_bytes < KEPT_BYTES
    }

    /// Whether nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Keeps a message.
    pub(super) fn keep(&mut self, message: Message) {
        if *message.subject == *self.subject {
            return self.keep_word(message);
        }
        // Not from this consumer: nobody else publishes here.
        let Some((number, mark, pending)) = message.reply.as_deref().and_then(acknowledgement) else {
            return;
        };
        let raw = Raw {
            subject: message.subject,
            headers: message.headers,
            status: message.status,
            payload: message.payload,
        };
        self.kept_bytes += raw.weight();
        self.kept.push_back(Kept::Message {
            number,
            mark,
            pending,
            raw,
        });
    }

    /// A heartbeat or a flow-control request. While they are not handled, further ones say the same.
    fn keep_word(&mut self, message: Message) {
        let beat = heartbeat(&message);
        match (message.reply, beat) {
            (Some(reply), None) => self.kept.push_back(Kept::Flow(reply.as_str().to_owned())),
            (_, Some((last, stalled))) => {
                if !matches!(self.kept.back(), Some(Kept::Heartbeat(kept)) if *kept == last) {
                    self.kept.push_back(Kept::Heartbeat(last));
                }
                let is_known = |subject: &str| {
                    let mut kept = self.kept.iter().rev();
                    kept.any(|kept| matches!(kept, Kept::Flow(kept) if kept == subject))
                };
                if let Some(subject) = stalled.filter(|subject| !is_known(subject)) {
                    self.kept.push_back(Kept::Flow(subject));
                }
            }
            (None, None) => {}
        }
    }

    /// The next message, without taking it.
    pub(super) fn front(&self) -> Option<&Kept> {
        self.kept.front()
    }

    /// Takes the next message.
    pub(super) fn take(&mut self) -> Option<Kept> {
        let kept = self.kept.pop_front();
        if let Some(Kept::Message { raw, .. }) = &kept {
            self.kept_bytes = self.kept_bytes.saturating_sub(raw.weight());
        }
        kept
    }
}

/// Receives the next message of the consumer, if there is one and it may keep more.
pub(super) async fn next(consumer: &mut Option<Consumer>) -> Option<Message> {
    match consumer {
        Some(consumer) if consumer.has_place() => consumer.next().await,
        _ => std::future::pending().await,
    }
}

/// The content of an acknowledgement's subject: the number in the consumer's own sequence, the message, and how many
/// are pending. `$JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<ns>.<pending>`, or a
/// longer form with a domain and an account before the stream and perhaps a token at the end.
fn acknowledgement(subject: &str) -> Option<(u64, Mark, u64)> {
    let tokens = subject.strip_prefix("$JS.ACK.")?;
    let in_front = match tokens.split('.').count() {
        7 => 3,
        9.. => 5,
        _ => return None,
    };
    let mut numbers = tokens.split('.').skip(in_front).map(str::parse::<u64>);
    let mut number = || numbers.next()?.ok();
    let (sequence, consumer, stamp) = (number()?, number()?, number()?);
    Some((consumer, Mark { sequence, stamp }, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_an_acknowledgement_are_read() {
        let mark = Mark {
            sequence: 22,
            stamp: 1_764_344_293_261_987_654,
        };
        for subject in [
            "$JS.ACK.HERALD_USER.c1.1.22.7.1764344293261987654.5",
            "$JS.ACK.hub.ACCHASH.HERALD_USER.c1.1.22.7.1764344293261987654.5",
            "$JS.ACK._.ACCHASH.HERALD_USER.c1.1.22.7.1764344293261987654.5.token",
        ] {
            assert_eq!(acknowledgement(subject), Some((7, mark, 5)), "{subject}");
        }
        for subject in [
            "",
            "$JS.ACK.",
            "$JS.ACK.S.c.1.2.3",
            "$JS.ACK.S.c.1.-2.3.4.5",
            "x.S.c.1.2.3.4.5",
        ] {
            assert_eq!(acknowledgement(subject), None, "{subject}");
        }
    }
}
