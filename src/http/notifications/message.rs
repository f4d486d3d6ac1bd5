//! `POST /api/v1/message`: the publish route of the replaced service, with the same interface (docs/rest.md).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Accepted;
use crate::chat_message::{CONTENT_TYPE, chat_message};
use crate::envelope::Envelope;
use crate::http::api::Api;
use crate::http::body::require_json;
use crate::http::error::ApiError;
use crate::http::json;
use crate::http::refusals;
use crate::http::trace::FromPublisher;

/// Where it goes.
const DESTINATION: &str = "/queue/message";

/// What the route takes. Unknown fields are ignored.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ChatMessageRequest {
    /// The text.
    #[schema(example = "hi")]
    message: String,
    /// Whose name stands under it.
    #[schema(example = "test1")]
    user: String,
}

/// Broadcasts `{"message","user","time"}` on `/queue/message`.
#[utoipa::path(
    post,
    path = "/api/v1/message",
    tag = "publish",
    request_body = ChatMessageRequest,
    security((), ("key" = ["publish"]), ("user" = [])),
    responses(
        (status = 202, description = "Published", body = Accepted),
        (status = 404, description = "`not-found`: `/queue/message` is no broadcast here", body = crate::problem::Problem,
            content_type = "application/problem+json"),
        refusals::OfPublish,
    )
)]
pub(crate) async fn post_message(
    State(api): State<Arc<Api>>,
    publisher: FromPublisher,
    headers: HeaderMap,
    body: Body,
) -> Result<Accepted, ApiError> {
    let outcome = handle(&api, &publisher, &headers, body).await;
    api.counted(outcome)
}

async fn handle(
    api: &Api,
    publisher: &FromPublisher,
    headers: &HeaderMap,
    body: Body,
) -> Result<Accepted, ApiError> {
    if publisher.once()?.is_some() {
        let detail = "header Idempotency-Key is not for this route, whose message has the time in it: POST \
                      /api/v1/notifications takes it";
        return Err(ApiError::BadRequest(detail.into()));
    }
    require_json(headers)?;
    let body = api.read_json(headers, body).await?;
    let ChatMessageRequest { message, user } = json::read(&body.bytes)?;
    api.require_bus()?;
    let target = api
        .state
        .prefixes
        .broadcast(DESTINATION)
        .map_err(|_| ApiError::NotFound(format!("{DESTINATION} is no broadcast destination here")))?;
    let now = jiff::Timestamp::now().to_zoned(api.state.time_zone.clone());
    let envelope = Envelope::new(target, chat_message(&message, &user, &now)).with_content_type(CONTENT_TYPE);
    api.publish_one(publisher, envelope, false).await
}
