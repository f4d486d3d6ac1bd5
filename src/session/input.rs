//! Everything that a client sends, as one stream: whole STOMP frames and the WebSocket events between them, read through
//! reader and decoder within the session's rates. Knows no state of the session.

use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};

use super::action::Refusal;
use super::rates::{Memories, Rates};
use crate::close_reason::CloseReason;
use crate::limit::Limit;
use crate::principal::UserName;
use crate::stomp::{Decoder, Fault, Frame, Limits, Version};
use crate::ws::reader::{Event, ReadError, Reader};

mod patience;

use patience::Patience;

/// A WebSocket frame below this that completes no STOMP frame, such as a heart-beat, counts as one that settles nothing.
/// Larger ones are pieces of a large frame, which its bytes bound.
const SMALL_BYTES: usize = 1_024;

/// One input.
#[derive(Debug)]
pub(crate) enum Input {
    /// A whole STOMP frame.
    Frame(Frame),
    /// A WebSocket ping, to be answered with the same bytes.
    Ping(Bytes),
    /// A WebSocket pong.
    Pong,
    /// An empty data frame.
    Empty,
    /// The client's Close frame.
    Close,
    /// The connection ended without one.
    Gone,
}

/// The client's side of a connection.
pub(crate) struct Inputs<'a> {
    reader: Reader<'a>,
    decoder: Decoder,
    payload: Bytes,
    rates: &'a Rates,
    memories: Memories,
    patience: Patience,
    /// Whether the last WebSocket frame was small and has completed no STOMP frame yet.
    fruitless: bool,
}

impl<'a> Inputs<'a> {
    /// Reads from `reader` with the decoder's bounds before login.
    pub(crate) fn new(reader: Reader<'a>, limits: Limits, rates: &'a Rates) -> Self {
        Self {
            reader,
            decoder: Decoder::new(limits),
            payload: Bytes::new(),
            rates,
            memories: Memories::default(),
            patience: Patience::default(),
            fruitless: false,
        }
    }

    /// Applies the rules after login: frames of `version`, other bounds, and what is unfinished counts as `user`'s.
    pub(crate) fn logged_in(&mut self, user: &UserName, version: Version, limits: Limits) {
        self.reader.belong_to(user);
        self.decoder.set_version(version);
        self.decoder.set_limits(limits);
        self.reader.set_max_message_bytes(limits.frame_bytes);
    }

    /// So many earlier frames have settled nothing.
    ///
    /// # Errors
    /// Beyond the rate of such frames, in answer to `frame`.
    pub(crate) fn idle(&mut self, frames: u32, frame: &Frame) -> Result<(), Refusal> {
        match frames {
            0 => Ok(()),
            _ => (self.rates.idle(&mut self.memories, frames))
                .map_err(|refusal| refusal.with_receipt(frame.headers.get("receipt"))),
        }
    }

    /// A renewal was asked for.
    ///
    /// # Errors
    /// Beyond the rate of renewals.
    pub(crate) fn renewal(&mut self) -> Result<(), Refusal> {
        self.rates.renewal(&mut self.memories)
    }

    /// Whether a CONNECT has come with all its headers and without its NUL.
    pub(crate) fn awaits_nul_of_connect(&self) -> bool {
        self.decoder
            .awaits_nul()
            .is_some_and(|command| command.is_connect())
    }

    /// The next input. `Err`: the client broke a rule or hit a limit, and the connection ends.
    ///
    /// Cancel-safe: all progress is in `self`.
    pub(crate) async fn next(&mut self) -> Result<Input, Refusal> {
        self.patience.reads_again();
        loop {
            if !self.payload.is_empty() {
                let mut rest: &[u8] = &self.payload;
                let decoded = self.decoder.decode(&mut rest);
                let taken = self.payload.len() - rest.len();
                self.payload.advance(taken);
                match decoded {
                    Ok(Some(frame)) => {
                        self.fruitless = false;
                        self.patience.frame_ended();
                        // What is behind it waits in memory while Herald acts on it.
                        if let Err(error) = self.reader.hold_beside(self.payload.len()) {
                            return Err(self.refusal_of(&error));
                        }
                        self.rates.frame(&mut self.memories, &frame)?;
                        return Ok(Input::Frame(frame));
                    }
                    Ok(None) if std::mem::take(&mut self.fruitless) => {
                        self.rates.idle(&mut self.memories, 1)?
                    }
                    Ok(None) => {}
                    Err(error) => {
                        let reason = match error.is_too_large() {
                            true => CloseReason::TooLarge,
                            false => CloseReason::Malformed,
                        };
                        let refusal = Refusal {
                            limit: limit_of(&error.fault),
                            ..Refusal::new(reason, error.to_string())
                        };
                        return Err(refusal.with_receipt(error.receipt.as_deref()));
                    }
                }
            }
            self.payload = Bytes::new();
            let half_read = self.decoder.partial().map_or(0, |partial| partial.held);
            if let Err(error) = self.reader.hold_beside(half_read) {
                return Err(self.refusal_of(&error));
            }
            let event = poll_fn(|cx| self.poll_event(cx)).await?;
            if let Some(input) = self.on_event(event)? {
                return Ok(input);
            }
        }
    }

    /// The same while the answer to a CONNECT is awaited: data that arrives meanwhile stays in the socket for
    /// [`next`](Self::next), and so does everything after it.
    ///
    /// Cancel-safe.
    pub(crate) async fn next_but_frames(&mut self) -> Result<Input, Refusal> {
        if self.payload.is_empty() {
            let event = self.reader.next_control().await;
            if let Some(input) = self.on_event(event)? {
                return Ok(input);
            }
        }
        std::future::pending().await
    }

    /// The next WebSocket event, unless an incomplete frame takes too long.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Result<Event, ReadError>, Refusal>> {
        if let Poll::Ready(event) = self.reader.poll_next(cx) {
            if !self.reader.is_within_message() {
                self.patience.message_ended();
            }
            return Poll::Ready(Ok(event));
        }
        let message = self.reader.unfinished_bytes();
        // The rest of it may lie in the reader.
        let rest = message.unwrap_or(0);
        let frame = self.decoder.partial().map(|partial| partial.received + rest);
        let (within, limit) = (self.rates.frame_timeout, Limit::FrameTimeout);
        self.patience.poll(cx, within.0, message, frame).map(|()| {
            let message = format!(
                "a frame was not complete within {within}, plus 1s for each 16KiB, of its first byte ({})",
                limit.name()
            );
            Err(Refusal::new(CloseReason::Limit, message).at(limit))
        })
    }

    /// Handles a WebSocket event. `None`: it was data, which is now in `payload`.
    fn on_event(&mut self, event: Result<Event, ReadError>) -> Result<Option<Input>, Refusal> {
        let input = match event {
            Ok(Event::Data(payload)) if payload.is_empty() => Input::Empty,
            Ok(Event::Data(payload)) => {
                self.fruitless = payload.len() < SMALL_BYTES;
                self.payload = payload.bytes;
                return Ok(None);
            }
            Ok(Event::Ping(payload)) => Input::Ping(payload),
            Ok(Event::Pong) => Input::Pong,
            Ok(Event::Close(_)) => return Ok(Some(Input::Close)),
            Ok(Event::Eof) => return Ok(Some(Input::Gone)),
            Err(error) if error.close_reason() == CloseReason::PeerGone => return Ok(Some(Input::Gone)),
            Err(error) => return Err(self.refusal_of(&error)),
        };
        self.rates.control_frame(&mut self.memories)?;
        Ok(Some(input))
    }

    fn refusal_of(&self, error: &ReadError) -> Refusal {
        let reason = error.close_reason();
        let limit = match reason {
            CloseReason::TooLarge if self.decoder.has_version() => Some(Limit::BodyBytes),
            CloseReason::TooLarge => Some(Limit::FrameBytesBeforeLogin),
            CloseReason::Overloaded => Some(Limit::IncomingTotalBytes),
            _ => None,
        };
        let message = match limit {
            Some(limit) => format!("{error} ({})", limit.name()),
            None => error.to_string(),
        };
        Refusal {
            limit,
            ..Refusal::new(reason, message)
        }
    }
}

/// The limit that a frame hit, if its fault is one.
fn limit_of(fault: &Fault) -> Option<Limit> {
    Some(match fault {
        Fault::TooManyHeaders(_) => Limit::Headers,
        Fault::HeaderTooLong { .. } => Limit::HeaderBytes,
        Fault::BodyTooLarge(_) | Fault::FrameTooLarge(_) => Limit::BodyBytes,
        Fault::FrameTooLargeBeforeLogin(_) => Limit::FrameBytesBeforeLogin,
        _ => return None,
    })
}
