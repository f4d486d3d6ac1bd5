//! A connection that was just accepted, until it has a place. If all are taken, one without a request in progress gives
//! up its place. Knows no request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use super::failures::Strangers;
use super::serve_one;
use super::serving::{Serving, Shared};
use crate::limit::Limit;
use crate::ws::newcomers::Newcomers;
use crate::ws::peer::Place;

/// How long a client waits for a place before the next connection has to go as well, and for how many of them. One that
/// got a request at the last moment does not go, and a WebSocket takes its time.
const WAIT: Duration = Duration::from_millis(250);
const TRIES: usize = 4;

/// A connection that has no place yet.
pub(super) struct Arriving {
    pub(super) stream: TcpStream,
    pub(super) address: IpAddr,
    pub(super) accepted_at: Instant,
    pub(super) shared: Arc<Shared>,
}

impl Arriving {
    /// Serves it as a task of `tasks`.
    pub(super) fn serve(self, place: Place, strangers: &Arc<Strangers>, tasks: &TaskTracker) {
        let Self {
            stream,
            address,
            accepted_at,
            shared,
        } = self;
        let options = &shared.options;
        let is_proxy = options.proxies.trust(address);
        let is_introduced = options.proxy_protocol && is_proxy;
        let connection = Serving {
            address: address.to_canonical(),
            direct: !is_proxy,
            accepted_at,
            certificate: None,
            place,
            shared,
        };
        if is_introduced {
            let strangers = Arc::clone(strangers);
            #[expect(clippy::disallowed_methods, reason = "one connection")]
            tasks.spawn(async move {
                let (mut stream, shared) = (stream, Arc::clone(&connection.shared));
                match connection.introduced(&mut stream).await {
                    Ok(connection) => serve_one(connection, stream).await,
                    Err(error) => {
                        shared.metrics.proxy_protocol_refused.inc();
                        strangers.note(address, &error);
                    }
                }
            });
        } else {
            #[expect(clippy::disallowed_methods, reason = "one connection")]
            tasks.spawn(serve_one(connection, stream));
        }
    }

    /// Has a connection without a request in hand give its place up to this one, or refuses it where there is none.
    pub(super) fn wait(
        self,
        places: &Arc<Semaphore>,
        strangers: &Arc<Strangers>,
        full: &Arc<[u8]>,
        tasks: &TaskTracker,
    ) {
        // Those that wait are few, as those that are refused, and their descriptors are set aside.
        let Some(permit) = self.shared.refusals.permit() else {
            return self.refuse(full, tasks);
        };
        if !self.shared.newcomers.make_room() {
            drop(permit);
            return self.refuse(full, tasks);
        }
        let (places, strangers) = (Arc::clone(places), Arc::clone(strangers));
        let (full, all) = (Arc::clone(full), tasks.clone());
        #[expect(clippy::disallowed_methods, reason = "one connection, bounded in time")]
        tasks.spawn(async move {
            let place = next_place(places, &self.shared.newcomers).await;
            drop(permit);
            match place {
                Some(place) => self.serve(place, &strangers, &all),
                None => self.refuse(&full, &all),
            }
        });
    }

    /// Says that there is no place for it.
    fn refuse(self, full: &Arc<[u8]>, tasks: &TaskTracker) {
        let Shared {
            metrics, refusals, ..
        } = &*self.shared;
        metrics.connections_refused.inc();
        metrics.limit_hit(Limit::MaxConnections);
        refusals.refuse(self.stream, full, tasks);
    }
}

/// The place of a connection that was just told to go ([`Newcomers::make_room`]), or of another one.
async fn next_place(places: Arc<Semaphore>, newcomers: &Newcomers) -> Option<Place> {
    for attempt in 0..TRIES {
        if attempt > 0 {
            // Where there is none, one that was told before may still come free.
            newcomers.make_room();
        }
        if let Ok(place) = timeout(WAIT, Place::wait(Arc::clone(&places))).await {
            return place;
        }
    }
    None
}
