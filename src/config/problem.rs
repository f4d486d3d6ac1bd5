//! Describes what is wrong with a configuration, for an operator: which key, where it is, what was expected. Never
//! reveals a secret: the words for a syntax error or a wrong type contain no value unless the key is public.

use std::fmt;

use figment::Profile;
use figment::error::{Actual, Kind};

/// One thing that is wrong, or looks wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The dotted key; empty where the file as a whole is meant.
    pub key: String,
    /// Where it stands, such as `herald.toml:12` or `HERALD_HTTP__LISTEN`; `None` if nothing was read yet.
    pub origin: Option<String>,
    /// What was expected.
    pub message: String,
}

impl Problem {
    pub(super) fn new(key: impl Into<String>, origin: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            origin: Some(origin.into()),
            message: message.into(),
        }
    }

    /// Figment's error about the value at `path`.
    pub(super) fn from_figment(error: &figment::Error, path: &[String]) -> Self {
        let mut key = String::new();
        path.iter().for_each(|segment| push_segment(&mut key, segment));
        let origin = error
            .metadata
            .as_ref()
            .map(|metadata| metadata.interpolate(&Profile::Default, path));
        Self {
            key,
            origin,
            message: words(&error.kind),
        }
    }
}

/// Where in the configuration figment's error is.
pub(super) fn path_of(error: &figment::Error) -> Vec<String> {
    let mut path = error.path.clone();
    if let Kind::UnknownField(field, _) = &error.kind
        // Figment's path ends with the field where it is unknown, or before it.
        && path.last() != Some(field)
    {
        path.push(field.clone());
    }
    path
}

/// Whether what figment expected of a value was a text.
pub(super) fn expected_text(error: &figment::Error) -> bool {
    !matches!(&error.kind, Kind::InvalidType(Actual::Str(_), _))
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) if self.key.is_empty() => write!(f, "{origin}: {}", self.message),
            Some(origin) => write!(f, "{} ({origin}): {}", self.key, self.message),
            None if self.key.is_empty() => f.write_str(&self.message),
            None => write!(f, "{}: {}", self.key, self.message),
        }
    }
}

/// Why no configuration could be made: everything found in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [problem] => write!(f, "configuration: {problem}"),
            problems => {
                write!(f, "configuration: {} errors", problems.len())?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// Appends one segment of a key: `[3]` for an index, `.name` else. What is no bare key is quoted, so that a hostile or
/// broken name cannot forge a line of the message.
pub(super) fn push_segment(path: &mut String, segment: &str) {
    use fmt::Write;
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !path.is_empty() && !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit()) {
        // Writing to a String cannot fail.
        let _ = write!(path, "[{segment}]");
        return;
    }
    if !path.is_empty() {
        path.push('.');
    }
    if !segment.is_empty() && segment.chars().all(bare) {
        path.push_str(segment);
    } else {
        let _ = write!(path, "{segment:?}");
    }
}

fn words(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => message.clone(),
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            format!(
                "expected {}, got {}",
                expected_words(expected),
                actual_words(actual)
            )
        }
        Kind::InvalidLength(length, expected) => {
            format!("expected {}, got {length} elements", expected_words(expected))
        }
        Kind::UnknownVariant(text, allowed) => format!("expected {}, got {text:?}", list(allowed, "or")),
        Kind::UnknownField(_, []) => "unknown key; none is known here".into(),
        Kind::UnknownField(_, allowed) => format!("unknown key; known here: {}", list(allowed, "and")),
        Kind::MissingField(field) => format!("the key {field} is missing"),
        other => other.to_string(),
    }
}

fn expected_words(expected: &str) -> &str {
    match expected {
        "usize" | "u64" | "u32" | "u16" => "a whole number",
        "a string" => "a text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

fn actual_words(actual: &Actual) -> String {
    match actual {
        Actual::Bool(value) => value.to_string(),
        Actual::Unsigned(value) => value.to_string(),
        Actual::Signed(value) => value.to_string(),
        Actual::Float(value) => value.to_string(),
        Actual::Str(value) => format!("{value:?}"),
        Actual::Seq => "a list".into(),
        Actual::Map => "a table".into(),
        Actual::Unit | Actual::Option => "nothing".into(),
        other => other.to_string(),
    }
}

/// `a, b or c`.
pub(super) fn list(items: &[impl AsRef<str>], last: &str) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().into(),
        [init @ .., end] => {
            let init: Vec<&str> = init.iter().map(AsRef::as_ref).collect();
            format!("{} {last} {}", init.join(", "), end.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_read_as_keys() {
        let check = |segments: &[&str], expected: &str| {
            let mut path = String::new();
            segments
                .iter()
                .for_each(|segment| push_segment(&mut path, segment));
            assert_eq!(path, expected);
        };
        check(&["api", "keys", "1", "sha256"], "api.keys[1].sha256");
        check(&["http", "a\nb"], "http.\"a\\nb\"");
        check(&["7"], "7");
        check(&["", "x"], "\"\".x");
    }

    #[test]
    fn lists_read_as_english() {
        assert_eq!(list(&["a"], "or"), "a");
        assert_eq!(list(&["a", "b", "c"], "or"), "a, b or c");
    }
}
