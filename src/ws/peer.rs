//! The connection of a request. The listener attaches it to every request; a WebSocket takes it over. Knows no
//! socket.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::newcomers::Newcomers;
use crate::tls::identity::Names;

/// A connection's place among `http.max_connections`, freed when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Place(Arc<Seat>);

#[derive(Debug)]
struct Seat {
    _permit: OwnedSemaphorePermit,
    used: AtomicBool,
}

impl Place {
    /// The next free place of `places`, or `None` if all are taken.
    pub fn take(places: &Arc<Semaphore>) -> Option<Self> {
        Arc::clone(places).try_acquire_owned().ok().map(Self::of)
    }

    /// The same, as soon as one is free. Those who wait take their turns. `None`: `places` is closed.
    pub(crate) async fn wait(places: Arc<Semaphore>) -> Option<Self> {
        places.acquire_owned().await.ok().map(Self::of)
    }

    fn of(permit: OwnedSemaphorePermit) -> Self {
        Self(Arc::new(Seat {
            _permit: permit,
            used: AtomicBool::new(false),
        }))
    }

    /// Notes that a request has come. Returns whether one had come before.
    pub fn mark_used(&self) -> bool {
        self.0.used.swap(true, Ordering::Relaxed)
    }
}

/// An extension of every request: the connection that it came on.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// The client's address: the peer's, or what trusted proxies say.
    pub address: IpAddr,
    /// The port of this server that the client itself connected to, as far as it can be seen; none: a proxy stands between.
    pub port: Option<u16>,
    /// When the connection was accepted. For a later request on a connection, when the request arrived.
    pub accepted_at: Instant,
    /// Whom the client's certificate names, if it has shown one to this server itself.
    pub certificate: Option<Arc<Names>>,
    /// Where a WebSocket is counted until its client logs in.
    pub newcomers: Newcomers,
    /// The connection's place. Whoever outlives the request's connection, as a WebSocket does, keeps it.
    pub place: Place,
}
