//! Sending on core NATS, within the limits of a body, sending JSON, and closing the connection. Knows no subscription.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::message::OutboundMessage;
use bytes::Bytes;
use serde::Serialize;

use super::kept::Keeper;
use super::{DRAIN_STEP_TIMEOUT, HEADER_RESERVE_BYTES, NatsBus, WHICH_SERVER, WHICH_SETTING};
use crate::bus::{PublishError, RequestError, UserEvent, check_size};
use crate::destination::Target;
use crate::envelope::Envelope;

/// The JSON of `<prefix>.event.user.…`.
#[derive(Serialize)]
struct UserEventJson<'a> {
    user: &'a str,
    instance: &'a str,
    time: u64,
}

/// The payload of a user's event.
pub(super) fn user_event(event: &UserEvent) -> Option<Bytes> {
    let json = serde_json::to_vec(&UserEventJson {
        user: event.user.as_str(),
        instance: &event.instance,
        time: event.time_ms,
    });
    // Two strings and a number: writing them to memory cannot fail.
    json.ok().map(Into::into)
}

impl NatsBus {
    /// Sends a message to other instances, signed if there is a key.
    pub(super) async fn send_control(
        &self,
        subject: String,
        reply: Option<String>,
        payload: Bytes,
    ) -> Result<(), PublishError> {
        let headers = self
            .connection
            .link
            .seal
            .sign(&subject, reply.as_deref(), &payload);
        self.send(subject, reply, headers, payload).await
    }

    /// A question to anybody who listens on `subject`. The first answer counts.
    pub(super) async fn ask_backend(
        &self,
        subject: String,
        question: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, RequestError> {
        let requests = &self.connection.link.requests;
        let waiting = requests.open().ok_or(RequestError::Unavailable)?;
        let ask = async {
            let sent = self.send(subject, Some(waiting.subject()), None, question).await;
            sent.map_err(|_| RequestError::Unavailable)?;
            Ok(waiting.wait(timeout).await?.payload)
        };
        tokio::time::timeout(timeout, ask)
            .await
            .unwrap_or(Err(RequestError::Timeout))
    }

    /// The limit of a body, and the setting that it comes from.
    pub(super) fn body_limit(&self) -> (usize, &'static str) {
        let by_server = self
            .connection
            .client
            .max_payload()
            .saturating_sub(HEADER_RESERVE_BYTES);
        if by_server < self.limits.body_bytes.0 {
            (by_server, WHICH_SERVER)
        } else {
            (self.limits.body_bytes.0, WHICH_SETTING)
        }
    }

    pub(super) fn check_size(&self, envelope: &Envelope) -> Result<(), PublishError> {
        let (limit, which) = self.body_limit();
        check_size(envelope.body.len(), limit, which)
    }

    /// Who keeps messages to `target`.
    pub(super) fn keeper(&self, target: &Target) -> Option<&Keeper> {
        self.history.as_deref().filter(|history| history.keeps(target))
    }

    pub(super) async fn send(
        &self,
        subject: String,
        reply: Option<String>,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<(), PublishError> {
        let (limit, which) = self.body_limit();
        check_size(payload.len(), limit, which)?;
        self.connection
            .send(OutboundMessage {
                subject: subject.into(),
                reply: reply.map(Into::into),
                payload,
                headers,
            })
            .await
    }

    /// Sends what was accepted, and disconnects.
    pub(super) async fn leave(&self) {
        // The round trip needs the inbox, which closing removes.
        if self.connection.is_live() && !self.connection.round_trip(DRAIN_STEP_TIMEOUT).await {
            tracing::warn!("NATS did not confirm what was published last");
        }
        self.connection.link.closing.cancel();
        let left = async {
            if let Err(error) = self.connection.client.drain().await {
                tracing::debug!(%error, "the NATS client has stopped already");
            }
            self.running.close();
            self.running.wait().await;
        };
        if tokio::time::timeout(DRAIN_STEP_TIMEOUT, left).await.is_err() {
            tracing::debug!("NATS tasks still run; they end by their own time-outs");
        }
    }
}
