//! The promise: `told` means that NATS has confirmed it; a revocation that could not be sent applies on the instance
//! that was asked, and this is reported.

use std::time::{Duration, Instant};

use serde_json::json;

use super::cluster::is_revoked;
use crate::support::cluster::{ADMIN, Cluster, admin, until};
use crate::support::cluster_client::Browser;
use crate::support::process::{Answer, Herald};

const UNTOLD: &str = "of revocations that were made here";

async fn block(herald: &Herald, user: &str) -> Answer {
    let json = ("Content-Type", "application/json");
    let body = json!({"user": user, "block": true, "for": "1h"}).to_string();
    let headers = [ADMIN, json];
    let answer = herald
        .request("POST", super::PATH, &headers, body.as_bytes())
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer
}

async fn is_in_trouble(herald: &Herald) -> bool {
    herald.get("/readyz").await.text().contains(UNTOLD)
}

/// A NATS that takes what it is sent and does nothing: "in the client's buffer" was said to be everywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nats_swallows_is_not_told() {
    let cluster = Cluster::start(2).await;
    let [asked, other] = &cluster.instances[..] else {
        panic!("two")
    };
    assert_eq!(block(asked, "test1").await.json()["told"], true);
    cluster.nats.set_frozen(true);
    let began = Instant::now();
    let answer = block(asked, "test2").await.json();
    assert_eq!(answer["told"], false);
    let lifting = format!("{}/{}", super::PATH, answer["id"].as_str().unwrap());
    let blocked = block(asked, "test3").await.json();
    assert_eq!(blocked["told"], false);
    let lifted = admin(asked, "DELETE", &lifting).await;
    assert_eq!((lifted.status, lifted.json()), (202, json!({"told": false})));
    let disconnected = admin(asked, "DELETE", "/api/v1/users/test4/sessions").await;
    assert_eq!(
        (disconnected.status, disconnected.json()),
        (202, json!({"told": false}))
    );
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(is_in_trouble(asked).await);
    let refused = Browser::attempt(asked.address, "test3", "test").await;
    assert!(is_revoked(&refused.err().unwrap()));
    cluster.nats.set_frozen(false);
    until("the other one knows", async || {
        Browser::attempt(other.address, "test3", "test").await.is_err()
    })
    .await;
    until("the others were told", async || !is_in_trouble(asked).await).await;
    assert_eq!(block(asked, "test5").await.json()["told"], true);
}

/// An order that NATS did not take was never said again: the sessions on other instances stayed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_disconnected_while_nats_is_away_is_so_everywhere_when_it_is_back() {
    let mut cluster = Cluster::start(2).await;
    let [asked, other] = &cluster.instances[..] else {
        panic!("two")
    };
    let (asked, other) = (asked.address, other.address);
    let mut old = Browser::connect(other, "test1").await;
    let mut elses = Browser::connect(other, "test2").await;
    cluster.nats.kill();
    let herald = &cluster.instances[0];
    until("NATS is away", async || {
        herald.get("/readyz").await.text().contains("disconnected")
    })
    .await;
    let path = "/api/v1/users/test1/sessions?revoke=true";
    let out = admin(herald, "DELETE", path).await.json();
    assert_eq!(out["told"], json!(false), "{out}");
    // Newer than the order by more than it takes on its way.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut new = Browser::connect(other, "test1").await;
    let mut here = Browser::connect(asked, "test1").await;
    cluster.nats.restart();
    assert_eq!(old.end().await.code, 4403);
    // It is said several times.
    tokio::time::sleep(Duration::from_secs(6)).await;
    for browser in [&mut new, &mut here, &mut elses] {
        browser.subscribe("/queue/still-here").await;
    }
}

/// It answered 503, though a revocation alone did not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_nats_a_user_is_out_where_it_was_asked() {
    let mut cluster = Cluster::start(1).await;
    let asked = &cluster.instances[0];
    let mut browser = Browser::connect(asked.address, "test1").await;
    cluster.nats.kill();
    let herald = &cluster.instances[0];
    until("NATS is away", async || {
        herald.get("/readyz").await.text().contains("disconnected")
    })
    .await;
    let path = "/api/v1/users/test1/sessions";
    let nothing = admin(herald, "DELETE", path).await;
    assert_eq!(nothing.status, 503, "nothing is done");
    let detail = nothing.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("nothing was done"), "{detail}");
    let out = admin(herald, "DELETE", &format!("{path}?revoke=true")).await;
    let (status, out) = (out.status, out.json());
    assert_eq!((status, &out["told"]), (202, &json!(false)), "{out}");
    assert_eq!(out["revocation"]["told"], false, "{out}");
    until("the audit says that nobody else was told", async || {
        herald.lines_with("\"reason\":\"untold\"").len() == 1
    })
    .await;
    assert!(out["revocation"]["note"].as_str().unwrap().contains("password"));
    assert_eq!(browser.end().await.code, 4403);
    assert!(is_in_trouble(herald).await);
    herald.signal("TERM");
    until("it says what the others do not know", async || {
        herald
            .lines_with("this instance ends, and the others were not told")
            .len()
            == 1
    })
    .await;
}
