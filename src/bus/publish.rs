//! The result of a publish: where it is stored, or why not; and the key by which a repeat is recognized. Pure; knows no
//! bus and no HTTP.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::destination::Target;
use crate::envelope::{Envelope, Position};
use crate::limit::Limit;

/// A notification that the bus has taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Published {
    /// Where it is stored. `None` if its target is not kept.
    pub position: Option<Position>,
    /// Whether it had been stored before, under the same key: this is the first one's position.
    pub duplicate: bool,
}

/// By which a bus with history knows a repeat (`Nats-Msg-Id`): within `history.duplicate_window` the same notification with
/// the same key is stored once. A digest, so that nobody's key can hit another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 16]);

impl Key {
    /// The key made of these parts: each counts, and so does where one ends and the next begins.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self(digest(parts))
    }

    /// The key that [`Key::bytes`] gave.
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The digest.
    pub(crate) fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a repeat must have in common with the first one besides its key: target, id and body. Not its headers, its trace
/// and its times, which differ from one attempt to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content([u8; 16]);

impl Content {
    /// That of `envelope`.
    pub fn of(envelope: &Envelope) -> Self {
        let (user, path) = match &envelope.target {
            Target::User { user, path } => (user.as_str(), path),
            Target::Broadcast(path) => ("", path),
        };
        let texts = [user, path.as_str(), envelope.id.as_str()].map(str::as_bytes);
        Self(digest(texts.into_iter().chain([&*envelope.body])))
    }

    /// That which [`Content::bytes`] gave.
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The digest.
    pub(crate) fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 16] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    let mut half = [0; 16];
    half.copy_from_slice(&digest.finalize()[..16]);
    half
}

/// Why a publish or the first half of a request was refused. None of it was queued or stored, but perhaps where it says
/// [`PublishError::Unknown`], and surely where it says [`PublishError::OrderChanged`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishError {
    /// Not connected, or the connection did not accept it within a second; with history, not stored in time.
    Unavailable,
    /// Perhaps stored. Repeated with the same key it is not stored twice.
    Unknown,
    /// History has no room.
    Full,
    /// The key stands for another notification, or for a part of these alone.
    KeyReused,
    /// Stored, but not where it stands in its array: behind a later one, or in front of an earlier one.
    OrderChanged {
        /// Where it is stored.
        position: Position,
    },
    /// Too many at once.
    TooMany {
        /// The bound.
        limit: Limit,
    },
    /// The body exceeds the limit. Holds its size, the limit and the name of the setting.
    TooLarge {
        /// The actual number of bytes.
        size: usize,
        /// The number of bytes allowed.
        limit: usize,
        /// `limits.body_bytes`, or `max_payload of the NATS server`.
        which: &'static str,
    },
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable => f.write_str("the bus is not connected"),
            Self::Unknown => f.write_str("the bus did not say whether it is stored"),
            Self::Full => f.write_str("history is full; it is not stored"),
            Self::KeyReused => {
                f.write_str("the idempotency key stands for another notification; it is not stored")
            }
            Self::OrderChanged { position } => write!(f, "it is stored out of its order, at {position}"),
            Self::TooMany { limit } => write!(f, "too many at once ({}); it is not stored", limit.name()),
            Self::TooLarge { size, limit, which } => {
                write!(
                    f,
                    "the body has {size} bytes, at most {limit} are allowed ({which})"
                )
            }
        }
    }
}

impl std::error::Error for PublishError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::Path;
    use crate::envelope::MessageId;
    use crate::principal::UserName;

    #[test]
    fn a_key_depends_on_each_part_and_on_their_borders() {
        let key = |parts: &[&str]| Key::of(parts.iter().map(|part| part.as_bytes())).to_string();
        assert_eq!(key(&["key:shop", "order-17"]), key(&["key:shop", "order-17"]));
        assert_eq!(key(&["a"]).len(), 32);
        assert!(key(&["a"]).bytes().all(|b| b.is_ascii_graphic()));
        let all = [
            key(&["ab", "c"]),
            key(&["a", "bc"]),
            key(&["abc"]),
            key(&["abc", ""]),
            key(&[]),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn content_is_target_id_and_body() {
        let path = |text| Path::parse(text).unwrap();
        let mut first = Envelope::new(Target::Broadcast(path("/queue/x")), "body");
        first.id = MessageId::parse("id").unwrap();
        let changed = |change: &dyn Fn(&mut Envelope)| {
            let mut other = first.clone();
            change(&mut other);
            Content::of(&other) != Content::of(&first)
        };
        assert!(!changed(&|other| {
            other.timestamp_ms += 1;
            other.expires_at_ms = Some(1);
            other.trace.tracestate = Some("a=b".into());
            other.content_type = Some("text/plain".into());
        }));
        assert!(changed(&|other| other.body = "Body".into()));
        assert!(changed(&|other| other.id = MessageId::random()));
        assert!(changed(
            &|other| other.target = Target::Broadcast(path("/queue/y"))
        ));
        assert!(changed(&|other| {
            let user = UserName::parse("anna").unwrap();
            other.target = Target::User {
                user,
                path: path("/queue/x"),
            };
        }));
    }
}
