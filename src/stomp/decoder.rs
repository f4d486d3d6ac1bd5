//! Bytes in, client frames out, however the bytes are cut (rule W3). All progress lives in the decoder, so the
//! caller's future may be dropped between two calls. Knows no socket, and of the session only its version.
//!
//! A frame that lies complete in the input is read in place; only a frame cut in two is copied. Every byte is looked
//! at once, however few arrive at a time. What exceeds a limit is refused before it is stored.

use std::{fmt, mem};

use super::error::{DecodeError, Fault};
use super::frame::{Command, Frame};
use super::header::{HeadRules, parse_head, receipt_in};
use super::version::Version;

mod body;
mod head;

use body::PartialBody;
use head::PartialHead;

/// The limits of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The whole frame with its NUL. Before login this is `limits.frame_bytes_before_login`.
    pub frame_bytes: usize,
    /// `limits.headers`: the number of headers, repeated ones included.
    pub headers: usize,
    /// `limits.header_bytes`: name plus value of each header, still escaped.
    pub header_bytes: usize,
    /// `limits.body_bytes`.
    pub body_bytes: usize,
}

impl Limits {
    /// The limits after login. A frame may be as large as its parts allow; no setting bounds the whole.
    pub fn after_login(headers: usize, header_bytes: usize, body_bytes: usize) -> Self {
        // Each header adds a colon and an end of line of up to two bytes; the head adds two more lines.
        let head_bytes = headers.saturating_mul(header_bytes.saturating_add(3));
        let rest_bytes = head::COMMAND_MAX_BYTES + 5;
        Self {
            frame_bytes: head_bytes.saturating_add(body_bytes).saturating_add(rest_bytes),
            headers,
            header_bytes,
            body_bytes,
        }
    }
}

/// The decoder's position in the stream.
#[derive(Default)]
enum State {
    /// Between two frames.
    #[default]
    Between,
    /// Between two frames, after a CR.
    BetweenAfterCr,
    /// Inside the command or the headers.
    Head(Box<PartialHead>),
    /// After the blank line.
    Body(Box<PartialBody>),
    /// After a fault.
    Ended,
}

/// What has arrived of a frame that is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partial {
    /// Its bytes so far.
    pub received: usize,
    /// The bytes that they take in memory.
    pub held: usize,
}

/// Decodes the frames of one client. An idle decoder holds no heap memory.
pub struct Decoder {
    limits: Limits,
    /// `None` before login.
    version: Option<Version>,
    state: State,
}

impl Decoder {
    /// A decoder for a client that has not logged in: headers are not unescaped, and LF or CR LF ends a line.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            version: None,
            state: State::Between,
        }
    }

    /// Applies the rules of `version` from the next frame on: its escapes, ends of line and trimming. Call it when
    /// CONNECTED is made, before decoding any byte after the CONNECT.
    pub fn set_version(&mut self, version: Version) {
        self.version = Some(version);
    }

    /// Whether a version was set: the client has logged in.
    pub fn has_version(&self) -> bool {
        self.version.is_some()
    }

    /// Applies `limits` from the next frame on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether nothing is half read: the next byte begins a frame or is a heart-beat.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Between)
    }

    /// What has arrived of the current frame. `None` between two frames, and after a fault.
    pub fn partial(&self) -> Option<Partial> {
        match &self.state {
            State::Head(head) => Some(head.partial()),
            State::Body(body) => Some(body.partial()),
            State::Between | State::BetweenAfterCr | State::Ended => None,
        }
    }

    /// The command of the frame of which nothing but the rest of its body and its NUL is missing.
    pub fn awaits_nul(&self) -> Option<Command> {
        match &self.state {
            State::Body(body) => Some(body.command()),
            _ => None,
        }
    }

    /// Takes bytes from `input` until one frame is complete and leaves what follows it. Returns `None` when all of
    /// `input` is consumed. Ends of line between frames are heart-beats and are skipped (F3; CR LF too, in every
    /// version); so are stray NULs.
    ///
    /// # Errors
    /// The rule that the bytes break. The connection cannot continue: any later byte returns [`Fault::AfterFault`].
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, DecodeError> {
        self.advance(input).map_err(|error| {
            self.state = State::Ended;
            DecodeError {
                fault: self.name_setting(error.fault),
                ..error
            }
        })
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, DecodeError> {
        match mem::take(&mut self.state) {
            State::Between => self.skip_to_frame(input, false),
            State::BetweenAfterCr => self.skip_to_frame(input, true),
            State::Head(head) => self.continue_head(*head, input),
            State::Body(body) => self.continue_body(*body, input),
            State::Ended if input.is_empty() => {
                self.state = State::Ended;
                Ok(None)
            }
            State::Ended => Err(without_receipt(Fault::AfterFault)),
        }
    }

    fn skip_to_frame(&mut self, input: &mut &[u8], mut after_cr: bool) -> Result<Option<Frame>, DecodeError> {
        while let Some((&byte, rest)) = input.split_first() {
            match byte {
                b'\n' => after_cr = false,
                _ if after_cr => return Err(without_receipt(Fault::LoneCarriageReturnBetweenFrames)),
                b'\r' => after_cr = true,
                0 => {}
                _ => return self.continue_head(PartialHead::default(), input),
            }
            *input = rest;
        }
        self.state = if after_cr {
            State::BetweenAfterCr
        } else {
            State::Between
        };
        Ok(None)
    }

    fn continue_head(
        &mut self,
        mut partial: PartialHead,
        input: &mut &[u8],
    ) -> Result<Option<Frame>, DecodeError> {
        let rules = HeadRules::of(self.version);
        let head = partial
            .take(input, &self.limits, rules.crlf)
            .map_err(|fault| DecodeError {
                fault,
                receipt: receipt_in(&partial.with(input), rules),
            })?;
        let Some(head) = head else {
            self.state = State::Head(Box::new(partial));
            return Ok(None);
        };
        let (command, headers) = parse_head(&head, rules).map_err(|fault| DecodeError {
            fault,
            receipt: receipt_in(&head, rules),
        })?;
        let is_1_0 = self.version == Some(Version::V1_0);
        let body = PartialBody::new(command, headers, head.len(), &self.limits, is_1_0)?;
        self.continue_body(body, input)
    }

    fn continue_body(
        &mut self,
        mut partial: PartialBody,
        input: &mut &[u8],
    ) -> Result<Option<Frame>, DecodeError> {
        match partial.take(input)? {
            Some(body) => Ok(Some(partial.into_frame(body))),
            None => {
                self.state = State::Body(Box::new(partial));
                Ok(None)
            }
        }
    }

    /// Before login, the size of a frame has its own setting.
    fn name_setting(&self, fault: Fault) -> Fault {
        match fault {
            Fault::FrameTooLarge(limit) if self.version.is_none() => Fault::FrameTooLargeBeforeLogin(limit),
            fault => fault,
        }
    }
}

/// Leaves out what is half read: it may be a secret or a body.
impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("limits", &self.limits)
            .field("version", &self.version)
            .field("is_idle", &self.is_idle())
            .finish_non_exhaustive()
    }
}

fn without_receipt(fault: Fault) -> DecodeError {
    DecodeError { fault, receipt: None }
}

#[cfg(test)]
mod tests;
