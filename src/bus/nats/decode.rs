//! Decodes stored messages into notifications; counts and logs those that cannot be decoded. Knows no consumer and no
//! direct get.

use std::sync::Arc;

use async_nats::{HeaderMap, StatusCode, Subject};
use bytes::Bytes;

use super::link::Link;
use crate::bus::Limits;
use crate::bus::headers::stream::stored_id;
use crate::bus::headers::{Undeliverable, decode_stored};
use crate::bus::subject::Subjects;
use crate::envelope::{Envelope, Position};
use crate::task::{self, Panicked};

/// Decodes the messages of streams. Cheap to clone.
#[derive(Clone)]
pub(super) struct Decoder {
    pub(super) subjects: Subjects,
    pub(super) limits: Limits,
    pub(super) link: Arc<Link>,
}

/// A notification, the reason why there is none, or a panic.
type Decoded = Result<Result<Envelope, Undeliverable>, Panicked>;

/// A message as it is stored.
pub(super) struct Raw {
    pub(super) subject: Subject,
    pub(super) headers: Option<HeaderMap>,
    pub(super) status: Option<StatusCode>,
    pub(super) payload: Bytes,
}

impl Raw {
    /// The id by which JetStream recognizes it.
    pub(super) fn id(&self) -> Option<&str> {
        stored_id(self.headers.as_ref()?)
    }

    /// Roughly the bytes that it takes in memory.
    pub(super) fn weight(&self) -> usize {
        let headers = self.headers.as_ref().map_or(0, HeaderMap::wire_len);
        crate::envelope::OVERHEAD_BYTES + self.subject.len() + self.payload.len() + headers
    }
}

impl Decoder {
    /// The notification stored at `position`, read for the first time. `None`: it cannot be delivered, which is counted and
    /// logged.
    pub(super) fn decode(&self, raw: Raw, position: Position) -> Option<Arc<Envelope>> {
        let (subject, decoded) = self.read(raw, position);
        match decoded {
            Ok(Ok(envelope)) => Some(Arc::new(envelope)),
            Ok(Err(kind)) => {
                self.link.undeliverable(kind, &subject);
                None
            }
            Err(_panic) => {
                self.link.poisoned(&subject);
                None
            }
        }
    }

    /// The same for a message that the live reader has read or will read, which counts it if it cannot be delivered.
    pub(super) fn decode_again(&self, raw: Raw, position: Position) -> Option<Arc<Envelope>> {
        let (_, decoded) = self.read(raw, position);
        decoded.ok()?.ok().map(Arc::new)
    }

    /// The subject, and what the message says.
    fn read(&self, raw: Raw, position: Position) -> (Subject, Decoded) {
        let Raw {
            subject,
            headers,
            status,
            payload,
        } = raw;
        let decoded = task::caught_now(|| {
            #[cfg(test)]
            task::faults::trip(&payload);
            if status == Some(StatusCode::MALFORMED) {
                return Err(Undeliverable::Malformed);
            }
            let target = self
                .subjects
                .parse(&subject)
                .map_err(|_| Undeliverable::Subject)?;
            decode_stored(target, headers.as_ref(), payload, &self.limits, position)
        });
        (subject, decoded)
    }
}
