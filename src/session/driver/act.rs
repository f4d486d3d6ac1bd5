//! Carries out one frame: `state` says what it requests, and this does it. Knows no socket.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::ahead::Ahead;
use super::renew;
use super::resume::{self, Resume};
use crate::close_reason::CloseReason;
use crate::delivery::outbox::Outbox;
use crate::delivery::registry::SessionHandle;
use crate::interceptor::Denied;
use crate::session::action::{Action, Note, Refusal};
use crate::session::application;
use crate::session::context::Context;
use crate::session::end::{End, error_end, farewell, receipt_message};
use crate::session::input::Inputs;
use crate::session::state::Session;
use crate::stomp::{Command, Frame};
#[cfg(test)]
use crate::task;
use crate::telemetry::audit::Refused;

/// The most characters of a refusal or a destination that a line of the log repeats.
const DETAIL_MAX_CHARS: usize = 300;

/// The session that frames come from, and its link to the shard that executes them.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) session_id: &'a str,
    /// Whether its address may force its traces to be recorded.
    pub(super) trusted: bool,
    pub(super) key: &'a SessionHandle,
}

/// What the reading half has of its own.
pub(super) struct Reading<'a, 'i> {
    pub(super) requests: &'a mut application::InFlight,
    pub(super) inputs: &'a mut Inputs<'i>,
    /// Frames that were read ahead, and come next.
    pub(super) ahead: &'a mut Ahead,
}

impl<'i> Reading<'_, 'i> {
    /// The same, for one frame.
    pub(super) fn again(&mut self) -> Reading<'_, 'i> {
        Reading {
            requests: self.requests,
            inputs: self.inputs,
            ahead: self.ahead,
        }
    }
}

/// Executes one frame. Returns the session's end, if the frame causes it.
pub(super) async fn on_frame(
    context: &Arc<Context>,
    session: &mut Session,
    source: Source<'_>,
    outbox: &Outbox,
    reading: Reading<'_, '_>,
    frame: Frame,
) -> Option<End> {
    let (version, key) = (session.version(), source.key);
    #[cfg(test)]
    task::faults::trip(&frame.body);
    count_frame(context, &frame);
    let (action, noted) = without_note(session.on_frame(frame, &context.rules));
    let receipt = match action {
        Err(refusal) => {
            Box::pin(tell_refused(context, session, source, &refusal)).await;
            return Some(error_end(refusal, version, &context.metrics));
        }
        Ok(Action::Noted { .. }) => None,
        Ok(Action::Done { receipt }) => receipt,
        Ok(Action::Idle { frames, receipt }) => {
            outbox.acks().miss(frames);
            receipt
        }
        Ok(Action::Subscribe {
            subscription,
            receipt,
            ..
        }) if !Box::pin(resume::has_begun(context, key, outbox, &subscription.target)).await => {
            let refusal = resume::not_begun().with_receipt(receipt.as_deref());
            return Some(error_end(refusal, version, &context.metrics));
        }
        Ok(Action::Subscribe {
            subscription,
            receipt,
            after: None,
        }) => {
            key.subscribe(subscription, receipt.as_deref().map(Into::into))
                .await;
            None
        }
        Ok(Action::Subscribe {
            subscription,
            receipt,
            after: Some(after),
        }) => {
            let resume = Resume {
                subscription,
                receipt: receipt.unwrap_or_default(),
                after,
            };
            // Boxed, or the future of every other frame would have its size.
            let resuming = Box::pin(resume::resume(context, session, source, outbox, reading, resume));
            if let Some(end) = resuming.await {
                return Some(end);
            }
            None
        }
        Ok(Action::Unsubscribe { number, receipt }) => {
            let receipt = receipt.map(|receipt| receipt_message(&receipt, version));
            key.unsubscribe(number, receipt).await;
            None
        }
        Ok(Action::Acknowledge { ack, receipt }) => {
            application::acknowledge(key, outbox.acks(), ack).await;
            receipt
        }
        Ok(action @ (Action::Send { .. } | Action::Commit { .. })) => {
            let sender = sender(session, source);
            match send(context, sender, outbox, action, reading.requests).await {
                Ok(receipt) => receipt,
                Err(refusal) => return Some(error_end(refusal, version, &context.metrics)),
            }
        }
        Ok(Action::Renew { frame, receipt }) => {
            let renewing = renew::renew(context, session, source, outbox, reading, *frame, receipt);
            // As above.
            return Box::pin(renewing).await;
        }
        Ok(Action::Disconnect { receipt }) => return Some(farewell(receipt.as_deref(), version)),
    };
    if let Some(receipt) = receipt {
        key.say(receipt_message(&receipt, version)).await;
    }
    if let Some(noted) = noted {
        application::note(context, sender(session, source), noted).await;
    }
    None
}

/// Executes an ACK or NACK that has neither `receipt` nor `transaction`, as [`on_frame`] does. Returns the session's end, if
/// the frame causes it.
pub(super) async fn on_acknowledgement(
    context: &Context,
    session: &mut Session,
    source: Source<'_>,
    outbox: &Outbox,
    frame: Frame,
) -> Option<End> {
    count_frame(context, &frame);
    let (action, noted) = without_note(session.on_frame(frame, &context.rules));
    match action {
        Err(refusal) => return Some(error_end(refusal, session.version(), &context.metrics)),
        Ok(Action::Idle { frames, .. }) => outbox.acks().miss(frames),
        Ok(Action::Acknowledge { ack, .. }) => {
            application::acknowledge(source.key, outbox.acks(), ack).await;
        }
        Ok(_) => {}
    }
    if let Some(noted) = noted {
        application::note(context, sender(session, source), noted).await;
    }
    None
}

/// Tells the audit of what the permissions refused, and the log of a frame that is refused for what its session may do. What is
/// merely malformed is between the client and its programmer.
async fn tell_refused(context: &Context, session: &Session, source: Source<'_>, refusal: &Refusal) {
    let is_telling = matches!(
        refusal.reason,
        CloseReason::Forbidden | CloseReason::Limit | CloseReason::RateLimited | CloseReason::TooLarge
    );
    if !is_telling {
        return;
    }
    if let Some(denied) = &refusal.denied {
        tell_denied(context, session, source, denied).await;
    }
    let Some(left_out) = context.refused_frames.pass() else {
        return;
    };
    let address = source.key.address().await.map(tracing::field::display);
    let user = session.principal().user();
    // The client's own words may be among these: the destination, and no body.
    let shown = |text: &str| -> String { text.escape_debug().take(DETAIL_MAX_CHARS).collect() };
    let destination = refusal.destination.as_deref().map(shown);
    let detail = shown(&refusal.message);
    let (session, reason) = (source.session_id, refusal.reason.label());
    tracing::info!(%user, address, session, destination, reason, detail, left_out, "a frame was refused");
}

/// Tells the audit of a destination that the session may not have, or not any more.
pub(super) async fn tell_denied(context: &Context, session: &Session, source: Source<'_>, denied: &Denied) {
    context.audit.not_permitted(&Refused {
        who: &format!("user:{}", session.principal().user()),
        address: source.key.address().await,
        session: Some(source.session_id),
        action: denied.action,
        user: None,
        destination: &denied.destination,
        rule: denied.rule.as_deref(),
    });
}

/// What a frame asks for, and what its client is told besides.
fn without_note(action: Result<Action, Refusal>) -> (Result<Action, Refusal>, Option<Note>) {
    match action {
        Ok(Action::Noted { action, note }) => (Ok(*action), Some(note)),
        action => (action, None),
    }
}

pub(super) fn sender<'a>(session: &'a Session, source: Source<'a>) -> application::Sender<'a> {
    application::Sender {
        user: session.principal().user(),
        session: source.session_id,
        trusted: source.trusted,
        key: source.key,
    }
}

/// Counts a frame of a client's.
fn count_frame(context: &Context, frame: &Frame) {
    context.metrics.frames_in.inc();
    if matches!(frame.command, Command::Ack | Command::Nack) {
        let kind = [frame.command.as_str()];
        context.metrics.acks.with_label_values(&kind).inc();
    }
}

/// Executes a SEND or COMMIT. Returns the receipt that is due.
async fn send(
    context: &Arc<Context>,
    sender: application::Sender<'_>,
    outbox: &Outbox,
    action: Action,
    requests: &mut application::InFlight,
) -> Result<Option<Box<str>>, Refusal> {
    let liveness = outbox.liveness();
    // While Herald itself delays reading, the silence is not the client's.
    liveness.paused.store(true, Ordering::Relaxed);
    let (sent, receipt) = match action {
        Action::Send { send, receipt } => {
            (application::send(context, sender, *send, requests).await, receipt)
        }
        Action::Commit { steps, receipt } => (
            application::commit(context, sender, outbox.acks(), steps, requests).await,
            receipt,
        ),
        _ => (Ok(application::Accepted::Yes), None),
    };
    liveness.heard.store(sender.key.now(), Ordering::Relaxed);
    liveness.paused.store(false, Ordering::Relaxed);
    match sent {
        Ok(application::Accepted::Yes) => Ok(receipt),
        Ok(application::Accepted::Reported) => Ok(None),
        Err(refusal) => Err(refusal.with_receipt(receipt.as_deref())),
    }
}
