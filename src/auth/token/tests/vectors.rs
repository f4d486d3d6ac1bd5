//! Vectors from other sources: RFC 7515, 7519 and 8037, and all of Wycheproof's for JWS.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

/// The key of a JWK, including secrets. `None` if Herald does not take it.
fn key_of(jwk: &Value) -> Option<Key> {
    let members = jwk.as_object().unwrap();
    let kid = members.get("kid").and_then(Value::as_str);
    match members.get("k").and_then(Value::as_str) {
        Some(secret) => Key::secret(kid, &URL_SAFE_NO_PAD.decode(secret).unwrap(), None).ok(),
        None => jwks::key(members).ok(),
    }
}

fn key(jwk: &Value) -> Key {
    key_of(jwk).unwrap()
}

/// Whether the signature is valid, the header accepted, and every part base64url. In these vectors the signed text is not a
/// token.
fn is_signed(key: &Key, text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        return false;
    };
    let (header_bytes, signature) = (claims::decoded(header), claims::decoded(signature));
    let members = header_bytes.as_deref().and_then(Object::read);
    let (Some(Ok(read)), Some(signature)) = (members.as_ref().map(Header::read), signature) else {
        return false;
    };
    if claims::decoded(payload).is_none() {
        return false;
    }
    let fits = read.kid == key.kid() && key.algorithms().contains(&read.algorithm);
    let message = format!("{header}.{payload}");
    fits && crypto::is_signed(key.decoding(), read.algorithm, message.as_bytes(), &signature).unwrap_or(false)
}

const JOE: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

#[test]
fn rfc_7515_and_8037() {
    let hs256 = json!({"kty": "oct",
        "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"});
    let rs256 = json!({"kty": "RSA", "e": "AQAB",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS\
              -pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2C\
              apHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb\
              54h4FRWyuXpoQ"});
    let es256 = json!({"kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
    let eddsa = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let rs256_signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t\
        1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6\
        BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let vectors = [
        (
            hs256,
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            JOE,
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        (rs256, "eyJhbGciOiJSUzI1NiJ9", JOE, rs256_signature),
        (
            es256,
            "eyJhbGciOiJFUzI1NiJ9",
            JOE,
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            eddsa,
            "eyJhbGciOiJFZERTQSJ9",
            "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ];
    let keys = vectors.each_ref().map(|(jwk, ..)| key(jwk));
    for (of, (_, header, payload, signature)) in vectors.iter().enumerate() {
        let text = format!("{header}.{payload}.{signature}");
        for (by, key) in keys.iter().enumerate() {
            assert_eq!(is_signed(key, &text), of == by, "{of} by {by}");
        }
        let other = format!("{header}.{payload}X.{signature}");
        assert!(!is_signed(&keys[of], &other), "{of}");
    }
}

#[test]
fn rfc_7519_unsecured() {
    let text = format!("eyJhbGciOiJub25lIn0.{JOE}.");
    assert_eq!(
        verify(&issuers(&[config()]), &rsa_set(), &text, 1_300_819_000),
        Err(Refusal::Algorithm)
    );
}

/// Wycheproof's tests with a `result` that differs from Herald's verdict, and why Herald decides so.
const OTHERWISE: [(u64, &str); 8] = [
    (
        346,
        "the key's `alg` is PS256, the token's is PS384: a key that names an algorithm is for that one alone",
    ),
    (347, "Herald does not take keys on P-521"),
    (350, "as 346"),
    (351, "as 347"),
    (
        367,
        "its text equals that of 357, which is valid: the file lacks the padding that the test's name promises",
    ),
    (370, "as 367"),
    (372, "`?` in the header is not base64url (RFC 7515, section 2)"),
    (373, "the same in the payload"),
];
/// The groups, by their first test, whose keys Herald does not take: on P-521, and for encryption by `use` or `key_ops`.
const KEYS_REFUSED: [u64; 6] = [347, 351, 353, 354, 355, 356];
/// The number of tests in the source's file.
const TESTS: u64 = 401;

#[test]
fn wycheproof() {
    let groups: Vec<Value> = serde_json::from_str(include_str!("wycheproof.json")).unwrap();
    let (mut ids, mut otherwise, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for group in &groups {
        let tests = group["tests"].as_array().unwrap();
        let key = key_of(&group["key"]);
        if key.is_none() {
            refused.push(tests[0]["id"].as_u64().unwrap());
        }
        for test in tests {
            let id = test["id"].as_u64().unwrap();
            let text = test["jws"].as_str().unwrap();
            let taken = key.as_ref().is_some_and(|key| is_signed(key, text));
            if taken != test["valid"].as_bool().unwrap() {
                otherwise.push(id);
            }
            ids.push(id);
        }
    }
    assert_eq!(ids, (1..=TESTS).collect::<Vec<_>>());
    assert_eq!(otherwise, OTHERWISE.map(|(id, _)| id));
    assert_eq!(refused, KEYS_REFUSED);
}

/// Each verifies what the other signs: all kinds of private keys.
#[test]
fn what_is_minted_is_taken() {
    use ring::rand::SystemRandom;
    use ring::signature::{self, EcdsaKeyPair, KeyPair};

    let pem = |der: &[u8]| {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    };
    let random = SystemRandom::new();
    let ec = |how: &'static signature::EcdsaSigningAlgorithm| {
        let document = EcdsaKeyPair::generate_pkcs8(how, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(how, document.as_ref(), &random).unwrap();
        (pem(document.as_ref()), pair.public_key().as_ref().to_vec())
    };
    let (p256, p256_public) = ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING);
    let (p384, p384_public) = ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING);
    let (ed, ed_public) = confusions::ed25519();
    let mut config = config();
    config.algorithms = Some(
        ["ES256", "ES384", "EdDSA", "HS256"]
            .map(|name| name.parse().unwrap())
            .into(),
    );
    let issuers = issuers(&[config]);
    for (signing, key) in [
        (
            SigningKey::pem(p256.as_bytes()),
            Key::public(None, Material::P256(p256_public), None),
        ),
        (
            SigningKey::pem(p384.as_bytes()),
            Key::public(None, Material::P384(p384_public), None),
        ),
        (
            SigningKey::pem(pem(&ed).as_bytes()),
            Key::public(None, Material::Ed25519(ed_public), None),
        ),
        (SigningKey::secret(SECRET), Key::secret(None, SECRET, None)),
    ] {
        let (signing, key) = (signing.unwrap(), key.unwrap());
        assert!(key.algorithms().contains(&signing.algorithm()));
        let text = sign(&signing, None, &claims());
        assert!(
            verify(&issuers, &KeySet::new([key]), &text, NOW).is_ok(),
            "{signing:?}"
        );
    }
    assert_eq!(
        SigningKey::secret(&SECRET[1..]).err(),
        Some(crate::auth::keys::KeyError::Short)
    );
    assert!(SigningKey::pem(RSA_PUBLIC).is_err() && SigningKey::pem(b"").is_err());
}
