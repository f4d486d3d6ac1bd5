//! `Herald-Headers`: the headers that NATS cannot carry, as one JSON object of strings. Knows nothing of NATS.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};

use crate::envelope::HeaderLimits;

/// The object that holds `headers`, on one line.
pub(super) fn encode(headers: &[(&str, &str)]) -> String {
    let mut json = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut json);
    let written = serializer.serialize_map(Some(headers.len())).and_then(|mut map| {
        for (name, value) in headers {
            map.serialize_entry(name, value)?;
        }
        map.end()
    });
    // Strings written to memory: neither step can fail.
    written
        .ok()
        .and_then(|()| String::from_utf8(json).ok())
        .unwrap_or_default()
}

/// The headers in `json`, in order. `None` if it is not an object of strings or exceeds the limits.
pub(super) fn decode(json: &str, limits: HeaderLimits) -> Option<Vec<(Box<str>, Box<str>)>> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let headers = deserializer.deserialize_map(Pairs(limits)).ok()?;
    deserializer.end().ok()?;
    Some(headers)
}

/// Stops at the first entry over a limit, so that a long object is never held as a whole.
struct Pairs(HeaderLimits);

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(Box<str>, Box<str>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some((name, value)) = map.next_entry::<Box<str>, Box<str>>()? {
            if pairs.len() == self.0.count || name.len() + value.len() > self.0.bytes {
                return Err(A::Error::custom("over a limit"));
            }
            pairs.push((name, value));
        }
        Ok(pairs)
    }
}
