//! A frame's body and the NUL that follows it, collected within the limits. Knows the parsed head that announced it.

use bytes::Bytes;
use memchr::memchr;

use super::{Limits, Partial};
use crate::stomp::error::{DecodeError, Fault};
use crate::stomp::frame::{Command, Frame};
use crate::stomp::header::Headers;
use crate::stomp::version::Version;

/// A frame whose head is complete and whose body may not be.
pub(super) struct PartialBody {
    command: Command,
    headers: Headers,
    /// The bytes of command and headers.
    head_bytes: usize,
    /// `content-length`. With `None` the first NUL ends the body (F10).
    length: Option<usize>,
    /// The most bytes that the body may have.
    max: usize,
    /// The fault of a body that is larger.
    over: Fault,
    /// Whether the body is skipped.
    ignored: bool,
    /// Whether it may hold nothing but ends of line.
    blank: bool,
    /// How many of its bytes came in earlier calls.
    received: usize,
    /// Those bytes, unless the body is skipped.
    kept: Vec<u8>,
}

impl PartialBody {
    /// The body of a frame whose head takes `head_bytes`. Refuses at once a `content-length` that is invalid or too
    /// large. `is_1_0` says that the session is of 1.0, where the body of a SUBSCRIBE is ignored (F5). So are blank lines
    /// behind a CONNECT that asks for 1.0.
    pub(super) fn new(
        command: Command,
        headers: Headers,
        head_bytes: usize,
        limits: &Limits,
        is_1_0: bool,
    ) -> Result<Self, DecodeError> {
        let frame_room = limits.frame_bytes.checked_sub(head_bytes.saturating_add(1));
        let over_frame = Fault::FrameTooLarge(limits.frame_bytes);
        let blank =
            command.is_connect() && Version::negotiate(headers.get("accept-version")) == Some(Version::V1_0);
        let ignored = blank || is_1_0 && command == Command::Subscribe;
        let may_have_body = ignored || command == Command::Send;
        let (max, over) = match frame_room {
            Some(_) if !may_have_body => (0, Fault::BodyNotAllowed(command)),
            Some(room) if room < limits.body_bytes => (room, over_frame.clone()),
            _ => (limits.body_bytes, Fault::BodyTooLarge(limits.body_bytes)),
        };
        let mut partial = Self {
            command,
            headers,
            head_bytes,
            length: None,
            max,
            over,
            ignored,
            blank,
            received: 0,
            kept: Vec::new(),
        };
        if frame_room.is_none() {
            return Err(partial.fault(over_frame));
        }
        partial.length = match partial.headers.content_length() {
            Ok(Some(length)) if length > max => return Err(partial.fault(partial.over.clone())),
            Ok(length) => length,
            Err(fault) => return Err(partial.fault(fault)),
        };
        Ok(partial)
    }

    /// Takes bytes from `input` up to and including the NUL and returns the body, or `None` when `input` is consumed.
    pub(super) fn take(&mut self, input: &mut &[u8]) -> Result<Option<Bytes>, DecodeError> {
        let missing = match self.length {
            Some(length) => length - self.received,
            None => memchr(0, self.within_max(input)).unwrap_or(input.len()),
        };
        let Some((chunk, behind)) = input.split_at_checked(missing) else {
            self.check_blank(input)?;
            self.keep(input);
            *input = &[];
            return Ok(None);
        };
        let room = self.max - self.received;
        // In this order, so that the fault does not depend on how the bytes are cut.
        self.check_blank(chunk.get(..room).unwrap_or(chunk))?;
        if chunk.len() > room {
            return Err(self.fault(self.over.clone()));
        }
        match behind.split_first() {
            Some((0, behind)) => {
                *input = behind;
                Ok(Some(self.finish(chunk)))
            }
            Some(_) => Err(self.fault(Fault::NoNul(self.received + chunk.len()))),
            None => {
                self.keep(chunk);
                *input = &[];
                Ok(None)
            }
        }
    }

    /// What has arrived of the frame.
    pub(super) fn partial(&self) -> Partial {
        Partial {
            received: self.head_bytes.saturating_add(self.received),
            held: self.head_bytes.saturating_add(self.kept.capacity()),
        }
    }

    /// The frame's command.
    pub(super) fn command(&self) -> Command {
        self.command
    }

    /// The complete frame.
    pub(super) fn into_frame(self, body: Bytes) -> Frame {
        Frame {
            command: self.command,
            headers: self.headers,
            body,
        }
    }

    /// The part of `input` that may be the body or the NUL after it.
    fn within_max<'a>(&self, input: &'a [u8]) -> &'a [u8] {
        let room = (self.max - self.received).saturating_add(1);
        input.get(..room).unwrap_or(input)
    }

    fn check_blank(&self, chunk: &[u8]) -> Result<(), DecodeError> {
        match self.blank && !chunk.iter().all(|byte| matches!(byte, b'\n' | b'\r')) {
            true => Err(self.fault(Fault::BodyNotAllowed(self.command))),
            false => Ok(()),
        }
    }

    fn keep(&mut self, chunk: &[u8]) {
        self.received += chunk.len();
        if self.ignored || chunk.is_empty() {
            return;
        }
        let needed = self.kept.len() + chunk.len();
        if let Some(length) = self.length
            && needed > self.kept.capacity()
        {
            // Grows as bytes arrive, not as they are announced, and never beyond the needed length.
            let target = needed.max(self.kept.capacity().saturating_mul(2)).min(length);
            self.kept.reserve_exact(target.saturating_sub(self.kept.len()));
        }
        self.kept.extend_from_slice(chunk);
    }

    fn finish(&mut self, last: &[u8]) -> Bytes {
        if self.ignored {
            return Bytes::new();
        }
        if self.kept.is_empty() {
            return Bytes::copy_from_slice(last);
        }
        self.keep(last);
        // Without spare capacity: a body may wait in a transaction, which counts its length.
        Bytes::from(std::mem::take(&mut self.kept).into_boxed_slice())
    }

    #[cfg(test)]
    pub(super) fn kept_capacity(&self) -> usize {
        self.kept.capacity()
    }

    fn fault(&self, fault: Fault) -> DecodeError {
        let receipt = match self.command.is_connect() {
            true => None,
            false => self.headers.get("receipt").map(Into::into),
        };
        DecodeError { fault, receipt }
    }
}
