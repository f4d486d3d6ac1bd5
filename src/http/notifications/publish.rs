//! `POST /api/v1/notifications`: one notification, or an array of them in its order.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::request::{Batch, Notification, NotificationRequest, Rules, parse, split};
use super::{Accepted, trace_context};
use crate::chat_message::CONTENT_TYPE;
use crate::envelope::{Arrival, Envelope, MessageId, TraceContext, unix_ms};
use crate::http::body::require_json;
use crate::http::error::{ApiError, Problem};
use crate::http::refusals;
use crate::http::router::Api;

/// One notification, or an array of at most 1,000.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum NotificationsRequest {
    /// One.
    One(NotificationRequest),
    /// Several, published in their order.
    Many(Vec<NotificationRequest>),
}

/// The answer to a request that went as a whole.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Published {
    /// One.
    One(Accepted),
    /// Several, in their order.
    Many(Vec<Item>),
}

/// What became of one item of an array.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Item {
    /// It went.
    Accepted {
        /// 202
        status: u16,
        #[serde(flatten)]
        /// Its id.
        accepted: Accepted,
    },
    /// It did not; its `pointer` begins with the item's place in the array.
    Refused(Problem),
}

/// Publishes one notification (202) or an array in its order (202 if all went, else 207 with each item's own status).
#[utoipa::path(
    post,
    path = "/api/v1/notifications",
    tag = "publish",
    request_body = NotificationsRequest,
    security((), ("key" = ["publish"]), ("user" = [])),
    responses(
        (status = 202, description = "All went; of an array, the items in their order", body = Published),
        (status = 207, description = "Not all of an array went", body = Vec<Item>),
        refusals::OfPublish,
    )
)]
pub async fn post_notifications(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let read = async {
        require_json(&headers)?;
        api.read_json(&headers, body).await
    };
    let body = match read.await {
        Ok(body) => body,
        Err(error) => return api.counted(Err(error)),
    };
    let trace = trace_context(&headers);
    match split(&body.bytes).and_then(|batch| api.require_bus().map(|()| batch)) {
        Ok(Batch::One(raw)) => {
            let outcome = match parse(raw, "", api.rules()) {
                Ok(notification) => publish(&api, notification, &trace, "").await,
                Err(error) => Err(error),
            };
            api.counted(outcome).map(IntoResponse::into_response)
        }
        Ok(Batch::Many(items)) => publish_all(&api, &items, &trace).await,
        Err(error) => api.counted(Err(error)),
    }
}

impl Api {
    fn rules(&self) -> Rules<'_> {
        Rules {
            prefixes: &self.state.prefixes,
            headers: self.state.header_limits,
        }
    }
}

/// All are looked at first and then handed to the bus one after the other, which keeps their order: in one go, so that
/// neither the relay nor a shard falls asleep between two of them. Once the bus refuses, what follows is not tried, so
/// that the answer comes within about a second.
async fn publish_all(
    api: &Arc<Api>,
    items: &[&serde_json::value::RawValue],
    trace: &TraceContext,
) -> Result<Response, ApiError> {
    let parse = |(index, raw): (usize, &&serde_json::value::RawValue)| {
        let at = format!("/{index}");
        let parsed = parse(raw, &at, api.rules());
        (at, parsed)
    };
    let parsed: Vec<_> = items.iter().enumerate().map(parse).collect();
    let mut outcomes = Vec::with_capacity(items.len());
    let mut bus_is_gone = false;
    let mut went = 0_usize;
    for (at, parsed) in parsed {
        let outcome = match parsed {
            Ok(_) if bus_is_gone => Err(ApiError::BusUnavailable { published: 0 }),
            Ok(notification) => publish(api, notification, trace, &at).await,
            Err(error) => Err(error),
        };
        match &outcome {
            Ok(_) => went += 1,
            Err(ApiError::BusUnavailable { published }) => {
                bus_is_gone = true;
                went += published;
            }
            Err(_) => {}
        }
        outcomes.push(api.counted(outcome));
    }
    if bus_is_gone && went == 0 {
        return Err(ApiError::BusUnavailable { published: 0 });
    }
    let status = if outcomes.iter().all(Result::is_ok) {
        StatusCode::ACCEPTED
    } else {
        StatusCode::MULTI_STATUS
    };
    let items: Vec<Item> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Ok(accepted) => Item::Accepted {
                status: StatusCode::ACCEPTED.as_u16(),
                accepted,
            },
            Err(error) => Item::Refused(error.problem()),
        })
        .collect();
    Ok((status, Json(items)).into_response())
}

async fn publish(
    api: &Api,
    notification: Notification,
    trace: &TraceContext,
    at: &str,
) -> Result<Accepted, ApiError> {
    let now = unix_ms();
    let id = notification.id.unwrap_or_else(MessageId::random);
    let mut accepted = None;
    for (published, target) in notification.targets.into_iter().enumerate() {
        let envelope = Envelope {
            id: id.clone(),
            target,
            position: None,
            content_type: Some(CONTENT_TYPE.into()),
            headers: notification.headers.clone(),
            body: notification.payload.clone(),
            trace: trace.clone(),
            timestamp_ms: now,
            expires_at_ms: notification.ttl_ms.map(|ttl| now.saturating_add(ttl)),
            collapse: notification.collapse.clone(),
            arrival: Arrival::default(),
        };
        match api.publish(&envelope, Some(format!("{at}/payload"))).await {
            Err(ApiError::BusUnavailable { .. }) => return Err(ApiError::BusUnavailable { published }),
            outcome => outcome?,
        }
        accepted.get_or_insert_with(|| Accepted::of(&envelope));
    }
    accepted.ok_or(ApiError::Internal)
}
