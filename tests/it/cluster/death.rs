//! The promise: the death of an instance affects only its own sessions: those of the others miss nothing, its users are
//! gone within `presence.instance_timeout` (5 s), and backends are told once about each.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt;

use crate::support::cluster::{Cluster, online, until, until_online};
use crate::support::cluster_client::Browser;
use crate::support::within;

/// `presence.instance_timeout`, the interval of a digest, and what a busy machine adds.
const GONE_BY: Duration = Duration::from_millis(7_000);
/// The longest that a second, wrong word of a user's end could take: survivors check again a digest later.
const AFTERWARDS: Duration = Duration::from_millis(2_500);

async fn the_death_of_one_of(count: usize) {
    let mut cluster = Cluster::start(count).await;
    let addresses: Vec<_> = cluster.instances.iter().map(|herald| herald.address).collect();
    let backend = async_nats::connect(cluster.nats.url()).await.unwrap();
    let mut events = backend.subscribe("herald.event.user.disconnected").await.unwrap();
    backend.flush().await.unwrap();
    let mut doomed = Vec::new();
    for user in ["test1", "test1", "test2", "test3", "test4"] {
        doomed.push(Browser::connect(addresses[0], user).await);
    }
    let mut watchers = Vec::new();
    for address in &addresses[1..] {
        // test2 is on all instances and therefore stays.
        let mut watcher = Browser::connect(*address, "test2").await;
        for destination in ["/queue/news", "/queue/users", "/user/queue/init/users"] {
            watcher.subscribe(destination).await;
        }
        watchers.push(watcher);
    }
    let everybody = ["test1", "test2", "test3", "test4"];
    for herald in &cluster.instances {
        until("all are online", async || online(herald).await == everybody).await;
    }

    cluster.instances[0].kill();
    let died = Instant::now();
    let survivors = &cluster.instances[1..];
    let mut published = 0;
    while survivors_see(survivors)
        .await
        .iter()
        .any(|seen| seen != &["test2"])
    {
        assert!(died.elapsed() < GONE_BY, "{:?}", survivors_see(survivors).await);
        let (herald, body) = (&survivors[published % survivors.len()], published.to_string());
        let answer = herald
            .post("/api/v1/broadcast/queue/news", "text/plain", body)
            .await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        published += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let gone_after = died.elapsed();
    assert!(
        gone_after > Duration::from_secs(3),
        "gone after {gone_after:?}: not by its silence"
    );
    for watcher in &mut watchers {
        // In the order of each instance that published; a 202 of one promises nothing about what another publishes next.
        let mut next: Vec<usize> = (0..survivors.len()).collect();
        for _ in 0..published {
            let number: usize = watcher.next_on("/queue/news").await.text().parse().unwrap();
            let expected = &mut next[number % survivors.len()];
            assert_eq!(number, *expected);
            *expected += survivors.len();
        }
        while watcher.next_on("/queue/users").await.json() != serde_json::json!(["test2"]) {}
        watcher.send("/chat/init/users", &[], "").await;
        let list = watcher.next_on("/user/queue/init/users").await.json();
        assert_eq!(list, serde_json::json!(["test2"]));
    }
    let mut told: HashMap<String, u32> = HashMap::new();
    let listening = async {
        while let Some(event) = events.next().await {
            let event: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
            *told
                .entry(event["user"].as_str().unwrap().to_owned())
                .or_default() += 1;
        }
    };
    let _ = tokio::time::timeout(AFTERWARDS, listening).await;
    let once = ["test1", "test3", "test4"].map(|user| (user.to_owned(), 1));
    assert_eq!(told, HashMap::from(once), "{count} instances");
    survivors[0]
        .post("/api/v1/broadcast/queue/news", "text/plain", "after")
        .await;
    for watcher in &mut watchers {
        assert_eq!(watcher.next_on("/queue/news").await.text(), "after");
        assert!(watcher.waiting().iter().all(|frame| frame.command == "MESSAGE"));
    }
}

async fn survivors_see(survivors: &[crate::support::process::Herald]) -> Vec<Vec<String>> {
    futures_util::future::join_all(survivors.iter().map(online)).await
}

#[tokio::test]
async fn one_of_two_dies() {
    the_death_of_one_of(2).await;
}

#[tokio::test]
async fn one_of_three_dies() {
    the_death_of_one_of(3).await;
}

/// It stood still, not the others: when it runs again it says of nobody that they went.
#[tokio::test]
async fn an_instance_that_stood_still_comes_back() {
    let cluster = Cluster::start(2).await;
    let (still, other) = (&cluster.instances[0], &cluster.instances[1]);
    let mut here = Browser::connect(still.address, "test1").await;
    let mut there = Browser::connect(other.address, "test2").await;
    let everybody = ["test1", "test2"];
    for herald in &cluster.instances {
        until_online(herald, &everybody).await;
    }
    for browser in [&mut here, &mut there] {
        browser.subscribe("/queue/users").await;
    }
    let backend = async_nats::connect(cluster.nats.url()).await.unwrap();
    let mut events = backend.subscribe("herald.event.user.*").await.unwrap();
    backend.flush().await.unwrap();
    let mut next = async || {
        let event = within("an event", events.next()).await.unwrap();
        let told: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
        let kind = event.subject.rsplit('.').next().unwrap().to_owned();
        (kind, told["user"].as_str().unwrap().to_owned())
    };
    still.pause().await;
    let gone_after = until_online(other, &["test2"]).await;
    assert!(gone_after > Duration::from_secs(3), "{gone_after:?}");
    assert_eq!(next().await, ("disconnected".into(), "test1".into()));
    still.signal("CONT");
    for herald in &cluster.instances {
        until_online(herald, &everybody).await;
    }
    assert_eq!(next().await, ("connected".into(), "test1".into()));
    assert!(tokio::time::timeout(AFTERWARDS, next()).await.is_err());
    // Its session is unchanged and saw nobody go. A list may have been due when they subscribed.
    here.subscribe("/queue/x").await;
    let lists =
        |browser: &mut Browser| -> Vec<_> { browser.waiting().iter().map(|frame| frame.json()).collect() };
    let everybody = serde_json::json!(everybody);
    assert!(lists(&mut here).iter().all(|list| *list == everybody));
    let mut seen = lists(&mut there);
    seen.dedup();
    assert_eq!(seen[seen.len() - 2..], [serde_json::json!(["test2"]), everybody]);
    assert!(seen.len() <= 3, "{seen:?}");
}
