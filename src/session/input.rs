//! One stream of what a client sends: whole STOMP frames and the WebSocket events between them, over reader and
//! decoder. Knows no state of the session.

use bytes::{Buf, Bytes};

use super::action::Refusal;
use crate::close_reason::CloseReason;
use crate::stomp::{Decoder, Frame, Limits, Version};
use crate::ws::reader::{Event, Reader};

/// What came.
#[derive(Debug)]
pub enum Input {
    /// A whole STOMP frame.
    Frame(Frame),
    /// A WebSocket ping, to be answered with the same bytes.
    Ping(Bytes),
    /// A WebSocket pong.
    Pong,
    /// The client's Close frame.
    Close,
    /// The connection is gone without one.
    Gone,
}

/// The client's side of a connection.
pub struct Inputs<'a> {
    reader: Reader<'a>,
    decoder: Decoder,
    payload: Bytes,
    /// The settings that bound a WebSocket message now.
    message_limits: &'static str,
}

impl<'a> Inputs<'a> {
    /// Reads from `reader` with the decoder's bounds before login.
    pub fn new(reader: Reader<'a>, limits: Limits) -> Self {
        Self {
            reader,
            decoder: Decoder::new(limits),
            payload: Bytes::new(),
            message_limits: "limits.frame_bytes_before_login",
        }
    }

    /// After login: frames of `version`, other bounds.
    pub fn logged_in(&mut self, version: Version, limits: Limits) {
        self.decoder.set_version(version);
        self.decoder.set_limits(limits);
        self.reader.set_max_message_bytes(limits.frame_bytes);
        self.message_limits = "limits.body_bytes, limits.headers, limits.header_bytes";
    }

    /// The next input.
    ///
    /// Cancel safety: safe, all progress is in `self`.
    pub async fn next(&mut self) -> Result<Input, Refusal> {
        loop {
            if !self.payload.is_empty() {
                let mut rest: &[u8] = &self.payload;
                let decoded = self.decoder.decode(&mut rest);
                let taken = self.payload.len() - rest.len();
                self.payload.advance(taken);
                match decoded {
                    Ok(Some(frame)) => return Ok(Input::Frame(frame)),
                    Ok(None) => {}
                    Err(error) => {
                        let reason = match error.is_too_large() {
                            true => CloseReason::TooLarge,
                            false => CloseReason::Malformed,
                        };
                        return Err(
                            Refusal::new(reason, error.to_string()).with_receipt(error.receipt.as_deref())
                        );
                    }
                }
            }
            self.payload = Bytes::new();
            match self.reader.next().await {
                Ok(Event::Data(payload)) => self.payload = payload.bytes,
                Ok(Event::Ping(payload)) => return Ok(Input::Ping(payload)),
                Ok(Event::Pong) => return Ok(Input::Pong),
                Ok(Event::Close(_)) => return Ok(Input::Close),
                Ok(Event::Eof) => return Ok(Input::Gone),
                Err(error) => match error.close_reason() {
                    CloseReason::PeerGone => return Ok(Input::Gone),
                    reason @ CloseReason::TooLarge => {
                        let message = format!("{error} ({})", self.message_limits);
                        return Err(Refusal::new(reason, message));
                    }
                    reason => return Err(Refusal::new(reason, error.to_string())),
                },
            }
        }
    }
}
