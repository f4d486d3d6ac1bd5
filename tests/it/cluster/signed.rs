//! The promise: with a key that every instance has, nobody else on NATS can give orders to instances (docs/nats.md).
//! With whole instances; `tests/it/bus/seal.rs` tests the bus alone.

use serde_json::json;

use crate::support::cluster::{Cluster, admin, until, until_online};
use crate::support::cluster_client::Browser;

const SUBJECT: &str = "herald.control.all.sessions.disconnect";

const NO_KEY: &str = "bus.control_key_file is not set";

/// Two instances with one key.
async fn cluster(unsigned: &str) -> (Cluster, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "k".repeat(48)).expect("the key");
    let path = file.path().to_str().expect("UTF-8");
    let settings = [
        ("HERALD_BUS__CONTROL_KEY_FILE", path),
        ("HERALD_BUS__CONTROL_UNSIGNED", unsigned),
    ];
    (Cluster::start_with(2, &settings).await, file)
}

/// Whoever may publish on NATS, and no instance.
async fn forge(cluster: &Cluster) {
    let stranger = async_nats::connect(cluster.nats.url()).await.expect("NATS");
    let payload = json!({"user": "test1", "by": "nobody"}).to_string();
    stranger
        .publish(SUBJECT, payload.into())
        .await
        .expect("published");
    stranger.flush().await.expect("flushed");
}

async fn until_counted(cluster: &Cluster) {
    for herald in &cluster.instances {
        until("the forged message is counted", async || {
            let metrics = admin(herald, "GET", "/metrics").await;
            metrics
                .text()
                .contains("\nherald_control_unverified_total{cause=\"unsigned\"} 1\n")
        })
        .await;
        let ready = herald.get("/readyz").await;
        assert_eq!(ready.status, 200, "{}", ready.text());
        let trouble = ready.json()["components"]["trouble"].to_string();
        assert!(
            trouble.contains("control messages without a signature"),
            "{trouble}"
        );
        assert!(!trouble.contains(NO_KEY), "{trouble}");
        assert_eq!(herald.lines_with(NO_KEY), Vec::<String>::new());
    }
}

/// The first of them was alone at its start.
#[tokio::test]
async fn several_instances_without_a_key_are_named() {
    let mut cluster = Cluster::start(1).await;
    let trouble = cluster.instances[0].get("/readyz").await.text();
    assert!(!trouble.contains(NO_KEY), "{trouble}");
    cluster.add("second").await;
    for herald in &cluster.instances {
        herald.logged(NO_KEY).await;
        let ready = herald.get("/readyz").await;
        assert_eq!(ready.status, 200, "{}", ready.text());
        // Said once, and no trouble: there it would hide what is new.
        assert!(!ready.text().contains(NO_KEY), "{}", ready.text());
        assert_eq!(herald.lines_with(NO_KEY).len(), 1);
    }
    let answer = admin(&cluster.instances[0], "GET", "/api/v1/instances").await;
    assert_eq!(answer.json()["instances"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_forged_disconnect_is_refused_and_an_operators_is_not() {
    let (cluster, _key) = cluster("refuse").await;
    let [here, there] = &cluster.instances[..] else {
        panic!("two instances")
    };
    let mut browser = Browser::connect(there.address, "test1").await;
    for herald in [here, there] {
        until_online(herald, &["test1"]).await;
    }
    forge(&cluster).await;
    until_counted(&cluster).await;
    // Still there; and the cluster's own messages are heard.
    browser.subscribe("/queue/a").await;
    let sessions = admin(here, "GET", "/api/v1/users/test1").await.json();
    assert_eq!(sessions["silent"], json!([]));
    assert_eq!(
        sessions["sessions"].as_array().map(Vec::len),
        Some(1),
        "{sessions}"
    );
    let answer = admin(here, "DELETE", "/api/v1/users/test1/sessions").await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(browser.end().await.code, 4403);
    here.logged("refused a control message").await;
    assert_eq!(here.lines_with("refused a control message").len(), 1);
}

#[tokio::test]
async fn with_accept_a_forged_disconnect_works_and_is_counted() {
    let (cluster, _key) = cluster("accept").await;
    let mut browser = Browser::connect(cluster.instances[1].address, "test1").await;
    forge(&cluster).await;
    assert_eq!(browser.end().await.code, 4403);
    until_counted(&cluster).await;
}
