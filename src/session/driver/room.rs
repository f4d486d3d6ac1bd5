//! Waits for room in the outbox for the next piece of a replay, as long as the client makes some. Knows no bus and no position.
//!
//! **Progress.** Whoever reads, or acknowledges behind a window, may take as long as it likes: each frame that leaves the
//! outbox begins the time anew. Who does neither within [`READ_TIMEOUT`] or [`ACK_TIMEOUT`] is a slow consumer.
//!
//! **Half.** A replay leaves half of the outbox to what comes live for the session's other subscriptions.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, sleep, sleep_until};

use super::act::{Reading, Source, on_acknowledgement};
use crate::close_reason::CloseReason;
use crate::delivery::outbox::{Outbox, Pushed};
use crate::session::context::Context;
use crate::session::end::{End, close_end, error_end, gone};
use crate::session::input::Input;
use crate::session::state::Session;
use crate::stomp::{Command, Frame};
use crate::ws::close::pong_frame;

/// How long a client may read nothing of what waits for it.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client that has read everything may acknowledge nothing.
const ACK_TIMEOUT: Duration = Duration::from_secs(120);
/// How often it is looked whether there is room.
const ROOM_RETRY: Duration = Duration::from_millis(20);

/// Whether there is room.
pub(super) enum Room<'a> {
    /// As much as was asked for, and a turn to read.
    Taken(SemaphorePermit<'a>),
    /// The client has made none.
    None,
    /// The session has to end, or has ended.
    Ended(Option<End>),
}

/// Takes room for `bytes`.
pub(super) async fn take_room<'c>(
    context: &'c Context,
    session: &mut Session,
    source: Source<'_>,
    outbox: &Outbox,
    reading: &mut Reading<'_, '_>,
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
        let patience = match now.1 {
            Some(_) => READ_TIMEOUT,
            None => ACK_TIMEOUT,
        };
        let reads = reading.later.is_none();
        // While Herald itself delays reading, the silence is not the client's.
        liveness.paused.store(!reads, Ordering::Relaxed);
        tokio::select! {
            () = sleep_until(moved + patience) => return Room::None,
            () = sleep(ROOM_RETRY) => {}
            input = reading.inputs.next(), if reads => match input {
                Ok(Input::Frame(frame)) if makes_room(&frame) => {
                    if let Err(refusal) = reading.inputs.idle(outbox.acks().take_missed(), &frame) {
                        let end = error_end(refusal, session.version(), &context.metrics);
                        return Room::Ended(Some(end));
                    }
                    let ended = on_acknowledgement(context, session, source, outbox, frame).await;
                    if ended.is_some() {
                        return Room::Ended(ended);
                    }
                }
                Ok(Input::Frame(frame)) => *reading.later = Some(Box::new(frame)),
                Ok(Input::Ping(payload)) => source.key.say(pong_frame(&payload)).await,
                Ok(Input::Pong) => liveness.pong.store(source.key.now(), Ordering::Relaxed),
                Ok(Input::Empty) => {}
                Ok(Input::Close) => return Room::Ended(Some(close_end(CloseReason::Normal))),
                Ok(Input::Gone) => return Room::Ended(Some(gone())),
                Err(refusal) => {
                    let end = error_end(refusal, session.version(), &context.metrics);
                    return Room::Ended(Some(end));
                }
            },
        }
    }
}

/// Whether the frame is an acknowledgement that nothing else depends on.
fn makes_room(frame: &Frame) -> bool {
    let has = |name| frame.headers.get(name).is_some();
    matches!(frame.command, Command::Ack | Command::Nack) && !has("receipt") && !has("transaction")
}
