//! A change of the log's level that every instance is told of, and how it does it. Knows no HTTP.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::json;
use crate::telemetry::log_level;

/// To every instance: log at another level for a while.
pub const SET_LEVEL: &str = "log.level";

#[derive(Debug, Serialize, Deserialize)]
struct SetLevel {
    level: String,
    for_ms: u64,
    /// Who asked for it, for the logs of the instances that do it.
    by: String,
}

/// The payload of [`SET_LEVEL`]; `by` names the operator.
pub fn set_level(level: &str, lasts: Duration, by: &str) -> Bytes {
    json(&SetLevel {
        level: level.into(),
        for_ms: u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX),
        by: by.into(),
    })
}

/// Does what [`SET_LEVEL`] tells this instance; checked as if an operator had asked here.
pub fn apply_set_level(payload: &Bytes) {
    let Ok(order) = serde_json::from_slice::<SetLevel>(payload) else {
        tracing::warn!(kind = SET_LEVEL, "a control message cannot be read");
        return;
    };
    match log_level::set(&order.level, Duration::from_millis(order.for_ms)) {
        Ok(_) => {
            tracing::info!(target: "herald::audit", action = "set-log-level", by = order.by, to = order.level,
            for_ms = order.for_ms, "the log's level is changed on every instance")
        }
        Err(error) => tracing::warn!(%error, "another instance asks for a log level that cannot be set"),
    }
}
