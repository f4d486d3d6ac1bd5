//! Whether an instance is there that has everything which instances tell each other: it is subscribed to a subject of its own, and the
//! server says at once where nobody is. A paused one is still subscribed. Knows no message.

use std::time::Duration;

use async_nats::message::OutboundMessage;

use super::NatsBus;
use super::subscribe::SUBSCRIBE_TIMEOUT;
use crate::bus::RequestError;

/// How long the server may take to say whether anybody is there.
const TIMEOUT: Duration = Duration::from_secs(1);

impl NatsBus {
    /// Has newcomers find this instance.
    pub(super) async fn subscribe_for_newcomers(&self) {
        let subject = self.subjects.newcomers();
        let asked = self.connection.client.subscribe_with(subject, |_| {});
        if !matches!(tokio::time::timeout(SUBSCRIBE_TIMEOUT, asked).await, Ok(Ok(()))) {
            tracing::debug!("newcomers do not find this instance by the bus");
        }
    }

    /// Whether any instance is to be found. `None`: the server has not said.
    pub(super) async fn finds_one(&self) -> Option<bool> {
        let mut waiting = self.connection.link.requests.open()?;
        let question = OutboundMessage {
            subject: self.subjects.newcomers().into(),
            reply: Some(waiting.subject().into()),
            payload: bytes::Bytes::new(),
            headers: None,
        };
        self.connection.send(question).await.ok()?;
        // What the server says of a message comes before what is sent behind it.
        if !self.connection.round_trip(TIMEOUT).await {
            return None;
        }
        match waiting.at_hand() {
            None => Some(true),
            Some(Err(RequestError::NoResponders)) => Some(false),
            Some(_) => None,
        }
    }
}
