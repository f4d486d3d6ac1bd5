//! The texts within presence's messages: names and numbers, checked as they are read.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::principal::UserName;

/// The longest instance name that is shown, in bytes. A longer one is truncated.
const INSTANCE_NAME_MAX_BYTES: usize = 255;

/// User names in a message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Names(pub Vec<UserName>);

impl Names {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An upper bound of a name's bytes in a JSON array, including quotes and comma. A name has no control characters, so
/// only `"` and `\` are escaped.
pub(crate) fn json_bytes(user: &UserName) -> usize {
    let escaped = user
        .as_str()
        .bytes()
        .filter(|byte| matches!(byte, b'"' | b'\\'))
        .count();
    user.as_str().len() + escaped + 3
}

/// An instance's name as it travels. It is for people only, so it is cleaned and truncated rather than refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstanceName(pub Arc<str>);

impl InstanceName {
    /// `text` without control characters, truncated to 255 bytes.
    pub(crate) fn clean(text: &str) -> Self {
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

/// A hash as 16 hex digits.
pub(super) mod hex {
    use super::*;

    /// Writes a hash.
    pub(crate) fn serialize<S: Serializer>(hash: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{hash:016x}"))
    }

    /// Reads a hash.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map_err(|_| de::Error::custom("no hash"))
    }
}
