//! The promise: a session that is closed as a slow consumer, or drained, has lost nothing that it can still ask for; a
//! replay may be larger than the outbox, and a client that reads makes progress.

use std::sync::Arc;

use herald::setting::ByteSize;
use serde_json::json;

use super::{NEWS, app, app_with, frame, message, news, post, subscribe};
use crate::support::app::App;
use crate::support::client::{Client, Message};
use crate::support::within;

/// An outbox of `outbox`; the rest as it is by default.
async fn small(outbox: ByteSize) -> App {
    app_with(|config| {
        config.limits.socket_send_bytes = ByteSize::kib(16);
        config.limits.outbox_bytes = outbox;
    })
    .await
}

/// Publishes these numbers, each with 2,000 bytes.
async fn publish(app: &App, numbers: std::ops::Range<usize>) {
    let filling = "x".repeat(2_000);
    let all: Vec<usize> = numbers.collect();
    for some in all.chunks(50) {
        let texts = some.iter().map(|number| format!("{number} {filling}"));
        let objects = texts.map(|text| json!({"destination": NEWS, "payload": text}));
        post(app, &objects.collect()).await;
        tokio::task::yield_now().await;
    }
}

/// A client that follows [`NEWS`], and what it has.
struct Follower {
    client: Client,
    at: String,
    next: usize,
}

/// How a [`Follower`]'s reading ended.
#[derive(Debug, PartialEq)]
enum Ended {
    HasAll,
    TooSlow,
}

impl Follower {
    async fn begin(app: &App) -> Self {
        let mut client = app.session("1.2").await;
        let receipt = subscribe(&mut client, "0", NEWS, None, "").await;
        let at = receipt.get("position").to_owned();
        Self { client, at, next: 0 }
    }

    /// Comes back. Nothing may be missing.
    async fn again(&mut self, app: &App, more: &str) {
        self.client = app.session("1.2").await;
        let receipt = subscribe(&mut self.client, "0", NEWS, Some(&self.at), more).await;
        assert_eq!(receipt.get("recovered"), "true", "{receipt:?}");
        self.at = receipt.get("position").to_owned();
    }

    /// Reads up to the number `until`, or until it is closed as a slow consumer. What comes continues.
    async fn read(&mut self, until: usize) -> Ended {
        let mut told = false;
        while self.next < until || told {
            match self.client.next().await {
                Message::Text(text) if text.starts_with(b"MESSAGE") => {
                    let text = String::from_utf8(text).unwrap();
                    let header = |name: &str| {
                        text.lines()
                            .find_map(|line| line.strip_prefix(name))
                            .map(str::to_owned)
                    };
                    assert!(text.contains(&format!("\n\"{} ", self.next)), "{}", self.next);
                    self.at = header("message-id:").unwrap();
                    self.next += 1;
                    if let Some(ack) = header("ack:") {
                        self.client.say(format!("ACK\nid:{ack}\n\n\0")).await;
                    }
                }
                Message::Text(text) => {
                    let text = String::from_utf8(text).unwrap();
                    assert!(
                        text.starts_with("ERROR\n") && text.contains("slow consumer"),
                        "{text}"
                    );
                    let ms = text.split("\nretry-after-ms:").nth(1).unwrap();
                    let ms: u32 = ms.lines().next().unwrap().parse().unwrap();
                    assert!((500..=4_500).contains(&ms), "{ms}");
                    told = true;
                }
                Message::Close(code, _) => {
                    assert_eq!((code, told), (1013, true));
                    return Ended::TooSlow;
                }
                other => panic!("{other:?}"),
            }
        }
        Ended::HasAll
    }
}

/// Waits until so many sessions were closed as slow consumers.
async fn closed(app: &App, count: f64) {
    let closes = "herald_session_closes_total{reason=\"slow_consumer\"}";
    within("a slow consumer is closed", async {
        while app.metric(closes).await < count {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_consumer_comes_back_again_and_again_until_it_has_everything() {
    const ALL: usize = 1_500;
    let app = Arc::new(small(ByteSize::kib(256)).await);
    let mut follower = Follower::begin(&app).await;
    // It reads nothing while much comes live.
    let mut published = 0;
    while app.metric("herald_outbox_overflows_total").await == 0.0 {
        publish(&app, published..published + 50).await;
        published += 50;
    }
    assert_eq!(follower.read(ALL).await, Ended::TooSlow);
    assert!((1..published).contains(&follower.next));
    let publishing = tokio::spawn({
        let app = app.clone();
        async move { publish(&app, published..ALL).await }
    });
    // It reads a little of its replay, which is larger than its outbox, and no more.
    publish_is_ahead(&app).await;
    follower.again(&app, "").await;
    let before = follower.next;
    assert_eq!(follower.read(before + 50).await, Ended::HasAll);
    closed(&app, 2.0).await;
    assert_eq!(follower.read(ALL).await, Ended::TooSlow);
    assert!((before..ALL).contains(&follower.next));
    let mut sessions = 0;
    loop {
        follower.again(&app, "").await;
        sessions += 1;
        if follower.read(ALL).await == Ended::HasAll {
            break;
        }
    }
    publishing.await.unwrap();
    println!("{sessions} more sessions");
}

/// Waits until more is kept than a replay of which little is read leaves behind in buffers.
async fn publish_is_ahead(app: &App) {
    within("most is published", async {
        while app.metric("herald_tail_messages{kind=\"broadcast\"}").await < 1_400.0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_larger_than_the_outbox_comes_whole_while_more_comes() {
    let app = Arc::new(small(ByteSize::kib(64)).await);
    let mut follower = Follower::begin(&app).await;
    let (_, at) = (follower.client.say("DISCONNECT\n\n\0").await, follower.at.clone());
    publish(&app, 0..800).await;
    let publishing = tokio::spawn({
        let app = app.clone();
        async move { publish(&app, 800..1_400).await }
    });
    follower.at = at;
    follower.again(&app, "").await;
    let mut ended = follower.read(1_400).await;
    // Of the replay nothing is lost on the way; what comes live afterwards may be too fast for so small an outbox.
    assert!(follower.next >= 800, "{}", follower.next);
    while ended == Ended::TooSlow {
        follower.again(&app, "").await;
        ended = follower.read(1_400).await;
    }
    publishing.await.unwrap();
}

#[tokio::test]
async fn behind_a_window_each_piece_waits_for_acknowledgements() {
    let app = small(ByteSize::kib(64)).await;
    let mut follower = Follower::begin(&app).await;
    let at = follower.at.clone();
    drop(follower.client);
    publish(&app, 0..300).await;
    for mode in [
        "ack:client-individual\nprefetch:3\n",
        "ack:client\nprefetch:100\n",
    ] {
        follower = Follower {
            client: app.session("1.2").await,
            at: at.clone(),
            next: 0,
        };
        follower.again(&app, mode).await;
        assert_eq!(follower.read(300).await, Ended::HasAll);
    }
    assert_eq!(app.metric("herald_resume_duration_seconds_count").await, 2.0);
}

/// A drain ends sessions by 1001; in memory the next process is another epoch, and says so.
#[tokio::test]
async fn a_drained_session_is_told_by_the_next_process() {
    let first = app().await;
    let mut client = first.session("1.2").await;
    subscribe(&mut client, "0", NEWS, None, "").await;
    news(&first, "a").await;
    let at = message(&mut client).await.get("message-id").to_owned();
    first.stop();
    client.expect_end(1001).await;
    let second = app().await;
    let mut client = second.session("1.2").await;
    let receipt = subscribe(&mut client, "0", NEWS, Some(&at), "").await;
    assert_eq!(receipt.outcome(), (Some("false"), Some("epoch-changed")));
    news(&second, "b").await;
    assert_eq!(frame(&mut client).await.body, "\"b\"");
}
