//! Publishing over REST: from a request to envelopes on the bus. Knows the bus by its trait. The files below know the
//! form of each request.

use std::net::IpAddr;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::api::Api;
use super::caller::Caller;
use super::error::ApiError;
use super::idempotency::Idempotency;
use super::trace::FromPublisher;
use crate::bus::Published;
use crate::destination::Target;
use crate::envelope::{Envelope, Kept, Position};
use crate::permissions::{Action, Permissions};
use crate::publish::{Publishing, Source};
use crate::telemetry::audit::{Audit, Refused};
use crate::telemetry::metrics::Metrics;

mod array;
pub(crate) mod message;
pub(crate) mod publish;
pub(crate) mod raw;
pub(crate) mod request;
mod several;

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
    /// `true` if all of it had been published before, with the same `Idempotency-Key`; else not there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub duplicate: bool,
    /// The trace's id, if it is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    pub trace_id: Option<String>,
}

impl Accepted {
    /// The answer for `envelope`, which went to each of its targets as `published` says.
    pub(crate) fn of(envelope: &Envelope, published: &[Published]) -> Self {
        let trace_id = envelope.trace.trace_id().filter(|_| envelope.trace.is_sampled());
        let positions: Vec<Position> = published.iter().filter_map(|one| one.position).collect();
        let (position, positions) = match &positions[..] {
            [] => (None, None),
            [position] => (Some(position.to_string()), None),
            several => (None, Some(several.iter().map(ToString::to_string).collect())),
        };
        Self {
            id: envelope.id.as_str().into(),
            position,
            positions,
            duplicate: !published.is_empty() && published.iter().all(|one| one.duplicate),
            trace_id: trace_id.map(Into::into),
        }
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(self)).into_response()
    }
}

/// By which permissions whose notification it is, and who is told if they refuse it.
#[derive(Clone, Copy)]
pub(crate) struct May<'a> {
    pub permissions: &'a Permissions,
    pub audit: &'a Audit,
    pub metrics: &'a Metrics,
    pub caller: &'a Caller,
    pub address: IpAddr,
}

impl std::fmt::Debug for May<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "May({})", self.caller)
    }
}

impl May<'_> {
    /// Whether it may go to `target`, which stands at `pointer` in the body, if there.
    ///
    /// # Errors
    /// [`ApiError::NotPermitted`]
    fn publish(&self, target: &Target, pointer: Option<&dyn Fn() -> String>) -> Result<(), ApiError> {
        let action = Action::Publish;
        let decided = self.permissions.decide(action, self.caller.who(), target.into());
        decided.map_err(|refusal| {
            self.metrics
                .permission_refusals
                .with_label_values(&[action.label()])
                .inc();
            let rule = refusal.rule();
            let (user, path) = match target {
                Target::Broadcast(path) => (None, path),
                Target::User { user, path } => (Some(user.as_str()), path),
            };
            self.audit.not_permitted(&Refused {
                who: &self.caller.to_string(),
                address: Some(self.address),
                session: None,
                action: action.name(),
                user,
                destination: path.as_str(),
                rule: rule.as_deref(),
            });
            ApiError::NotPermitted {
                destination: path.as_str().into(),
                pointer: pointer.map(|pointer| pointer()),
                detail: format!("publishing there is not permitted: {refusal}"),
                rule,
            }
        })
    }
}

impl Api {
    /// What decides about a notification of `publisher`.
    fn may<'a>(&'a self, publisher: &'a FromPublisher) -> May<'a> {
        May {
            permissions: &self.state.permissions,
            audit: &self.state.audit,
            metrics: &self.state.metrics,
            caller: &publisher.caller,
            address: publisher.address,
        }
    }

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

    /// What history keeps. `None`: it is off.
    fn kept(&self) -> Option<Kept> {
        self.state.bus.history().map(|history| history.kept())
    }

    /// Publishes the request's own body to one target; `has_id`: with an id that the publisher gave it.
    pub(super) async fn publish_one(
        &self,
        publisher: &FromPublisher,
        mut envelope: Envelope,
        has_id: bool,
    ) -> Result<Accepted, ApiError> {
        let once = publisher.once()?;
        if once.is_some() {
            Idempotency::check_kept(self.kept().as_ref(), &envelope.target, None)?;
        }
        if let (Some(once), false) = (once, has_id) {
            envelope.id = once.id(0);
        }
        let FromPublisher { caller, address, .. } = publisher;
        self.may(publisher).publish(&envelope.target, None)?;
        self.state
            .policy
            .targets
            .admit(caller, *address, 1, envelope.body.len())?;
        let targets = [envelope.target.clone()];
        let mut publishing = self.begin(publisher, &targets, &mut envelope);
        let key = once.map(|once| once.key(0, &envelope.target));
        let published = publishing.hand_over(&envelope, key).await;
        let published = published.map_err(|error| ApiError::from_publish(error, None))?;
        Ok(Accepted::of(&envelope, &[published]))
    }

    /// Counts a publish by its outcome, and returns that.
    pub(super) fn counted<T>(&self, outcome: Result<T, ApiError>) -> Result<T, ApiError> {
        let refused = outcome.as_ref().err().map(ApiError::label);
        self.state.publisher.count(Source::Rest, refused.as_deref());
        outcome.map_err(|error| error.because_of(&*self.state.bus))
    }
}
