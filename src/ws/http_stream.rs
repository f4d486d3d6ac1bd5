//! A TCP connection during HTTP. Hyper reads and writes through [`HttpStream`], which records in [`Pace`] when the first
//! byte of a request arrived, when its response was written, and since when the client has accepted no bytes. Does not know
//! the content of a request. For a WebSocket, the socket is taken out.

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
    /// `http.header_timeout`: from accept, or from the first byte of a later request, to a complete request head.
    pub header: Duration,
    /// `http.idle_timeout`: from a response to the first byte of the next request.
    pub idle: Duration,
    /// `http.write_timeout`: how long the client may accept no byte of a response.
    pub write: Duration,
}

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    /// The request head is late: [`Times::header`].
    Header,
    /// The next request is late: [`Times::idle`].
    Idle,
    /// The client accepts no bytes: [`Times::write`].
    Write,
    /// Not late: there are too many waiting connections, or an active one needs its place.
    Evicted(Limit),
}

/// The state of a connection, used to close it when it is late. Only the connection's own task takes the lock.
#[derive(Debug)]
pub(crate) struct Pace {
    times: Times,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    ahead: Ahead,
    /// The number of requests answered.
    answers: u64,
    /// Since when the client has accepted no bytes.
    stalled: Option<Instant>,
    /// Received bytes that TLS holds and hyper has not seen.
    held_bytes: usize,
    /// Whether hyper refused a request head.
    refused: bool,
    /// Whether to reset the socket when it is dropped.
    reset: bool,
    /// The socket of a refused request head, after hyper has dropped it.
    returned: Option<Wire>,
    /// The same for a client that has its response and is still sending.
    answered_early: Option<Wire>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Waiting for a request head, until this time.
    Head(Instant),
    /// Reading or answering a request. Its body has a separate time limit.
    InHand,
    /// The response is complete, but not written yet. `more` says whether further bytes have arrived.
    Answering { more: bool },
    /// Between requests, until this time.
    Idle(Instant),
}

/// A request in progress, from its head to the end of its response. The response's body owns it.
#[derive(Debug)]
pub(crate) struct Exchange(Arc<Pace>);

impl Pace {
    /// The state of a connection accepted at `accepted_at`.
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

    /// Records a complete request head of at least `head_bytes`, followed by a body of `body_bytes` (`None` if its length is
    /// unknown).
    pub(crate) fn begin(self: &Arc<Self>, head_bytes: usize, body_bytes: Option<u64>) -> Exchange {
        let mut state = self.state.lock();
        state.phase = Phase::InHand;
        state.ahead.begin(head_bytes, body_bytes);
        drop(state);
        Exchange(Arc::clone(self))
    }

    /// The rank of the connection among those that wait for their client.
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

    /// Keeps the socket when hyper drops it, so that Herald can send its own response.
    pub(crate) fn refuse(&self) {
        self.state.lock().refused = true;
    }

    /// When the connection will be late, and why. `None` during a request whose response the client accepts.
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

    /// Whether the client does not accept what has to be written.
    pub(crate) fn is_stalled(&self) -> bool {
        self.state.lock().stalled.is_some()
    }

    /// Resets the socket when hyper drops it, so that the kernel frees what the client never accepted.
    pub(crate) fn reset(&self) {
        self.state.lock().reset = true;
    }

    /// The socket, after hyper refused a request head and dropped it. The client has received no response.
    pub(crate) fn take_refused(&self) -> Option<Wire> {
        self.state.lock().returned.take()
    }

    /// The socket, if a request was answered before its whole body had arrived and hyper dropped the connection. If it were
    /// closed at once, the rest of the body would make the kernel destroy the response.
    pub(crate) fn take_answered_early(&self) -> Option<Wire> {
        self.state.lock().answered_early.take()
    }

    fn has_read(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        state.ahead.read(bytes.len());
        // A line end between requests does not start one (RFC 9112 section 2.2).
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

    /// Whether hyper is about to write its bare refusal of a request head: nothing else is written while there is no
    /// request. The client gets a response with a body instead.
    fn is_refusal(&self) -> bool {
        let mut state = self.state.lock();
        state.refused |= matches!(state.phase, Phase::Head(_) | Phase::Idle(_));
        state.refused
    }

    /// Records the result of a write. If the client has accepted nothing for too long, `push` is the last attempt: the kernel
    /// only reports a socket as writable when a third of its buffer is free, which a slow reader may never reach.
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

/// The socket that hyper uses. Records events in its [`Pace`].
#[derive(Debug)]
pub(crate) struct HttpStream {
    /// `None` only while it is dropped.
    socket: Option<Wire>,
    pace: Arc<Pace>,
}

impl HttpStream {
    /// `socket`, watched by `pace`.
    pub(crate) fn new(socket: Wire, pace: Arc<Pace>) -> Self {
        let socket = Some(socket);
        Self { socket, pace }
    }

    /// Returns the socket.
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
        // This limits how long the kernel keeps unsent bytes. It is not set earlier, because it would also count the time
        // of a slow reader without room for a whole packet. If this fails, the kernel uses its own limit.
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
