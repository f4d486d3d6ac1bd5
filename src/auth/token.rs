//! Verifies a JSON Web Token (RFC 7519) of a configured issuer, and finds the user whom it proves. The checks run in a
//! fixed order, cheap ones first, and each has its own reason (docs/tokens.md). Knows no clock (time is a parameter, in
//! Unix milliseconds), no I/O, and not where keys come from.

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::crypto::verify;
use jsonwebtoken::errors::ErrorKind;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::keys::{Candidates, Key, KeyId, KeySet};
use crate::principal::{Attributes, Granted, Role, UserName};
use crate::setting::Secret;
use claims::{Claims, Header};
use issuer::Issuer;
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
    header: Header,
    claims: Claims,
    /// The issuer that it claims.
    issuer: Arc<Issuer>,
    /// It has expired, which its holder learns only if the signature is valid.
    expired: bool,
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
        let (header, claims) = self.read(text.expose()).map_err(unnamed)?;
        let named = claims.issuer.as_deref();
        let found = self.issuers.iter().find(|known| Some(&*known.name) == named);
        let issuer = Arc::clone(found.ok_or((Refusal::Issuer, None))?);
        let named = |refusal| (refusal, Some(Arc::clone(&issuer.name)));
        if !issuer.takes(&header) {
            return Err(named(Refusal::Algorithm));
        }
        if !issuer.is_meant(&claims.audience) {
            return Err(named(Refusal::Audience));
        }
        let expired = issuer.times(&claims, now_ms).map_err(named)?;
        Ok(Unproven {
            text: text.clone(),
            header,
            claims,
            issuer,
            expired,
        })
    }

    /// Whether `text` names one of them as its issuer, whatever else is wrong with it. A token with two names is
    /// ambiguous: it counts as one that does.
    pub(super) fn are_named_by(&self, text: &Secret) -> bool {
        #[derive(Deserialize)]
        struct Named {
            iss: Option<Value>,
        }
        let claims = text.expose().split('.').nth(1).and_then(claims::bytes);
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

    fn read(&self, text: &str) -> Result<(Header, Claims), Refusal> {
        if text.len() > self.max_bytes {
            return Err(Refusal::Malformed);
        }
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::Malformed);
        };
        let (header, claims) = (claims::part(header), claims::part(claims));
        let (header, claims) = header.zip(claims).ok_or(Refusal::Malformed)?;
        if !claims::is_base64(signature) {
            return Err(Refusal::Malformed);
        }
        Ok((Header::read(&header)?, Claims::new(claims)))
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

    /// The user that it names, unproven like the rest.
    pub(super) fn user(&self) -> Option<UserName> {
        self.issuer.user(&self.claims)
    }

    /// The name of its key, if it has one.
    pub fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// Whether it has expired: then nothing is worth waiting for.
    pub fn is_expired(&self) -> bool {
        self.expired
    }

    /// The keys of `set` that may have signed it.
    ///
    /// # Errors
    /// There is none.
    pub fn keys(&self, set: &KeySet) -> Result<Vec<Arc<Key>>, Refusal> {
        match set.candidates(self.kid(), self.header.algorithm) {
            Candidates::Some(keys) => Ok(keys),
            Candidates::OtherAlgorithm => Err(Refusal::Algorithm),
            Candidates::Unknown => Err(Refusal::UnknownKey),
        }
    }

    /// The remaining check, the signature, which costs tens of microseconds.
    ///
    /// # Errors
    /// The first reason that applies. [`Refusal::Expired`] means that the signature is valid.
    pub fn prove(&self, keys: &[Arc<Key>]) -> Result<(Verified, KeyId), Refusal> {
        let mut outcome = Err(Refusal::UnknownKey);
        for key in keys {
            outcome = self.is_signed_by(key).map(|()| key.id());
            if outcome != Err(Refusal::Signature) {
                break;
            }
        }
        let key = outcome?;
        if self.expired {
            return Err(Refusal::Expired);
        }
        Ok((self.issuer.map(&self.claims)?, key))
    }

    fn is_signed_by(&self, key: &Key) -> Result<(), Refusal> {
        let algorithm = self.header.algorithm;
        if !key.algorithms().contains(&algorithm) {
            return Err(Refusal::Algorithm);
        }
        let parts = self.text.expose().rsplit_once('.');
        let (message, signature) = parts.ok_or(Refusal::Malformed)?;
        // Only the signature: reading the claims again, with another parser, would cost a third of it, and the result
        // could only differ from the one that was checked.
        match verify(signature, message.as_bytes(), key.decoding(), algorithm) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::Signature),
            Err(error) => Err(match error.kind() {
                ErrorKind::Base64(_) => Refusal::Signature,
                _ => Refusal::Algorithm,
            }),
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
