//! The promise: a stream that was restored from an older copy is another history, even if it has grown again beyond
//! what was read of it. A resuming client never gets messages of both, and is told so once; a publisher is never told a
//! position of the old history.
//!
//! The copy is of the stopped server's files, as a backup has them. While it is restored nothing passes between Herald
//! and NATS, so that Herald finds the stream as others have left it.

use std::time::{Duration, Instant};

use super::{NEWS, attempt, bodies, herald_at, outcome, position, publish, subscribe};
use crate::support::cluster_client::{Browser, Event, Frame};
use crate::support::cut::Proxy;
use crate::support::nats::NatsServer;
use crate::support::process::Herald;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);
/// The subject of `NEWS`.
const SUBJECT: &str = "herald.broadcast.queue.news";

/// One instance, and its way to a server that is about to be put back.
struct Scene {
    nats: NatsServer,
    way: Proxy,
    herald: Herald,
    /// A position in front of the copy, which the instance's memory does not hold.
    early: String,
    /// The last one behind it.
    last: String,
    _folder: tempfile::TempDir,
}

impl Scene {
    /// A copy was made, and five notifications were stored behind it.
    async fn start() -> Self {
        let mut nats = NatsServer::start_with_jetstream("");
        let way = Proxy::to(([127, 0, 0, 1], nats.port()).into()).await;
        let url = format!("nats://{}", way.address());
        let (herald, folder) = herald_at(&url, "tail_bytes = \"1MiB\"\n").await;
        herald.until_ready().await;
        let early = publish(&herald, None, NEWS, "early").await;
        let filler = "x".repeat(100_000);
        for _ in 0..12 {
            publish(&herald, None, "/queue/others", &filler).await;
        }
        nats.kill();
        nats.keep_store();
        nats.restart();
        let mut last = String::new();
        for number in 0..5 {
            (last, _) = publish_at_last(&herald, &format!("old {number}")).await;
        }
        Self {
            nats,
            way,
            herald,
            early,
            last,
            _folder: folder,
        }
    }

    /// Puts the server back, and lets others store in it more than there was before.
    async fn put_back_and_overtake(&mut self) {
        self.way.cut().await;
        self.nats.kill();
        self.nats.put_back_store();
        self.nats.restart();
        let backend = async_nats::connect(self.nats.url()).await.expect("a backend");
        let mut stored = 0;
        while stored < sequence(&self.last) + 3 {
            let answer = backend
                .request(SUBJECT, "\"new\"".into())
                .await
                .expect("an answer");
            let answer: serde_json::Value = serde_json::from_slice(&answer.payload).expect("JSON");
            stored = answer["seq"].as_u64().expect("it is stored");
        }
    }
}

fn epoch(position: &str) -> u64 {
    let (epoch, _) = position.split_once('-').expect("a position");
    epoch.parse().expect("an epoch")
}

fn sequence(position: &str) -> u64 {
    let (_, sequence) = position.split_once('-').expect("a position");
    sequence.parse().expect("a sequence")
}

/// Resumes behind `after`. The RECEIPT, or `None` if the session was ended instead.
async fn resume(herald: &Herald, after: &str) -> Option<(Browser, Frame)> {
    let mut browser = Browser::connect(herald.address, "test1").await;
    let headers = [
        ("id", NEWS),
        ("destination", NEWS),
        ("receipt", "subscribed"),
        ("last-message-id", after),
    ];
    browser.frame("SUBSCRIBE", &headers, b"").await;
    match browser.event_within(LONG).await.expect("an answer") {
        Event::Frame(frame) if frame.command == "RECEIPT" => Some((browser, frame)),
        _ => None,
    }
}

/// Publishes until that is answered 202, as who is refused does. The position, and how often it was refused.
async fn publish_at_last(herald: &Herald, body: &str) -> (String, u32) {
    let (began, mut refused) = (Instant::now(), 0);
    loop {
        assert!(began.elapsed() < LONG, "nothing is stored");
        let answer = attempt(herald, None, NEWS, body).await;
        match answer.status {
            202 => {
                let position = answer.json()["position"].as_str().expect("a position").to_owned();
                return (position, refused);
            }
            503 => refused += 1,
            status => panic!("{status}: {}", answer.text()),
        }
    }
}

/// How often the session is told of a gap until it ends.
async fn gaps(mut browser: Browser) -> usize {
    let end = browser.end().await;
    assert_eq!(end.code, 1013, "{end:?}");
    let is_gap = |frame: &&Frame| frame.header("message") == Some("history gap, reconnect");
    end.frames.iter().filter(is_gap).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_what_is_of_both_histories_and_everybody_is_told_once() {
    let mut scene = Scene::start().await;
    let mut live = Browser::connect(scene.herald.address, "test2").await;
    let receipt = subscribe(&mut live, NEWS, Some(&scene.early)).await;
    // What the instance has yet to read comes live.
    assert_eq!(receipt.header("recovered"), Some("true"), "{receipt:?}");
    assert_eq!(bodies(&mut live, NEWS, 5).await[4], "old 4");
    scene.put_back_and_overtake().await;
    scene.way.mend();
    let began = Instant::now();
    // What is behind this position is in the stream alone, and there it is of the other history.
    let told = loop {
        assert!(began.elapsed() < LONG, "nobody is told");
        let Some((_, receipt)) = resume(&scene.herald, &scene.early).await else {
            continue;
        };
        match outcome(&receipt) {
            (Some("false"), Some("epoch-changed")) => break position(&receipt),
            (Some("false"), Some("unavailable")) => {}
            other => panic!("{other:?}: what was stored behind {} is gone", scene.early),
        }
    };
    assert!(epoch(&told) > epoch(&scene.last), "{told} behind {}", scene.last);
    assert_eq!(gaps(live).await, 1);
    let (mut back, receipt) = resume(&scene.herald, &scene.last).await.expect("a RECEIPT");
    assert_eq!(outcome(&receipt), (Some("false"), Some("epoch-changed")));
    assert_eq!(epoch(&position(&receipt)), epoch(&told));
    // It stays, and goes on in the new history.
    publish(&scene.herald, None, NEWS, "after").await;
    assert_eq!(bodies(&mut back, NEWS, 1).await, ["after"]);
    let (_, receipt) = resume(&scene.herald, &told).await.expect("a RECEIPT");
    assert_eq!(receipt.header("recovered"), Some("true"), "{receipt:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_publishes_is_told_a_position_of_the_history_that_there_is() {
    let mut scene = Scene::start().await;
    scene.put_back_and_overtake().await;
    scene.way.mend();
    let (at, refused) = publish_at_last(&scene.herald, "mine").await;
    println!("stored at {at}, after {refused} refusals");
    assert!(epoch(&at) > epoch(&scene.last), "{at} behind {}", scene.last);
    // It stands there.
    let before = format!("{}-{}", epoch(&at), sequence(&at) - 1);
    let (mut browser, receipt) = resume(&scene.herald, &before).await.expect("a RECEIPT");
    assert_eq!(receipt.header("recovered"), Some("true"), "{receipt:?}");
    let message = browser.next_on(NEWS).await;
    assert_eq!((position(&message), message.json()), (at, "mine".into()));
}

/// The stream is shorter than what was read: a cluster's leader may look so for a moment, and until that is known nobody is
/// told a position that may be another's soon.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_waits_until_it_is_known_which_history_there_is() {
    let mut scene = Scene::start().await;
    scene.nats.kill();
    scene.nats.put_back_store();
    scene.nats.restart();
    // By then it is known.
    let (at, _) = publish_at_last(&scene.herald, "mine").await;
    assert!(epoch(&at) > epoch(&scene.last), "{at} behind {}", scene.last);
    let mut browser = Browser::connect(scene.herald.address, "test1").await;
    let receipt = subscribe(&mut browser, NEWS, Some(&scene.last)).await;
    assert_eq!(outcome(&receipt), (Some("false"), Some("epoch-changed")));
    assert_eq!(epoch(&position(&receipt)), epoch(&at));
}
