//! Arrays and objects of a body of which only a limited number of items is kept, so that the rest costs no memory.
//! Knows no field.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The first `MAX` items of an array.
pub(super) struct Items<T, const MAX: usize> {
    /// At most `MAX`.
    pub kept: Vec<T>,
    /// Whether there are more.
    pub more: bool,
}

/// The first `MAX` members of an object of strings, in order. A name that is given twice is an error.
#[derive(Default)]
pub(super) struct Members<const MAX: usize> {
    /// At most `MAX`.
    pub kept: Vec<(String, String)>,
    /// Whether there are more.
    pub more: bool,
}

struct Reading<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Reading<Items<T, MAX>> {
    type Value = Items<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < MAX {
            match seq.next_element()? {
                Some(item) => kept.push(item),
                None => return Ok(Items { kept, more: false }),
            }
        }
        let mut more = false;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            more = true;
        }
        Ok(Items { kept, more })
    }
}

impl<'de, const MAX: usize> Visitor<'de> for Reading<Members<MAX>> {
    type Value = Members<MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut kept: Vec<(String, String)> = Vec::new();
        // A search of `kept` for each name would cost a body of many names its square.
        let mut names: HashSet<String> = HashSet::new();
        while kept.len() < MAX {
            match map.next_entry::<String, String>()? {
                // Two readers of one notification must not find two values.
                Some((name, _)) if !names.insert(name.clone()) => {
                    return Err(de::Error::custom("a name is given twice"));
                }
                Some(member) => kept.push(member),
                None => return Ok(Members { kept, more: false }),
            }
        }
        let mut more = false;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            more = true;
        }
        Ok(Members { kept, more })
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Items<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Reading(PhantomData::<Self>))
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Members<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reading(PhantomData::<Self>))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_again_wherever_it_stands() {
        let read = |names: &[String]| {
            let members: Vec<String> = names.iter().map(|name| format!("{name:?}:\"\"")).collect();
            serde_json::from_str::<Members<1_000>>(&format!("{{{}}}", members.join(",")))
        };
        let names: Vec<String> = (0..1_000).map(|number| format!("n{number}")).collect();
        assert_eq!(read(&names).map(|members| members.kept.len()).ok(), Some(1_000));
        for (first, second) in [(0, 1), (0, 999), (498, 999)] {
            let mut twice = names.clone();
            twice[second] = names[first].clone();
            let error = read(&twice).err().map(|error| error.to_string());
            assert!(
                error.is_some_and(|words| words.contains("twice")),
                "{first} {second}"
            );
        }
    }
}
