//! The parts of a token, read strictly: its header, and its claims by name or path. Knows no issuer and no key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::{Refusal, json};
use crate::auth::keys::KID_MAX_BYTES;

/// The last second of the year 9999. Anything later is not a date.
const SECONDS_MAX: f64 = 253_402_300_799.0;

/// One of the first two parts: base64url without padding, of a strict JSON object.
pub(super) fn part(text: &str) -> Option<Map<String, Value>> {
    json::object(&decoded(text)?)
}

/// The bytes of base64url without padding.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The bytes of one of the first two parts, whether or not they are usable.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

/// Whether `text` may be the third part.
pub(super) fn is_base64(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.bytes().all(legal)
}

/// The fields of a token's header that count. All fields in which a token could bring or name its own key (`jwk`,
/// `jku`, `x5c`, `x5u`) are ignored.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) kind: Option<String>,
    pub(super) kid: Option<String>,
}

impl Header {
    pub(super) fn read(members: &Map<String, Value>) -> Result<Self, Refusal> {
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Refusal::Malformed),
        };
        let (name, kind, kid) = (text("alg")?, text("typ")?, text("kid")?);
        if kid.as_ref().is_some_and(|kid| kid.len() > KID_MAX_BYTES) {
            return Err(Refusal::Malformed);
        }
        // Extensions that must be understood: Herald understands none.
        if members.contains_key("crit") || members.contains_key("b64") {
            return Err(Refusal::Algorithm);
        }
        let name = name.ok_or(Refusal::Malformed)?;
        let algorithm = name.parse().map_err(|_| Refusal::Algorithm)?;
        Ok(Self { algorithm, kind, kid })
    }
}

/// The place of a claim: its name, or a path with dots (`realm_access.roles`). A claim with the whole text as its name
/// takes precedence, since names may contain dots (`https://example.com/roles`).
#[derive(Debug, Clone)]
pub(super) struct ClaimPath(Box<str>);

impl ClaimPath {
    pub(super) fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A token's claims.
pub(crate) struct Claims {
    pub(super) issuer: Option<String>,
    pub(super) audience: Vec<String>,
    members: Map<String, Value>,
}

impl Claims {
    pub(super) fn new(members: Map<String, Value>) -> Self {
        let issuer = members.get("iss").and_then(Value::as_str).map(str::to_owned);
        let audience = match members.get("aud") {
            Some(Value::String(one)) => vec![one.clone()],
            // An audience that contains anything but strings matches nobody (RFC 7519, section 4.1.3).
            Some(Value::Array(all)) => all
                .iter()
                .map(|one| one.as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .unwrap_or_default(),
            _ => Vec::new(),
        };
        Self {
            issuer,
            audience,
            members,
        }
    }

    /// A moment in Unix milliseconds: `Ok(None)` if it is absent, an error if it is not a number of seconds.
    pub(super) fn moment(&self, name: &str) -> Result<Option<u64>, ()> {
        let Some(value) = self.members.get(name) else {
            return Ok(None);
        };
        let seconds = value.as_f64().ok_or(())?;
        match (0.0..=SECONDS_MAX).contains(&seconds) {
            true => Ok(Some((seconds * 1_000.0) as u64)),
            false => Err(()),
        }
    }

    /// The claim at `path`. `null` counts as absent.
    pub(super) fn at(&self, path: &ClaimPath) -> Option<&Value> {
        let found = self.members.get(path.as_str()).or_else(|| {
            let mut steps = path.as_str().split('.');
            let first = self.members.get(steps.next()?)?;
            steps.try_fold(first, |value, step| value.get(step))
        });
        found.filter(|value| !value.is_null())
    }

    /// The claim of this name, of any type.
    pub(super) fn member(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }
}
