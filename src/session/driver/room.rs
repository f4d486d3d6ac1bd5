//! Waits for room in the outbox for the next piece of a replay, as long as the client makes progress. Knows no bus and
//! no position.
//!
//! **Progress.** A client that reads, or acknowledges messages behind a window, may take as long as it likes: each
//! frame that leaves the outbox restarts the time. One that does neither within `limits.replay_read_timeout` or
//! `limits.replay_ack_timeout` is a slow consumer.
//!
//! **Frames.** The client may want its other frames answered before it acknowledges, so Herald keeps reading from it.
//! Once the subscription has its RECEIPT, frames are handled as usual, in their order; a second resume waits, and so do
//! all frames after it ([`Waits`]). Acknowledgements on which nothing depends overtake them: only they make room behind
//! a window.
//!
//! **Half.** A replay leaves half of the outbox to live messages for the session's other subscriptions.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, sleep, sleep_until};

use super::act::{Reading, Source, on_acknowledgement, on_frame};
use crate::close_reason::CloseReason;
use crate::delivery::outbox::{Outbox, Pushed};
use crate::limit::Limit;
use crate::session::action::Refusal;
use crate::session::context::{Context, Limits};
use crate::session::end::{End, close_end, error_end, gone};
use crate::session::input::Input;
use crate::session::state::Session;
use crate::setting::HumanDuration;
use crate::stomp::{Command, Frame};
use crate::ws::close::pong_frame;

/// How often it is looked whether there is room.
const ROOM_RETRY: Duration = Duration::from_millis(20);

/// Whether there is room.
pub(super) enum Room<'a> {
    /// As much as was asked for, and a turn to read.
    Taken(SemaphorePermit<'a>),
    /// The client has made none.
    None(Silent),
    /// The session has to end, or has ended.
    Ended(Option<End>),
}

/// What a client did not do for too long.
#[derive(Debug, Clone, Copy)]
pub(super) enum Silent {
    /// It read nothing of what waits for it.
    Reads,
    /// It has read everything, and acknowledged nothing.
    Acknowledges,
}

impl Silent {
    fn patience(self, limits: &Limits) -> HumanDuration {
        match self {
            Self::Reads => limits.replay_read_timeout,
            Self::Acknowledges => limits.replay_ack_timeout,
        }
    }

    /// The end of the session of such a client.
    pub(super) fn refusal(self, limits: &Limits) -> Refusal {
        let (what, limit) = match self {
            Self::Reads => ("read", Limit::ReplayReadTimeout),
            Self::Acknowledges => ("acknowledged", Limit::ReplayAckTimeout),
        };
        let message = format!(
            "SUBSCRIBE: {}: nothing was {what} for {} while more waits ({})",
            CloseReason::SlowConsumer.words(),
            self.patience(limits),
            limit.name()
        );
        Refusal::new(CloseReason::SlowConsumer, message).at(limit)
    }
}

/// Which frames wait until there is room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    /// All but acknowledgements: the subscription does not exist yet, and what they cause would not find it.
    All,
    /// A SUBSCRIBE that resumes, since a session resumes one subscription at a time; and those behind it, whose order it is.
    Resumes,
}

impl Waits {
    fn holds(self, frame: &Frame) -> bool {
        let resumes = frame.command == Command::Subscribe && frame.headers.get("last-message-id").is_some();
        self == Self::All || resumes
    }
}

/// Takes room for `bytes`.
pub(super) async fn take_room<'c>(
    context: &'c Arc<Context>,
    session: &mut Session,
    source: Source<'_>,
    outbox: &Outbox,
    reading: &mut Reading<'_, '_>,
    waits: Waits,
    bytes: usize,
) -> Room<'c> {
    let (mut last, mut moved) = (outbox.waiting(), Instant::now());
    let liveness = outbox.liveness();
    // It was Herald that did not read until now.
    liveness.heard.store(source.key.now(), Ordering::Relaxed);
    loop {
        if outbox.has_half_free(bytes) {
            // Few at once: each has a piece in memory that is in nobody's outbox yet.
            let turn = match context.resumes.acquire().await {
                Ok(turn) => turn,
                Err(_closed) => return Room::Ended(None),
            };
            match outbox.hold(bytes) {
                Pushed::Queued => {
                    liveness.paused.store(true, Ordering::Relaxed);
                    return Room::Taken(turn);
                }
                Pushed::Closed => return Room::Ended(None),
                Pushed::Overflow => drop(turn),
            }
        }
        let now = outbox.waiting();
        if now.0 < last.0 || now.1 != last.1 {
            moved = Instant::now();
        }
        last = now;
        let silent = match now.1 {
            Some(_) => Silent::Reads,
            None => Silent::Acknowledges,
        };
        // What waited for this subscription to exist.
        if reading.ahead.front().is_some_and(|frame| !waits.holds(frame))
            && let Some(frame) = reading.ahead.pop()
        {
            match act(context, session, source, outbox, reading.again(), *frame).await {
                None => continue,
                ended => return Room::Ended(ended),
            }
        }
        let reads = !reading.ahead.is_full();
        // While Herald itself delays reading, the silence is not the client's.
        liveness.paused.store(!reads, Ordering::Relaxed);
        let ended = tokio::select! {
            () = sleep_until(moved + silent.patience(&context.limits).0) => return Room::None(silent),
            () = sleep(ROOM_RETRY) => None,
            input = reading.inputs.next(), if reads => match input {
                Ok(Input::Frame(frame)) if makes_room(&frame) => {
                    match reading.inputs.idle(outbox.acks().take_missed(), &frame) {
                        Ok(()) => on_acknowledgement(context, session, source, outbox, frame).await,
                        Err(refusal) => Some(error_end(refusal, session.version(), &context.metrics)),
                    }
                }
                Ok(Input::Frame(frame)) if reading.ahead.is_empty() && !waits.holds(&frame) => {
                    act(context, session, source, outbox, reading.again(), frame).await
                }
                Ok(Input::Frame(frame)) => {
                    reading.ahead.push(frame);
                    None
                }
                Ok(Input::Ping(payload)) => {
                    source.key.say(pong_frame(&payload)).await;
                    None
                }
                Ok(Input::Pong) => {
                    liveness.pong.store(source.key.now(), Ordering::Relaxed);
                    None
                }
                Ok(Input::Empty) => None,
                Ok(Input::Close) => Some(close_end(CloseReason::Normal)),
                Ok(Input::Gone) => Some(gone()),
                Err(refusal) => Some(error_end(refusal, session.version(), &context.metrics)),
            },
        };
        if ended.is_some() {
            return Room::Ended(ended);
        }
    }
}

/// Executes a frame of a session that resumes. Boxed as what it is, since a frame may lead to a resume, and that here again.
fn act<'f, 'i: 'f>(
    context: &'f Arc<Context>,
    session: &'f mut Session,
    source: Source<'f>,
    outbox: &'f Outbox,
    reading: Reading<'f, 'i>,
    frame: Frame,
) -> BoxFuture<'f, Option<End>> {
    if let Err(refusal) = reading.inputs.idle(outbox.acks().take_missed(), &frame) {
        let end = error_end(refusal, session.version(), &context.metrics);
        return Box::pin(async move { Some(end) });
    }
    Box::pin(on_frame(context, session, source, outbox, reading, frame))
}

/// Whether the frame is an acknowledgement that nothing else depends on.
fn makes_room(frame: &Frame) -> bool {
    let has = |name| frame.headers.get(name).is_some();
    matches!(frame.command, Command::Ack | Command::Nack) && !has("receipt") && !has("transaction")
}
