//! `POST /api/v1/notifications`: one notification, or an array of them in order.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::request::{Batch, Notification, Rules, parse, split};
use super::several::publish_each;
use super::{Accepted, array};
use crate::chat_message::CONTENT_TYPE;
use crate::envelope::{Arrival, Envelope, MessageId, TraceContext, unix_ms};
use crate::http::api::Api;
use crate::http::audit::{Deed, Guard};
use crate::http::body::require_json;
use crate::http::caller::{Admitted, address_of, authorize, certificate_of};
use crate::http::error::ApiError;
use crate::http::explain::{Explanation, about, explain};
use crate::http::idempotency::Idempotency;
use crate::http::origin;
use crate::http::refusals;
use crate::http::trace::FromPublisher;
use crate::problem::Problem;
use crate::telemetry::audit::event::Event;
use crate::ws::peer::Peer;

/// What the route answers. One type for all of its answers, since generated clients in Java read every answer by the type of the first.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the answer; `post_notifications` writes it")]
pub(crate) enum NotificationsAnswer {
    /// One was published (202).
    One(Accepted),
    /// Of an array: all were published (202), or not all (207).
    Many(ItemList),
    /// Of a dry run (200).
    DryRun(Explanation),
}

/// What became of the items of an array, in their order. It has a name in the document, since not every generator makes something of
/// an array that has none.
#[derive(Serialize, ToSchema)]
pub(crate) struct ItemList(Vec<Item>);

/// What became of one item of an array.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Item {
    /// It went.
    Accepted(AcceptedItem),
    /// It did not; its `pointer` begins with the item's place in the array.
    Refused(Problem),
}

/// An item that went. It has a name of its own in the document: generators of clients make nothing of what has none.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AcceptedItem {
    /// 202
    pub status: u16,
    #[serde(flatten)]
    pub accepted: Accepted,
}

/// How to publish.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Options {
    /// Publish nothing, and say who would get it instead: one notification to at most one user, scope `admin`.
    #[serde(default)]
    dry_run: bool,
    /// Publish all of an array and all users of each, or nothing: at most 1,000 targets, all broadcasts or all users, which
    /// history keeps.
    #[serde(default)]
    atomic: bool,
}

/// Publishes one notification (202) or an array in its order (202 if all went, else 207 with each item's own status).
/// With `atomic=true` an array goes as a whole or not at all, and no other publisher's notification comes in between.
/// With `dry_run=true` nothing is published, and the answer says who would get it (200).
#[utoipa::path(
    post,
    path = "/api/v1/notifications",
    tag = "publish",
    params(
        Options,
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key is published once, for \
            `history.duplicate_window`: 1 to 255 visible ASCII characters. Only where history keeps the destination"),
    ),
    request_body = Batch,
    security((), ("key" = ["publish"]), ("user" = [])),
    responses(
        (status = 200, description = "Of a dry run: an `Explanation`", body = NotificationsAnswer),
        (status = 202, description = "All were published: `Accepted`; of an array, an `ItemList`", body = NotificationsAnswer),
        (status = 207, description = "Not all of an array were published: an `ItemList`", body = NotificationsAnswer),
        refusals::OfPublish,
    )
)]
pub(crate) async fn post_notifications(
    State(api): State<Arc<Api>>,
    publisher: FromPublisher,
    options: Result<Query<Options>, QueryRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let (dry_run, atomic) = match options {
        Ok(Query(Options { dry_run, atomic })) if !(dry_run && atomic) => (dry_run, atomic),
        Ok(_) => {
            let detail = "dry_run and atomic exclude each other; nothing was published";
            return Err(ApiError::BadRequest(detail.into()));
        }
        Err(_) => {
            let detail =
                "the query parameters dry_run and atomic must be true or false; nothing was published";
            return Err(ApiError::BadRequest(detail.into()));
        }
    };
    // Taken apart here: extractors would copy what they extract.
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    if dry_run {
        return Ok(self::dry_run(&api, parts.extensions.get(), headers, body).await);
    }
    let read = async {
        publisher.once()?;
        require_json(headers)?;
        api.read_json(headers, body).await
    };
    let body = match read.await {
        Ok(body) => body,
        Err(error) => return api.counted(Err(error)),
    };
    match split(&body.bytes) {
        Ok(batch) if atomic => array::publish_atomic(&api, &batch, &publisher).await,
        Ok(Batch::One(text)) => {
            let admitted = parse(text, "", api.rules(Some(&publisher))).and_then(|parsed| {
                api.require_bus()?;
                api.admit(&publisher, [&parsed])?;
                Ok(parsed)
            });
            let outcome = match admitted {
                Ok(notification) => publish(&api, notification, &publisher).await,
                Err(error) => Err(error),
            };
            api.counted(outcome).map(IntoResponse::into_response)
        }
        Ok(Batch::Many(items)) => match api.require_bus() {
            Ok(()) => array::publish_all(&api, &items, &publisher).await,
            Err(error) => api.counted(Err(error)),
        },
        Err(error) => api.counted(Err(error)),
    }
}

/// Says who would get a notification, to an operator.
async fn dry_run(api: &Api, peer: Option<&Peer>, headers: &HeaderMap, body: Body) -> Response {
    // The route is open to publishers; which sessions exist is not.
    let guard = Guard::Admin(Event::Explain);
    let told = match authorize(&api.state, guard, headers, address_of(peer), certificate_of(peer)).await {
        Ok(Admitted { told, .. }) => told,
        Err(denied) => return origin::challenge(denied.into_response(), origin::is_of_browser(headers)),
    };
    let explained = explain_body(api, &told.deed().unwrap_or_default(), headers, body).await;
    let response = explained.into_response();
    told.answered(&response);
    response
}

/// Validates as if it were to be published, and says who would get it.
async fn explain_body(
    api: &Api,
    deed: &Deed,
    headers: &HeaderMap,
    body: Body,
) -> Result<Json<Explanation>, ApiError> {
    require_json(headers)?;
    let body = api.read_json(headers, body).await?;
    let Batch::One(text) = split(&body.bytes)? else {
        return Err(ApiError::invalid(
            "",
            "a dry run takes one notification, not an array",
        ));
    };
    let notification = parse(text, "", api.rules(None))?;
    api.check_size(notification.payload.len(), "/payload")?;
    match &notification.targets[..] {
        [target] => {
            deed.is(about(target));
            Ok(Json(explain(api, target).await))
        }
        _ => Err(ApiError::invalid("/users", "a dry run takes one user")),
    }
}

impl Api {
    /// Admits all of `notifications`, or none, by the rates of their publisher.
    pub(super) fn admit<'a>(
        &self,
        publisher: &FromPublisher,
        notifications: impl IntoIterator<Item = &'a Notification>,
    ) -> Result<(), ApiError> {
        let (mut targets, mut bytes) = (0, 0_usize);
        for notification in notifications {
            targets += notification.targets.len();
            bytes = bytes.saturating_add(
                notification
                    .payload
                    .len()
                    .saturating_mul(notification.targets.len()),
            );
        }
        let FromPublisher { caller, address, .. } = publisher;
        self.state.policy.targets.admit(caller, *address, targets, bytes)
    }

    /// Refuses a body that the bus would refuse.
    pub(super) fn check_size(&self, size: usize, pointer: &str) -> Result<(), ApiError> {
        let fits = self.state.publisher.check_size(size);
        fits.map_err(|error| ApiError::from_publish(error, Some(pointer.into())))
    }

    /// What a notification of `publisher` must keep to. `None`: of an operator, who only asks where it would go.
    pub(super) fn rules<'a>(&'a self, publisher: Option<&'a FromPublisher>) -> Rules<'a> {
        Rules {
            prefixes: &self.state.prefixes,
            headers: self.state.header_limits,
            may: publisher.map(|publisher| self.may(publisher)),
        }
    }
}

/// The notification as it goes to its first target. It is the request's number `item`.
///
/// # Errors
/// Its `Idempotency-Key` is none, or is of no use for it. `at` is the JSON pointer to it.
pub(super) fn envelope(
    api: &Api,
    notification: &Notification,
    publisher: &FromPublisher,
    item: usize,
    at: &str,
) -> Result<Envelope, ApiError> {
    let now = unix_ms();
    let first = notification.targets.first().ok_or(ApiError::Internal)?;
    let once = publisher.once()?;
    if once.is_some() {
        let pointer = Some(format!("{at}/destination"));
        Idempotency::check_kept(api.kept().as_ref(), first, pointer)?;
    }
    let id = notification.id.clone().or_else(|| Some(once?.id(item)));
    Ok(Envelope {
        id: id.unwrap_or_else(MessageId::random),
        target: first.clone(),
        position: None,
        local: None,
        content_type: Some(CONTENT_TYPE.into()),
        headers: notification.headers.clone(),
        body: notification.payload.clone(),
        trace: TraceContext::default(),
        timestamp_ms: now,
        expires_at_ms: notification.ttl_ms.map(|ttl| now.saturating_add(ttl)),
        collapse: notification.collapse.clone(),
        arrival: Arrival::default(),
    })
}

/// Publishes the request's only notification to each of its targets.
async fn publish(
    api: &Api,
    notification: Notification,
    publisher: &FromPublisher,
) -> Result<Accepted, ApiError> {
    let [target] = &notification.targets[..] else {
        let mut outcomes = publish_each(api, vec![(String::new(), Ok(notification))], publisher).await;
        return outcomes.pop().unwrap_or(Err(ApiError::Internal));
    };
    let mut envelope = envelope(api, &notification, publisher, 0, "")?;
    let key = publisher.once()?.map(|once| once.key(0, target));
    let mut publishing = api.begin(publisher, &notification.targets, &mut envelope);
    let published = publishing.hand_over(&envelope, key).await;
    let published = published.map_err(|error| ApiError::from_publish(error, Some("/payload".into())))?;
    Ok(Accepted::of(&envelope, &[published]))
}
