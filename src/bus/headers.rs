//! Everything but the body, as NATS headers, and back (docs/nats.md). The only file that writes NATS headers. Knows no
//! connection and no subject.
//!
//! A header that NATS carries exactly travels unchanged: a name of ASCII graphic characters without `:`, a value
//! without CR or LF and without white space at its ends (UTF-8 inside is carried byte for byte). All others travel in
//! `Herald-Headers`, a JSON object.
//!
//! Decoding tolerates errors that need not keep a notification from its readers, since anyone may be the publisher:
//!
//! | A header that is wrong | Then |
//! |---|---|
//! | `Herald-Id` missing or illegal | a fresh id |
//! | `Herald-Timestamp` missing, not a number or more than a minute ahead | now |
//! | `Herald-Expires` not a number | never stale |
//! | `Herald-Collapse` over 128 bytes | no collapsing |
//! | `Content-Type` illegal | none |
//! | `traceparent` malformed | no trace, as the W3C asks |
//! | `Herald-Decided` missing or malformed | no instance has decided to record it |
//! | `Herald-Headers` not a JSON object of strings, too many or too long headers | the notification is undeliverable |

use std::fmt::Write;

use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::bus::{AppReply, AppRequest, Limits};
use crate::destination::Target;
use crate::envelope::{
    self, Arrival, CollapseKey, Envelope, Headers, Mark, MessageId, Position, PublisherKind, TraceContext,
};

mod extra;
pub(in crate::bus) mod stream;

const CONTENT_TYPE: &str = "Content-Type";
const ID: &str = "Herald-Id";
const TIMESTAMP: &str = "Herald-Timestamp";
const EXPIRES: &str = "Herald-Expires";
const COLLAPSE: &str = "Herald-Collapse";
/// Beside a collapse key: `client` if the key is one of a client's SEND. Written by instances alone; what else publishes
/// here is a backend. Versions that do not know it keep one kind of keys.
const PUBLISHER: &str = "Herald-Publisher";
const CLIENT: &str = "client";
const DECIDED: &str = "Herald-Decided";
const EXTRA: &str = "Herald-Headers";
const USER: &str = "Herald-User";
const SESSION: &str = "Herald-Session";
const INSTANCE: &str = "Herald-Instance";
const ERROR: &str = "Herald-Error";
const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// How many header names beyond `limits.headers` are examined before a message is refused: Herald's and NATS's own.
const OWN_NAMES: usize = 32;
/// For how many bytes and lines of headers there is room at first; most messages have fewer.
const USUAL_BYTES: usize = 256;
const USUAL_LINES: usize = 12;
/// How far ahead a `Herald-Timestamp` may be.
const AHEAD_MAX_MS: u64 = 60_000;
/// The longest `Herald-Error` that is passed on.
const ERROR_MAX_BYTES: usize = 1_024;

/// Why a message cannot be delivered; also the label of its count and log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undeliverable {
    /// Not a subject that Herald would have written.
    Subject,
    /// The body exceeds `limits.body_bytes`.
    Body,
    /// The headers exceed `limits.headers` or `limits.header_bytes`, or are not valid.
    Headers,
    /// A subject or a header block that the client library cannot read: not UTF-8, or not of NATS's form.
    Malformed,
}

impl Undeliverable {
    /// The word for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Body => "body over limits.body_bytes",
            Self::Headers => "headers",
            Self::Malformed => "malformed subject or header block",
        }
    }
}

/// The headers of a notification.
pub fn encode_envelope(envelope: &Envelope) -> HeaderMap {
    of_envelope(envelope).finish()
}

/// The same, and that the message is for `stream` alone, and that it is the one with the id `id`, however often it comes.
/// `id` is of ASCII graphic characters.
pub(super) fn encode_stored(envelope: &Envelope, stream: &str, id: &str) -> HeaderMap {
    let mut out = of_envelope(envelope);
    stream::for_stream(&mut out, stream, id);
    out.finish()
}

fn of_envelope(envelope: &Envelope) -> Writer {
    let mut out = Writer::default();
    out.plain(ID, envelope.id.as_str());
    out.number(TIMESTAMP, envelope.timestamp_ms);
    if let Some(at) = envelope.expires_at_ms {
        out.number(EXPIRES, at);
    }
    if let Some(key) = &envelope.collapse {
        out.plain(COLLAPSE, key.as_str());
        if key.publisher() == PublisherKind::Client {
            out.plain(PUBLISHER, CLIENT);
        }
    }
    if let Some(mark) = envelope.trace.mark.filter(|_| envelope.trace.is_sampled()) {
        out.plain(DECIDED, &mark.to_string());
    }
    out.common(
        envelope.content_type.as_deref(),
        &envelope.trace,
        &envelope.headers,
    );
    out
}

/// The notification of a message. Its subject has been read already.
pub fn decode_envelope(
    target: Target,
    headers: Option<&HeaderMap>,
    body: Bytes,
    limits: &Limits,
) -> Result<Envelope, Undeliverable> {
    decode(target, headers, body, limits).map(|(envelope, _)| envelope)
}

/// The notification, and whether its publisher gave it its id.
fn decode(
    target: Target,
    headers: Option<&HeaderMap>,
    body: Bytes,
    limits: &Limits,
) -> Result<(Envelope, bool), Undeliverable> {
    if body.len() > limits.body_bytes.0 {
        return Err(Undeliverable::Body);
    }
    let Some(headers) = headers else {
        return Ok((Envelope::new(target, body), false));
    };
    let headers = Reader::new(headers, limits)?;
    let id = headers.get(ID).and_then(MessageId::parse);
    let is_named = id.is_some();
    let number = |name| headers.get(name).and_then(|text| text.parse::<u64>().ok());
    let envelope = Envelope {
        arrival: Arrival::now(),
        id: id.unwrap_or_else(MessageId::random),
        target,
        position: None,
        local: None,
        content_type: headers.content_type(),
        headers: headers.publishers_own(limits)?,
        body,
        trace: TraceContext {
            // An instance of Herald says when it accepted a notification, and it has then decided.
            decided: number(TIMESTAMP).is_some(),
            mark: headers.get(DECIDED).and_then(Mark::parse),
            ..headers.trace()
        },
        timestamp_ms: timestamp(number(TIMESTAMP), envelope::unix_ms()),
        expires_at_ms: number(EXPIRES),
        collapse: headers
            .get(COLLAPSE)
            .and_then(|text| CollapseKey::parse(text, headers.publisher())),
    };
    Ok((envelope, is_named))
}

/// The notification of a message that is stored at `position`. One whose publisher gave it no id is called by its position,
/// so that it has the same id at every instance.
pub fn decode_stored(
    target: Target,
    headers: Option<&HeaderMap>,
    body: Bytes,
    limits: &Limits,
    position: Position,
) -> Result<Envelope, Undeliverable> {
    let (mut envelope, is_named) = decode(target, headers, body, limits)?;
    envelope.position = Some(position);
    if !is_named {
        envelope.id = envelope.message_id();
    }
    Ok(envelope)
}

/// When a notification was accepted, as `told` by its publisher, in milliseconds since 1970. A time that is far ahead
/// would stay the newest for ever, so it becomes `now`; a minute is what clocks of a cluster may differ by.
fn timestamp(told: Option<u64>, now: u64) -> u64 {
    told.filter(|told| *told <= now.saturating_add(AHEAD_MAX_MS))
        .unwrap_or(now)
}

/// The headers of an application request. `Herald-User`, `Herald-Session` and `Herald-Instance` are plain text in which `%`,
/// control and non-ASCII characters and blanks at the ends are written `%XX`: for most names, the name itself.
pub fn encode_request(request: &AppRequest) -> HeaderMap {
    let mut out = Writer::default();
    out.plain(USER, &escape(request.user.as_str()));
    out.plain(SESSION, &escape(&request.session));
    out.plain(INSTANCE, &escape(&request.instance));
    out.common(request.content_type.as_deref(), &request.trace, &request.headers);
    out.finish()
}

/// A backend's answer. An answer that exceeds the limits becomes one with an error that says so.
pub fn decode_reply(message: Message, limits: &Limits) -> AppReply {
    let refused = |why: String| AppReply {
        body: Bytes::new(),
        content_type: None,
        headers: Headers::default(),
        error: Some(why.into()),
        trace: TraceContext::default(),
    };
    if message.payload.len() > limits.body_bytes.0 {
        return refused(format!(
            "the reply has {} bytes, at most {} are allowed (limits.body_bytes)",
            message.payload.len(),
            limits.body_bytes.0
        ));
    }
    let mut reply = AppReply {
        body: message.payload,
        content_type: None,
        headers: Headers::default(),
        error: None,
        trace: TraceContext::default(),
    };
    let Some(map) = &message.headers else {
        return reply;
    };
    let own = Reader::new(map, limits).and_then(|reader| Ok((reader.publishers_own(limits)?, reader)));
    let Ok((headers, reader)) = own else {
        return refused("the reply's headers are illegal, too many or too long (limits.headers)".into());
    };
    reply.headers = headers;
    reply.content_type = reader.content_type();
    reply.trace = reader.trace();
    reply.error = reader
        .get(ERROR)
        .map(|text| &text[..text.floor_char_boundary(ERROR_MAX_BYTES)])
        .map(Into::into);
    reply
}

/// Whether NATS can hold this header.
fn is_legal(name: &str, value: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_graphic() && b != b':')
        && !value.bytes().any(|b| matches!(b, b'\r' | b'\n'))
}

/// Whether NATS hands this value to a reader exactly as given. The client trims Unicode white space.
fn is_carried(value: &str) -> bool {
    value.trim() == value
}

/// The ASCII bytes that [`escape`] writes as `%XX` wherever they stand; what is not ASCII is always escaped.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// `text` as the value of a header that NATS carries exactly. A blank needs an escape only at the ends.
fn escape(text: &str) -> String {
    let (first, text) = text.strip_prefix(' ').map_or(("", text), |rest| ("%20", rest));
    let (last, text) = text.strip_suffix(' ').map_or(("", text), |rest| ("%20", rest));
    format!("{first}{}{last}", utf8_percent_encode(text, ESCAPED))
}

/// One header of Herald's own text. `None` if NATS cannot hold it.
pub(super) fn single(name: &str, value: &str) -> Option<HeaderMap> {
    let mut writer = Writer::default();
    writer.plain(name, value).then(|| writer.finish())
}

/// Headers as the lines that they are on the wire: one piece of memory, which an attempt to send it again shares.
struct Writer(String);

impl Default for Writer {
    fn default() -> Self {
        Self(String::with_capacity(USUAL_BYTES))
    }
}

impl Writer {
    /// Sets a header, which is not set yet. Returns `false` if NATS cannot hold it.
    fn plain(&mut self, name: &str, value: &str) -> bool {
        let is_legal = is_legal(name, value);
        if is_legal {
            for part in [name, ": ", value, "\r\n"] {
                self.0.push_str(part);
            }
        }
        is_legal
    }

    fn number(&mut self, name: &str, value: u64) {
        // A text in memory takes all of it.
        let _ = write!(self.0, "{name}: {value}\r\n");
    }

    fn common(&mut self, content_type: Option<&str>, trace: &TraceContext, headers: &Headers) {
        if let Some(content_type) = content_type {
            self.plain(CONTENT_TYPE, content_type.trim());
        }
        if let Some(traceparent) = &trace.traceparent {
            self.plain(TRACEPARENT, traceparent);
        }
        if let Some(tracestate) = &trace.tracestate {
            self.plain(TRACESTATE, tracestate);
        }
        let mut rest = Vec::new();
        for (name, value) in headers.iter() {
            if !(is_carried(value) && self.plain(name, value)) {
                rest.push((name, value));
            }
        }
        if !rest.is_empty() {
            self.plain(EXTRA, &extra::encode(&rest));
        }
    }

    fn finish(mut self) -> HeaderMap {
        self.0.push_str("\r\n");
        // Each line is one that NATS can hold.
        HeaderMap::from_lines(self.0).unwrap_or_default()
    }
}

/// A message's headers in one order, whatever the order in which they came: by name, with the first value of each.
struct Reader<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Reader<'a> {
    fn new(map: &'a HeaderMap, limits: &Limits) -> Result<Self, Undeliverable> {
        let mut sorted = Vec::with_capacity(USUAL_LINES);
        sorted.extend(map.iter_lines());
        // Stable: of those of one name, the first stays the first.
        sorted.sort_by_key(|(name, _)| *name);
        sorted.dedup_by_key(|(name, _)| *name);
        if sorted.len() > limits.headers.count.saturating_add(OWN_NAMES) {
            return Err(Undeliverable::Headers);
        }
        Ok(Self(sorted))
    }

    /// The value of `name` as Herald spells it, else in any case (the first in byte order).
    fn get(&self, name: &str) -> Option<&'a str> {
        let exact = self.0.iter().find(|(held, _)| *held == name);
        let any = || self.0.iter().find(|(held, _)| held.eq_ignore_ascii_case(name));
        exact.or_else(any).map(|(_, value)| *value)
    }

    fn publisher(&self) -> PublisherKind {
        match self.get(PUBLISHER) {
            Some(CLIENT) => PublisherKind::Client,
            _ => PublisherKind::Backend,
        }
    }

    fn content_type(&self) -> Option<Box<str>> {
        self.get(CONTENT_TYPE)
            .filter(|text| envelope::is_content_type(text))
            .map(Into::into)
    }

    fn trace(&self) -> TraceContext {
        TraceContext::from_lookup(|name| self.get(name))
    }

    /// Filtered and bounded. If a name is both beside and in `Herald-Headers`, the value beside it counts.
    fn publishers_own(&self, limits: &Limits) -> Result<Headers, Undeliverable> {
        let extra = match self.get(EXTRA) {
            Some(text) => extra::decode(text, limits.headers).ok_or(Undeliverable::Headers)?,
            None => Vec::new(),
        };
        let extra = extra.iter().map(|(name, value)| (&**name, &**value));
        Headers::from_publisher(self.0.iter().copied().chain(extra), limits.headers)
            .map_err(|_| Undeliverable::Headers)
    }
}

#[cfg(test)]
mod tests;
