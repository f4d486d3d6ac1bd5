//! One client's connection from its upgrade to its end: one task, a reading and a writing future, joined once. Does what
//! `handshake` and `state` decide; knows the registry, the bus and the interceptors by their handles.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::time::timeout;
use tracing::{debug, info};

use super::action::{Action, Refusal};
use super::application;
use super::context::Context;
use super::end::{End, close_end, error_end, farewell, gone, receipt_message};
use super::input::{Input, Inputs};
use super::per_user::Seat;
use super::state::Session;
use crate::close_reason::CloseReason;
use crate::delivery::outbox::Outbox;
use crate::delivery::registry::SessionHandle;
use crate::ws::close::{linger, pong_frame};
use crate::ws::reader::Reader;
use crate::ws::upgrade::{Connection, register};
use crate::ws::writer::{PlainSocket, flush_last, write_outbox};

mod greet;

use greet::{LoggedIn, greet};

/// How long the last frames may take to reach the kernel.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves one upgraded connection until it is closed and its socket drained.
pub async fn serve(context: Arc<Context>, connection: Connection) {
    let Connection {
        socket,
        leftover,
        arrival,
    } = connection;
    // Freed with this function: the connection counts until its socket is closed.
    let _place = arrival.permit;
    let outbox = context.registry.outbox(socket.clone());
    let socket = match register(socket) {
        Ok(socket) => socket,
        Err(error) => return debug!(%error, "a connection could not be registered"),
    };
    let key = context.registry.session();
    let heard = || outbox.liveness().heard.store(key.now(), Ordering::Relaxed);
    let reader = Reader::new(&socket, leftover, context.limits.before_login.frame_bytes, &heard);
    let mut inputs = Inputs::new(reader, context.limits.before_login, &context.rates);
    let deadline = arrival.accepted_at + context.limits.connect_timeout.0;
    // Boxed and dropped before the session loop, or its size would stay in every idle session.
    let greeting = Box::pin(greet(
        &context,
        &mut inputs,
        &outbox,
        &socket,
        deadline,
        arrival.address,
        arrival.upgrade_authorization,
        key.clone(),
    ));
    let greeted = tokio::select! {
        greeted = greeting => greeted,
        () = context.draining.cancelled() => Err(close_end(CloseReason::Draining)),
    };
    let reason = match greeted {
        Ok(logged_in) => run(&context, logged_in, &mut inputs, &outbox, &socket).await,
        Err(end) => {
            debug!(address = %arrival.address, reason = end.reason.label(), "connection ended before login");
            outbox.close(end.reason, end.messages);
            end.reason
        }
    };
    context.metrics.closes.with_label_values(&[reason.label()]).inc();
    if reason == CloseReason::SlowConsumer {
        context.metrics.limit_hit(outbox.passed().0);
    }
    if reason == CloseReason::PeerGone {
        return;
    }
    drop(inputs);
    // Boxed for the same reason.
    let ending = Box::pin(async {
        if let Ok(Ok(())) = timeout(FLUSH_TIMEOUT, flush_last(&socket, &outbox)).await {
            linger(&socket).await;
        }
    });
    ending.await;
}

/// The session itself, from CONNECTED until one of its halves ends.
async fn run(
    context: &Arc<Context>,
    logged_in: Box<LoggedIn>,
    inputs: &mut Inputs<'_>,
    outbox: &Outbox,
    socket: &AsyncFd<Arc<PlainSocket>>,
) -> CloseReason {
    let LoggedIn {
        mut session,
        join,
        key,
        // Taken until the session's end.
        seat,
    } = *logged_in;
    let session_id = join.session.clone();
    let trusted = context.tracer.trusts_address(join.address);
    let user = join.principal.user().clone();
    key.join(join).await;
    context.presence.opened(&user);
    if let Some(superseded) = seat.as_deref().and_then(Seat::superseded) {
        superseded.close(&context.metrics).await;
    }
    let reason = {
        let writing = write_outbox(socket, outbox, || key.drained());
        let reading = read(context, &mut session, &session_id, trusted, inputs, outbox, &key);
        tokio::pin!(writing);
        tokio::pin!(reading);
        tokio::select! {
            end = &mut reading => {
                key.close(end.reason, end.messages).await;
                // The shard closes the outbox, in the order of its mailbox; unless it has closed it before.
                match timeout(FLUSH_TIMEOUT, writing).await {
                    Ok(Ok(reason)) => reason,
                    Ok(Err(_)) | Err(_) => CloseReason::PeerGone,
                }
            }
            closed = &mut writing => closed.unwrap_or(CloseReason::PeerGone),
        }
    };
    key.leave().await;
    context.presence.closed(&user);
    context.rules.chain.disconnect(session.principal(), reason);
    info!(%user, session = %session_id, reason = reason.label(), code = reason.code(), "session ended");
    reason
}

/// The reading half: frames in, actions done, until the session is to end.
async fn read(
    context: &Arc<Context>,
    session: &mut Session,
    session_id: &str,
    trusted: bool,
    inputs: &mut Inputs<'_>,
    outbox: &Outbox,
    key: &SessionHandle,
) -> End {
    let version = session.version();
    if let Err(reject) = context.rules.chain.joined(session.principal()) {
        return error_end(reject.into(), version, &context.metrics);
    }
    let mut requests = application::InFlight::default();
    loop {
        let frame = match inputs.next().await {
            Ok(Input::Frame(frame)) => frame,
            Ok(Input::Ping(payload)) => {
                key.say(pong_frame(&payload)).await;
                continue;
            }
            Ok(Input::Pong) => {
                outbox.liveness().pong.store(key.now(), Ordering::Relaxed);
                continue;
            }
            Ok(Input::Empty) => continue,
            Ok(Input::Close) => return close_end(CloseReason::Normal),
            Ok(Input::Gone) => return gone(),
            Err(refusal) => return error_end(refusal, version, &context.metrics),
        };
        context.metrics.frames_in.inc();
        if matches!(
            frame.command,
            crate::stomp::Command::Ack | crate::stomp::Command::Nack
        ) {
            context
                .metrics
                .acks
                .with_label_values(&[frame.command.as_str()])
                .inc();
        }
        match session.on_frame(frame, &context.rules) {
            Err(refusal) => return error_end(refusal, version, &context.metrics),
            Ok(Action::Done { receipt }) => {
                if let Some(receipt) = receipt {
                    key.say(receipt_message(&receipt, version)).await;
                }
            }
            Ok(Action::Subscribe {
                subscription,
                receipt,
            }) => {
                let receipt = receipt.map(|receipt| receipt_message(&receipt, version));
                key.subscribe(subscription, receipt).await;
            }
            Ok(Action::Unsubscribe { number, receipt }) => {
                let receipt = receipt.map(|receipt| receipt_message(&receipt, version));
                key.unsubscribe(number, receipt).await;
            }
            Ok(Action::Acknowledge { ack, receipt }) => {
                key.acknowledge(ack).await;
                if let Some(receipt) = receipt {
                    key.say(receipt_message(&receipt, version)).await;
                }
            }
            Ok(action @ (Action::Send { .. } | Action::Commit { .. })) => {
                let sender = application::Sender {
                    user: session.principal().user(),
                    session: session_id,
                    trusted,
                    key,
                };
                // Boxed: a SEND's future must not stay in an idle session.
                let sent = Box::pin(send(context, sender, outbox, action, &mut requests)).await;
                match sent {
                    Ok(None) => {}
                    Ok(Some(receipt)) => key.say(receipt_message(&receipt, version)).await,
                    Err(refusal) => return error_end(refusal, version, &context.metrics),
                }
            }
            Ok(Action::Disconnect { receipt }) => return farewell(receipt.as_deref(), version),
        }
    }
}

/// Sends what a SEND or COMMIT says; gives the receipt that is due.
async fn send(
    context: &Arc<Context>,
    sender: application::Sender<'_>,
    outbox: &Outbox,
    action: Action,
    requests: &mut application::InFlight,
) -> Result<Option<Box<str>>, Refusal> {
    let liveness = outbox.liveness();
    // While Herald itself is what holds up reading, silence is not the client's.
    liveness.paused.store(true, Ordering::Relaxed);
    let (sent, receipt) = match action {
        Action::Send { send, receipt } => {
            (application::send(context, sender, *send, requests).await, receipt)
        }
        Action::Commit { steps, receipt } => (
            application::commit(context, sender, steps, requests).await,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: what an idle session costs stays small; a growth is seen here before it is seen in an operator's bill.
    #[test]
    fn an_idle_sessions_future_is_small() {
        fn bytes<A, B, F: Future>(_: impl Fn(A, B) -> F) -> usize {
            size_of::<F>()
        }
        let future = bytes(serve);
        let outbox = size_of::<Outbox>();
        println!("session future {future} bytes, outbox {outbox} bytes");
        assert!(future <= 1_600, "{future} bytes");
    }
}
