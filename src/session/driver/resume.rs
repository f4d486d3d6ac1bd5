//! A SUBSCRIBE with `last-message-id`: carries out the steps of [`crate::session::recovery`], and limits the time of
//! each. Knows the bus only by its history.
//!
//! Meanwhile the driver handles no further frames, so RECEIPTs keep the order of their frames, and the effects of a
//! SEND find the subscription. The exception is waiting for room in the outbox ([`super::room`]): a client that first
//! wants its other frames answered would never make any.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::act::{Reading, Source};
use super::room::{Room, Silent, Waits, take_room};
use crate::bus::History;
use crate::bus::history::{Caps, Request};
use crate::close_reason::CloseReason;
use crate::delivery;
use crate::delivery::command::{Piece, Receipt, Subscription};
use crate::delivery::heads::Head;
use crate::delivery::held::{self, Bound};
use crate::delivery::outbox::Outbox;
use crate::delivery::registry::SessionHandle;
use crate::delivery::wire::RETRY_AFTER_MS;
use crate::destination::Target;
use crate::envelope::{Envelope, Kind, Unrecovered, unix_ms};
use crate::session::action::Refusal;
use crate::session::context::Context;
use crate::session::end::{End, error_end};
use crate::session::recovery::{Recovery, Step};
use crate::session::state::Session;

/// How long a subscription may wait until this instance has read what its stream has, after its start or without JetStream.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long this instance may be behind the one that gave the position.
const HEAD_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the bus may take to say what was missed.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of a piece, and of what is held back meanwhile: beyond that, larger pieces are not faster.
const PIECE_BYTES_MAX: usize = 256 << 10;
/// One piece, or what is held back, takes at most this fraction of the outbox.
const PIECES_PER_OUTBOX: usize = 4;

/// What a client asks for.
pub(super) struct Resume {
    pub(super) subscription: Box<Subscription>,
    /// The frame's `receipt` header.
    pub(super) receipt: Box<str>,
    /// Its `last-message-id` header.
    pub(super) after: Box<str>,
}

/// Waits until it is known where a subscription to `target` begins, if history keeps it. `false`: it took too long.
pub(super) async fn has_begun(
    context: &Context,
    key: &SessionHandle,
    outbox: &Outbox,
    target: &Target,
) -> bool {
    let liveness = outbox.liveness();
    liveness.paused.store(true, Ordering::Relaxed);
    let begins = async {
        if !context.registry.has_begun(target) {
            let begun = context.registry.head_until(Kind::of(target), Head::has_begun);
            begun.await;
        }
        settled(context, target).await;
    };
    let has_begun = timeout(BEGIN_TIMEOUT, begins).await.is_ok();
    liveness.heard.store(key.now(), Ordering::Relaxed);
    liveness.paused.store(false, Ordering::Relaxed);
    has_begun
}

/// Waits while the history of `target` may be another than this instance has read: no position is named that may be of an epoch
/// that is over.
async fn settled(context: &Context, target: &Target) {
    let history = context.bus.history();
    let Some(history) = history.filter(|history| history.kept().holds(target)) else {
        return;
    };
    let kind = Kind::of(target);
    if let Some(epoch) = history.settled(kind).await {
        // It takes its way to the sessions.
        let told = context.registry.head_until(kind, |head| head.done.epoch >= epoch);
        told.await;
    }
}

/// Waits, within reason, until this instance's sessions are told that `epoch` is over, so that none hears of it twice.
async fn until_another(context: &Context, kind: Kind, epoch: u64) {
    let told = context.registry.head_until(kind, |head| head.done.epoch != epoch);
    // Else it is told later, and perhaps twice.
    let _ = timeout(HEAD_TIMEOUT, told).await;
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
    let began = Instant::now();
    let (key, registry) = (source.key, &context.registry);
    let target = subscription.target.clone();
    let kind = Kind::of(&target);
    let history = context
        .bus
        .history()
        .filter(|history| history.kept().holds(&target));
    let mut recovery = Recovery::begin(&after, history.is_some(), registry.head(kind));
    let mut subscription = Some(subscription);
    let piece = (outbox.limit_bytes() / PIECES_PER_OUTBOX).min(PIECE_BYTES_MAX);
    let mut silent = Silent::Reads;
    // Given back before the client makes room for the next piece, however long that takes.
    let mut turn = None;
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
                let info = timeout(REPLAY_TIMEOUT, asked).await.ok().flatten();
                let epoch = registry.head(kind).begun.epoch;
                if info.is_some_and(|info| info.is_leaders && info.epoch != epoch) {
                    until_another(context, kind, epoch).await;
                }
                recovery.info(info);
            }
            Step::TakeRoom => {
                let waits = match subscription {
                    Some(_) => Waits::All,
                    None => Waits::Resumes,
                };
                match take_room(context, session, source, outbox, &mut reading, waits, piece).await {
                    Room::Taken(taken) => {
                        turn = Some(taken);
                        recovery.room(true);
                    }
                    Room::None(why) => {
                        silent = why;
                        recovery.room(false);
                    }
                    Room::Ended(end) => return end,
                }
            }
            Step::Hold => {
                let bound = Bound {
                    messages: history.map_or(0, |history| history.caps().messages),
                    bytes: piece,
                };
                match key.hold(subscription.take()?, bound).await {
                    Some(begins) => recovery.held(begins),
                    // The session has ended, and its writing half says how.
                    None => return None,
                }
            }
            Step::Replay {
                after,
                until,
                goes_on,
            } => {
                let request = Request {
                    target: target.clone(),
                    after,
                    until,
                    caps: history.map_or_else(Caps::default, History::caps),
                    piece,
                    goes_on,
                    now_ms: unix_ms(),
                };
                let outcome = replay(context, history, request).await;
                if matches!(outcome, Err(Unrecovered::EpochChanged)) {
                    until_another(context, kind, until.epoch).await;
                }
                drop(turn.take());
                let piece = Piece {
                    after,
                    outcome,
                    receipt: receipt.clone(),
                    room: piece,
                };
                match key.replay(piece).await {
                    Some(next) => recovery.wrote(next),
                    None => return None,
                }
                if recovery.step() == Step::Done {
                    context.metrics.resume.observe(began.elapsed(), None);
                }
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
                // A RECEIPT that was sent already is no answer to this.
                let receipt = subscription.is_some().then_some(&*receipt);
                let mut refusal = silent.refusal(&context.limits).with_receipt(receipt);
                let retry_after = delivery::retry_after_ms(CloseReason::SlowConsumer);
                refusal.headers.extend(retry_after.map(|ms| (RETRY_AFTER_MS, ms)));
                return Some(error_end(refusal, session.version(), &context.metrics));
            }
            Step::Done => return None,
        }
    }
}

/// The next piece of what the bus has of the gap, as browsers may see it.
async fn replay(
    context: &Context,
    history: Option<&dyn History>,
    request: Request<Target>,
) -> Result<held::Piece<Arc<Envelope>>, Unrecovered> {
    let (history, until) = (history.ok_or(Unrecovered::HistoryOff)?, request.until);
    let replaying = timeout(REPLAY_TIMEOUT, history.replay(request)).await;
    let mut missed = replaying.unwrap_or(Err(Unrecovered::Unavailable))?;
    let reaches = missed.reaches(until, |envelope| envelope.position);
    for envelope in &mut missed.messages {
        context.application.baggage.filter_in(envelope);
    }
    Ok(held::Piece {
        messages: missed.messages,
        behind: missed.behind,
        from_stream: missed.from_stream,
        reaches: reaches.ok_or(Unrecovered::Unavailable)?,
    })
}
