//! Every check of a token with its result, for `herald token inspect`. Follows the steps of a login, and shows the
//! contents of the token, but never its signature.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Issuers, Refusal, Verified, claims};
use crate::auth::keys::KeySet;
use crate::setting::Secret;

/// What an instance with this configuration would do with a token.
#[derive(Debug)]
pub struct Report {
    /// The header, if it can be read.
    pub header: Option<Map<String, Value>>,
    /// The claims, if they can be read.
    pub claims: Option<Map<String, Value>>,
    /// The name of each check: passed, failed, or not reached.
    pub checks: Vec<(&'static str, Option<bool>)>,
    /// The user whom it proves, or why it is refused.
    pub outcome: Result<Verified, String>,
}

impl Issuers {
    /// Inspects `token`, as at this moment, with the keys that `keys` returns for its issuer.
    pub fn inspect(
        &self,
        token: &Secret,
        now_ms: u64,
        keys: impl FnOnce(&str) -> Result<Arc<KeySet>, String>,
    ) -> Report {
        let mut parts = token.expose().split('.');
        let (header, claims) = match token.expose().len() <= self.max_bytes {
            true => (
                parts.next().and_then(claims::part),
                parts.next().and_then(claims::part),
            ),
            false => (None, None),
        };
        let outcome = self.look(token, now_ms).map_err(|(refusal, _)| Ok(refusal));
        let outcome = outcome.and_then(|unproven| {
            let set = keys(&unproven.issuer().name).map_err(Err)?;
            let keys = unproven.keys(&set).map_err(Ok)?;
            unproven.prove(&keys).map(|(verified, _)| verified).map_err(Ok)
        });
        let failed = match &outcome {
            Ok(_) => None,
            Err(Ok(refusal)) => Some(*refusal),
            Err(Err(_)) => Some(Refusal::UnknownKey),
        };
        Report {
            header,
            claims,
            checks: checks(failed),
            outcome: outcome.map_err(|refused| match refused {
                Ok(refusal) => words(refusal).to_owned(),
                Err(words) => words,
            }),
        }
    }
}

/// All checks before the failed one have passed. Expiry is reported after the signature. Only running instances know
/// what was revoked.
fn checks(failed: Option<Refusal>) -> Vec<(&'static str, Option<bool>)> {
    let at = |refusal: Refusal| Refusal::ALL.iter().position(|known| *known == refusal);
    let last = failed.and_then(at);
    let outcome = |(index, refusal): (usize, &Refusal)| {
        let outcome = match (failed, last) {
            _ if matches!(refusal, Refusal::Revoked | Refusal::Blocked) => None,
            (Some(Refusal::Expired), _) => match refusal {
                Refusal::Expired => Some(false),
                Refusal::Claim => None,
                _ => Some(true),
            },
            (_, Some(last)) if index == last => Some(false),
            (_, Some(last)) if index > last => None,
            _ => Some(true),
        };
        (refusal.label(), outcome)
    };
    Refusal::ALL.iter().enumerate().map(outcome).collect()
}

fn words(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Malformed => {
            "malformed: expected three parts of base64url, the first two JSON objects without a name twice, at most \
             auth.token.max_bytes in all"
        }
        Refusal::Algorithm => {
            "algorithm: the header's alg is none of the issuer's algorithms or not for the key, its typ is none of types, or it \
             has crit"
        }
        Refusal::Issuer => "issuer: iss is none of auth.issuers, byte for byte",
        Refusal::Audience => "audience: aud has none of the issuer's audience",
        Refusal::Expired => "expired: exp and the leeway are over; the signature is right",
        Refusal::NotYet => "not_yet: nbf or iat is in the future; is a clock wrong?",
        Refusal::Lifetime => {
            "lifetime: exp and iat are required, as numbers, and exp is at most max_lifetime after iat"
        }
        Refusal::UnknownKey => "unknown_key: the issuer has no such key",
        Refusal::Signature => "signature: it is not the key's",
        Refusal::Claim => {
            "claim: user_claim is missing or no user's name, a claim of attributes has too many or too long values, or \
             permissions_claim is no table of lists of destinations"
        }
        Refusal::Revoked => "revoked: by its id, or with all that its user or its issuer had then",
        Refusal::Blocked => "blocked: its user may not come in",
    }
}
