//! MESSAGE frames as bytes on a socket: the unmasked WebSocket header (RFC 6455 section 5.2) and the STOMP frame in one
//! piece, so that the parts that many sessions share are encoded once. Pure; knows no session and no socket.
//!
//! A message is `head ‖ rest`. The head (WebSocket header, `MESSAGE`, `subscription`, `ack`) depends on [`GroupKey`].
//! The rest (the other headers, body, NUL) only depends on the STOMP version, because versions escape differently.

use std::io::Write;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::close_reason::CloseReason;
use crate::destination::{Path, Target};
use crate::envelope::Envelope;
use crate::stomp::escape::{escape_into, header_into};
use crate::stomp::{ServerFrame, Version, encode};

/// The `ack` header of SUBSCRIBE (STOMP rule S6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AckMode {
    /// A MESSAGE counts as consumed when it is sent.
    Auto,
    /// An ACK covers a MESSAGE and all before it.
    Client,
    /// An ACK covers one MESSAGE.
    ClientIndividual,
}

/// Everything in which the MESSAGEs of two subscriptions for one notification can differ.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupKey {
    /// The `id` header of SUBSCRIBE. `None` in STOMP 1.0 without one.
    pub subscription: Option<Arc<str>>,
    /// The session's version.
    pub version: Version,
    /// The subscription's ack mode.
    pub ack: AckMode,
}

/// The part of one notification that all groups of one STOMP version share.
#[derive(Debug, Clone)]
pub struct Rest {
    /// The headers after the group's own, a blank line, the body, NUL.
    pub bytes: Bytes,
    /// Whether `bytes` is UTF-8, which decides the opcode (STOMP rule W5).
    pub is_utf8: bool,
}

/// RFC 6455 section 5.2: FIN and opcode text.
const TEXT: u8 = 0x81;
/// FIN and opcode binary.
const BINARY: u8 = 0x82;

/// Encodes the shared part. `user_prefix` is the clients' prefix of user destinations. `traced` says that each
/// session has a span of its own, whose `traceparent` is in the head.
pub fn rest(envelope: &Envelope, version: Version, user_prefix: &Path, traced: bool) -> Rest {
    let body_is_utf8 = std::str::from_utf8(&envelope.body).is_ok();
    let mut out = Vec::with_capacity(256 + envelope.body.len());
    out.extend_from_slice(b"destination:");
    match &envelope.target {
        Target::Broadcast(path) => escape_into(&mut out, path.as_str(), version),
        Target::User { path, .. } => {
            escape_into(&mut out, user_prefix.as_str(), version);
            escape_into(&mut out, path.as_str(), version);
        }
    }
    out.extend_from_slice(b"\nmessage-id:");
    if envelope.position.is_some() {
        display_into(&mut out, envelope.message_id_text());
        out.extend_from_slice(b"\nherald-id:");
    }
    out.extend_from_slice(envelope.id.as_str().as_bytes());
    out.push(b'\n');
    let content_type = envelope.content_type.as_deref().unwrap_or(match body_is_utf8 {
        true => "text/plain;charset=UTF-8",
        false => "application/octet-stream",
    });
    header_into(&mut out, "content-type", content_type, version);
    // Digits need no escapes in any version.
    out.extend_from_slice(b"content-length:");
    display_into(&mut out, envelope.body.len());
    out.extend_from_slice(b"\ntimestamp:");
    display_into(&mut out, envelope.timestamp_ms);
    out.push(b'\n');
    if envelope.trace.is_sampled() {
        let trace = &envelope.trace;
        if let Some(traceparent) = trace.traceparent.as_deref().filter(|_| !traced) {
            header_into(&mut out, "traceparent", traceparent, version);
        }
        if let Some(tracestate) = &trace.tracestate {
            header_into(&mut out, "tracestate", tracestate, version);
        }
    }
    for (name, value) in envelope.headers.iter() {
        // What a version cannot carry without breaking its frame is left out.
        header_into(&mut out, name, value, version);
    }
    out.push(b'\n');
    out.extend_from_slice(&envelope.body);
    out.push(0);
    Rest {
        bytes: out.into(),
        is_utf8: body_is_utf8,
    }
}

/// The value of MESSAGE's `ack` header: unique in a session, equal across the sessions of a group.
fn ack_value(envelope: &Envelope, subscription: &str) -> String {
    format!("{};{subscription}", envelope.message_id_text())
}

/// Appends the group's head for a notification whose shared part is `rest`. `traceparent` is the session's own.
pub fn head_into(
    out: &mut Vec<u8>,
    envelope: &Envelope,
    key: &GroupKey,
    rest: &Rest,
    traceparent: Option<&str>,
) {
    let start = out.len();
    out.extend_from_slice(b"MESSAGE\n");
    if let Some(subscription) = &key.subscription {
        header_into(out, "subscription", subscription, key.version);
        // STOMP 1.1 acknowledges by message-id and subscription, 1.0 by message-id (rules A1, G2).
        if key.version == Version::V1_2 && key.ack != AckMode::Auto {
            header_into(out, "ack", &ack_value(envelope, subscription), key.version);
        }
    }
    if let Some(traceparent) = traceparent {
        header_into(out, "traceparent", traceparent, key.version);
    }
    // The WebSocket head contains the length, so it is made last and rotated to the front in place.
    let own_bytes = out.len() - start;
    websocket_head_into(out, rest.is_utf8, own_bytes + rest.bytes.len());
    if let Some(head) = out.get_mut(start..) {
        head.rotate_left(own_bytes);
    }
}

fn display_into(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{value}");
}

/// A whole STOMP frame (ERROR, RECEIPT, CONNECTED) as one WebSocket text message.
pub fn message_of(frame: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(10 + frame.len());
    websocket_head_into(&mut out, std::str::from_utf8(frame).is_ok(), frame.len());
    out.extend_from_slice(frame);
    out.into()
}

/// RECEIPT (STOMP rule R1) with further `headers`, as one WebSocket message.
pub fn receipt(receipt_id: &str, headers: &[(&str, &str)], version: Version) -> Bytes {
    message_of(&encode(&ServerFrame::Receipt { receipt_id, headers }, version))
}

/// A heart-beat: LF as a message of its own (STOMP rules B2, W4).
pub const HEARTBEAT: &[u8] = &[TEXT, 1, b'\n'];
/// A WebSocket ping without payload.
pub const PING: &[u8] = &[0x89, 0];

/// A Close frame with `code` and as much of `words` as fits.
pub fn close_frame(code: u16, words: &str) -> Bytes {
    let mut end = words.len().min(123);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    let mut out = BytesMut::with_capacity(4 + end);
    out.put_u8(0x88);
    out.put_u8(2 + end as u8);
    out.put_u16(code);
    out.put_slice(&words.as_bytes()[..end]);
    out.freeze()
}

/// The header of an ERROR that says when to come again.
pub(crate) const RETRY_AFTER_MS: &str = "retry-after-ms";
/// The header of an ERROR that tells apart what has one close code.
pub(crate) const HERALD_REASON: &str = "herald-reason";

/// The last frames of a session that a shard ends: ERROR and Close. A draining instance sends only Close, since
/// nothing is wrong; a peer that is gone is sent nothing. `words` give the reason, `retry_after_ms` when to come again.
pub fn last_words(
    reason: CloseReason,
    words: &str,
    retry_after_ms: Option<&str>,
    version: Version,
) -> Vec<Bytes> {
    let close = || close_frame(reason.code(), words);
    match reason {
        CloseReason::PeerGone => Vec::new(),
        CloseReason::Normal | CloseReason::Draining | CloseReason::Shed => vec![close()],
        _ => {
            let retry_after = retry_after_ms.map(|ms| (RETRY_AFTER_MS, ms));
            let herald_reason = reason.herald_reason().map(|reason| (HERALD_REASON, reason));
            let headers: Vec<(&str, &str)> = herald_reason.into_iter().chain(retry_after).collect();
            let error = ServerFrame::Error {
                message: words,
                receipt_id: None,
                headers: &headers,
                body: "",
            };
            vec![message_of(&encode(&error, version)), close()]
        }
    }
}

fn websocket_head_into(out: &mut Vec<u8>, is_text: bool, payload_bytes: usize) {
    out.push(if is_text { TEXT } else { BINARY });
    match payload_bytes {
        0..=125 => out.push(payload_bytes as u8),
        126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(payload_bytes as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
