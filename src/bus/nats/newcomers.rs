//! Finds out whether there is an instance that has everything that instances tell each other. Each such instance
//! subscribes to a special subject, and the server says at once if nobody is subscribed. A paused instance is still
//! subscribed. A client that is subscribed to everything is subscribed to that subject too, and also to one beside it
//! that no instance has: this distinguishes it from an instance. Knows no message.

use std::time::Duration;

use async_nats::message::OutboundMessage;
use ulid::Ulid;

use super::NatsBus;
use super::subscribe::SUBSCRIBE_TIMEOUT;
use crate::bus::requests::Waiting;
use crate::bus::{Listening, RequestError};

/// How long the server may take to say whether anybody is subscribed.
const TIMEOUT: Duration = Duration::from_secs(1);

impl NatsBus {
    /// Lets newcomers find this instance.
    pub(super) async fn subscribe_for_newcomers(&self) {
        let subject = self.subjects.newcomers();
        let asked = self.connection.client.subscribe_with(subject, |_| {});
        if !matches!(tokio::time::timeout(SUBSCRIBE_TIMEOUT, asked).await, Ok(Ok(()))) {
            tracing::debug!("newcomers do not find this instance by the bus");
        }
    }

    /// Which instances can be found. `None`: the server has not said.
    pub(super) async fn finds_one(&self) -> Option<Listening> {
        let newcomers = self.ask_who_listens(self.subjects.newcomers()).await?;
        let nobody = self.ask_who_listens(self.subjects.nobody(Ulid::new())).await?;
        // The server's reply about a message comes before what is sent after it.
        if !self.connection.round_trip(TIMEOUT).await {
            return None;
        }
        Some(match (is_heard(newcomers)?, is_heard(nobody)?) {
            (false, _) => Listening::Nobody,
            (true, false) => Listening::Instance,
            (true, true) => Listening::Listener,
        })
    }

    async fn ask_who_listens(&self, subject: String) -> Option<Waiting> {
        let waiting = self.connection.link.requests.open()?;
        let question = OutboundMessage {
            subject: subject.into(),
            reply: Some(waiting.subject().into()),
            payload: bytes::Bytes::new(),
            headers: None,
        };
        self.connection.send(question).await.ok()?;
        Some(waiting)
    }
}

/// Whether anybody is subscribed. `None`: the connection is lost.
fn is_heard(mut asked: Waiting) -> Option<bool> {
    match asked.at_hand() {
        // A stream reports that it has stored the question.
        None | Some(Ok(_)) => Some(true),
        Some(Err(RequestError::NoResponders)) => Some(false),
        Some(Err(_)) => None,
    }
}
