//! A notification in transit: the publisher's content, filtered, with an id and a time. Knows no STOMP, NATS or HTTP:
//! on NATS the body is the payload and the rest is subject and headers; in STOMP it is a MESSAGE.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ulid::Ulid;

use crate::destination::Target;

mod arrival;
mod baggage;
mod collapse;
mod headers;
mod kept;
mod mark;
mod position;
mod trace;

pub use arrival::Arrival;
pub use baggage::{BaggageKey, BrowserBaggage};
pub use collapse::{CollapseKey, PublisherKind};
pub use headers::{HeaderError, HeaderLimits, Headers, is_passed_on};
pub use kept::Kept;
pub use mark::Mark;
pub use position::{Kind, NoPosition, Position, Unrecovered};
pub use trace::TraceContext;

/// What a notification, or a frame that waits to become one, takes in memory besides its texts and bytes.
pub const OVERHEAD_BYTES: usize = 512;

/// A notification's id: 1 to 64 of `[A-Za-z0-9._-]`, chosen by the publisher, or a ULID. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(Arc<str>);

impl MessageId {
    /// A new ULID.
    pub fn random() -> Self {
        let mut buffer = [0; ulid::ULID_LEN];
        Self(Arc::from(&*Ulid::new().array_to_str(&mut buffer)))
    }

    /// A publisher's own id, or `None` if it breaks the rule of this type.
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

/// One notification. Shared as `Arc<Envelope>` once it is inside an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The id, which is the same on every instance if the publisher or Herald set it.
    pub id: MessageId,
    /// The target.
    pub target: Target,
    /// Where the bus stored it. `None` without history. Of what an instance made itself: how far it had come then.
    pub position: Option<Position>,
    /// Of what an instance made itself behind `position`: a number that tells such messages apart.
    pub local: Option<NonZeroU64>,
    /// The publisher's `Content-Type`, without control characters. With `None` the body decides.
    pub content_type: Option<Box<str>>,
    /// The publisher's own headers.
    pub headers: Headers,
    /// The STOMP body, byte for byte.
    pub body: Bytes,
    /// The publisher's trace context.
    pub trace: TraceContext,
    /// When Herald accepted the notification, in Unix ms.
    pub timestamp_ms: u64,
    /// When the notification becomes stale, in Unix ms.
    pub expires_at_ms: Option<u64>,
    /// The collapse key: a newer notification with the same target and key replaces this one while it waits for a
    /// session.
    pub collapse: Option<CollapseKey>,
    /// When the notification reached this instance, for measurements.
    pub arrival: Arrival,
}

impl Envelope {
    /// A notification accepted now, with a new id and nothing else set.
    pub fn new(target: Target, body: impl Into<Bytes>) -> Self {
        Self {
            id: MessageId::random(),
            target,
            position: None,
            local: None,
            content_type: None,
            headers: Headers::default(),
            body: body.into(),
            trace: TraceContext::default(),
            timestamp_ms: unix_ms(),
            expires_at_ms: None,
            collapse: None,
            arrival: Arrival::default(),
        }
    }

    /// The same with a content type.
    pub fn with_content_type(mut self, content_type: &str) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// The value of `message-id`: the position if there is one, else the id.
    pub fn message_id(&self) -> MessageId {
        match self.position {
            Some(_) => MessageId(self.message_id_text().to_string().into()),
            None => self.id.clone(),
        }
    }

    /// The same as text: `<epoch>-<sequence>`, `<epoch>-<sequence>.<n>` of what an instance made itself, or the id.
    pub fn message_id_text(&self) -> impl fmt::Display {
        fmt::from_fn(|f| match (self.position, self.local) {
            (Some(position), Some(local)) => write!(f, "{position}.{local}"),
            (Some(position), None) => write!(f, "{position}"),
            (None, _) => f.write_str(self.id.as_str()),
        })
    }

    /// Where the bus stored it, and in which stream.
    pub fn stored_at(&self) -> Option<(Kind, Position)> {
        Some((Kind::of(&self.target), self.position?))
    }

    /// The bytes that the notification takes in memory: body, headers, ids and a fixed part. Everything that bounds
    /// waiting notifications by bytes counts this.
    pub fn weight(&self) -> usize {
        let (user, path) = match &self.target {
            Target::User { user, path } => (user.as_str().len(), path),
            Target::Broadcast(path) => (0, path),
        };
        OVERHEAD_BYTES
            + self.body.len()
            + self.headers.weight()
            + self.trace.weight()
            + self.id.as_str().len()
            + path.as_str().len()
            + user
            + self.content_type.as_deref().map_or(0, str::len)
            + self.collapse.as_ref().map_or(0, |key| key.as_str().len())
    }

    /// Whether the notification is stale at `now_ms` (Unix ms).
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|at| at <= now_ms)
    }
}

/// Whether `text` is a valid content type: 1 to 256 visible characters and blanks.
pub fn is_content_type(text: &str) -> bool {
    (1..=256).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// The current time in Unix ms.
pub fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_weighs_all_that_it_holds() {
        let limits = HeaderLimits {
            count: 9,
            bytes: 9_000,
        };
        let path = || crate::destination::Path::parse("/queue/x").unwrap();
        let plain = || Envelope::new(Target::Broadcast(path()), "");
        let least = plain().weight();
        assert!(least >= OVERHEAD_BYTES);
        let long = "x".repeat(1_000);
        let change: [fn(&mut Envelope, &str); 4] = [
            |envelope, long| envelope.body = long.to_owned().into(),
            |envelope, long| envelope.content_type = Some(long.into()),
            |envelope, long| envelope.trace.tracestate = Some(long.into()),
            |envelope, long| envelope.trace.traceparent = Some(long.into()),
        ];
        for change in change {
            let mut envelope = plain();
            change(&mut envelope, &long);
            assert_eq!(envelope.weight(), least + 1_000);
        }
        let mut keyed = plain();
        keyed.collapse = CollapseKey::of_backend(&long[..128]);
        assert_eq!(keyed.weight(), least + 128);
        for (name, value) in [(&*long, ""), ("a", &*long)] {
            let mut envelope = plain();
            envelope.headers = Headers::from_publisher([(name, value)], limits).unwrap();
            assert!(envelope.weight() >= least + 1_000);
        }
        let user = crate::principal::UserName::parse("anna").unwrap();
        let to_user = Envelope::new(Target::User { user, path: path() }, "");
        assert_eq!(to_user.weight(), least + 4);
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
