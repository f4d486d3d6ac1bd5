//! History over NATS, in whole instances on a real server with JetStream.

use herald::envelope::Position;
use serde_json::{Value, json};

use crate::support::cluster::{admin, admin_key, until};
use crate::support::cluster_client::{Browser, Frame};
use crate::support::nats::NatsServer;
use crate::support::process::{Answer, Herald, Launch};

mod crowd;
mod doctor;
mod index;
mod keys;
mod permitted;
mod pieces;
mod refused;
mod resume;
mod rollback;
mod unfit;

/// A broadcast destination that is kept.
const NEWS: &str = "/queue/news";
/// A user destination that is kept.
const ORDERS: &str = "/user/queue/orders";

/// Subscribes, behind `after` if it is given, and gives the RECEIPT.
async fn subscribe(browser: &mut Browser, destination: &str, after: Option<&str>) -> Frame {
    let mut headers = vec![
        ("id", destination),
        ("destination", destination),
        ("receipt", "subscribed"),
    ];
    headers.extend(after.map(|after| ("last-message-id", after)));
    browser.frame("SUBSCRIBE", &headers, b"").await;
    let receipt = browser.next().await;
    assert_eq!(receipt.header("receipt-id"), Some("subscribed"), "{receipt:?}");
    receipt
}

/// `recovered`, and `replayed` or `reason`.
fn outcome(receipt: &Frame) -> (Option<&str>, Option<&str>) {
    let more = receipt.header("replayed").or_else(|| receipt.header("reason"));
    (receipt.header("recovered"), more)
}

fn position(frame: &Frame) -> String {
    let name = match &*frame.command {
        "RECEIPT" => "position",
        _ => "message-id",
    };
    let text = frame
        .header(name)
        .unwrap_or_else(|| panic!("no {name} in {frame:?}"));
    assert!(
        Position::parse(text).is_ok_and(|position| position.epoch > 0),
        "{text}"
    );
    text.to_owned()
}

async fn attempt(herald: &Herald, user: Option<&str>, destination: &str, body: &str) -> Answer {
    let mut object = json!({"destination": destination, "payload": body});
    if let Some(user) = user {
        object["user"] = user.into();
    }
    herald
        .post("/api/v1/notifications", "application/json", object.to_string())
        .await
}

/// Publishes, and gives the position.
async fn publish(herald: &Herald, user: Option<&str>, destination: &str, body: &str) -> String {
    let answer = attempt(herald, user, destination, body).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["position"].as_str().expect("a position").to_owned()
}

/// The bodies of the next MESSAGEs of `destination`, without the quotes of JSON.
async fn bodies(browser: &mut Browser, destination: &str, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        let body = browser.next_on(destination).await.json();
        bodies.push(body.as_str().expect("a text").to_owned());
    }
    bodies
}

/// Waits until `/readyz` has a line with these words, and gives the answer's status.
async fn until_said(herald: &Herald, words: &'static str) -> u16 {
    let mut status = 0;
    until(words, async || {
        let answer = herald.get("/readyz").await;
        status = answer.status;
        let trouble: Value = answer.json()["components"]["trouble"].clone();
        trouble.to_string().contains(words)
    })
    .await;
    status
}

/// An instance with history on `nats`, not yet ready; `history` are more lines of `[history]`.
async fn herald(nats: &NatsServer, history: &str) -> (Herald, tempfile::TempDir) {
    herald_at(&nats.url(), history).await
}

/// The same on what is at this address, as the user `herald` if there are users.
async fn herald_at(url: &str, history: &str) -> (Herald, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("herald.toml");
    std::fs::write(
        &file,
        format!("{}[history]\nenabled = true\n{history}", admin_key()),
    )
    .expect("the configuration");
    let launch = Launch::demo()
        .set("HERALD_BUS__URL", url)
        .set("HERALD_BUS__USER", "herald")
        .set("HERALD_BUS__PASSWORD", "h")
        .set("HERALD_CONFIG", &file.to_string_lossy());
    (Herald::start_unready("i0", &launch).await, folder)
}

/// Whether a metric has this value.
async fn has_metric(herald: &Herald, line: &str) -> bool {
    let metrics = admin(herald, "GET", "/metrics").await;
    metrics.text().lines().any(|found| found == line)
}
