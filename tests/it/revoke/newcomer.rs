//! The promise: a new instance refuses everybody whom the others refuse before it is ready, and does not bring back a
//! lifted revocation; a client that listens to NATS and says nothing delays nobody.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use herald::instance::InstanceId;

use super::cluster::{block, is_revoked};
use crate::support::cluster::{ADMIN, Cluster, admin, until};
use crate::support::cluster_client::Browser;
use crate::support::nats::NatsServer;
use crate::support::process::Herald;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_instance_knows_who_is_shut_out_before_it_is_ready() {
    let mut cluster = Cluster::start(1).await;
    block(&cluster.instances[0], "test1").await;
    let lifted = block(&cluster.instances[0], "test2").await;
    let path = format!("{}/{lifted}", super::PATH);
    assert_eq!(admin(&cluster.instances[0], "DELETE", &path).await.status, 202);
    let newcomer = cluster.add("i1").await;
    let refused = Browser::attempt(newcomer.address, "test1", "test").await;
    assert!(is_revoked(&refused.err().unwrap()));
    Browser::connect(newcomer.address, "test2").await;
    // It tells the next one, also when the first is gone.
    drop(cluster.instances.remove(0));
    let third = cluster.add("i2").await;
    let refused = Browser::attempt(third.address, "test1", "test").await;
    assert!(is_revoked(&refused.err().unwrap()));
    Browser::connect(third.address, "test2").await;
}

/// Half a second of silence was taken for nobody, and two newcomers for each other's others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newcomers_do_not_take_a_pause_for_nobody_nor_each_other_for_one_who_knows() {
    let cluster = Cluster::start(1).await;
    let old = &cluster.instances[0];
    block(old, "test1").await;
    old.pause().await;
    let launch = cluster.launch();
    let (one, other) = tokio::join!(Herald::start("one", &launch), Herald::start("other", &launch));
    for newcomer in [&one, &other] {
        // They have waited for as long as they may, and say what they lack.
        until("it says what it lacks", async || {
            newcomer.lines_with("may lack some").len() == 1
        })
        .await;
        let ready = newcomer.get("/readyz").await;
        assert!(
            ready.text().contains("revocations may be missing"),
            "{}",
            ready.text()
        );
    }
    old.signal("CONT");
    for newcomer in [&one, &other] {
        until("it has everything", async || {
            !newcomer.get("/readyz").await.text().contains("revocations")
        })
        .await;
        let refused = Browser::attempt(newcomer.address, "test1", "test").await;
        assert!(is_revoked(&refused.err().unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_alone_is_whole_and_so_is_the_next_one() {
    let mut cluster = Cluster::start(1).await;
    assert!(
        !cluster.instances[0]
            .get("/readyz")
            .await
            .text()
            .contains("revocations")
    );
    assert!(cluster.instances[0].lines_with("may lack some").is_empty());
    let next = cluster.add("i1").await;
    assert!(next.lines_with("may lack some").is_empty());
}

/// An answer was larger than NATS carries, for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_learns_many_over_a_bus_that_carries_little() {
    let nats = NatsServer::start_with("max_payload: 65536");
    let mut cluster = Cluster::start_over(nats, 1).await;
    let reason = "x".repeat(290);
    for user in 1..=200 {
        let body =
            serde_json::json!({"user": format!("test{user}"), "block": true, "for": "1h", "reason": reason});
        let json = ("Content-Type", "application/json");
        let answer = cluster.instances[0]
            .request("POST", super::PATH, &[ADMIN, json], body.to_string().as_bytes())
            .await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    let newcomer = cluster.add("i1").await;
    assert!(newcomer.lines_with("may lack some").is_empty());
    let known = admin(newcomer, "GET", "/metrics").await;
    assert!(known.text().contains("\nherald_revocations 200\n"));
}

/// A monitor and a stream listen to everything: they count as nobody, and hide nobody who runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_listens_to_everything_and_says_nothing_counts_as_nobody() {
    let nats = NatsServer::start_with_jetstream("");
    let client = async_nats::connect(nats.url()).await.unwrap();
    let _monitor = client.subscribe("herald.>").await.unwrap();
    let stream = r#"{"name":"AUDIT","subjects":["herald.>"],"storage":"memory","no_ack":true}"#;
    let made = client.request("$JS.API.STREAM.CREATE.AUDIT", stream.into()).await;
    let made = made.unwrap().payload;
    assert!(!String::from_utf8_lossy(&made).contains("error"), "{made:?}");
    let mut cluster = Cluster::start_over(nats, 1).await;
    let is_whole = async |herald: &Herald| {
        let ready = herald.get("/readyz").await;
        assert!(!ready.text().contains("revocations"), "{}", ready.text());
        assert!(herald.lines_with("may lack some").is_empty());
    };
    is_whole(&cluster.instances[0]).await;
    until("it says who listens", async || {
        let lines = cluster.instances[0].lines_with("listens to all subjects of NATS");
        lines.len() == 1
    })
    .await;
    block(&cluster.instances[0], "test1").await;
    let newcomer = cluster.add("i1").await;
    is_whole(newcomer).await;
    assert!(newcomer.lines_with("listens to all subjects of NATS").is_empty());
    let refused = Browser::attempt(newcomer.address, "test1", "test").await;
    assert!(is_revoked(&refused.err().unwrap()));
}

/// Without a control key anybody can say that it has everything, and not answer: that held a new instance for half a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_digests_do_not_hold_a_new_instance() {
    let mut cluster = Cluster::start(1).await;
    block(&cluster.instances[0], "test1").await;
    let client = async_nats::connect(cluster.nats.url()).await.unwrap();
    // So that NATS does not say that nobody is there.
    let _mute = client.subscribe("herald.control.instance.>").await.unwrap();
    let mut said = client
        .subscribe("herald.control.all.tokens.digest")
        .await
        .unwrap();
    client.flush().await.unwrap();
    let forging = tokio::spawn(async move {
        while let Some(message) = said.next().await {
            if !String::from_utf8_lossy(&message.payload).contains(r#""asks":true"#) {
                continue;
            }
            for _ in 0..200 {
                let instance = InstanceId::random();
                let forged = format!(r#"{{"instance":"{instance}","count":9,"hash":1,"is_whole":true}}"#);
                client
                    .publish("herald.control.all.tokens.digest", forged.into())
                    .await
                    .unwrap();
            }
        }
    });
    let began = Instant::now();
    let newcomer = cluster.add("i1").await;
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    assert!(newcomer.lines_with("may lack some").is_empty());
    let refused = Browser::attempt(newcomer.address, "test1", "test").await;
    assert!(is_revoked(&refused.err().unwrap()));
    forging.abort();
}
