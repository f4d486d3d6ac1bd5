//! `PUT /api/v1/debug/users/{user}`: traces one user's notifications for some minutes, at every instance. Knows the
//! control channel's payload from `telemetry/propagation`, no tracer.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::access::Caller;
use super::body::require_json;
use super::error::{ApiError, Problem};
use super::notifications::raw::user_name;
use super::notifications::request::{User, json_text, present, whole};
use super::refusals;
use super::router::Api;
use crate::telemetry::propagation::{DEBUG_MINUTES_MAX, DEBUG_USER, write_order};

/// What the route takes. Unknown fields are ignored.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body; `Fields` reads it")]
pub struct DebugUserRequest {
    /// For how long; 0 ends it.
    #[schema(minimum = 0, maximum = 60, example = 5)]
    minutes: u32,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    minutes: Option<&'a RawValue>,
}

fn parse(body: &[u8]) -> Result<u32, ApiError> {
    let fields: Fields<'_> = whole(json_text(body)?, "")?;
    let minutes = fields
        .minutes
        .ok_or_else(|| ApiError::invalid("/minutes", "is required"))?;
    let minutes: Option<u32> = serde_json::from_str(minutes.get()).ok();
    minutes
        .filter(|minutes| *minutes <= DEBUG_MINUTES_MAX)
        .ok_or_else(|| ApiError::invalid("/minutes", "must be a whole number from 0 to 60"))
}

/// Traces what a user sends, and what is sent on the user's own destinations, whatever the ratio, at every instance that is
/// reached. Of 64 users at once, a further one takes the place of the one that would end first.
#[utoipa::path(
    put,
    path = "/api/v1/debug/users/{user}",
    tag = "debug",
    params(("user" = inline(User), Path, description = "Percent-encoded")),
    request_body = DebugUserRequest,
    security(("key" = ["admin"]), ("user" = [])),
    responses(
        (status = 202, description = "Every instance has been told"),
        (status = 404, description = "Nothing is traced here: no collector is configured", body = Problem,
            content_type = "application/problem+json"),
        refusals::OfPublish,
    )
)]
pub async fn put_debug_user(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let segment = uri.path().strip_prefix("/api/v1/debug/users/");
    let user = user_name(segment.unwrap_or_default())?;
    require_json(&headers)?;
    let body = api.read_json(&headers, body).await?;
    let minutes = parse(&body.bytes)?;
    if !api.state.tracer.is_on() {
        return Err(ApiError::NotFound(
            "nothing is traced here: no collector is configured (tracing.endpoint)".into(),
        ));
    }
    let told = async {
        api.require_bus()?;
        let payload = write_order(&user, minutes, &caller.to_string());
        let told = api.state.bus.control_publish(DEBUG_USER, payload).await;
        told.map_err(|error| ApiError::from_publish(error, None))
    };
    let told = told.await;
    tracing::info!(
        target: "herald::audit",
        action = "debug-user",
        caller = %caller,
        user = %user,
        minutes,
        outcome = if told.is_ok() { "accepted" } else { "refused" },
        "an operator has a user traced"
    );
    told.map(|()| StatusCode::ACCEPTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_whole_and_bounded() {
        let check = |body: &str, expected| assert_eq!(parse(body.as_bytes()).ok(), expected, "{body}");
        check(r#"{"minutes":5}"#, Some(5));
        check(r#"{"minutes":0,"x":1}"#, Some(0));
        check(r#"{"minutes":60}"#, Some(60));
        for bad in ["61", "-1", "1.5", "\"5\"", "null"] {
            check(&format!(r#"{{"minutes":{bad}}}"#), None);
        }
        check("{}", None);
        check("[]", None);
    }
}
