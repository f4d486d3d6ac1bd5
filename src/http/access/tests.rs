//! The promise: a key that cannot be used is named.

use super::config::KeyDigest;
use super::*;

#[test]
fn a_digest_is_64_hexadecimal_digits() {
    let digits = "0123456789abcdefABCDEF".repeat(3)[..64].to_owned();
    let digest: KeyDigest = digits.parse().unwrap();
    assert_eq!((digest.0[0], digest.0[31]), (0x01, 0xcd));
    assert_eq!(format!("{digest} {digest:?}"), "*** ***");
    for wrong in [
        "",
        "abc",
        &digits[1..],
        &"+f".repeat(32),
        &"ä".repeat(32),
        &"g".repeat(64),
    ] {
        let error = wrong.parse::<KeyDigest>().unwrap_err();
        assert!(error.contains("64 hexadecimal digits"), "{error}");
    }
}

#[test]
fn a_key_has_a_name_and_at_least_one_scope() {
    let read = |text: &str| serde_json::from_str::<Key>(text).map_err(|error| error.to_string());
    let digest = "a".repeat(64);
    let check = |fields: &str, expected: Result<(), &str>| {
        let read = read(&format!("{{\"sha256\":\"{digest}\",{fields}}}"));
        match expected {
            Ok(()) => assert!(read.is_ok(), "{read:?}"),
            Err(words) => assert!(
                read.as_ref().is_err_and(|error| error.contains(words)),
                "{read:?}"
            ),
        }
    };
    check(r#""name":"k""#, Ok(()));
    check(r#""name":"k","scopes":["read"]"#, Ok(()));
    check(r#""name":"""#, Err("1 to 128 bytes"));
    check(r#""name":"a\nb""#, Err("without control characters"));
    check(r#""name":"k","scopes":[]"#, Err("at least one of publish"));
}
