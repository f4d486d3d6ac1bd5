//! The cryptography of tokens, based on `ring`, which TLS needs anyway. Verifies, and signs for `herald token mint` as
//! the provider of `jsonwebtoken`. Knows nothing else: which key may be used with which algorithm is decided before.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error, Signer};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature::{
    self as sig, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RsaEncoding, RsaKeyPair, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use ring::{hmac, signature};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Installs the provider: without one `jsonwebtoken` panics. Everything that creates a key calls this.
pub(in crate::auth) fn install() {
    // An error means that one is already installed.
    let _ = PROVIDER.install_default();
}

fn hash(algorithm: Algorithm) -> hmac::Algorithm {
    match algorithm {
        Algorithm::HS384 => hmac::HMAC_SHA384,
        Algorithm::HS512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    }
}

fn rsa(algorithm: Algorithm) -> Result<&'static RsaParameters> {
    Ok(match algorithm {
        Algorithm::RS256 => &sig::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &sig::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &sig::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &sig::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &sig::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &sig::RSA_PSS_2048_8192_SHA512,
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    })
}

/// Whether `signature` is that of `message` by `key`.
///
/// # Errors
/// The key is not one for `algorithm`.
pub(in crate::auth) fn is_signed(
    key: &DecodingKey,
    algorithm: Algorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<bool> {
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let by = |how: &'static dyn VerificationAlgorithm| -> Result<bool> {
        let key = UnparsedPublicKey::new(how, key.try_get_as_bytes()?);
        Ok(key.verify(message, signature).is_ok())
    };
    match (algorithm, key.kind()) {
        (Algorithm::ES256, _) => by(&sig::ECDSA_P256_SHA256_FIXED),
        (Algorithm::ES384, _) => by(&sig::ECDSA_P384_SHA384_FIXED),
        (Algorithm::EdDSA, _) => by(&sig::ED25519),
        (algorithm, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            let key = RsaPublicKeyComponents { n, e };
            Ok(key.verify(rsa(algorithm)?, message, signature).is_ok())
        }
        (algorithm, DecodingKeyKind::SecretOrDer(secret)) if algorithm.family() == AlgorithmFamily::Hmac => {
            let key = hmac::Key::new(hash(algorithm), secret);
            Ok(hmac::verify(&key, message, signature).is_ok())
        }
        _ => Err(ErrorKind::InvalidKeyFormat.into()),
    }
}

/// The crate itself never verifies: [`is_signed`] does.
fn verifier(_: &Algorithm, _: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    Err(ErrorKind::UnsupportedAlgorithm.into())
}

enum Pair {
    Secret(hmac::Key),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

struct Sign {
    algorithm: Algorithm,
    pair: Pair,
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    let ec = |how: &'static EcdsaSigningAlgorithm| {
        let pair = EcdsaKeyPair::from_pkcs8(how, key.as_bytes(), &SystemRandom::new());
        pair.map(Pair::Ec).map_err(|_| ErrorKind::InvalidEcdsaKey)
    };
    let rsa = |how: &'static dyn RsaEncoding| {
        let pair = RsaKeyPair::from_pkcs8(key.as_bytes());
        pair.map(|pair| Pair::Rsa(pair, how))
            .map_err(|_| ErrorKind::InvalidKeyFormat)
    };
    let pair = match algorithm {
        _ if key.family() != algorithm.family() => return Err(ErrorKind::InvalidAlgorithm.into()),
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
            Pair::Secret(hmac::Key::new(hash(*algorithm), key.as_bytes()))
        }
        Algorithm::RS256 => rsa(&signature::RSA_PKCS1_SHA256)?,
        Algorithm::RS384 => rsa(&signature::RSA_PKCS1_SHA384)?,
        Algorithm::RS512 => rsa(&signature::RSA_PKCS1_SHA512)?,
        Algorithm::PS256 => rsa(&signature::RSA_PSS_SHA256)?,
        Algorithm::PS384 => rsa(&signature::RSA_PSS_SHA384)?,
        Algorithm::PS512 => rsa(&signature::RSA_PSS_SHA512)?,
        Algorithm::ES256 => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING)?,
        Algorithm::ES384 => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING)?,
        Algorithm::EdDSA => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.as_bytes());
            Pair::Ed(pair.map_err(|_| ErrorKind::InvalidEddsaKey)?)
        }
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    };
    Ok(Box::new(Sign {
        algorithm: *algorithm,
        pair,
    }))
}

impl Signer<Vec<u8>> for Sign {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Secret(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Pair::Ed(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Ec(pair) => {
                let signed = pair.sign(&random, message).map_err(|_| Error::new())?;
                Ok(signed.as_ref().to_vec())
            }
            Pair::Rsa(pair, how) => {
                let mut signed = vec![0; pair.public().modulus_len()];
                pair.sign(*how, &random, message, &mut signed)
                    .map_err(|_| Error::new())?;
                Ok(signed)
            }
        }
    }
}

impl JwtSigner for Sign {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
