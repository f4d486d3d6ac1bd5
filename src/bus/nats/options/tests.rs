//! The promise: what `[bus]` accepts, that its errors name settings and never secrets, and how long attempts pause.

use std::io::Write;

use super::*;
use crate::bus::nats::credentials::Source;
use crate::setting::Secret;

const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";

fn config(set: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config {
        url: Some("nats://127.0.0.1:4222".parse().unwrap()),
        ..Config::default()
    };
    set(&mut config);
    config
}

fn refusal(set: impl FnOnce(&mut Config)) -> String {
    let error = Identity::read(&config(set)).map(|_| ()).expect_err("refused");
    let (shown, debug) = (error.to_string(), format!("{error:?}"));
    assert!(
        !shown.contains("s3cret") && !debug.contains("s3cret"),
        "{shown} {debug}"
    );
    shown
}

fn file(content: &str) -> (tempfile::NamedTempFile, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    (file, path)
}

#[test]
fn errors_name_the_setting_and_never_the_secret() {
    let secret = || Some(Secret::new("s3cret"));
    let (_held, path) = file("s3cret\n");
    let check = |shown: String, words: &[&str]| {
        for word in words {
            assert!(shown.contains(word), "{shown:?} lacks {word:?}");
        }
    };
    check(refusal(|c| c.nkey = secret()), &["bus.nkey", "SU"]);
    check(
        refusal(|c| c.credentials_file = Some(path.clone())),
        &["bus.credentials_file", "JWT"],
    );
    check(
        refusal(|c| c.ca_file = Some(path.clone())),
        &["bus.ca_file", "PEM"],
    );
    check(
        refusal(|c| c.token_file = Some("/does/not/exist".into())),
        &["bus.token_file", "/does/not/exist"],
    );
    let (_held, large) = file(&"s3cret".repeat(50_000));
    check(
        refusal(|c| c.token_file = Some(large)),
        &["bus.token_file", "256 KiB"],
    );
}

#[test]
fn each_way_to_prove_who_we_are() {
    let (_held, path) = file("s3cret\r\n");
    assert!(Identity::read(&config(|_| ())).is_ok());
    for set in [
        &(|c: &mut Config| c.token = Some(Secret::new("t"))) as &dyn Fn(&mut Config),
        &|c| c.nkey = Some(Secret::new(SEED)),
        &|c| c.token_file = Some(path.clone()),
        &|c| {
            c.user = Some("u".into());
            c.password_file = Some(path.clone());
        },
    ] {
        assert!(Identity::read(&config(set)).is_ok());
    }
    let read = Source::File("b", path).read().unwrap();
    assert_eq!(read, "s3cret");
}

#[test]
fn credentials_are_read_for_each_connection() {
    let key = |seed: &str| nkeys::KeyPair::from_seed(seed).unwrap();
    let other = nkeys::KeyPair::new_user();
    let decorated = |seed: &str| {
        format!(
            "-----BEGIN NATS USER JWT-----\neyJ0.e-_.x\n------END NATS USER JWT------\n\n***** IMPORTANT *****\nkeep it\n\n\
             -----BEGIN USER NKEY SEED-----\r\n{seed}\r\n------END USER NKEY SEED------\n"
        )
    };
    let (mut held, path) = file("");
    let mut write = |text: &str| {
        held.as_file().set_len(0).unwrap();
        std::io::Seek::rewind(&mut held).unwrap();
        held.write_all(text.as_bytes()).unwrap();
    };
    let auth = |set: &dyn Fn(&mut Config)| Credentials::of(&config(set)).auth(b"nonce");
    let token = |c: &mut Config| c.token_file = Some(path.clone());
    let nkey = |c: &mut Config| c.nkey_file = Some(path.clone());
    let credentials = |c: &mut Config| c.credentials_file = Some(path.clone());
    for text in ["one", "two"] {
        write(text);
        assert_eq!(auth(&token).unwrap().token.as_deref(), Some(text));
        assert!(auth(&nkey).is_err() && auth(&credentials).is_err());
    }
    for seed in [SEED, &other.seed().unwrap()] {
        write(seed);
        let answer = auth(&nkey).unwrap();
        assert_eq!(answer.nkey, Some(key(seed).public_key()));
        key(seed).verify(b"nonce", &answer.signature.unwrap()).unwrap();
        write(&decorated(seed));
        let answer = auth(&credentials).unwrap();
        assert_eq!(answer.jwt.as_deref(), Some("eyJ0.e-_.x"));
        key(seed).verify(b"nonce", &answer.signature.unwrap()).unwrap();
    }
    // An account's key is not a user's.
    write(&nkeys::KeyPair::new_account().seed().unwrap());
    assert!(auth(&nkey).is_err());
}

#[test]
fn a_certificate_needs_its_key() {
    let tls_file = |name: &str| format!("{}/tests/it/support/nats_tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let pair = |certificate: &str, key: &str| {
        let (certificate, key) = (tls_file(certificate), tls_file(key));
        Identity::read(&config(|c| {
            (c.cert_file, c.key_file) = (Some(certificate), Some(key))
        }))
        .map(|_| ())
        .map_err(|error| error.to_string())
    };
    assert_eq!(pair("client.pem", "client-key.pem"), Ok(()));
    for (certificate, key, words) in [
        (
            "client.pem",
            "server-key.pem",
            "bus.key_file: expected the private key of the certificate",
        ),
        (
            "client.pem",
            "client.pem",
            "bus.key_file: expected a private key in PEM",
        ),
        (
            "client-key.pem",
            "client-key.pem",
            "bus.cert_file: expected certificates",
        ),
        ("gone.pem", "client-key.pem", "bus.cert_file: cannot read"),
        ("client.pem", "gone.pem", "bus.key_file: cannot read"),
    ] {
        let error = pair(certificate, key).unwrap_err();
        assert!(error.starts_with(words), "{error}");
    }
}

#[test]
fn the_first_pause_is_short_and_no_pause_is_longer_than_the_setting() {
    let longest = Duration::from_millis(500);
    for random in [0, 1, 39, 40, 12_345, u64::MAX] {
        assert!(pause(1, longest, random) < Duration::from_millis(50));
        for attempt in 2..200 {
            assert!(pause(attempt, longest, random) <= longest);
        }
        assert!(pause(100, longest, random) >= longest / 2);
        assert!(pause(usize::MAX, Duration::ZERO, random) <= Duration::from_millis(2));
    }
}
