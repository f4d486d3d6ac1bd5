//! Connections that wait for their client: for a request head, or for a login. If there are too many of them, if their
//! incomplete heads take too much memory, or if another connection needs a place and none is free, the oldest connection of
//! the address with the most connections is closed. Knows neither HTTP nor STOMP; a connection reports its state, and is
//! told to close.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::limit::{AddressGroup, Crowd, Limit, Member};

/// How many newcomers there may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// `http.unauthenticated`
    pub unauthenticated: usize,
    /// `http.unauthenticated_per_address`; 0 means no limit.
    pub per_address: usize,
    /// `http.head_total_bytes`
    pub head_bytes: usize,
}

/// All newcomers of a listener. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Newcomers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bounds: Bounds,
    arrivals: AtomicU64,
    crowds: Mutex<Crowds>,
}

#[derive(Debug, Default)]
struct Crowds {
    /// Each weighs one.
    waiting: Crowd<Arc<Ears>>,
    /// Each weighs the bytes of its unfinished head.
    heads: Crowd<Arc<Ears>>,
    /// All that have nothing to do, whether they were ever answered or not. Each weighs one.
    idle: Crowd<Arc<Ears>>,
}

impl Crowds {
    fn remove(&mut self, member: Member) {
        self.waiting.remove(member);
        self.heads.remove(member);
        self.idle.remove(member);
    }
}

/// By which a connection hears that it has to go.
#[derive(Debug, Default)]
struct Ears {
    waker: AtomicWaker,
    evicted: Mutex<Option<Limit>>,
    settled: AtomicBool,
}

impl Ears {
    fn hear(&self, limit: Limit) {
        *self.evicted.lock() = Some(limit);
        self.waker.wake();
    }
}

/// One connection, which is forgotten when this is dropped.
#[derive(Debug)]
pub(crate) struct Newcomer {
    newcomers: Newcomers,
    address: AddressGroup,
    /// Smaller than those of all that came, or began to wait again, later.
    number: u64,
    /// Whether `http.unauthenticated_per_address` holds for its address.
    is_client: bool,
    stands: Standing,
    ears: Arc<Ears>,
}

/// How a connection stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Whether its client has neither logged in nor ever sent a whole request.
    pub(crate) waits: bool,
    /// The bytes of a request head that is not complete.
    pub(crate) head_bytes: usize,
    /// Whether it has neither a request in hand nor a session: always where it waits.
    pub(crate) idle: bool,
    /// How many of its requests were answered, so that it is seen to have had one in hand.
    pub(crate) answers: u64,
}

impl Standing {
    /// Whether the connection has to go where `limit` wants it to.
    pub(crate) fn goes_by(self, limit: Limit) -> bool {
        match limit {
            Limit::HeadTotalBytes => self.head_bytes > 0,
            Limit::MaxConnections => self.idle,
            _ => self.waits,
        }
    }

    /// Whether the client expects an answer. One that was answered and asks for nothing finds its connection closed, as
    /// after `http.idle_timeout`: it might take an answer for that to its next request.
    pub(crate) fn is_told(self) -> bool {
        self.waits || self.head_bytes > 0
    }
}

impl Newcomers {
    /// None so far.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Inner {
            bounds,
            arrivals: AtomicU64::new(0),
            crowds: Mutex::default(),
        }))
    }

    /// A connection from `address` that is younger than all others, and is counted once it says how it stands.
    /// `is_client` says that the address is a client's and not a proxy's, which many clients share.
    pub(crate) fn arrived(&self, address: IpAddr, is_client: bool) -> Newcomer {
        Newcomer {
            newcomers: self.clone(),
            address: AddressGroup::of(address),
            number: self.next_number(),
            is_client,
            stands: Standing::default(),
            ears: Arc::default(),
        }
    }

    fn next_number(&self) -> u64 {
        self.0.arrivals.fetch_add(1, Ordering::Relaxed)
    }

    /// Has one idle connection go, so that its place comes free soon. `false`: there is none.
    pub(crate) fn make_room(&self) -> bool {
        let mut crowds = self.0.crowds.lock();
        let heaviest = crowds.idle.heaviest();
        let Some((member, ears)) = heaviest.and_then(|address| crowds.idle.remove_oldest(address)) else {
            return false;
        };
        crowds.remove(member);
        drop(crowds);
        ears.hear(Limit::MaxConnections);
        true
    }

    /// What a client is told that has to go because of `limit`.
    pub(crate) fn words(&self, limit: Limit) -> String {
        let bounds = &self.0.bounds;
        let (what, most) = match limit {
            Limit::HeadTotalBytes => ("bytes of unfinished request heads", bounds.head_bytes),
            Limit::UnauthenticatedPerAddress => (
                "connections of this address without a request or a login",
                bounds.per_address,
            ),
            Limit::MaxConnections => {
                return format!(
                    "another connection needs the place of this one ({})",
                    limit.name()
                );
            }
            _ => ("connections without a request or a login", bounds.unauthenticated),
        };
        format!("more than {most} {what} ({})", limit.name())
    }
}

impl Newcomer {
    /// Says how the connection stands from now on. Others may have to go because of it, or it itself.
    pub(crate) fn stand(&mut self, standing: Standing) {
        if standing == self.stands {
            return;
        }
        let grows = (standing.waits && !self.stands.waits) || standing.head_bytes > self.stands.head_bytes;
        let before = (self.address, self.number);
        if !self.stands.idle || standing.answers != self.stands.answers {
            // It begins to wait now, whenever it came.
            self.number = self.newcomers.next_number();
        }
        self.stands = standing;
        let member = (self.address, self.number);
        let mut evicted = Vec::new();
        {
            let mut crowds = self.newcomers.0.crowds.lock();
            if member != before {
                crowds.remove(before);
            }
            let ears = || Arc::clone(&self.ears);
            crowds.waiting.set(member, usize::from(standing.waits), ears);
            crowds.heads.set(member, standing.head_bytes, ears);
            crowds.idle.set(member, usize::from(standing.idle), ears);
            if grows {
                self.evict(&mut crowds, &mut evicted);
            }
        }
        for (ears, limit) in evicted {
            ears.hear(limit);
        }
    }

    /// Takes out whoever has to go.
    fn evict(&self, crowds: &mut Crowds, evicted: &mut Vec<(Arc<Ears>, Limit)>) {
        let bounds = &self.newcomers.0.bounds;
        let oldest_of_most = |crowd: &mut Crowd<Arc<Ears>>| {
            let heaviest = crowd.heaviest()?;
            crowd.remove_oldest(heaviest)
        };
        while crowds.heads.weight() > bounds.head_bytes
            && let Some((member, ears)) = oldest_of_most(&mut crowds.heads)
        {
            crowds.remove(member);
            evicted.push((ears, Limit::HeadTotalBytes));
        }
        let own = self.is_client
            && bounds.per_address > 0
            && crowds.waiting.weight_of(self.address) > bounds.per_address;
        if own && let Some((member, ears)) = crowds.waiting.remove_oldest(self.address) {
            crowds.remove(member);
            evicted.push((ears, Limit::UnauthenticatedPerAddress));
        }
        while crowds.waiting.weight() > bounds.unauthenticated
            && let Some((member, ears)) = oldest_of_most(&mut crowds.waiting)
        {
            crowds.remove(member);
            evicted.push((ears, Limit::Unauthenticated));
        }
    }

    /// Whether the connection has to go, and because of which limit. Said once: a connection that has just got what it
    /// waited for may stay.
    pub(crate) fn poll_evicted(&mut self, cx: &mut Context<'_>) -> Poll<Limit> {
        self.ears.waker.register(cx.waker());
        match self.ears.evicted.lock().take() {
            Some(limit) => {
                self.stands = Standing::default();
                Poll::Ready(limit)
            }
            None => Poll::Pending,
        }
    }

    /// What the client is told if it has to go because of `limit`.
    pub(crate) fn words(&self, limit: Limit) -> String {
        self.newcomers.words(limit)
    }

    /// Waits until the connection has to go. Never ready after [`Self::settle`].
    pub(crate) async fn evicted(&self) -> Limit {
        poll_fn(|cx| {
            self.ears.waker.register(cx.waker());
            match *self.ears.evicted.lock() {
                Some(limit) if !self.ears.settled.load(Ordering::Relaxed) => Poll::Ready(limit),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// The client has sent what was waited for: it is none of the newcomers any more.
    pub(crate) fn settle(&self) {
        self.ears.settled.store(true, Ordering::Relaxed);
        self.forget();
    }

    fn forget(&self) {
        if self.stands != Standing::default() {
            let member = (self.address, self.number);
            self.newcomers.0.crowds.lock().remove(member);
        }
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(test)]
mod tests;
