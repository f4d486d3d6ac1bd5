//! From a request to a bare socket: the checks of the handshake, fastwebsockets' 101, and taking the TCP connection
//! out of hyper and tokio. It only knows the names of STOMP's sub-protocols, and not how the connection is used
//! afterwards.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use fastwebsockets::upgrade::UpgradeFut;
use futures_util::future::BoxFuture;
use http::StatusCode;
use http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use hyper_util::rt::TokioIo;
use prometheus::IntGauge;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::http_stream::HttpStream;
use super::newcomers::{Newcomer, Standing};
use super::peer::{Peer, Place};
use super::socket::Socket;
use crate::interceptor::Upgrade;
use crate::limit::AddressPlace;
use crate::origins::Origins;
use crate::problem::Problem;
use crate::telemetry::metrics::Metrics;

mod admission;
mod handshake;

pub use admission::Admission;

/// An open WebSocket. Nothing after the handshake has been read except `leftover`.
pub struct Connection {
    /// The socket, non-blocking; [`register`] makes it awaitable.
    pub socket: Socket,
    /// What came with the handshake. Read it first.
    pub leftover: Bytes,
    /// The origin of the connection.
    pub arrival: Arrival,
}

/// Where a connection comes from, and its place among `http.max_connections`.
pub struct Arrival {
    /// The peer's address.
    pub address: IpAddr,
    /// What the upgrade request shows.
    pub upgrade: Upgrade,
    /// When the connection was accepted. For a connection that served requests before, when the upgrade arrived.
    pub accepted_at: Instant,
    /// Its place among those that have not logged in.
    pub(crate) newcomer: Newcomer,
    /// Held as long as the connection counts. Dropping it frees the place.
    pub permit: Place,
}

/// What is done with an open WebSocket. The future ends with the connection.
pub type Connect = Arc<dyn Fn(Connection) -> BoxFuture<'static, ()> + Send + Sync>;

/// What the handler needs. Cheap to clone.
#[derive(Clone)]
pub struct UpgradeState {
    origins: Arc<Origins>,
    connect: Connect,
    tasks: TaskTracker,
    open: IntGauge,
    admission: Option<Admission>,
    cookie: Option<Arc<str>>,
    /// Names in lower case.
    shown: Arc<[Box<str>]>,
}

impl UpgradeState {
    /// Opens WebSockets for pages of `origins`; each runs `connect` as a task of `tasks` and counts in
    /// [`Metrics::connections`].
    pub fn new(origins: Origins, connect: Connect, tasks: TaskTracker, metrics: &Metrics) -> Self {
        Self {
            origins: Arc::new(origins),
            connect,
            tasks,
            open: metrics.connections.clone(),
            admission: None,
            cookie: None,
            shown: Arc::default(),
        }
    }

    /// The same, where the cookie of this name may be a token (`auth.cookie.name`).
    pub fn with_cookie(mut self, name: Option<&str>) -> Self {
        self.cookie = name.map(Into::into);
        self
    }

    /// The same, where these headers are kept for a backend that decides about logins (`auth.callout.headers`).
    pub fn with_headers(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.shown = names.into_iter().map(Into::into).collect();
        self
    }

    /// The same, bounded per address.
    pub fn with_admission(mut self, admission: Admission) -> Self {
        self.admission = Some(admission);
        self
    }
}

/// The WebSocket endpoint at `path` (`http.ws_path`), with or without a `/` at its end, and everything below it.
pub fn routes(path: &str, state: UpgradeState) -> Router {
    let slash = format!("{path}/");
    let below = format!("{path}/{{*below}}");
    Router::new()
        .route(path, any(upgrade))
        .route(&slash, any(upgrade))
        .route(&below, any(upgrade))
        .with_state(state)
}

/// The handler of the WebSocket endpoint, for every method: 101, or an RFC 9457 problem that says which rule of
/// RFC 6455 section 4.2 the request broke (405, 426, 400), that its origin is not allowed (403) or that its address has
/// too many (429). Works behind
/// the listener of `http/` only.
pub async fn upgrade(State(state): State<UpgradeState>, mut request: Request) -> Response {
    let agreed = match handshake::check(
        request.method(),
        request.version(),
        request.headers(),
        &state.origins,
        state.cookie.as_deref(),
        &state.shown,
    ) {
        Ok(agreed) => agreed,
        Err(refused) => return refused.response(),
    };
    let Some(peer) = request.extensions_mut().remove::<Peer>() else {
        return not_possible();
    };
    let seat = match state.admission.map(|admission| admission.admit(peer.address)) {
        None => None,
        Some(Ok(seat)) => Some(seat),
        Some(Err(refused)) => return handshake::too_many(&refused.detail, refused.retry_after),
    };
    let Ok((response, upgraded)) = fastwebsockets::upgrade::upgrade(&mut request) else {
        return not_possible(); // It checks less than `handshake::check`.
    };
    let arrival = Arrival {
        address: peer.address,
        upgrade: agreed.upgrade,
        accepted_at: peer.accepted_at,
        newcomer: peer.newcomers.arrived(peer.address, true),
        permit: peer.place,
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "one connection; its session ends whatever happens"
    )]
    state
        .tasks
        .spawn(run(upgraded, arrival, state.connect, state.open, seat));

    let mut response = response.map(|_| Body::empty());
    if let Some(name) = agreed.subprotocol {
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
    }
    response
}

fn not_possible() -> Response {
    let detail = "this connection cannot become a WebSocket";
    Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
}

/// Makes the socket awaitable for reading and writing. Both sides of it belong to one task.
///
/// # Errors
/// The errors of registering with epoll.
pub fn register(socket: Socket) -> io::Result<AsyncFd<Socket>> {
    #[expect(
        deprecated,
        reason = "its successor is `unsafe`: the descriptor must stay the same and open, which the Arc inside sees to"
    )]
    AsyncFd::new(socket)
}

/// A plain function returns the block, and what only the upgrade needs is boxed and dropped; the rest stays in the
/// session's task.
fn run(
    upgraded: UpgradeFut,
    arrival: Arrival,
    connect: Connect,
    open: IntGauge,
    seat: Option<AddressPlace>,
) -> impl Future<Output = ()> + Send {
    let taking = Box::pin(take_out(upgraded));
    let arrived = Box::new((arrival, connect));
    async move {
        // Held until the connection ends.
        let _seat = seat;
        let taken = taking.await;
        let (mut arrival, connect) = *arrived;
        let (socket, leftover) = match taken {
            Ok(taken) => taken,
            Err(reason) => {
                debug!(address = %arrival.address, reason, "the upgrade came to nothing");
                return;
            }
        };
        arrival.newcomer.stand(Standing {
            waits: true,
            idle: true,
            ..Standing::default()
        });
        let _open = Open::count(open);
        let session = connect(Connection {
            socket,
            leftover,
            arrival,
        });
        drop(connect);
        session.await;
    }
}

/// The connection below hyper's `Upgraded`, taken out of tokio, and what was read beyond the request.
async fn take_out(upgraded: UpgradeFut) -> Result<(Socket, Bytes), String> {
    let websocket = upgraded.await.map_err(|error| error.to_string())?;
    let parts = websocket
        .into_inner()
        .into_inner()
        .downcast::<TokioIo<HttpStream>>()
        .map_err(|_| "not a connection of the listener's".to_owned())?;
    let wire = parts.io.into_inner().into_socket();
    let wire = wire.ok_or_else(|| "the connection is closed".to_owned())?;
    let (socket, behind) = wire.into_socket().map_err(|error| error.to_string())?;
    // A copy: hyper's buffer is freed with `parts`.
    let leftover = match behind.is_empty() {
        true => Bytes::copy_from_slice(&parts.read_buf),
        false => [&parts.read_buf[..], &behind[..]].concat().into(),
    };
    Ok((socket, leftover))
}

/// Counts as an open connection while it lives.
struct Open(IntGauge);

impl Open {
    fn count(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests;
