//! Destinations: what a client, a backend or a bus subject names, parsed and validated in one place (docs/stomp.md).
//! Knows nothing of permissions, of STOMP frames or of NATS subjects.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::deceptive::is_deceptive;
use crate::principal::UserName;
use crate::setting::Findings;

/// The most segments of a path.
pub const PATH_MAX_SEGMENTS: usize = 16;
/// The longest segment, in bytes of UTF-8.
pub const SEGMENT_MAX_BYTES: usize = 128;
/// The longest path or destination, in bytes of UTF-8.
pub const DESTINATION_MAX_BYTES: usize = 1_024;

/// A validated path with its leading slash, such as `/queue/message`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(Arc<str>);

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
            Self::Pattern => f.write_str("a destination has no segment '*' or '**'"),
            Self::UnknownPrefix(expected) => write!(f, "a destination begins with one of {expected}"),
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

/// Where a notification goes: what the bus carries and `delivery/` matches against subscriptions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// Every subscriber of the path, which carries its prefix: `/queue/message`.
    Broadcast(Path),
    /// All sessions of one user that subscribe to `/user` + path; the path is without `/user`: `/queue/orders`.
    User {
        /// The user.
        user: UserName,
        /// What follows the user prefix.
        path: Path,
    },
}

/// What a client's text means for that client. Only [`Prefixes::for_client`] makes one, so another user's destination
/// cannot be expressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A broadcast destination or one of the caller's own user destinations.
    Target(Target),
    /// An application destination; the path is without its prefix, since prefixes are aliases: `/message`.
    Application(Path),
}

/// `[destinations]`: which prefixes mean what.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prefixes {
    /// Broadcast destinations begin with one of these.
    pub broadcast_prefixes: Vec<Path>,
    /// Application destinations begin with one of these. All of them mean the same.
    pub application_prefixes: Vec<Path>,
    /// User destinations begin with this.
    pub user_prefix: Path,
}

impl Default for Prefixes {
    fn default() -> Self {
        let path = |text: &str| Path(text.into());
        Self {
            broadcast_prefixes: vec![path("/queue"), path("/topic")],
            application_prefixes: vec![path("/chat"), path("/app")],
            user_prefix: path("/user"),
        }
    }
}

impl Prefixes {
    /// Checks that no two prefixes overlap: they do if they are equal or one is above the other, since what is below both
    /// would have two meanings.
    pub fn check(&self, findings: &mut Findings) {
        let list = |name: &str, paths: &[Path]| -> Vec<(String, Path)> {
            paths
                .iter()
                .enumerate()
                .map(|(index, path)| (format!("destinations.{name}[{index}]"), path.clone()))
                .collect()
        };
        let mut all = list("broadcast_prefixes", &self.broadcast_prefixes);
        if all.is_empty() {
            findings.error("destinations.broadcast_prefixes", "expected at least one prefix");
        }
        all.extend(list("application_prefixes", &self.application_prefixes));
        all.push(("destinations.user_prefix".into(), self.user_prefix.clone()));
        for (position, (key, path)) in all.iter().enumerate() {
            for (other_key, other) in all.iter().take(position) {
                if path == other || path.after(other).is_some() || other.after(path).is_some() {
                    findings.error(key, format!("{path} overlaps {other} of {other_key}"));
                }
            }
        }
    }

    /// What `text` means when `caller` names it in a SUBSCRIBE or SEND.
    pub fn for_client(&self, text: &str, caller: &UserName) -> Result<Destination, DestinationError> {
        let path = Path::parse(text)?;
        if let Some(path) = path.after(&self.user_prefix) {
            return Ok(Destination::Target(Target::User {
                user: caller.clone(),
                path,
            }));
        }
        if self.is_broadcast(&path) {
            return Ok(Destination::Target(Target::Broadcast(path)));
        }
        match self
            .application_prefixes
            .iter()
            .find_map(|prefix| path.after(prefix))
        {
            Some(path) => Ok(Destination::Application(path)),
            None => Err(self.unknown(
                self.broadcast_prefixes
                    .iter()
                    .chain(&self.application_prefixes)
                    .chain([&self.user_prefix]),
            )),
        }
    }

    /// The target of a backend's broadcast to `text`.
    pub fn broadcast(&self, text: &str) -> Result<Target, DestinationError> {
        let path = Path::parse(text)?;
        if self.is_broadcast(&path) {
            Ok(Target::Broadcast(path))
        } else {
            Err(self.unknown(self.broadcast_prefixes.iter()))
        }
    }

    /// The target of a backend's notification to `user`: `/queue/orders`, or the same as `/user/queue/orders`.
    pub fn user(&self, text: &str, user: UserName) -> Result<Target, DestinationError> {
        let path = Path::parse(text)?;
        let path = path.after(&self.user_prefix).unwrap_or(path);
        Ok(Target::User { user, path })
    }

    fn is_broadcast(&self, path: &Path) -> bool {
        self.broadcast_prefixes
            .iter()
            .any(|prefix| path.after(prefix).is_some())
    }

    fn unknown<'a>(&self, expected: impl Iterator<Item = &'a Path>) -> DestinationError {
        let list: Vec<String> = expected.map(|prefix| format!("{prefix}/")).collect();
        DestinationError::UnknownPrefix(list.join(", ").into())
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

    #[test]
    fn prefixes_decide_what_a_client_means() {
        let alice = UserName::parse("alice").unwrap();
        let prefixes = Prefixes::default();
        let path = |text| Path::parse(text).unwrap();
        let check = |text, expected| assert_eq!(prefixes.for_client(text, &alice), Ok(expected), "{text}");
        check(
            "/queue/x",
            Destination::Target(Target::Broadcast(path("/queue/x"))),
        );
        check(
            "/topic/x/y",
            Destination::Target(Target::Broadcast(path("/topic/x/y"))),
        );
        check("/app/x", Destination::Application(path("/x")));
        check("/chat/init/users", Destination::Application(path("/init/users")));
        let own = |text| {
            Destination::Target(Target::User {
                user: alice.clone(),
                path: path(text),
            })
        };
        check("/user/queue/x", own("/queue/x"));
        check("/user/chat/errors", own("/chat/errors"));
        check("/user/bob/queue/x", own("/bob/queue/x"));
        for text in ["/queue", "/user", "/queues/x", "/foo/x", "/chat"] {
            assert!(
                matches!(
                    prefixes.for_client(text, &alice),
                    Err(DestinationError::UnknownPrefix(_))
                ),
                "{text}"
            );
        }
    }

    #[test]
    fn backends_name_broadcasts_and_users() {
        let prefixes = Prefixes::default();
        let alice = UserName::parse("alice").unwrap();
        assert!(prefixes.broadcast("/queue/x").is_ok());
        assert!(matches!(
            prefixes.broadcast("/user/x"),
            Err(DestinationError::UnknownPrefix(_))
        ));
        assert_eq!(
            prefixes.user("/queue/x", alice.clone()),
            prefixes.user("/user/queue/x", alice)
        );
    }
}
