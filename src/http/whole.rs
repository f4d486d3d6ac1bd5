//! Whole numbers in JSON: `23` and `23.0` are the same number (RFC 8259), and JSON Schema calls both integers. Knows no
//! field.

use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// The first number above all of `u64`, which a float can be.
const ABOVE: f64 = 18_446_744_073_709_551_616.0;

/// A number of `range`, or of none but `null`.
struct Whole<'a> {
    range: RangeInclusive<u64>,
    expected: &'a str,
    nullable: bool,
}

impl Visitor<'_> for Whole<'_> {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<u64>, E> {
        match self.range.contains(&number) {
            true => Ok(Some(number)),
            false => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Option<u64>, E> {
        Err(E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Option<u64>, E> {
        match number.fract() == 0.0 && (0.0..ABOVE).contains(&number) {
            true => self.visit_u64(number as u64),
            false => Err(E::invalid_value(Unexpected::Float(number), &self)),
        }
    }

    fn visit_unit<E: Error>(self) -> Result<Option<u64>, E> {
        match self.nullable {
            true => Ok(None),
            false => Err(E::invalid_type(Unexpected::Unit, &self)),
        }
    }
}

/// Reads a whole number of JSON that is in `range`, which `expected` says in words. `null` counts as absent.
///
/// # Errors
/// It is none, or outside of the range.
pub(crate) fn optional<'de, D: Deserializer<'de>>(
    from: D,
    range: RangeInclusive<u64>,
    expected: &str,
) -> Result<Option<u64>, D::Error> {
    from.deserialize_any(Whole {
        range,
        expected,
        nullable: true,
    })
}

/// The same, where `null` is refused.
///
/// # Errors
/// It is none, or outside of the range.
pub(crate) fn required<'de, D: Deserializer<'de>>(
    from: D,
    range: RangeInclusive<u64>,
    expected: &str,
) -> Result<u64, D::Error> {
    let number = from.deserialize_any(Whole {
        range,
        expected,
        nullable: false,
    })?;
    number.ok_or_else(|| D::Error::invalid_type(Unexpected::Unit, &expected))
}

/// A whole number of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(pub u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        required(from, 0..=u64::MAX, "a whole number").map(Self)
    }
}

/// A whole number of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InQuery(pub u64);

impl<'de> Deserialize<'de> for InQuery {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        parse(&text)
            .map(Self)
            .ok_or_else(|| D::Error::custom("must be a whole number"))
    }
}

/// The whole number that `text` is.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let digits = match text.split_once('.') {
        Some((digits, zeros)) if !zeros.is_empty() && zeros.bytes().all(|zero| zero == b'0') => digits,
        Some(_) => return None,
        None => text,
    };
    digits
        .bytes()
        .all(|digit| digit.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_whole_however_it_is_written() {
        for (text, expected) in [
            ("23", Some(23)),
            ("23.0", Some(23)),
            ("2.3e1", Some(23)),
            ("-0.0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("1e19", Some(10_000_000_000_000_000_000)),
            ("1e20", None),
            ("-1", None),
            ("-1.0", None),
            ("1.5", None),
            ("true", None),
            ("\"23\"", None),
            ("null", None),
            ("[]", None),
        ] {
            let read: Result<Number, _> = serde_json::from_str(text);
            assert_eq!(read.ok(), expected.map(Number), "{text}");
        }
        for (text, expected) in [
            ("23", Some(23)),
            ("23.0", Some(23)),
            ("23.", None),
            ("23.01", None),
            ("", None),
            (".0", None),
            ("+1", None),
            ("-1", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
