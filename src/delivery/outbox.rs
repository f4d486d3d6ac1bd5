//! The queue of frames that wait for one session. Usually empty: a shard writes directly to the socket, and only the bytes
//! that the kernel did not accept come here. Knows no shard, no runtime and no WebSocket; frames are bytes.
//!
//! **One writer at a time.** Before login, the session's task writes. After login, the shard writes, until the kernel does
//! not accept a whole write: then the rest and all later frames go into the queue, the shard marks the session blocked,
//! and the task writes. When the task finds the queue empty under the lock, it returns the socket: [`Next::Drained`]
//! becomes a command in the shard's mailbox, and the shard checks again under the lock before it writes. A
//! frame stays at the front of the queue until the socket has accepted its last byte, so "empty" means "nothing half-written".
//! A socket that encrypts accepts bytes before the kernel does; while some of those are left, the session stays blocked.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;

pub use super::outgoing::Outgoing;

use super::acks::Acks;
use super::heartbeat::Liveness;
use super::ledger::Ledger;
use super::sent::Sent;
use crate::close_reason::CloseReason;
use crate::limit::Limit;

use queue::Queue;

mod bound;
mod queue;
mod written;

pub use written::Written;

/// The most chunks passed to the kernel in one call. The rest wait for the next call.
pub const CHUNKS_PER_CALL: usize = 64;

/// The only way from `delivery/` to a socket. Implemented by `ws/writer`.
pub trait TryWrite: Send + Sync + 'static {
    /// Writes as much of `chunks`, in order, as the kernel accepts at once. Never blocks, never raises a signal.
    /// Returns how much was accepted, or `WouldBlock` if nothing was. Uses at most [`CHUNKS_PER_CALL`] chunks.
    /// A socket that encrypts may have accepted bytes that the kernel has not: without chunks, it sends the rest of
    /// them.
    fn try_write(&self, chunks: &[IoSlice<'_>]) -> io::Result<Written>;
}

/// The outcome of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// The frame waits.
    Queued,
    /// A bound is exceeded: the session is a slow consumer.
    Overflow,
    /// The session is already ending.
    Closed,
}

/// What the session's task does next.
#[derive(Debug)]
pub enum Next {
    /// Something waits: call [`Outbox::write_waiting`] once the socket is writable.
    Write,
    /// Return the socket to the shard.
    Drained,
    /// The session ends: write the rest within a bounded time, then end the connection.
    Closing(CloseReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closing(CloseReason),
}

struct Inner {
    queue: Queue,
    /// Bytes that the shard holds behind acknowledgement windows, counted under the same bound.
    held_bytes: usize,
    /// Bytes that the socket has accepted and the kernel has not, counted likewise.
    unsent_bytes: u32,
    /// The shard has pushed and now waits for a `Drained`.
    owes_drained: bool,
    /// The bound that was exceeded last.
    passed: Limit,
    state: State,
    waker: Option<Waker>,
    wake_on_push: bool,
}

/// The write side of one session: its socket, its queue, and what the shard has to know of its peer: when it was last
/// heard, how much it has sent.
pub struct Outbox {
    socket: Arc<dyn TryWrite>,
    ledger: Arc<Ledger>,
    limit_bytes: usize,
    liveness: Liveness,
    acks: Acks,
    sent: Sent,
    inner: Mutex<Inner>,
}

impl Outbox {
    /// An open, empty outbox over `socket`, in which `limit_bytes` may wait (`limits.outbox_bytes`).
    pub fn new(socket: Arc<dyn TryWrite>, limit_bytes: usize, ledger: Arc<Ledger>) -> Self {
        let inner = Inner {
            queue: Queue::default(),
            held_bytes: 0,
            unsent_bytes: 0,
            owes_drained: false,
            passed: Limit::OutboxBytes,
            state: State::Open,
            waker: None,
            wake_on_push: false,
        };
        Self {
            socket,
            ledger,
            limit_bytes,
            liveness: Liveness::default(),
            acks: Acks::default(),
            sent: Sent::default(),
            inner: Mutex::new(inner),
        }
    }

    /// The socket that a shard writes to while nothing waits.
    pub fn socket(&self) -> &Arc<dyn TryWrite> {
        &self.socket
    }

    /// The counts that all outboxes share.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// When the peer was last heard.
    pub fn liveness(&self) -> &Liveness {
        &self.liveness
    }

    /// What the shard knows about acknowledgements.
    pub fn acks(&self) -> &Acks {
        &self.acks
    }

    /// How much the peer has SENT.
    pub fn sent(&self) -> &Sent {
        &self.sent
    }

    /// A push by the session's task, before login.
    pub fn push_own(&self, frame: Outgoing) -> Pushed {
        self.push([frame], Written::taken(0), false)
    }

    /// A push by the shard. `written` says how much of the frames the socket has already accepted. From here on the task
    /// writes, and a [`Next::Drained`] will follow.
    pub fn push_blocked(
        &self,
        frames: impl IntoIterator<Item = Outgoing>,
        written: impl Into<Written>,
    ) -> Pushed {
        self.push(frames, written.into(), true)
    }

    fn push(&self, frames: impl IntoIterator<Item = Outgoing>, written: Written, by_shard: bool) -> Pushed {
        let mut inner = self.inner.lock();
        if inner.state != State::Open {
            return Pushed::Closed;
        }
        inner.owes_drained |= by_shard;
        if written.unsent_bytes() > 0 {
            inner.note_unsent(written, &self.ledger);
        }
        let mut written = written.bytes();
        let (mut outcome, since) = (Pushed::Queued, Instant::now());
        for mut frame in frames {
            let begun = written > 0;
            written = frame.advance(written);
            let bytes = frame.len();
            if bytes == 0 {
                frame.written();
                continue;
            }
            // An empty queue accepts one frame of any size, whatever the session's bound. The bound of the process always
            // applies, except to a partly written frame, which has to be finished.
            inner.queue.collapse(&frame, &self.ledger);
            if !begun && self.is_over(&mut inner, bytes) {
                outcome = Pushed::Overflow;
                break;
            }
            frame.since = Some(since);
            inner.queue.push(frame, begun, &self.ledger);
        }
        let wakes = inner.wake_on_push;
        let waker = inner.waker.take_if(|_| wakes);
        drop(inner);
        wake(waker);
        outcome
    }

    /// Counts `bytes` that the shard holds behind an acknowledgement window against the bounds, as if they were
    /// queued.
    pub fn hold(&self, bytes: usize) -> Pushed {
        let mut inner = self.inner.lock();
        if inner.state != State::Open {
            return Pushed::Closed;
        }
        if self.is_over(&mut inner, bytes) {
            return Pushed::Overflow;
        }
        inner.held_bytes += bytes;
        self.ledger.queued.add(inner.queue.account, bytes);
        Pushed::Queued
    }

    /// Ends the hold on `bytes`.
    pub fn release(&self, bytes: usize) {
        let mut inner = self.inner.lock();
        let bytes = bytes.min(inner.held_bytes);
        inner.held_bytes -= bytes;
        self.ledger.queued.remove(inner.queue.account, bytes);
    }

    /// Ends the session in one step. For a slow consumer, it cuts the queue after the partly written frame. Then it
    /// appends `last_frames` (ERROR and Close), outside the bound. Later pushes return [`Pushed::Closed`]; the
    /// task writes the rest after [`Next::Closing`]. Only the first reason counts.
    pub fn close(&self, reason: CloseReason, last_frames: impl IntoIterator<Item = Bytes>) {
        let mut inner = self.inner.lock();
        if inner.state != State::Open {
            return;
        }
        inner.state = State::Closing(reason);
        let held_bytes = std::mem::take(&mut inner.held_bytes);
        self.ledger.queued.remove(inner.queue.account, held_bytes);
        if matches!(reason, CloseReason::SlowConsumer | CloseReason::PeerGone) {
            let dropped = inner.queue.retain_unbegun(&self.ledger, |_| false);
            self.ledger.dropped.fetch_add(dropped, Ordering::Relaxed);
        }
        for bytes in last_frames {
            inner.queue.push(Outgoing::plain(bytes), false, &self.ledger);
        }
        let waker = inner.waker.take();
        drop(inner);
        wake(waker);
    }

    /// Drops what waits for a subscription that has ended (STOMP rule S8).
    pub fn prune(&self, subscription: u32) {
        let is_other = |frame: &Outgoing| frame.subscription != Some(subscription);
        let dropped = self.inner.lock().queue.retain_unbegun(&self.ledger, is_other);
        self.ledger.dropped.fetch_add(dropped, Ordering::Relaxed);
    }

    /// Whether nothing waits. The shard checks this before it writes again.
    pub fn is_drained(&self) -> bool {
        self.inner.lock().is_drained()
    }

    /// The bytes that wait, including held and encrypted ones, and since when the oldest frame of the queue has been waiting.
    pub fn waiting(&self) -> (usize, Option<Instant>) {
        let inner = self.inner.lock();
        (inner.bytes(), inner.queue.since())
    }

    /// Why the session is ending, if it is.
    pub fn closing(&self) -> Option<CloseReason> {
        match self.inner.lock().state {
            State::Open => None,
            State::Closing(reason) => Some(reason),
        }
    }

    /// The task's next step. A close always wakes the task. A push only wakes it if nothing waits: a task that waits for
    /// a full socket does not need to know about further frames.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Next> {
        let mut inner = self.inner.lock();
        if let State::Closing(reason) = inner.state {
            return Poll::Ready(Next::Closing(reason));
        }
        inner.queue.drop_expired(&self.ledger);
        let waits = !inner.is_drained();
        if !waits && inner.owes_drained {
            inner.owes_drained = false;
            inner.queue.shrink();
            return Poll::Ready(Next::Drained);
        }
        inner.wake_on_push = !waits;
        match &mut inner.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        if waits {
            Poll::Ready(Next::Write)
        } else {
            Poll::Pending
        }
    }

    /// Writes waiting frames, as much as the kernel accepts at once; called by the task. It holds the lock during the call, so
    /// that nothing is cut or pruned while the kernel reads it; the socket's own buffer limits how long that takes.
    pub fn write_waiting(&self) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.queue.drop_expired(&self.ledger);
        let mut slices = [IoSlice::new(&[]); CHUNKS_PER_CALL];
        let count = inner.queue.slices(&mut slices);
        if count == 0 && inner.unsent_bytes == 0 {
            return Ok(());
        }
        let written = self.socket.try_write(&slices[..count])?;
        inner.queue.advance(written.bytes(), &self.ledger);
        inner.note_unsent(written, &self.ledger);
        Ok(())
    }
}

impl Inner {
    /// Whether nothing waits, neither here nor in the socket.
    fn is_drained(&self) -> bool {
        self.queue.is_empty() && self.unsent_bytes == 0
    }

    /// All bytes that wait.
    fn bytes(&self) -> usize {
        self.queue.bytes() + self.held_bytes + self.unsent_bytes as usize
    }

    fn note_unsent(&mut self, written: Written, ledger: &Ledger) {
        let account = self.queue.account;
        ledger.queued.remove(account, self.unsent_bytes as usize);
        self.unsent_bytes = written.unsent_bytes();
        ledger.queued.add(account, self.unsent_bytes as usize);
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let inner = self.inner.get_mut();
        let bytes = inner.bytes();
        self.ledger.queued.remove(inner.queue.account, bytes);
        let lost = inner.queue.messages();
        self.ledger.dropped.fetch_add(lost, Ordering::Relaxed);
    }
}

/// Call this after releasing the lock, because the woken task takes it at once.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
pub(super) mod tests;
