//! Promise: whatever headers a NATS publisher or backend sets, decoding them never panics, nothing that the filter
//! forbids passes, every limit holds, and what passed is unchanged after another trip over the bus.
//!
//! Input: lines of `name:value`, an empty line, the body.

#![no_main]

use async_nats::header::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use herald::bus::Limits;
use herald::bus::headers::{decode_envelope, decode_reply, encode_envelope};
use herald::destination::{Path, Target};
use herald::envelope::{HeaderLimits, Headers, is_content_type, is_passed_on};
use herald::setting::ByteSize;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    body_bytes: ByteSize(64),
    headers: HeaderLimits { count: 4, bytes: 128 },
};

fuzz_target!(|data: &[u8]| {
    let (headers, body) = read(data);
    let Ok(path) = Path::parse("/queue/x") else {
        panic!("/queue/x is a path");
    };
    let target = Target::Broadcast(path);
    let decoded = decode_envelope(target.clone(), Some(&headers), body.clone(), &LIMITS);
    if let Ok(mut envelope) = decoded {
        // The instance that sends a notification has decided about its trace.
        envelope.trace.decided = true;
        assert_fit(
            &envelope.headers,
            envelope.content_type.as_deref(),
            &envelope.body,
        );
        assert!(
            envelope
                .collapse
                .as_ref()
                .is_none_or(|key| key.as_str().len() <= 128)
        );
        let again = over_the_wire(&encode_envelope(&envelope));
        let again = decode_envelope(target, Some(&again), envelope.body.clone(), &LIMITS);
        assert_eq!(again, Ok(envelope));
    }
    let reply = decode_reply(
        async_nats::Message {
            subject: "reply".into(),
            reply: None,
            length: body.len(),
            payload: body,
            headers: Some(headers),
            status: None,
            description: None,
        },
        &LIMITS,
    );
    assert_fit(&reply.headers, reply.content_type.as_deref(), &reply.body);
    assert!(reply.error.is_none_or(|words| words.len() <= 1_024));
});

/// The headers as the NATS client would return them: trimmed, without what it does not accept as a header.
fn read(data: &[u8]) -> (HeaderMap, Bytes) {
    let mut headers = Vec::new();
    let mut rest = data;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        headers.extend(std::str::from_utf8(line).ok().and_then(header));
    }
    (headers.into_iter().collect(), Bytes::copy_from_slice(rest))
}

fn header(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    Some((HeaderName::try_from(name).ok()?, value.trim().parse().ok()?))
}

/// What the receiving client reads of what the sending client writes.
fn over_the_wire(headers: &HeaderMap) -> HeaderMap {
    let lines = headers
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| format!("{name}: {value}")));
    let read = |line: String| {
        assert_eq!(line.lines().count(), 1, "{line:?}");
        header(&line).unwrap_or_else(|| panic!("no header: {line:?}"))
    };
    lines.map(read).collect()
}

fn assert_fit(headers: &Headers, content_type: Option<&str>, body: &[u8]) {
    assert!(content_type.is_none_or(is_content_type));
    assert!(body.len() <= LIMITS.body_bytes.0);
    assert!(headers.iter().count() <= LIMITS.headers.count);
    for (name, value) in headers.iter() {
        assert!(is_passed_on(name), "{name:?} came through");
        assert!(
            !name.is_empty() && !name.chars().any(char::is_control),
            "{name:?}"
        );
        assert!(!value.contains('\0'), "{value:?}");
        assert!(name.len() + value.len() <= LIMITS.headers.bytes, "{name:?}");
    }
}
