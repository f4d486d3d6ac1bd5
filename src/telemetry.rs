//! Herald's logs, metrics and traces. Knows nothing of what is reported except what a notification is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::setting::{ByteSize, Findings};
use log_filter::Level;
pub use logs::LogGuard;

pub mod audit;
mod lines;
pub(crate) mod log_filter;
pub mod log_level;
pub mod logs;
pub mod metrics;
pub mod otlp;
pub mod plan;
pub mod trace;

/// Begins the log of this process. Called once, by `main`, which keeps the result until it ends: dropping that writes what
/// is still queued, for at most about a second.
///
/// # Errors
/// The log was begun before.
pub fn start(config: &LogConfig) -> Result<LogGuard, StartError> {
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
    /// Lines that may wait for a reader of standard error. Further ones are dropped and counted.
    pub queue_lines: usize,
    /// Bytes of the newest lines that are kept in memory for `GET /api/v1/debug/log/lines`; 0: none.
    pub recent_bytes: ByteSize,
}

impl LogConfig {
    /// Checks that the queue is bounded, and that no library may log what may be secret.
    pub fn check(&self, findings: &mut Findings) {
        findings.within("log.queue_lines", self.queue_lines, 1, 1_000_000);
        findings.within(
            "log.recent_bytes",
            self.recent_bytes,
            ByteSize(0),
            ByteSize::mib(16),
        );
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
            queue_lines: 8_192,
            recent_bytes: ByteSize::kib(256),
        }
    }
}
