//! A TCP connection while it speaks HTTP: hyper reads and writes through [`HttpStream`], from which [`Pace`] learns when a
//! request's first byte came, when its answer was written, and since when the peer takes nothing. Knows no request's
//! content. A WebSocket takes the socket out.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::newcomers::Standing;
use super::wire::Wire;
use crate::limit::Limit;

mod ahead;

use ahead::Ahead;

/// How long an HTTP connection may take.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// `http.header_timeout`: from accept, or from a later request's first byte, to a complete request head.
    pub header: Duration,
    /// `http.idle_timeout`: from an answer to the first byte of the next request.
    pub idle: Duration,
    /// `http.write_timeout`: for which the peer may take no byte of what it is sent.
    pub write: Duration,
}

/// Why a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    /// A request head: [`Times::header`].
    Header,
    /// The next request: [`Times::idle`].
    Idle,
    /// The peer, in taking what it is sent: [`Times::write`].
    Write,
    /// Not late, but one of too many that wait, or in the place of one that has more to do.
    Evicted(Limit),
}

/// Where a connection stands, for whoever ends it when it is late. Only the connection's own task takes the lock.
#[derive(Debug)]
pub(crate) struct Pace {
    times: Times,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    ahead: Ahead,
    /// How many requests were answered.
    answers: u64,
    /// Since when the peer takes nothing.
    stalled: Option<Instant>,
    /// What TLS holds of what came, which hyper has not seen.
    held_bytes: usize,
    /// Whether hyper refused a request head.
    refused: bool,
    /// Whether the socket is to be reset when it is dropped.
    reset: bool,
    /// The socket of a refused head, which hyper has let go.
    returned: Option<Wire>,
    /// The same where the client has its answer and still sends.
    answered_early: Option<Wire>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// A request head is awaited, by this time.
    Head(Instant),
    /// A request is being read or answered. Its body has a time limit of its own.
    InHand,
    /// The answer is complete, but not yet written. Whether more has come meanwhile.
    Answering { more: bool },
    /// Between requests, until this time.
    Idle(Instant),
}

/// A request in hand, from its head to the end of its answer, whose body holds it.
#[derive(Debug)]
pub(crate) struct Exchange(Arc<Pace>);

impl Pace {
    /// That of a connection accepted at `accepted_at`.
    pub(crate) fn new(times: Times, accepted_at: Instant) -> Arc<Self> {
        let phase = Phase::Head(accepted_at + times.header);
        let state = Mutex::new(State {
            phase,
            ahead: Ahead::default(),
            answers: 0,
            stalled: None,
            held_bytes: 0,
            refused: false,
            reset: false,
            returned: None,
            answered_early: None,
        });
        Arc::new(Self { times, state })
    }

    /// Notes a complete request head of at least `head_bytes`, which a body of `body_bytes` follows; `None`: one of
    /// unknown length.
    pub(crate) fn begin(self: &Arc<Self>, head_bytes: usize, body_bytes: Option<u64>) -> Exchange {
        let mut state = self.state.lock();
        state.phase = Phase::InHand;
        state.ahead.begin(head_bytes, body_bytes);
        drop(state);
        Exchange(Arc::clone(self))
    }

    /// How the connection stands among those that wait for their client.
    pub(crate) fn standing(&self) -> Standing {
        let state = self.state.lock();
        match state.phase {
            Phase::Head(_) | Phase::Idle(_) => Standing {
                waits: state.answers == 0,
                head_bytes: state.ahead.bytes().saturating_add(state.held_bytes),
                idle: true,
                answers: state.answers,
            },
            Phase::InHand | Phase::Answering { .. } => Standing::default(),
        }
    }

    /// Keeps the socket when hyper lets it go, for an answer that is not hyper's.
    pub(crate) fn refuse(&self) {
        self.state.lock().refused = true;
    }

    /// When the connection will be late, and in what. `None` while a request is in hand whose answer the peer takes.
    pub(crate) fn deadline(&self) -> Option<(Instant, Late)> {
        let state = self.state.lock();
        let reading = match state.phase {
            Phase::Head(until) => Some((until, Late::Header)),
            Phase::Idle(until) => Some((until, Late::Idle)),
            Phase::InHand | Phase::Answering { .. } => None,
        };
        let writing = state.stalled.map(|since| (since + self.times.write, Late::Write));
        reading.into_iter().chain(writing).min_by_key(|(at, _)| *at)
    }

    /// Whether the peer does not take what is to be written.
    pub(crate) fn is_stalled(&self) -> bool {
        self.state.lock().stalled.is_some()
    }

    /// Has the socket reset when hyper lets it go, so that the kernel frees what the peer never took.
    pub(crate) fn reset(&self) {
        self.state.lock().reset = true;
    }

    /// The socket, after a request head was refused and hyper let it go. Its peer has had no answer.
    pub(crate) fn take_refused(&self) -> Option<Wire> {
        self.state.lock().returned.take()
    }

    /// The socket, where a request was answered before all of its body had come and hyper let the connection go. If it were
    /// closed at once, what is still to come would make the kernel destroy the answer.
    pub(crate) fn take_answered_early(&self) -> Option<Wire> {
        self.state.lock().answered_early.take()
    }

    fn has_read(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        state.ahead.read(bytes.len());
        // A line end between requests begins none (RFC 9112 section 2.2).
        if bytes.iter().all(|byte| b"\r\n".contains(byte)) {
            return;
        }
        match state.phase {
            Phase::Idle(_) => state.phase = Phase::Head(Instant::now() + self.times.header),
            Phase::Answering { .. } => state.phase = Phase::Answering { more: true },
            Phase::Head(_) | Phase::InHand => {}
        }
    }

    fn has_flushed(&self) {
        let mut state = self.state.lock();
        if let Phase::Answering { more } = state.phase {
            let now = Instant::now();
            state.phase = match more {
                true => Phase::Head(now + self.times.header),
                false => Phase::Idle(now + self.times.idle),
            };
        }
    }

    /// Whether what is about to be written is hyper's bare refusal of a head: nobody else writes while no request is in
    /// hand. It is kept from the peer, who gets an answer with a body instead.
    fn is_refusal(&self) -> bool {
        let mut state = self.state.lock();
        state.refused |= matches!(state.phase, Phase::Head(_) | Phase::Idle(_));
        state.refused
    }

    /// What became of a write. Where the peer has taken nothing for too long, `push` is the last attempt: the kernel
    /// reports a socket writable only when a third of its buffer is free, which a slow reader may not achieve.
    fn has_written(
        &self,
        written: Poll<io::Result<usize>>,
        push: impl FnOnce() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock();
        if let Poll::Ready(written) = written {
            if written.is_ok() {
                state.stalled = None;
            }
            return Poll::Ready(written);
        }
        let now = Instant::now();
        let since = *state.stalled.get_or_insert(now);
        if now >= since + self.times.write
            && let Ok(pushed @ 1..) = push()
        {
            state.stalled = None;
            return Poll::Ready(Ok(pushed));
        }
        Poll::Pending
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.phase = Phase::Answering { more: false };
        state.answers += 1;
        state.ahead.end();
    }
}

/// The socket that hyper has. Notes in its [`Pace`] what happens.
#[derive(Debug)]
pub(crate) struct HttpStream {
    /// `None` only in the course of dropping.
    socket: Option<Wire>,
    pace: Arc<Pace>,
}

impl HttpStream {
    /// `socket`, watched by `pace`.
    pub(crate) fn new(socket: Wire, pace: Arc<Pace>) -> Self {
        let socket = Some(socket);
        Self { socket, pace }
    }

    /// The socket alone.
    pub(crate) fn into_socket(mut self) -> Option<Wire> {
        self.socket.take()
    }

    fn socket(&mut self) -> io::Result<(Pin<&mut Wire>, &Pace)> {
        let socket = self.socket.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        Ok((Pin::new(socket), &self.pace))
    }
}

impl Drop for HttpStream {
    fn drop(&mut self) {
        let Some(socket) = self.socket.take() else { return };
        let mut state = self.pace.state.lock();
        if state.refused {
            state.returned = Some(socket);
            return;
        }
        // The kernel keeps what it holds for no longer than that either. Not set earlier: it counts the time of a slow
        // reader as well, who has no room for a whole packet. If these fail, the kernel has its own patience.
        let options = socket.options();
        let _ = match state.reset {
            true => options.set_linger(Some(Duration::ZERO)),
            false => options.set_tcp_user_timeout(Some(self.pace.times.write)),
        };
        if state.answers > 0 && state.ahead.is_owed() && !state.reset {
            state.answered_early = Some(socket);
        }
    }
}

impl AsyncRead for HttpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (mut socket, pace) = self.get_mut().socket()?;
        let before = buffer.filled().len();
        let read = socket.as_mut().poll_read(cx, buffer);
        pace.has_read(buffer.filled().get(before..).unwrap_or_default());
        if let Some(held) = socket.held_bytes() {
            pace.state.lock().held_bytes = held;
        }
        read
    }
}

/// Waits until TLS has sent what it holds; without TLS nothing is held. A peer that takes nothing is noted here, as it is where
/// a write finds no room.
fn poll_sent(mut socket: Pin<&mut Wire>, pace: &Pace, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    let before = socket.unsent_bytes();
    let flushed = socket.as_mut().poll_flush(cx);
    if before > 0 && socket.unsent_bytes() < before {
        pace.state.lock().stalled = None;
    }
    if flushed.is_ready() {
        return flushed;
    }
    if pace.has_written(Poll::Pending, || socket.push(&[])).is_ready() {
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}

impl AsyncWrite for HttpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let (mut socket, pace) = self.get_mut().socket()?;
        if pace.is_refusal() {
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(poll_sent(socket.as_mut(), pace, cx))?;
        let written = socket.as_mut().poll_write(cx, bytes);
        pace.has_written(written, || socket.push(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let (mut socket, pace) = self.get_mut().socket()?;
        if pace.is_refusal() {
            return Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()));
        }
        ready!(poll_sent(socket.as_mut(), pace, cx))?;
        let written = socket.as_mut().poll_write_vectored(cx, parts);
        let first = parts.iter().find(|part| !part.is_empty());
        pace.has_written(written, || socket.push(first.map_or(&[][..], |part| &part[..])))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (socket, pace) = self.get_mut().socket()?;
        let flushed = poll_sent(socket, pace, cx);
        if flushed.is_ready() {
            pace.has_flushed();
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (socket, pace) = self.get_mut().socket()?;
        let refused = pace.state.lock().refused;
        if refused {
            // Its peer has not had the answer yet.
            return Poll::Ready(Ok(()));
        }
        socket.poll_shutdown(cx)
    }
}
