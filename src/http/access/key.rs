//! A named key, ready for use: its scopes, its destinations, its rates, and its end. Knows no request.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::config::{Key, KeyDigest, Scope};
use crate::destination::Prefixes;
use crate::http::error::ApiError;
use crate::limit::{KeyedRate, Limit};
use crate::permissions::Destinations;
use crate::setting::{ByteRate, Findings};

/// For how long the use of a key is no news.
const NEWS_MS: u64 = 60 * 60 * 1_000;

/// One of `api.keys`. Two are equal if their names are: a name belongs to one key.
pub(crate) struct ApiKey {
    /// Its name.
    pub name: Arc<str>,
    /// Where it may publish.
    pub destinations: Destinations,
    configured: Key,
    rate: Option<Arc<KeyedRate>>,
    bytes: Option<Arc<KeyedRate>>,
    /// When its use was last news, in Unix ms.
    told_ms: AtomicU64,
}

impl ApiKey {
    /// The key at `place`, such as `api.keys[0]`. Destinations that mean nothing under `prefixes` are noted as errors. What was
    /// used of an unchanged rate of the key that had the name `before` stays used.
    pub(in crate::http) fn new(
        place: &str,
        key: &Key,
        prefixes: &Prefixes,
        before: Option<&Self>,
        findings: &mut Findings,
    ) -> Self {
        let list = format!("{place}.destinations");
        let limiter = |quota: Option<governor::Quota>| quota.map(|quota| Arc::new(KeyedRate::new(quota)));
        let same_rate = before.filter(|before| before.configured.rate == key.rate);
        let same_bytes = before.filter(|before| before.configured.bytes == key.bytes);
        Self {
            name: Arc::clone(&key.name),
            destinations: Destinations::new(&list, key.destinations.as_deref(), prefixes, findings),
            rate: match same_rate {
                Some(before) => before.rate.clone(),
                None => limiter(key.rate.and_then(|rate| rate.quota())),
            },
            bytes: match same_bytes {
                Some(before) => before.bytes.clone(),
                None => limiter(key.bytes.quota()),
            },
            told_ms: AtomicU64::new(before.map_or(0, |before| before.told_ms.load(Ordering::Relaxed))),
            configured: key.clone(),
        }
    }

    /// Whether its holder may do what requires `scope`.
    pub(in crate::http) fn grants(&self, scope: Scope) -> bool {
        let includes = |held: &Scope| match held {
            Scope::Admin => true,
            Scope::Read => matches!(scope, Scope::Read | Scope::Metrics),
            Scope::Publish | Scope::Metrics => *held == scope,
        };
        self.configured.scopes.iter().any(includes)
    }

    /// Whether its use is news: the first one in an hour.
    pub(in crate::http) fn is_news(&self, now_ms: u64) -> bool {
        let told = self.told_ms.load(Ordering::Relaxed);
        let is_due = told == 0 || now_ms.saturating_sub(told) >= NEWS_MS;
        let order = Ordering::Relaxed;
        // Of several at the same time one is the first.
        is_due && self.told_ms.compare_exchange(told, now_ms, order, order).is_ok()
    }

    /// Whether it was good until some moment in the past.
    pub(in crate::http) fn has_ended(&self) -> bool {
        self.configured
            .not_after
            .is_some_and(|last| Timestamp::now() > last.0)
    }

    /// Admits so many targets and bytes, by the rates of its own; targets by `otherwise` if it has no rate of them.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`], and nothing is taken; or that of `otherwise`.
    pub(super) fn admit(
        &self,
        targets: u32,
        bytes: usize,
        otherwise: impl FnOnce() -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let check = |rate: &KeyedRate, units: u32, limit: Limit| {
            let checked = rate.check_many((), units);
            checked.map_err(|wait| ApiError::RateLimited { wait, limit })
        };
        let taken = match &self.bytes {
            None => None,
            Some(rate) => Some((rate, check(rate, ByteRate::units(bytes), Limit::KeyBytes)?)),
        };
        let admitted = match &self.rate {
            None => otherwise(),
            Some(rate) => check(rate, targets, Limit::KeyRate).map(|_| ()),
        };
        if let (Err(_), Some((rate, taken))) = (&admitted, taken) {
            rate.give_back(taken);
        }
        admitted
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
    /// Those of `keys`, each with its place. Destinations that mean nothing under `prefixes` are noted as errors. Rates go on
    /// where those of `before` stand.
    pub(super) fn new<'a>(
        keys: impl Iterator<Item = (String, &'a Key)>,
        prefixes: &Prefixes,
        before: &Self,
        findings: &mut Findings,
    ) -> Self {
        let mut digests = Vec::new();
        for (place, key) in keys {
            let before = before.named(&key.name).map(|key| &**key);
            let ready = Arc::new(ApiKey::new(&place, key, prefixes, before, findings));
            digests.extend(key.sha256.0.iter().map(|digest| (*digest, Arc::clone(&ready))));
        }
        Self { digests }
    }

    /// The key of this name.
    pub(super) fn named(&self, name: &str) -> Option<&Arc<ApiKey>> {
        let mut keys = self.digests.iter().map(|(_, key)| key);
        keys.find(|key| *key.name == *name)
    }

    /// The key with this SHA-256, good or not. Takes the same time whichever it is, and whether or not it is one.
    pub(super) fn find(&self, digest: &[u8; 32]) -> Option<&Arc<ApiKey>> {
        let mut found = 0_u32;
        for (index, (known, _)) in (1_u32..).zip(&self.digests) {
            let same: Choice = digest.ct_eq(&known.0);
            found.conditional_assign(&index, same);
        }
        let (_, key) = self.digests.get((found as usize).checked_sub(1)?)?;
        Some(key)
    }
}
