//! The promise: whichever instance is asked answers for the whole cluster, and names those that are silent. The log
//! level changes on one instance or on all, and returns to the configured one by itself.

use serde_json::{Value, json};

use crate::support::cluster::{ADMIN, Cluster, admin, until};
use crate::support::cluster_client::Browser;
use crate::support::process::Herald;

async fn explain(herald: &Herald, query: &str) -> Value {
    let answer = admin(herald, "GET", &format!("/api/v1/explain?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn every_instance_explains_the_whole_cluster() {
    let cluster = Cluster::start(2).await;
    let [first, second] = &cluster.instances[..] else {
        panic!("two instances")
    };
    let mut here = Browser::connect(first.address, "test1").await;
    here.subscribe("/queue/a").await;
    let mut there = Browser::connect(second.address, "test2").await;
    there.subscribe("/queue/a").await;
    there.subscribe("/user/queue/b").await;
    for herald in [first, second] {
        let explanation = explain(herald, "destination=/queue/a").await;
        let mut reached: Vec<[&str; 2]> = explanation["reached"]
            .as_array()
            .unwrap()
            .iter()
            .map(|session| ["user", "instance"].map(|key| session[key].as_str().unwrap()))
            .collect();
        reached.sort_unstable();
        assert_eq!(reached, [["test1", "i0"], ["test2", "i1"]]);
        let explanation = explain(herald, "destination=/queue/b&user=test2").await;
        assert_eq!(explanation["reached_count"], 1);
        assert_eq!(explanation["reached"][0]["instance"], "i1");

        // What a session may is explained by the instance that holds it.
        for browser in [&here, &there] {
            let session = browser.connected.header("session").unwrap();
            let ask = async |action: &str, session: &str| {
                let query = format!("action={action}&destination=/queue/a&session={session}");
                admin(herald, "GET", &format!("/api/v1/explain/permission?{query}")).await
            };
            let answer = ask("subscribe", session).await;
            let decision = answer.json();
            assert_eq!(
                (&decision["permitted"], &decision["action"]),
                (&json!(true), &json!("SUBSCRIBE")),
                "{}",
                answer.text()
            );
            assert_eq!(ask("send", session).await.json()["permitted"], false);
            assert_eq!(ask("send", "01JDEXAMPRE0000000000000AA").await.status, 404);
            assert_eq!(ask("send", "x").await.status, 400);
        }

        let answer = admin(herald, "GET", "/api/v1/instances").await.json();
        let list = answer["instances"].as_array().unwrap();
        let seen: Vec<Value> = list
            .iter()
            .map(|instance| json!([instance["name"], instance["sessions"], instance["subscriptions"]]))
            .collect();
        assert_eq!(seen, [json!(["i0", 1, 1]), json!(["i1", 1, 2])]);
        let own: Vec<&str> = list
            .iter()
            .filter(|instance| instance["own"] == true)
            .filter_map(|instance| instance["name"].as_str())
            .collect();
        assert_eq!(own, [herald.name.as_str()]);
    }
    second.pause().await;
    let explanation = explain(first, "destination=/queue/a").await;
    assert_eq!(explanation["silent"], json!(["i1"]));
    assert_eq!(explanation["reached_count"], 1);
    second.signal("CONT");
}

/// A round trip is a question over NATS: both kinds are measured as soon as the instances know each other.
#[tokio::test]
async fn round_trips_are_measured_and_offline_users_counted_once() {
    let cluster = Cluster::start(2).await;
    let value = async |herald: &Herald, series: &str| -> f64 {
        let text = admin(herald, "GET", "/metrics").await.text();
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.unwrap_or_else(|| panic!("{series}: {text}"))
            .trim()
            .parse()
            .unwrap()
    };
    for herald in &cluster.instances {
        until("a round trip to itself", async || {
            value(
                herald,
                "herald_bus_round_trip_duration_seconds_count{peer=\"own\"}",
            )
            .await
                > 0.0
        })
        .await;
    }
    let body = r#"{"destination":"/queue/a","user":"nobody","payload":1}"#;
    for herald in &cluster.instances {
        let answer = herald
            .post("/api/v1/notifications", "application/json", body)
            .await;
        assert_eq!(answer.status, 202);
    }
    until("both are counted", async || {
        let mut sum = 0.0;
        for herald in &cluster.instances {
            sum += value(herald, "herald_deliveries_total{outcome=\"offline\"}").await;
        }
        sum == 2.0
    })
    .await;
}

async fn level(herald: &Herald) -> Value {
    admin(herald, "GET", "/api/v1/debug/log").await.json()["level"].clone()
}

async fn set(herald: &Herald, body: &str) -> u16 {
    let headers = [ADMIN, ("Content-Type", "application/json")];
    let answer = herald
        .request("PUT", "/api/v1/debug/log", &headers, body.as_bytes())
        .await;
    answer.status
}

#[tokio::test]
async fn the_logs_level_is_changed_for_a_time_on_one_instance_or_on_all() {
    let cluster = Cluster::start(2).await;
    let [first, second] = &cluster.instances[..] else {
        panic!("two instances")
    };
    assert_eq!(level(first).await, "info");
    assert_eq!(set(first, r#"{"level":"debug","for":"1h"}"#).await, 200);
    assert_eq!(
        (level(first).await, level(second).await),
        (json!("debug"), json!("info"))
    );
    let all = r#"{"level":"herald=trace,warn","for":"1s","instances":"all"}"#;
    assert_eq!(set(first, all).await, 202);
    until("both say more", async || {
        level(first).await == "herald=trace,warn" && level(second).await == "herald=trace,warn"
    })
    .await;
    second.logged("request answered").await;
    // The hour of the earlier change is over as well: the later change replaced it.
    for herald in [first, second] {
        herald.logged("the configured one again").await;
        assert_eq!(level(herald).await, "info");
    }
    for body in [
        r#"{"level":"inof"}"#,
        r#"{"level":"info,async_nats=trace"}"#,
        r#"{"level":"debug","for":"25h"}"#,
        r#"{"level":"debug","for":"soon"}"#,
        r#"{"level":"debug","instances":"some"}"#,
        r#"{}"#,
        "x",
    ] {
        assert_eq!(set(first, body).await, 400, "{body}");
    }
    assert_eq!(level(first).await, "info");
}

/// Whoever floods is named, also below all limits, whichever instance is asked.
#[tokio::test]
async fn who_sends_most_is_named_by_every_instance() {
    let cluster = Cluster::start(2).await;
    let [first, second] = &cluster.instances[..] else {
        panic!("two instances")
    };
    let mut quiet = Browser::connect(first.address, "test1").await;
    let mut loud = Browser::connect(second.address, "test2").await;
    let _silent = Browser::connect(first.address, "test3").await;
    let message = [("destination", "/app/message")];
    quiet
        .with_receipt(
            "SEND",
            &message,
            format!(r#"{{"message":"{}"}}"#, "x".repeat(4_000)).as_bytes(),
        )
        .await;
    for _ in 0..5 {
        loud.with_receipt("SEND", &message, br#"{"message":"x"}"#).await;
    }
    for herald in [first, second] {
        let senders = async |query: &str| {
            let answer = admin(herald, "GET", &format!("/api/v1/senders{query}")).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let answer = answer.json();
            assert_eq!(answer["silent"], json!([]));
            let of = |sender: &Value| {
                assert_eq!(
                    sender["sent"]["frames"], sender["sent"]["recent_frames"],
                    "{sender}"
                );
                json!([sender["user"], sender["instance"], sender["sent"]["frames"]])
            };
            Value::from_iter(answer["senders"].as_array().unwrap().iter().map(of))
        };
        let (loud, quiet) = (json!(["test2", "i1", 5]), json!(["test1", "i0", 1]));
        assert_eq!(senders("").await, json!([loud, quiet]));
        assert_eq!(senders("?by=bytes").await, json!([quiet, loud]));
        assert_eq!(senders("?top=1&by=frames").await, json!([loud]));
        let user = admin(herald, "GET", "/api/v1/users/test1").await.json();
        let sent = &user["sessions"][0]["sent"];
        assert_eq!(sent["frames"], 1, "{user}");
        assert!(sent["bytes"].as_u64().unwrap() > 4_000, "{user}");
        for wrong in ["?top=0", "?top=101", "?by=x", "?limit=1"] {
            let path = format!("/api/v1/senders{wrong}");
            assert_eq!(admin(herald, "GET", &path).await.status, 400, "{wrong}");
        }
    }
}

/// Somebody who is never there for long has no session to be listed, and is named all the same.
#[tokio::test]
async fn who_reconnects_after_every_few_sends_is_named_too() {
    let cluster = Cluster::start(2).await;
    let message = [("destination", "/app/message")];
    for round in 0..6 {
        let herald = &cluster.instances[round % 2];
        let mut flooder = Browser::connect(herald.address, "test2").await;
        for _ in 0..2 {
            flooder
                .with_receipt("SEND", &message, br#"{"message":"x"}"#)
                .await;
        }
    }
    let mut quiet = Browser::connect(cluster.instances[0].address, "test1").await;
    quiet.with_receipt("SEND", &message, br#"{"message":"x"}"#).await;
    for herald in &cluster.instances {
        until("the ended sessions are summed", async || {
            let answer = admin(herald, "GET", "/api/v1/senders").await.json();
            let senders = answer["senders"].as_array().unwrap();
            let of = |user: &Value| {
                json!([
                    user["user"],
                    user["sessions"],
                    user["ended"],
                    user["sent"]["frames"],
                    user["instances"]
                ])
            };
            let users: Vec<_> = answer["users"].as_array().unwrap().iter().map(of).collect();
            let expected = [
                json!(["test2", 0, 6, 12, ["i0", "i1"]]),
                json!(["test1", 1, 0, 1, ["i0"]]),
            ];
            senders.len() == 1 && users == expected
        })
        .await;
    }
}
