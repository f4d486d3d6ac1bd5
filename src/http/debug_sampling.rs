//! `PUT /api/v1/debug/users/{user}` and `…/sessions/{session}`: traces one user's or one session's notifications for
//! some minutes, on every instance. The orders that go over the bus are in [`crate::control::debug_sampling`].

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use utoipa::ToSchema;

use super::api::Api;
use super::ask::ask_others;
use super::audit::Deed;
use super::body::require_json;
use super::caller::Caller;
use super::error::ApiError;
use super::json;
use super::notifications::raw::user_name;
use super::notifications::request::User;
use super::refusals;
use super::whole;
use crate::control::debug_sampling::{tell_all, what};
use crate::control::session_user::{FindSession, OfSession};
use crate::principal::UserName;
use crate::problem::Problem;
use crate::telemetry::trace::decide::{DEBUG_MINUTES_MAX, Debugged, session_id};

/// The body of the route.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DebugRequest {
    /// For how long; 0 ends it.
    #[serde(deserialize_with = "whole_minutes")]
    #[schema(minimum = 0, maximum = 60, example = 5)]
    minutes: u32,
}

fn whole_minutes<'de, D: Deserializer<'de>>(json: D) -> Result<u32, D::Error> {
    let expected = format!("a whole number from 0 to {DEBUG_MINUTES_MAX}");
    let minutes = whole::required(json, 0..=u64::from(DEBUG_MINUTES_MAX), &expected)?;
    u32::try_from(minutes).map_err(D::Error::custom)
}

/// Traces what a user sends, and what is sent on the user's own destinations, whatever the ratio, at every instance that is
/// reached. Of 64 users and sessions at once, a further one takes the place of the one that would end first.
#[utoipa::path(
    put,
    path = "/api/v1/debug/users/{user}",
    tag = "debug",
    params(("user" = inline(User), Path, description = "Percent-encoded")),
    request_body = DebugRequest,
    security(("key" = ["admin"]), ("user" = [])),
    responses(
        (status = 202, description = "Every instance has been told"),
        (status = 404, description = "`not-found`: nothing is traced here: no collector is configured", body = Problem,
            content_type = "application/problem+json"),
        refusals::OfBody,
    )
)]
pub(crate) async fn put_debug_user(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Extension(deed): Extension<Deed>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let segment = uri.path().strip_prefix("/api/v1/debug/users/");
    let user = user_name(segment.unwrap_or_default())?;
    let minutes = minutes(&api, &headers, body).await?;
    tell(&api, &caller, &deed, Debugged::User(user), minutes).await
}

/// Traces what one session sends, and what is sent on its user's own destinations, as for a user. Which session it is: the
/// live instances are asked, for at most 500 ms.
#[utoipa::path(
    put,
    path = "/api/v1/debug/sessions/{session}",
    tag = "debug",
    params(("session" = String, Path, description = "CONNECTED's `session`", example = "01JDEXAMPRE0000000000000AA")),
    request_body = DebugRequest,
    security(("key" = ["admin"]), ("user" = [])),
    responses(
        (status = 202, description = "Every instance has been told"),
        (status = 404, description = "`not-found`: no instance that answered has this session, or nothing is traced here: no collector is \
            configured", body = Problem, content_type = "application/problem+json"),
        refusals::OfBody,
    )
)]
pub(crate) async fn put_debug_session(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Extension(deed): Extension<Deed>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let segment = uri.path().strip_prefix("/api/v1/debug/sessions/");
    let id = session_id(segment.unwrap_or_default())
        .ok_or_else(|| ApiError::BadRequest("a session's id is the `session` of its CONNECTED".into()))?;
    let minutes = minutes(&api, &headers, body).await?;
    // A session that is over can still be told to end.
    let user = match minutes {
        0 => None,
        _ => Some(holder(&api, &id).await?),
    };
    tell(&api, &caller, &deed, Debugged::Session { id, user }, minutes).await
}

/// Reads the body, and refuses if tracing is off.
async fn minutes(api: &Api, headers: &HeaderMap, body: Body) -> Result<u32, ApiError> {
    require_json(headers)?;
    let body = api.read_json(headers, body).await?;
    let DebugRequest { minutes } = json::read(&body.bytes)?;
    match api.state.tracer.is_on() {
        true => Ok(minutes),
        false => Err(ApiError::NotFound(
            "nothing is traced here: no collector is configured (tracing.endpoint)".into(),
        )),
    }
}

/// The user of the session, whichever instance holds it.
async fn holder(api: &Api, session: &str) -> Result<UserName, ApiError> {
    let state = &api.state;
    if let Some(user) = state.registry.user_of(session).await {
        return Ok(user);
    }
    let (others, session) = (state.presence.others(), session.into());
    let asked = ask_others::<FindSession>(&*state.bus, &others, &OfSession { session }).await;
    let silent: Vec<&str> = asked
        .iter()
        .filter(|asked| asked.answer.is_none())
        .map(|asked| &*asked.instance.name)
        .collect();
    let user = asked.iter().find_map(|asked| asked.answer.as_ref()?.user.clone());
    user.ok_or_else(|| {
        ApiError::NotFound(match silent.is_empty() {
            true => "no instance has this session".into(),
            false => format!(
                "no instance that answered has this session; silent: {}",
                silent.join(", ")
            ),
        })
    })
}

/// Tells every instance.
async fn tell(
    api: &Api,
    caller: &Caller,
    deed: &Deed,
    who: Debugged,
    minutes: u32,
) -> Result<StatusCode, ApiError> {
    deed.is(what(&who, minutes));
    api.require_bus().map_err(ApiError::of_order)?;
    let told = tell_all(&*api.state.bus, who, minutes, caller.to_string()).await;
    told.map_err(|error| ApiError::from_publish(error, None).of_order())?;
    Ok(StatusCode::ACCEPTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_whole_and_bounded() {
        let check = |body: &str, expected| {
            let read = json::read::<DebugRequest>(body.as_bytes());
            assert_eq!(read.ok().map(|read| read.minutes), expected, "{body}");
        };
        check(r#"{"minutes":5}"#, Some(5));
        check(r#"{"minutes":5.0}"#, Some(5));
        check(r#"{"minutes":0}"#, Some(0));
        check(r#"{"minutes":0,"x":1}"#, None);
        check(r#"{"minutes":60}"#, Some(60));
        for bad in ["61", "-1", "1.5", "\"5\"", "null"] {
            check(&format!(r#"{{"minutes":{bad}}}"#), None);
        }
        check("{}", None);
        check("[]", None);
    }
}
