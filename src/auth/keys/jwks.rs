//! A JSON Web Key Set (RFC 7517), as an identity provider publishes it, and its discovery document. The input is
//! treated as hostile: bounded in bytes and keys, and never a shared secret. Knows no I/O.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::{KEYS_MAX, KID_MAX_BYTES, Key, KeyError, KeySet, Material};
use crate::auth::token::json;

/// The maximum size of a key set, and of a discovery document.
pub const BYTES_MAX: usize = 256 << 10;

/// Why bytes are not a key set. The words do not repeat the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwksError {
    /// More than [`BYTES_MAX`].
    TooLarge,
    /// Not the required JSON.
    Malformed,
    /// More than [`KEYS_MAX`] keys.
    TooMany,
    /// No key that a token could be verified with.
    Empty,
    /// The discovery document belongs to another issuer, or names no keys.
    Discovery,
}

impl fmt::Display for JwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "more than {BYTES_MAX} bytes"),
            Self::Malformed => f.write_str("not a key set"),
            Self::TooMany => write!(f, "more than {KEYS_MAX} keys"),
            Self::Empty => f.write_str("no key that is of use here"),
            Self::Discovery => f.write_str("the discovery document is another issuer's, or names no keys"),
        }
    }
}

impl std::error::Error for JwksError {}

/// Reads a key set. Keys of other kinds and for other uses are left out: providers publish keys for encryption in the
/// same set. Damaged ones are left out and counted.
///
/// # Errors
/// The set as a whole is not usable.
pub fn parse(bytes: &[u8]) -> Result<KeySet, JwksError> {
    let members = document(bytes)?;
    let Some(Value::Array(entries)) = members.get("keys") else {
        return Err(JwksError::Malformed);
    };
    if entries.len() > KEYS_MAX {
        return Err(JwksError::TooMany);
    }
    let (mut keys, mut damaged) = (Vec::new(), 0);
    for entry in entries {
        let members = entry.as_object();
        match members.ok_or(KeyError::Malformed).and_then(key) {
            Ok(key) => keys.push(key),
            Err(error) if members.is_none_or(|members| is_damaged(members, error)) => damaged += 1,
            Err(_) => {}
        }
    }
    let set = KeySet::new(keys).without(damaged);
    match set.is_empty() {
        true => Err(JwksError::Empty),
        false => Ok(set),
    }
}

/// Whether this error means a damaged key, rather than a kind, size or use that Herald does not accept.
fn is_damaged(members: &Map<String, Value>, error: KeyError) -> bool {
    let is_text = |name: &str| members.get(name).is_none_or(Value::is_string);
    match error {
        KeyError::Malformed | KeyError::Form(_) | KeyError::Short | KeyError::NoSecret(_) => true,
        KeyError::Kind => !(members.contains_key("kty") && is_text("kty") && is_text("crv")),
        KeyError::Use => !is_text("use") || members.get("key_ops").is_some_and(|list| !list.is_array()),
        KeyError::RsaBits | KeyError::Algorithm => false,
    }
}

/// Reads the address of `issuer`'s keys from its discovery document (OpenID Connect Discovery 1.0, section 3).
///
/// # Errors
/// It belongs to another issuer, or is not such a document.
pub fn jwks_uri(bytes: &[u8], issuer: &str) -> Result<String, JwksError> {
    let members = document(bytes)?;
    if members.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err(JwksError::Discovery);
    }
    let uri = members.get("jwks_uri").and_then(Value::as_str);
    uri.map(str::to_owned).ok_or(JwksError::Discovery)
}

fn document(bytes: &[u8]) -> Result<Map<String, Value>, JwksError> {
    if bytes.len() > BYTES_MAX {
        return Err(JwksError::TooLarge);
    }
    json::object(bytes).ok_or(JwksError::Malformed)
}

/// One JWK. A shared secret (`oct`) is refused, since it would be public.
pub(in crate::auth) fn key(members: &Map<String, Value>) -> Result<Key, KeyError> {
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let bytes = |name: &str| {
        let text = text(name).ok_or(KeyError::Malformed)?;
        URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Malformed)
    };
    if members.get("use").is_some_and(|purpose| purpose != "sig") {
        return Err(KeyError::Use);
    }
    if let Some(operations) = members.get("key_ops") {
        let verifies = |list: &Vec<Value>| list.iter().any(|one| one == "verify");
        if !operations.as_array().is_some_and(verifies) {
            return Err(KeyError::Use);
        }
    }
    let algorithm = match members.get("alg") {
        None => None,
        Some(name) => {
            let name = name.as_str().ok_or(KeyError::Malformed)?;
            Some(name.parse::<Algorithm>().map_err(|_| KeyError::Algorithm)?)
        }
    };
    let kid = match members.get("kid") {
        None => None,
        Some(Value::String(kid)) if kid.len() <= KID_MAX_BYTES => Some(kid.as_str()),
        Some(_) => return Err(KeyError::Malformed),
    };
    let point = |size: usize| {
        let (x, y) = (bytes("x")?, bytes("y")?);
        match (x.len(), y.len()) == (size, size) {
            true => Ok([&[4], &x[..], &y[..]].concat()),
            false => Err(KeyError::Malformed),
        }
    };
    let material = match (text("kty"), text("crv")) {
        (Some("RSA"), _) => Material::Rsa(bytes("n")?, bytes("e")?),
        (Some("EC"), Some("P-256")) => Material::P256(point(32)?),
        (Some("EC"), Some("P-384")) => Material::P384(point(48)?),
        (Some("OKP"), Some("Ed25519")) => Material::Ed25519(bytes("x")?),
        _ => return Err(KeyError::Kind),
    };
    Key::public(kid, material, algorithm)
}

#[cfg(test)]
mod tests;
