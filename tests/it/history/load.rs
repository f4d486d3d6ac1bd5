//! The promise: under load, over any number of reconnects, each subscription sees each notification once and in order, as
//! long as the answers say `recovered:true`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Frame, NEWS, ORDERS, app_with, frame, post, subscribe};
use crate::support::app::{ANNA, App};
use crate::support::within;

/// How many notifications of each kind.
const ALL: usize = 1_000;
/// How many in one request.
const AT_ONCE: usize = 20;

/// Publishes [`ALL`] numbers of both kinds.
async fn publish_all(app: Arc<App>) {
    let numbers: Vec<usize> = (0..ALL).collect();
    for some in numbers.chunks(AT_ONCE) {
        let both = some.iter().flat_map(|number| {
            [
                json!({"destination": NEWS, "payload": number}),
                json!({"destination": "/queue/orders", "user": ANNA.0, "payload": number}),
            ]
        });
        post(&app, &Value::Array(both.collect())).await;
        tokio::task::yield_now().await;
    }
}

/// Follows `destination` from the start, in as many sessions as it takes: each ends after `stays` MESSAGEs. Returns how
/// often it came back.
async fn follow(
    app: Arc<App>,
    destination: &'static str,
    begin: String,
    stays: usize,
    mode: &'static str,
) -> usize {
    let (mut at, mut next, mut sessions) = (begin, 0, 0);
    while next < ALL {
        let mut client = app.session("1.2").await;
        sessions += 1;
        let receipt = subscribe(&mut client, "0", destination, Some(&at), mode).await;
        assert_eq!(receipt.get("recovered"), "true", "{receipt:?} behind {at}");
        at = receipt.get("position").to_owned();
        for _ in 0..stays {
            let heard: Frame = frame(&mut client).await;
            assert_eq!(heard.body, next.to_string(), "{destination} behind {at}");
            at = heard.get("message-id").to_owned();
            if let Some(ack) = heard.find("ack") {
                client.say(format!("ACK\nid:{ack}\n\n\0")).await;
            }
            next += 1;
            if next == ALL {
                break;
            }
        }
    }
    sessions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_comes_once_and_in_order_over_reconnects_under_load() {
    let app = app_with(|config| {
        // Everything may be replayed at once.
        config.history.replay_messages = 100_000;
        config.history.replay_bytes = Some(config.limits.outbox_bytes);
        config.delivery.shards = 2;
    })
    .await;
    let app = Arc::new(app);
    let mut first = app.session("1.2").await;
    let news = subscribe(&mut first, "0", NEWS, None, "")
        .await
        .get("position")
        .to_owned();
    let orders = subscribe(&mut first, "1", ORDERS, None, "").await;
    let orders = orders.get("position").to_owned();
    drop(first);
    let mut followers = tokio::task::JoinSet::new();
    for (stays, mode) in [
        (17, ""),
        (61, ""),
        (400, ""),
        (23, "ack:client\nprefetch:5\n"),
        (90, "ack:client-individual\nprefetch:50\n"),
    ] {
        followers.spawn(follow(app.clone(), NEWS, news.clone(), stays, mode));
        followers.spawn(follow(app.clone(), ORDERS, orders.clone(), stays, mode));
    }
    let publishing = tokio::spawn(publish_all(app.clone()));
    let mut sessions = 0;
    while let Some(followed) = tokio::time::timeout(Duration::from_secs(120), followers.join_next())
        .await
        .expect("all followers within two minutes")
    {
        sessions += followed.unwrap();
    }
    within("the end of publishing", publishing).await.unwrap();
    println!("{sessions} sessions");
    assert_eq!(
        app.metric("herald_resumes_total{outcome=\"recovered\"}").await,
        sessions as f64
    );
}
