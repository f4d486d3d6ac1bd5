//! The log level while the program runs: `GET` and `PUT /api/v1/debug/log`. Knows the log by its module, and tells
//! other instances through [`crate::control::log_level`].

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api::Api;
use super::audit::Deed;
use super::body::require_json;
use super::caller::Caller;
use super::error::ApiError;
use super::json;
use super::refusals;
use crate::control::ask::tell;
use crate::control::log_level::SetLevel;
use crate::setting::HumanDuration;
use crate::telemetry::audit::event::What;
use crate::telemetry::log_level::{self, Level, LevelError};

/// How long a change lasts if it does not say.
const LASTS_DEFAULT: Duration = Duration::from_secs(10 * 60);

/// The log's level on one instance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogLevel {
    /// In force.
    #[schema(example = "herald=debug,info")]
    level: String,
    /// What the configuration says (`log.level`).
    #[schema(example = "info")]
    configured: String,
    /// When the configured one is in force again (RFC 3339); absent: it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "2026-11-23T20:25:50.736Z")]
    until: Option<String>,
    /// The instance's name.
    instance: String,
}

/// A change of the log's level.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogLevelRequest {
    /// As `log.level`, but that no library may be named at `debug` or `trace`. At most 1,024 bytes.
    #[schema(example = "debug", max_length = 1_024)]
    level: String,
    /// For how long, at most `24h`; then the configured level is back.
    #[serde(default, rename = "for", deserialize_with = "duration")]
    #[schema(value_type = Option<String>, required = false, default = "10m", example = "10m")]
    lasts: Option<HumanDuration>,
    /// `own`: the instance that answers; `all`: every instance.
    #[schema(inline, required = false, default = "own")]
    instances: Option<Instances>,
}

/// Whose log level is changed.
#[derive(Deserialize, ToSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Instances {
    Own,
    All,
}

/// Errors are in words that do not repeat the text.
fn duration<'de, D: Deserializer<'de>>(json: D) -> Result<Option<HumanDuration>, D::Error> {
    Option::deserialize(json).map_err(|_| D::Error::custom("must be a duration such as \"10m\""))
}

/// Says at which level this instance logs.
#[utoipa::path(
    get,
    path = "/api/v1/debug/log",
    tag = "debug",
    security(("key" = ["admin"]), ("user" = [])),
    responses(
        (status = 200, description = "Of the instance that answers", body = LogLevel),
        (status = 404, description = "`not-found`: this process has no log of its own", body = crate::problem::Problem,
            content_type = "application/problem+json"),
        refusals::OfCredentials,
    )
)]
pub(crate) async fn get_log(State(api): State<Arc<Api>>) -> Result<Json<LogLevel>, ApiError> {
    let level = log_level::current().ok_or_else(|| ApiError::NotFound(LevelError::NoLog.to_string()))?;
    Ok(Json(view(&api, level)))
}

/// Changes the level at which this instance, or every instance, logs for a while.
#[utoipa::path(
    put,
    path = "/api/v1/debug/log",
    tag = "debug",
    request_body = LogLevelRequest,
    security(("key" = ["admin"]), ("user" = [])),
    responses(
        (status = 200, description = "Changed on the instance that answers", body = LogLevel),
        (status = 202, description = "Every instance has been told"),
        (status = 404, description = "`not-found`: this process has no log of its own", body = crate::problem::Problem,
            content_type = "application/problem+json"),
        refusals::OfBody,
    )
)]
pub(crate) async fn put_log(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Extension(deed): Extension<Deed>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    require_json(&headers)?;
    let body = api.read_json(&headers, body).await?;
    let request: LogLevelRequest = json::read(&body.bytes)?;
    let level = request.level;
    let lasts = request.lasts.map_or(LASTS_DEFAULT, |lasts| lasts.0);
    let all = request.instances == Some(Instances::All);
    log_level::check(&level, lasts).map_err(refused)?;
    deed.is(What {
        level: Some(level.as_str().into()),
        for_seconds: Some(lasts.as_secs()),
        instances: Some(if all { "all" } else { "own" }),
        ..What::default()
    });
    if !all {
        let set = log_level::set(&level, lasts).map_err(refused)?;
        return Ok(Json(view(&api, set)).into_response());
    }
    api.require_bus().map_err(ApiError::of_order)?;
    let order = SetLevel::new(&level, lasts, &caller.to_string());
    let told = tell(&*api.state.bus, &order).await;
    told.map_err(|error| ApiError::from_publish(error, None).of_order())?;
    Ok(StatusCode::ACCEPTED.into_response())
}

fn refused(error: LevelError) -> ApiError {
    match error {
        LevelError::NoLog => ApiError::NotFound(error.to_string()),
        LevelError::Lasts => ApiError::invalid("/for", error.to_string()),
        LevelError::Expected(_) | LevelError::Libraries => ApiError::invalid("/level", error.to_string()),
    }
}

fn view(api: &Api, level: Level) -> LogLevel {
    let until = level.until_ms.and_then(|ms| i64::try_from(ms).ok());
    let until = until.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    LogLevel {
        level: level.level,
        configured: level.configured,
        until: until.map(|until| until.to_string()),
        instance: api.state.instance.name.to_string(),
    }
}
