//! What one instance or a plain NATS client publishes reaches the browsers of all instances, each once, unchanged.

use crate::support::cluster::Cluster;
use crate::support::cluster_client::{Browser, Frame};
use crate::support::nats;

const JSON: &str = "application/json";

/// A session at each instance that subscribes to `destination`.
async fn one_each(cluster: &Cluster, user: &str, destination: &str) -> Vec<Browser> {
    let mut browsers = Vec::new();
    for herald in &cluster.instances {
        let mut browser = Browser::connect(herald.address, user).await;
        browser.subscribe(destination).await;
        browsers.push(browser);
    }
    browsers
}

async fn bodies(browser: &mut Browser, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        bodies.push(browser.next().await.text());
    }
    bodies
}

#[tokio::test]
async fn a_backend_needs_nothing_of_heralds() {
    let cluster = Cluster::start(2).await;
    let mut all = one_each(&cluster, "test1", "/queue/x").await;
    let mut wanted = one_each(&cluster, "test2", "/user/queue/x").await;
    let mut others = one_each(&cluster, "test3", "/user/queue/x").await;
    let backend = async_nats::connect(cluster.nats.url()).await.unwrap();
    let say = async |subject: &'static str, body: &'static str| {
        backend.publish(subject, body.into()).await.unwrap();
    };
    say("herald.broadcast.queue.x", "to all").await;
    say("herald.user.test2.queue.x", "to test2").await;
    // Subjects in order: duplicates or strays would come before these.
    say("herald.broadcast.queue.x", "last").await;
    say("herald.user.test2.queue.x", "last").await;
    say("herald.user.test3.queue.x", "last").await;
    for browser in &mut all {
        assert_eq!(bodies(browser, 2).await, ["to all", "last"]);
    }
    for browser in &mut wanted {
        let first = browser.next().await;
        assert_eq!(first.text(), "to test2");
        assert_eq!(first.header("destination"), Some("/user/queue/x"));
        assert_eq!(first.header("content-type"), Some("text/plain;charset=UTF-8"));
        assert!(first.header("message-id").is_some() && first.header("timestamp").is_some());
        assert_eq!(browser.next().await.text(), "last");
    }
    for browser in &mut others {
        assert_eq!(bodies(browser, 1).await, ["last"]);
    }
}

#[tokio::test]
async fn rest_at_one_instance_reaches_the_sessions_of_all() {
    let cluster = Cluster::start(2).await;
    let mut all = one_each(&cluster, "test1", "/queue/x").await;
    let mut wanted = one_each(&cluster, "test2", "/user/queue/x").await;
    wanted.extend(one_each(&cluster, "test2", "/user/queue/x").await);
    let mut others = one_each(&cluster, "test3", "/user/queue/x").await;
    for (number, herald) in cluster.instances.iter().enumerate() {
        let broadcast = format!(r#"{{"destination":"/queue/x","payload":{number}}}"#);
        let users = format!(r#"{{"destination":"/queue/x","user":"test2","payload":{number}}}"#);
        for body in [broadcast, users] {
            let answer = herald.post("/api/v1/notifications", JSON, body).await;
            assert_eq!(answer.status, 202, "{}", answer.text());
        }
        let number = number.to_string();
        for browser in all.iter_mut().chain(&mut wanted) {
            assert_eq!(browser.next().await.text(), number);
        }
    }
    let herald = &cluster.instances[0];
    herald
        .post("/api/v1/users/test3/queue/x", "text/plain", "last")
        .await;
    for browser in &mut others {
        assert_eq!(bodies(browser, 1).await, ["last"]);
    }
    for browser in all.iter_mut().chain(&mut wanted) {
        assert_eq!(browser.waiting(), []);
    }
}

/// A header's name and value of every kind that NATS can and cannot carry.
const HEADERS: [(&str, &str); 6] = [
    ("kind", "order"),
    ("lines", "one\ntwo\r\nthree"),
    ("umlaut", "größer: \\ 🦀"),
    ("größe", "XL"),
    ("blanks", "  around  "),
    ("empty", ""),
];

fn assert_headers(frame: &Frame, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(frame.header(name), Some(*value), "{name} of {frame:?}");
    }
}

#[tokio::test]
async fn headers_and_bytes_survive_the_way() {
    let cluster = Cluster::start(2).await;
    let (here, there) = (&cluster.instances[0], &cluster.instances[1]);
    let mut browser = Browser::connect(there.address, "test1").await;
    browser.subscribe("/queue/x").await;
    browser.subscribe("/user/queue/x").await;

    let headers: serde_json::Map<_, _> = HEADERS
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).into()))
        .collect();
    let body = serde_json::json!({"destination": "/queue/x", "payload": {"a": "ü\n"}, "headers": headers, "id": "order-7"});
    let answer = here.post("/api/v1/notifications", JSON, body.to_string()).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let frame = browser.next().await;
    assert_headers(&frame, &HEADERS);
    assert_headers(&frame, &[("message-id", "order-7"), ("content-type", JSON)]);
    assert_eq!(frame.text(), r#"{"a":"ü\n"}"#);

    let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    for path in ["/api/v1/broadcast/queue/x", "/api/v1/users/test1/queue/x"] {
        let answer = here.post(path, "image/png", &bytes).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let frame = browser.next().await;
        assert!(frame.is_binary && frame.body == bytes, "{path}");
        assert_headers(&frame, &[("content-type", "image/png")]);
    }

    let backend = async_nats::connect(cluster.nats.url()).await.unwrap();
    let headers = nats::headers(&[
        ("currency", "€"),
        ("Authorization", "not for browsers"),
        ("Herald-Headers", r#"{"note":"two\nlines"}"#),
    ]);
    backend
        .publish_with_headers("herald.broadcast.queue.x", headers, bytes.clone().into())
        .await
        .unwrap();
    let frame = browser.next().await;
    assert!(frame.is_binary && frame.body == bytes);
    assert_headers(&frame, &[("currency", "€"), ("note", "two\nlines")]);
    assert_headers(&frame, &[("content-type", "application/octet-stream")]);
    let secret = frame.headers.iter().any(|(_, value)| value == "not for browsers");
    assert!(!secret, "{frame:?}");
}
