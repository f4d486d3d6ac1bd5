//! The texts within presence's messages: names and numbers, checked as they are read.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::instance::InstanceId;
use crate::principal::{USER_NAME_MAX_BYTES, UserName};

/// The longest instance name that is shown, in bytes. A longer one is truncated.
const INSTANCE_NAME_MAX_BYTES: usize = 255;

/// User names in a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(pub Vec<UserName>);

impl Names {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An upper bound of a name's bytes in a JSON array, including quotes and comma. A name has no control characters, so
/// only `"` and `\` are escaped.
pub fn json_bytes(user: &UserName) -> usize {
    let escaped = user
        .as_str()
        .bytes()
        .filter(|byte| matches!(byte, b'"' | b'\\'))
        .count();
    user.as_str().len() + escaped + 3
}

impl Serialize for Names {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(UserName::as_str))
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of user names")
            }

            // The message's own size bounds the number of names: nothing is reserved because a message says so.
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(Name(name)) = list.next_element()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

struct Name(UserName);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a user name of at most {USER_NAME_MAX_BYTES} bytes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Name, E> {
                UserName::parse(text).map(Name).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// An instance's name as it travels. It is for people only, so it is cleaned and truncated rather than refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceName(pub Arc<str>);

impl InstanceName {
    /// `text` without control characters, truncated to 255 bytes.
    pub fn clean(text: &str) -> Self {
        let mut kept = String::new();
        for c in text.chars().filter(|c| !c.is_control()) {
            if kept.len() + c.len_utf8() > INSTANCE_NAME_MAX_BYTES {
                break;
            }
            kept.push(c);
        }
        Self(kept.into())
    }
}

impl Serialize for InstanceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for InstanceName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer).map(|text| Self::clean(&text))
    }
}

/// An instance's id as text.
pub mod id_text {
    use super::*;

    /// Writes an id.
    pub fn serialize<S: Serializer>(id: &InstanceId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    /// Reads an id.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<InstanceId, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        InstanceId::parse(&text).ok_or_else(|| de::Error::custom("no instance id"))
    }
}

/// A hash as 16 hex digits.
pub mod hex {
    use super::*;

    /// Writes a hash.
    pub fn serialize<S: Serializer>(hash: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{hash:016x}"))
    }

    /// Reads a hash.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map_err(|_| de::Error::custom("no hash"))
    }
}
