//! The promise: a key is only what its material says, whatever other members claim; a set that is hostile, empty or
//! another issuer's is refused as a whole, and keys that cannot be used are left out.

use serde_json::json;

use super::*;

const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn rsa(bytes: usize) -> Value {
    let mut modulus = vec![0xaa; bytes];
    modulus.insert(0, 0);
    json!({"kty": "RSA", "kid": "r", "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB"})
}

fn with(mut key: Value, name: &str, value: impl Into<Value>) -> Value {
    key[name] = value.into();
    key
}

fn read(key: Value) -> Result<Vec<String>, KeyError> {
    let key = super::key(key.as_object().unwrap())?;
    Ok(key.algorithms().iter().map(|one| format!("{one:?}")).collect())
}

#[test]
fn a_key_is_for_what_it_is() {
    let check = |key: Value, expected: &[&str]| {
        assert_eq!(read(key.clone()).unwrap(), expected, "{key}");
    };
    let all = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    check(rsa(256), &all);
    check(rsa(512), &all);
    check(with(rsa(256), "alg", "PS384"), &["PS384"]);
    check(with(rsa(256), "use", "sig"), &all);
    check(with(rsa(256), "key_ops", json!(["verify"])), &all);
    check(with(rsa(256), "x5c", json!(["x"])), &all);
    check(json!({"kty": "OKP", "crv": "Ed25519", "x": X}), &["EdDSA"]);
    check(json!({"kty": "EC", "crv": "P-256", "x": X, "y": X}), &["ES256"]);
    let long = URL_SAFE_NO_PAD.encode([1; 48]);
    check(
        json!({"kty": "EC", "crv": "P-384", "x": long, "y": long}),
        &["ES384"],
    );
}

#[test]
fn what_is_no_key_here_is_left_out() {
    let check = |key: Value, expected: KeyError| {
        assert_eq!(read(key.clone()), Err(expected), "{key}");
    };
    // A shared secret that is public is no secret.
    check(json!({"kty": "oct", "k": X, "alg": "HS256"}), KeyError::Kind);
    check(
        json!({"kty": "EC", "crv": "P-521", "x": X, "y": X}),
        KeyError::Kind,
    );
    check(
        json!({"kty": "EC", "crv": "secp256k1", "x": X, "y": X}),
        KeyError::Kind,
    );
    check(json!({"kty": "OKP", "crv": "X25519", "x": X}), KeyError::Kind);
    check(json!({}), KeyError::Kind);
    check(rsa(128), KeyError::RsaBits);
    check(rsa(513), KeyError::RsaBits);
    check(with(rsa(256), "n", ""), KeyError::Malformed);
    check(with(rsa(256), "n", "!"), KeyError::Malformed);
    check(with(rsa(256), "n", 7), KeyError::Malformed);
    check(with(rsa(256), "e", ""), KeyError::Malformed);
    check(with(rsa(256), "e", "AQABAQAB"), KeyError::Malformed);
    check(with(rsa(256), "kid", 7), KeyError::Malformed);
    check(with(rsa(256), "kid", "k".repeat(257)), KeyError::Malformed);
    check(with(rsa(256), "use", "enc"), KeyError::Use);
    check(with(rsa(256), "key_ops", json!(["encrypt"])), KeyError::Use);
    check(with(rsa(256), "key_ops", "verify"), KeyError::Use);
    check(with(rsa(256), "alg", "HS256"), KeyError::Algorithm);
    check(with(rsa(256), "alg", "ES256"), KeyError::Algorithm);
    check(with(rsa(256), "alg", "none"), KeyError::Algorithm);
    check(with(rsa(256), "alg", json!(null)), KeyError::Malformed);
    check(json!({"kty": "EC", "crv": "P-256", "x": X}), KeyError::Malformed);
    check(
        json!({"kty": "EC", "crv": "P-256", "x": X, "y": "AAAA"}),
        KeyError::Malformed,
    );
    check(
        json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}),
        KeyError::Malformed,
    );
}

#[test]
fn a_set_is_bounded_and_never_empty() {
    let parsed = |value: Value| parse(value.to_string().as_bytes()).map(|set| set.keys().count());
    let good = rsa(256);
    assert_eq!(parsed(json!({"keys": [good, {"kty": "oct"}, 7, good]})), Ok(2));
    assert_eq!(parsed(json!({"keys": vec![&good; 64]})), Ok(64));
    assert_eq!(parsed(json!({"keys": vec![&good; 65]})), Err(JwksError::TooMany));
    assert_eq!(parsed(json!({"keys": []})), Err(JwksError::Empty));
    assert_eq!(
        parsed(json!({"keys": [{"kty": "oct", "k": X}]})),
        Err(JwksError::Empty)
    );
    for value in [
        json!({}),
        json!([good]),
        json!({"keys": {}}),
        json!({"keys": null}),
    ] {
        assert_eq!(parsed(value.clone()), Err(JwksError::Malformed), "{value}");
    }
    for text in ["", "<html>", "{\"keys\":[", r#"{"keys":[],"keys":[]}"#] {
        assert_eq!(parse(text.as_bytes()).err(), Some(JwksError::Malformed), "{text}");
    }
    let deep = format!("{{\"keys\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(parse(deep.as_bytes()).err(), Some(JwksError::Malformed));
    let large = format!("{{\"keys\":[{good}],\"x\":\"{}\"}}", "x".repeat(BYTES_MAX));
    assert_eq!(parse(large.as_bytes()).err(), Some(JwksError::TooLarge));
}

#[test]
fn a_discovery_document_is_its_issuers_own() {
    let read = |value: Value| jwks_uri(value.to_string().as_bytes(), "https://id.example");
    let uri = "https://id.example/keys";
    assert_eq!(
        read(json!({"issuer": "https://id.example", "jwks_uri": uri})),
        Ok(uri.into())
    );
    for value in [
        json!({"issuer": "https://id.example/", "jwks_uri": uri}),
        json!({"issuer": "https://evil.example", "jwks_uri": uri}),
        json!({"jwks_uri": uri}),
        json!({"issuer": "https://id.example"}),
        json!({"issuer": "https://id.example", "jwks_uri": 7}),
    ] {
        assert_eq!(read(value.clone()), Err(JwksError::Discovery), "{value}");
    }
}

/// Damaged entries looked like removed ones.
#[test]
fn what_is_damaged_is_counted_and_what_is_of_another_kind_is_not() {
    let good = json!({"kty": "OKP", "crv": "Ed25519", "kid": "g", "x": X});
    let check = |entry: Value, damaged: usize| {
        let text = json!({"keys": [good, entry]}).to_string();
        let set = parse(text.as_bytes()).unwrap();
        assert_eq!((set.keys().count(), set.damaged()), (1, damaged), "{entry}");
    };
    for entry in [
        with(good.clone(), "x", format!("!{}", &X[1..])),
        with(good.clone(), "x", format!("{X}=")),
        with(good.clone(), "x", "AAAA"),
        with(good.clone(), "x", json!(null)),
        with(good.clone(), "kid", json!(null)),
        with(good.clone(), "alg", json!(null)),
        with(good.clone(), "use", json!(null)),
        with(good.clone(), "kty", json!(null)),
        with(good.clone(), "crv", 7),
        with(good.clone(), "key_ops", "verify"),
        json!({}),
        json!(null),
        json!("x"),
    ] {
        check(entry, 1);
    }
    for entry in [
        json!({"kty": "oct", "k": X}),
        json!({"kty": "OKP", "crv": "X25519", "x": X}),
        json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": X}),
        with(good.clone(), "use", "enc"),
        with(good.clone(), "key_ops", json!(["encrypt"])),
        with(good.clone(), "alg", "ES256K"),
        rsa(128),
    ] {
        check(entry, 0);
    }
}
