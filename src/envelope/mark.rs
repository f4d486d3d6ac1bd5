//! An instance's mark on notifications that it has decided to record. Knows no instance and no bus.

use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// A random number that nobody can guess, and that instances alone tell each other. On the wire 16 hex digits in lower case.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mark(NonZeroU64);

impl Mark {
    /// A new one, out of the system's randomness.
    pub fn random() -> Self {
        // Of the 80 random bits that a ULID has.
        let bits = Ulid::new().random() as u64;
        Self(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }

    /// Reads one as it is written, or `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let number = (text.len() == 16 && text.bytes().all(is_hex)).then(|| u64::from_str_radix(text, 16));
        NonZeroU64::new(number?.ok()?).map(Self)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Without the number: a log is no place for it.
impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mark")
    }
}

impl TryFrom<String> for Mark {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        Self::parse(&text).ok_or("expected 16 hexadecimal digits in lower case, not all of them 0")
    }
}

impl From<Mark> for String {
    fn from(mark: Mark) -> Self {
        mark.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_is_written() {
        let mark = Mark::random();
        assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        assert_ne!(mark, Mark::random());
        assert!(!format!("{mark:?}").contains(&mark.to_string()));
        for bad in [
            "",
            "1",
            "000000000000000G",
            "00000000000000AB",
            "0000000000000000",
            "+00000000000000a",
        ] {
            assert_eq!(Mark::parse(bad), None, "{bad}");
        }
    }
}
