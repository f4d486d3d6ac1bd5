//! What is known about a principal besides its name and roles: named lists of values that rules may use. Bounded, since
//! each session has its own. Knows no rule and no token.

use std::collections::BTreeMap;
use std::fmt;

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::deceptive::is_steering;

/// The most names.
pub const ATTRIBUTES_MAX: usize = 16;
/// The most values of one name.
pub const ATTRIBUTE_VALUES_MAX: usize = 16;
/// The longest name, and the longest value, in bytes.
pub const ATTRIBUTE_MAX_BYTES: usize = 128;
/// All names and values together, in bytes.
pub const ATTRIBUTES_MAX_BYTES: usize = 1_024;

/// Attributes by name, each with at least one value: `tenant` = `acme`, `plan` = `gold` or `silver`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes(Box<[Named]>);

/// A name and its values.
type Named = (Box<str>, Box<[Box<str>]>);

/// Why attributes cannot be taken. The words do not repeat a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributesError {
    /// More than [`ATTRIBUTES_MAX`] names.
    TooMany,
    /// A name that is none.
    Name,
    /// No value of this name, or more than [`ATTRIBUTE_VALUES_MAX`].
    Values(Box<str>),
    /// A value of this name that is none.
    Value(Box<str>),
    /// More than [`ATTRIBUTES_MAX_BYTES`].
    TooLong,
}

impl fmt::Display for AttributesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(f, "expected at most {ATTRIBUTES_MAX} names"),
            Self::Name => write!(
                f,
                "expected names of 1 to {ATTRIBUTE_MAX_BYTES} visible ASCII characters without '/', '{{' and '}}'"
            ),
            Self::Values(name) => write!(f, "{name}: expected 1 to {ATTRIBUTE_VALUES_MAX} values"),
            Self::Value(name) => write!(
                f,
                "{name}: expected values of 1 to {ATTRIBUTE_MAX_BYTES} bytes without control or bidirectional characters \
                 and without separators of lines"
            ),
            Self::TooLong => write!(f, "expected at most {ATTRIBUTES_MAX_BYTES} bytes in all"),
        }
    }
}

impl std::error::Error for AttributesError {}

/// Whether `text` may be the name of an attribute.
pub fn is_attribute_name(text: &str) -> bool {
    (1..=ATTRIBUTE_MAX_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'{' | b'}'))
}

impl Attributes {
    /// Checks names and values.
    ///
    /// # Errors
    /// The first thing that is wrong, names in their order.
    pub fn new(named: BTreeMap<String, Vec<String>>) -> Result<Self, AttributesError> {
        if named.len() > ATTRIBUTES_MAX {
            return Err(AttributesError::TooMany);
        }
        let mut bytes = 0;
        for (name, values) in &named {
            if !is_attribute_name(name) {
                return Err(AttributesError::Name);
            }
            if !(1..=ATTRIBUTE_VALUES_MAX).contains(&values.len()) {
                return Err(AttributesError::Values(name.as_str().into()));
            }
            let is_value = |value: &String| {
                (1..=ATTRIBUTE_MAX_BYTES).contains(&value.len()) && !value.chars().any(is_steering)
            };
            if !values.iter().all(is_value) {
                return Err(AttributesError::Value(name.as_str().into()));
            }
            bytes += name.len() + values.iter().map(String::len).sum::<usize>();
        }
        if bytes > ATTRIBUTES_MAX_BYTES {
            return Err(AttributesError::TooLong);
        }
        let boxed = named.into_iter().map(|(name, values)| {
            let values = values.into_iter().map(Into::into).collect();
            (name.into(), values)
        });
        Ok(Self(boxed.collect()))
    }

    /// The values of `name`; none if it is not there.
    pub fn get(&self, name: &str) -> &[Box<str>] {
        let found = self.0.iter().find(|(known, _)| **known == *name);
        found.map_or(&[], |(_, values)| values)
    }

    /// Whether `name` has this value among its own.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.get(name).iter().any(|held| **held == *value)
    }

    /// Names and their values, names in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Box<str>])> {
        self.0.iter().map(|(name, values)| (&**name, &**values))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, values) in self.iter() {
            map.serialize_entry(name, values)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Attributes {
    /// A table of texts and of lists of texts.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a text, or a list of texts")]
        enum OneOrMore {
            One(String),
            More(Vec<String>),
        }
        let read = BTreeMap::<String, OneOrMore>::deserialize(deserializer)?;
        let named = read.into_iter().map(|(name, values)| match values {
            OneOrMore::One(value) => (name, vec![value]),
            OneOrMore::More(values) => (name, values),
        });
        Self::new(named.collect()).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Attributes, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
    }

    #[test]
    fn a_name_has_one_value_or_several() {
        let read = read("tenant = \"acme\"\nplan = [\"gold\", \"silver\"]").unwrap();
        assert!(read.has("tenant", "acme") && read.has("plan", "gold") && read.has("plan", "silver"));
        assert!(!read.has("tenant", "gold") && read.get("other").is_empty());
        let written = toml::to_string(&read).unwrap();
        assert_eq!(written, "plan = [\"gold\", \"silver\"]\ntenant = [\"acme\"]\n");
    }

    #[test]
    fn every_bound_has_its_words() {
        let check = |text: &str, expected: &str| {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("a = 1", "expected a text, or a list of texts");
        check("a = []", "a: expected 1 to 16 values");
        check("a = \"\"", "a: expected values of 1 to 128 bytes");
        check("a = \"x\\u202ey\"", "separators of lines");
        check("\"a/b\" = \"x\"", "expected names of 1 to 128");
        check("\"{a}\" = \"x\"", "expected names of 1 to 128");
        let many: String = (0..17).map(|n| format!("a{n} = \"x\"\n")).collect();
        check(&many, "at most 16 names");
        let long: String = (0..9)
            .map(|n| format!("a{n} = \"{}\"\n", "x".repeat(128)))
            .collect();
        check(&long, "at most 1024 bytes in all");
        let values = format!("a = [{}]", "\"x\",".repeat(17));
        check(&values, "1 to 16 values");
    }
}
