//! The accept loop over hyper: time-outs, the limits on connections, socket options, the pause when descriptors run
//! out. `axum::serve` has none of them. Knows the router, not its routes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt as _;
use http::StatusCode;
use hyper::server::conn::http1;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::proxies::Proxies;
use crate::limit::AddressPlaces;
use crate::setting::Limits;
use crate::telemetry::metrics::Metrics;
use crate::ws::http_stream::Times;
use crate::ws::newcomers::{Bounds, Newcomers};
use crate::ws::peer::Place;
use crate::ws::wire::Wire;

mod arriving;
pub mod descriptors;
mod failures;
mod head;
mod proxy_protocol;
mod refusal;
mod serving;
mod tls;

use arriving::Arriving;
use descriptors::OpenFiles;
use failures::{Failures, Strangers};
use refusal::{Refusals, say};
use serving::{Serving, Shared, too_many};
use tls::Tls;
pub use tls::TlsOptions;

/// Connections that may wait for `accept`. The kernel may hold fewer (`net.core.somaxconn`).
const BACKLOG: u32 = 4_096;
/// How long accepting pauses when descriptors or memory have run out: connections that close free them.
const PAUSE: Duration = Duration::from_millis(100);

/// Sessions without heart-beats would otherwise die unnoticed: 30 s of silence, then 3 probes 10 s apart.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(30))
    .with_interval(Duration::from_secs(10))
    .with_retries(3);

/// The listener's part of the configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long an HTTP connection may take for what.
    pub times: Times,
    /// `http.head_bytes`: the longest request head, and hyper's buffer per connection.
    pub head_bytes: usize,
    /// Connections that wait for their client.
    pub newcomers: Bounds,
    /// Connections at the same time: `http.max_connections`, or as many as there are descriptors for.
    pub places: usize,
    /// `http.max_connections`
    pub max_connections: usize,
    /// Clients that are being refused at the same time.
    pub refusals: usize,
    /// `limits.http_connections_per_address`; 0 means no limit.
    pub per_address: usize,
    /// How much a client may still send of a request that was answered: twice `http.max_request_bytes`.
    pub linger_bytes: usize,
    /// `limits.socket_send_bytes`; 0 leaves it to the kernel.
    pub socket_send_bytes: usize,
    /// `http.trusted_proxies` and `http.forwarded_header`
    pub proxies: Proxies,
    /// `http.proxy_protocol`. Applies only to `http.listen`.
    pub proxy_protocol: bool,
    /// Connections of `http.admin_listen` at the same time.
    pub admin_places: usize,
    /// `http.tls`, or `http.admin_tls` for that listener.
    pub tls: Option<TlsOptions>,
    /// `http.admin_tls`
    pub admin_tls: Option<TlsOptions>,
}

impl Options {
    /// From `[http]`, `[limits]` and the descriptors that this process may have open.
    pub fn new(http: &super::Config, limits: &Limits) -> Self {
        let max_connections = http.max_connections.min(Semaphore::MAX_PERMITS);
        let shares = OpenFiles::now().shares(max_connections, http.admin_listen.is_some());
        Self {
            times: Times {
                header: http.header_timeout.0,
                idle: http.idle_timeout.0,
                write: http.write_timeout.0,
            },
            head_bytes: http.head_bytes.0,
            newcomers: Bounds {
                unauthenticated: http.unauthenticated,
                per_address: http.unauthenticated_per_address,
                head_bytes: http.head_total_bytes.0,
            },
            places: shares.main,
            max_connections,
            refusals: shares.refusals,
            per_address: limits.http_connections_per_address,
            // Room for the head, and for how a body is cut into chunks.
            linger_bytes: http
                .max_request_bytes
                .0
                .saturating_mul(2)
                .saturating_add(64 << 10),
            socket_send_bytes: limits.socket_send_bytes.0,
            proxies: Proxies::new(&http.trusted_proxies, http.forwarded_header),
            proxy_protocol: http.proxy_protocol,
            admin_places: shares.admin,
            tls: None,
            admin_tls: None,
        }
    }

    /// The same with TLS, on either listener.
    pub fn with_tls(mut self, main: Option<TlsOptions>, admin: Option<TlsOptions>) -> Self {
        (self.tls, self.admin_tls) = (main, admin);
        self
    }

    /// The same for `http.admin_listen`, which clients reach directly, and which has places of its own.
    pub fn for_admin(mut self) -> Self {
        self.proxy_protocol = false;
        self.places = self.admin_places;
        self.tls = self.admin_tls.take();
        self
    }

    /// What a client is told for whom there is no place.
    fn full(&self) -> String {
        let Self {
            places,
            max_connections,
            ..
        } = self;
        match places == max_connections {
            true => format!("http.max_connections ({places}) is reached"),
            false => format!(
                "{places} connections are open, and there are no descriptors for more (http.max_connections is \
                 {max_connections})"
            ),
        }
    }
}

/// Binds `address` with SO_REUSEADDR, so that a restart does not wait for old connections. Must be called inside a
/// tokio runtime.
///
/// # Errors
/// The system's error: the address is in use, or does not belong to this machine.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts and serves until `shutdown`, then releases the port and returns. Connections are tasks of `tasks`: after
/// `shutdown` each answers its current request and closes; those that became WebSockets live on.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: Options,
    metrics: Metrics,
    shutdown: CancellationToken,
    tasks: &TaskTracker,
) {
    let places = Arc::new(Semaphore::new(options.places));
    let full: Arc<[u8]> = match options.tls {
        None => refusal::answer(StatusCode::SERVICE_UNAVAILABLE, options.full()).into(),
        Some(_) => tls::REFUSED.into(),
    };
    let strangers = Arc::new(Strangers::default());
    let mut builder = http1::Builder::new();
    // All times are watched by `serving`; hyper's own time-out does not know a request's first byte.
    builder.header_read_timeout(None).max_buf_size(options.head_bytes);
    let mut failures = Failures::new(metrics.clone());
    let shared = Arc::new(Shared {
        addresses: AddressPlaces::new(options.per_address),
        tls: options.tls.clone().map(Tls::new),
        newcomers: Newcomers::new(options.newcomers),
        refusals: Refusals::new(options.refusals),
        options,
        builder,
        router,
        metrics,
        shutdown,
        port: listener.local_addr().map_or(0, |address| address.port()),
    });
    let Shared {
        options, shutdown, ..
    } = &*shared;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if failures.note(&error, Instant::now()) {
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = sleep(PAUSE) => {}
                    }
                }
                continue;
            }
        };
        if let Err(error) = prepare(&stream, options) {
            debug!(%address, %error, "gone before it was served");
            continue;
        }
        let arriving = Arriving {
            stream,
            address: address.ip(),
            accepted_at: Instant::now(),
            shared: Arc::clone(&shared),
        };
        match Place::take(&places) {
            Some(place) => arriving.serve(place, &strangers, tasks),
            None => arriving.wait(&places, &strangers, &full, tasks),
        }
    }
}

/// Serves a client whose address is known, or refuses it if the address has too many connections. They are counted until
/// they end or become WebSockets, which have a limit of their own.
fn serve_one(connection: Serving, stream: TcpStream) -> impl Future<Output = ()> + Send {
    let most = connection.shared.options.per_address;
    let (seat, has_tls) = (connection.seat(), connection.shared.tls.is_some());
    let served = match seat {
        Some(seat) if has_tls => Ok((Box::pin(tls::serve(connection, stream)).left_future(), seat)),
        Some(seat) => Ok((connection.run(Wire::Plain(stream)).right_future(), seat)),
        None => Err(stream),
    };
    async move {
        match served {
            Ok((served, seat)) => {
                served.await;
                drop(seat);
            }
            // Words want a handshake, which is what there are too many of.
            Err(stream) if has_tls => say(stream, tls::REFUSED).await,
            Err(stream) => say(stream, &too_many(most)).await,
        }
    }
}

fn prepare(stream: &TcpStream, options: &Options) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    if options.socket_send_bytes > 0 {
        socket.set_send_buffer_size(options.socket_send_bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
