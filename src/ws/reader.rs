//! Turns a client's bytes into events. Knows the socket, but not what the messages mean.
//!
//! **Parked while idle.** fastwebsockets' read half holds 8 KiB for its whole life, so a reader without a partly read
//! frame has none. It waits for readability, reads into a buffer that all readers of the thread share, and builds the read
//! half for one complete frame; it releases both before it awaits anything. An incomplete frame waits in `pending`, which
//! grows as bytes arrive, not to the length that the header declares.

use std::cell::RefCell;
use std::future::poll_fn;
use std::hash::Hash;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::io::unix::AsyncFd;
use tokio::task::coop::consume_budget;

use super::guard::{Guard, only_pongs};
use super::socket::{Got, Socket};
use super::utf8::Checker;
use crate::limit::Share;
use crate::tls::session::PLAIN_MIN_BYTES;

mod error;
mod frames;

pub use error::ReadError;
use frames::Frames;

/// The most bytes that one `read` takes. There is one buffer per thread, whatever the number of connections.
const SCRATCH_BYTES: usize = 64 << 10;

thread_local! {
    /// Borrowed only within one poll, never across an await.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into());
}

/// What a client did.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A data frame: a whole message or a fragment, in order. The opcode and the frame boundaries have no
    /// meaning for STOMP (STOMP rule W3).
    Data(Payload),
    /// A ping. Answer it with [`super::close::pong_frame`] and the same bytes, at most 125.
    Ping(Bytes),
    /// An answer to a ping, or an unsolicited pong.
    Pong,
    /// The client's Close, with its code if it has one. Nothing follows.
    Close(Option<u16>),
    /// The client shut down its sending side between two frames. Nothing follows.
    Eof,
}

/// The unmasked payload of one data frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Payload {
    /// The bytes.
    pub bytes: Bytes,
    /// Whether the message is text. Its UTF-8 has been checked up to here.
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

/// The reading side of one connection: less than 150 bytes, and nothing else while parked.
pub struct Reader<'a> {
    socket: &'a AsyncFd<Socket>,
    /// Bytes that were read but not used yet: less than one frame while [`Reader::next`] waits.
    pending: BytesMut,
    /// Whether frames taken from the front of `pending` have left unused room in its buffer.
    has_taken: bool,
    frames: Frames,
    activity: &'a (dyn Fn() + Sync),
    /// Limits what is held: `pending`, and what the caller holds in addition.
    share: Share,
    beside_bytes: u32,
    ended: bool,
}

impl<'a> Reader<'a> {
    /// Reads `leftover`, the bytes that came with the handshake, then from `socket`. A message may have
    /// `max_message_bytes` in all its fragments together. Calls `activity` whenever bytes arrive, even in the middle of
    /// a frame, unless they are only pongs.
    pub fn new(
        socket: &'a AsyncFd<Socket>,
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
            share: Share::default(),
            beside_bytes: 0,
            ended: false,
        }
    }

    /// Limits this reader to `share` of the memory for incomplete frames.
    pub(crate) fn within(mut self, share: Share) -> Self {
        self.share = share;
        self
    }

    /// From now on, counts what is held for `owner`.
    pub(crate) fn belong_to(&mut self, owner: &impl Hash) {
        self.share.belong_to(owner);
    }

    /// Counts `bytes` that the caller holds of what it received; this replaces the previous number.
    ///
    /// # Errors
    /// [`ReadError::NoRoom`]
    pub(crate) fn hold_beside(&mut self, bytes: usize) -> Result<(), ReadError> {
        // Callers hold at most a few MiB each.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if bytes != self.beside_bytes {
            self.beside_bytes = bytes;
            self.hold(0)?;
        }
        Ok(())
    }

    /// Whether a message has started and not ended, counting complete frames only.
    pub(crate) fn is_within_message(&self) -> bool {
        self.frames.guard.unfinished_bytes().is_some()
    }

    /// The bytes that have arrived of an incomplete message or control frame. `None` between messages.
    pub(crate) fn unfinished_bytes(&self) -> Option<usize> {
        match self.frames.guard.unfinished_bytes() {
            Some(bytes) => Some(bytes.saturating_add(self.pending.len())),
            None if self.pending.is_empty() => None,
            None => Some(self.pending.len()),
        }
    }

    /// Changes the limit of a message, from the next frame on.
    pub fn set_max_message_bytes(&mut self, max_message_bytes: usize) {
        self.frames.guard.set_max_message_bytes(max_message_bytes);
    }

    /// Waits for the next event. After a Close, an EOF or an error it returns [`Event::Eof`] forever.
    ///
    /// # Cancel safety
    /// Cancel-safe: all progress is in `self`, so a dropped future loses nothing.
    ///
    /// # Errors
    /// [`ReadError`]: the client's mistake, or that the connection is lost.
    pub async fn next(&mut self) -> Result<Event, ReadError> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Returns the next control event; stays pending while data is next. The data stays where it is, so it takes
    /// no memory, and the limits that apply are those in force when [`next`](Self::next) reaches it. With TLS, the result of
    /// one read is kept, because its content is only known after decryption.
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
    async fn control_is_ahead(&mut self) -> Result<bool, ReadError> {
        const CONTROL: u8 = 0x08;
        loop {
            if let Some(first) = self.pending.first() {
                return Ok(first & CONTROL != 0);
            }
            let socket = self.socket;
            let mut ready = socket.readable().await?;
            match ready.try_io(|socket| look(socket.get_ref())) {
                Ok(Ok(Ahead::End)) => return Ok(true),
                Ok(Ok(Ahead::First(first))) => return Ok(first & CONTROL != 0),
                Ok(Ok(Ahead::Read(bytes))) => {
                    self.note_activity(&bytes);
                    self.keep(&bytes)?;
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error.into()),
                Err(_would_block) => {}
            }
        }
    }

    /// [`next`](Self::next) as a poll.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, ReadError>> {
        if self.ended {
            return Poll::Ready(Ok(Event::Eof));
        }
        // A client that always has a frame ready must not monopolize the thread.
        ready!(pin!(consume_budget()).poll_unpin(cx));
        let outcome = ready!(self.poll_event(cx));
        if matches!(outcome, Ok(Event::Close(_) | Event::Eof) | Err(_)) {
            self.ended = true;
            self.pending = BytesMut::new();
            let _less = self.hold(0);
        }
        Poll::Ready(outcome)
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, ReadError>> {
        // First, frames from an earlier read.
        if let Some((event, used)) = self.frames.take(&self.pending)? {
            self.drop_pending(used);
            return Poll::Ready(Ok(event));
        }
        self.shrink_pending();
        loop {
            // Readiness is sticky: `try_io` clears it when the kernel has nothing; otherwise every reader would wake up once
            // more in vain.
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            let read = SCRATCH.with_borrow_mut(|scratch| {
                let read = ready.try_io(|socket| socket.get_ref().read(scratch));
                // If a read did not fill the buffer, the kernel's buffer is empty (epoll(7), "Questions and answers",
                // 9). This saves the second system call for a heart-beat. A close by the client stays known, whatever
                // is cleared.
                if matches!(read, Ok(Ok(Got { drained: true, .. }))) {
                    ready.clear_ready();
                }
                match read {
                    Ok(Ok(Got { bytes, .. })) => self.on_read(scratch.get(..bytes).unwrap_or_default()),
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

    /// Processes the bytes of one `read`. Returns the first event if a frame is complete, and keeps the rest.
    fn on_read(&mut self, bytes: &[u8]) -> Result<Option<Event>, ReadError> {
        if bytes.is_empty() {
            return match self.pending.is_empty() {
                true => Ok(Some(Event::Eof)),
                false => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            };
        }
        if !self.pending.is_empty() {
            self.keep(bytes)?;
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
        self.keep(bytes.get(used..).unwrap_or_default())?;
        Ok(event)
    }

    /// Keeps the start of an incomplete frame, if there is room for it.
    fn keep(&mut self, bytes: &[u8]) -> Result<(), ReadError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.hold(bytes.len())?;
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// Counts what is held once `more` bytes are pending. A buffer that grows takes twice what it had.
    fn hold(&mut self, more: usize) -> Result<(), ReadError> {
        let (needed, capacity) = (self.pending.len() + more, self.pending.capacity());
        let pending = match needed > capacity {
            true => needed.max(capacity.saturating_mul(2)),
            false => capacity,
        };
        match self
            .share
            .hold(pending.saturating_add(self.beside_bytes as usize))
        {
            true => Ok(()),
            false => Err(ReadError::NoRoom),
        }
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
            // Less is never refused.
            let _less = self.hold(0);
        }
    }

    /// Called before a wait: the rest of a frame must not keep the buffer of the many frames that came with it, which
    /// may be larger than any frame before login.
    fn shrink_pending(&mut self) {
        if std::mem::take(&mut self.has_taken) && !self.pending.is_empty() {
            self.pending = BytesMut::from(&self.pending[..]);
            let _less = self.hold(0);
        }
    }
}

/// What is ahead on a socket.
enum Ahead {
    End,
    /// This byte, which stays where it is.
    First(u8),
    /// These bytes, which had to be read.
    Read(Bytes),
}

fn look(socket: &Socket) -> io::Result<Ahead> {
    if let Socket::Plain(socket) = socket {
        let mut first = [0];
        return Ok(match socket.0.peek(&mut first)? {
            0 => Ahead::End,
            _ => Ahead::First(first[0]),
        });
    }
    SCRATCH.with_borrow_mut(|scratch| {
        let got = socket.read(scratch.get_mut(..PLAIN_MIN_BYTES).unwrap_or_default())?;
        Ok(match scratch.get(..got.bytes).unwrap_or_default() {
            [] => Ahead::End,
            bytes => Ahead::Read(Bytes::copy_from_slice(bytes)),
        })
    })
}

#[cfg(test)]
mod tests;
