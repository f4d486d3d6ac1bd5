//! Whether an address may open another WebSocket: how many it has, and how fast it opens them. Knows no handshake.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::limit::{AddressGroup, KeyedRate, Limit};
use crate::setting::Limits;
use crate::setting::Rate;
use crate::telemetry::metrics::Metrics;

/// The table of counts is shrunk when it has room for this many more entries than it holds.
const SPARE_MAX: usize = 1_024;
/// When a client whose address has too many may ask again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// `limits.sessions_per_address` and `limits.connects_per_address`. Cheap to clone.
#[derive(Clone)]
pub struct Admission(Arc<Inner>);

struct Inner {
    connects: Rate,
    limiter: Option<KeyedRate>,
    most: usize,
    /// Never more entries than connections.
    open: Mutex<HashMap<AddressGroup, usize>>,
    metrics: Metrics,
}

/// An address's place for one connection, freed when dropped. `None` if nothing is counted.
pub(super) struct Seat(Option<Box<(AddressGroup, Admission)>>);

/// Why a WebSocket is not opened: 429.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) detail: String,
    pub(super) retry_after: Duration,
}

impl Admission {
    /// Built from `[limits]`. Hits are counted in `metrics`.
    pub fn new(limits: &Limits, metrics: &Metrics) -> Self {
        Self(Arc::new(Inner {
            connects: limits.connects_per_address,
            limiter: limits.connects_per_address.quota().map(KeyedRate::new),
            most: limits.sessions_per_address,
            open: Mutex::default(),
            metrics: metrics.clone(),
        }))
    }

    /// A place for another connection of `address`. An attempt counts for the rate even if there is none.
    pub(super) fn admit(&self, address: IpAddr) -> Result<Seat, Refused> {
        let inner = &*self.0;
        let group = AddressGroup::of(address);
        if let Some(limiter) = &inner.limiter {
            limiter
                .check(group)
                .map_err(|wait| self.refused(Limit::ConnectsPerAddress, &inner.connects.to_string(), wait))?;
        }
        if inner.most == 0 {
            return Ok(Seat(None));
        }
        let mut open = inner.open.lock();
        let count = open.entry(group).or_default();
        if *count >= inner.most {
            drop(open);
            return Err(self.refused(Limit::SessionsPerAddress, &inner.most.to_string(), RETRY_AFTER));
        }
        *count += 1;
        Ok(Seat(Some(Box::new((group, self.clone())))))
    }

    fn refused(&self, limit: Limit, value: &str, retry_after: Duration) -> Refused {
        self.0.metrics.limit_hit(limit);
        Refused {
            detail: format!("{} ({value}) is reached by this address", limit.name()),
            retry_after,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some((group, admission)) = self.0.take().map(|seat| *seat) else {
            return;
        };
        let mut open = admission.0.open.lock();
        if let Some(count) = open.get_mut(&group) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&group);
            }
        }
        if open.capacity() > 4 * open.len() + SPARE_MAX {
            let room = 2 * open.len();
            open.shrink_to(room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(change: impl FnOnce(&mut Limits)) -> Admission {
        let mut limits = Limits::default();
        change(&mut limits);
        Admission::new(&limits, &Metrics::new().unwrap())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_at_once_and_gets_its_places_back() {
        let admission = admission(|limits| limits.sessions_per_address = 2);
        let (one, other) = (address("2001:db8::1"), address("192.0.2.1"));
        let seats = [admission.admit(one).unwrap(), admission.admit(one).unwrap()];
        // The same customer, by another of its addresses.
        let refused = admission.admit(address("2001:db8::2")).err().unwrap();
        assert_eq!(
            refused.detail,
            "limits.sessions_per_address (2) is reached by this address"
        );
        assert!(admission.admit(other).is_ok());
        assert_eq!(admission.0.metrics.limit_hits(Limit::SessionsPerAddress), 1);
        drop(seats);
        assert!(admission.admit(one).is_ok());
        assert!(
            admission.0.open.lock().is_empty(),
            "what nobody holds is not kept"
        );
    }

    #[test]
    fn the_table_gives_memory_back() {
        let admission = admission(|limits| limits.sessions_per_address = 1);
        let address = |n: u32| std::net::Ipv4Addr::from_bits(n).into();
        let seats: Vec<Seat> = (0..20_000)
            .map(|n| admission.admit(address(n)).unwrap())
            .collect();
        assert!(admission.0.open.lock().capacity() >= 20_000);
        drop(seats);
        assert!(admission.0.open.lock().capacity() <= 2 * SPARE_MAX);
    }

    #[test]
    fn an_address_opens_so_many_in_a_time() {
        let admission = admission(|limits| limits.connects_per_address = "6/m burst 3".parse().unwrap());
        let one = address("192.0.2.1");
        assert!((0..3).all(|_| admission.admit(one).is_ok()));
        let refused = admission.admit(one).err().unwrap();
        assert_eq!(
            refused.detail,
            "limits.connects_per_address (6/m burst 3) is reached by this address"
        );
        assert!(refused.retry_after > Duration::from_secs(8), "{refused:?}");
        assert!(admission.admit(address("192.0.2.2")).is_ok());
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let admission = admission(|_| {});
        let seats: Vec<Seat> = (0..10_000)
            .map(|_| admission.admit(address("::1")).unwrap())
            .collect();
        assert!(admission.0.open.lock().is_empty());
        drop(seats);
    }
}
