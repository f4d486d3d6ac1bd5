//! How many targets a caller may publish to, in one request and per time. A broadcast is one target, and so is each
//! user of a notification: targets cause the cost, not requests. Knows no body and no bus.

use std::net::IpAddr;
use std::sync::Arc;

use super::Config;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::limit::{AddressGroup, KeyedRate, Limit};

/// Who is counted for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Payer<'a> {
    /// A key or a user, wherever the request comes from.
    Caller(&'a Caller),
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

    /// Admits a request of `caller` from `address` with this number of `targets`, all of them or none, and so many bytes of
    /// bodies, each counted once for each of its targets. A key with a rate of its own is counted by that one.
    ///
    /// # Errors
    /// [`ApiError::TooManyTargets`], or [`ApiError::RateLimited`] with the time after which they would be admitted.
    pub(crate) fn admit(
        &self,
        caller: &Caller,
        address: IpAddr,
        targets: usize,
        bytes: usize,
    ) -> Result<(), ApiError> {
        if targets > self.per_request {
            let allowed = self.per_request;
            return Err(ApiError::TooManyTargets { targets, allowed });
        }
        let units = u32::try_from(targets).unwrap_or(u32::MAX);
        match caller {
            Caller::Key(key) => key.admit(units, bytes, || self.by_caller(Payer::Caller(caller), units)),
            Caller::Anyone => self.by_caller(Payer::Address(AddressGroup::of(address)), units),
            caller => self.by_caller(Payer::Caller(caller), units),
        }
    }

    fn by_caller(&self, payer: Payer<'_>, units: u32) -> Result<(), ApiError> {
        let Some(rate) = &self.per_caller else {
            return Ok(());
        };
        let limit = Limit::TargetsPerCaller;
        let checked = rate.check_many(payer, units).map(|_| ());
        checked.map_err(|wait| ApiError::RateLimited { wait, limit })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::destination::Prefixes;
    use crate::http::access::{Key, Policy, Scope};
    use crate::principal::{Principal, UserName};
    use crate::setting::Findings;

    fn targets(per_request: usize, per_caller: &str) -> Targets {
        Targets::new(&Config {
            targets_per_request: per_request,
            targets_per_caller: per_caller.parse().unwrap(),
            ..Config::default()
        })
    }

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn key(name: &str, configure: impl FnOnce(&mut Key)) -> Caller {
        let mut key = Key::new(name, [1; 32], &[Scope::Publish]);
        configure(&mut key);
        Caller::of_key(&key)
    }

    fn limit_of(refused: Result<(), ApiError>) -> Option<Limit> {
        match refused {
            Err(ApiError::RateLimited { wait, limit }) if wait > Duration::ZERO => Some(limit),
            _ => None,
        }
    }

    #[test]
    fn a_request_is_bounded() {
        let bounded = targets(10, "off");
        assert_eq!(bounded.admit(&Caller::Anyone, HERE, 10, 0), Ok(()));
        let refused = bounded.admit(&Caller::Anyone, HERE, 11, 0);
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
        let at = |text: &str| -> IpAddr { text.parse().unwrap() };
        let user = Principal::new(UserName::parse("a").unwrap(), ["ROLE_PUBLISHER"]);
        for (caller, address) in [
            (key("a", |_| ()), HERE),
            (key("b", |_| ()), HERE),
            (Caller::User(user), HERE),
            (Caller::Anyone, at("192.0.2.1")),
            (Caller::Anyone, at("2001:db8::1")),
        ] {
            assert_eq!(metered.admit(&caller, address, 15, 0), Ok(()), "{caller:?}");
            // None of six is taken where five are left.
            let refused = limit_of(metered.admit(&caller, address, 6, 0));
            assert_eq!(refused, Some(Limit::TargetsPerCaller));
            assert_eq!(metered.admit(&caller, address, 5, 0), Ok(()), "{caller:?}");
        }
        let same_customer = at("2001:db8::2");
        assert!(metered.admit(&Caller::Anyone, same_customer, 1, 0).is_err());
    }

    fn wait_of(refused: Result<(), ApiError>) -> u64 {
        match refused {
            Err(ApiError::RateLimited { wait, .. }) => wait.as_secs_f64().round() as u64,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn more_than_a_burst_passes_once_and_is_a_debt() {
        let metered = targets(1_000, "1/s burst 20");
        let caller = key("a", |_| ());
        assert_eq!(metered.admit(&caller, HERE, 500, 0), Ok(()));
        assert_eq!(wait_of(metered.admit(&caller, HERE, 1, 0)), 481);
        assert_eq!(wait_of(metered.admit(&caller, HERE, 1_000, 0)), 500);

        let own = key("own", |key| key.rate = Some("1/s burst 20".parse().unwrap()));
        assert_eq!(metered.admit(&own, HERE, 500, 0), Ok(()));
        assert_eq!(wait_of(metered.admit(&own, HERE, 1, 0)), 481);

        let bytes = key("bytes", |key| key.bytes = "1KiB/s burst 2KiB".parse().unwrap());
        assert_eq!(metered.admit(&bytes, HERE, 1, 100 << 10), Ok(()));
        assert_eq!(wait_of(metered.admit(&bytes, HERE, 1, 1_024)), 99);
        let huge = key("huge", |key| key.bytes = "1KiB/m".parse().unwrap());
        assert_eq!(metered.admit(&huge, HERE, 1, usize::MAX), Ok(()));
        assert!(
            (3_600..=3_660).contains(&wait_of(metered.admit(&huge, HERE, 1, 1))),
            "an hour at most"
        );
    }

    #[test]
    fn what_another_rate_refuses_costs_no_bytes() {
        let metered = targets(1_000, "1/m burst 1");
        for rate in [None, Some("1/m burst 1".parse().unwrap())] {
            let caller = key("a", |key| {
                key.rate = rate;
                key.bytes = "1KiB/m burst 4KiB".parse().unwrap();
            });
            assert_eq!(metered.admit(&caller, HERE, 1, 2_048), Ok(()));
            let refused = limit_of(metered.admit(&caller, HERE, 1, 2_048)).unwrap();
            assert!([Limit::KeyRate, Limit::TargetsPerCaller].contains(&refused));
            let again = limit_of(metered.admit(&caller, HERE, 1, 2_048));
            assert_eq!(again, Some(refused), "not {:?}", Limit::KeyBytes);
        }
    }

    #[test]
    fn a_key_may_have_rates_of_its_own() {
        let metered = targets(1_000, "1/m burst 2");
        let fast = key("fast", |key| key.rate = Some("1/m burst 100".parse().unwrap()));
        assert_eq!(
            metered.admit(&fast, HERE, 90, 0),
            Ok(()),
            "instead of the common one"
        );
        assert_eq!(limit_of(metered.admit(&fast, HERE, 90, 0)), Some(Limit::KeyRate));
        let small = key("small", |key| key.bytes = "1KiB/m burst 4KiB".parse().unwrap());
        assert_eq!(metered.admit(&small, HERE, 1, 3_000), Ok(()));
        assert_eq!(
            limit_of(metered.admit(&small, HERE, 1, 3_000)),
            Some(Limit::KeyBytes)
        );
        assert_eq!(
            metered.admit(&small, HERE, 1, 100),
            Ok(()),
            "the common rate counts as well"
        );
        assert_eq!(
            limit_of(metered.admit(&small, HERE, 1, 1)),
            Some(Limit::TargetsPerCaller)
        );
        assert!(
            Policy::new(&Config::default(), &Prefixes::default(), &mut Findings::default())
                .key(&[0; 32])
                .is_none()
        );
    }
}
