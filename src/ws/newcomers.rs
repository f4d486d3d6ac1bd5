//! Connections that wait for their client: for the head of a request, or for a login. Where there are too many of them, or
//! their unfinished heads take too much, the oldest of the address that has most goes. Knows neither HTTP nor STOMP; a
//! connection says how it stands, and hears that it has to go.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::limit::{AddressGroup, Crowd, Limit};

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
}

/// By which a connection hears that it has to go.
#[derive(Debug, Default)]
struct Ears {
    waker: AtomicWaker,
    evicted: Mutex<Option<Limit>>,
    settled: AtomicBool,
}

/// One connection, which is forgotten when this is dropped.
#[derive(Debug)]
pub(crate) struct Newcomer {
    newcomers: Newcomers,
    address: AddressGroup,
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
}

impl Standing {
    /// Whether the connection may have to go.
    pub(crate) fn is_newcomer(self) -> bool {
        self != Self::default()
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
            number: self.0.arrivals.fetch_add(1, Ordering::Relaxed),
            is_client,
            stands: Standing::default(),
            ears: Arc::default(),
        }
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
        self.stands = standing;
        let member = (self.address, self.number);
        let mut evicted = Vec::new();
        {
            let mut crowds = self.newcomers.0.crowds.lock();
            let ears = || Arc::clone(&self.ears);
            crowds.waiting.set(member, usize::from(standing.waits), ears);
            crowds.heads.set(member, standing.head_bytes, ears);
            if grows {
                self.evict(&mut crowds, &mut evicted);
            }
        }
        for (ears, limit) in evicted {
            *ears.evicted.lock() = Some(limit);
            ears.waker.wake();
        }
    }

    /// Takes out whoever has to go.
    fn evict(&self, crowds: &mut Crowds, evicted: &mut Vec<(Arc<Ears>, Limit)>) {
        let Crowds { waiting, heads } = crowds;
        let bounds = &self.newcomers.0.bounds;
        while heads.weight() > bounds.head_bytes
            && let Some((member, ears)) = heads.heaviest().and_then(|address| heads.remove_oldest(address))
        {
            waiting.remove(member);
            evicted.push((ears, Limit::HeadTotalBytes));
        }
        let own =
            self.is_client && bounds.per_address > 0 && waiting.weight_of(self.address) > bounds.per_address;
        if own && let Some((member, ears)) = waiting.remove_oldest(self.address) {
            heads.remove(member);
            evicted.push((ears, Limit::UnauthenticatedPerAddress));
        }
        while waiting.weight() > bounds.unauthenticated
            && let Some((member, ears)) = waiting
                .heaviest()
                .and_then(|address| waiting.remove_oldest(address))
        {
            heads.remove(member);
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
        if self.stands.is_newcomer() {
            let member = (self.address, self.number);
            let mut crowds = self.newcomers.0.crowds.lock();
            crowds.waiting.remove(member);
            crowds.heads.remove(member);
        }
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const WAITS: Standing = Standing {
        waits: true,
        head_bytes: 0,
    };

    fn newcomers(unauthenticated: usize, per_address: usize, head_bytes: usize) -> Newcomers {
        Newcomers::new(Bounds {
            unauthenticated,
            per_address,
            head_bytes,
        })
    }

    fn stand(newcomers: &Newcomers, address: &str, head_bytes: usize) -> Newcomer {
        let mut newcomer = newcomers.arrived(address.parse().unwrap(), true);
        newcomer.stand(Standing { head_bytes, ..WAITS });
        newcomer
    }

    /// Why each has to go.
    fn evicted<const N: usize>(all: &[&Newcomer; N]) -> [Option<Limit>; N] {
        all.map(|newcomer| newcomer.evicted().now_or_never())
    }

    #[test]
    fn the_oldest_of_the_address_that_has_most_goes() {
        let newcomers = newcomers(3, 0, 100);
        let lonely = stand(&newcomers, "192.0.2.1", 0);
        let first = stand(&newcomers, "2001:db8::1", 0);
        let second = stand(&newcomers, "2001:db8::2", 0);
        assert_eq!(evicted(&[&lonely, &first, &second]), [None; 3]);
        let third = stand(&newcomers, "192.0.2.2", 0);
        let gone = Some(Limit::Unauthenticated);
        assert_eq!(
            evicted(&[&lonely, &first, &second, &third]),
            [None, gone, None, None]
        );
        assert_eq!(
            newcomers.words(Limit::Unauthenticated),
            "more than 3 connections without a request or a login (http.unauthenticated)"
        );
    }

    #[test]
    fn heads_are_weighed() {
        let newcomers = newcomers(100, 0, 1_000);
        let many = [(); 4].map(|()| stand(&newcomers, "192.0.2.1", 1));
        let mut large = stand(&newcomers, "192.0.2.2", 900);
        assert_eq!(evicted(&[&many[0], &large]), [None; 2]);
        let small = stand(&newcomers, "192.0.2.3", 200);
        let gone = Some(Limit::HeadTotalBytes);
        assert_eq!(evicted(&[&many[0], &large, &small]), [None, gone, None]);
        // It is forgotten, and stays so.
        large.stand(Standing::default());
        drop(large);
        drop((many, small));
        let crowds = newcomers.0.crowds.lock();
        assert_eq!((crowds.waiting.weight(), crowds.heads.weight()), (0, 0));
    }

    /// Strangers at many addresses, each with as much as the newcomer, whether theirs are the lower or the higher ones.
    #[test]
    fn of_addresses_that_have_the_same_the_oldest_goes() {
        for (strangers, late) in [([1, 2, 3], 9), ([7, 8, 9], 1), ([9, 7, 8], 1)] {
            let at = |last: u8| format!("192.0.2.{last}");
            let newcomers_by_number = newcomers(3, 0, 1_000);
            let all = strangers.map(|last| stand(&newcomers_by_number, &at(last), 0));
            let newcomer = stand(&newcomers_by_number, &at(late), 0);
            let gone = Some(Limit::Unauthenticated);
            let expected = [gone, None, None, None];
            assert_eq!(evicted(&[&all[0], &all[1], &all[2], &newcomer]), expected);
            let newcomers_by_head = newcomers(100, 0, 1_000);
            let all = strangers.map(|last| stand(&newcomers_by_head, &at(last), 300));
            let newcomer = stand(&newcomers_by_head, &at(late), 300);
            let gone = Some(Limit::HeadTotalBytes);
            let expected = [gone, None, None, None];
            assert_eq!(evicted(&[&all[0], &all[1], &all[2], &newcomer]), expected);
        }
    }

    #[test]
    fn one_address_may_have_so_many() {
        let newcomers = newcomers(100, 2, 1_000);
        let all = [(); 3].map(|()| stand(&newcomers, "192.0.2.1", 0));
        let gone = Some(Limit::UnauthenticatedPerAddress);
        assert_eq!(evicted(&[&all[0], &all[1], &all[2]]), [gone, None, None]);
        // Not a proxy, which is no client.
        let proxied = [(); 4].map(|()| {
            let mut newcomer = newcomers.arrived("192.0.2.9".parse().unwrap(), false);
            newcomer.stand(WAITS);
            newcomer
        });
        assert_eq!(evicted(&[&proxied[0]]), [None]);
    }

    #[test]
    fn who_has_come_to_an_end_of_waiting_stays() {
        let newcomers = newcomers(1, 0, 1_000);
        let settled = stand(&newcomers, "192.0.2.1", 0);
        settled.settle();
        let first = stand(&newcomers, "192.0.2.1", 0);
        assert_eq!(evicted(&[&settled, &first]), [None; 2]);
        // Even where it was evicted a moment before.
        let second = stand(&newcomers, "192.0.2.1", 0);
        first.settle();
        assert_eq!(evicted(&[&settled, &first, &second]), [None; 3]);
    }
}
