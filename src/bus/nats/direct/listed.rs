//! Reads messages by their sequences, several at the same time: a server finds each without a search. Each may come
//! from another server. Knows no reader.

use std::time::Duration;

use async_nats::message::OutboundMessage;

use super::{Direct, found};
use crate::bus::headers::stream::stored_at;
use crate::bus::nats::api::ApiFailure;
use crate::bus::nats::decode::Raw;
use crate::bus::nats::streams::Plan;
use crate::bus::reader::Mark;

/// The time for all of them: there is another way to read them.
const TIMEOUT: Duration = Duration::from_secs(1);

impl Direct {
    /// The messages at these ascending sequences, up to the first one that is missing. The caller limits how many are
    /// requested.
    pub(in crate::bus::nats) async fn at(
        &self,
        plan: &Plan,
        sequences: &[u64],
    ) -> Result<Vec<(Mark, Raw)>, ApiFailure> {
        let reading = self.all_at(plan, sequences);
        tokio::time::timeout(TIMEOUT, reading)
            .await
            .unwrap_or(Err(ApiFailure::Silent))
    }

    async fn all_at(&self, plan: &Plan, sequences: &[u64]) -> Result<Vec<(Mark, Raw)>, ApiFailure> {
        let connection = &self.api.connection;
        // One subject for all answers: each names its sequence, or says that a message is missing.
        let waiting = connection.link.requests.open_for_many(sequences.len());
        let mut waiting = waiting.ok_or(ApiFailure::Unavailable)?;
        let subject: async_nats::Subject = self.api.subject("DIRECT.GET", &plan.name).into();
        let reply: async_nats::Subject = waiting.subject().into();
        for sequence in sequences {
            let question = OutboundMessage {
                subject: subject.clone(),
                reply: Some(reply.clone()),
                payload: format!("{{\"seq\":{sequence}}}").into(),
                headers: None,
            };
            let sent = connection.send(question).await;
            sent.map_err(|_| ApiFailure::Unavailable)?;
        }
        let mut came: Vec<Option<(Mark, Raw)>> = sequences.iter().map(|_| None).collect();
        for _ in sequences {
            let message = waiting.next().await?;
            let Some(at) = stored_at(&message) else {
                // 404: it has expired, or this server lags. In either case, not all will arrive.
                break;
            };
            let place = sequences.binary_search(&at.sequence);
            let place = place.map_err(|_| ApiFailure::Unreadable)?;
            if let Some(place) = came.get_mut(place) {
                *place = Some(found(at, message)?);
            }
        }
        Ok(came.into_iter().map_while(|message| message).collect())
    }
}
