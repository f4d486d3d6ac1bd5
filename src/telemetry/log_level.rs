//! The log's level while the program runs: changed for a limited time, after which the configured one returns by
//! itself, so that a forgotten `trace` ends. Knows no HTTP. The log belongs to the process, and so does this.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::Mutex;
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::log_filter;
use crate::envelope::unix_ms;

/// Longest text of a level.
pub const LEVEL_MAX_BYTES: usize = 1_024;
/// Longest time that a level lasts which the configuration does not say.
pub const LASTS_MAX: Duration = Duration::from_secs(24 * 60 * 60);

static RUNNING: OnceLock<Running> = OnceLock::new();

struct Running {
    filter: reload::Handle<EnvFilter, Registry>,
    configured: String,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    /// None: the configured level.
    changed: Option<(String, u64)>,
    /// Counts the changes, so that the end of an earlier one does not end a later one.
    change: u64,
}

/// The level in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// As it was given.
    pub level: String,
    /// `log.level`
    pub configured: String,
    /// When the configured one is back, in Unix ms; none: it is in force.
    pub until_ms: Option<u64>,
}

/// Why a level was not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LevelError {
    /// No filter, or too long; the words say what was expected.
    Expected(String),
    /// A library named at `debug` or `trace` may log secrets and bodies: only the configuration may ask for that.
    Libraries,
    /// The time is nothing or more than [`LASTS_MAX`].
    Lasts,
    /// This process has no log of Herald's.
    NoLog,
}

impl fmt::Display for LevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected(expected) => f.write_str(expected),
            Self::Libraries => f.write_str(
                "a library named at debug or trace may log secrets and bodies; only log.level may ask for that",
            ),
            Self::Lasts => f.write_str("expected more than 0s and at most 24h"),
            Self::NoLog => f.write_str("this process has no log of its own"),
        }
    }
}

impl std::error::Error for LevelError {}

/// The log has begun.
pub(super) fn begun(filter: reload::Handle<EnvFilter, Registry>, configured: &str) {
    // A second log is refused before.
    let _ = RUNNING.set(Running {
        filter,
        configured: configured.into(),
        now: Mutex::default(),
    });
}

/// The level in force; none: there is no log.
pub fn current() -> Option<Level> {
    let running = RUNNING.get()?;
    let changed = running.now.lock().changed.clone();
    let (level, until_ms) = changed.map_or((running.configured.clone(), None), |(level, until_ms)| {
        (level, Some(until_ms))
    });
    Some(Level {
        level,
        configured: running.configured.clone(),
        until_ms,
    })
}

/// Whether `level` may be set for as long as `lasts`.
pub fn check(level: &str, lasts: Duration) -> Result<(), LevelError> {
    checked(level, lasts).map(drop)
}

fn checked(level: &str, lasts: Duration) -> Result<EnvFilter, LevelError> {
    if level.len() > LEVEL_MAX_BYTES {
        let expected = format!("expected at most {LEVEL_MAX_BYTES} bytes");
        return Err(LevelError::Expected(expected));
    }
    let filter = log_filter::filter(level).map_err(|error| {
        // Without what was given: an answer repeats nothing of a request's body.
        let expected = error.split(", got ").next().unwrap_or_default();
        LevelError::Expected(expected.into())
    })?;
    if log_filter::lets_libraries_talk(level) {
        return Err(LevelError::Libraries);
    }
    if lasts.is_zero() || lasts > LASTS_MAX {
        return Err(LevelError::Lasts);
    }
    Ok(filter)
}

/// Logs at `level` for as long as `lasts`, then as configured. A later call replaces an earlier one. Needs a tokio runtime.
pub fn set(level: &str, lasts: Duration) -> Result<Level, LevelError> {
    let filter = checked(level, lasts)?;
    let running = RUNNING.get().ok_or(LevelError::NoLog)?;
    running.reload(filter)?;
    let until_ms = unix_ms().saturating_add(u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX));
    let change = {
        let mut now = running.now.lock();
        now.changed = Some((level.into(), until_ms));
        now.change += 1;
        now.change
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "one change of the level; without its end the log stays as it is"
    )]
    tokio::spawn(async move {
        tokio::time::sleep(lasts).await;
        running.end(change);
    });
    Ok(Level {
        level: level.into(),
        configured: running.configured.clone(),
        until_ms: Some(until_ms),
    })
}

impl Running {
    fn reload(&self, filter: EnvFilter) -> Result<(), LevelError> {
        self.filter.reload(filter).map_err(|_| LevelError::NoLog)
    }

    /// Back to the configured level, unless another change came meanwhile.
    fn end(&self, change: u64) {
        {
            let mut now = self.now.lock();
            if now.change != change {
                return;
            }
            now.changed = None;
        }
        // It has been read at the start.
        let Ok(filter) = log_filter::filter(&self.configured) else {
            return;
        };
        if self.reload(filter).is_ok() {
            tracing::info!(
                to = self.configured,
                "the log's level is the configured one again"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_filter_tells_no_secrets_and_ends_may_be_set() {
        let refused = |level: &str, seconds| check(level, Duration::from_secs(seconds)).unwrap_err();
        for (level, seconds) in [("debug", 1), ("herald::ws=trace,info", 60), ("off", 86_400)] {
            assert_eq!(check(level, Duration::from_secs(seconds)), Ok(()), "{level}");
        }
        assert!(refused("inof", 1).to_string().contains("expected a level"));
        assert!(refused(&"debug,".repeat(300), 1).to_string().contains("1024"));
        assert_eq!(refused("info,async_nats=trace", 1), LevelError::Libraries);
        assert_eq!(refused("debug", 0), LevelError::Lasts);
        assert_eq!(refused("debug", 86_401), LevelError::Lasts);
    }
}
