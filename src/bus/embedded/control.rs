//! Control messages of the embedded bus: this instance is the only one, so all of them come back to it. Knows no kind by name.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{EmbeddedBus, Open, PUBLISH_TIMEOUT};
use crate::bus::{ControlMessage, PublishError, RequestError, Responder};
use crate::instance::InstanceId;

/// Control messages that may wait for their reader.
pub(super) const CAPACITY: usize = 64;

impl EmbeddedBus {
    /// [`Bus::control_publish`](crate::bus::Bus::control_publish).
    pub(super) async fn tell(&self, kind: &str, payload: Bytes) -> Result<(), PublishError> {
        self.push_control(ControlMessage {
            kind: kind.to_owned(),
            payload,
            responder: None,
        })
        .await
    }

    /// [`Bus::control_request`](crate::bus::Bus::control_request).
    pub(super) async fn ask(
        &self,
        instance: InstanceId,
        kind: &str,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, RequestError> {
        if instance != self.instance {
            return Err(RequestError::NoResponders);
        }
        let (responder, answer) = oneshot::channel();
        let question = ControlMessage {
            kind: kind.to_owned(),
            payload,
            responder: Some(Responder(responder)),
        };
        let ask = async {
            self.push_control(question)
                .await
                .map_err(|_| RequestError::Unavailable)?;
            match answer.await {
                Ok(payload) => Ok(payload),
                // Dropped unanswered: as over NATS, the asker's time-out expires.
                Err(_) => std::future::pending().await,
            }
        };
        tokio::time::timeout(timeout, ask)
            .await
            .unwrap_or(Err(RequestError::Timeout))
    }

    async fn push_control(&self, message: ControlMessage) -> Result<(), PublishError> {
        let Open { control, .. } = self.accept(message.payload.len())?;
        match tokio::time::timeout(PUBLISH_TIMEOUT, control.send(message)).await {
            // Nobody listens any more: a message to all has reached all.
            Ok(_) => Ok(()),
            Err(_) => Err(PublishError::Unavailable),
        }
    }
}
