//! The promise: bodies of up to 8,000 KiB are delivered whole in every way, if `limits.body_bytes` permits them: over
//! REST, by SEND, in a transaction and directly from NATS, to sessions of every instance. One byte more is refused with
//! the name of the limit. Runs the built program.

use std::fmt::Write as _;

use serde_json::json;

use crate::support::cluster::{admin, admin_key, until};
use crate::support::cluster_client::Browser;
use crate::support::nats::NatsServer;
use crate::support::process::{Herald, Launch};

const MOST: usize = 8_000 << 10;

/// Text of `bytes` bytes that tells where it is from, and in which no two pieces are alike.
fn body(from: &str, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 16);
    text.push_str(from);
    for number in 0.. {
        if text.len() >= bytes {
            break;
        }
        write!(text, " {number}").unwrap();
    }
    text.truncate(bytes);
    text
}

/// An instance with room for such bodies, at this NATS server or without one.
async fn herald(name: &str, nats: Option<&NatsServer>, more: &[(&str, &str)]) -> (tempfile::TempDir, Herald) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("herald.toml");
    let mut text = admin_key();
    write!(
        text,
        "[[permissions.send]]\ndestination = \"/queue/**\"\nroles = [\"ROLE_USER\"]\n"
    )
    .unwrap();
    std::fs::write(&path, text).unwrap();
    let mut launch = Launch::demo()
        .argument("--config")
        .argument(path.to_str().unwrap())
        .set("HERALD_LIMITS__BODY_BYTES", "8000KiB")
        .set("HERALD_LIMITS__OUTBOX_BYTES", "32MiB")
        .set("HERALD_LIMITS__TRANSACTION_BYTES", "32MiB")
        // A few such bodies in a row.
        .set("HERALD_LIMITS__SEND_BYTES_PER_SESSION", "off")
        .set("HERALD_LIMITS__SEND_BYTES_PER_USER", "off");
    if let Some(nats) = nats {
        launch = launch.set("HERALD_BUS__URL", &nats.url());
    }
    for (name, value) in more {
        launch = launch.set(name, value);
    }
    (folder, Herald::start(name, &launch).await)
}

/// Every listener has got `expected`, byte for byte.
async fn arrived(listening: &mut [Browser], expected: &str) {
    for browser in listening {
        let message = browser.next_on("/queue/large").await;
        assert_eq!(message.body.len(), expected.len());
        assert!(message.body == expected.as_bytes(), "{:?}", &expected[..16]);
    }
}

/// Sends by REST and by SEND at the first instance.
async fn every_way(heralds: &[&Herald]) -> Vec<Browser> {
    let here = heralds[0];
    let mut listening = Vec::new();
    for herald in heralds {
        let mut browser = Browser::connect(herald.address, "test2").await;
        browser.subscribe("/queue/large").await;
        listening.push(browser);
    }
    let raw = body("raw", MOST);
    let answer = here
        .post("/api/v1/broadcast/queue/large", "text/plain", &raw)
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    arrived(&mut listening, &raw).await;

    // The payload's JSON text is the body: quotes included.
    let text = body("json", MOST - 2);
    let notification = json!({"destination": "/queue/large", "payload": text}).to_string();
    let answer = here
        .post("/api/v1/notifications", "application/json", &notification)
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    arrived(&mut listening, &json!(text).to_string()).await;

    let mut sender = Browser::connect(here.address, "test1").await;
    let to = [("destination", "/queue/large")];
    let sent = body("sent", MOST);
    sender.with_receipt("SEND", &to, sent.as_bytes()).await;
    arrived(&mut listening, &sent).await;

    sender.frame("BEGIN", &[("transaction", "t")], b"").await;
    let held = [body("one", MOST), body("two", MOST)];
    for text in &held {
        let headers = [to[0], ("transaction", "t")];
        sender.with_receipt("SEND", &headers, text.as_bytes()).await;
    }
    sender.with_receipt("COMMIT", &[("transaction", "t")], b"").await;
    for text in &held {
        arrived(&mut listening, text).await;
    }

    // A byte more.
    let notification = json!({"destination": "/queue/large", "payload": body("json", MOST - 1)}).to_string();
    let answer = here
        .post("/api/v1/notifications", "application/json", &notification)
        .await;
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert_eq!(answer.json()["limit"], "limits.body_bytes", "{}", answer.text());
    sender.send("/queue/large", &[], body("sent", MOST + 1)).await;
    let end = sender.end().await;
    assert_eq!(end.code, 1009, "{end:?}");
    assert!(end.error().unwrap().contains("limits.body_bytes"), "{end:?}");
    listening
}

#[tokio::test]
async fn within_one_instance() {
    let (_folder, herald) = herald("alone", None, &[]).await;
    every_way(&[&herald]).await;
}

#[tokio::test]
async fn between_instances_and_straight_from_nats() {
    let nats = NatsServer::start_with("max_payload: 8MB\n");
    let (_one, here) = herald("here", Some(&nats), &[]).await;
    let (_two, there) = herald("there", Some(&nats), &[]).await;
    let mut listening = every_way(&[&here, &there]).await;
    let client = async_nats::connect(nats.url()).await.unwrap();
    let publish = async |text: &str| {
        let subject = "herald.broadcast.queue.large";
        client.publish(subject, text.to_owned().into()).await.unwrap();
        client.flush().await.unwrap();
    };
    publish(&body("more", MOST + 1)).await;
    let straight = body("straight", MOST);
    publish(&straight).await;
    arrived(&mut listening, &straight).await;
    for herald in [&here, &there] {
        let metrics = admin(herald, "GET", "/metrics").await.text();
        assert!(
            metrics.contains("herald_bus_undeliverable_total 1\n"),
            "{metrics}"
        );
    }
}

/// What else bounds a body is said at the start, and to whoever sends one.
#[tokio::test]
async fn a_nats_server_that_lets_less_pass_is_named() {
    let nats = NatsServer::start_with("max_payload: 2MB\n");
    let (_folder, herald) = herald(
        "small",
        Some(&nats),
        &[("HERALD_HTTP__MAX_REQUEST_BYTES", "4MiB")],
    )
    .await;
    until("the warning", async || {
        let said = |words| !herald.lines_with(words).is_empty();
        said("http.max_request_bytes") && said("lets bodies of at most 2080768 bytes pass")
    })
    .await;
    let notification = json!({"destination": "/queue/large", "payload": body("json", 3 << 20)}).to_string();
    let answer = herald
        .post("/api/v1/notifications", "application/json", &notification)
        .await;
    assert_eq!(answer.status, 413, "{}", answer.text());
    let limit = "max_payload of the NATS server";
    assert_eq!(answer.json()["limit"], limit, "{}", answer.text());
    let mut sender = Browser::connect(herald.address, "test1").await;
    sender.send("/queue/large", &[], body("sent", 3 << 20)).await;
    let end = sender.end().await;
    assert_eq!(end.code, 1009, "{end:?}");
    assert!(end.error().unwrap().contains(limit), "{end:?}");
}
