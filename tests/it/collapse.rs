//! The promise: a collapse key belongs to its kind of publisher. Nothing that a client sends replaces what a backend
//! has published, over REST or directly to NATS, whatever instance it is sent to. Runs the built program.

use std::fmt::Write as _;

use serde_json::json;

use crate::support::cluster::{admin_key, until};
use crate::support::cluster_client::Browser;
use crate::support::nats::{NatsServer, headers};
use crate::support::process::{Herald, Launch};

const JSON: &str = "application/json";

#[tokio::test]
async fn a_client_replaces_a_clients_messages_and_no_backends() {
    let nats = NatsServer::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("herald.toml");
    let mut text = admin_key();
    write!(
        text,
        "[[permissions.send]]\ndestination = \"/user/queue/**\"\nroles = [\"ROLE_USER\"]\n"
    )
    .unwrap();
    std::fs::write(&path, text).unwrap();
    let launch = Launch::demo()
        .argument("--config")
        .argument(path.to_str().unwrap())
        .set("HERALD_BUS__URL", &nats.url());
    let here = Herald::start("here", &launch).await;
    let there = Herald::start("there", &launch).await;
    let raw = async_nats::connect(nats.url()).await.unwrap();

    // Each waits behind a window of one, at both instances.
    let mut waiting = Vec::new();
    for herald in [&here, &there] {
        let mut browser = Browser::connect(herald.address, "test1").await;
        let subscribe = [
            ("id", "s"),
            ("destination", "/user/queue/x"),
            ("ack", "client-individual"),
            ("prefetch", "1"),
        ];
        browser.with_receipt("SUBSCRIBE", &subscribe, b"").await;
        waiting.push((herald, browser));
    }
    let mut client = Browser::connect(here.address, "test1").await;
    let rest = async |payload: &str| {
        let body =
            json!({"destination": "/queue/x", "user": "test1", "payload": payload, "collapse": "price"});
        let answer = here.post("/api/v1/notifications", JSON, body.to_string()).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    };
    let send = async |client: &mut Browser, body: &str| {
        // Herald's own header cannot be brought along.
        let headers = [
            ("destination", "/user/queue/x"),
            ("herald-collapse", "price"),
            ("Herald-Publisher", "backend"),
        ];
        client.with_receipt("SEND", &headers, body.as_bytes()).await;
    };
    let publish = async |body: &'static str| {
        let headers = headers(&[("Herald-Collapse", "price")]);
        let subject = "herald.user.test1.queue.x";
        raw.publish_with_headers(subject, headers, body.into())
            .await
            .unwrap();
        raw.flush().await.unwrap();
    };
    rest("first").await;
    rest("old").await;
    // One connection's order is the bus's; what comes by another waits until this is here.
    let held = async |messages: u64| {
        for herald in [&here, &there] {
            until("the messages to wait", async || {
                let metrics = crate::support::cluster::admin(herald, "GET", "/metrics")
                    .await
                    .text();
                let count = |outcome: &str| {
                    let name = format!("herald_deliveries_total{{outcome=\"{outcome}\"}} ");
                    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
                    line.unwrap().parse::<u64>().unwrap()
                };
                count("queued") == messages
            })
            .await;
        }
    };
    held(1).await;
    send(&mut client, "forged").await;
    held(2).await;
    publish("straight").await;
    held(3).await;
    send(&mut client, "mine").await;
    held(4).await;
    for (herald, browser) in &mut waiting {
        let mut got = Vec::new();
        for _ in 0..3 {
            let message = browser.next_on("s").await;
            browser
                .frame("ACK", &[("id", message.header("ack").unwrap())], b"")
                .await;
            got.push(message.text());
        }
        assert_eq!(got, ["\"first\"", "straight", "mine"], "{}", herald.name);
    }
}
