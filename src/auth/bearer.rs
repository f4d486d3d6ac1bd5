//! Logins with tokens: remembered, or checked here and verified in the same queue as all logins. Knows the order of a
//! login's steps, but no claims.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::select_all;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use super::AuthError;
use super::issuers::{Keys, KnownIssuers};
use super::keys::source::{NoKeys, Source};
use super::keys::{Key, KeySet};
use super::login::Gates;
use super::password::{Outcome, Proof, Prove};
use super::presented::TokenDigest;
use super::revoked::Revoked;
use super::revoked::set::Shut;
use super::token::{Issuers, Refusal, Unproven, Verified};
use crate::envelope::unix_ms;
use crate::limit::Limit;
use crate::principal::{Origin, Principal, TokenMark, UserName};
use crate::setting::Secret;
use crate::telemetry::audit::{Audit, Claims};
use crate::telemetry::metrics::Metrics;

/// The label of tokens that name none of the configured issuers.
const NOBODY: &str = "unknown";
/// The label of tokens that were accepted.
const OK: &str = "ok";
/// The label of tokens that could not be checked because keys were unavailable.
const UNAVAILABLE: &str = "unavailable";
/// The label of tokens that were refused because too many logins waited.
const OVERLOADED: &str = "overloaded";

/// Accepts tokens.
pub(super) struct Bearer {
    issuers: Issuers,
    /// In the order of the issuers.
    keys: Vec<Keys>,
    max_bytes: usize,
    /// By the digest of a token. An entry is valid until the token expires, and only while its key is in force.
    remembered: Option<Cache<TokenDigest, Proof>>,
    metrics: Metrics,
    audit: Audit,
}

impl Bearer {
    /// Accepts tokens of these issuers.
    pub(super) fn new(known: &KnownIssuers, metrics: Metrics, audit: Audit) -> Self {
        let max_bytes = known.token.max_bytes.0;
        for issuer in known.names().chain([NOBODY]) {
            let refusals = Refusal::ALL.iter().map(|refusal| refusal.label());
            for result in refusals.chain([OK, UNAVAILABLE, OVERLOADED]) {
                if issuer != NOBODY || matches!(result, "malformed" | "algorithm" | "issuer") {
                    metrics.tokens.with_label_values(&[issuer, result]);
                }
            }
        }
        Self {
            keys: known.keys(&metrics),
            issuers: known.looking(),
            max_bytes,
            remembered: (known.token.cache_entries > 0).then(|| Cache::new(known.token.cache_entries)),
            metrics,
            audit,
        }
    }

    /// Whether no tokens are accepted at all.
    pub(super) fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// For each issuer, how long its tokens may remain valid after the moment of their revocation, in ms.
    pub(super) fn longest_lives(&self) -> impl Iterator<Item = (&str, u64)> {
        let all = self.issuers.all().iter();
        all.map(|issuer| (&*issuer.name, issuer.longest_life_ms()))
    }

    /// For each issuer, the prefix of its users' names.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.issuers.all().iter();
        all.map(|issuer| (&*issuer.name, &*issuer.prefix))
    }

    /// Whether `token` is not a token of a configured issuer and does not claim to be one, however malformed it is. A
    /// text that is too long is not treated as a token.
    pub(super) fn is_anothers(&self, token: &Secret) -> bool {
        let looked = || match self.issuers.look(token, unix_ms()) {
            Err((Refusal::Issuer, None)) => true,
            Err((Refusal::Malformed, None)) => !self.issuers.are_named_by(token),
            _ => false,
        };
        token.expose().len() <= self.max_bytes && looked()
    }

    /// The sources of keys that have to be fetched.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.keys.iter().filter_map(|keys| match keys {
            Keys::Fetched(source) => Some(source),
            Keys::Own(_) => None,
        })
    }

    /// Waits until keys are removed whose sessions are to end.
    pub(super) async fn keys_gone(&self) {
        let gone: Vec<_> = self.sources().map(|source| Box::pin(source.gone())).collect();
        match gone.is_empty() {
            true => std::future::pending().await,
            false => drop(select_all(gone).await),
        }
    }

    /// Whether the key of `principal`'s token is in force, if its session is to end when it is not.
    pub(super) fn has_key_of(&self, principal: &Principal) -> bool {
        let Some(key) = principal.token().and_then(|token| token.key.as_deref()) else {
            return true;
        };
        let Origin::Issuer(issuer) = principal.origin() else {
            return true;
        };
        let source = self.index(issuer).and_then(|index| self.source(index));
        source.is_none_or(|source| source.has(key))
    }

    /// The user that `token` proves; `digest` is its own, if it is known.
    ///
    /// # Cancel safety
    /// As [`Gates::proves`].
    pub(super) async fn verify(
        &self,
        gates: &Gates,
        revoked: &Revoked,
        token: &Secret,
        digest: Option<TokenDigest>,
        address: IpAddr,
    ) -> Result<Principal, AuthError> {
        let (issuer, result) = Box::pin(self.run(gates, token, digest, address)).await;
        // Only now is the signature known to be valid, whether or not the token was remembered.
        let result = result.and_then(|principal| {
            let shut = match revoked.refuses(&principal) {
                None => return Ok(principal),
                Some(Shut::Revoked) => Refusal::Revoked,
                Some(Shut::Blocked) => Refusal::Blocked,
            };
            Err(Fault::Refused(shut, Some(principal.user().clone())))
        });
        let label = match &result {
            Ok(_) => OK,
            Err(Fault::Refused(refusal, _)) => refusal.label(),
            Err(Fault::Unavailable(_)) => UNAVAILABLE,
            Err(Fault::Gate(_)) => OVERLOADED,
        };
        if let Err(Fault::Refused(_, user)) = &result {
            let claims = match (issuer.as_deref(), user) {
                (None, _) => Claims::Nobody,
                (Some(issuer), None) => Claims::Issuer(issuer),
                (Some(issuer), Some(user)) => Claims::Proven(issuer, user.as_str()),
            };
            self.audit.login_refused(address, claims, label);
        }
        let issuer = issuer.as_deref().unwrap_or(NOBODY);
        self.metrics.tokens.with_label_values(&[issuer, label]).inc();
        result.map_err(|fault| match fault {
            Fault::Refused(refusal, _) => {
                tracing::debug!(%address, issuer, reason = label, "a token was refused");
                match refusal {
                    Refusal::Expired => AuthError::Expired,
                    Refusal::Revoked | Refusal::Blocked => AuthError::Revoked,
                    _ => AuthError::Failed,
                }
            }
            Fault::Unavailable(wait) => AuthError::Unavailable(wait),
            Fault::Gate(error) => error,
        })
    }

    async fn run(
        &self,
        gates: &Gates,
        token: &Secret,
        digest: Option<TokenDigest>,
        address: IpAddr,
    ) -> (Option<Arc<str>>, Result<Principal, Fault>) {
        // A token that is too long costs nothing, not even its digest.
        if token.expose().len() > self.max_bytes {
            return (None, Err(Refusal::Malformed.into()));
        }
        let now = unix_ms();
        let digest = digest.unwrap_or_else(|| Sha256::digest(token.expose()).into());
        if let Some((issuer, principal)) = self.recall(&digest, now) {
            return (Some(issuer), Ok(principal));
        }
        let unproven = match self.issuers.look(token, now) {
            Ok(unproven) => unproven,
            Err((refusal, issuer)) => return (issuer, Err(refusal.into())),
        };
        let issuer = Arc::clone(&unproven.issuer().name);
        (Some(issuer), self.prove(gates, unproven, digest, address).await)
    }

    fn recall(&self, digest: &TokenDigest, now: u64) -> Option<(Arc<str>, Principal)> {
        let remembered = self.remembered.as_ref()?;
        let Proof { principal, key } = remembered.get(digest)?;
        let Origin::Issuer(issuer) = principal.origin() else {
            return None;
        };
        let ended = principal.ends_ms().is_none_or(|ends| now >= ends);
        let keys = self.current(self.index(issuer)?);
        if ended || !keys.is_some_and(|set| set.has(&key)) {
            remembered.remove(digest);
            return None;
        }
        Some((Arc::clone(issuer), principal))
    }

    fn index(&self, issuer: &str) -> Option<usize> {
        self.issuers.all().iter().position(|known| *known.name == *issuer)
    }

    fn current(&self, index: usize) -> Option<Arc<KeySet>> {
        match self.keys.get(index)? {
            Keys::Own(set) => Some(Arc::clone(set)),
            Keys::Fetched(source) => source.current(),
        }
    }

    fn source(&self, index: usize) -> Option<&Arc<Source>> {
        match self.keys.get(index)? {
            Keys::Own(_) => None,
            Keys::Fetched(source) => Some(source),
        }
    }

    async fn prove(
        &self,
        gates: &Gates,
        unproven: Unproven,
        digest: TokenDigest,
        address: IpAddr,
    ) -> Result<Principal, Fault> {
        let index = self.index(&unproven.issuer().name);
        let index = index.ok_or(Refusal::Issuer)?;
        let keys = self.candidates(index, &unproven).await?;
        let cost = keys.iter().map(|key| key.cost()).sum();
        let expired = unproven.user().cloned();
        let prove: Prove = Box::new(move || Outcome::Token(proof(unproven, &keys)));
        let begun = Instant::now();
        let proven = gates.proves(digest, cost, prove, address).await;
        self.metrics.token_verify.observe(begun.elapsed(), None);
        match proven.map_err(Fault::Gate)? {
            Outcome::Token(Ok(proof)) => {
                let principal = proof.principal.clone();
                if let Some(remembered) = &self.remembered {
                    remembered.insert(digest, proof);
                }
                Ok(principal)
            }
            Outcome::Token(Err(refusal)) => {
                if let (Refusal::Signature, Some(source)) = (refusal, self.source(index)) {
                    source.doubted();
                }
                Err(Fault::Refused(refusal, expired))
            }
            Outcome::Match | Outcome::Mismatch | Outcome::Unable => {
                Err(Fault::Gate(AuthError::Overloaded(None)))
            }
        }
    }

    /// The keys that may have signed it; fetches them if they are missing.
    async fn candidates(&self, index: usize, unproven: &Unproven) -> Result<Vec<Arc<Key>>, Fault> {
        let set = self.current(index).ok_or(Fault::Unavailable(None))?;
        let refused = match unproven.keys(&set) {
            Ok(keys) => return Ok(keys),
            Err(refusal) => refusal,
        };
        let source = match self.source(index) {
            Some(source) if refused == Refusal::UnknownKey && !unproven.is_expired() => source,
            _ => return Err(refused.into()),
        };
        let newer = source.newer(unproven.kid()).await.map_err(|none| match none {
            NoKeys::Unknown => refused.into(),
            NoKeys::Unavailable(wait) => Fault::Unavailable(wait),
            NoKeys::TooMany => {
                self.metrics.limit_hit(Limit::TokenWaiting);
                Fault::Gate(AuthError::Overloaded(None))
            }
        })?;
        match unproven.keys(&newer.set) {
            Ok(keys) => Ok(keys),
            // The server was asked before the token arrived, and the key may have been created since.
            Err(Refusal::UnknownKey) if !newer.asked => Err(Fault::Unavailable(Some(newer.again))),
            Err(refusal) => {
                if refusal == Refusal::UnknownKey {
                    source.still_unknown(unproven.kid());
                }
                Err(refusal.into())
            }
        }
    }
}

/// Why a token was refused.
enum Fault {
    /// And whose token it was, if its signature is valid.
    Refused(Refusal, Option<UserName>),
    /// The keys are not available now.
    Unavailable(Option<Duration>),
    Gate(AuthError),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal, None)
    }
}

fn proof(unproven: Unproven, keys: &[Arc<Key>]) -> Result<Proof, Refusal> {
    let ends_with_keys = unproven.issuer().ends_with_keys;
    let (verified, key) = unproven.prove(keys)?;
    let Verified {
        issuer,
        user,
        roles,
        attributes,
        granted,
        token_id,
        earliest_ms,
        ends_ms,
        ..
    } = verified;
    let mark = TokenMark {
        id: token_id,
        earliest_ms,
        key: ends_with_keys.then(|| Box::new(key)),
    };
    let principal = Principal::of(Origin::Issuer(issuer), user, roles, attributes).by_token(mark);
    let principal = principal.granting(granted).ending(Some(ends_ms));
    Ok(Proof { principal, key })
}
