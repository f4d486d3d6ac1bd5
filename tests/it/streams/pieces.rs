//! The promise: a replay that is larger than the outbox arrives whole and in order from the stream and from the memory,
//! and each MESSAGE is counted by its source.

use serde_json::json;

use super::{NEWS, bodies, has_metric, outcome, position, publish, subscribe};
use crate::support::cluster::Cluster;
use crate::support::cluster_client::Browser;
use crate::support::process::Herald;

/// Publishes these numbers on [`NEWS`], each with 2,000 bytes more.
async fn publish_numbers(herald: &Herald, numbers: std::ops::Range<usize>) {
    let filling = "x".repeat(2_000);
    let all: Vec<_> = numbers
        .map(|number| json!({"destination": NEWS, "payload": format!("{number} {filling}")}))
        .collect();
    let body = json!(all).to_string();
    let answer = herald
        .post("/api/v1/notifications", "application/json", body)
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_replay_goes_on_from_the_stream_into_the_memory() {
    let settings = [
        ("HERALD_HISTORY__TAIL_BYTES", "1MiB"),
        ("HERALD_LIMITS__OUTBOX_BYTES", "64KiB"),
    ];
    let cluster = Cluster::start_keeping(1, &settings).await;
    let herald = &cluster.instances[0];
    let mut before = Browser::connect(herald.address, "test1").await;
    let from = position(&subscribe(&mut before, NEWS, None).await);
    drop(before);
    let mut watcher = Browser::connect(herald.address, "test2").await;
    subscribe(&mut watcher, "/queue/marks", None).await;
    publish_numbers(herald, 0..60).await;
    // More than its memory holds, so that it forgets all of that.
    let filler = "x".repeat(100_000);
    for _ in 0..12 {
        publish(herald, None, "/queue/others", &filler).await;
    }
    publish_numbers(herald, 60..100).await;
    // A publish is answered once it is stored; the instance reads it a little later.
    publish(herald, None, "/queue/marks", "read").await;
    assert_eq!(bodies(&mut watcher, "/queue/marks", 1).await, ["read"]);
    let mut browser = Browser::connect(herald.address, "test1").await;
    let receipt = subscribe(&mut browser, NEWS, Some(&from)).await;
    assert_eq!(outcome(&receipt), (Some("true"), Some("100")));
    for (number, body) in bodies(&mut browser, NEWS, 100).await.iter().enumerate() {
        assert!(body.starts_with(&format!("{number} x")), "{number}: {body:.20}");
    }
    assert!(has_metric(herald, "herald_replayed_total{source=\"stream\"} 60").await);
    assert!(has_metric(herald, "herald_replayed_total{source=\"tail\"} 40").await);
    publish(herald, None, NEWS, "live").await;
    assert_eq!(bodies(&mut browser, NEWS, 1).await, ["live"]);
}
