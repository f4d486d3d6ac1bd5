//! The promise: each check has its reason and its place in the order, no trick with algorithms or keys works, and
//! claims become what the configuration says, never more.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::config::{AlgorithmName, IssuerConfig};
use super::*;
use crate::auth::keys::{jwks, pem};
use mint::SigningKey;

mod confusions;
mod mapping;
mod signatures;
mod vectors;

/// An arbitrary second.
const NOW: u64 = 1_800_000_000;
const RSA: &[u8] = include_bytes!("tests/rsa.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("tests/rsa_public.pem");
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn config() -> IssuerConfig {
    let mut config = IssuerConfig::new("https://id.example", "herald", "id:");
    config.jwks_uri = Some("https://id.example/keys".into());
    config
}

fn claims() -> Value {
    json!({"iss": "https://id.example", "aud": "herald", "sub": "alice", "iat": NOW - 60, "exp": NOW + 600})
}

/// The claims with these changed; `null` removes one.
fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
    claims
}

fn issuers(configs: &[IssuerConfig]) -> Issuers {
    let issuers = configs.iter().map(|config| Arc::new(Issuer::new(config)));
    Issuers::new(6 << 10, issuers.collect())
}

fn rsa() -> SigningKey {
    SigningKey::pem(RSA).unwrap()
}

/// The RSA key under the name `k1`.
fn rsa_set() -> KeySet {
    let material = pem::public(RSA_PUBLIC).unwrap();
    KeySet::new([Key::public(Some("k1"), material, None).unwrap()])
}

fn sign(key: &SigningKey, kid: Option<&str>, claims: &Value) -> String {
    key.sign(kid, claims.as_object().unwrap())
        .unwrap()
        .expose()
        .into()
}

/// Takes a token through all checks.
fn verify(issuers: &Issuers, set: &KeySet, text: &str, now: u64) -> Result<Verified, Refusal> {
    let unproven = issuers
        .look(&Secret::new(text), now * 1_000)
        .map_err(|(refusal, _)| refusal)?;
    let keys = unproven.keys(set)?;
    unproven.prove(&keys).map(|(verified, _)| verified)
}

#[test]
fn a_right_token_proves_its_user_until_its_end() {
    let claims = with(json!({"jti": "t-1", "nbf": NOW - 60, "aud": ["other", "herald"]}));
    let text = sign(&rsa(), Some("k1"), &claims);
    let verified = verify(&issuers(&[config()]), &rsa_set(), &text, NOW).unwrap();
    let expected = Verified {
        granted: None,
        issuer: "https://id.example".into(),
        user: UserName::parse("id:alice").unwrap(),
        roles: vec![Role::user()],
        attributes: Attributes::default(),
        token_id: Some("t-1".into()),
        issued_ms: (NOW - 60) * 1_000,
        earliest_ms: (NOW - 90) * 1_000,
        ends_ms: (NOW + 630) * 1_000,
    };
    assert_eq!(verified, expected);
}

#[test]
fn each_check_has_its_reason() {
    let check = |changes: Value, expected: Refusal| {
        let text = sign(&rsa(), Some("k1"), &with(changes.clone()));
        let found = verify(&issuers(&[config()]), &rsa_set(), &text, NOW);
        assert_eq!(found, Err(expected), "{changes}");
    };
    check(json!({"iss": "https://id.example/"}), Refusal::Issuer);
    check(json!({"iss": null}), Refusal::Issuer);
    check(json!({"iss": ["https://id.example"]}), Refusal::Issuer);
    check(json!({"aud": "other"}), Refusal::Audience);
    check(json!({"aud": null}), Refusal::Audience);
    check(json!({"aud": []}), Refusal::Audience);
    check(json!({"aud": ["herald", 5]}), Refusal::Audience);
    check(json!({"aud": ["herald", null]}), Refusal::Audience);
    check(json!({"aud": {"herald": true}}), Refusal::Audience);
    check(json!({"exp": NOW - 31}), Refusal::Expired);
    check(json!({"exp": NOW - 30}), Refusal::Expired);
    check(json!({"nbf": NOW + 31}), Refusal::NotYet);
    check(json!({"iat": NOW + 31}), Refusal::NotYet);
    for changes in [
        json!({"exp": null}),
        json!({"iat": null}),
        json!({"exp": "1800000600"}),
        json!({"iat": "x"}),
        json!({"nbf": "x"}),
        json!({"nbf": null, "exp": -1}),
        json!({"exp": 1e300}),
        json!({"exp": NOW + 86_400}),
        json!({"iat": NOW, "exp": NOW - 1}),
    ] {
        check(changes, Refusal::Lifetime);
    }
    for changes in [
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": 7}),
        json!({"sub": "a\nb"}),
        json!({"sub": "a\u{202e}b"}),
        json!({"sub": "x".repeat(253)}),
        json!({"jti": "x".repeat(256)}),
        json!({"jti": ""}),
        json!({"jti": 7}),
    ] {
        check(changes, Refusal::Claim);
    }
}

#[test]
fn the_leeway_counts_on_both_sides() {
    for changes in [
        json!({"exp": NOW - 29}),
        json!({"nbf": NOW + 30}),
        json!({"iat": NOW + 30, "exp": NOW + 60}),
        json!({"exp": NOW as f64 + 0.5}),
        json!({"iat": NOW - 60, "exp": NOW - 60 + 86_400}),
        json!({"sub": "x".repeat(252)}),
    ] {
        let text = sign(&rsa(), Some("k1"), &with(changes.clone()));
        assert!(
            verify(&issuers(&[config()]), &rsa_set(), &text, NOW).is_ok(),
            "{changes}"
        );
    }
}

/// If a token has several faults, the reason is that of the first check; costly checks come last.
#[test]
fn the_checks_have_one_order() {
    let faults = [
        (json!({"iss": "x"}), Refusal::Issuer),
        (json!({"aud": "x"}), Refusal::Audience),
        (json!({"nbf": NOW + 60}), Refusal::NotYet),
        (json!({"exp": NOW + 90_000}), Refusal::Lifetime),
    ];
    let stranger = SigningKey::secret(SECRET).unwrap();
    for first in 0..faults.len() {
        let mut changes = json!({"sub": null});
        for (fault, _) in &faults[first..] {
            let fault = fault.as_object().unwrap().clone();
            changes.as_object_mut().unwrap().extend(fault);
        }
        let text = sign(&rsa(), Some("nobody"), &with(changes.clone()));
        let found = verify(&issuers(&[config()]), &rsa_set(), &text, NOW);
        assert_eq!(found, Err(faults[first].1), "{changes}");
        let text = sign(&stranger, Some("k1"), &with(changes));
        let expected = match faults[first].1 {
            Refusal::Issuer => Refusal::Issuer,
            _ => Refusal::Algorithm,
        };
        assert_eq!(
            verify(&issuers(&[config()]), &rsa_set(), &text, NOW),
            Err(expected)
        );
    }
    // Then the key, the signature, and the checks that are reported only for a valid one.
    let old = with(json!({"exp": NOW - 31, "sub": null}));
    let cut = |mut text: String| {
        let last = text.rfind('.').unwrap() + 1;
        let other = if text.as_bytes()[last] == b'A' { "B" } else { "A" };
        text.replace_range(last..=last, other);
        text
    };
    let check = |text: &str, expected| {
        assert_eq!(
            verify(&issuers(&[config()]), &rsa_set(), text, NOW),
            Err(expected),
            "{text}"
        );
    };
    check(&sign(&rsa(), Some("nobody"), &old), Refusal::UnknownKey);
    check(&cut(sign(&rsa(), Some("k1"), &old)), Refusal::Signature);
    check(&sign(&rsa(), Some("k1"), &old), Refusal::Expired);
    check(
        &cut(sign(&rsa(), Some("k1"), &with(json!({"sub": null})))),
        Refusal::Signature,
    );
    check(
        &sign(&rsa(), Some("k1"), &with(json!({"sub": null}))),
        Refusal::Claim,
    );
}

#[test]
fn types_are_those_of_the_configuration() {
    let check = |kind: Option<&str>, expected: Option<Refusal>| {
        let mut header = json!({"alg": "HS256"});
        if let Some(kind) = kind {
            header["typ"] = kind.into();
        }
        let mut config = config();
        config.algorithms = Some(vec![AlgorithmName(Algorithm::HS256)]);
        let set = KeySet::new([Key::secret(None, SECRET, None).unwrap()]);
        let text = confusions::hashed(&header.to_string(), &claims().to_string(), SECRET);
        let found = verify(&issuers(&[config]), &set, &text, NOW);
        assert_eq!(found.err(), expected, "{kind:?}");
    };
    for taken in [
        None,
        Some("JWT"),
        Some("jwt"),
        Some("at+jwt"),
        Some("application/at+JWT"),
        Some(""),
    ] {
        check(taken, None);
    }
    for other in ["logout+jwt", "application/", "JWT ", "dpop+jwt", "ID"] {
        check(
            Some(other),
            Some(Refusal::Algorithm).filter(|_| other != "application/"),
        );
    }
}

#[test]
fn whichever_of_several_keys_has_signed_it() {
    let other = || {
        let pair = confusions::ed25519();
        Key::public(Some("k1"), Material::Ed25519(pair.1), None).unwrap()
    };
    let mut config = config();
    config.algorithms = Some(["RS256", "EdDSA"].map(|name| name.parse().unwrap()).into());
    let issuers = issuers(&[config]);
    let material = || pem::public(RSA_PUBLIC).unwrap();
    let named = |kid| Key::public(kid, material(), None).unwrap();
    let text = sign(&rsa(), Some("k1"), &claims());
    // Two with one name.
    let both = KeySet::new([other(), named(Some("k1"))]);
    assert!(verify(&issuers, &both, &text, NOW).is_ok());
    // One with that name, for another algorithm.
    assert_eq!(
        verify(&issuers, &KeySet::new([other()]), &text, NOW),
        Err(Refusal::Algorithm)
    );
    // A key without a name does not match a name, and any key may have signed a token without one: four are tried.
    assert_eq!(
        verify(&issuers, &KeySet::new([named(None)]), &text, NOW),
        Err(Refusal::UnknownKey)
    );
    let unnamed = sign(&rsa(), None, &claims());
    let strange = |n: u8| {
        let Material::Rsa(mut modulus, exponent) = material() else {
            panic!("not RSA")
        };
        modulus[10] ^= n;
        Key::public(Some("x"), Material::Rsa(modulus, exponent), None).unwrap()
    };
    let fourth = KeySet::new([strange(1), strange(2), strange(3), named(Some("k1"))]);
    assert!(verify(&issuers, &fourth, &unnamed, NOW).is_ok());
    let fifth = KeySet::new([strange(1), strange(2), strange(3), strange(4), named(None)]);
    assert_eq!(verify(&issuers, &fifth, &unnamed, NOW), Err(Refusal::Signature));
    assert_eq!(
        verify(&issuers, &KeySet::default(), &unnamed, NOW),
        Err(Refusal::UnknownKey)
    );
}

use crate::auth::keys::Material;

#[test]
fn a_token_is_never_printed() {
    let text = sign(&rsa(), Some("k1"), &claims());
    let secret = Secret::new(&text);
    let unproven = issuers(&[config()]).look(&secret, NOW * 1_000).unwrap();
    let words = format!("{unproven:?} {:?}", unproven.keys(&rsa_set()).unwrap());
    assert!(text.split('.').all(|part| !words.contains(part)), "{words}");
    assert_eq!(format!("{:?}", rsa()), "SigningKey(RS256)");
    let _ = jwks::BYTES_MAX;
}

/// Herald itself refuses such a token, whatever a backend would answer.
#[test]
fn a_token_names_its_issuer_however_malformed_it_is() {
    let issuers = issuers(&[config()]);
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let names =
        |claims: &str| issuers.are_named_by(&Secret::new(format!("{}.{}.x", part("{}"), part(claims))));
    let deep = |iss: &str| format!(r#"{{"iss":"{iss}","x":{}1{}}}"#, "[".repeat(60), "]".repeat(60));
    assert!(names(r#"{"iss":"https://id.example"}"#));
    assert!(names(&deep("https://id.example")));
    assert!(names(
        r#"{"iss":"https://id.example","iss":"https://other.example"}"#
    ));
    assert!(names(
        r#"{"iss":"https://other.example","iss":"https://id.example"}"#
    ));
    assert!(!names(&deep("https://other.example")));
    for claims in [
        "",
        "1764400000",
        "[]",
        r#"{"iss":7}"#,
        "{}",
        "rubbish",
        r#"{"iss":"https://id.example""#,
    ] {
        assert!(!names(claims), "{claims}");
    }
    for text in ["opaque", "a.b", "!.!.!", ".."] {
        assert!(!issuers.are_named_by(&Secret::new(text)), "{text}");
    }
}
