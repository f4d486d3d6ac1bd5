//! The promise: for a refusal the log names the client and the object: the address, the key or the user, and the
//! destination; requests are counted by the name of their key. A flood of refusals is a few lines a second.

use serde_json::Value;

use crate::support::cluster::{ADMIN, admin_key, until};
use crate::support::cluster_client::Browser;
use crate::support::process::{Herald, Launch};

const REQUEST: &str = "a request was refused";
const FRAME: &str = "a frame was refused";

/// With two keys, and nobody to log in.
async fn start(name: &str) -> (Herald, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("herald.toml");
    let orders = "[[api.keys]]\nname = \"orders\"\nsha256 = \
        \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"\ndestinations = [\"/queue/orders/**\"]\n";
    std::fs::write(&config, format!("{}{orders}", admin_key())).unwrap();
    let launch = Launch::new(&["serve", "--listen", "127.0.0.1:0", "--config"]);
    let launch = launch.argument(config.to_str().unwrap());
    (Herald::start(name, &launch).await, folder)
}

async fn line(herald: &Herald, words: &str, number: usize) -> Value {
    until("the line", async || herald.lines_with(words).len() > number).await;
    serde_json::from_str(&herald.lines_with(words)[number]).expect("JSON")
}

#[tokio::test]
async fn requests_are_refused_with_who_and_where() {
    let (herald, _folder) = start("refusals").await;
    let path = "/api/v1/broadcast/queue/news";
    let json = ("Content-Type", "application/json");
    let orders = ("Authorization", "Bearer test");
    let notification = br#"{"destination":"/queue/news","payload":"s3cret"}"#;
    for (number, (method, path, headers, body, expected)) in [
        (
            "POST",
            path,
            vec![orders],
            &b"s3cret"[..],
            (403, Some("key:orders"), Some("/queue/news")),
        ),
        (
            "POST",
            "/api/v1/notifications",
            vec![orders, json],
            &notification[..],
            (403, Some("key:orders"), Some("/queue/news")),
        ),
        (
            "POST",
            path,
            vec![("Authorization", "Bearer s3cret")],
            b"",
            (401, None, Some("/queue/news")),
        ),
        ("POST", path, vec![], b"", (401, None, Some("/queue/news"))),
        (
            "GET",
            "/api/v1/users",
            vec![orders],
            b"",
            (403, Some("key:orders"), None),
        ),
        (
            "GET",
            "/api/v1/explain?user=alice&destination=%2Fqueue%2Fnews",
            vec![orders],
            b"",
            (403, Some("key:orders"), Some("/queue/news")),
        ),
        (
            "POST",
            "/api/v1/broadcast?destination=/queue/%1b%5Bnews",
            vec![],
            b"",
            (401, None, Some("/queue/\\u{1b}[news")),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        herald.request(method, path, &headers, body).await;
        let line = line(&herald, REQUEST, number).await;
        let said = (
            &line["status"],
            line["caller"].as_str(),
            line["destination"].as_str(),
        );
        assert_eq!(said, (&Value::from(expected.0), expected.1, expected.2), "{line}");
        assert_eq!(
            (&line["address"], &line["left_out"]),
            (&"127.0.0.1".into(), &0.into())
        );
        assert!(!line.to_string().contains("s3cret"), "{line}");
    }
    let metrics = herald.request("GET", "/metrics", &[ADMIN], b"").await.text();
    for counted in [
        r#"{key="orders",result="refused"} 4"#,
        r#"{key="unknown",result="refused"} 1"#,
    ] {
        assert!(
            metrics.contains(&format!("\nherald_api_key_requests_total{counted}\n")),
            "{counted}: {metrics}"
        );
    }
}

#[tokio::test]
async fn a_flood_of_refusals_is_a_few_lines() {
    const FLOOD: usize = 200;
    let (herald, _folder) = start("flood").await;
    let begun = std::time::Instant::now();
    for _ in 0..FLOOD {
        assert_eq!(
            herald
                .request("POST", "/api/v1/broadcast/queue/x", &[], b"")
                .await
                .status,
            401
        );
    }
    let seconds = begun.elapsed().as_secs() as usize;
    // Ten in each second that has begun.
    let most = 10 * (seconds + 2);
    let lines = herald.lines_with(REQUEST).len();
    assert!(0 < lines && lines <= most, "{lines} in {seconds} s");
}

#[tokio::test]
async fn frames_are_refused_with_who_and_where() {
    let herald = Herald::start("frames", &Launch::demo()).await;
    for (number, (command, destination, body, shown)) in [
        ("SUBSCRIBE", "/app/x", &b""[..], "/app/x"),
        ("SEND", "/queue/news", b"s3cret", "/queue/news"),
        ("SUBSCRIBE", "/queue/\u{202e}x", b"", "/queue/\\u{202e}x"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut browser = Browser::connect(herald.address, "test1").await;
        let headers = [("destination", destination), ("id", "1")];
        browser.frame(command, &headers, body).await;
        assert_eq!(browser.end().await.code, 1008);
        let line = line(&herald, FRAME, number).await;
        assert_eq!(
            (&line["user"], &line["address"], &line["reason"]),
            (&"test1".into(), &"127.0.0.1".into(), &"forbidden".into()),
            "{line}"
        );
        assert_eq!(line["destination"], shown, "{line}");
        let detail = line["detail"].as_str().unwrap();
        assert!(detail.contains(command), "{detail}");
        assert!(!line.to_string().contains("s3cret"), "{line}");
    }
}
