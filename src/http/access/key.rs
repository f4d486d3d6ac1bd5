//! A named key, ready for use: what it may do, where, how often, and until when. Knows no request.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::config::{Key, KeyDigest, Scope};
use crate::destination::Prefixes;
use crate::http::error::ApiError;
use crate::limit::{KeyedRate, Limit};
use crate::permissions::Destinations;
use crate::setting::{ByteRate, Findings};

/// One of `api.keys`. Two are equal if their names are: a name belongs to one key.
pub(crate) struct ApiKey {
    /// Its name.
    pub name: Arc<str>,
    /// Where it may publish.
    pub destinations: Destinations,
    scopes: Box<[Scope]>,
    rate: Option<KeyedRate>,
    bytes: Option<KeyedRate>,
    not_after: Option<Timestamp>,
}

impl ApiKey {
    /// The key number `index` of the configuration. Destinations that mean nothing under `prefixes` are noted as errors.
    pub(in crate::http) fn new(
        index: usize,
        key: &Key,
        prefixes: &Prefixes,
        findings: &mut Findings,
    ) -> Self {
        let list = format!("api.keys[{index}].destinations");
        let limiter = |quota: Option<governor::Quota>| quota.map(KeyedRate::new);
        Self {
            name: Arc::clone(&key.name),
            destinations: Destinations::new(&list, key.destinations.as_deref(), prefixes, findings),
            scopes: key.scopes.clone(),
            rate: limiter(key.rate.and_then(|rate| rate.quota())),
            bytes: limiter(key.bytes.quota()),
            not_after: key.not_after.map(|moment| moment.0),
        }
    }

    /// Whether its holder may do what requires `scope`.
    pub(in crate::http) fn grants(&self, scope: Scope) -> bool {
        let includes = |held: &Scope| match held {
            Scope::Admin => true,
            Scope::Read => matches!(scope, Scope::Read | Scope::Metrics),
            Scope::Publish | Scope::Metrics => *held == scope,
        };
        self.scopes.iter().any(includes)
    }

    /// Whether it was good until some moment in the past.
    pub(in crate::http) fn has_ended(&self) -> bool {
        self.not_after.is_some_and(|last| Timestamp::now() > last)
    }

    /// Whether it has a rate of targets of its own.
    pub(super) fn has_rate(&self) -> bool {
        self.rate.is_some()
    }

    /// Admits so many targets and bytes, by the rates of its own.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`]; of the other rate nothing is given back.
    pub(super) fn admit(&self, targets: u32, bytes: usize) -> Result<(), ApiError> {
        let check = |rate: &Option<KeyedRate>, units: u32, limit: Limit| match rate {
            None => Ok(()),
            Some(rate) => {
                let checked = rate.check_many((), units);
                checked.map_err(|wait| ApiError::RateLimited { wait, limit })
            }
        };
        check(&self.bytes, ByteRate::units(bytes), Limit::KeyBytes)?;
        check(&self.rate, targets, Limit::KeyRate)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({:?})", &*self.name)
    }
}

impl PartialEq for ApiKey {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ApiKey {}

impl Hash for ApiKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// All keys at one moment.
#[derive(Debug, Default)]
pub(super) struct Keys {
    digests: Vec<(KeyDigest, Arc<ApiKey>)>,
}

impl Keys {
    /// Those of `keys`. Destinations that mean nothing under `prefixes` are noted as errors.
    pub(super) fn new(keys: &[Key], prefixes: &Prefixes, findings: &mut Findings) -> Self {
        let mut digests = Vec::with_capacity(keys.len());
        for (index, key) in keys.iter().enumerate() {
            let ready = Arc::new(ApiKey::new(index, key, prefixes, findings));
            digests.extend(key.sha256.0.iter().map(|digest| (*digest, Arc::clone(&ready))));
        }
        Self { digests }
    }

    /// The key of this name.
    pub(super) fn named(&self, name: &str) -> Option<&Arc<ApiKey>> {
        let mut keys = self.digests.iter().map(|(_, key)| key);
        keys.find(|key| *key.name == *name)
    }

    /// The key that `token` is, good or not. Takes the same time whichever it is, and whether or not it is one.
    pub(super) fn find(&self, token: &str) -> Option<&Arc<ApiKey>> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut found = 0_u32;
        for (index, (known, _)) in (1_u32..).zip(&self.digests) {
            let same: Choice = digest.ct_eq(&known.0);
            found.conditional_assign(&index, same);
        }
        let (_, key) = self.digests.get((found as usize).checked_sub(1)?)?;
        Some(key)
    }
}
