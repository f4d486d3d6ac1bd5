//! Publishing over REST: from a request to envelopes on the bus. Knows the bus by its trait; what a request must look
//! like is in the files below.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::router::Api;
use crate::bus::Health;
use crate::envelope::{Envelope, TraceContext};

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
    /// The trace's id, if the request's `traceparent` says that it is recorded.
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

/// The trace context of a request (W3C Trace Context): several `tracestate` lines are one list, several `traceparent`
/// lines are none.
pub fn trace_context(headers: &HeaderMap) -> TraceContext {
    let lines = |name: &'static str| {
        headers
            .get_all(HeaderName::from_static(name))
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect::<Vec<_>>()
    };
    let [parent] = lines("traceparent")[..] else {
        return TraceContext::default();
    };
    let state = lines("tracestate").join(",");
    TraceContext::from_headers(Some(parent), Some(&state))
}

impl Api {
    /// Refuses at once while the bus is not connected.
    pub(super) fn require_bus(&self) -> Result<(), ApiError> {
        match *self.state.bus.health().borrow() {
            Health::Connected => Ok(()),
            Health::Disconnected => Err(ApiError::BusUnavailable { published: 0 }),
        }
    }

    /// Publishes one envelope. `pointer` is where its body stands in the request's, if in a part of it.
    pub(super) async fn publish(&self, envelope: &Envelope, pointer: Option<String>) -> Result<(), ApiError> {
        let begun = Instant::now();
        let published = self.state.bus.publish(envelope).await;
        if published.is_ok() {
            let trace = envelope.trace.recorded_id();
            self.state.metrics.publish_rest.observe(begun.elapsed(), trace);
        }
        published.map_err(|error| ApiError::from_publish(error, pointer))
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
                tracing::info!(target: "herald::publish", source = "rest", reason, "a publish was refused");
            }
        }
        outcome
    }
}
