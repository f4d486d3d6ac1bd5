//! The form of a control message: its kind, the types of its payload, and the one codec that reads and writes payloads.
//! Knows no kind by name. Every received byte is hostile: the size is checked before anything is parsed.

use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::deceptive::is_deceptive;

/// Largest answer that is given: NATS, which carries 1 MiB by default with headers, would lose a larger one without a word.
pub(crate) const ANSWER_MAX_BYTES: usize = crate::bus::CONTROL_MAX_BYTES;

/// Largest payload that is read where a kind sets no bound of its own: what NATS carries by default.
pub(crate) const PAYLOAD_MAX_BYTES: usize = 1 << 20;

/// The most characters of an operator's name that a log line repeats: a key's name or a user's fits.
const OPERATOR_MAX_CHARS: usize = 300;

/// Reads who asked for something: for people only, so it is cut and cleaned rather than refused.
pub(crate) fn operator<'de, D: Deserializer<'de>>(name: D) -> Result<String, D::Error> {
    let name = String::deserialize(name)?;
    let legible = name.chars().filter(|character| !is_deceptive(*character));
    Ok(legible.take(OPERATOR_MAX_CHARS).collect())
}

/// A question that one instance asks another, and its answer. The kind and both payloads are the wire format: instances of
/// different versions run together in one cluster, so a field may be added, never renamed or removed.
pub(crate) trait Question {
    /// The kind on the bus: lower-case words with dots, such as `sessions.list`.
    const KIND: &'static str;
    /// Largest question and largest answer that are read, in bytes.
    const MAX_BYTES: usize = PAYLOAD_MAX_BYTES;
    /// What is asked.
    type Ask: Payload;
    /// What is answered.
    type Answer: Payload;
}

/// Something that one instance tells all instances, itself included. Nobody answers.
pub(crate) trait Statement: Payload {
    /// The kind on the bus, as [`Question::KIND`].
    const KIND: &'static str;
    /// Largest statement that is read, in bytes.
    const MAX_BYTES: usize = PAYLOAD_MAX_BYTES;
}

/// What a control message carries: JSON of a serde type, or [`Nothing`].
pub(crate) trait Payload: Sized + Send + 'static {
    /// The bytes on the bus.
    fn to_payload(&self) -> Bytes;
    /// Reads them; `None` if they are not of this form.
    fn from_payload(payload: &[u8]) -> Option<Self>;
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Payload for T {
    /// The types of control messages are structs of texts, numbers and lists of them. Their conversion to JSON cannot fail,
    /// although the signature says so.
    fn to_payload(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    fn from_payload(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }
}

/// An empty payload: the kind says everything. Bytes that a later version sends are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nothing;

impl Payload for Nothing {
    fn to_payload(&self) -> Bytes {
        Bytes::new()
    }

    fn from_payload(_: &[u8]) -> Option<Self> {
        Some(Self)
    }
}

/// Why a control message was dropped. Holds nothing of what it said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// More bytes than the kind allows.
    TooLarge {
        /// Bytes that came.
        size: usize,
        /// Bytes that are read.
        max: usize,
    },
    /// This instance's own answer is longer than an answer may be.
    AnswerTooLarge {
        /// Its bytes.
        size: usize,
        /// The most bytes of an answer.
        max: usize,
    },
    /// Not the JSON of its kind, or a value that no instance sends.
    Malformed,
    /// A kind that this version does not know.
    UnknownKind,
    /// A question that carries no way to answer it.
    WrongForm,
    /// A bound of the module that the message is for, in words.
    Bound(&'static str),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { size, max } => write!(f, "{size} bytes, at most {max} are taken"),
            Self::AnswerTooLarge { size, max } => {
                write!(f, "the answer has {size} bytes, at most {max} are sent")
            }
            Self::Malformed => f.write_str("not the JSON of its kind"),
            Self::UnknownKind => f.write_str("unknown kind"),
            Self::WrongForm => f.write_str("a question without a way to answer it"),
            Self::Bound(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for Refused {}

/// Reads a payload of at most `max` bytes.
///
/// # Errors
/// [`Refused::TooLarge`] before anything is parsed; [`Refused::Malformed`].
pub(crate) fn read<T: Payload>(payload: &[u8], max: usize) -> Result<T, Refused> {
    if payload.len() > max {
        let size = payload.len();
        return Err(Refused::TooLarge { size, max });
    }
    T::from_payload(payload).ok_or(Refused::Malformed)
}

/// Cuts `list` to the leading items that fit into `max_bytes` of JSON, commas included; whether some were left out.
pub(crate) fn fit<T: Serialize>(list: &mut Vec<T>, max_bytes: usize) -> bool {
    let mut room = max_bytes;
    let fits = list.iter().take_while(|item| {
        let bytes = serde_json::to_vec(item).map_or(usize::MAX, |json| json.len().saturating_add(1));
        match room.checked_sub(bytes) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        }
    });
    let fits = fits.count();
    let cut = fits < list.len();
    list.truncate(fits);
    cut
}

/// Checks the wire format of `T`: `text`, as an instance of another version sends it, is read and written back byte for byte.
#[cfg(test)]
pub(crate) fn keeps_the_wire<T: Payload>(text: &str) -> T {
    let read = read::<T>(text.as_bytes(), PAYLOAD_MAX_BYTES);
    let read = read.unwrap_or_else(|refused| panic!("{text}: {refused}"));
    assert_eq!(read.to_payload(), text.as_bytes(), "{text}");
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_checked_before_the_form() {
        let read = |bytes: usize, max| read::<Vec<u64>>(&vec![b' '; bytes], max);
        assert_eq!(read(3, 2), Err(Refused::TooLarge { size: 3, max: 2 }));
        assert_eq!(read(2, 2), Err(Refused::Malformed));
    }

    #[test]
    fn a_list_keeps_its_bound() {
        let one = serde_json::to_vec(&"x".repeat(10)).unwrap().len() + 1;
        let check = |room, expected, cut| {
            let mut list = vec!["x".repeat(10); 5];
            assert_eq!((fit(&mut list, room), list.len()), (cut, expected), "{room}");
        };
        check(0, 0, true);
        check(3 * one + 1, 3, true);
        check(5 * one, 5, false);
    }
}
