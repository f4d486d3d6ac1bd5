//! Wycheproof's vectors for each signature that a token may have: valid ones are accepted, invalid ones refused. They
//! concern the signature alone; those for JWS, with headers, are in `vectors`.

use jsonwebtoken::Algorithm;
use wycheproof::{TestResult, ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify};

use super::*;
use crate::auth::keys::{Material, SECRET_MIN_BYTES};

/// How many vectors were judged.
#[derive(Default)]
struct Judged(usize);

impl Judged {
    /// One vector. One that is merely acceptable may be refused.
    fn one(
        &mut self,
        key: &Key,
        algorithm: Algorithm,
        (message, signature): (&[u8], &[u8]),
        result: TestResult,
        what: &str,
    ) {
        let taken = crypto::is_signed(key.decoding(), algorithm, message, signature).unwrap_or(false);
        match result {
            TestResult::Valid => assert!(taken, "{what}"),
            TestResult::Invalid => assert!(!taken, "{what}"),
            TestResult::Acceptable => {}
        }
        self.0 += 1;
    }
}

/// Judges every vector of the sets of `$module`, with the key that `$key` makes of its group.
macro_rules! judge {
    ($module:ident, $sets:expr, |$group:ident, $algorithm:ident| $key:expr) => {{
        let mut judged = Judged::default();
        for (name, $algorithm) in $sets {
            for $group in $module::TestSet::load(name).unwrap().test_groups {
                let key = $key;
                for test in $group.tests {
                    let what = format!("{name:?} {}: {}", test.tc_id, test.comment);
                    judged.one(&key, $algorithm, (&test.msg, &test.sig), test.result, &what);
                }
            }
        }
        judged.0
    }};
}

#[test]
fn rsa_pkcs1() {
    use rsa_pkcs1_verify::TestName;
    let sets = [
        (TestName::Rsa2048Sha256, Algorithm::RS256),
        (TestName::Rsa2048Sha384, Algorithm::RS384),
        (TestName::Rsa2048Sha512, Algorithm::RS512),
        (TestName::Rsa3072Sha256, Algorithm::RS256),
        (TestName::Rsa3072Sha384, Algorithm::RS384),
        (TestName::Rsa3072Sha512, Algorithm::RS512),
        (TestName::Rsa4096Sha256, Algorithm::RS256),
        (TestName::Rsa4096Sha384, Algorithm::RS384),
        (TestName::Rsa4096Sha512, Algorithm::RS512),
    ];
    let judged = judge!(rsa_pkcs1_verify, sets, |group, algorithm| rsa(
        &group.key.n,
        &group.key.e,
        algorithm
    ));
    assert!(judged > 2_000, "{judged}");
}

#[test]
fn rsa_pss() {
    use rsa_pss_verify::TestName;
    // Those whose salt is as long as the hash, as RFC 7518, section 3.5, requires.
    let sets = [
        (TestName::RsaPss2048Sha256Mgf1SaltLen32, Algorithm::PS256),
        (TestName::RsaPss2048Sha384Mgf1SaltLen48, Algorithm::PS384),
        (TestName::RsaPss3072Sha256Mgf1SaltLen32, Algorithm::PS256),
        (TestName::RsaPss4096Sha256Mgf1SaltLen32, Algorithm::PS256),
        (TestName::RsaPss4096Sha384Mgf1SaltLen48, Algorithm::PS384),
        (TestName::RsaPss4096Sha512Mgf1SaltLen64, Algorithm::PS512),
    ];
    let judged = judge!(rsa_pss_verify, sets, |group, algorithm| rsa(
        &group.key.n,
        &group.key.e,
        algorithm
    ));
    assert!(judged > 500, "{judged}");
}

fn rsa(modulus: &[u8], exponent: &[u8], algorithm: Algorithm) -> Key {
    let material = Material::Rsa(modulus.to_vec(), exponent.to_vec());
    Key::public(None, material, Some(algorithm)).unwrap()
}

#[test]
fn ecdsa() {
    use ecdsa::TestName;
    let sets = [
        (TestName::EcdsaSecp256r1Sha256P1363, Algorithm::ES256),
        (TestName::EcdsaSecp384r1Sha384P1363, Algorithm::ES384),
    ];
    let judged = judge!(ecdsa, sets, |group, algorithm| {
        let point = group.key.key.to_vec();
        let material = match algorithm {
            Algorithm::ES256 => Material::P256(point),
            _ => Material::P384(point),
        };
        Key::public(None, material, None).unwrap()
    });
    assert!(judged > 400, "{judged}");
}

#[test]
fn ed25519() {
    let sets = [(eddsa::TestName::Ed25519, Algorithm::EdDSA)];
    let judged = judge!(eddsa, sets, |group, algorithm| {
        let material = Material::Ed25519(group.key.pk.to_vec());
        Key::public(None, material, Some(algorithm)).unwrap()
    });
    assert!(judged > 100, "{judged}");
}

#[test]
fn hmac() {
    use mac::{TestName, TestSet};
    let mut judged = Judged::default();
    for (name, algorithm) in [
        (TestName::HmacSha256, Algorithm::HS256),
        (TestName::HmacSha384, Algorithm::HS384),
        (TestName::HmacSha512, Algorithm::HS512),
    ] {
        let whole = match algorithm {
            Algorithm::HS256 => 256,
            Algorithm::HS384 => 384,
            _ => 512,
        };
        for group in TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                // The shortest keys are not accepted at all.
                let Ok(key) = Key::secret(None, &test.key, Some(algorithm)) else {
                    assert!(test.key.len() < SECRET_MIN_BYTES);
                    continue;
                };
                // A truncated tag is not a JWS, even if it begins correctly.
                let result = match group.tag_size == whole {
                    true => test.result,
                    false => TestResult::Invalid,
                };
                let what = format!("{name:?} {}: {}", test.tc_id, test.comment);
                judged.one(&key, algorithm, (&test.msg, &test.tag), result, &what);
            }
        }
    }
    assert!(judged.0 > 200, "{}", judged.0);
}
