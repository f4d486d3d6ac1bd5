//! The JSON that tokens and key sets may contain: an object, not too deep, no name twice in one object. Two readers of
//! one token must not find two different values for a claim.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep objects and arrays may be nested.
pub(crate) const DEPTH_MAX: usize = 8;

/// A value. A string without escapes is borrowed: little of a token is kept.
#[derive(Debug)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Object<'a>),
}

/// An object's members, in the order of their names.
#[derive(Debug)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

/// An object; `None` if it is not an object, is deeper than [`DEPTH_MAX`], or contains a name twice.
pub(crate) fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    Object::read(bytes).map(Object::owned)
}

impl<'a> Object<'a> {
    /// The same, without copying its names and strings.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let value = Level(DEPTH_MAX).deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        match value {
            Json::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The member of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Json<'a>> {
        let Self(members) = self;
        let at = members.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        members.get(at).map(|(_, value)| value)
    }

    fn owned(self) -> Map<String, Value> {
        let members = self.0.into_iter();
        members
            .map(|(name, value)| (name.into_owned(), value.owned()))
            .collect()
    }
}

impl<'a> Json<'a> {
    /// The text, if it is one.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The object, if it is one.
    pub(super) fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    fn owned(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => value.into(),
            Self::Number(value) => Value::Number(value),
            Self::Text(text) => Value::String(text.into_owned()),
            Self::List(items) => items.into_iter().map(Self::owned).collect(),
            Self::Object(object) => Value::Object(object.owned()),
        }
    }
}

/// A member's name.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// How many levels are left.
#[derive(Clone, Copy)]
struct Level(usize);

impl Level {
    fn below<E: de::Error>(self) -> Result<Self, E> {
        self.0
            .checked_sub(1)
            .map(Self)
            .ok_or_else(|| E::custom("too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Json<'de>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json<'de>, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("no number"))?;
        Ok(Json::Number(number))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let below = self.below()?;
        let mut found = Vec::new();
        while let Some(item) = items.next_element_seed(below)? {
            found.push(item);
        }
        Ok(Json::List(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json<'de>, A::Error> {
        let below = self.below()?;
        let mut found = Vec::new();
        while let Some(Name(name)) = members.next_key()? {
            found.push((name, members.next_value_seed(below)?));
        }
        found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        if !found.is_sorted_by(|(one, _), (other, _)| one < other) {
            return Err(de::Error::custom("a name is there twice"));
        }
        Ok(Json::Object(Object(found)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        let read = |text: &str| object(text.as_bytes()).map(Value::Object);
        for text in [
            "",
            "null",
            "[]",
            "{",
            "{} {}",
            "{}x",
            r#"{"sub":"a","sub":"b"}"#,
            r#"{"sub":"a","s\u0075b":"b"}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            r#"{"a":1e999}"#,
            "{\"a\":\"\u{1}\"}",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        for text in [
            r#" {"a":[1,-1,1.5,"x",null,true],"b":{"a":1}} "#,
            r#"{"b":"\n\u00e9","\u0061":"ä","":{},"aa":[[]],"ab":18446744073709551615}"#,
        ] {
            assert_eq!(read(text), Some(serde_json::from_str(text).unwrap()));
        }
        let object = Object::read(br#"{"b":1,"\u0061":"\u0062","":2}"#).unwrap();
        assert_eq!(object.get("a").and_then(Json::as_text), Some("b"));
        assert!(object.get("").is_some() && object.get("b").is_some() && object.get("c").is_none());
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| {
            let text = format!("{{\"a\":{}1{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
            object(text.as_bytes())
        };
        assert!(nested(DEPTH_MAX).is_some());
        assert!(nested(DEPTH_MAX + 1).is_none());
        assert!(nested(100_000).is_none());
    }
}
