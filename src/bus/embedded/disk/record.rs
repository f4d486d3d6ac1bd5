//! A notification as bytes in the file, format 1, and back: fields with their lengths, no names. It starts with the
//! time of storing and the target, which retention needs without reading the rest. Pure; knows no file.
//!
//! Records are checked like input from a publisher: anybody may have written the file.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::destination::{Path, Target};
use crate::envelope::{
    Arrival, CollapseKey, Envelope, HeaderLimits, Headers, Mark, MessageId, Position, PublisherKind,
    TraceContext, is_content_type,
};
use crate::principal::UserName;

/// Stands for a target in the index.
pub(super) type TargetId = [u8; 16];

/// When it was stored, and its target.
const HEAD_BYTES: usize = 8 + size_of::<TargetId>();

/// What was let in once is not refused because a limit is smaller today.
const LIMITS: HeaderLimits = HeaderLimits {
    count: usize::MAX,
    bytes: usize::MAX,
};

const TO_USER: u16 = 1;
const CONTENT_TYPE: u16 = 1 << 1;
const EXPIRES: u16 = 1 << 2;
const COLLAPSE: u16 = 1 << 3;
const OF_CLIENT: u16 = 1 << 4;
const TRACEPARENT: u16 = 1 << 5;
const TRACESTATE: u16 = 1 << 6;
const DECIDED: u16 = 1 << 7;
const MARK: u16 = 1 << 8;

/// What stands for `target` in the index.
pub(super) fn target_id(target: &Target) -> TargetId {
    let mut digest = Sha256::new();
    let path = match target {
        Target::Broadcast(path) => path,
        Target::User { user, path } => {
            digest.update((user.as_str().len() as u64).to_le_bytes());
            digest.update(user.as_str());
            path
        }
    };
    digest.update(path.as_str());
    let mut id = TargetId::default();
    id.copy_from_slice(&digest.finalize()[..size_of::<TargetId>()]);
    id
}

/// `envelope` but for its position. [`stamp`] says when it was stored.
pub(super) fn encode(envelope: &Envelope) -> Vec<u8> {
    let Envelope { trace, headers, .. } = envelope;
    let mut out = Vec::with_capacity(envelope.body.len() + 256);
    out.extend([0; 8]);
    out.extend(target_id(&envelope.target));
    let (user, path) = match &envelope.target {
        Target::User { user, path } => (Some(user.as_str()), path),
        Target::Broadcast(path) => (None, path),
    };
    let collapse = envelope.collapse.as_ref();
    let mark = trace.mark.map(|mark| mark.to_string());
    let texts = [
        (TO_USER, user),
        (CONTENT_TYPE, envelope.content_type.as_deref()),
        (COLLAPSE, collapse.map(CollapseKey::as_str)),
        (TRACEPARENT, trace.traceparent.as_deref()),
        (TRACESTATE, trace.tracestate.as_deref()),
        (MARK, mark.as_deref()),
    ];
    let set = |flag: u16, is_set: bool| if is_set { flag } else { 0 };
    let flags = texts.iter().map(|(flag, text)| set(*flag, text.is_some()));
    let flags = flags.fold(0, |all, flag| all | flag)
        | set(EXPIRES, envelope.expires_at_ms.is_some())
        | set(DECIDED, trace.decided)
        | set(
            OF_CLIENT,
            collapse.is_some_and(|key| key.publisher() == PublisherKind::Client),
        );
    out.extend(flags.to_le_bytes());
    out.extend(envelope.timestamp_ms.to_le_bytes());
    out.extend(envelope.expires_at_ms.unwrap_or_default().to_le_bytes());
    text(&mut out, envelope.id.as_str());
    text(&mut out, path.as_str());
    for (_, given) in texts {
        given.into_iter().for_each(|given| text(&mut out, given));
    }
    out.extend((headers.iter().count() as u32).to_le_bytes());
    for (name, value) in headers.iter() {
        text(&mut out, name);
        text(&mut out, value);
    }
    out.extend_from_slice(&envelope.body);
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Writes into `record` that it is stored at `now_ms`.
pub(super) fn stamp(record: &mut [u8], now_ms: u64) {
    if let Some(head) = record.first_chunk_mut() {
        *head = now_ms.to_le_bytes();
    }
}

/// When a record was stored, and of which target it is.
pub(super) fn head(record: &[u8]) -> Option<(u64, TargetId)> {
    let (stamp, rest) = record.split_first_chunk()?;
    Some((u64::from_le_bytes(*stamp), *rest.first_chunk()?))
}

/// The notification in `record`, which is stored at `position`. `None` if it is none.
pub(super) fn decode(record: &[u8], position: Position) -> Option<Envelope> {
    let mut rest = Rest(record.get(HEAD_BYTES..)?);
    let flags = u16::from_le_bytes(rest.take()?);
    let (timestamp_ms, expires) = (u64::from_le_bytes(rest.take()?), u64::from_le_bytes(rest.take()?));
    let id = MessageId::parse(rest.text()?)?;
    let path = Path::parse(rest.text()?).ok()?;
    let mut optional = |flag| match flags & flag {
        0 => Some(None),
        _ => rest.text().map(Some),
    };
    let user = optional(TO_USER)?;
    let content_type = optional(CONTENT_TYPE)?.filter(|text| is_content_type(text));
    let collapse = optional(COLLAPSE)?;
    let (traceparent, tracestate) = (optional(TRACEPARENT)?, optional(TRACESTATE)?);
    let mark = optional(MARK)?;
    let publisher = match flags & OF_CLIENT {
        0 => PublisherKind::Backend,
        _ => PublisherKind::Client,
    };
    let mut headers = Vec::new();
    for _ in 0..u32::from_le_bytes(rest.take()?) {
        headers.push((rest.text()?, rest.text()?));
    }
    Some(Envelope {
        id,
        target: match user {
            Some(user) => Target::User {
                user: UserName::parse(user).ok()?,
                path,
            },
            None => Target::Broadcast(path),
        },
        position: Some(position),
        local: None,
        content_type: content_type.map(Into::into),
        headers: Headers::from_publisher(headers, LIMITS).ok()?,
        body: Bytes::copy_from_slice(rest.0),
        trace: TraceContext {
            decided: flags & DECIDED != 0,
            mark: mark.and_then(Mark::parse),
            ..TraceContext::from_headers(traceparent, tracestate)
        },
        timestamp_ms,
        expires_at_ms: (flags & EXPIRES != 0).then_some(expires),
        collapse: collapse.and_then(|text| CollapseKey::parse(text, publisher)),
        arrival: Arrival::now(),
    })
}

/// What is still to be read.
struct Rest<'r>(&'r [u8]);

impl<'r> Rest<'r> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn text(&mut self) -> Option<&'r str> {
        let length = usize::try_from(u32::from_le_bytes(self.take()?)).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Position = Position {
        epoch: 3,
        sequence: 7,
    };

    fn full() -> Envelope {
        let target = Target::User {
            user: UserName::parse("änna").unwrap(),
            path: Path::parse("/queue/x").unwrap(),
        };
        let mut envelope = Envelope::new(target, vec![0, 1, 255]).with_content_type("text/plain");
        envelope.expires_at_ms = Some(u64::MAX);
        envelope.collapse = CollapseKey::parse("k", PublisherKind::Client);
        envelope.headers = Headers::from_publisher([("b", "lines\na"), ("a", "")], LIMITS).unwrap();
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        envelope.trace = TraceContext::from_headers(Some(parent), Some("a=b"));
        envelope.trace.decided = true;
        envelope.trace.mark = Some(Mark::random());
        envelope.position = Some(AT);
        envelope
    }

    #[test]
    fn all_of_it_comes_back() {
        let plain = Envelope::new(Target::Broadcast(Path::parse("/queue/x").unwrap()), "");
        for mut envelope in [full(), plain] {
            envelope.position = Some(AT);
            let mut record = encode(&envelope);
            stamp(&mut record, 99);
            assert_eq!(head(&record), Some((99, target_id(&envelope.target))));
            assert_eq!(decode(&record, AT), Some(envelope));
        }
    }

    #[test]
    fn what_is_cut_off_or_changed_is_none_and_never_a_panic() {
        let record = encode(&full());
        let body = full().body.len();
        for end in 0..record.len() - body {
            assert_eq!(decode(&record[..end], AT), None, "{end}");
        }
        for at in 0..record.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = record.clone();
                changed[at] = value;
                let _ = (decode(&changed, AT), head(&changed));
            }
        }
    }

    #[test]
    fn targets_have_ids_of_their_own() {
        let path = |text| Path::parse(text).unwrap();
        let user = |name, of| Target::User {
            user: UserName::parse(name).unwrap(),
            path: path(of),
        };
        let ids = [
            target_id(&Target::Broadcast(path("/a/b"))),
            target_id(&user("a", "/a/b")),
            target_id(&user("a/a", "/b")),
            target_id(&user("b", "/a/b")),
        ];
        let distinct: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
