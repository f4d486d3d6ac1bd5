//! A path: the common part of all destinations and bus subjects, with its limits. Knows nothing of what a prefix means.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::deceptive::is_deceptive;

/// The most segments of a path.
pub const PATH_MAX_SEGMENTS: usize = 16;
/// The longest segment, in bytes of UTF-8.
pub const SEGMENT_MAX_BYTES: usize = 128;
/// The longest path or destination, in bytes of UTF-8.
pub const DESTINATION_MAX_BYTES: usize = 1_024;

/// A validated path with its leading slash, such as `/queue/message`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(pub(super) Arc<str>);

/// Why a text is not a valid path or destination. `Display` says what was expected, in words fit for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DestinationError {
    /// No leading slash.
    NoLeadingSlash,
    /// Two slashes in a row, a trailing slash, or an empty text.
    EmptySegment,
    /// More than [`PATH_MAX_SEGMENTS`] segments.
    TooManySegments,
    /// A segment longer than [`SEGMENT_MAX_BYTES`].
    SegmentTooLong,
    /// Longer than [`DESTINATION_MAX_BYTES`].
    TooLong,
    /// A control character, or one that could make a name look like another ([`is_deceptive`]).
    Control,
    /// A segment `.` or `..`, which HTTP clients and proxies resolve.
    Dots,
    /// A segment `*` or `**`: pattern subscriptions are not supported.
    Pattern,
    /// No configured prefix matches. Holds the prefixes that are configured.
    UnknownPrefix(Arc<str>),
    /// A user's own destination where nobody says whose. Holds the prefix.
    NoUser(Arc<str>),
    /// An application destination where a broadcast's is expected. Holds its prefix, and those of broadcasts.
    Application(Arc<str>, Arc<str>),
    /// One of Herald's own destinations, which nobody else publishes to.
    Reserved,
}

impl fmt::Display for DestinationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLeadingSlash => f.write_str("a destination begins with '/'"),
            Self::EmptySegment => f.write_str("a destination has no empty segments"),
            Self::TooManySegments => write!(f, "a destination has at most {PATH_MAX_SEGMENTS} segments"),
            Self::SegmentTooLong => {
                write!(
                    f,
                    "a segment of a destination has at most {SEGMENT_MAX_BYTES} bytes"
                )
            }
            Self::TooLong => write!(f, "a destination has at most {DESTINATION_MAX_BYTES} bytes"),
            Self::Control => {
                f.write_str("a destination has no control, bidirectional or invisible characters")
            }
            Self::Dots => f.write_str("a destination has no segment '.' or '..'"),
            Self::Pattern => f.write_str(
                "a destination has no segment '*' or '**': there are no wildcards, name each destination",
            ),
            Self::Reserved => f.write_str("a destination below /queue/herald/ of a user, or /herald/ of an application, is Herald's own"),
            Self::UnknownPrefix(expected) => write!(f, "a destination begins with one of {expected}"),
            Self::NoUser(prefix) => {
                write!(f, "a destination below {prefix}/ is a user's own, and nothing here names the user")
            }
            Self::Application(prefix, expected) => write!(
                f,
                "a destination below {prefix}/ is for what clients SEND; a broadcast's begins with one of {expected}"
            ),
        }
    }
}

impl std::error::Error for DestinationError {}

impl Path {
    /// Checks `text`: a leading slash, 1 to 16 segments of 1 to 128 bytes of UTF-8, at most 1,024 bytes in all, no control,
    /// bidirectional or invisible characters, no segment `*`, `**`, `.` or `..`.
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        if text.len() > DESTINATION_MAX_BYTES {
            return Err(DestinationError::TooLong);
        }
        let inner = text.strip_prefix('/').ok_or(DestinationError::NoLeadingSlash)?;
        let mut segments = 0;
        for segment in inner.split('/') {
            segments += 1;
            match segment {
                "" => return Err(DestinationError::EmptySegment),
                "*" | "**" => return Err(DestinationError::Pattern),
                "." | ".." => return Err(DestinationError::Dots),
                long if long.len() > SEGMENT_MAX_BYTES => return Err(DestinationError::SegmentTooLong),
                _ if segments > PATH_MAX_SEGMENTS => return Err(DestinationError::TooManySegments),
                _ => {}
            }
        }
        if text.chars().any(is_deceptive) {
            return Err(DestinationError::Control);
        }
        Ok(Self(text.into()))
    }

    /// The path as text, with its leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments, without slashes; at least one.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0[1..].split('/')
    }

    /// Below it nobody but Herald writes to users. Without the user prefix.
    const OWN_OF_USERS: &str = "/queue/herald/";
    /// Below it Herald itself answers SENDs. Without the application prefix.
    const OWN_OF_APPLICATION: &str = "/herald/";
    /// The user destination on which a session is told that it is about to end.
    pub(crate) const REMINDERS: &str = "/queue/herald/auth";
    /// The application destination that renews a session.
    pub(crate) const RENEWAL: &str = "/herald/auth";

    /// [`Path::REMINDERS`]
    pub(crate) fn reminders() -> Self {
        Self(Self::REMINDERS.into())
    }

    /// Whether it is one of Herald's own user destinations: no publisher may name it.
    pub(crate) fn is_own_of_users(&self) -> bool {
        self.0.starts_with(Self::OWN_OF_USERS)
    }

    /// Whether it is one of Herald's own application destinations: no route and no backend may have it.
    pub(crate) fn is_own_of_application(&self) -> bool {
        self.0.starts_with(Self::OWN_OF_APPLICATION)
    }

    /// What follows `prefix` and its slash, if anything does: `/chat/message` after `/chat` is `/message`.
    pub fn after(&self, prefix: &Path) -> Option<Path> {
        let rest = self.0.strip_prefix(prefix.as_str())?;
        rest.starts_with('/').then(|| Path(rest.into()))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl std::borrow::Borrow<str> for Path {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for Path {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, DestinationError>) {
        assert_eq!(
            Path::parse(text).as_ref().map(Path::as_str),
            expected.as_ref().copied(),
            "{text:?}"
        );
    }

    #[test]
    fn paths_follow_the_contract() {
        use DestinationError as E;
        check("/queue/message", Ok("/queue/message"));
        check("/ä/ b", Ok("/ä/ b"));
        check("queue", Err(E::NoLeadingSlash));
        check("", Err(E::NoLeadingSlash));
        check("/", Err(E::EmptySegment));
        check("/a//b", Err(E::EmptySegment));
        check("/a/", Err(E::EmptySegment));
        check("/a/*", Err(E::Pattern));
        check("/a/**", Err(E::Pattern));
        check("/a\n", Err(E::Control));
        check("/a\u{202e}b", Err(E::Control));
        check("/a\u{200b}", Err(E::Control));
        check("/\u{feff}a", Err(E::Control));
        check("/a/.", Err(E::Dots));
        check("/../a", Err(E::Dots));
        check("/.a/..b/...", Ok("/.a/..b/..."));
        check(&"/a".repeat(16), Ok(&"/a".repeat(16)));
        check(&"/a".repeat(17), Err(E::TooManySegments));
        check(&format!("/{}", "a".repeat(129)), Err(E::SegmentTooLong));
        check(&format!("/{}", "ab/".repeat(400)), Err(E::TooLong));
    }
}
