//! Whether an address may open another WebSocket: how many it has, and how fast it opens them. Knows no handshake.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::limit::{AddressGroup, AddressPlace, AddressPlaces, KeyedRate, Limit};
use crate::setting::Limits;
use crate::setting::Rate;
use crate::telemetry::metrics::Metrics;

/// When a client whose address has too many may ask again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// `limits.sessions_per_address` and `limits.connects_per_address`. Cheap to clone.
#[derive(Clone)]
pub struct Admission(Arc<Inner>);

struct Inner {
    connects: Rate,
    limiter: Option<KeyedRate>,
    open: AddressPlaces,
    metrics: Metrics,
}

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
            open: AddressPlaces::new(limits.sessions_per_address),
            metrics: metrics.clone(),
        }))
    }

    /// A place for another connection of `address`. An attempt counts for the rate even if there is none.
    pub(super) fn admit(&self, address: IpAddr) -> Result<AddressPlace, Refused> {
        let inner = &*self.0;
        let group = AddressGroup::of(address);
        if let Some(limiter) = &inner.limiter {
            limiter
                .check(group)
                .map_err(|wait| self.refused(Limit::ConnectsPerAddress, &inner.connects.to_string(), wait))?;
        }
        let most = || inner.open.most().to_string();
        let place = inner.open.take(address);
        place.ok_or_else(|| self.refused(Limit::SessionsPerAddress, &most(), RETRY_AFTER))
    }

    fn refused(&self, limit: Limit, value: &str, retry_after: Duration) -> Refused {
        self.0.metrics.limit_hit(limit);
        Refused {
            detail: format!("{} ({value}) is reached by this address", limit.name()),
            retry_after,
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
    fn who_has_too_many_is_told_which_limit_it_is() {
        let admission = admission(|limits| limits.sessions_per_address = 1);
        let one = address("192.0.2.1");
        let _place = admission.admit(one).unwrap();
        let refused = admission.admit(one).err().unwrap();
        assert_eq!(
            refused.detail,
            "limits.sessions_per_address (1) is reached by this address"
        );
        assert_eq!(admission.0.metrics.limit_hits(Limit::SessionsPerAddress), 1);
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
}
