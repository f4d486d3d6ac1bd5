//! A client's bytes as events. Knows the socket, and not what the messages mean.
//!
//! **Parked while idle.** fastwebsockets' read half holds 8 KiB for as long as it lives, so a reader with nothing
//! half-read has none: it waits for readability, reads into a buffer that its thread shares, and builds the read half
//! for one complete frame; both are gone before anything is awaited. An incomplete frame waits in `pending`, which
//! grows as bytes arrive, not as the head claims.

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

/// The most that one `read` takes. There is one buffer per thread, whatever the number of connections.
const SCRATCH_BYTES: usize = 64 << 10;

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

/// The reading side of one connection: less than 150 bytes, and no more while parked.
pub struct Reader<'a> {
    socket: &'a AsyncFd<Socket>,
    /// Read but not yet taken: less than one frame while [`Reader::next`] waits.
    pending: BytesMut,
    /// Whether the buffer of `pending` still holds room that frames taken from its front have freed.
    has_taken: bool,
    frames: Frames,
    activity: &'a (dyn Fn() + Sync),
    /// Bounds what is held: `pending`, and what the caller holds beside it.
    share: Share,
    beside_bytes: u32,
    ended: bool,
}

impl<'a> Reader<'a> {
    /// Reads from `socket`, after `leftover`, the bytes that came with the handshake. A message may have
    /// `max_message_bytes` over all its fragments. `activity` is called whenever bytes arrive, also in the middle of
    /// a frame, unless they are nothing but pongs.
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

    /// The same, within `share` of what incomplete frames may take in memory.
    pub(crate) fn within(mut self, share: Share) -> Self {
        self.share = share;
        self
    }

    /// Counts what is held as `owner`'s from now on.
    pub(crate) fn belong_to(&mut self, owner: &impl Hash) {
        self.share.belong_to(owner);
    }

    /// Counts `bytes` that the caller holds of what it was given, instead of what it said before.
    ///
    /// # Errors
    /// [`ReadError::NoRoom`]
    pub(crate) fn hold_beside(&mut self, bytes: usize) -> Result<(), ReadError> {
        // Of no more than a few MiB each.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if bytes != self.beside_bytes {
            self.beside_bytes = bytes;
            self.hold(0)?;
        }
        Ok(())
    }

    /// Whether a message has begun and not ended, as far as its frames are complete.
    pub(crate) fn is_within_message(&self) -> bool {
        self.frames.guard.unfinished_bytes().is_some()
    }

    /// The bytes that have arrived of a message or control frame that is not complete. `None` between two.
    pub(crate) fn unfinished_bytes(&self) -> Option<usize> {
        match self.frames.guard.unfinished_bytes() {
            Some(bytes) => Some(bytes.saturating_add(self.pending.len())),
            None if self.pending.is_empty() => None,
            None => Some(self.pending.len()),
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
    /// no memory and is judged by the limits in force when [`next`](Self::next) reaches it. With TLS, what one read brings
    /// is kept: nobody can look into it otherwise.
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
        // A client that always has a frame ready must not keep the thread to itself.
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
                let read = ready.try_io(|socket| socket.get_ref().read(scratch));
                // A read that did not fill the buffer has emptied the kernel's (epoll(7), "Questions and answers",
                // 9), which saves a heart-beat its second system call. That the peer has closed stays known, whatever
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

    /// Takes the bytes of one `read`. Returns the first event if a frame is complete, and keeps what follows.
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
