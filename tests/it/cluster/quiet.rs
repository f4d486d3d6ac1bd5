//! The promise: the bus carries no more than necessary: a user's first and last session on an instance are announced;
//! frames, pings, subscriptions and second sessions are not.

use std::time::Duration;

use futures_util::StreamExt;

use crate::support::cluster::{Cluster, until, until_online};
use crate::support::cluster_client::{Browser, Event};

const DIGEST: &str = "herald.control.all.presence.digest";
const REVOCATIONS: &str = "herald.control.all.tokens.digest";

#[tokio::test]
async fn frames_pings_and_second_sessions_say_nothing() {
    let cluster = Cluster::start(2).await;
    let (here, there) = (&cluster.instances[0], &cluster.instances[1]);
    let backend = async_nats::connect(cluster.nats.url()).await.unwrap();
    let mut first = Browser::connect(here.address, "test1").await;
    until_online(there, &["test1"]).await;
    let mut all = backend.subscribe("herald.>").await.unwrap();
    backend.flush().await.unwrap();

    first.subscribe("/queue/x").await;
    first.subscribe("/user/queue/y").await;
    for number in 0..50 {
        first.message(0x89, b"ping").await;
        first.message(0x82, b"\n").await;
        first
            .with_receipt("BEGIN", &[("transaction", &number.to_string())], b"")
            .await;
        first
            .with_receipt("ABORT", &[("transaction", &number.to_string())], b"")
            .await;
    }
    for _ in 0..50 {
        first.subscribe("/queue/z").await;
        first
            .with_receipt("UNSUBSCRIBE", &[("id", "/queue/z")], b"")
            .await;
    }
    for _ in 0..5 {
        let mut second = Browser::connect(here.address, "test1").await;
        second.subscribe("/queue/x").await;
        second.with_receipt("DISCONNECT", &[], b"").await;
        assert_eq!(second.end().await.code, 1000);
    }
    // Answered here, from what this instance knows.
    first.subscribe("/user/queue/init/users").await;
    first.send("/chat/init/users", &[], "").await;
    assert_eq!(
        first.next_on("/user/queue/init/users").await.text(),
        r#"["test1"]"#
    );

    // Batches wait 100 ms, digests come every second: their effects have arrived by now.
    let (mut digests, mut revocations, mut questions, mut others) = (0, 0, 0, Vec::new());
    let listening = async {
        while let Some(message) = all.next().await {
            match message.subject.as_str() {
                DIGEST => digests += 1,
                // At the start, and every 30 s.
                REVOCATIONS => revocations += 1,
                // Once, soon after the start.
                subject if subject.ends_with(".recent.list") => questions += 1,
                subject => others.push(subject.to_owned()),
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(1_500), listening).await;
    assert_eq!(others, [""; 0]);
    assert!(revocations <= 2, "{revocations} digests of revocations");
    assert!(
        questions <= 2,
        "{questions} questions of two instances that just started"
    );
    assert!(digests >= 2, "{digests} digests: the subscriber hears nothing");

    assert_eq!(first.pongs, 50);
    drop(first);
    let mut said = Vec::new();
    until("the last session's end is news", async || {
        if let Ok(Some(message)) = tokio::time::timeout(Duration::from_millis(500), all.next()).await
            && ![DIGEST, REVOCATIONS].contains(&message.subject.as_str())
        {
            said.push(message.subject.to_string());
        }
        said.len() >= 2
    })
    .await;
    said.sort();
    assert_eq!(
        said,
        [
            "herald.control.all.presence.changes",
            "herald.event.user.disconnected"
        ]
    );
}

#[tokio::test]
async fn a_ping_is_answered_while_nothing_else_moves() {
    let cluster = Cluster::start(1).await;
    let mut browser = Browser::connect(cluster.instances[0].address, "test1").await;
    browser.message(0x89, b"are you there?").await;
    let answer = browser.event_within(Duration::from_secs(5)).await;
    assert_eq!(answer, Some(Event::Pong(b"are you there?".to_vec())));
}
