//! Which events are logged: `log.level` as a filter. Knows no writer, and not how long it is in force.

use std::fmt;
use std::str::FromStr;

use tracing_subscriber::filter::EnvFilter;

use crate::setting::as_text;

/// What Herald's own events are called; all others are libraries'.
const OWN_TARGET: &str = "herald";

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// `log.level`: a filter as tracing's `EnvFilter` reads it, such as `info` or `herald=debug,info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level(Box<str>);

impl Level {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The filter itself. It has been read once, so this does not fail.
    pub(super) fn filter(&self) -> EnvFilter {
        filter(&self.0).unwrap_or_default()
    }
}

impl Default for Level {
    fn default() -> Self {
        Self("info".into())
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        filter(text).map(|_| Self(text.into()))
    }
}

as_text!(Level);

/// The filter that `log.level` asks for. A level alone is Herald's own; libraries stay at `warn` unless `log.level` names
/// them: what they say at lower levels is of use to their authors only, and may hold what must not be logged, such as
/// a request's body.
///
/// # Errors
/// What was expected. A word without `=` that is no level is refused too: `EnvFilter` would take `inof` for a target
/// and silence all others.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, String> {
    let expected = |got: &str| {
        format!(
            "expected a level ({}) or target=level, several by commas, got {got:?}",
            LEVELS.join(", ")
        )
    };
    if level.trim().is_empty() {
        return Err(expected(level));
    }
    // Levels alone first: what names a target is stronger wherever it stands.
    let (mut directives, mut named) = ("warn,".to_owned(), String::new());
    for directive in level.split(',') {
        let word = directive.trim();
        let alone = LEVELS.iter().find(|level| level.eq_ignore_ascii_case(word));
        match alone {
            Some(&level) => {
                let libraries = if matches!(level, "off" | "error") {
                    level
                } else {
                    "warn"
                };
                directives.push_str(&format!("{libraries},{OWN_TARGET}={level},"));
            }
            None if word.contains(['=', '[']) => {
                named.push_str(word);
                named.push(',');
            }
            None => return Err(expected(word)),
        }
    }
    directives.push_str(named.trim_end_matches(','));
    EnvFilter::builder()
        .parse(directives.trim_end_matches(','))
        .map_err(|_| expected(level))
}

/// Whether `level` lets a library say what may hold a secret or a body: names it, or any target, at `debug` or `trace`.
pub(crate) fn lets_libraries_talk(level: &str) -> bool {
    level
        .split(',')
        .filter_map(|word| word.rsplit_once('='))
        .any(|(what, level)| {
            let target = what.split('[').next().unwrap_or(what).trim();
            let own = target == OWN_TARGET || target.starts_with("herald::");
            let level = level.trim();
            !own && (level.eq_ignore_ascii_case("debug") || level.eq_ignore_ascii_case("trace"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_that_are_none_are_refused() {
        for level in ["", " ", "inof", "info,inof", "herald=inof", "herald=debug,,"] {
            let error = filter(level).unwrap_err();
            assert!(error.contains("expected a level"), "{level}: {error}");
        }
        for level in [
            "info",
            "WARN",
            "herald=debug,info",
            "herald[session{user=a}]=trace,info",
            "off",
        ] {
            assert!(filter(level).is_ok(), "{level}");
        }
    }

    #[test]
    fn libraries_that_talk_are_seen() {
        for level in ["info,async_nats=trace", "hyper::proto = DEBUG", "[x{a=b}]=trace"] {
            assert!(lets_libraries_talk(level), "{level}");
        }
        for level in [
            "trace",
            "herald=trace,warn",
            "herald::ws[x]=debug",
            "async_nats=info",
        ] {
            assert!(!lets_libraries_talk(level), "{level}");
        }
    }
}
