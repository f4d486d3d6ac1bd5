//! Keys in PEM form: public keys from the configuration, and private keys with which `herald token mint` signs. Knows
//! no file.

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

/// What a file may contain instead of a public key: the label of its PEM, and what to do.
const NOT_PUBLIC: &[(&str, &str)] = &[
    (
        "PRIVATE KEY",
        "expected a public key (BEGIN PUBLIC KEY), found a private one: openssl pkey -in FILE -pubout",
    ),
    (
        "RSA PUBLIC KEY",
        "expected BEGIN PUBLIC KEY, found BEGIN RSA PUBLIC KEY: openssl rsa -RSAPublicKey_in -in FILE -pubout",
    ),
    (
        "CERTIFICATE",
        "expected a public key (BEGIN PUBLIC KEY), found a certificate: openssl x509 -in FILE -noout -pubkey",
    ),
];
/// The same for a private key.
const NOT_PRIVATE: &[(&str, &str)] = &[
    (
        "ENCRYPTED PRIVATE KEY",
        "expected a private key without a password (BEGIN PRIVATE KEY), found an encrypted one: openssl pkey -in FILE",
    ),
    (
        "EC PRIVATE KEY",
        "expected a private key as PKCS #8 (BEGIN PRIVATE KEY), found BEGIN EC PRIVATE KEY: openssl pkcs8 -topk8 -nodes -in FILE",
    ),
    (
        "RSA PRIVATE KEY",
        "expected a private key as PKCS #8 (BEGIN PRIVATE KEY), found BEGIN RSA PRIVATE KEY: openssl pkcs8 -topk8 -nodes -in FILE",
    ),
    (
        "PUBLIC KEY",
        "expected a private key (BEGIN PRIVATE KEY), found a public one",
    ),
];

/// Why `pem` contains no key: the first of `others` whose label ends so.
fn instead(pem: &[u8], others: &[(&str, &'static str)]) -> KeyError {
    let text = String::from_utf8_lossy(pem);
    let labels = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"));
    let found = labels.filter_map(|label| others.iter().find(|(other, _)| label.ends_with(other)));
    found
        .map(|(_, words)| KeyError::Form(words))
        .next()
        .unwrap_or(KeyError::Malformed)
}

/// The first `PUBLIC KEY` of `pem`.
pub(in crate::auth) fn public(pem: &[u8]) -> Result<Material, KeyError> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| instead(pem, NOT_PUBLIC))?;
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

/// The first `PRIVATE KEY` (PKCS #8) of `pem`, and the algorithm that it signs with.
pub(in crate::auth) fn private(pem: &[u8]) -> Result<(EncodingKey, Algorithm), KeyError> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| instead(pem, NOT_PRIVATE))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(label: &str) -> Vec<u8> {
        format!("some text\n-----BEGIN {label}-----\r\nAAAA\n-----END {label}-----\n").into_bytes()
    }

    #[test]
    fn a_key_in_another_form_is_named_with_the_command_that_helps() {
        for (label, helps) in [
            ("EC PRIVATE KEY", "pkcs8 -topk8"),
            ("RSA PRIVATE KEY", "pkcs8 -topk8"),
            ("ENCRYPTED PRIVATE KEY", "without a password"),
            ("PUBLIC KEY", "found a public one"),
        ] {
            let Err(KeyError::Form(words)) = private(&of(label)).map(|_| ()) else {
                panic!("{label}");
            };
            assert!(words.contains(helps), "{label}: {words}");
        }
        for (label, helps) in [
            ("PRIVATE KEY", "-pubout"),
            ("EC PRIVATE KEY", "-pubout"),
            ("RSA PUBLIC KEY", "-RSAPublicKey_in"),
            ("CERTIFICATE", "x509"),
        ] {
            let Err(KeyError::Form(words)) = public(&of(label)) else {
                panic!("{label}");
            };
            assert!(words.contains(helps), "{label}: {words}");
        }
        assert_eq!(public(b"rubbish"), Err(KeyError::Malformed));
        assert!(matches!(
            private(&of("PRIVATE KEY")),
            Err(KeyError::Kind | KeyError::Malformed)
        ));
    }
}
