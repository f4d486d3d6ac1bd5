//! One issuer, ready for use: the requirements for its tokens, and the users whom they name. Knows no signature.

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonwebtoken::Algorithm;

use super::claims::{ClaimPath, Claims, Header};
use super::config::{IssuerConfig, attribute};
use super::json::Json;
use super::{Refusal, Verified};
use crate::auth::roles::RoleRules;
use crate::principal::{Attributes, Granted, Role, UserName};

/// The maximum length of a `jti`.
const TOKEN_ID_MAX_BYTES: usize = 255;

/// An issuer without its keys.
#[derive(Debug)]
pub(in crate::auth) struct Issuer {
    /// `iss` of its tokens, and its label in metrics.
    pub(in crate::auth) name: Arc<str>,
    audience: Vec<Box<str>>,
    /// The prefix of its users' names.
    pub(in crate::auth) prefix: Box<str>,
    user_claim: ClaimPath,
    roles: RoleRules,
    roles_claim: Option<ClaimPath>,
    /// The name and the claim of each.
    attributes: Vec<(Box<str>, ClaimPath)>,
    permissions_claim: Option<ClaimPath>,
    types: Vec<Box<str>>,
    algorithms: Vec<Algorithm>,
    leeway_ms: u64,
    max_lifetime_ms: u64,
    /// Whether its sessions end when the key of their token is removed.
    pub(in crate::auth) ends_with_keys: bool,
}

/// A token's times, in Unix milliseconds.
pub(super) struct Times {
    issued_ms: u64,
    /// `exp` and the leeway.
    ends_ms: u64,
    /// Whether it has expired.
    pub(super) are_over: bool,
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Issuer {
    /// The issuer that `config` describes.
    pub(in crate::auth) fn new(config: &IssuerConfig) -> Self {
        Self {
            name: config.issuer.as_str().into(),
            audience: config.audience.iter().map(|one| one.as_str().into()).collect(),
            prefix: config.user_prefix.as_str().into(),
            user_claim: ClaimPath::new(&config.user_claim),
            roles: RoleRules::new(&config.roles, &config.role_map, &config.roles_allowed),
            roles_claim: config.roles_claim.as_deref().map(ClaimPath::new),
            attributes: config
                .attributes
                .iter()
                .map(|text| attribute(text))
                .map(|(name, path)| (name.into(), ClaimPath::new(path)))
                .collect(),
            permissions_claim: config.permissions_claim.as_deref().map(ClaimPath::new),
            types: config.types.iter().map(|one| one.as_str().into()).collect(),
            algorithms: config.algorithms(),
            leeway_ms: millis(config.leeway.0),
            max_lifetime_ms: millis(config.max_lifetime.0),
            ends_with_keys: config.close_on_key_removal,
        }
    }

    /// Whether tokens of this type and algorithm are accepted. A type may start with `application/` and be in any case
    /// (RFC 7515, section 4.1.9).
    pub(super) fn takes(&self, header: &Header) -> bool {
        let kind = header.kind.unwrap_or_default();
        let kind = match kind.split_at_checked("application/".len()) {
            Some((front, rest)) if front.eq_ignore_ascii_case("application/") => rest,
            _ => kind,
        };
        self.algorithms.contains(&header.algorithm)
            && self.types.iter().any(|taken| taken.eq_ignore_ascii_case(kind))
    }

    /// Whether a token with these claims is meant for Herald.
    pub(super) fn is_meant(&self, claims: &Claims<'_>) -> bool {
        claims.is_for(|one| self.audience.iter().any(|own| **own == *one))
    }

    /// Checks a token's times, except whether it has expired.
    pub(super) fn times(&self, claims: &Claims<'_>, now_ms: u64) -> Result<Times, Refusal> {
        let moment = |name: &str| claims.moment(name).map_err(|()| Refusal::Lifetime);
        let (begins, expires, issued) = (moment("nbf")?, moment("exp")?, moment("iat")?);
        let (expires, issued_ms) = expires.zip(issued).ok_or(Refusal::Lifetime)?;
        let latest = now_ms.saturating_add(self.leeway_ms);
        if issued_ms > latest || begins.is_some_and(|begins| begins > latest) {
            return Err(Refusal::NotYet);
        }
        match expires.checked_sub(issued_ms) {
            Some(lifetime) if lifetime <= self.max_lifetime_ms => {}
            _ => return Err(Refusal::Lifetime),
        }
        let ends_ms = expires.saturating_add(self.leeway_ms);
        Ok(Times {
            issued_ms,
            ends_ms,
            are_over: now_ms >= ends_ms,
        })
    }

    /// How long a token may remain valid after a moment up to which it was issued, by this issuer's clock or by
    /// Herald's.
    pub(in crate::auth) fn longest_life_ms(&self) -> u64 {
        let leeway = self.leeway_ms.saturating_mul(2);
        self.max_lifetime_ms.saturating_add(leeway)
    }

    /// The user whom these claims name.
    ///
    /// # Errors
    /// No user, a name that no user can have, or more than a session may hold.
    pub(super) fn map(&self, claims: &Claims<'_>, times: &Times) -> Result<Verified, Refusal> {
        let refused = Refusal::Claim;
        let token_id = match claims.member("jti") {
            None => None,
            // With any other type it could not be revoked (RFC 7519, section 4.1.7: a string).
            Some(Json::Text(id)) if (1..=TOKEN_ID_MAX_BYTES).contains(&id.len()) => Some((**id).into()),
            Some(_) => return Err(refused),
        };
        Ok(Verified {
            issuer: Arc::clone(&self.name),
            user: self.user(claims).ok_or(refused)?,
            roles: self.roles(claims),
            attributes: self.attributes(claims).ok_or(refused)?,
            granted: self.granted(claims).ok_or(refused)?,
            token_id,
            issued_ms: times.issued_ms,
            earliest_ms: times.issued_ms.saturating_sub(self.leeway_ms),
            ends_ms: times.ends_ms,
        })
    }

    /// The user's name. A prefix ends with `:`, and a name without a prefix may not contain `:`, just as no user with a
    /// password may: names from different sources never collide.
    pub(super) fn user(&self, claims: &Claims<'_>) -> Option<UserName> {
        let own = claims.at(&self.user_claim)?.as_text()?;
        let meets = self.prefix.is_empty() && own.contains(':');
        if own.is_empty() || meets {
            return None;
        }
        UserName::parse(&format!("{}{own}", self.prefix)).ok()
    }

    fn roles(&self, claims: &Claims<'_>) -> Vec<Role> {
        match self.roles_claim.as_ref().and_then(|path| claims.at(path)) {
            Some(Json::Text(text)) => self.roles.of(text.split_ascii_whitespace()),
            Some(Json::List(items)) => self.roles.of(items.iter().filter_map(Json::as_text)),
            _ => self.roles.of(std::iter::empty()),
        }
    }

    /// What the token permits. Members that are not actions are ignored.
    fn granted(&self, claims: &Claims<'_>) -> Option<Option<Granted>> {
        let Some(found) = self.permissions_claim.as_ref().and_then(|path| claims.at(path)) else {
            return Some(None);
        };
        let members = found.as_object()?;
        let list = |name: &str| match members.get(name) {
            None => Some(Vec::new()),
            Some(Json::List(items)) => items.iter().map(Json::as_text).collect::<Option<Vec<&str>>>(),
            Some(_) => None,
        };
        let granted = Granted::new(&list("subscribe")?, &list("send")?, &list("publish")?);
        granted.ok().map(Some)
    }

    fn attributes(&self, claims: &Claims<'_>) -> Option<Attributes> {
        let text = |value: &Json<'_>| match value {
            Json::Text(text) => Some(text.as_ref().to_owned()),
            Json::Bool(value) => Some(value.to_string()),
            Json::Number(value) => Some(value.to_string()),
            Json::Null | Json::List(_) | Json::Object(_) => None,
        };
        let mut named = BTreeMap::new();
        for (name, path) in &self.attributes {
            let values: Vec<String> = match claims.at(path) {
                None => continue,
                Some(Json::List(items)) => items.iter().map(text).collect::<Option<_>>()?,
                Some(one) => vec![text(one)?],
            };
            if !values.is_empty() {
                named.insert(name.to_string(), values);
            }
        }
        Attributes::new(named).ok()
    }
}
