//! What `[bus]` accepts, how its errors name settings and never secrets, and how long attempts pause.

use std::io::Write;

use super::*;

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
    let read = secret(&None, ("b", &Some(path))).unwrap();
    assert_eq!(read.as_deref(), Some("s3cret"));
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
