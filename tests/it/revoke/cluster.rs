//! The promise: a revocation applies in the whole cluster, whichever instance was told, and so does its end.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::cluster::{ADMIN, Cluster, admin, until};
use crate::support::cluster_client::{Browser, End};
use crate::support::process::Herald;

/// Longer than a busy machine takes; without the message, the instances would only learn of it when they next compare their
/// digests, which they do every 30 s. How long it takes is measured by `herald-bench identity --only revoke`.
const AT_ONCE: Duration = Duration::from_secs(10);
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Blocks `user`, and gives the id.
pub(super) async fn block(herald: &Herald, user: &str) -> String {
    let body = json!({"user": user, "block": true, "for": "1h"}).to_string();
    let answer = herald
        .request("POST", super::PATH, &[ADMIN, JSON], body.as_bytes())
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// Whether it ended as one that was revoked.
pub(super) fn is_revoked(end: &End) -> bool {
    let error = end.frames.iter().find(|frame| frame.command == "ERROR");
    end.code == 4401 && error.is_some_and(|error| error.header("herald-reason") == Some("revoked"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_holds_on_every_instance() {
    let cluster = Cluster::start(3).await;
    let mut sessions = Vec::new();
    for herald in &cluster.instances {
        sessions.push(Browser::connect(herald.address, "test1").await);
    }
    let mut other = Browser::connect(cluster.instances[2].address, "test2").await;
    let began = Instant::now();
    let id = block(&cluster.instances[0], "test1").await;
    for session in &mut sessions {
        let end = session.end().await;
        assert!(is_revoked(&end), "{end:?}");
    }
    let took = began.elapsed();
    assert!(took < AT_ONCE, "{took:?}");
    for herald in &cluster.instances {
        let refused = Browser::attempt(herald.address, "test1", "test").await;
        assert!(is_revoked(&refused.err().unwrap()));
        let listed = admin(herald, "GET", super::PATH).await.json();
        assert_eq!(listed["revocations"][0]["id"], json!(id));
    }
    other.subscribe("/queue/still").await;
    let lifted = admin(&cluster.instances[1], "DELETE", &format!("{}/{id}", super::PATH)).await;
    assert_eq!(lifted.status, 202);
    for herald in &cluster.instances {
        until("it is lifted everywhere", async || {
            Browser::attempt(herald.address, "test1", "test").await.is_ok()
        })
        .await;
    }
}
