//! The promise: a returning client misses nothing of what a publisher was told is stored, on any instance, across a
//! restart of NATS; and a client that cannot get everything is told so.

use super::{NEWS, ORDERS, attempt, bodies, has_metric, herald, outcome, position, publish, subscribe};
use crate::support::cluster::{Cluster, until};
use crate::support::cluster_client::Browser;
use crate::support::nats::NatsServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_to_another_instance_has_missed_nothing() {
    let cluster = Cluster::start_keeping(2, &[]).await;
    let [one, other] = &cluster.instances[..] else {
        panic!()
    };
    let mut browser = Browser::connect(one.address, "test1").await;
    subscribe(&mut browser, NEWS, None).await;
    let idle = position(&subscribe(&mut browser, ORDERS, None).await);
    // What the other instance is told is where this one's session sees it.
    let stored = publish(other, None, NEWS, "heard").await;
    let heard = browser.next_on(NEWS).await;
    assert_eq!((position(&heard), heard.json()), (stored.clone(), "heard".into()));
    assert!(heard.header("herald-id").is_some());
    drop(browser);
    for (at, body) in ["a", "b", "c", "d"].iter().enumerate() {
        let herald = &cluster.instances[at % 2];
        publish(herald, None, NEWS, body).await;
        publish(herald, None, "/queue/others", "not mine").await;
        publish(herald, Some("test1"), "/queue/orders", body).await;
        publish(herald, Some("test2"), "/queue/orders", "not mine").await;
    }
    for herald in [other, one] {
        let mut browser = Browser::connect(herald.address, "test1").await;
        // What this instance has yet to read comes live, behind the replay.
        let receipt = subscribe(&mut browser, NEWS, Some(&stored)).await;
        assert_eq!(receipt.header("recovered"), Some("true"), "{receipt:?}");
        assert_eq!(bodies(&mut browser, NEWS, 4).await, ["a", "b", "c", "d"]);
        // A subscription that had heard nothing resumes by its RECEIPT.
        let receipt = subscribe(&mut browser, ORDERS, Some(&idle)).await;
        assert_eq!(receipt.header("recovered"), Some("true"), "{receipt:?}");
        assert_eq!(bodies(&mut browser, ORDERS, 4).await, ["a", "b", "c", "d"]);
    }
    // A backend's own publish is stored and has a position, too.
    let options = async_nats::ConnectOptions::with_user_and_password("orders".into(), "o".into());
    let backend = options.connect(cluster.nats.url()).await.unwrap();
    let mut browser = Browser::connect(one.address, "test1").await;
    let receipt = subscribe(&mut browser, NEWS, Some(&stored)).await;
    assert_eq!(outcome(&receipt), (Some("true"), Some("4")));
    bodies(&mut browser, NEWS, 4).await;
    backend
        .publish("herald.broadcast.queue.news", "\"direct\"".into())
        .await
        .unwrap();
    let direct = browser.next_on(NEWS).await;
    assert_eq!(direct.json(), "direct");
    position(&direct);
}

/// What was read of the stream long ago is not in the memory of an instance that has just started.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_memory_does_not_hold_is_read_from_the_stream() {
    let mut cluster = Cluster::start_keeping(1, &[("HERALD_HISTORY__TAIL_BYTES", "1MiB")]).await;
    let first = publish(&cluster.instances[0], None, NEWS, "first").await;
    publish(&cluster.instances[0], None, NEWS, "second").await;
    // More than its memory holds.
    let filler = "x".repeat(100_000);
    for _ in 0..12 {
        publish(&cluster.instances[0], None, "/queue/others", &filler).await;
    }
    let newcomer = cluster.add("i1").await;
    let mut browser = Browser::connect(newcomer.address, "test1").await;
    let receipt = subscribe(&mut browser, NEWS, Some(&first)).await;
    assert_eq!(outcome(&receipt), (Some("true"), Some("1")));
    assert_eq!(bodies(&mut browser, NEWS, 1).await, ["second"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_nats_loses_nothing() {
    let mut cluster = Cluster::start_keeping(2, &[("HERALD_HISTORY__PUBLISH_TIMEOUT", "2s")]).await;
    let mut stays = Browser::connect(cluster.instances[0].address, "test1").await;
    let begin = position(&subscribe(&mut stays, NEWS, None).await);
    let mut other = Browser::connect(cluster.instances[1].address, "test2").await;
    subscribe(&mut other, NEWS, None).await;
    publish(&cluster.instances[1], None, NEWS, "before").await;
    for browser in [&mut stays, &mut other] {
        // Both instances have it.
        assert_eq!(bodies(browser, NEWS, 1).await, ["before"]);
    }
    cluster.nats.kill();
    // What was under way may have been stored; what is refused from then on was not.
    until("publishes are refused", async || {
        let answer = attempt(&cluster.instances[1], None, "/queue/unheard", "perhaps").await;
        answer.status == 503 && answer.text().contains("bus-unavailable")
    })
    .await;
    let refused = attempt(&cluster.instances[1], None, NEWS, "lost").await;
    assert!(refused.text().contains("bus-unavailable"), "{}", refused.text());
    // Within its memory an instance goes on.
    let mut resumes = Browser::connect(cluster.instances[1].address, "test1").await;
    let receipt = subscribe(&mut resumes, NEWS, Some(&begin)).await;
    assert_eq!(outcome(&receipt), (Some("true"), Some("1")));
    assert_eq!(bodies(&mut resumes, NEWS, 1).await, ["before"]);
    cluster.nats.restart();
    for herald in &cluster.instances {
        herald.until_ready().await;
    }
    let after = publish(&cluster.instances[1], None, NEWS, "after").await;
    // Same stream: the same epoch goes on.
    assert_eq!(begin.split('-').next(), after.split('-').next());
    assert_eq!(bodies(&mut stays, NEWS, 1).await, ["after"]);
    assert_eq!(bodies(&mut resumes, NEWS, 1).await, ["after"]);
    let mut late = Browser::connect(cluster.instances[0].address, "test1").await;
    let receipt = subscribe(&mut late, NEWS, Some(&begin)).await;
    assert_eq!(outcome(&receipt), (Some("true"), Some("2")));
    assert_eq!(bodies(&mut late, NEWS, 2).await, ["before", "after"]);
}

/// The stream is another one: whoever was subscribed is closed, comes back, and is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_gone_is_said_to_everybody() {
    let mut nats = NatsServer::start_with_jetstream("");
    let lines =
        "broadcast = [\"/queue\"]\nstorage = \"memory\"\nbroadcast_bytes = \"64MiB\"\nuser_bytes = \"64MiB\"";
    let (herald, _folder) = herald(&nats, lines).await;
    herald.until_ready().await;
    let mut news = Browser::connect(herald.address, "test1").await;
    subscribe(&mut news, NEWS, None).await;
    let mut orders = Browser::connect(herald.address, "test2").await;
    subscribe(&mut orders, ORDERS, None).await;
    // What is not kept has no position, and misses nothing that was promised.
    let mut other = Browser::connect(herald.address, "test3").await;
    let receipt = subscribe(&mut other, "/topic/other", None).await;
    assert_eq!(receipt.header("position"), None);
    let last = publish(&herald, None, NEWS, "before").await;
    assert_eq!(bodies(&mut news, NEWS, 1).await, ["before"]);
    nats.restart();
    for browser in [&mut news, &mut orders] {
        let end = browser.end().await;
        assert_eq!(
            (end.code, end.error()),
            (1013, Some("history gap, reconnect")),
            "{end:?}"
        );
    }
    until("the gaps are counted", async || {
        has_metric(&herald, "herald_history_broken_total 2").await
    })
    .await;
    herald.until_ready().await;
    let mut news = Browser::connect(herald.address, "test1").await;
    let receipt = subscribe(&mut news, NEWS, Some(&last)).await;
    assert_eq!(outcome(&receipt), (Some("false"), Some("epoch-changed")));
    publish(&herald, None, NEWS, "after").await;
    assert_eq!(bodies(&mut news, NEWS, 1).await, ["after"]);
    // As on core NATS.
    let answer = attempt(&herald, None, "/topic/other", "still here").await;
    assert_eq!(
        (answer.status, &answer.json()["position"]),
        (202, &serde_json::Value::Null)
    );
    assert_eq!(bodies(&mut other, "/topic/other", 1).await, ["still here"]);
}
