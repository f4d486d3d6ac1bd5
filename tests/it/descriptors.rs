//! The promise: however many connections strangers open, an instance has descriptors for its bus, its files and the
//! next client, which is told that the instance is full; it raises its own limit at the start and logs what is in
//! force. Runs the built program as a real process, against a real NATS.

use tokio::net::TcpStream;

use crate::support::cluster::{Cluster, admin, until};
use crate::support::cluster_client::Browser;
use crate::support::process::{Herald, Launch};
use crate::support::within;

/// As many sessions as an instance takes, and the refusal that the next client gets: none of them makes room.
async fn fill(herald: &Herald) -> (Vec<Browser>, String) {
    let mut held = Vec::new();
    let refusal = within("a refusal", async {
        loop {
            held.push(Browser::connect(herald.address, "test2").await);
            let answer = herald.get("/livez").await;
            if answer.status == 503 {
                return answer.text();
            }
        }
    })
    .await;
    (held, refusal)
}

#[tokio::test]
async fn strangers_leave_descriptors_for_the_bus() {
    let mut cluster = Cluster::start(0).await;
    let launch = cluster.launch().shell("ulimit -n 80");
    let herald = Herald::start("few", &launch).await;
    let warning = herald
        .logged("the limit of open files (80) leaves room for")
        .await;
    assert!(warning.contains("48 connections"), "{warning}");
    let mut browser = Browser::connect(herald.address, "test1").await;
    browser.subscribe("/queue/x").await;
    let (held, refusal) = fill(&herald).await;
    assert!(
        refusal.contains("48 connections are open") && refusal.contains("http.max_connections is 100000"),
        "{refusal}"
    );
    // A crowd at the door takes no more of them.
    let mut crowd = Vec::new();
    for _ in 0..100 {
        crowd.push(TcpStream::connect(herald.address).await.unwrap());
    }
    cluster.nats.kill();
    herald.logged("the connection to NATS is lost").await;
    cluster.nats.restart();
    // Through another instance, for here there is no place.
    let other = cluster.add("other").await;
    until("both to be connected", async || {
        other.post("/api/v1/broadcast/queue/x", "text/plain", "on").await;
        browser.waiting().iter().any(|message| message.text() == "on")
    })
    .await;
    assert_eq!(herald.lines_with("cannot accept connections"), [""; 0]);
    drop((held, crowd));
    until("a free place", async || herald.get("/livez").await.status == 200).await;
    let metrics = admin(&herald, "GET", "/metrics").await.text();
    assert!(metrics.contains("\nherald_accept_pauses_total 0\n"), "{metrics}");
}

#[tokio::test]
async fn the_soft_limit_is_raised_to_the_hard_one() {
    let herald = Herald::start("raised", &Launch::demo().shell("ulimit -Sn 64 && ulimit -Hn 512")).await;
    let line = herald.logged("open files").await;
    assert!(
        line.contains("\"limit\":512") && line.contains("\"was\":64"),
        "{line}"
    );
    assert!(line.contains("\"connections\":384"), "{line}");
}
