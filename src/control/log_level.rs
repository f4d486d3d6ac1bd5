//! A change of the log's level that every instance is told of. Knows the log by its module, no HTTP.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::desk::Desk;
use super::question::{Statement, operator};
use crate::telemetry::log_level;

/// To every instance: log at another level for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetLevel {
    level: String,
    for_ms: u64,
    /// The operator who asked for it, for the logs of the instances that do it.
    #[serde(deserialize_with = "operator")]
    by: String,
}

impl Statement for SetLevel {
    const KIND: &'static str = "log.level";
}

impl SetLevel {
    /// Log at `level` for `lasts`; `by` names the operator.
    pub(crate) fn new(level: &str, lasts: Duration, by: &str) -> Self {
        Self {
            level: level.into(),
            for_ms: u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX),
            by: by.into(),
        }
    }

    /// Checked as if an operator had asked here.
    fn apply(self) {
        match log_level::set(&self.level, Duration::from_millis(self.for_ms)) {
            Ok(_) => {
                tracing::info!(target: "herald::audit", action = "set-log-level", by = self.by, to = self.level,
                    for_ms = self.for_ms, "the log's level is changed on every instance")
            }
            Err(error) => {
                tracing::warn!(%error, "another instance asks for a log level that cannot be set")
            }
        }
    }
}

/// Obeys [`SetLevel`].
pub(crate) fn register(desk: &mut Desk) {
    desk.listen(|order: SetLevel| {
        order.apply();
        std::future::ready(Ok(()))
    });
}
