//! One write to one session: straight to the socket while nothing waits there, else into the outbox. The only place
//! where a shard and a session's task change places as the writer.

use std::io::{self, IoSlice};
use std::ops::ControlFlow;

use bytes::Bytes;

use crate::close_reason::CloseReason;
use crate::delivery::frames::Frames;
use crate::delivery::outbox::{Outbox, Outgoing, Pushed, Written};
use crate::delivery::roster::{Hot, Roster, Session, Slot};

/// The outcome of one write to one session.
pub(crate) enum Sent {
    /// In the kernel.
    Written,
    /// In the outbox, partly or completely.
    Queued,
    /// The session is lost, or too slow.
    Failed(CloseReason),
}

/// One encoded write, the same for many sessions.
pub(crate) struct Write<'a> {
    frames: &'a Frames,
    slices: &'a [IoSlice<'a>],
    bytes: usize,
    now: u32,
}

impl<'a> Write<'a> {
    /// `frames` as `slices`, at tick `now`.
    pub(crate) fn new(frames: &'a Frames, slices: &'a [IoSlice<'a>], now: u32) -> Self {
        Self {
            frames,
            slices,
            bytes: frames.bytes(),
            now,
        }
    }

    /// Writes to the session at `slot`. Only if the write comes up short does it look at the session itself, ask for
    /// its `number` of the subscription, and give it the frames that are `shared` between the blocked sessions of a
    /// group.
    #[inline]
    pub(crate) fn send(
        &self,
        roster: &mut Roster,
        slot: Slot,
        shared: &mut Option<Bytes>,
        number: impl Fn(&Session) -> u32,
    ) -> Sent {
        let written = match attempt(roster.hot(slot), self.slices, self.bytes, self.now) {
            ControlFlow::Break(sent) => return sent,
            ControlFlow::Continue(written) => written,
        };
        let Some((_, session)) = roster.get(slot) else {
            return Sent::Failed(CloseReason::Internal);
        };
        let waiting = self.frames.outgoing(shared, number(session));
        session.outbox.push_blocked(waiting, written).into()
    }
}

/// Writes one frame to one session, or leaves it in the outbox.
pub(crate) fn send_one(hot: &mut Hot, outbox: &Outbox, frame: Outgoing, tick: u32) -> Sent {
    let slices = [IoSlice::new(&frame.head), IoSlice::new(&frame.rest)];
    let chunks = if frame.rest.is_empty() { 1 } else { 2 };
    match attempt(hot, &slices[..chunks], frame.len(), tick) {
        ControlFlow::Break(sent) => {
            if let Sent::Written = sent {
                frame.written();
            }
            sent
        }
        ControlFlow::Continue(written) => outbox.push_blocked([frame], written).into(),
    }
}

/// Tries the socket unless something waits there. `Continue` if the session's task is the writer from here on: it
/// holds what the socket has already taken.
#[inline]
fn attempt(hot: &mut Hot, slices: &[IoSlice<'_>], bytes: usize, tick: u32) -> ControlFlow<Sent, Written> {
    if hot.blocked {
        return ControlFlow::Continue(Written::taken(0));
    }
    let written = match hot.socket.try_write(slices) {
        Ok(written) if written.is_all_of(bytes) => {
            hot.last_write = tick;
            return ControlFlow::Break(Sent::Written);
        }
        Ok(written) => written,
        Err(error) if is_full(&error) => Written::taken(0),
        Err(_) => return ControlFlow::Break(Sent::Failed(CloseReason::PeerGone)),
    };
    hot.blocked = true;
    ControlFlow::Continue(written)
}

impl From<Pushed> for Sent {
    fn from(pushed: Pushed) -> Self {
        match pushed {
            Pushed::Queued => Self::Queued,
            Pushed::Overflow => Self::Failed(CloseReason::SlowConsumer),
            Pushed::Closed => Self::Failed(CloseReason::PeerGone),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
