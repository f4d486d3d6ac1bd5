//! A change of the log's level, sent to every instance. Knows the log by its module, no HTTP.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::desk::Desk;
use super::question::{Statement, operator};
use crate::telemetry::audit::Audit;
use crate::telemetry::audit::event::{Event, What};
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
    fn apply(self, audit: &Audit) {
        match log_level::set(&self.level, Duration::from_millis(self.for_ms)) {
            Ok(_) => {
                let what = What {
                    level: Some(self.level.into()),
                    for_seconds: Some(self.for_ms.div_ceil(1_000)),
                    ..What::default()
                };
                audit.done(Event::SetLogLevel, &self.by, &what);
            }
            Err(error) => {
                tracing::warn!(%error, "another instance asks for a log level that cannot be set")
            }
        }
    }
}

/// Obeys [`SetLevel`], which `audit` is told.
pub(crate) fn register(desk: &mut Desk, audit: &Audit) {
    let audit = audit.clone();
    desk.listen(move |order: SetLevel| {
        order.apply(&audit);
        std::future::ready(Ok(()))
    });
}
