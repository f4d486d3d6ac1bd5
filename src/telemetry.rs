//! How Herald tells what it does: logs, metrics and traces. Knows nothing of what is told but what a notification is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::setting::Findings;
use log_filter::Level;

pub(crate) mod log_filter;
pub mod log_level;
pub mod logs;
pub mod metrics;
pub mod otlp;
pub mod plan;
pub mod trace;

/// Begins to tell: the log of this process. Called once, by `main`.
///
/// # Errors
/// `log.level` does not parse, or the log was begun before.
pub fn start(config: &LogConfig) -> Result<(), StartError> {
    logs::start(config)
}

/// Why the log could not be begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartError {
    /// There is a log already.
    Twice,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice => f.write_str("the log was begun twice"),
        }
    }
}

impl std::error::Error for StartError {}

/// `[log]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// A filter as tracing's `EnvFilter` reads it: `info`, `herald=debug,info`.
    pub level: Level,
    /// `auto` (pretty on a terminal, JSON otherwise), `pretty` or `json`.
    pub format: LogFormat,
}

impl LogConfig {
    /// Checks that no library is let to say what may be secret.
    pub fn check(&self, findings: &mut Findings) {
        if log_filter::lets_libraries_talk(self.level.as_str()) {
            findings.warn(
                "log.level",
                "a library named at debug or trace may log secrets and bodies",
            );
        }
    }
}

/// `log.format`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: Level::default(),
            format: LogFormat::Auto,
        }
    }
}
