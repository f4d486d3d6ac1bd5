//! The promise: a JetStream that cannot keep history as required is reported in `/readyz`, it blocks no session, and an
//! unreadable message makes nobody wait.

use std::time::Duration;

use serde_json::{Value, json};

use super::{NEWS, attempt, bodies, has_metric, herald, herald_at, publish, subscribe, until_said};
use crate::support::cluster::{admin, until};
use crate::support::cluster_client::Browser;
use crate::support::cut::Proxy;
use crate::support::nats::{NatsServer, RawPublisher};
use crate::support::within;

/// Asks JetStream as an operator would.
pub(super) async fn ask(nats: &NatsServer, subject: &'static str, question: Value) -> Value {
    let options = async_nats::ConnectOptions::with_user_and_password("herald".into(), "h".into());
    let client = options.connect(nats.url()).await.unwrap();
    let answer = within(
        "JetStream's answer",
        client.request(subject, question.to_string().into()),
    )
    .await;
    let answer: Value = serde_json::from_slice(&answer.unwrap().payload).unwrap();
    assert_eq!(answer.get("error"), None, "{answer}");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_jetstream_an_instance_says_so_and_sends_its_sessions_away() {
    let nats = NatsServer::start();
    let (herald, _folder) = herald(&nats, "broadcast = [\"/queue\"]").await;
    assert_eq!(until_said(&herald, "JetStream does not answer").await, 503);
    herald.logged("JetStream does not answer").await;
    // Nothing is taken from a publisher that would not be stored.
    assert_eq!(attempt(&herald, None, NEWS, "x").await.status, 503);
    // Nor as a whole: nobody knows yet whether the stream takes batches, so this passes too.
    let batch = json!([{"destination": NEWS, "payload": "x"}]).to_string();
    let route = "/api/v1/notifications?atomic=true";
    assert_eq!(herald.post(route, "application/json", batch).await.status, 503);
    let mut browser = Browser::connect(herald.address, "test1").await;
    let headers = [("id", "0"), ("destination", NEWS)];
    browser.frame("SUBSCRIBE", &headers, b"").await;
    let end = browser.end().await;
    let words = "SUBSCRIBE: history cannot be read now, reconnect";
    assert_eq!((end.code, end.error()), (1013, Some(words)), "{end:?}");
    // What is not kept is as ever.
    let mut browser = Browser::connect(herald.address, "test1").await;
    subscribe(&mut browser, "/topic/other", None).await;
    assert_eq!(attempt(&herald, None, "/topic/other", "here").await.status, 202);
    assert_eq!(bodies(&mut browser, "/topic/other", 1).await, ["here"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_somebody_elses_making_is_compared() {
    let nats = NatsServer::start_with_jetstream("");
    // It keeps the subjects, but for a shorter time, and less.
    let stream = json!({
        "name": "HERALD_BROADCAST", "subjects": ["herald.broadcast.queue.>", "herald.broadcast.topic.>"],
        "storage": "file", "allow_direct": true, "deny_delete": true, "discard": "old", "retention": "limits",
        "max_age": 60_000_000_000_u64, "max_bytes": 1_000_000, "duplicate_window": 60_000_000_000_u64,
    });
    ask(&nats, "$JS.API.STREAM.CREATE.HERALD_BROADCAST", stream).await;
    let (fits, _folder) = herald(&nats, "manage = false\nuser = false").await;
    fits.until_ready().await;
    assert!(has_metric(&fits, "herald_history_config_drift 1").await);
    // A warning: the instance is ready.
    assert_eq!(until_said(&fits, "HERALD_BROADCAST has max_age").await, 200);
    publish(&fits, None, NEWS, "kept").await;
    // Where the configuration also keeps users' notifications, there is no stream for them, and this one may not make it.
    let (lacks, _folder) = herald(&nats, "manage = false").await;
    assert_eq!(until_said(&lacks, "HERALD_USER").await, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_without_a_prefix_is_not_enough() {
    let nats = NatsServer::start_with_jetstream("");
    let stream = json!({
        "name": "HERALD_BROADCAST", "subjects": ["herald.broadcast.queue.>"], "storage": "file",
        "allow_direct": true, "deny_delete": true,
    });
    ask(&nats, "$JS.API.STREAM.CREATE.HERALD_BROADCAST", stream).await;
    let (first, _folder) = herald(&nats, "manage = false\nuser = false").await;
    assert_eq!(until_said(&first, "herald.broadcast.topic.>").await, 503);
    // Who may change it does, and then all is well.
    let (second, _folder) = herald(&nats, "user = false").await;
    second.until_ready().await;
    first.until_ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_passed_and_counted_once() {
    let nats = NatsServer::start_with_jetstream("");
    let way = Proxy::to(([127, 0, 0, 1], nats.port()).into()).await;
    let (herald, _folder) = herald_at(&format!("nats://{}", way.address()), "tail_bytes = \"1MiB\"").await;
    herald.until_ready().await;
    let mut browser = Browser::connect(herald.address, "test1").await;
    let begin = super::position(&subscribe(&mut browser, NEWS, None).await);
    let mut raw = RawPublisher::connect(&nats).await;
    // Not canonical.
    raw.publish(b"herald.broadcast.queue.%6eews", b"", b"undeliverable")
        .await;
    for headers in [&b"NATS/1.0\r\nno colon here\r\n\r\n"[..], b"NATS/1.0\r\nA: b\r\n"] {
        raw.publish(b"herald.broadcast.queue.news", headers, b"malformed")
            .await;
    }
    let counted = async || {
        let metrics = admin(&herald, "GET", "/metrics").await.text();
        let value = |name: &str| -> u64 {
            let found = metrics.lines().find_map(|line| line.strip_prefix(name));
            found
                .and_then(|value| value.trim().parse().ok())
                .unwrap_or_default()
        };
        (
            value("herald_bus_undeliverable_total "),
            value("herald_bus_reconnects_total "),
        )
    };
    until("they are counted", async || counted().await.0 >= 3).await;
    // The last of them is where a reader begins again after each reconnect.
    for reconnects in 1..=3 {
        way.cut().await;
        way.mend();
        until("it is back", async || counted().await.1 >= reconnects).await;
        herald.until_ready().await;
    }
    let good = publish(&herald, None, NEWS, "good").await;
    assert_eq!(bodies(&mut browser, NEWS, 1).await, ["good"]);
    assert!(good.ends_with("-4"), "{good}: all of them are stored");
    let mut late = Browser::connect(herald.address, "test1").await;
    let receipt = subscribe(&mut late, NEWS, Some(&begin)).await;
    assert_eq!(super::outcome(&receipt), (Some("true"), Some("1")));
    assert_eq!(bodies(&mut late, NEWS, 1).await, ["good"]);
    // Behind more than its memory holds they are read from the stream, and passed there, too.
    let filler = "x".repeat(100_000);
    for _ in 0..12 {
        publish(&herald, None, "/queue/others", &filler).await;
    }
    let mut late = Browser::connect(herald.address, "test1").await;
    let receipt = subscribe(&mut late, NEWS, Some(&begin)).await;
    assert_eq!(super::outcome(&receipt), (Some("true"), Some("1")));
    assert_eq!(counted().await.0, 3);
    assert!(has_metric(&herald, "herald_history_broken_total 0").await);
    assert!(has_metric(&herald, "herald_history_resets_total{cause=\"gap\"} 0").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_stream_is_said_and_nothing_is_stored() {
    let nats = NatsServer::start_with_jetstream("");
    let (herald, _folder) = herald(&nats, "user = false").await;
    herald.until_ready().await;
    let mut browser = Browser::connect(herald.address, "test1").await;
    subscribe(&mut browser, NEWS, None).await;
    publish(&herald, None, NEWS, "first").await;
    assert_eq!(bodies(&mut browser, NEWS, 1).await, ["first"]);
    // An operator makes it refuse what does not fit.
    let info = ask(&nats, "$JS.API.STREAM.INFO.HERALD_BROADCAST", Value::Null).await;
    let mut config = info["config"].clone();
    (config["discard"], config["max_msgs"]) = ("new".into(), 1.into());
    ask(&nats, "$JS.API.STREAM.UPDATE.HERALD_BROADCAST", config).await;
    let answer = attempt(&herald, None, NEWS, "second").await;
    assert_eq!(answer.status, 507, "{}", answer.text());
    assert_eq!(answer.json()["type"], "urn:herald:problem:history-full");
    assert_eq!(browser.event_within(Duration::from_millis(200)).await, None);
}
