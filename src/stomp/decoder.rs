//! Bytes in, client frames out, however the bytes are cut (rule W3). All progress lives in the decoder, so whoever feeds it
//! may be dropped between two calls. Knows no socket, and no session but its version.
//!
//! A frame that lies whole in the input is read from there; only one that does not is copied. Every byte is looked at
//! once, however few come at a time. What a limit forbids is refused before it is kept.

use std::{fmt, mem};

use super::error::{DecodeError, Fault};
use super::frame::Frame;
use super::header::{HeadRules, parse_head, receipt_in};
use super::version::Version;

mod body;
mod head;

use body::PartialBody;
use head::PartialHead;

/// How large one frame may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The whole frame with its NUL; before login `limits.frame_bytes_before_login`.
    pub frame_bytes: usize,
    /// `limits.headers`: how many; repeated ones count.
    pub headers: usize,
    /// `limits.header_bytes`: name plus value of each, as they come (escaped).
    pub header_bytes: usize,
    /// `limits.body_bytes`.
    pub body_bytes: usize,
}

impl Limits {
    /// The limits after login: a frame may be as large as its parts allow, no setting bounds the whole.
    pub fn after_login(headers: usize, header_bytes: usize, body_bytes: usize) -> Self {
        // A header has a colon and an end of line of up to two bytes, a head two more lines.
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

/// Where in the stream the next byte stands.
#[derive(Default)]
enum State {
    /// Between two frames.
    #[default]
    Between,
    /// Between two frames, behind a CR.
    BetweenAfterCr,
    /// Inside command and headers.
    Head(Box<PartialHead>),
    /// Behind the blank line.
    Body(Box<PartialBody>),
    /// Behind a fault.
    Ended,
}

/// Reads one client's frames. Idle it holds no heap memory.
pub struct Decoder {
    limits: Limits,
    /// None before login.
    version: Option<Version>,
    state: State,
}

impl Decoder {
    /// A decoder for a client that has not logged in: headers are taken as they stand, LF and CR LF end a line.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            version: None,
            state: State::Between,
        }
    }

    /// From the next frame on the rules of `version` hold: its escapes, its ends of line, its trimming. To be called when
    /// CONNECTED is made, before any byte behind the CONNECT is decoded.
    pub fn set_version(&mut self, version: Version) {
        self.version = Some(version);
    }

    /// From the next frame on `limits` hold.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether nothing is half read: the next byte begins a frame or is a heart-beat.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Between)
    }

    /// Takes bytes from `input` until one frame is whole; what follows it stays in `input`. `None`: all of `input` is used
    /// up. Ends of line between frames are heart-beats and skipped (F3; CR LF too, in every version), and so are stray NULs.
    ///
    /// # Errors
    /// The rule that the bytes break. The connection cannot go on: any later byte is [`Fault::AfterFault`].
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

    /// Before login a frame's size has a setting of its own.
    fn name_setting(&self, fault: Fault) -> Fault {
        match fault {
            Fault::FrameTooLarge(limit) if self.version.is_none() => Fault::FrameTooLargeBeforeLogin(limit),
            fault => fault,
        }
    }
}

/// Without what is half read: it may be a secret or a body.
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
