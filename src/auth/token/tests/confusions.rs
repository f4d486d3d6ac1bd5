//! The promise: tricks with algorithms, keys and JSON are refused, each for its own reason.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use ring::{hmac, signature};

use super::*;

/// `header.claims`, unchanged.
fn unsigned(header: &str, claims: &str) -> String {
    format!("{}.{}", BASE64.encode(header), BASE64.encode(claims))
}

/// A token with these texts, signed by HMAC with SHA-256 under any key.
pub(super) fn hashed(header: &str, claims: &str, key: &[u8]) -> String {
    let message = unsigned(header, claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes());
    format!("{message}.{}", BASE64.encode(tag))
}

/// A token with these texts, signed by the RSA key with RS256.
fn rs256(header: &str, claims: &str) -> String {
    let der = rustls::pki_types::PrivatePkcs8KeyDer::from_pem_slice(RSA).unwrap();
    let pair = signature::RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let message = unsigned(header, claims);
    let mut signed = vec![0; pair.public().modulus_len()];
    pair.sign(
        &signature::RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        message.as_bytes(),
        &mut signed,
    )
    .unwrap();
    format!("{message}.{}", BASE64.encode(signed))
}

use rustls::pki_types::pem::PemObject;

/// A new pair: its private key as PKCS #8, and its public key.
pub(super) fn ed25519() -> (Vec<u8>, Vec<u8>) {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
    (document.as_ref().into(), pair.public_key().as_ref().into())
}

/// Every algorithm that exists, so that only the key can refuse.
fn lenient() -> Issuers {
    let mut config = config();
    let all = [
        "RS256", "RS384", "PS256", "ES256", "ES384", "EdDSA", "HS256", "HS384", "HS512",
    ];
    config.algorithms = Some(all.map(|name| name.parse().unwrap()).into());
    issuers(&[config])
}

fn check(text: &str, expected: Refusal) {
    let found = verify(&lenient(), &rsa_set(), text, NOW);
    assert_eq!(found, Err(expected), "{}", text.get(..200).unwrap_or(text));
}

#[test]
fn the_builder_of_these_tests_builds_what_is_taken() {
    let text = rs256(r#"{"alg":"RS256","kid":"k1"}"#, &claims().to_string());
    assert!(verify(&lenient(), &rsa_set(), &text, NOW).is_ok());
}

#[test]
fn no_algorithm_but_the_keys_own() {
    let claims = claims().to_string();
    for none in [
        "none", "None", "NONE", "nOnE", "", "HS1", "RS1", "ES512", "dir", "ES256K", "rs256",
    ] {
        let header = format!(r#"{{"alg":"{none}","kid":"k1"}}"#);
        check(&format!("{}.", unsigned(&header, &claims)), Refusal::Algorithm);
        check(&rs256(&header, &claims), Refusal::Algorithm);
    }
    // The public key as a secret, in every form that it has.
    let public = pem::public(RSA_PUBLIC).unwrap();
    let Material::Rsa(modulus, _) = public else {
        panic!("not RSA")
    };
    let header = r#"{"alg":"HS256","kid":"k1"}"#;
    for secret in [RSA_PUBLIC, RSA_PUBLIC.trim_ascii(), &modulus, b""] {
        check(&hashed(header, &claims, secret), Refusal::Algorithm);
    }
    // An RSA signature under the name of another RSA algorithm.
    for other in ["RS384", "PS256"] {
        let header = format!(r#"{{"alg":"{other}","kid":"k1"}}"#);
        check(&rs256(&header, &claims), Refusal::Signature);
    }
    check(
        &rs256(r#"{"alg":"EdDSA","kid":"k1"}"#, &claims),
        Refusal::Algorithm,
    );
    // None, and one that is not a string.
    check(&rs256(r#"{"kid":"k1"}"#, &claims), Refusal::Malformed);
    check(
        &rs256(r#"{"alg":["RS256"],"kid":"k1"}"#, &claims),
        Refusal::Malformed,
    );
    // An issuer that allows fewer.
    let text = rs256(r#"{"alg":"RS256","kid":"k1"}"#, &claims);
    let mut config = config();
    config.algorithms = Some(vec!["ES256".parse().unwrap()]);
    let found = verify(&issuers(&[config]), &rsa_set(), &text, NOW);
    assert_eq!(found, Err(Refusal::Algorithm));
}

#[test]
fn a_token_brings_no_key_and_no_extension() {
    let claims = claims().to_string();
    let (private, public) = ed25519();
    let pair = Ed25519KeyPair::from_pkcs8(&private).unwrap();
    let jwk = format!(
        r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#,
        BASE64.encode(&public)
    );
    let own = [
        ("jwk", jwk.clone()),
        ("jku", r#""https://evil.example/keys""#.into()),
        ("x5u", r#""https://evil.example/chain""#.into()),
        ("x5c", r#"["AAAA"]"#.into()),
    ];
    for (name, value) in &own {
        let header = format!(r#"{{"alg":"EdDSA","{name}":{value}}}"#);
        let message = unsigned(&header, &claims);
        let signed = BASE64.encode(pair.sign(message.as_bytes()));
        check(&format!("{message}.{signed}"), Refusal::UnknownKey);
        // With a valid signature they change nothing.
        let header = format!(r#"{{"alg":"RS256","kid":"k1","{name}":{value}}}"#);
        let text = rs256(&header, &claims);
        assert!(verify(&lenient(), &rsa_set(), &text, NOW).is_ok(), "{name}");
    }
    for extension in [
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""crit":["b64"],"b64":true"#,
        r#""b64":false"#,
        r#""crit":"x""#,
    ] {
        let header = format!(r#"{{"alg":"RS256","kid":"k1",{extension}}}"#);
        check(&rs256(&header, &claims), Refusal::Algorithm);
    }
}

#[test]
fn what_is_not_quite_a_token_is_malformed() {
    let (header, claims) = (r#"{"alg":"RS256","kid":"k1"}"#, claims().to_string());
    let good = rs256(header, &claims);
    let parts: Vec<&str> = good.split('.').collect();
    let (h, c, s) = (parts[0], parts[1], parts[2]);
    for text in [
        String::new(),
        ".".into(),
        "..".into(),
        "a.b.c".into(),
        format!("{h}.{c}"),
        format!("{good}."),
        format!("{good}.{s}"),
        format!(".{c}.{s}"),
        format!("{h}..{s}"),
        format!("{h}=.{c}.{s}"),
        format!("{h}.{c}.{s}="),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{h}.{c}.{s}\u{e9}"),
        // JSON serialization, and an encrypted token's five parts.
        format!(r#"{{"protected":"{h}","payload":"{c}","signature":"{s}"}}"#),
        format!("{h}.{c}.{s}.{s}.{s}"),
        "A".repeat(1 << 20),
        format!("{h}.{}.{s}", "A".repeat(1 << 20)),
        format!("{}.{c}.{s}", BASE64.encode("[]")),
        format!("{}.{c}.{s}", BASE64.encode("\u{feff}{}")),
        format!("{h}.{}.{s}", BASE64.encode([0xff, 0xfe])),
    ] {
        check(&text, Refusal::Malformed);
    }
    for changed in [
        claims.replacen('{', r#"{"sub":"mallory","#, 1),
        claims.replacen('{', r#"{"iss":"https://evil.example","#, 1),
        claims.replacen('{', r#"{"\u0061ud":"x","#, 1),
        claims.replacen(
            '{',
            &format!(r#"{{"deep":{}{},"#, "[".repeat(500), "]".repeat(500)),
            1,
        ),
        claims.replacen('{', r#"{"deep":[[[[[[[[1]]]]]]]],"#, 1),
        format!("{claims}{claims}"),
    ] {
        check(&rs256(header, &changed), Refusal::Malformed);
    }
    let twice = r#"{"alg":"RS256","alg":"HS256","kid":"k1"}"#;
    check(&rs256(twice, &claims), Refusal::Malformed);
    let long = format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(257));
    check(&rs256(&long, &claims), Refusal::Malformed);
}

/// One byte anywhere in a token: it is never accepted as the same or as somebody else's.
#[test]
fn every_changed_byte_is_noticed() {
    let good = rs256(r#"{"alg":"RS256","kid":"k1"}"#, &claims().to_string());
    let issuers = lenient();
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = match bytes[at] {
            b'A' => b'B',
            b'.' => b'A',
            _ => b'A',
        };
        let text = String::from_utf8(bytes).unwrap();
        assert!(verify(&issuers, &rsa_set(), &text, NOW).is_err(), "{at}");
    }
}
