//! A publisher's own headers: filtered, bounded, sorted. Knows no transport: headers from STOMP, REST and NATS all
//! come through here.

use std::fmt;

use crate::limit::Limit;

/// How many headers of its own a publisher may send, and how long they may be (`[limits]`).
#[derive(Debug, Clone, Copy)]
pub struct HeaderLimits {
    /// The most headers.
    pub count: usize,
    /// The longest header: name plus value, in bytes.
    pub bytes: usize,
}

/// Why a publisher's headers were refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderError {
    /// More than [`HeaderLimits::count`]. Holds the limit.
    TooMany(usize),
    /// The named header exceeds [`HeaderLimits::bytes`]. Holds the limit.
    TooLong(String, usize),
    /// A name that is empty or contains control characters.
    BadName(String),
    /// The value of the named header contains a NUL.
    BadValue(String),
}

impl HeaderError {
    /// The limit that was hit, if one was.
    pub fn limit(&self) -> Option<Limit> {
        match self {
            Self::TooMany(_) => Some(Limit::Headers),
            Self::TooLong(..) => Some(Limit::HeaderBytes),
            Self::BadName(_) | Self::BadValue(_) => None,
        }
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany(limit) => write!(f, "at most {limit} headers (limits.headers)"),
            Self::TooLong(name, limit) => {
                write!(f, "header {name:?} is over {limit} bytes (limits.header_bytes)")
            }
            Self::BadName(name) => {
                write!(
                    f,
                    "header name {name:?} must not be empty or hold control characters"
                )
            }
            Self::BadValue(name) => write!(f, "header {name:?} must not hold NUL"),
        }
    }
}

impl std::error::Error for HeaderError {}

/// A publisher's own headers after the filter of docs/stomp.md, sorted by name. Of a repeated name only the first
/// counts (STOMP rule H7).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Box<[(Box<str>, Box<str>)]>);

/// What a header takes in memory besides its name and value: two pointers with lengths, two small allocations.
const HEADER_OVERHEAD_BYTES: usize = 64;

/// Names that are never passed on, in any case: secrets, headers that control a connection, and those that Herald
/// itself writes on a MESSAGE.
const NEVER_PASSED_ON: [&str; 16] = [
    "authorization",
    "x-authorization",
    "cookie",
    "login",
    "passcode",
    "receipt",
    "transaction",
    "heart-beat",
    "subscription",
    "destination",
    "message-id",
    "content-type",
    "content-length",
    "timestamp",
    "ack",
    "id",
];
const NEVER_PASSED_ON_TRACE: [&str; 2] = ["traceparent", "tracestate"];
const NEVER_PASSED_ON_PREFIXES: [&str; 2] = ["herald-", "nats-"];

/// Whether a publisher's header with this name reaches a client.
pub fn is_passed_on(name: &str) -> bool {
    let begins = |prefix: &&str| {
        name.len() >= prefix.len() && name.as_bytes()[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes())
    };
    !NEVER_PASSED_ON
        .iter()
        .chain(&NEVER_PASSED_ON_TRACE)
        .any(|never| name.eq_ignore_ascii_case(never))
        && !NEVER_PASSED_ON_PREFIXES.iter().any(begins)
}

impl Headers {
    /// Filters, bounds and sorts a publisher's headers.
    pub fn from_publisher<'a>(
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        limits: HeaderLimits,
    ) -> Result<Self, HeaderError> {
        let mut kept: Vec<(Box<str>, Box<str>)> = Vec::new();
        for (name, value) in headers {
            if !is_passed_on(name) {
                continue;
            }
            if name.is_empty() || name.chars().any(char::is_control) {
                return Err(HeaderError::BadName(name.chars().take(64).collect()));
            }
            if name.len() + value.len() > limits.bytes {
                return Err(HeaderError::TooLong(
                    name.chars().take(64).collect(),
                    limits.bytes,
                ));
            }
            if value.contains('\0') {
                return Err(HeaderError::BadValue(name.into()));
            }
            if kept.iter().any(|(seen, _)| **seen == *name) {
                continue;
            }
            if kept.len() == limits.count {
                return Err(HeaderError::TooMany(limits.count));
            }
            kept.push((name.into(), value.into()));
        }
        kept.sort_unstable();
        Ok(Self(kept.into()))
    }

    /// Name and value of each header, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The value of the header `name` (exact case).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(held, _)| *held == name)
            .map(|(_, value)| value)
    }

    /// The same headers with `name` set by Herald itself, sorted in.
    pub fn with(self, name: &str, value: &str) -> Self {
        let mut headers = Vec::from(self.0);
        headers.retain(|(held, _)| **held != *name);
        headers.push((name.into(), value.into()));
        headers.sort_unstable();
        Self(headers.into())
    }

    /// The headers for which `value` gives a value, with that value. Names stay, and with them the order.
    pub(super) fn filter_map(self, mut value: impl FnMut(&str, Box<str>) -> Option<Box<str>>) -> Self {
        let kept = Vec::from(self.0).into_iter().filter_map(|(name, held)| {
            let value = value(&name, held)?;
            Some((name, value))
        });
        Self(kept.collect())
    }

    /// The bytes that they take in memory.
    pub fn weight(&self) -> usize {
        let each = |(name, value): (&str, &str)| name.len() + value.len() + HEADER_OVERHEAD_BYTES;
        self.iter().map(each).sum()
    }

    /// Whether there are no headers.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeaderLimits = HeaderLimits { count: 3, bytes: 16 };

    #[test]
    fn secrets_and_heralds_own_names_are_not_passed_on() {
        let given = [
            ("Cookie", "c"),
            ("herald-x", "x"),
            ("NATS-Y", "y"),
            ("MESSAGE-ID", "1"),
            ("b", "2"),
            ("a", "1"),
            ("b", "3"),
        ];
        let headers = Headers::from_publisher(given, LIMITS).unwrap();
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
    }

    #[test]
    fn headers_are_bounded() {
        let check = |given: &[(&'static str, &'static str)], expected| {
            assert_eq!(
                Headers::from_publisher(given.iter().copied(), LIMITS).unwrap_err(),
                expected
            );
        };
        check(
            &[("a", ""), ("b", ""), ("c", ""), ("d", "")],
            HeaderError::TooMany(3),
        );
        check(
            &[("a", "0123456789abcdefg")],
            HeaderError::TooLong("a".into(), 16),
        );
        check(&[("", "x")], HeaderError::BadName(String::new()));
        check(&[("a", "\0")], HeaderError::BadValue("a".into()));
    }
}
