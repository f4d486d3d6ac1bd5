//! The promise: clients that resume from within the memory of the instance cost NATS nothing, however many they are.

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{NEWS, ORDERS, bodies, herald, outcome, position, publish, subscribe};
use crate::support::cluster::until;
use crate::support::cluster_client::Browser;
use crate::support::nats::NatsServer;
use crate::support::within;

/// Sessions that come back, each with two positions.
const SESSIONS: usize = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_comes_back_reads_nothing_of_nats() {
    let nats = NatsServer::start_with_jetstream("");
    let (herald, _folder) = herald(&nats, "").await;
    until("it is ready", async || herald.get("/readyz").await.status == 200).await;
    let observer = async_nats::connect(nats.url()).await.unwrap();
    let mut reads = observer.subscribe("$JS.API.DIRECT.GET.>").await.unwrap();
    observer.flush().await.unwrap();

    let mut browser = Browser::connect(herald.address, "test1").await;
    let news = position(&subscribe(&mut browser, NEWS, None).await);
    let orders = position(&subscribe(&mut browser, ORDERS, None).await);
    for body in ["a", "b", "c"] {
        publish(&herald, None, NEWS, body).await;
        publish(&herald, Some("test1"), "/queue/orders", body).await;
    }
    // A publish is answered once it is stored; the instance reads it a little later.
    for destination in [NEWS, ORDERS] {
        assert_eq!(bodies(&mut browser, destination, 3).await, ["a", "b", "c"]);
    }
    drop(browser);
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..SESSIONS {
        let (address, news, orders) = (herald.address, news.clone(), orders.clone());
        crowd.spawn(async move {
            let mut browser = Browser::connect(address, "test1").await;
            for (destination, position) in [(NEWS, news), (ORDERS, orders)] {
                let receipt = subscribe(&mut browser, destination, Some(&position)).await;
                assert_eq!(outcome(&receipt), (Some("true"), Some("3")));
                assert_eq!(bodies(&mut browser, destination, 3).await, ["a", "b", "c"]);
            }
        });
    }
    while let Some(session) = crowd.join_next().await {
        session.unwrap();
    }
    // A read of its own stands behind all that Herald has sent, and shows that reads are seen.
    let own = json!({"seq": 1, "next_by_subj": "herald.broadcast.queue.news", "own": true});
    let subject = "$JS.API.DIRECT.GET.HERALD_BROADCAST";
    let answered = observer.request(subject, own.to_string().into());
    within("an answer to the own read", answered).await.unwrap();
    loop {
        let read = within("the own read", reads.next()).await.unwrap();
        let read: Value = serde_json::from_slice(&read.payload).unwrap_or_default();
        // A reader without a consumer polls its whole stream; a resume asks for what it missed.
        if read["own"] == true {
            break;
        }
        assert!(
            !read.to_string().contains("queue.news") && !read.to_string().contains("queue.orders"),
            "a resume read {read}"
        );
    }
}
