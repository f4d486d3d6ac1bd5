//! How many targets a caller may publish to: in one request, and in a time. A broadcast is one target, and so is each user of
//! a notification: it is targets that cost, not requests. Knows no body and no bus.

use std::sync::Arc;

use super::Config;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::limit::{AddressGroup, KeyedRate};

/// Who is counted for a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Payer {
    /// A key or a user, wherever the request comes from.
    Caller(Caller),
    /// Nobody in particular: the address.
    Address(AddressGroup),
}

/// `api.targets_per_request` and `api.targets_per_caller`. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Targets {
    per_request: usize,
    per_caller: Option<Arc<KeyedRate>>,
}

impl Targets {
    /// The bounds of `[api]`.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            per_request: config.targets_per_request,
            per_caller: config
                .targets_per_caller
                .quota()
                .map(KeyedRate::new)
                .map(Arc::new),
        }
    }

    /// Whether callers have a rate: only then has anybody to know who pays.
    pub(crate) fn are_metered(&self) -> bool {
        self.per_caller.is_some()
    }

    /// Admits a request with this number of `targets`, all of them or none. `payer` is `None` where nobody is metered.
    ///
    /// # Errors
    /// [`ApiError::TooManyTargets`], or [`ApiError::RateLimited`] with the time after which they would be admitted.
    pub(crate) fn admit(&self, payer: Option<&Payer>, targets: usize) -> Result<(), ApiError> {
        if targets > self.per_request {
            let allowed = self.per_request;
            return Err(ApiError::TooManyTargets { targets, allowed });
        }
        let (Some(rate), Some(payer)) = (&self.per_caller, payer) else {
            return Ok(());
        };
        let units = u32::try_from(targets).unwrap_or(u32::MAX);
        rate.check_many(payer, units).map_err(ApiError::RateLimited)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn targets(per_request: usize, per_caller: &str) -> Targets {
        Targets::new(&Config {
            targets_per_request: per_request,
            targets_per_caller: per_caller.parse().unwrap(),
            ..Config::default()
        })
    }

    fn key(name: &str) -> Payer {
        Payer::Caller(Caller::Key(name.into()))
    }

    #[test]
    fn a_request_is_bounded() {
        let bounded = targets(10, "off");
        assert!(!bounded.are_metered());
        assert_eq!(bounded.admit(None, 10), Ok(()));
        let refused = bounded.admit(None, 11);
        assert_eq!(
            refused,
            Err(ApiError::TooManyTargets {
                targets: 11,
                allowed: 10
            })
        );
    }

    #[test]
    fn each_caller_has_a_rate_of_its_own() {
        let metered = targets(1_000, "1/m burst 20");
        assert!(metered.are_metered());
        let address = |text: &str| Payer::Address(AddressGroup::of(text.parse().unwrap()));
        let user = Payer::Caller(Caller::User("a".into()));
        for payer in [
            key("a"),
            key("b"),
            user,
            address("192.0.2.1"),
            address("2001:db8::1"),
        ] {
            assert_eq!(metered.admit(Some(&payer), 15), Ok(()), "{payer:?}");
            // None of six is taken where five are left.
            let refused = metered.admit(Some(&payer), 6);
            assert!(
                matches!(refused, Err(ApiError::RateLimited(wait)) if wait > Duration::ZERO),
                "{refused:?}"
            );
            assert_eq!(metered.admit(Some(&payer), 5), Ok(()), "{payer:?}");
        }
        assert!(
            metered.admit(Some(&address("2001:db8::2")), 1).is_err(),
            "the same customer"
        );
    }

    #[test]
    fn more_than_a_burst_passes_as_a_burst() {
        let metered = targets(1_000, "1/m burst 20");
        assert_eq!(metered.admit(Some(&key("a")), 500), Ok(()));
        assert!(metered.admit(Some(&key("a")), 1).is_err());
    }
}
