//! One connection while hyper has it: who the client is, how long it may take, and the requirements for every request.
//! Knows the router, not its routes.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::debug;

use super::refusal::{self, Refusals, say};
use super::tls::Tls;
use super::{Options, head, proxy_protocol};
use crate::limit::{AddressPlace, AddressPlaces, Limit};
use crate::problem::Problem;
use crate::telemetry::metrics::Metrics;
use crate::tls::identity::Names;
use crate::ws::http_stream::{Exchange, HttpStream, Late, Pace};
use crate::ws::newcomers::{Newcomer, Newcomers};
use crate::ws::peer::{Peer, Place};
use crate::ws::wire::Wire;

/// What all connections of a listener share.
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) builder: http1::Builder,
    pub(super) router: Router,
    pub(super) addresses: AddressPlaces,
    pub(super) newcomers: Newcomers,
    pub(super) refusals: Refusals,
    pub(super) metrics: Metrics,
    pub(super) shutdown: CancellationToken,
    /// Where it speaks TLS.
    pub(super) tls: Option<Tls>,
    /// The port that it listens on.
    pub(super) port: u16,
}

/// One connection while hyper has it.
pub(super) struct Serving {
    pub(super) address: IpAddr,
    /// Whether the connection is the client's own, and not that of one of `http.trusted_proxies`.
    pub(super) direct: bool,
    pub(super) accepted_at: Instant,
    /// Whom the client's certificate names.
    pub(super) certificate: Option<Arc<Names>>,
    pub(super) place: Place,
    pub(super) shared: Arc<Shared>,
}

impl Serving {
    /// The same for the client named in the PROXY protocol header, which is read from `stream`.
    pub(super) async fn introduced(mut self, stream: &mut TcpStream) -> io::Result<Self> {
        let deadline = self.accepted_at + self.shared.options.times.header;
        if let Some(client) = proxy_protocol::client(stream, deadline).await? {
            self.address = client.to_canonical();
        }
        Ok(self)
    }

    /// This address's place among its HTTP connections. `None`: it has too many, which is counted. Proxies are no
    /// clients, and not counted.
    pub(super) fn seat(&self) -> Option<Option<AddressPlace>> {
        let Shared {
            options,
            addresses,
            metrics,
            ..
        } = &*self.shared;
        if options.proxies.trust(self.address) {
            return Some(None);
        }
        let taken = addresses.take(self.address);
        if taken.is_none() {
            metrics.limit_hit(Limit::HttpConnectionsPerAddress);
        }
        taken.map(Some)
    }

    /// Serves requests until the connection ends or becomes a WebSocket. A plain function returns the block, so that what
    /// only the start needs is not kept.
    pub(super) fn run(self, socket: Wire) -> impl Future<Output = ()> + Send + use<> {
        let (address, accepted_at) = (self.address, self.accepted_at);
        let mut place = Some(self.place.clone());
        let shared = Arc::clone(&self.shared);
        let pace = Pace::new(shared.options.times, accepted_at);
        let is_client = !shared.options.proxies.trust(address);
        let mut newcomer = shared.newcomers.arrived(address, is_client);
        let stream = TokioIo::new(HttpStream::new(socket, Arc::clone(&pace)));
        let service = {
            let (serving, pace) = (Arc::new(self), Arc::clone(&pace));
            service_fn(move |request: Request<Incoming>| {
                let body = hyper::body::Body::size_hint(request.body()).exact();
                let exchange = pace.begin(head::bytes(&request), body);
                let answer = serving.answer(request);
                async move { Ok::<_, Infallible>(with(exchange, answer.await)) }
            })
        };
        let connection = shared.builder.serve_connection(stream, service).with_upgrades();
        async move {
            let ended = {
                let connection = pin!(connection);
                let close = http1::UpgradeableConnection::graceful_shutdown;
                drive(connection, close, &pace, &mut newcomer, &shared.shutdown).await
            };
            drop(newcomer);
            if matches!(ended, Err(Late::Evicted(_))) {
                // Whoever needs it does not wait until this one has taken its answer.
                place = None;
            }
            let limit = |limit| shared.metrics.limit_hit(limit);
            match ended {
                Ok(Ok(())) => {
                    if let Some(socket) = pace.take_answered_early() {
                        let lingering = refusal::linger(socket, shared.options.linger_bytes);
                        Box::pin(shared.shutdown.run_until_cancelled(lingering)).await;
                    }
                }
                Err(late) => {
                    match late {
                        Late::Header => limit(Limit::HeaderTimeout),
                        Late::Write => limit(Limit::WriteTimeout),
                        // As it should be for a connection that nobody needs any more.
                        Late::Idle => {}
                        Late::Evicted(which) => limit(which),
                    }
                    debug!(%address, ?late, "HTTP connection ended");
                    if let Late::Evicted(limit) = late
                        && let Some(socket) = pace.take_refused()
                    {
                        let words = shared.newcomers.words(limit);
                        let answer = refusal::answer(StatusCode::SERVICE_UNAVAILABLE, words);
                        shared.refusals.say(socket, &answer).await;
                    }
                }
                Ok(Err(error)) => {
                    debug!(%address, %error, "HTTP connection ended");
                    if let Some(socket) = pace.take_refused() {
                        let refused = head::instead_of(&error, shared.options.head_bytes);
                        refused.limit.into_iter().for_each(limit);
                        say(socket, &refusal::answer(refused.status, refused.detail)).await;
                    } else if pace.is_stalled() && is_timed_out(&error) {
                        limit(Limit::WriteTimeout);
                    }
                }
            }
            drop(place);
        }
    }

    /// The router's answer, unless the head is refused.
    fn answer(&self, mut request: Request<Incoming>) -> impl Future<Output = Response> + Send + use<> {
        let checked = head::check(request.version(), request.headers());
        let peer = self.peer(request.headers());
        request.extensions_mut().insert(peer);
        let router = self.shared.router.clone();
        async move {
            match checked {
                Ok(()) => {
                    let Ok(response) = router.oneshot(request).await;
                    response
                }
                Err(refused) => Problem::of_status(refused.status, refused.detail).into_response(),
            }
        }
    }

    /// What a request learns of its connection.
    fn peer(&self, headers: &HeaderMap) -> Peer {
        let used = self.place.mark_used();
        Peer {
            address: self.shared.options.proxies.client(self.address, headers),
            port: self.direct.then_some(self.shared.port),
            accepted_at: if used { Instant::now() } else { self.accepted_at },
            certificate: self.certificate.clone(),
            newcomers: self.shared.newcomers.clone(),
            place: self.place.clone(),
        }
    }
}

/// The answer to a client whose address has too many HTTP connections.
pub(super) fn too_many(most: usize) -> Vec<u8> {
    let name = Limit::HttpConnectionsPerAddress.name();
    let detail = format!("{name} ({most}) is reached by this address");
    refusal::answer(StatusCode::TOO_MANY_REQUESTS, detail)
}

/// Drives a connection until it ends by itself, is late, or has to go as a `newcomer`. After `shutdown` it answers its current request and closes.
async fn drive<C: Future>(
    mut connection: Pin<&mut C>,
    close: impl Fn(Pin<&mut C>),
    pace: &Pace,
    newcomer: &mut Newcomer,
    shutdown: &CancellationToken,
) -> Result<C::Output, Late> {
    let mut shutdown = pin!(shutdown.cancelled());
    let mut closing = false;
    let mut timer = pin!(sleep_until(Instant::now()));
    poll_fn(|cx: &mut Context<'_>| {
        if !closing && shutdown.as_mut().poll(cx).is_ready() {
            closing = true;
            close(connection.as_mut());
        }
        let mut tried_again = false;
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(Ok(ended));
            }
            let standing = pace.standing();
            newcomer.stand(standing);
            while let Poll::Ready(limit) = newcomer.poll_evicted(cx) {
                if !standing.goes_by(limit) {
                    newcomer.stand(standing);
                    continue;
                }
                if standing.is_told() {
                    pace.refuse();
                }
                return Poll::Ready(Err(Late::Evicted(limit)));
            }
            // What has just been read or written may have moved it.
            let Some((at, late)) = pace.deadline() else {
                return Poll::Pending;
            };
            if timer.deadline() != at {
                timer.as_mut().reset(at);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            // The last attempt to write is made after the deadline, not before it.
            if tried_again {
                if late == Late::Write {
                    pace.reset();
                }
                return Poll::Ready(Err(late));
            }
            tried_again = true;
        }
    })
    .await
}

/// Whether the kernel gave the connection up (TCP_USER_TIMEOUT).
fn is_timed_out(error: &hyper::Error) -> bool {
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// `response`, whose end is that of `exchange`.
fn with(exchange: Exchange, response: Response) -> Response<Answer> {
    response.map(|body| Answer {
        body,
        _exchange: exchange,
    })
}

/// The body of an answer. hyper drops it as soon as it has all of it.
struct Answer {
    body: Body,
    _exchange: Exchange,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
