//! The promise: NATS goes and comes back under load: publishes are refused at once and say when to try again, sessions
//! stay open, nobody leaves in presence, and two seconds after its return everything is as before. An accepted
//! notification is lost only at the moment of the loss, or if the other instance was not back yet; nothing is delivered
//! twice or in another order.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;

use crate::support::cluster::{Cluster, online, until, until_online};
use crate::support::cluster_client::Browser;
use crate::support::process::{Herald, request};
use crate::support::within;

const PUBLISHERS: usize = 4;
/// Until a lost connection is known to be lost: what is accepted by then may be gone.
const MOMENT: Duration = Duration::from_secs(1);
const BACK_WITHIN: Duration = Duration::from_secs(2);

/// What a publisher was told.
#[derive(Default)]
struct Told {
    /// The number and time of what was accepted.
    accepted: Vec<(u64, Instant)>,
    refused: u64,
    slowest_refusal: Duration,
}

/// Publishes numbers, one after the other, until told to stop.
async fn publish(to: SocketAddr, publisher: usize, stop: Arc<AtomicBool>) -> Told {
    let mut told = Told::default();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let (begun, body) = (Instant::now(), format!("{publisher} {number}"));
        let headers = [("Content-Type", "text/plain")];
        let path = "/api/v1/broadcast/queue/load";
        let answer = request(to, "POST", path, &headers, body.as_bytes())
            .await
            .unwrap();
        match answer.status {
            202 => told.accepted.push((number, begun)),
            503 => {
                assert_eq!(answer.header("retry-after"), Some("1"));
                assert_eq!(answer.json()["type"], "urn:herald:problem:bus-unavailable");
                told.refused += 1;
                told.slowest_refusal = told.slowest_refusal.max(begun.elapsed());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => panic!("{other}: {}", answer.text()),
        }
        number += 1;
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_nats_under_load() {
    let mut cluster = Cluster::start(2).await;
    let backend = async_nats::connect(cluster.nats.url()).await.unwrap();
    let mut events = backend.subscribe("herald.event.>").await.unwrap();
    let mut browsers = Vec::new();
    for (herald, user) in cluster.instances.iter().zip(["test1", "test2"]) {
        let mut browser = Browser::connect(herald.address, user).await;
        for destination in ["/queue/load", "/user/queue/x", "/user/queue/errors"] {
            browser.subscribe(destination).await;
        }
        browsers.push(browser);
    }
    let everybody = ["test1", "test2"];
    for herald in &cluster.instances {
        until_online(herald, &everybody).await;
    }
    for browser in &mut browsers {
        browser.subscribe("/queue/users").await;
    }
    for _ in 0..2 {
        within("a user's coming", events.next()).await;
    }

    let stop = Arc::new(AtomicBool::new(false));
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|number| {
            let to = cluster.instances[number % 2].address;
            tokio::spawn(publish(to, number, stop.clone()))
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.nats.kill();
    let lost_at = Instant::now();
    for herald in &cluster.instances {
        until("not ready", async || herald.get("/readyz").await.status == 503).await;
        assert!(
            lost_at.elapsed() < MOMENT,
            "not ready after {:?}",
            lost_at.elapsed()
        );
        assert_eq!(herald.get("/livez").await.status, 200);
    }
    // Longer than the silence after which an instance that can hear would count another as gone.
    while lost_at.elapsed() < Duration::from_millis(5_500) {
        for herald in &cluster.instances {
            assert_eq!(online(herald).await, everybody);
            assert_eq!(herald.get("/readyz").await.status, 503);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for browser in &mut browsers {
        // The session is alive, not only open.
        browser
            .with_receipt("UNSUBSCRIBE", &[("id", "/user/queue/x")], b"")
            .await;
        browser.subscribe("/user/queue/x").await;
        for destination in ["/app/orders/place", "/chat/message"] {
            browser.send(destination, &[], "now?").await;
            let told = browser.next_on("/user/queue/errors").await.json();
            assert_eq!(
                (&told["code"], &told["destination"]),
                (&"unavailable".into(), &destination.into())
            );
        }
    }

    cluster.nats.restart();
    let back_at = Instant::now();
    for herald in &cluster.instances {
        herald.until_ready().await;
    }
    for ((herald, browser), user) in cluster.instances.iter().rev().zip(&mut browsers).zip(everybody) {
        // From the other instance to this instance's session.
        let path = format!("/api/v1/users/{user}/queue/x");
        assert_eq!(herald.post(&path, "text/plain", "back").await.status, 202);
        assert_eq!(browser.next_on("/user/queue/x").await.text(), "back");
    }
    let back_after = back_at.elapsed();
    assert!(back_after < BACK_WITHIN, "{back_after:?}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    let told = futures_util::future::join_all(publishers).await;
    let told: Vec<Told> = told.into_iter().map(Result::unwrap).collect();
    // After everything that was accepted, on each publisher's connection to NATS.
    for (publisher, herald) in cluster.instances.iter().enumerate() {
        let body = format!("end {publisher}");
        let answer = herald
            .post("/api/v1/broadcast/queue/load", "text/plain", body)
            .await;
        assert_eq!(answer.status, 202);
    }

    for (at, browser) in browsers.iter_mut().enumerate() {
        let mut came: Vec<Vec<u64>> = vec![Vec::new(); PUBLISHERS];
        let mut ends = 0;
        while ends < 2 {
            let body = browser.next_on("/queue/load").await.text();
            let (publisher, number) = body.split_once(' ').unwrap();
            match publisher.parse::<usize>() {
                Ok(publisher) => came[publisher].push(number.parse().unwrap()),
                Err(_) => ends += 1,
            }
        }
        for (publisher, (came, told)) in came.iter().zip(&told).enumerate() {
            let who = format!("publisher {publisher} to instance {at}");
            assert!(
                came.is_sorted_by(|one, next| one < next),
                "{who}: twice or out of order: {came:?}"
            );
            let came: HashSet<u64> = came.iter().copied().collect();
            let lost: Vec<_> = told
                .accepted
                .iter()
                .filter(|(number, _)| !came.contains(number))
                .collect();
            let is_own = publisher % 2 == at;
            for (number, when) in &lost {
                let in_the_moment = *when + MOMENT > lost_at && *when < lost_at + MOMENT;
                let on_return = !is_own && *when + MOMENT > back_at && *when < back_at + back_after;
                assert!(
                    in_the_moment || on_return,
                    "{who}: {number} is lost, {when:?}, loss at {lost_at:?}"
                );
            }
            println!(
                "{who}: {} accepted, {} of them lost, {} refused",
                told.accepted.len(),
                lost.len(),
                told.refused
            );
            assert!(told.accepted.len() > 50, "{who}: no load");
            // Within a second, and what a machine adds that runs all tests at once.
            assert!(
                told.refused > 50 && told.slowest_refusal < Duration::from_secs(2),
                "{who}: {:?}",
                told.slowest_refusal
            );
        }
        // Nobody who watches the list saw a user leave. One list may have been due when they subscribed.
        for list in browser.waiting() {
            assert_eq!(list.header("subscription"), Some("/queue/users"));
            assert_eq!(list.json(), serde_json::json!(everybody));
        }
    }
    let event = tokio::time::timeout(Duration::from_millis(1_500), events.next()).await;
    assert!(
        event.is_err(),
        "an event about nobody's coming or going: {event:?}"
    );
    for herald in &cluster.instances {
        assert_eq!(online(herald).await, everybody);
    }
}

#[tokio::test]
async fn it_starts_serves_and_ends_without_nats() {
    let mut cluster = Cluster::start(0).await;
    cluster.nats.kill();
    let launch = cluster.launch().set("HERALD_DRAIN__BALANCER_WAIT", "200ms");
    let launch = launch.set("HERALD_DRAIN__SPREAD", "200ms");
    let mut herald = Herald::start_unready("early", &launch).await;
    assert_eq!(
        (
            herald.get("/readyz").await.status,
            herald.get("/livez").await.status
        ),
        (503, 200)
    );
    let mut browser = Browser::connect(herald.address, "test1").await;
    browser.subscribe("/queue/x").await;
    assert_eq!(online(&herald).await, ["test1"]);
    cluster.nats.restart();
    herald.until_ready().await;
    assert_eq!(
        herald
            .post("/api/v1/broadcast/queue/x", "text/plain", "now")
            .await
            .status,
        202
    );
    assert_eq!(browser.next().await.text(), "now");

    cluster.nats.kill();
    until("not ready", async || herald.get("/readyz").await.status == 503).await;
    herald.signal("TERM");
    let begun = Instant::now();
    assert_eq!(browser.end().await.code, 1001);
    assert_eq!(herald.exit_code().await, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
