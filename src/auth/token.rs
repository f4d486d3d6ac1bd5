//! Verifies a JSON Web Token (RFC 7519) of a configured issuer, and finds the user whom it proves. The checks run in a
//! fixed order, cheap ones first, and each has its own reason (docs/tokens.md). Knows no clock (time is a parameter, in
//! Unix milliseconds), no I/O, and not where keys come from.

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::keys::{Candidates, Key, KeyId, KeySet};
use crate::principal::{Attributes, Granted, Role, UserName};
use crate::setting::Secret;
use claims::{Claims, Header};
use issuer::Issuer;
use json::Object;
pub use refusal::Refusal;

pub(crate) mod claims;
pub mod config;
pub(super) mod crypto;
pub mod inspect;
pub(super) mod issuer;
pub(super) mod json;
pub mod mint;
pub(super) mod refusal;

/// All issuers whose tokens are accepted.
#[derive(Debug, Clone, Default)]
pub struct Issuers {
    /// The maximum length of a token, in bytes.
    max_bytes: usize,
    issuers: Vec<Arc<Issuer>>,
}

/// A token that has passed every cheap check. It proves nothing yet.
pub struct Unproven {
    text: Secret,
    algorithm: Algorithm,
    kid: Option<Box<str>>,
    /// The issuer that it claims.
    issuer: Arc<Issuer>,
    /// The user that it names, if it has expired.
    user: Option<UserName>,
    /// What its claims come to, or what is wrong with them. Its holder learns either only if the signature is valid.
    claimed: Result<Verified, Refusal>,
}

/// The user whom a token proves. Nothing else of the token is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The issuer, as in the configuration.
    pub issuer: Arc<str>,
    /// With the issuer's prefix.
    pub user: UserName,
    /// The full names.
    pub roles: Vec<Role>,
    /// The claims that rules may use.
    pub attributes: Attributes,
    /// What the token itself permits (`permissions_claim`).
    pub granted: Option<Granted>,
    /// `jti`: with it, one token can be revoked.
    pub token_id: Option<Box<str>>,
    /// `iat`, in Unix milliseconds.
    pub issued_ms: u64,
    /// `iat` minus the leeway: the earliest moment of Herald's own clock at which it may have been issued.
    pub earliest_ms: u64,
    /// `exp` plus the leeway, in Unix milliseconds: from then on it proves nothing.
    pub ends_ms: u64,
}

impl Issuers {
    /// Accepts tokens of these issuers; a token has at most `max_bytes`.
    pub(super) fn new(max_bytes: usize, issuers: Vec<Arc<Issuer>>) -> Self {
        Self { max_bytes, issuers }
    }

    /// The issuers.
    pub(super) fn all(&self) -> &[Arc<Issuer>] {
        &self.issuers
    }

    /// Whether no tokens are accepted.
    pub fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// Every cheap check: microseconds, whatever `text` is.
    ///
    /// # Errors
    /// The first reason that applies, with the label of the issuer, if it is a configured one.
    pub fn look(&self, text: &Secret, now_ms: u64) -> Result<Unproven, (Refusal, Option<Arc<str>>)> {
        let unnamed = |refusal| (refusal, None);
        let (header, claims) = self.parts(text.expose()).map_err(unnamed)?;
        let parts = Object::read(&header).zip(Object::read(&claims));
        let (header, claims) = parts.ok_or(Refusal::Malformed).map_err(unnamed)?;
        let (header, claims) = (Header::read(&header).map_err(unnamed)?, Claims::new(claims));
        let named = claims.issuer();
        let found = self.issuers.iter().find(|known| Some(&*known.name) == named);
        let issuer = Arc::clone(found.ok_or((Refusal::Issuer, None))?);
        let named = |refusal| (refusal, Some(Arc::clone(&issuer.name)));
        if !issuer.takes(&header) {
            return Err(named(Refusal::Algorithm));
        }
        if !issuer.is_meant(&claims) {
            return Err(named(Refusal::Audience));
        }
        let times = issuer.times(&claims, now_ms).map_err(named)?;
        let (user, claimed) = match times.are_over {
            true => (issuer.user(&claims), Err(Refusal::Expired)),
            false => (None, issuer.map(&claims, &times)),
        };
        Ok(Unproven {
            text: text.clone(),
            algorithm: header.algorithm,
            kid: header.kid.map(Into::into),
            issuer,
            user,
            claimed,
        })
    }

    /// Whether `text` names one of them as its issuer, whatever else is wrong with it. A token with two names is
    /// ambiguous: it counts as one that does.
    pub(super) fn are_named_by(&self, text: &Secret) -> bool {
        #[derive(Deserialize)]
        struct Named {
            iss: Option<Value>,
        }
        let claims = text.expose().split('.').nth(1);
        let claims = claims.and_then(|claims| claims::decoded(claims.trim_end_matches('=')));
        let Some(claims) = claims.filter(|claims| serde_json::from_slice::<IgnoredAny>(claims).is_ok())
        else {
            return false;
        };
        match serde_json::from_slice::<Named>(&claims) {
            Ok(Named {
                iss: Some(Value::String(name)),
            }) => self.issuers.iter().any(|known| *known.name == *name),
            Ok(_) => false,
            Err(_) => claims.starts_with(b"{"),
        }
    }

    /// The bytes of the first two parts.
    fn parts(&self, text: &str) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
        if text.len() > self.max_bytes {
            return Err(Refusal::Malformed);
        }
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::Malformed);
        };
        let bytes = claims::decoded(header).zip(claims::decoded(claims));
        bytes
            .filter(|_| claims::is_base64(signature))
            .ok_or(Refusal::Malformed)
    }
}

impl Unproven {
    /// The name of the issuer that it claims.
    pub fn issuer_name(&self) -> &str {
        &self.issuer.name
    }

    /// The issuer that it claims.
    pub(super) fn issuer(&self) -> &Arc<Issuer> {
        &self.issuer
    }

    /// The user that it names if it has expired, unproven like the rest.
    pub(super) fn user(&self) -> Option<&UserName> {
        self.user.as_ref()
    }

    /// The name of its key, if it has one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether it has expired: then nothing is worth waiting for.
    pub fn is_expired(&self) -> bool {
        matches!(self.claimed, Err(Refusal::Expired))
    }

    /// The keys of `set` that may have signed it.
    ///
    /// # Errors
    /// There is none.
    pub fn keys(&self, set: &KeySet) -> Result<Vec<Arc<Key>>, Refusal> {
        match set.candidates(self.kid(), self.algorithm) {
            Candidates::Some(keys) => Ok(keys),
            Candidates::OtherAlgorithm => Err(Refusal::Algorithm),
            Candidates::Unknown => Err(Refusal::UnknownKey),
        }
    }

    /// The remaining check, the signature, which costs tens of microseconds.
    ///
    /// # Errors
    /// The first reason that applies. [`Refusal::Expired`] means that the signature is valid.
    pub fn prove(self, keys: &[Arc<Key>]) -> Result<(Verified, KeyId), Refusal> {
        let mut outcome = Err(Refusal::UnknownKey);
        for key in keys {
            outcome = self.is_signed_by(key).map(|()| key.id());
            if outcome != Err(Refusal::Signature) {
                break;
            }
        }
        let key = outcome?;
        Ok((self.claimed?, key))
    }

    fn is_signed_by(&self, key: &Key) -> Result<(), Refusal> {
        if !key.algorithms().contains(&self.algorithm) {
            return Err(Refusal::Algorithm);
        }
        let parts = self.text.expose().rsplit_once('.');
        let (message, signature) = parts.ok_or(Refusal::Malformed)?;
        // Only the signature: reading the claims again, with another parser, would cost a third of it, and the result
        // could only differ from the one that was checked.
        let signature = claims::decoded(signature).ok_or(Refusal::Signature)?;
        match crypto::is_signed(key.decoding(), self.algorithm, message.as_bytes(), &signature) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::Signature),
            Err(_) => Err(Refusal::Algorithm),
        }
    }
}

impl fmt::Debug for Unproven {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unproven(of {:?})", self.issuer.name)
    }
}

#[cfg(test)]
mod tests;
