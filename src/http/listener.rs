//! The accept loop over hyper: time-outs, the limit on connections, socket options, the pause when descriptors run
//! out. `axum::serve` has none of them. Knows the router, not its routes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::{HeaderMap, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::proxies::Proxies;
use crate::limit::Limit;
use crate::setting::Limits;
use crate::telemetry::metrics::Metrics;
use crate::ws::peer::{Peer, Place};

mod proxy_protocol;
mod refusal;

use refusal::Refusals;

/// Connections that may wait for `accept`. The kernel may hold fewer (`net.core.somaxconn`).
const BACKLOG: u32 = 4_096;
/// hyper's buffer per connection, and so the largest request head (431 beyond it). hyper panics below 8 KiB.
const HEAD_MAX_BYTES: usize = 16 << 10;
/// How long accepting pauses when descriptors or memory have run out: connections that close free them.
const PAUSE: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);

/// Sessions without heart-beats would otherwise die unnoticed: 30 s of silence, then 3 probes 10 s apart.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(30))
    .with_interval(Duration::from_secs(10))
    .with_retries(3);

/// The listener's part of the configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// `http.header_timeout`: from accept, or from the previous answer, to a complete request head.
    pub header_timeout: Duration,
    /// `http.max_connections`
    pub max_connections: usize,
    /// `limits.socket_send_bytes`; 0 leaves it to the kernel.
    pub socket_send_bytes: usize,
    /// `http.trusted_proxies` and `http.forwarded_header`
    pub proxies: Proxies,
    /// `http.proxy_protocol`. Applies only to `http.listen`.
    pub proxy_protocol: bool,
}

impl Options {
    /// From `[http]` and `[limits]`.
    pub fn new(http: &super::Config, limits: &Limits) -> Self {
        Self {
            header_timeout: http.header_timeout.0,
            max_connections: http.max_connections.min(Semaphore::MAX_PERMITS),
            socket_send_bytes: limits.socket_send_bytes.0,
            proxies: Proxies::new(&http.trusted_proxies, http.forwarded_header),
            proxy_protocol: http.proxy_protocol,
        }
    }

    /// The same for `http.admin_listen`, which clients reach directly.
    pub fn without_proxy_protocol(mut self) -> Self {
        self.proxy_protocol = false;
        self
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
    let places = Arc::new(Semaphore::new(options.max_connections));
    let refusals = Refusals::new(options.max_connections);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_buf_size(HEAD_MAX_BYTES);
    let mut failures = Failures::new(metrics.clone());
    let metrics = Arc::new(metrics);
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
        if let Err(error) = prepare(&stream, options.socket_send_bytes) {
            debug!(%address, %error, "gone before it was served");
            continue;
        }
        match Place::take(&places) {
            Some(place) => {
                let connection = Serving {
                    address: address.ip().to_canonical(),
                    proxies: options.proxies.clone(),
                    accepted_at: Instant::now(),
                    place,
                    metrics: Arc::clone(&metrics),
                };
                let (builder, router, shutdown) = (builder.clone(), router.clone(), shutdown.clone());
                if options.proxy_protocol && options.proxies.trust(address.ip()) {
                    let deadline = connection.accepted_at + options.header_timeout;
                    let refused = metrics.proxy_protocol_refused.clone();
                    #[expect(clippy::disallowed_methods, reason = "one connection")]
                    tasks.spawn(async move {
                        let introduced = connection.introduced(stream, deadline);
                        match introduced.await {
                            Ok((connection, stream)) => {
                                connection.run(stream, &builder, router, shutdown).await
                            }
                            Err(error) => {
                                refused.inc();
                                debug!(%address, %error, "PROXY protocol header refused");
                            }
                        }
                    });
                } else {
                    #[expect(clippy::disallowed_methods, reason = "one connection")]
                    tasks.spawn(connection.run(stream, &builder, router, shutdown));
                }
            }
            None => {
                metrics.connections_refused.inc();
                metrics.limit_hit(Limit::MaxConnections);
                refusals.refuse(stream, tasks);
            }
        }
    }
}

fn prepare(stream: &TcpStream, send_bytes: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    if send_bytes > 0 {
        socket.set_send_buffer_size(send_bytes)?;
    }
    Ok(())
}

/// One connection while hyper has it.
#[derive(Clone)]
struct Serving {
    address: IpAddr,
    proxies: Proxies,
    accepted_at: Instant,
    place: Place,
    metrics: Arc<Metrics>,
}

impl Serving {
    /// The same for the client named in the PROXY protocol header, which is read from `stream`.
    async fn introduced(mut self, mut stream: TcpStream, deadline: Instant) -> io::Result<(Self, TcpStream)> {
        if let Some(client) = proxy_protocol::client(&mut stream, deadline).await? {
            self.address = client.to_canonical();
        }
        Ok((self, stream))
    }

    fn run(
        self,
        stream: TcpStream,
        builder: &http1::Builder,
        router: Router,
        shutdown: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (address, seat, metrics) = (self.address, self.place.clone(), Arc::clone(&self.metrics));
        let service = router.map_request(move |mut request: Request<Incoming>| {
            let peer = self.peer(request.headers());
            request.extensions_mut().insert(peer);
            request
        });
        let connection = builder
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
            .with_upgrades();
        async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = shutdown.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                // An idle keep-alive connection that has served requests is normal: do not count its timeout.
                if error.is_timeout() && !seat.is_used() {
                    metrics.limit_hit(Limit::HeaderTimeout);
                }
                debug!(%address, %error, "HTTP connection ended");
            }
        }
    }

    /// What a request learns of its connection.
    fn peer(&self, headers: &HeaderMap) -> Peer {
        let used = self.place.mark_used();
        Peer {
            address: self.proxies.client(self.address, headers),
            accepted_at: if used { Instant::now() } else { self.accepted_at },
            place: self.place.clone(),
        }
    }
}

/// Errors of `accept`: counted, and logged at most once a second.
struct Failures {
    metrics: Metrics,
    logged_at: Option<Instant>,
}

impl Failures {
    fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            logged_at: None,
        }
    }

    /// Whether accepting has to pause after `error`: it would only fail again at once.
    fn note(&mut self, error: &io::Error, now: Instant) -> bool {
        if is_of_the_peer(error) {
            debug!(%error, "gone before it was accepted");
            return false;
        }
        self.metrics.accept_pauses.inc();
        if self.logged_at.is_none_or(|at| now.duration_since(at) >= SECOND) {
            self.logged_at = Some(now);
            warn!(%error, "cannot accept connections, pausing for {PAUSE:?} (is the limit of open files too low?)");
        }
        true
    }
}

/// Whether `accept` failed because of the connection that it would have returned, rather than for lack of descriptors
/// (EMFILE, ENFILE) or memory (ENOBUFS, ENOMEM). Linux reports a connection's pending network errors here: accept(2).
fn is_of_the_peer(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    !matches!(
        errno,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}

#[cfg(test)]
mod tests;
