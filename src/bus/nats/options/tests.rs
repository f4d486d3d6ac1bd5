//! What `[bus]` accepts, how its errors name settings and never secrets, and how long attempts pause.

use std::io::Write;

use super::*;

const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";

fn config(set: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config {
        url: Some("nats://127.0.0.1:4222".into()),
        ..Config::default()
    };
    set(&mut config);
    config
}

async fn refusal(set: impl FnOnce(&mut Config)) -> String {
    let error = options(&config(set), "name").await.expect_err("refused");
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
fn addresses_are_a_list_without_secrets() {
    let check = |url: &str, expected: Result<usize, &str>| {
        let found = addresses(&config(|c| c.url = Some(url.into())));
        match (found, expected) {
            (Ok(list), Ok(count)) => assert_eq!(list.len(), count, "{url}"),
            (Err(error), Err(word)) => {
                let shown = error.to_string();
                assert!(shown.starts_with("bus.url") && shown.contains(word), "{shown}");
                assert!(!shown.contains("s3cret"));
            }
            (found, _) => panic!("{url}: {:?}", found.map(|list| list.len())),
        }
    };
    check("nats://a:4222", Ok(1));
    check("nats://a:4222, tls://b:4222,", Ok(2));
    check("a", Ok(1));
    check("", Err("no address"));
    check("nats://u:s3cret@a", Err("bus.password_file"));
    check("http://s3cret", Err("expected nats://"));
    check("ws://a", Err("expected nats://"));
}

#[tokio::test]
async fn errors_name_the_setting_and_never_the_secret() {
    let secret = || Some(Secret::new("s3cret"));
    let (_held, path) = file("s3cret\n");
    let check = |shown: String, words: &[&str]| {
        for word in words {
            assert!(shown.contains(word), "{shown:?} lacks {word:?}");
        }
    };
    check(
        refusal(|c| c.user = Some("u".into())).await,
        &["bus.user", "bus.password"],
    );
    check(
        refusal(|c| c.password = secret()).await,
        &["bus.password", "bus.user"],
    );
    check(
        refusal(|c| {
            c.user = Some("u".into());
            c.password = secret();
            c.password_file = Some(path.clone());
        })
        .await,
        &["bus.password", "bus.password_file", "exclude"],
    );
    check(
        refusal(|c| {
            c.token = secret();
            c.nkey = Some(Secret::new(SEED));
        })
        .await,
        &["bus.token", "bus.nkey"],
    );
    check(refusal(|c| c.nkey = secret()).await, &["bus.nkey", "SU"]);
    check(
        refusal(|c| c.credentials_file = Some(path.clone())).await,
        &["bus.credentials_file", "JWT"],
    );
    check(
        refusal(|c| c.ca_file = Some(path.clone())).await,
        &["bus.ca_file", "PEM"],
    );
    check(
        refusal(|c| c.token_file = Some("/does/not/exist".into())).await,
        &["bus.token_file", "/does/not/exist"],
    );
    let (_held, large) = file(&"s3cret".repeat(50_000));
    check(
        refusal(|c| c.token_file = Some(large)).await,
        &["bus.token_file", "256 KiB"],
    );
}

#[tokio::test]
async fn each_way_to_prove_who_we_are() {
    let (_held, path) = file("s3cret\r\n");
    let nothing = options(&config(|_| ()), "name").await;
    assert!(nothing.is_ok());
    for set in [
        &(|c: &mut Config| c.token = Some(Secret::new("t"))) as &dyn Fn(&mut Config),
        &|c| c.nkey = Some(Secret::new(SEED)),
        &|c| c.token_file = Some(path.clone()),
        &|c| {
            c.user = Some("u".into());
            c.password_file = Some(path.clone());
        },
    ] {
        assert!(options(&config(set), "name").await.is_ok());
    }
    let read = secret(("a", &None), ("b", &Some(path))).await.unwrap();
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
