//! Everything before the session: CONNECT in time, the interceptors, CONNECTED.

use std::sync::Arc;

use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{Instrument as _, debug, error, info};

use super::rate_penalty;

use crate::close_reason::CloseReason;
use crate::delivery::command::Join;
use crate::delivery::outbox::{Outbox, Outgoing};
use crate::delivery::registry::SessionHandle;
use crate::delivery::wire;
use crate::envelope::{TraceContext, unix_ms};
use crate::interceptor::{ConnectAttempt, Upgrade};
use crate::limit::Limit;
use crate::principal::Principal;
use crate::session::action::Refusal;
use crate::session::anonymous::AnonymousPlace;
use crate::session::context::Context;
use crate::session::end::{End, close_end, error_end, farewell, gone};
use crate::session::handshake::{Accepted, First, Handshake};
use crate::session::input::{Input, Inputs};
use crate::session::per_user::Seat;
use crate::session::state::Session;
use crate::stomp::Version;
use crate::task;
use crate::telemetry::trace::{Span, Upstream, tracing_span};
use crate::ws::close::pong_frame;
use crate::ws::newcomers::Newcomer;
use crate::ws::socket::Socket;
use crate::ws::writer::flush;

/// Before CONNECTED a client unescapes nothing (STOMP rules H3, H4).
const BEFORE_LOGIN: Version = Version::V1_0;

/// What a finished handshake passes to the session loop.
pub(super) struct LoggedIn {
    pub session: Session,
    pub join: Box<Join>,
    pub key: SessionHandle,
    pub seat: Option<Box<Seat>>,
    pub place: Option<AnonymousPlace>,
}

/// The client of an open WebSocket that has not logged in.
pub(super) struct Stranger {
    /// By when CONNECT must have come.
    pub deadline: Instant,
    pub address: std::net::IpAddr,
    pub upgrade: Upgrade,
    /// Its place among those that wait for their client.
    pub newcomer: Newcomer,
}

/// A stranger that did not become a session. Its last words are in the outbox.
pub(super) struct Dismissed {
    pub reason: CloseReason,
    /// Whether what it still sends is read, so that it gets its last words.
    pub lingers: bool,
}

/// Greets a stranger, unless the instance drains or the stranger is one of too many.
pub(super) async fn meet(
    context: &Context,
    inputs: &mut Inputs<'_>,
    outbox: &Arc<Outbox>,
    socket: &AsyncFd<Socket>,
    stranger: Stranger,
    key: SessionHandle,
) -> Result<Box<LoggedIn>, Dismissed> {
    let Stranger {
        deadline,
        address,
        upgrade,
        newcomer,
    } = stranger;
    let mut lingers = true;
    let greeting = Box::pin(greet(
        context, inputs, outbox, socket, deadline, address, upgrade, &newcomer, key,
    ));
    let greeted = tokio::select! {
        greeted = task::caught(greeting) => greeted.unwrap_or_else(|_panic| {
            error!(%address, "a login panicked, its connection is closed");
            Err(close_end(CloseReason::Internal))
        }),
        () = context.draining.cancelled() => Err(close_end(CloseReason::Draining)),
        limit = newcomer.evicted() => {
            // There may be many of them at once.
            lingers = false;
            let refusal = Refusal::new(CloseReason::Overloaded, newcomer.words(limit)).at(limit);
            Err(error_end(refusal, BEFORE_LOGIN, &context.metrics))
        }
    };
    drop(newcomer);
    match greeted {
        Ok(logged_in) => Ok(logged_in),
        Err(End {
            reason,
            limit,
            messages,
        }) => {
            if reason == CloseReason::RateLimited {
                sleep(rate_penalty()).await;
            }
            let limit = limit.map(Limit::name);
            debug!(%address, reason = reason.label(), limit, "connection ended before login");
            outbox.close(reason, messages);
            Err(Dismissed { reason, lingers })
        }
    }
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
    socket: &AsyncFd<Socket>,
    deadline: Instant,
    address: std::net::IpAddr,
    upgrade: Upgrade,
    newcomer: &Newcomer,
    key: SessionHandle,
) -> Result<Box<LoggedIn>, End> {
    let first = timeout_at(deadline, first_frame(context, inputs, outbox, socket));
    let first = first.await;
    let frame = first.unwrap_or_else(|_| {
        let within = context.limits.connect_timeout;
        let message = match inputs.awaits_nul_of_connect() {
            false => format!("no CONNECT within {within} (limits.connect_timeout)"),
            // React Native on Android cuts a text message at its NUL.
            true => format!(
                "a CONNECT came without the NUL that ends a frame, and no NUL within {within} (limits.connect_timeout): \
                 where WebSocket text is cut at NUL, stompjs needs forceBinaryWSFrames"
            ),
        };
        let refusal = Refusal::new(CloseReason::HandshakeTimeout, message);
        Err(error_end(
            refusal.at(Limit::ConnectTimeout),
            BEFORE_LOGIN,
            &context.metrics,
        ))
    })?;
    newcomer.settle();
    context.metrics.frames_in.inc();
    let first = Handshake::on_first_frame(&frame, &context.heartbeat, address, upgrade);
    let upstream = begun(context, &frame, address);
    // The CONNECT frame holds a password: it is dropped before anything else waits.
    drop(frame);
    let (handshake, attempt) =
        match first.map_err(|refusal| error_end(refusal, BEFORE_LOGIN, &context.metrics))? {
            First::Connect(handshake, attempt) => (handshake, attempt),
            First::Disconnect(receipt) => return Err(farewell(receipt.as_deref(), BEFORE_LOGIN)),
        };
    let version = handshake.version();
    let mut span = context.tracer.connect(&upstream, address, &version.to_string());
    let within = tracing_span(span.as_ref());
    let principal = tokio::select! {
        // A client that is refused at once is not read any further.
        biased;
        principal = authenticate(context, &attempt, &mut span).instrument(within.clone()) => principal?,
        // A login whose client has gone leaves the queue: nobody should wait for its hash.
        end = departure(context, inputs, outbox, socket) => return Err(end),
    };
    drop(attempt);
    let admitted = admit(context, &principal, version, &key).await;
    let (seat, place) = admitted.map_err(|refusal| {
        failed(&mut span, refusal.reason, &refusal.message);
        error_end(refusal, BEFORE_LOGIN, &context.metrics)
    })?;
    let session_id = ulid::Ulid::new().to_string();
    let (user, owner) = (principal.user().clone(), principal.clone());
    let Accepted {
        session,
        connected,
        heartbeat,
    } = handshake.accept(principal, &session_id, &context.instance, unix_ms());
    within.in_scope(
        || info!(user = %user, session = %session_id, %address, version = %version, "session connected"),
    );
    if let Some(span) = &span {
        span.connected(user.as_str(), &session_id);
    }
    inputs.logged_in(&user, version, context.limits.after_login);
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
    Ok(Box::new(LoggedIn {
        session,
        join,
        key,
        seat,
        place,
    }))
}

/// A place among the user's sessions, where these have a bound, or among the anonymous ones.
async fn admit(
    context: &Context,
    principal: &Principal,
    version: Version,
    key: &SessionHandle,
) -> Result<(Option<Box<Seat>>, Option<AnonymousPlace>), Refusal> {
    if principal.is_anonymous() {
        return Ok((None, Some(context.anonymous.admit()?)));
    }
    let (seat, superseded) = context.per_user.admit(principal.user(), version, key)?;
    for old in superseded {
        old.close(&context.metrics).await;
    }
    if let Some(seat) = seat.as_deref() {
        context.cluster.admit(seat).await?;
    }
    Ok((seat, None))
}

/// Whether this CONNECT is traced: its own `traceparent` decides for clients that `tracing.trust` names, else the
/// ratio.
fn begun(context: &Context, frame: &crate::stomp::Frame, address: std::net::IpAddr) -> Upstream {
    if !context.tracer.is_on() {
        return Upstream::default();
    }
    let trace = TraceContext::from_lookup(|name| frame.headers.get(name));
    let trusted = context.tracer.trusts_address(address);
    context.tracer.decide(trace, trusted, None)
}

fn failed(span: &mut Option<Span>, reason: CloseReason, words: &str) {
    if let Some(span) = span {
        span.fail(reason.label(), words.to_owned());
    }
}

async fn authenticate(
    context: &Context,
    attempt: &ConnectAttempt,
    span: &mut Option<Span>,
) -> Result<Principal, End> {
    context.rules.chain.connect(attempt).await.map_err(|reject| {
        let limit = reject.limit.map(Limit::name);
        info!(address = %attempt.address, reason = reject.reason.label(), limit, "login refused");
        failed(span, reject.reason, &reject.message);
        error_end(reject.into(), BEFORE_LOGIN, &context.metrics)
    })
}

/// The first STOMP frame. Pings are answered meanwhile, whatever STOMP's state (STOMP rule W8).
async fn first_frame(
    context: &Context,
    inputs: &mut Inputs<'_>,
    outbox: &Outbox,
    socket: &AsyncFd<Socket>,
) -> Result<crate::stomp::Frame, End> {
    loop {
        let input = inputs.next().await;
        if let Some(frame) = before_session(input, context, outbox, socket).await? {
            return Ok(frame);
        }
    }
}

/// Waits until the client ends the connection. Pings are answered meanwhile; no frame is read.
async fn departure(
    context: &Context,
    inputs: &mut Inputs<'_>,
    outbox: &Outbox,
    socket: &AsyncFd<Socket>,
) -> End {
    loop {
        let input = inputs.next_but_frames().await;
        if let Err(end) = before_session(input, context, outbox, socket).await {
            return end;
        }
    }
}

/// What an input means before there is a session: a frame, nothing, or the end.
async fn before_session(
    input: Result<Input, Refusal>,
    context: &Context,
    outbox: &Outbox,
    socket: &AsyncFd<Socket>,
) -> Result<Option<crate::stomp::Frame>, End> {
    match input {
        Ok(Input::Frame(frame)) => Ok(Some(frame)),
        Ok(Input::Ping(payload)) => {
            outbox.push_own(Outgoing::plain(pong_frame(&payload)));
            flush(socket, outbox).await.map_err(|_| gone())?;
            Ok(None)
        }
        Ok(Input::Pong | Input::Empty) => Ok(None),
        Ok(Input::Close) => Err(close_end(CloseReason::Normal)),
        Ok(Input::Gone) => Err(gone()),
        Err(refusal) => Err(error_end(refusal, BEFORE_LOGIN, &context.metrics)),
    }
}
