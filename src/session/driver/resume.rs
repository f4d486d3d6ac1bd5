//! A SUBSCRIBE with `last-message-id`: does what [`crate::session::recovery`] says, and bounds how long each step may take.
//! Knows the bus by its history alone.
//!
//! Meanwhile the driver reads no further frame, so RECEIPTs keep the order of their frames. One exception: while there is no
//! room in the outbox, ACK and NACK pass, since only they make room behind a window; the first other frame waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::act::{Reading, Source, count_frame};
use crate::bus::History;
use crate::bus::history::{Outcome, Request};
use crate::close_reason::CloseReason;
use crate::delivery;
use crate::delivery::command::{Receipt, Release, Subscription};
use crate::delivery::heads::Head;
use crate::delivery::held::Bound;
use crate::delivery::outbox::{Outbox, Pushed};
use crate::delivery::registry::SessionHandle;
use crate::delivery::wire::RETRY_AFTER_MS;
use crate::destination::Target;
use crate::envelope::{Envelope, Kind, Unrecovered, unix_ms};
use crate::session::action::{Action, Refusal};
use crate::session::context::Context;
use crate::session::end::{End, close_end, error_end, gone};
use crate::session::input::Input;
use crate::session::recovery::{Recovery, Step};
use crate::session::state::Session;
use crate::stomp::{Command, Frame};
use crate::ws::close::pong_frame;

/// How long a subscription may wait until this instance has read what its stream has, after its start or without JetStream.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long this instance may be behind the one that gave the position.
const HEAD_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a client may take to make room in its outbox.
const ROOM_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is looked whether there is room.
const ROOM_RETRY: Duration = Duration::from_millis(50);
/// How long the bus may take to say what was missed.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(5);

/// What a client asks for.
pub(super) struct Resume {
    pub(super) subscription: Box<Subscription>,
    /// The frame's `receipt` header.
    pub(super) receipt: Box<str>,
    /// Its `last-message-id` header.
    pub(super) after: Box<str>,
}

/// Waits until it is known where a subscription to `target`, which history keeps, begins. `false`: it took too long.
pub(super) async fn has_begun(
    context: &Context,
    key: &SessionHandle,
    outbox: &Outbox,
    target: &Target,
) -> bool {
    let liveness = outbox.liveness();
    liveness.paused.store(true, Ordering::Relaxed);
    let begun = context.registry.head_until(Kind::of(target), Head::has_begun);
    let has_begun = timeout(BEGIN_TIMEOUT, begun).await.is_ok();
    liveness.heard.store(key.now(), Ordering::Relaxed);
    liveness.paused.store(false, Ordering::Relaxed);
    has_begun
}

/// The end of a session whose subscription cannot begin: it is to come back, perhaps to another instance.
pub(super) fn not_begun() -> Refusal {
    Refusal::new(
        CloseReason::BusUnavailable,
        "SUBSCRIBE: history cannot be read now, reconnect",
    )
}

/// Resumes a subscription. Returns the session's end, if it comes to that.
pub(super) async fn resume(
    context: &Arc<Context>,
    session: &mut Session,
    source: Source<'_>,
    outbox: &Outbox,
    reading: Reading<'_, '_>,
    resume: Resume,
) -> Option<End> {
    let liveness = outbox.liveness();
    // While Herald itself delays reading, the silence is not the client's.
    liveness.paused.store(true, Ordering::Relaxed);
    let end = steps(context, session, source, outbox, reading, resume).await;
    liveness.heard.store(source.key.now(), Ordering::Relaxed);
    liveness.paused.store(false, Ordering::Relaxed);
    end
}

async fn steps(
    context: &Arc<Context>,
    session: &mut Session,
    source: Source<'_>,
    outbox: &Outbox,
    mut reading: Reading<'_, '_>,
    resume: Resume,
) -> Option<End> {
    let Resume {
        subscription,
        receipt,
        after,
    } = resume;
    let (key, registry) = (source.key, &context.registry);
    let target = subscription.target.clone();
    let kind = Kind::of(&target);
    let history = context
        .bus
        .history()
        .filter(|history| history.kept().holds(&target));
    let mut recovery = Recovery::begin(&after, history.is_some(), registry.head(kind));
    let mut subscription = Some(subscription);
    let mut taken = None;
    loop {
        match recovery.step() {
            Step::AwaitHead => {
                let waiting = registry.head_until(kind, |head| {
                    recovery.head_moved(head);
                    recovery.step() != Step::AwaitHead
                });
                if timeout(HEAD_TIMEOUT, waiting).await.is_err() {
                    recovery.gave_up();
                }
            }
            Step::AskInfo => {
                let asked = async { history?.info(kind).await };
                recovery.info(timeout(REPLAY_TIMEOUT, asked).await.ok().flatten());
            }
            Step::TakeRoom => {
                let bytes = history.map_or(0, |history| room(history, outbox));
                match take_room(context, session, source, outbox, &mut reading, bytes).await {
                    Room::Taken(turn) => {
                        taken = Some((turn, bytes));
                        recovery.room(true);
                    }
                    Room::None => recovery.room(false),
                    Room::Ended(end) => return end,
                }
            }
            Step::Hold => {
                let bound = history.map_or(Bound::default(), |history| bound(history, outbox));
                match key.hold(subscription.take()?, bound).await {
                    Some(begins) => recovery.held(begins),
                    // The session has ended, and its writing half says how.
                    None => return None,
                }
            }
            Step::Replay { after, until } => {
                let outcome = match history {
                    Some(history) => {
                        let request = Request {
                            target,
                            after,
                            until,
                            caps: history.caps(),
                            now_ms: unix_ms(),
                        };
                        replay(context, history, request).await
                    }
                    None => Err(Unrecovered::HistoryOff),
                };
                let release = Release {
                    after,
                    outcome,
                    receipt,
                    room: taken.as_ref().map_or(0, |(_, bytes)| *bytes),
                };
                key.release(release).await;
                return None;
            }
            Step::Subscribe(reason) => {
                let receipt = Receipt {
                    id: receipt,
                    refused: Some(reason),
                };
                key.subscribe(subscription.take()?, Some(receipt)).await;
                return None;
            }
            Step::TooSlow => {
                let (limit, bytes) = outbox.passed();
                let message = format!(
                    "SUBSCRIBE: {}: over {bytes} bytes ({})",
                    CloseReason::SlowConsumer.words(),
                    limit.name()
                );
                let mut refusal =
                    Refusal::new(CloseReason::SlowConsumer, message).with_receipt(Some(&receipt));
                let retry_after = delivery::retry_after_ms(CloseReason::SlowConsumer);
                refusal.headers.extend(retry_after.map(|ms| (RETRY_AFTER_MS, ms)));
                return Some(error_end(refusal, session.version(), &context.metrics));
            }
        }
    }
}

/// What the bus has of the gap, as browsers may see it.
async fn replay(
    context: &Context,
    history: &dyn History,
    request: Request<Target>,
) -> Outcome<Arc<Envelope>> {
    let replaying = timeout(REPLAY_TIMEOUT, history.replay(request)).await;
    let mut missed = replaying.unwrap_or(Err(Unrecovered::Unavailable))?;
    for envelope in &mut missed {
        context.application.baggage.filter_in(envelope);
    }
    Ok(missed)
}

/// How much may be held back meanwhile.
fn bound(history: &dyn History, outbox: &Outbox) -> Bound {
    let caps = history.caps();
    Bound {
        messages: caps.messages,
        bytes: room(history, outbox)
            .saturating_sub(caps.bytes)
            .max(caps.bytes / 2),
    }
}

/// The room for a replay and for what is held back meanwhile.
fn room(history: &dyn History, outbox: &Outbox) -> usize {
    history.caps().bytes.saturating_mul(2).min(outbox.limit_bytes())
}

/// Whether there is room.
enum Room<'a> {
    Taken(tokio::sync::SemaphorePermit<'a>),
    None,
    /// The session has to end, or has ended.
    Ended(Option<End>),
}

async fn take_room<'c>(
    context: &'c Context,
    session: &mut Session,
    source: Source<'_>,
    outbox: &Outbox,
    reading: &mut Reading<'_, '_>,
    bytes: usize,
) -> Room<'c> {
    let until = Instant::now() + ROOM_TIMEOUT;
    loop {
        // Few at once: what a resume takes of the outboxes' common bound is more than most need.
        let turn = match context.resumes.acquire().await {
            Ok(turn) => turn,
            Err(_closed) => return Room::Ended(None),
        };
        match outbox.hold(bytes) {
            Pushed::Queued => return Room::Taken(turn),
            Pushed::Closed => return Room::Ended(None),
            Pushed::Overflow => drop(turn),
        }
        let reads = reading.later.is_none();
        tokio::select! {
            () = sleep_until(until) => return Room::None,
            () = sleep(ROOM_RETRY) => {}
            input = reading.inputs.next(), if reads => match input {
                Ok(Input::Frame(frame)) if makes_room(&frame) => {
                    count_frame(context, &frame);
                    let idle = reading.inputs.idle(outbox.acks().take_missed(), &frame);
                    match idle.and_then(|()| session.on_frame(frame, &context.rules)) {
                        Ok(Action::Acknowledge { ack, .. }) => source.key.acknowledge(ack).await,
                        Ok(_) => {}
                        Err(refusal) => {
                            let end = error_end(refusal, session.version(), &context.metrics);
                            return Room::Ended(Some(end));
                        }
                    }
                }
                Ok(Input::Frame(frame)) => *reading.later = Some(Box::new(frame)),
                Ok(Input::Ping(payload)) => source.key.say(pong_frame(&payload)).await,
                Ok(Input::Pong) => outbox.liveness().pong.store(source.key.now(), Ordering::Relaxed),
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
