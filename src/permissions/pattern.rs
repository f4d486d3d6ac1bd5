//! The destination of a rule: from text to segments, and matching without allocation. A variable matches any segment
//! here; its value is checked as a condition (`rule.rs`). Knows no role.

use std::fmt;
use std::str::FromStr;

use crate::destination::{DESTINATION_MAX_BYTES, DestinationError, Path, Prefixes};
use crate::principal::is_attribute_name;
use crate::setting::as_text;

/// The kind of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Broadcast,
    User,
    Application,
}

/// One segment of a rule's destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// This text.
    Literal(Box<str>),
    /// `*`: any text.
    Any,
    /// `{user}`: the name of who asks.
    User,
    /// `{claim.NAME}`: one of the values of this attribute of who asks.
    Claim(Box<str>),
}

impl Segment {
    /// Reads one segment. `None`: it has a brace and is no variable.
    fn read(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        let Some(variable) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            return (!text.contains(['{', '}'])).then(|| Self::Literal(text.into()));
        };
        match variable.strip_prefix("claim.") {
            Some(name) => is_attribute_name(name).then(|| Self::Claim(name.into())),
            None => (variable == "user").then_some(Self::User),
        }
    }

    /// Whether `segment` may stand in its place, as far as its shape says.
    fn fits(&self, segment: &str) -> bool {
        match self {
            Self::Literal(text) => **text == *segment,
            Self::Any | Self::User | Self::Claim(_) => true,
        }
    }
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
    segments: Box<[Segment]>,
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
    /// A brace that does not belong to a variable.
    Variable,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Destination(error) => error.fmt(f),
            Self::Wildcard => f.write_str("'*' stands for one whole segment, '**' for the last ones only"),
            Self::Variable => {
                f.write_str("a segment with '{' or '}' is a variable as a whole: {user}, or {claim.NAME}")
            }
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
        // What is left are destinations with a letter in the place of each wildcard and variable, and the checks that they
        // have.
        let segment = |text| match Segment::read(text) {
            Some(Segment::Literal(_)) => Ok(text),
            Some(_) => Ok("x"),
            None => Err(PatternError::Variable),
        };
        let mut segments = stem.split('/').map(segment).collect::<Result<Vec<&str>, _>>()?;
        segments.extend(open.then_some("x"));
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

    /// Whether it has a `{claim.NAME}`.
    pub(super) fn has_claims(&self) -> bool {
        self.text.contains("{claim.")
    }

    /// The names of its `{claim.NAME}`.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        let variables = self.text.split('/');
        variables.filter_map(|segment| segment.strip_prefix("{claim.")?.strip_suffix('}'))
    }

    /// Whether it has a `{user}` or a `{claim.NAME}`.
    pub(super) fn has_variables(&self) -> bool {
        self.text.contains('{')
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
            segments: segments.filter_map(Segment::read).collect(),
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
        let fit = self
            .segments
            .iter()
            .all(|wanted| found.next().is_some_and(|segment| wanted.fits(segment)));
        fit && (self.open || found.next().is_none())
    }

    /// Whether any number of segments may follow.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Its segments, in order.
    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
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
        // By its shape a variable is a '*': what stands in its place is asked once the rule has been found.
        check("/queue/tenant/{claim.tenant}/**", "/queue/tenant/acme/x", true);
        check("/queue/of/{user}", "/queue/of/bob", true);
        check("/queue/of/{user}", "/queue/of/bob/x", false);
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
        for variable in [
            "{users}",
            "{claim.}",
            "{claim.a b}",
            "{}",
            "a{user}",
            "{user}}",
            "x}",
            "{user",
            "{claim}",
        ] {
            check(&format!("/queue/{variable}/x"), "is a variable as a whole");
        }
        check("/{user}/x", "begins with one of");
        check("/queue/x\n", "control, bidirectional or invisible characters");
        check("/queue", "/queue/, /topic/, /chat/, /app/, /user/");
        check("/**", "begins with one of");
        check("/*/x", "begins with one of");
        check("/queues/**", "begins with one of");
        check(&format!("/queue{}/**", "/*".repeat(15)), "16 segments");
        check(&format!("/queue/{}", "x".repeat(2_000)), "1024 bytes");
    }
}
