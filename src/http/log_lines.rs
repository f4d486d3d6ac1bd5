//! The latest lines of the log: `GET /api/v1/debug/log/lines`. Knows the log by its module, and no line's meaning.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::api::Api;
use super::error::ApiError;
use super::refusals;
use crate::telemetry::logs;

/// What an instance has logged lately.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogLines {
    /// The instance's name.
    instance: String,
    /// The newest lines, the oldest first, up to `log.recent_bytes`.
    lines: Vec<String>,
    /// Lines that were lost since the start, because nobody read standard error quickly enough.
    lost: u64,
}

/// Says what this instance has logged lately.
#[utoipa::path(
    get,
    path = "/api/v1/debug/log/lines",
    tag = "debug",
    security(("key" = ["admin"]), ("user" = [])),
    responses(
        (status = 200, description = "Of the instance that answers", body = LogLines),
        (status = 404, description = "`not-found`: `log.recent_bytes` is 0, or this process has no log of its own",
            body = crate::problem::Problem, content_type = "application/problem+json"),
        refusals::OfCredentials,
    )
)]
pub(crate) async fn get_log_lines(State(api): State<Arc<Api>>) -> Result<Json<LogLines>, ApiError> {
    let lines = logs::recent().ok_or_else(|| {
        ApiError::NotFound(
            "no lines are kept here: log.recent_bytes is 0, or the process has no log of its own".into(),
        )
    })?;
    Ok(Json(LogLines {
        instance: api.state.instance.name.to_string(),
        lines,
        lost: logs::lost(),
    }))
}
