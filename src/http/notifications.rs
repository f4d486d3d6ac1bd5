//! Publishing over REST: from a request to envelopes on the bus. Knows the bus by its trait; what a request must look
//! like is in the files below.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::router::Api;
use super::trace::FromPublisher;
use crate::bus::Health;
use crate::destination::Target;
use crate::envelope::Envelope;
use crate::telemetry::trace::Span;

pub mod message;
pub mod publish;
pub mod raw;
pub mod request;

/// The answer to a publish that went: with history off, handed to a live bus connection, at most once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Accepted {
    /// The notification's id: the publisher's own, or a new ULID.
    #[schema(example = "01JDEXAMPLE0000000000000000")]
    pub id: String,
    /// The trace's id, if it is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    pub trace_id: Option<String>,
}

impl Accepted {
    /// The answer for `envelope`.
    pub fn of(envelope: &Envelope) -> Self {
        let trace_id = envelope.trace.trace_id().filter(|_| envelope.trace.is_sampled());
        Self {
            id: envelope.id.as_str().into(),
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
    /// Refuses at once while the bus is not connected.
    pub(super) fn require_bus(&self) -> Result<(), ApiError> {
        match *self.state.bus.health().borrow() {
            Health::Connected => Ok(()),
            Health::Disconnected => Err(ApiError::BusUnavailable { published: 0 }),
        }
    }

    /// Gives `envelope`, which goes to all of `targets`, the publisher's trace and baggage, and begins its `publish` span.
    pub(super) fn trace(
        &self,
        publisher: &FromPublisher,
        targets: &[Target],
        envelope: &mut Envelope,
    ) -> Option<Span> {
        let headers = std::mem::take(&mut envelope.headers);
        envelope.headers = publisher.with_baggage(headers, self.state.header_limits);
        self.state.tracer.publish(&publisher.upstream, targets, envelope)
    }

    /// Publishes one envelope, within the span that [`Api::trace`] began. `pointer` says where its body stands in the
    /// request's, if in a part of it; it is asked for a refusal alone.
    pub(super) async fn publish(
        &self,
        envelope: &Envelope,
        pointer: impl FnOnce() -> Option<String>,
        span: &mut Option<Span>,
    ) -> Result<(), ApiError> {
        let begun = Instant::now();
        let published = self.state.bus.publish(envelope).await;
        if published.is_ok() {
            let trace = envelope.trace.recorded_id();
            self.state.metrics.publish_rest.observe(begun.elapsed(), trace);
        }
        published.map_err(|error| {
            let words = error.to_string();
            let error = ApiError::from_publish(error, pointer());
            if let Some(span) = span {
                span.fail(error.label(), words);
            }
            error
        })
    }

    /// Counts a publish by its outcome, and gives it back.
    pub(super) fn counted<T>(self: &Arc<Self>, outcome: Result<T, ApiError>) -> Result<T, ApiError> {
        let metrics = &self.state.metrics;
        match &outcome {
            Ok(_) => metrics.published.with_label_values(&["rest"]).inc(),
            Err(error) => {
                let reason = error.label();
                metrics
                    .publish_refused
                    .with_label_values(&["rest", reason.as_str()])
                    .inc();
            }
        }
        outcome
    }
}
