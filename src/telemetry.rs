//! How Herald tells what it does: logs, metrics and traces. Knows nothing of what is told but what a notification is.

use std::fmt;

use serde::{Deserialize, Serialize};

pub mod log_filter;
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
    /// `log.level` is no filter; the words say what was expected.
    Level(String),
    /// There is a log already.
    Twice,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(expected) => write!(f, "log.level: {expected}"),
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
    pub level: String,
    /// `auto` (pretty on a terminal, JSON otherwise), `pretty` or `json`.
    pub format: LogFormat,
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
            level: "info".into(),
            format: LogFormat::Auto,
        }
    }
}
