//! One client's connection from its upgrade to its end: one task, a reading and a writing future, joined once. Does what
//! `handshake` and `state` decide; knows the registry, the bus and the interceptors by their handles.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, info};

use super::action::{Action, Refusal};
use super::application;
use super::context::Context;
use super::handshake::{Accepted, First, Handshake};
use super::input::{Input, Inputs};
use super::state::Session;
use crate::close_reason::CloseReason;
use crate::delivery::command::Join;
use crate::delivery::outbox::{Outbox, Outgoing};
use crate::delivery::registry::SessionHandle;
use crate::delivery::wire;
use crate::envelope::unix_ms;
use crate::interceptor::ConnectAttempt;
use crate::stomp::Version;
use crate::stomp::encoder::{ServerFrame, encode};
use crate::ws::close::{linger, pong_frame};
use crate::ws::reader::Reader;
use crate::ws::upgrade::{Connection, register};
use crate::ws::writer::{PlainSocket, flush, write_outbox};

/// Before CONNECTED a client unescapes nothing (STOMP rules H3, H4).
const BEFORE_LOGIN: Version = Version::V1_0;
/// How long the last frames may take to reach the kernel.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// How a session's reading half came to its end: what it says last.
struct End {
    reason: CloseReason,
    messages: Vec<Bytes>,
}

/// What a finished handshake hands to the session loop.
struct LoggedIn {
    session: Session,
    join: Box<Join>,
    key: SessionHandle,
}

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
    let mut inputs = Inputs::new(reader, context.limits.before_login);
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
            outbox.close(end.reason, end.messages);
            end.reason
        }
    };
    context.metrics.closes.with_label_values(&[reason.label()]).inc();
    if reason == CloseReason::PeerGone {
        return;
    }
    drop(inputs);
    // Boxed for the same reason.
    let ending = Box::pin(async {
        if let Ok(Ok(())) = timeout(FLUSH_TIMEOUT, flush(&socket, &outbox)).await {
            linger(&socket).await;
        }
    });
    ending.await;
}

/// Everything before the session: CONNECT within the deadline, the interceptors, CONNECTED.
#[expect(
    clippy::too_many_arguments,
    reason = "one call, from the function above; a struct would only rename them"
)]
async fn greet(
    context: &Context,
    inputs: &mut Inputs<'_>,
    outbox: &Arc<Outbox>,
    socket: &AsyncFd<Arc<PlainSocket>>,
    deadline: Instant,
    address: std::net::IpAddr,
    upgrade_authorization: Option<crate::config::secret::Secret>,
    key: SessionHandle,
) -> Result<Box<LoggedIn>, End> {
    let first = timeout_at(deadline, first_frame(inputs, outbox, socket));
    let frame = first.await.unwrap_or_else(|_| {
        let message = format!(
            "no CONNECT within {} (limits.connect_timeout)",
            context.limits.connect_timeout
        );
        Err(error_end(
            Refusal::new(CloseReason::HandshakeTimeout, message),
            BEFORE_LOGIN,
        ))
    })?;
    context.metrics.frames_in.inc();
    let first = Handshake::on_first_frame(&frame, &context.heartbeat, address, upgrade_authorization);
    // The CONNECT frame holds a password: it goes before anything else waits.
    drop(frame);
    let (handshake, attempt) = match first.map_err(|refusal| error_end(refusal, BEFORE_LOGIN))? {
        First::Connect(handshake, attempt) => (handshake, attempt),
        First::Disconnect(receipt) => return Err(farewell(receipt.as_deref(), BEFORE_LOGIN)),
    };
    let version = handshake.version();
    let principal = authenticate(context, &attempt).await?;
    drop(attempt);
    let session_id = ulid::Ulid::new().to_string();
    let (user, owner) = (principal.user().clone(), principal.clone());
    let Accepted {
        session,
        connected,
        heartbeat,
    } = handshake.accept(principal, &session_id, &context.instance);
    info!(user = %user, session = %session_id, %address, version = %version, "session connected");
    inputs.logged_in(version, context.limits.after_login);
    let join = Box::new(Join {
        outbox: outbox.clone(),
        session: session_id.into(),
        principal: owner,
        version,
        send_every_ms: heartbeat.send_every_ms,
        receive_every_ms: heartbeat.receive_every_ms,
        address,
        since_ms: unix_ms(),
        connected: wire::message_of(&connected),
    });
    Ok(Box::new(LoggedIn { session, join, key }))
}

async fn authenticate(
    context: &Context,
    attempt: &ConnectAttempt,
) -> Result<crate::principal::Principal, End> {
    context.rules.chain.connect(attempt).await.map_err(|reject| {
        info!(address = %attempt.address, reason = reject.reason.label(), "login refused");
        error_end(Refusal::new(reject.reason, reject.message), BEFORE_LOGIN)
    })
}

/// The first STOMP frame; pings are answered meanwhile, whatever STOMP's state (STOMP rule W8).
async fn first_frame(
    inputs: &mut Inputs<'_>,
    outbox: &Outbox,
    socket: &AsyncFd<Arc<PlainSocket>>,
) -> Result<crate::stomp::Frame, End> {
    loop {
        match inputs.next().await {
            Ok(Input::Frame(frame)) => return Ok(frame),
            Ok(Input::Ping(payload)) => {
                outbox.push_own(Outgoing::plain(pong_frame(&payload)));
                flush(socket, outbox).await.map_err(|_| gone())?;
            }
            Ok(Input::Pong) => {}
            Ok(Input::Close) => return Err(close_end(CloseReason::Normal)),
            Ok(Input::Gone) => return Err(gone()),
            Err(refusal) => return Err(error_end(refusal, BEFORE_LOGIN)),
        }
    }
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
    } = *logged_in;
    let session_id = join.session.clone();
    let user = join.principal.user().clone();
    key.join(join).await;
    context.presence.opened(&user);
    let reason = {
        let writing = write_outbox(socket, outbox, || key.drained());
        let reading = async {
            match context.rules.chain.joined(session.principal()) {
                Ok(()) => read(context, &mut session, &session_id, inputs, outbox, &key).await,
                Err(reject) => error_end(Refusal::new(reject.reason, reject.message), session.version()),
            }
        };
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
    inputs: &mut Inputs<'_>,
    outbox: &Outbox,
    key: &SessionHandle,
) -> End {
    let version = session.version();
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
            Ok(Input::Close) => return close_end(CloseReason::Normal),
            Ok(Input::Gone) => return gone(),
            Err(refusal) => return error_end(refusal, version),
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
            Err(refusal) => return error_end(refusal, version),
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
                    key,
                };
                // Boxed: a SEND's future must not stay in an idle session.
                let sent = Box::pin(send(context, sender, outbox, action, &mut requests)).await;
                match sent {
                    Ok(None) => {}
                    Ok(Some(receipt)) => key.say(receipt_message(&receipt, version)).await,
                    Err(refusal) => return error_end(refusal, version),
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

fn receipt_message(receipt: &str, version: Version) -> Bytes {
    wire::message_of(&encode(&ServerFrame::Receipt { receipt_id: receipt }, version))
}

/// DISCONNECT: RECEIPT if asked, then Close (STOMP rule D1).
fn farewell(receipt: Option<&str>, version: Version) -> End {
    let mut messages = Vec::new();
    messages.extend(receipt.map(|receipt| receipt_message(receipt, version)));
    let mut end = close_end(CloseReason::Normal);
    messages.append(&mut end.messages);
    End {
        reason: CloseReason::Normal,
        messages,
    }
}

/// Nobody is left to say anything to.
fn gone() -> End {
    let (reason, messages) = (CloseReason::PeerGone, Vec::new());
    End { reason, messages }
}

fn close_end(reason: CloseReason) -> End {
    End {
        reason,
        messages: vec![wire::close_frame(reason.code(), reason.words())],
    }
}

/// ERROR, then Close (STOMP rules E1, E2).
fn error_end(refusal: Refusal, version: Version) -> End {
    let headers: Vec<(&str, &str)> = refusal
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let error = encode(
        &ServerFrame::Error {
            message: &refusal.message,
            receipt_id: refusal.receipt.as_deref(),
            headers: &headers,
            body: &refusal.body,
        },
        version,
    );
    let close = wire::close_frame(refusal.reason.code(), &refusal.message);
    End {
        reason: refusal.reason,
        messages: vec![wire::message_of(&error), close],
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
        assert!(future <= 1_536, "{future} bytes");
    }
}
