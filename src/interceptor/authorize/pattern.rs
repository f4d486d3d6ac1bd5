//! The destination of a rule: text to segments, and matching without allocation. Knows no role.

use std::fmt;
use std::str::FromStr;

use crate::destination::{DESTINATION_MAX_BYTES, DestinationError, Path, Prefixes};
use crate::setting::as_text;

/// The kind of a destination for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Broadcast,
    User,
    Application,
}

/// The destination of a rule as it is written, wildcards read. What it means depends on the prefixes: [`Pattern::under`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    /// A destination that it matches.
    example: Path,
}

/// A rule's destination in the terms of [`crate::destination::Destination`]: user and application paths without their
/// prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Matcher {
    kind: Kind,
    /// `None` stands for any one segment.
    segments: Vec<Option<Box<str>>>,
    /// Whether any number of segments may follow.
    open: bool,
}

/// Why a text is not the destination of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatternError {
    /// Not a valid destination, apart from its wildcards.
    Destination(DestinationError),
    /// A `*` in the middle of a segment, or a `**` that is not the last segment.
    Wildcard,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Destination(error) => error.fmt(f),
            Self::Wildcard => f.write_str("'*' stands for one whole segment, '**' for the last ones only"),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.len() > DESTINATION_MAX_BYTES {
            return Err(PatternError::Destination(DestinationError::TooLong));
        }
        let (stem, open) = split(text);
        if stem
            .split('/')
            .any(|segment| segment.len() > 1 && segment.contains('*'))
        {
            return Err(PatternError::Wildcard);
        }
        // What is left are destinations with a letter in the place of each wildcard, and the checks that they have.
        let segments: Vec<&str> = stem
            .split('/')
            .map(|segment| if segment == "*" { "x" } else { segment })
            .chain(open.then_some("x"))
            .collect();
        let example = Path::parse(&segments.join("/")).map_err(PatternError::Destination)?;
        Ok(Self {
            text: text.into(),
            example,
        })
    }
}

as_text!(Pattern);

/// The text without a last segment `**`, and whether there is one.
fn split(text: &str) -> (&str, bool) {
    match text.strip_suffix("/**") {
        Some(stem) => (stem, true),
        None => (text, false),
    }
}

impl Pattern {
    /// Whether it is a broadcast destination under `prefixes`.
    pub fn is_broadcast(&self, prefixes: &Prefixes) -> bool {
        self.under(prefixes)
            .is_ok_and(|matcher| matcher.kind == Kind::Broadcast)
    }

    /// What the pattern means under `prefixes`, one of which it begins with; they take precedence as they do in a client's
    /// text.
    ///
    /// # Errors
    /// It begins with none of them.
    pub(super) fn under(&self, prefixes: &Prefixes) -> Result<Matcher, DestinationError> {
        let (stem, open) = split(&self.text);
        let begins = |prefix: &Path| {
            self.example.after(prefix).is_some()
                && self
                    .text
                    .strip_prefix(prefix.as_str())
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        let (kind, cut) = if begins(&prefixes.user_prefix) {
            (Kind::User, prefixes.user_prefix.as_str().len())
        } else if prefixes.broadcast_prefixes.iter().any(begins) {
            (Kind::Broadcast, 0)
        } else if let Some(prefix) = prefixes.application_prefixes.iter().find(|prefix| begins(prefix)) {
            (Kind::Application, prefix.as_str().len())
        } else {
            let all = prefixes
                .broadcast_prefixes
                .iter()
                .chain(&prefixes.application_prefixes)
                .chain([&prefixes.user_prefix]);
            let expected: Vec<String> = all.map(|prefix| format!("{prefix}/")).collect();
            return Err(DestinationError::UnknownPrefix(expected.join(", ").into()));
        };
        let segments = stem.get(cut..).unwrap_or_default().split('/').skip(1);
        Ok(Matcher {
            kind,
            segments: segments
                .map(|segment| (segment != "*").then(|| segment.into()))
                .collect(),
            open,
        })
    }
}

impl Matcher {
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether `path` matches.
    pub(super) fn matches(&self, kind: Kind, path: &Path) -> bool {
        if kind != self.kind {
            return false;
        }
        let mut found = path.segments();
        let fit = self.segments.iter().all(|wanted| match (wanted, found.next()) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(wanted), Some(segment)) => **wanted == *segment,
        });
        fit && (self.open || found.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::{Destination, Target};
    use crate::principal::UserName;

    fn check(pattern: &str, text: &str, expected: bool) {
        let prefixes = Prefixes::default();
        let alice = UserName::parse("alice").unwrap();
        let (kind, path) = match prefixes.for_client(text, &alice).unwrap() {
            Destination::Target(Target::Broadcast(path)) => (Kind::Broadcast, path),
            Destination::Target(Target::User { path, .. }) => (Kind::User, path),
            Destination::Application(path) => (Kind::Application, path),
        };
        let compiled = pattern.parse::<Pattern>().unwrap().under(&prefixes).unwrap();
        assert_eq!(compiled.matches(kind, &path), expected, "{pattern} {text}");
    }

    #[test]
    fn patterns_match_by_segments() {
        check("/queue/x", "/queue/x", true);
        check("/queue/x", "/queue/xy", false);
        check("/queue/x", "/queue/x/y", false);
        check("/queue/x", "/topic/x", false);
        check("/queue/*", "/queue/x", true);
        check("/queue/*", "/queue/x/y", false);
        check("/queue/*/y", "/queue/x/y", true);
        check("/queue/*/y", "/queue/x/z", false);
        check("/queue/x/**", "/queue/x", true);
        check("/queue/x/**", "/queue/x/y/z", true);
        check("/queue/x/**", "/queue/xy", false);
        check("/queue/**", "/queue/x/y/z", true);
        check("/queue/**", "/topic/x", false);
        check("/queue/*/**", "/queue/x", true);
        check("/user/**", "/user/queue/x", true);
        check("/user/queue/**", "/queue/x", false);
        check("/user/queue/x", "/user/queue/x", true);
        // Prefixes of application destinations are aliases: a rule for one cannot be passed by another.
        check("/chat/admin/**", "/app/admin/x", true);
        check("/app/**", "/chat/message", true);
        check("/app/message", "/queue/message", false);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let check = |text: &str, expected: &str| {
            let error = match text.parse::<Pattern>() {
                Err(error) => error.to_string(),
                Ok(pattern) => pattern.under(&Prefixes::default()).unwrap_err().to_string(),
            };
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("", "begins with '/'");
        check("queue/x", "begins with '/'");
        check("/queue//x", "empty segments");
        check("/queue/x/", "empty segments");
        check("/queue/a*", "one whole segment");
        check("/queue/**/x", "one whole segment");
        check("/queue/***", "one whole segment");
        check("/queue/x\n", "control, bidirectional or invisible characters");
        check("/queue", "/queue/, /topic/, /chat/, /app/, /user/");
        check("/**", "begins with one of");
        check("/*/x", "begins with one of");
        check("/queues/**", "begins with one of");
        check(&format!("/queue{}/**", "/*".repeat(15)), "16 segments");
        check(&format!("/queue/{}", "x".repeat(2_000)), "1024 bytes");
    }
}
