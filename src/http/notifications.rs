//! Publishing over REST: from a request to envelopes on the bus. Knows the bus by its trait. The files below know
//! what a request must look like.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::api::Api;
use super::error::ApiError;
use super::trace::FromPublisher;
use crate::destination::Target;
use crate::envelope::{Envelope, Position};
use crate::publish::{Publishing, Source};

pub(crate) mod message;
pub(crate) mod publish;
pub(crate) mod raw;
pub(crate) mod request;

/// The answer to a successful publish: where history keeps the destination, it is kept; else it was handed to a live bus
/// connection, at most once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// The notification's id: the publisher's own, or a new ULID.
    #[schema(example = "01JDEXAMPLE0000000000000000")]
    pub id: String,
    /// Where it is kept: the `message-id` of its MESSAGE. Not there where history does not keep the destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "1764344293261000-4711")]
    pub position: Option<String>,
    /// The same of each user, in the order of `users`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub positions: Option<Vec<String>>,
    /// The trace's id, if it is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    pub trace_id: Option<String>,
}

impl Accepted {
    /// The answer for `envelope`, which went to each of `positions`, if it is kept.
    pub(crate) fn of(envelope: &Envelope, positions: &[Position]) -> Self {
        let trace_id = envelope.trace.trace_id().filter(|_| envelope.trace.is_sampled());
        let (position, positions) = match positions {
            [] => (None, None),
            [position] => (Some(position.to_string()), None),
            several => (None, Some(several.iter().map(ToString::to_string).collect())),
        };
        Self {
            id: envelope.id.as_str().into(),
            position,
            positions,
            trace_id: trace_id.map(Into::into),
        }
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(self)).into_response()
    }
}

impl Api {
    /// Begins to publish `envelope`, which goes to all of `targets`, with the publisher's trace and baggage.
    pub(super) fn begin(
        &self,
        publisher: &FromPublisher,
        targets: &[Target],
        envelope: &mut Envelope,
    ) -> Publishing<'_> {
        let headers = std::mem::take(&mut envelope.headers);
        envelope.headers = publisher.with_baggage(headers, self.state.header_limits);
        let upstream = &publisher.upstream;
        self.state
            .publisher
            .begin(Source::Rest, upstream, targets, envelope)
    }

    /// Publishes the request's own body to one target.
    pub(super) async fn publish_one(
        &self,
        publisher: &FromPublisher,
        mut envelope: Envelope,
    ) -> Result<Accepted, ApiError> {
        self.state.policy.targets.admit(publisher.payer.as_ref(), 1)?;
        let targets = [envelope.target.clone()];
        let mut publishing = self.begin(publisher, &targets, &mut envelope);
        let published = publishing.hand_over(&envelope).await;
        let published = published.map_err(|error| ApiError::from_publish(error, None))?;
        Ok(Accepted::of(&envelope, published.position.as_slice()))
    }

    /// Counts a publish by its outcome, and returns that.
    pub(super) fn counted<T>(&self, outcome: Result<T, ApiError>) -> Result<T, ApiError> {
        let refused = outcome.as_ref().err().map(ApiError::label);
        self.state.publisher.count(Source::Rest, refused.as_deref());
        outcome
    }
}
