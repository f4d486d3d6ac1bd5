//! Keys as PEM: public ones of the configuration, and private ones that `herald token mint` signs with. Knows no file.

use jsonwebtoken::{Algorithm, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RsaKeyPair,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use x509_cert::der::asn1::UintRef;
use x509_cert::der::{Decode, Reader, SliceReader};
use x509_cert::spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::{KeyError, Material};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The first `PUBLIC KEY` of `pem`.
pub(in crate::auth) fn public(pem: &[u8]) -> Result<Material, KeyError> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| KeyError::Malformed)?;
    let info = SubjectPublicKeyInfoRef::from_der(&der).map_err(|_| KeyError::Malformed)?;
    let key = info.subject_public_key.as_bytes().ok_or(KeyError::Malformed)?;
    match info.algorithm.oid {
        RSA => {
            let read = || {
                SliceReader::new(key)?.sequence(|inner| {
                    let modulus = UintRef::decode(inner)?.as_bytes().to_vec();
                    Ok((modulus, UintRef::decode(inner)?.as_bytes().to_vec()))
                })
            };
            let (modulus, exponent) = read().map_err(|_: x509_cert::der::Error| KeyError::Malformed)?;
            Ok(Material::Rsa(modulus, exponent))
        }
        EC => match info.algorithm.parameters_oid() {
            Ok(P256) => Ok(Material::P256(key.to_vec())),
            Ok(P384) => Ok(Material::P384(key.to_vec())),
            _ => Err(KeyError::Kind),
        },
        ED25519 => Ok(Material::Ed25519(key.to_vec())),
        _ => Err(KeyError::Kind),
    }
}

/// The first `PRIVATE KEY` (PKCS #8) of `pem`, and what it signs with.
pub(in crate::auth) fn private(pem: &[u8]) -> Result<(EncodingKey, Algorithm), KeyError> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| KeyError::Malformed)?;
    let der = der.secret_pkcs8_der();
    let random = SystemRandom::new();
    if RsaKeyPair::from_pkcs8(der).is_ok() {
        return Ok((EncodingKey::from_rsa_der(der), Algorithm::RS256));
    }
    for (how, algorithm) in [
        (&ECDSA_P256_SHA256_FIXED_SIGNING, Algorithm::ES256),
        (&ECDSA_P384_SHA384_FIXED_SIGNING, Algorithm::ES384),
    ] {
        if EcdsaKeyPair::from_pkcs8(how, der, &random).is_ok() {
            return Ok((EncodingKey::from_ec_der(der), algorithm));
        }
    }
    match Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
        Ok(_) => Ok((EncodingKey::from_ed_der(der), Algorithm::EdDSA)),
        Err(_) => Err(KeyError::Kind),
    }
}
