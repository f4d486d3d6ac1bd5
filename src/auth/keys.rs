//! The keys that an issuer signs tokens with: a set that is replaced as a whole. The key itself determines what it may
//! be used for; a token never does. Knows no token, no I/O and no clock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use sha2::{Digest, Sha256};

use super::token::crypto;
use crate::setting::NoSecret;

pub mod jwks;
pub(super) mod pem;
pub mod source;
pub mod state;

/// The maximum number of keys in a set.
pub const KEYS_MAX: usize = 64;
/// How many keys are tried for a token that does not name one.
const CANDIDATES_MAX: usize = 4;
/// The minimum length of a secret, in bytes: that of HS256 (RFC 7518, section 3.2).
pub const SECRET_MIN_BYTES: usize = 32;
/// The maximum length of a key's name.
pub(super) const KID_MAX_BYTES: usize = 256;
/// The permitted sizes of an RSA key, in bits.
pub(super) const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;

/// The identity of a key: equal for equal keys with equal names, whichever set they are in.
pub type KeyId = [u8; 32];

/// One key.
pub struct Key {
    id: KeyId,
    kid: Option<Box<str>>,
    algorithms: Box<[Algorithm]>,
    decoding: DecodingKey,
}

/// Why bytes are not a key. The words do not repeat the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// A kind of key that Herald does not use to verify tokens.
    Kind,
    /// It is damaged.
    Malformed,
    /// It has another form: what was found, and how to convert it.
    Form(&'static str),
    /// An RSA key of other than 2,048 to 4,096 bits.
    RsaBits,
    /// The key cannot be used with this algorithm.
    Algorithm,
    /// A secret shorter than [`SECRET_MIN_BYTES`].
    Short,
    /// Not a secret: others may know it.
    NoSecret(NoSecret),
    /// It is not for signatures.
    Use,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind => f.write_str("expected an RSA, P-256, P-384 or Ed25519 key"),
            Self::Malformed => f.write_str("the key is damaged"),
            Self::Form(words) => f.write_str(words),
            Self::RsaBits => write!(
                f,
                "expected an RSA key of {} to {} bits",
                RSA_BITS.start(),
                RSA_BITS.end()
            ),
            Self::Algorithm => f.write_str("the key is not for this algorithm"),
            Self::Short => write!(f, "expected a secret of at least {SECRET_MIN_BYTES} bytes"),
            Self::NoSecret(found) => write!(f, "expected a secret of random bytes, found {found}"),
            Self::Use => f.write_str("the key is not for signatures"),
        }
    }
}

impl std::error::Error for KeyError {}

/// The material of a public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Material {
    /// Modulus and exponent, big-endian.
    Rsa(Vec<u8>, Vec<u8>),
    /// An uncompressed point.
    P256(Vec<u8>),
    /// An uncompressed point.
    P384(Vec<u8>),
    /// 32 bytes.
    Ed25519(Vec<u8>),
}

impl Key {
    /// The key `material`, only for `algorithm` if that is given, otherwise for every algorithm that fits it.
    pub(super) fn public(
        kid: Option<&str>,
        material: Material,
        algorithm: Option<Algorithm>,
    ) -> Result<Self, KeyError> {
        let (algorithms, decoding) = match &material {
            Material::Rsa(modulus, exponent) => {
                let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
                let modulus = modulus.get(zeros..).unwrap_or_default();
                let first = modulus.first().ok_or(KeyError::Malformed)?;
                let bits = modulus.len() * 8 - first.leading_zeros() as usize;
                if !RSA_BITS.contains(&bits) {
                    return Err(KeyError::RsaBits);
                }
                let zeros = exponent.iter().take_while(|byte| **byte == 0).count();
                let exponent = exponent.get(zeros..).unwrap_or_default();
                if exponent.is_empty() || exponent.len() > 4 {
                    return Err(KeyError::Malformed);
                }
                let key = DecodingKey::from_rsa_raw_components(modulus, exponent);
                (AlgorithmFamily::Rsa.algorithms(), key)
            }
            Material::P256(point) if point.len() == 65 => {
                (&[Algorithm::ES256][..], DecodingKey::from_ec_der(point))
            }
            Material::P384(point) if point.len() == 97 => {
                (&[Algorithm::ES384][..], DecodingKey::from_ec_der(point))
            }
            Material::Ed25519(point) if point.len() == 32 => {
                (&[Algorithm::EdDSA][..], DecodingKey::from_ed_der(point))
            }
            _ => return Err(KeyError::Malformed),
        };
        Self::of(kid, algorithms, algorithm, decoding)
    }

    /// A secret from Herald's own configuration.
    pub(super) fn secret(
        kid: Option<&str>,
        secret: &[u8],
        algorithm: Option<Algorithm>,
    ) -> Result<Self, KeyError> {
        is_secret(secret)?;
        let decoding = DecodingKey::from_secret(secret).map_err(|_| KeyError::Malformed)?;
        let algorithm = algorithm.or(Some(Algorithm::HS256));
        Self::of(kid, AlgorithmFamily::Hmac.algorithms(), algorithm, decoding)
    }

    fn of(
        kid: Option<&str>,
        all: &[Algorithm],
        one: Option<Algorithm>,
        decoding: DecodingKey,
    ) -> Result<Self, KeyError> {
        crypto::install();
        let algorithms = match &one {
            Some(one) if all.contains(one) => std::slice::from_ref(one),
            Some(_) => return Err(KeyError::Algorithm),
            None => all,
        };
        Ok(Self {
            id: identify(kid, algorithms, &decoding),
            kid: kid.map(Into::into),
            algorithms: algorithms.into(),
            decoding,
        })
    }

    /// Its name, if it has one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The algorithms that it may be used with.
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// Its identity.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Roughly how long verifying one signature with it takes, including reading the token. `None`: too long for a
    /// thread that serves others (P-384, which *ring* verifies in most of a millisecond).
    pub fn cost(&self) -> Option<Duration> {
        let micros = match (self.decoding.kind(), self.algorithms.first()?) {
            (DecodingKeyKind::RsaModulusExponent { n, .. }, _) => match n.len() {
                0..=256 => 30,
                257..=384 => 60,
                _ => 110,
            },
            (_, Algorithm::ES256) => 65,
            (_, Algorithm::EdDSA) => 60,
            (_, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) => 10,
            _ => return None,
        };
        Some(Duration::from_micros(micros))
    }

    /// For `jsonwebtoken`.
    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }
}

/// Whether `secret` may sign tokens with HS256 and its variants: it is long enough, and is nothing that others may
/// know.
///
/// # Errors
/// It is too short, or a key, a certificate or a key set.
pub(super) fn is_secret(secret: &[u8]) -> Result<(), KeyError> {
    match NoSecret::found(secret) {
        Some(found) => Err(KeyError::NoSecret(found)),
        None if secret.len() < SECRET_MIN_BYTES => Err(KeyError::Short),
        None => Ok(()),
    }
}

fn identify(kid: Option<&str>, algorithms: &[Algorithm], decoding: &DecodingKey) -> KeyId {
    let mut digest = Sha256::new();
    let mut part = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    };
    part(format!("{kid:?} {algorithms:?}").as_bytes());
    match decoding.kind() {
        DecodingKeyKind::SecretOrDer(bytes) => part(bytes),
        DecodingKeyKind::RsaModulusExponent { n, e } => {
            part(n);
            part(e);
        }
    }
    digest.finalize().into()
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {:?})", self.kid, self.algorithms)
    }
}

/// The keys for one token.
#[derive(Debug, Clone)]
pub enum Candidates {
    /// Any of these may have signed it; there is at least one.
    Some(Vec<Arc<Key>>),
    /// The key that the token names is not for the token's algorithm.
    OtherAlgorithm,
    /// There is no such key.
    Unknown,
}

/// All keys of an issuer at one moment.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<Arc<Key>>,
    damaged: usize,
}

impl KeySet {
    /// A set of these keys.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        Self {
            keys: keys.into_iter().map(Arc::new).collect(),
            damaged: 0,
        }
    }

    /// The same, for a set of which this many damaged entries were left out. It is unknown which keys they were.
    pub(super) fn without(self, damaged: usize) -> Self {
        Self { damaged, ..self }
    }

    /// How many damaged entries were left out.
    pub fn damaged(&self) -> usize {
        self.damaged
    }

    /// The keys, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().map(|key| &**key)
    }

    /// Whether this key is among them.
    pub fn has(&self, id: &KeyId) -> bool {
        self.keys.iter().any(|key| key.id == *id)
    }

    /// Whether both have the same keys.
    pub fn is_like(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len() && other.keys.iter().all(|key| self.has(&key.id))
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that may have signed a token with this `kid` and algorithm. Several keys may have the same name: each
    /// is a candidate. For a token without `kid`, the first few keys for its algorithm are candidates.
    pub fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Candidates {
        let named = |key: &&Arc<Key>| kid.is_none() || key.kid() == kid;
        let fits = |key: &&Arc<Key>| key.algorithms.contains(&algorithm);
        let found: Vec<_> = self
            .keys
            .iter()
            .filter(named)
            .filter(fits)
            .take(CANDIDATES_MAX)
            .cloned()
            .collect();
        match (found.is_empty(), self.keys.iter().any(|key| named(&key))) {
            (false, _) => Candidates::Some(found),
            (true, true) if kid.is_some() => Candidates::OtherAlgorithm,
            _ => Candidates::Unknown,
        }
    }
}
