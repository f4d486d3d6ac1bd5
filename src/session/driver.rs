//! One client's connection from its upgrade to its end: one task, with a reading and a writing future that are joined
//! once. Executes what `handshake` and `state` decide. Knows the registry, the bus and the interceptors only through their
//! handles.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::time::timeout;
use tracing::{debug, error, info};

use super::action::Refusal;
use super::application;
use super::context::Context;
use super::end::{End, close_end, error_end, gone};
use super::input::{Input, Inputs};
use super::per_user::Seat;
use super::state::Session;
use crate::close_reason::CloseReason;
use crate::delivery::command::Join;
use crate::delivery::outbox::Outbox;
use crate::delivery::registry::SessionHandle;
use crate::limit::{AddressGroup, Limit};
use crate::stomp::Command;
use crate::task;
use crate::ws::close::{linger, pong_frame};
use crate::ws::reader::Reader;
use crate::ws::socket::Socket;
use crate::ws::upgrade::{Connection, register};
use crate::ws::writer::{flush_last, write_outbox};

mod act;
mod ahead;
mod greet;
mod renew;
mod resume;
mod room;

use act::{Reading, Source, on_frame};
use ahead::Ahead;
use greet::{LoggedIn, Stranger, meet};

/// How long the last frames may take to reach the kernel.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// If a client exceeds a rate, Herald stops reading from it for at least this long, then sends the ERROR and closes.
/// Otherwise a client that reconnects at once would get a new burst for the price of a login, and the rate would have no effect.
const RATE_PENALTY: Duration = Duration::from_secs(1);

/// [`RATE_PENALTY`] plus a random part of up to half of it, so that clients that were stopped together do not come back
/// together.
fn rate_penalty() -> Duration {
    RATE_PENALTY.mul_f64(1.0 + fastrand::f64() / 2.0)
}

/// Serves one upgraded connection until it is closed and its socket drained. Call it in the runtime.
///
/// **Size.** The future lives as long as its session, so it contains nothing that an idle session does not need. Work that
/// is done once is boxed and dropped. The remaining futures are blocks returned by plain functions, because an
/// `async fn` stores its arguments twice.
pub(crate) fn serve(context: Arc<Context>, connection: Connection) -> impl Future<Output = ()> + Send {
    let Connection {
        socket,
        leftover,
        arrival,
    } = connection;
    let outbox = context.registry.outbox(socket.writer());
    outbox.belong_to(&AddressGroup::of(arrival.address));
    let socket = register(socket);
    let key = context.registry.session();
    let place = arrival.permit;
    let stranger = Stranger {
        deadline: arrival.accepted_at + context.limits.connect_timeout.0,
        address: arrival.address,
        upgrade: arrival.upgrade,
        newcomer: arrival.newcomer,
    };
    let opening = Box::new((leftover, stranger));
    async move {
        // Dropped with this block, because the connection counts until its socket is closed.
        let _place = place;
        let socket = match &socket {
            Ok(socket) => socket,
            Err(error) => return debug!(%error, "a connection could not be registered"),
        };
        let heard = || outbox.liveness().heard.store(key.now(), Ordering::Relaxed);
        let (leftover, stranger) = *opening;
        let limits = &context.limits;
        let reader = Reader::new(socket, leftover, limits.before_login.frame_bytes, &heard)
            .within(context.incoming.share(&AddressGroup::of(stranger.address)));
        let mut inputs = Inputs::new(reader, limits.before_login, &context.rates);
        let met = {
            let meeting = meet(&context, &mut inputs, &outbox, socket, stranger, key.clone());
            Box::pin(meeting).await
        };
        let (reason, lingers) = match met {
            Ok(logged_in) => (run(&context, logged_in, &mut inputs, &outbox, socket).await, true),
            Err(dismissed) => {
                note_overflow(&context, dismissed.reason, &outbox);
                (dismissed.reason, dismissed.lingers)
            }
        };
        context.metrics.closes.with_label_values(&[reason.label()]).inc();
        if reason == CloseReason::PeerGone {
            return;
        }
        drop(inputs);
        let ending = Box::pin(async {
            let flushed = timeout(FLUSH_TIMEOUT, flush_last(socket, &outbox)).await;
            if lingers && matches!(flushed, Ok(Ok(()))) {
                linger(socket).await;
            }
        });
        ending.await;
    }
}

/// The session itself, from CONNECTED until one of its halves ends. A panic in either half is handled like any other end:
/// everything that the session has acquired is released.
#[expect(
    clippy::boxed_local,
    reason = "the box is freed here; moved out by the caller, it would live as long as the session"
)]
fn run(
    context: &Arc<Context>,
    logged_in: Box<LoggedIn>,
    inputs: &mut Inputs<'_>,
    outbox: &Outbox,
    socket: &AsyncFd<Socket>,
) -> impl Future<Output = CloseReason> + Send {
    let LoggedIn {
        mut session,
        join,
        key,
        seat,
        place,
    } = *logged_in;
    let who = Who::of(&join);
    let trusted = context.tracer.trusts_address(join.address);
    let joining = key.join(join);
    async move {
        // The seat stays where it was captured, until the session's end: a second binding would reserve space for it twice.
        let mut online = false;
        let beginning = Box::pin(async {
            joining.await;
            if !session.principal().is_anonymous() {
                context.presence.opened(session.principal().user());
                online = true;
            }
            if let Some(superseded) = seat.as_deref().and_then(Seat::superseded) {
                superseded.close(&context.metrics).await;
            }
        });
        let (reason, limit) = match task::caught(beginning).await {
            Err(_panic) => (after_panic(who.session()), None),
            Ok(()) => {
                let writing = task::caught(write_outbox(socket, outbox, || key.drained()));
                let source = Source {
                    session_id: who.session(),
                    trusted,
                    key: &key,
                };
                let version = session.version();
                let reading = task::caught(read(context, &mut session, source, inputs, outbox));
                tokio::pin!(writing);
                tokio::pin!(reading);
                tokio::select! {
                    end = &mut reading => {
                        let end = end.unwrap_or_else(|_panic| {
                            let reason = after_panic(who.session());
                            error_end(Refusal::new(reason, reason.words()), version, &context.metrics)
                        });
                        let (own, limit) = (end.reason, end.limit);
                        let reason = Box::pin(finish(outbox, &key, end, writing.as_mut())).await;
                        (reason, limit.filter(|_| reason == own))
                    }
                    closed = &mut writing => match closed {
                        Ok(closed) => (closed.unwrap_or(CloseReason::PeerGone), None),
                        Err(_panic) => (after_panic(who.session()), None),
                    },
                }
            }
        };
        key.leave().await;
        let principal = session.principal();
        if online {
            context.presence.closed(principal.user());
        }
        if task::caught_now(|| context.rules.chain.disconnect(principal, reason)).is_err() {
            error!(
                session = who.session(),
                "an interceptor panicked at a session's end"
            );
        }
        let user = principal.user();
        if reason == CloseReason::TokenExpired {
            let address = who.address().parse().ok();
            context
                .audit
                .ended(principal, who.session(), address, "token-expired");
        }
        if limit.is_none() {
            note_overflow(context, reason, outbox);
        }
        let limit = limit.or_else(|| limit_of(reason, outbox)).map(Limit::name);
        info!(
            %user, session = who.session(), address = who.address(), reason = reason.label(), code = reason.code(), limit,
            "session ended"
        );
        drop(place);
        reason
    }
}

/// A session's id, a blank and its client's address: one string, because every session keeps it until its end.
struct Who(Box<str>);

impl Who {
    fn of(join: &Join) -> Self {
        Self(format!("{} {}", join.session, join.address).into())
    }

    fn session(&self) -> &str {
        self.0.split_once(' ').map_or(&*self.0, |(session, _)| session)
    }

    fn address(&self) -> &str {
        self.0.split_once(' ').map_or("", |(_, address)| address)
    }
}

/// Counts the bound of the outbox that a slow consumer has exceeded.
fn note_overflow(context: &Context, reason: CloseReason, outbox: &Outbox) {
    if reason == CloseReason::SlowConsumer {
        context.metrics.limit_hit(outbox.passed().0);
    }
}

/// The limit because of which another session or instance has closed this one.
fn limit_of(reason: CloseReason, outbox: &Outbox) -> Option<Limit> {
    match reason {
        CloseReason::SlowConsumer => Some(outbox.passed().0),
        // One for each `limits.sessions_per_user_policy`.
        CloseReason::Superseded | CloseReason::Limit => Some(Limit::SessionsPerUser),
        _ => None,
    }
}

/// The reason for the end of a session whose task has panicked.
fn after_panic(session_id: &str) -> CloseReason {
    error!(session = %session_id, "a session panicked and is closed");
    CloseReason::Internal
}

/// Sends the session's last frames. Returns why it ended: a reason other than `end`'s if it was closed before they
/// were sent.
async fn finish(
    outbox: &Outbox,
    key: &SessionHandle,
    end: End,
    mut writing: Pin<&mut impl Future<Output = Result<io::Result<CloseReason>, task::Panicked>>>,
) -> CloseReason {
    let mut closed = None;
    if end.reason == CloseReason::RateLimited {
        // Herald itself does not read here. It still sends deliveries.
        outbox.liveness().paused.store(true, Ordering::Relaxed);
        closed = timeout(rate_penalty(), &mut writing).await.ok();
    }
    if closed.is_none() {
        key.close(end.reason, end.messages).await;
        // The shard closes the outbox, in mailbox order, unless it has already done so.
        closed = timeout(FLUSH_TIMEOUT, writing).await.ok();
    }
    match closed {
        Some(Ok(Ok(closed))) => closed,
        Some(Err(_)) => CloseReason::Internal,
        _ => CloseReason::PeerGone,
    }
}

/// The reading half: receives frames and executes actions until the session has to end.
fn read(
    context: &Arc<Context>,
    session: &mut Session,
    source: Source<'_>,
    inputs: &mut Inputs<'_>,
    outbox: &Outbox,
) -> impl Future<Output = End> + Send {
    let mut requests = application::InFlight::default();
    let mut ahead = Ahead::default();
    async move {
        if let Err(reject) = context.rules.chain.joined(session.principal()) {
            return error_end(reject.into(), session.version(), &context.metrics);
        }
        loop {
            let input = async {
                match ahead.pop() {
                    Some(frame) => Ok(Input::Frame(*frame)),
                    None => inputs.next().await,
                }
            };
            let handling = match input.await {
                Ok(Input::Frame(frame)) => {
                    if frame.command == Command::Send {
                        let bytes = frame.headers.bytes() + frame.body.len();
                        outbox.sent().count(source.key.now(), bytes);
                    }
                    // Counts what earlier frames turned out to be; this frame has been answered.
                    if let Err(refusal) = inputs.idle(outbox.acks().take_missed(), &frame) {
                        return error_end(refusal, session.version(), &context.metrics);
                    }
                    let reading = Reading {
                        requests: &mut requests,
                        inputs,
                        ahead: &mut ahead,
                    };
                    Box::pin(on_frame(context, session, source, outbox, reading, frame))
                }
                Ok(Input::Ping(payload)) => {
                    source.key.say(pong_frame(&payload)).await;
                    continue;
                }
                Ok(Input::Pong) => {
                    outbox.liveness().pong.store(source.key.now(), Ordering::Relaxed);
                    continue;
                }
                Ok(Input::Empty) => continue,
                Ok(Input::Close) => return close_end(CloseReason::Normal),
                Ok(Input::Gone) => return gone(),
                Err(refusal) => return error_end(refusal, session.version(), &context.metrics),
            };
            if let Some(end) = handling.await {
                return end;
            }
        }
    }
}

/// The size of the future that lives as long as a session.
pub(super) fn future_bytes() -> usize {
    fn bytes<A, B, F: Future>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }
    bytes(serve)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This is most of an idle session's memory, so every session pays for what is added here.
    #[test]
    fn an_idle_sessions_future_is_small() {
        let bytes = future_bytes();
        assert!(bytes <= 1_000, "{bytes} bytes");
    }
}
