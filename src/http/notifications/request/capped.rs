//! Arrays and objects of a body, of which no more is kept than a limit: the rest costs no memory. Knows no field.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The first `MAX` items of an array, or members of an object, and whether there are more: those cost no memory.
pub struct Capped<T, const MAX: usize> {
    /// The first `MAX`.
    pub kept: Vec<T>,
    /// Whether there are more.
    pub more: bool,
}

struct CappedVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, const MAX: usize> Visitor<'de> for CappedVisitor<&'de RawValue, MAX> {
    type Value = Capped<&'de RawValue, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < MAX {
            match seq.next_element()? {
                Some(item) => kept.push(item),
                None => return Ok(Capped { kept, more: false }),
            }
        }
        let mut more = false;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            more = true;
        }
        Ok(Capped { kept, more })
    }
}

impl<'de, const MAX: usize> Visitor<'de> for CappedVisitor<(String, &'de RawValue), MAX> {
    type Value = Capped<(String, &'de RawValue), MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < MAX {
            match map.next_entry()? {
                Some(member) => kept.push(member),
                None => return Ok(Capped { kept, more: false }),
            }
        }
        let mut more = false;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            more = true;
        }
        Ok(Capped { kept, more })
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Capped<&'de RawValue, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(CappedVisitor::<&'de RawValue, MAX>(PhantomData))
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Capped<(String, &'de RawValue), MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(CappedVisitor::<(String, &'de RawValue), MAX>(PhantomData))
    }
}
