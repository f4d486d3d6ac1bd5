//! A client's bytes as events. Knows the socket, and not what the messages mean.
//!
//! **Parked while idle.** fastwebsockets' read half holds 8 KiB for as long as it lives, so a reader with nothing
//! half-read has none: it waits for readability, reads into a buffer that its thread shares, and builds the read half
//! for one complete frame; both are gone before anything is awaited. An incomplete frame waits in `pending`, which
//! grows as bytes arrive, not as the head claims.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::io::{self, Read};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use fastwebsockets::{Role, WebSocketError};
use futures_util::FutureExt;
use tokio::io::unix::AsyncFd;
use tokio::task::coop::consume_budget;

use super::close::may_be_sent;
use super::guard::{Guard, Head, MASK_BYTES, Opcode, only_pongs};
use super::utf8::Checker;
use super::writer::PlainSocket;

mod error;

pub use error::ReadError;

/// The most that one `read` takes. There is one buffer per thread, whatever the number of connections.
const SCRATCH_BYTES: usize = 64 << 10;

/// Payloads up to this size are copied out of the read half's buffer, which would otherwise live as long as they do.
const COPIED_MAX_BYTES: usize = 4 << 10;

thread_local! {
    /// Borrowed only within one poll, never across an await.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into());
}

/// What a client did.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A data frame: a whole message or a fragment, in order. For STOMP the opcode and the frames' boundaries have no
    /// meaning (STOMP rule W3).
    Data(Payload),
    /// A ping. Answer it by [`super::close::pong_frame`] with the same bytes, at most 125.
    Ping(Bytes),
    /// An answer to a ping, or an unsolicited pong.
    Pong,
    /// The peer's Close, with its code if it has one. Nothing follows.
    Close(Option<u16>),
    /// The peer shut down its sending side between two frames. Nothing follows.
    Eof,
}

/// The unmasked payload of one data frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Payload {
    /// The bytes.
    pub bytes: Bytes,
    /// Whether the message is text. Its UTF-8 is checked up to here.
    pub text: bool,
    /// Whether the message ends here.
    pub last: bool,
}

impl std::ops::Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The reading side of one connection: about 100 bytes, and no more while parked.
pub struct Reader<'a> {
    socket: &'a AsyncFd<Arc<PlainSocket>>,
    /// Read but not yet taken: less than one frame while [`Reader::next`] waits.
    pending: BytesMut,
    /// Whether the buffer of `pending` still holds room that frames taken from its front have freed.
    has_taken: bool,
    frames: Frames,
    activity: &'a (dyn Fn() + Sync),
    ended: bool,
}

impl<'a> Reader<'a> {
    /// Reads from `socket`, after `leftover`, the bytes that came with the handshake. A message may have
    /// `max_message_bytes` over all its fragments. `activity` is called whenever bytes arrive, also in the middle of
    /// a frame, unless they are nothing but pongs.
    pub fn new(
        socket: &'a AsyncFd<Arc<PlainSocket>>,
        leftover: Bytes,
        max_message_bytes: usize,
        activity: &'a (dyn Fn() + Sync),
    ) -> Self {
        Self {
            socket,
            pending: BytesMut::from(leftover),
            has_taken: false,
            frames: Frames {
                guard: Guard::new(max_message_bytes),
                utf8: Checker::default(),
            },
            activity,
            ended: false,
        }
    }

    /// Sets another bound of a message, from the next frame on.
    pub fn set_max_message_bytes(&mut self, max_message_bytes: usize) {
        self.frames.guard.set_max_message_bytes(max_message_bytes);
    }

    /// Waits for the next event. After a Close, an EOF or an error it returns [`Event::Eof`] forever.
    ///
    /// # Cancel safety
    /// Cancel-safe: all progress is in `self`, so a dropped future loses nothing.
    ///
    /// # Errors
    /// [`ReadError`]: what the peer did wrong, or that it is gone.
    pub async fn next(&mut self) -> Result<Event, ReadError> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Returns the next control event; stays pending while data is next. The data stays where it is, so that it takes
    /// no memory and is judged by the limits in force when [`next`](Self::next) reaches it.
    ///
    /// # Cancel safety
    /// Cancel-safe, like [`next`](Self::next).
    ///
    /// # Errors
    /// The same as those of [`next`](Self::next).
    pub async fn next_control(&mut self) -> Result<Event, ReadError> {
        if !self.ended && !self.control_is_ahead().await? {
            std::future::pending::<()>().await;
        }
        self.next().await
    }

    /// Waits for the first byte of a frame without taking it. The end of the stream counts as control.
    async fn control_is_ahead(&self) -> io::Result<bool> {
        const CONTROL: u8 = 0x08;
        if let Some(first) = self.pending.first() {
            return Ok(first & CONTROL != 0);
        }
        loop {
            let mut ready = self.socket.readable().await?;
            let mut first = [0];
            match ready.try_io(|socket| socket.get_ref().0.peek(&mut first)) {
                Ok(Ok(length)) => return Ok(length == 0 || first[0] & CONTROL != 0),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, ReadError>> {
        if self.ended {
            return Poll::Ready(Ok(Event::Eof));
        }
        // A client that always has a frame ready must not keep the thread to itself.
        ready!(pin!(consume_budget()).poll_unpin(cx));
        let outcome = ready!(self.poll_event(cx));
        if matches!(outcome, Ok(Event::Close(_) | Event::Eof) | Err(_)) {
            self.ended = true;
            self.pending = BytesMut::new();
        }
        Poll::Ready(outcome)
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, ReadError>> {
        // First the frames that came with an earlier read.
        if let Some((event, used)) = self.frames.take(&self.pending)? {
            self.drop_pending(used);
            return Poll::Ready(Ok(event));
        }
        self.shrink_pending();
        loop {
            // Readiness is sticky: `try_io` clears it when the kernel has nothing, or every reader would wake once
            // more in vain.
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            let read = SCRATCH.with_borrow_mut(|scratch| {
                let read = ready.try_io(|socket| (&socket.get_ref().0).read(scratch));
                // A read that did not fill the buffer has emptied the kernel's (epoll(7), "Questions and answers",
                // 9), which saves a heart-beat its second system call. That the peer has closed stays known, whatever
                // is cleared.
                if matches!(read, Ok(Ok(read)) if read < scratch.len()) {
                    ready.clear_ready();
                }
                match read {
                    Ok(Ok(read)) => self.on_read(scratch.get(..read).unwrap_or_default()),
                    Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
                    Ok(Err(error)) => Err(error.into()),
                    Err(_would_block) => Ok(None),
                }
            });
            if let Some(event) = read? {
                return Poll::Ready(Ok(event));
            }
        }
    }

    /// Takes the bytes of one `read`. Returns the first event if a frame is complete, and keeps what follows.
    fn on_read(&mut self, bytes: &[u8]) -> Result<Option<Event>, ReadError> {
        if bytes.is_empty() {
            return match self.pending.is_empty() {
                true => Ok(Some(Event::Eof)),
                false => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            };
        }
        if !self.pending.is_empty() {
            self.pending.extend_from_slice(bytes);
            self.note_activity(&self.pending);
            let taken = self.frames.take(&self.pending)?;
            return Ok(taken.map(|(event, used)| {
                self.drop_pending(used);
                event
            }));
        }
        // The usual case: the frame is decoded where the kernel put it.
        self.note_activity(bytes);
        let (event, used) = match self.frames.take(bytes)? {
            Some((event, used)) => (Some(event), used),
            None => (None, 0),
        };
        self.pending
            .extend_from_slice(bytes.get(used..).unwrap_or_default());
        Ok(event)
    }

    fn note_activity(&self, from_frame: &[u8]) {
        if !only_pongs(from_frame) {
            (self.activity)();
        }
    }

    fn drop_pending(&mut self, used: usize) {
        let _frame = self.pending.split_to(used);
        self.has_taken = true;
        if self.pending.is_empty() {
            // Even an empty view would keep the buffer.
            self.pending = BytesMut::new();
        }
    }

    /// Called before a wait: the rest of a frame must not keep the buffer of the many frames that came with it, which
    /// may be larger than any frame before login.
    fn shrink_pending(&mut self) {
        if std::mem::take(&mut self.has_taken) && !self.pending.is_empty() {
            self.pending = BytesMut::from(&self.pending[..]);
        }
    }
}

/// Turns the bytes of complete frames into events: the state between two frames.
struct Frames {
    guard: Guard,
    utf8: Checker,
}

impl Frames {
    /// The event of the frame that `bytes` begins with, and that frame's length. `None` if it is incomplete.
    fn take(&mut self, bytes: &[u8]) -> Result<Option<(Event, usize)>, ReadError> {
        let Some(head) = self.guard.inspect(bytes)? else {
            return Ok(None);
        };
        let Some(frame) = bytes.get(..head.frame_bytes()) else {
            return Ok(None);
        };
        let text = self.guard.advance(&head);
        let payload = payload_of(frame, &head)?;
        let event = match head.opcode {
            Opcode::Ping => Event::Ping(payload),
            Opcode::Pong => Event::Pong,
            Opcode::Close => Event::Close(close_code(&payload)?),
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                // fastwebsockets has already checked a text message of one frame.
                if text && !(head.opcode == Opcode::Text && head.fin) {
                    self.utf8.check(&payload, head.fin)?;
                }
                Event::Data(Payload {
                    bytes: payload,
                    text,
                    last: head.fin,
                })
            }
        };
        Ok(Some((event, frame.len())))
    }
}

/// The payload of a frame that is a single end of line: what an idle client sends (STOMP rule B2). Building a read
/// half with its 8 KiB would be too much for it.
fn heart_beat(frame: &[u8], head: &Head) -> Option<Bytes> {
    let masked = frame.get(head.head_bytes.checked_sub(MASK_BYTES)?..)?;
    let [key, _, _, _, byte] = masked.first_chunk()?;
    (head.payload_bytes == 1 && key ^ byte == b'\n').then_some(Bytes::from_static(b"\n"))
}

/// Lets fastwebsockets parse and unmask exactly one complete frame, so that it neither waits nor leaves anything in
/// the read half. Pongs and closes are answered here.
fn payload_of(frame: &[u8], head: &Head) -> Result<Bytes, ReadError> {
    if let Some(end_of_line) = heart_beat(frame, head) {
        return Ok(end_of_line);
    }
    let (mut read_half, _) = fastwebsockets::after_handshake_split(frame, tokio::io::sink(), Role::Server);
    read_half.set_auto_pong(false);
    read_half.set_auto_close(false);
    // fastwebsockets refuses sizes equal to its maximum.
    read_half.set_max_message_size(head.payload_bytes.saturating_add(1));
    let frame = read_half
        .read_frame(&mut |_| ready(Ok::<_, Infallible>(())))
        .now_or_never()
        .unwrap_or(Err(WebSocketError::UnexpectedEOF))?;
    Ok(match frame.payload {
        fastwebsockets::Payload::Bytes(bytes) if bytes.len() > COPIED_MAX_BYTES => bytes.freeze(),
        payload => Bytes::copy_from_slice(&payload),
    })
}

/// RFC 6455 section 5.5.1: nothing, or a code and a reason in UTF-8.
fn close_code(payload: &[u8]) -> Result<Option<u16>, ReadError> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload.is_empty() {
            true => Ok(None),
            false => Err(ReadError::CloseTooShort),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !may_be_sent(code) {
        return Err(ReadError::CloseCode(code));
    }
    match std::str::from_utf8(reason) {
        Ok(_) => Ok(Some(code)),
        Err(_) => Err(ReadError::NotUtf8),
    }
}

#[cfg(test)]
mod tests;
