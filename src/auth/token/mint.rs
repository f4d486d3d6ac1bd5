//! Creates tokens, for `herald token mint` and for tests. Knows no file.

use std::fmt;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Map, Value};

use super::crypto;
use crate::auth::keys::{KeyError, is_secret, pem};
use crate::setting::Secret;

/// A key that signs tokens. `Debug` shows nothing of it.
pub struct SigningKey {
    key: EncodingKey,
    algorithm: Algorithm,
}

impl SigningKey {
    /// A secret, for HS256.
    ///
    /// # Errors
    /// It is too short, or not a secret.
    pub fn secret(secret: &[u8]) -> Result<Self, KeyError> {
        is_secret(secret)?;
        let key = EncodingKey::from_secret(secret).map_err(|_| KeyError::Malformed)?;
        Ok(Self {
            key,
            algorithm: Algorithm::HS256,
        })
    }

    /// A private key (PKCS #8) as PEM: RSA for RS256, P-256 for ES256, P-384 for ES384, Ed25519 for EdDSA.
    ///
    /// # Errors
    /// It is none of these.
    pub fn pem(pem: &[u8]) -> Result<Self, KeyError> {
        let (key, algorithm) = pem::private(pem)?;
        Ok(Self { key, algorithm })
    }

    /// The algorithm that it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn sign(&self, kid: Option<&str>, claims: &Map<String, Value>) -> Result<Secret, KeyError> {
        crypto::install();
        let mut header = Header::new(self.algorithm);
        header.kid = kid.map(str::to_owned);
        let text = encode(&header, claims, &self.key).map_err(|_| KeyError::Malformed)?;
        Ok(Secret::new(text))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.algorithm)
    }
}
