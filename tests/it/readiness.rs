//! The promise: with `readiness.bus = "serving"` an outage of NATS leaves an instance ready: its page, its logins and
//! its health continue, and publishes are refused. One that has never had NATS is not ready.

use crate::support::cluster::{Cluster, until};
use crate::support::cluster_client::Browser;
use crate::support::process::Herald;

#[tokio::test]
async fn an_outage_of_nats_leaves_who_serves_ready() {
    let mut cluster = Cluster::start_with(1, &[("HERALD_READINESS__BUS", "serving")]).await;
    let launch = cluster.launch();
    cluster.nats.kill();
    let herald = &cluster.instances[0];
    until("the outage is known", async || {
        let ready = herald.get("/readyz").await;
        assert_eq!(ready.status, 200, "{}", ready.text());
        ready.json()["components"]["bus"] == "disconnected"
    })
    .await;
    assert_eq!(herald.get("/readyz").await.json()["status"], "UP");
    assert_eq!(herald.get("/api/openapi.json").await.status, 200);
    Browser::connect(herald.address, "test1").await;
    let published = herald.post("/api/v1/broadcast/queue/x", "text/plain", "x").await;
    assert_eq!(published.status, 503, "{}", published.text());
    // What is away, and why, without an address.
    until("the reason is known", async || {
        let trouble = herald.get("/readyz").await.json()["components"]["trouble"].to_string();
        trouble.contains("NATS cannot be reached: the connection was refused")
            && !trouble.contains("127.0.0.1")
    })
    .await;
    let published = herald.post("/api/v1/broadcast/queue/x", "text/plain", "x").await;
    let detail = published.json()["detail"].to_string();
    assert!(
        detail.contains("nothing was published: NATS cannot be reached: the connection was refused"),
        "{detail}"
    );

    let late = Herald::start_unready("late", &launch).await;
    late.logged("cannot reach NATS").await;
    assert_eq!(late.get("/readyz").await.status, 503);
    let line = late.lines_with("cannot reach NATS").remove(0);
    let server = format!(
        "nats://127.0.0.1:{}: IO error: Connection refused",
        cluster.nats.port()
    );
    assert!(line.contains(&server), "{server}: {line}");

    // Of several servers each has its reason.
    let down = format!("nats://127.0.0.1:{}", cluster.nats.port());
    let nobody = "nats://nobody.invalid:4222";
    let launch = launch.set("HERALD_BUS__URL", &format!("{down},{nobody}"));
    let lost = Herald::start_unready("lost", &launch).await;
    let error = |line: &String| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["error"].as_str().unwrap_or_default().to_owned()
    };
    let expected = [format!("{down}: IO error: "), format!("{nobody}: DNS error: ")];
    until("a reason for each server", async || {
        let lines = lost.lines_with("cannot reach NATS");
        lines
            .iter()
            .map(error)
            .any(|error| expected.iter().all(|words| error.contains(words)))
    })
    .await;
}
