//! A notification on its way: what a publisher gave, filtered, with an id and a time. Knows no STOMP, no NATS, no HTTP:
//! on NATS the body is the payload and the rest is subject and headers; in STOMP it is a MESSAGE.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ulid::Ulid;

use crate::destination::Target;

/// A notification's id: 1 to 64 of `[A-Za-z0-9._-]`, the publisher's or a ULID. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(Arc<str>);

impl MessageId {
    /// A new ULID.
    pub fn random() -> Self {
        let mut buffer = [0; ulid::ULID_LEN];
        Self(Arc::from(&*Ulid::new().array_to_str(&mut buffer)))
    }

    /// A publisher's own id; none if it breaks the rule of the type.
    pub fn parse(text: &str) -> Option<Self> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        ((1..=64).contains(&text.len()) && text.bytes().all(legal)).then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a bus that keeps history has stored a notification. Rendered `<epoch>-<sequence>` as `message-id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Which life of the stream: from its creation.
    pub epoch: u64,
    /// The stream's sequence number.
    pub sequence: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.sequence)
    }
}

/// The W3C trace context that travels with a notification, unchanged where Herald makes no span.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// `traceparent`, valid by W3C Trace Context section 3.2, or none.
    pub traceparent: Option<Box<str>>,
    /// `tracestate`, only beside a `traceparent`.
    pub tracestate: Option<Box<str>>,
}

impl TraceContext {
    /// Takes a publisher's headers; a malformed `traceparent` drops both, as the W3C asks.
    pub fn from_headers(traceparent: Option<&str>, tracestate: Option<&str>) -> Self {
        match traceparent.map(str::trim).filter(|text| is_traceparent(text)) {
            None => Self::default(),
            Some(parent) => Self {
                traceparent: Some(parent.into()),
                tracestate: tracestate
                    .map(str::trim)
                    .filter(|text| {
                        !text.is_empty()
                            && text.len() <= 512
                            && text.bytes().all(|b| (b' '..=b'~').contains(&b))
                    })
                    .map(Into::into),
            },
        }
    }

    /// Whether the publisher's context says that its trace is recorded.
    pub fn is_sampled(&self) -> bool {
        self.traceparent
            .as_deref()
            .and_then(|text| u8::from_str_radix(&text[53..55], 16).ok())
            .is_some_and(|flags| flags & 1 == 1)
    }

    /// The 32 hex digits of the trace's id.
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_deref().map(|text| &text[3..35])
    }
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, lower case, ids not all zero; a later version may be longer.
fn is_traceparent(text: &str) -> bool {
    let bytes = text.as_bytes();
    let hex = |range: std::ops::Range<usize>| {
        bytes[range]
            .iter()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let zero = |range: std::ops::Range<usize>| bytes[range].iter().all(|b| *b == b'0');
    (bytes.len() == 55
        || (bytes.len() > 55 && bytes.len() <= 128 && &bytes[..2] != b"00" && bytes[55] == b'-'))
        && text.is_ascii()
        && hex(0..2)
        && &bytes[..2] != b"ff"
        && [2, 35, 52].iter().all(|dash| bytes[*dash] == b'-')
        && hex(3..35)
        && hex(36..52)
        && hex(53..55)
        && !zero(3..35)
        && !zero(36..52)
}

/// How many headers of its own a publisher may send, and how long (`[limits]`).
#[derive(Debug, Clone, Copy)]
pub struct HeaderLimits {
    /// Most headers.
    pub count: usize,
    /// Longest name plus value, in bytes.
    pub bytes: usize,
}

/// Why a publisher's headers were refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderError {
    /// Over [`HeaderLimits::count`], which is given.
    TooMany(usize),
    /// The named header is over [`HeaderLimits::bytes`], which is given.
    TooLong(String, usize),
    /// A name that is empty or holds control characters.
    BadName(String),
    /// The named header's value holds a NUL.
    BadValue(String),
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

/// A publisher's own headers after the filter of CONTRACT section 1, sorted by name; the first of a repeated name
/// (STOMP rule H7).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Box<[(Box<str>, Box<str>)]>);

/// Names never passed on, in any case: secrets, what steers a connection, and what Herald writes itself on a MESSAGE.
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

/// Whether a publisher's header of this name reaches a client.
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

    /// Name and value of each, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The value of the header `name` (exact case).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(held, _)| *held == name)
            .map(|(_, value)| value)
    }

    /// The same with `name` set by Herald itself, in its place by name.
    pub fn with(self, name: &str, value: &str) -> Self {
        let mut headers = Vec::from(self.0);
        headers.retain(|(held, _)| **held != *name);
        headers.push((name.into(), value.into()));
        headers.sort_unstable();
        Self(headers.into())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One notification. Shared as `Arc<Envelope>` once it is inside an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Its id, the same on every instance where the publisher or Herald set one.
    pub id: MessageId,
    /// Where it goes.
    pub target: Target,
    /// Where the bus stored it; none without history.
    pub position: Option<Position>,
    /// The publisher's `Content-Type`, without control characters; none: decided by the body.
    pub content_type: Option<Box<str>>,
    /// The publisher's own headers.
    pub headers: Headers,
    /// The STOMP body, byte for byte.
    pub body: Bytes,
    /// The publisher's trace context.
    pub trace: TraceContext,
    /// When Herald accepted it, in Unix ms.
    pub timestamp_ms: u64,
    /// When it is stale, in Unix ms.
    pub expires_at_ms: Option<u64>,
}

impl Envelope {
    /// A notification accepted now, with a new id and nothing else set.
    pub fn new(target: Target, body: impl Into<Bytes>) -> Self {
        Self {
            id: MessageId::random(),
            target,
            position: None,
            content_type: None,
            headers: Headers::default(),
            body: body.into(),
            trace: TraceContext::default(),
            timestamp_ms: unix_ms(),
            expires_at_ms: None,
        }
    }

    /// The same with a content type.
    pub fn with_content_type(mut self, content_type: &str) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Whether it is stale at `now_ms` (Unix ms).
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|at| at <= now_ms)
    }
}

/// Whether `text` can stand as a content type: 1 to 256 visible characters and blanks.
pub fn is_content_type(text: &str) -> bool {
    (1..=256).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Now, in Unix ms.
pub fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
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

    #[test]
    fn a_malformed_traceparent_is_dropped() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = TraceContext::from_headers(Some(good), Some("a=b"));
        assert!(context.is_sampled());
        assert_eq!(context.trace_id(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        for bad in [
            "",
            "00",
            &good[..54],
            &good.to_uppercase(),
            &good.replace('4', "ä"),
            &format!("{good}-x"),
            &good.replace("00f067aa0ba902b7", "0000000000000000"),
        ] {
            assert_eq!(
                TraceContext::from_headers(Some(bad), Some("a=b")),
                TraceContext::default(),
                "{bad}"
            );
        }
    }

    #[test]
    fn ids_follow_the_contract() {
        assert!(MessageId::parse("a.B_9-").is_some());
        for bad in ["", "a b", "ä", &"a".repeat(65)] {
            assert!(MessageId::parse(bad).is_none(), "{bad}");
        }
        assert_eq!(MessageId::random().as_str().len(), 26);
    }
}
