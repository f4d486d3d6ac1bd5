//! The TLS handshake of a connection that has a place, bounded in time and in number. Knows the certificate as a
//! configuration of the library, and not where it comes from.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::debug;

use super::refusal::{self, say};
use super::serving::Serving;
use crate::limit::Limit;
use crate::ws::newcomers::Standing;
use crate::ws::wire::{TlsWire, Wire};

/// A fatal alert, `internal_error` (RFC 8446 section 6): what whoever is refused without a handshake is told.
pub(super) const REFUSED: &[u8] = &[21, 3, 3, 0, 2, 2, 80];
/// The first byte of a client that speaks TLS: its handshake's record.
const HANDSHAKE: u8 = 22;
/// How long a handshake has its turn for itself where others wait for one, and how often it looks for them after that.
const TURN: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(250);

/// How a listener speaks TLS.
#[derive(Debug, Clone)]
pub struct TlsOptions {
    /// Certificate, versions and all else.
    pub config: Arc<ServerConfig>,
    /// `http.tls.handshakes`: handshakes at the same time.
    pub handshakes: usize,
}

/// The same, with the turns of the handshakes.
pub(super) struct Tls {
    config: Arc<ServerConfig>,
    turns: Semaphore,
    waiting: AtomicUsize,
}

/// Why there is no connection.
enum Failed {
    /// Too many handshakes, and no turn in time; or others had waited for long.
    NoTurn,
    /// `http.header_timeout`
    Late,
    /// Another connection needs the place.
    Evicted(Limit),
    /// What came is no TLS; its first byte.
    NotTls(u8),
    /// The library's word, or the socket's.
    Broken(io::Error),
}

impl Tls {
    pub(super) fn new(options: TlsOptions) -> Self {
        Self {
            config: options.config,
            turns: Semaphore::new(options.handshakes.min(Semaphore::MAX_PERMITS)),
            waiting: AtomicUsize::new(0),
        }
    }

    async fn shake(&self, stream: &mut Option<TcpStream>, deadline: Instant) -> Result<Wire, Failed> {
        let turn = {
            let _waiting = Waiting::count(&self.waiting);
            let turn = timeout_at(deadline, self.turns.acquire()).await;
            turn.ok().and_then(Result::ok).ok_or(Failed::NoTurn)?
        };
        let begun = Instant::now();
        let shaking = async {
            let first = match stream {
                Some(stream) => first_byte(stream).await.map_err(Failed::Broken)?,
                None => return Err(Failed::Broken(io::ErrorKind::NotConnected.into())),
            };
            if first != HANDSHAKE {
                return Err(Failed::NotTls(first));
            }
            let Some(stream) = stream.take() else {
                return Err(Failed::Broken(io::ErrorKind::NotConnected.into()));
            };
            let wire = TlsWire::accept(stream, Arc::clone(&self.config)).await;
            wire.map(|wire| Wire::Tls(Box::new(wire))).map_err(Failed::Broken)
        };
        let outcome = tokio::select! {
            shaken = shaking => shaken,
            () = self.others_wait(begun) => Err(Failed::NoTurn),
            () = sleep_until(deadline) => Err(Failed::Late),
        };
        drop(turn);
        outcome
    }

    /// Ends when a handshake that began at `begun` has had its turn and others wait for theirs.
    async fn others_wait(&self, begun: Instant) {
        let mut look = begun + TURN;
        loop {
            sleep_until(look).await;
            if self.waiting.load(Ordering::Relaxed) > 0 {
                return;
            }
            look += LOOK;
        }
    }
}

/// Counts whoever waits for a turn, as long as it does.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn count(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn first_byte(stream: &TcpStream) -> io::Result<u8> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(first[0]),
    }
}

/// Shakes hands, and serves the connection if that succeeds. Whoever speaks plain HTTP is told so.
pub(super) async fn serve(mut connection: Serving, stream: TcpStream) {
    let shared = Arc::clone(&connection.shared);
    let Some(tls) = &shared.tls else { return };
    let address = connection.address;
    let deadline = connection.accepted_at + shared.options.times.header;
    let mut stream = Some(stream);
    let shaken = {
        let is_client = !shared.options.proxies.trust(address);
        let mut newcomer = shared.newcomers.arrived(address, is_client);
        newcomer.stand(Standing {
            waits: true,
            idle: true,
            ..Standing::default()
        });
        tokio::select! {
            shaken = tls.shake(&mut stream, deadline) => shaken,
            limit = newcomer.evicted() => Err(Failed::Evicted(limit)),
        }
    };
    let failed = match shaken {
        Ok(wire) => {
            connection.certificate = wire.client().map(Arc::new);
            return connection.run(wire).await;
        }
        Err(failed) => failed,
    };
    match failed {
        Failed::NoTurn => {
            shared.metrics.tls_handshakes_refused.inc();
            shared.metrics.limit_hit(Limit::TlsHandshakes);
            debug!(%address, "no turn for a TLS handshake");
        }
        Failed::Late => shared.metrics.limit_hit(Limit::HeaderTimeout),
        Failed::Evicted(limit) => shared.metrics.limit_hit(limit),
        Failed::Broken(error) => debug!(%address, %error, "TLS handshake failed"),
        Failed::NotTls(first) => {
            debug!(%address, "what came is no TLS");
            if let Some(stream) = stream.filter(|_| first.is_ascii_uppercase()) {
                let answer = refusal::answer(
                    StatusCode::BAD_REQUEST,
                    "this port speaks TLS: ask for https:// or wss://",
                );
                say(stream, &answer).await;
            }
        }
    }
}
