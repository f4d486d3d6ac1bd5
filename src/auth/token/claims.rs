//! The parts of a token, read strictly: its header, and its claims by name or path. Knows no issuer and no key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::Refusal;
use super::json::{self, Json, Object};
use crate::auth::keys::KID_MAX_BYTES;

/// The last second of the year 9999. Anything later is not a date.
const SECONDS_MAX: f64 = 253_402_300_799.0;

/// The bytes of base64url without padding.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// One of the first two parts: base64url without padding, of a strict JSON object.
pub(super) fn part(text: &str) -> Option<Map<String, Value>> {
    json::object(&decoded(text)?)
}

/// Whether `text` may be the third part.
pub(super) fn is_base64(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    // To the end, without a branch for each byte.
    text.bytes().fold(true, |all, byte| all & legal(byte))
}

/// The fields of a token's header that count. All fields in which a token could bring or name its own key (`jwk`,
/// `jku`, `x5c`, `x5u`) are ignored.
#[derive(Debug)]
pub(super) struct Header<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kind: Option<&'a str>,
    pub(super) kid: Option<&'a str>,
}

impl<'a> Header<'a> {
    pub(super) fn read(members: &'a Object<'_>) -> Result<Self, Refusal> {
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(&**text)),
            Some(_) => Err(Refusal::Malformed),
        };
        let (name, kind, kid) = (text("alg")?, text("typ")?, text("kid")?);
        if kid.is_some_and(|kid| kid.len() > KID_MAX_BYTES) {
            return Err(Refusal::Malformed);
        }
        // Extensions that must be understood: Herald understands none.
        if members.get("crit").is_some() || members.get("b64").is_some() {
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
pub(crate) struct Claims<'a>(Object<'a>);

impl<'a> Claims<'a> {
    pub(super) fn new(members: Object<'a>) -> Self {
        Self(members)
    }

    /// `iss`, if it is a text.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.member("iss")?.as_text()
    }

    /// Whether `ours` accepts `aud`, or one of its values. An audience that contains anything but strings matches nobody
    /// (RFC 7519, section 4.1.3).
    pub(super) fn is_for(&self, ours: impl Fn(&str) -> bool) -> bool {
        match self.member("aud") {
            Some(Json::Text(one)) => ours(one),
            Some(Json::List(all)) => {
                all.iter().all(|one| one.as_text().is_some())
                    && all.iter().filter_map(Json::as_text).any(ours)
            }
            _ => false,
        }
    }

    /// A moment in Unix milliseconds: `Ok(None)` if it is absent, an error if it is not a number of seconds.
    pub(super) fn moment(&self, name: &str) -> Result<Option<u64>, ()> {
        let seconds = match self.member(name) {
            None => return Ok(None),
            Some(Json::Number(number)) => number.as_f64().ok_or(())?,
            Some(_) => return Err(()),
        };
        match (0.0..=SECONDS_MAX).contains(&seconds) {
            true => Ok(Some((seconds * 1_000.0) as u64)),
            false => Err(()),
        }
    }

    /// The claim at `path`. `null` counts as absent.
    pub(super) fn at(&self, path: &ClaimPath) -> Option<&Json<'a>> {
        let found = self.member(path.as_str()).or_else(|| {
            let mut steps = path.as_str().split('.');
            let first = self.member(steps.next()?)?;
            steps.try_fold(first, |value, step| value.as_object()?.get(step))
        });
        found.filter(|value| !matches!(value, Json::Null))
    }

    /// The claim of this name, of any type.
    pub(super) fn member(&self, name: &str) -> Option<&Json<'a>> {
        self.0.get(name)
    }
}
