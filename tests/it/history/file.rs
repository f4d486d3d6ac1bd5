//! The promise of `history.path`: a notification with a 202 is there after `kill -9`, once and in order, and clients
//! resume as if nothing had happened; a second instance, and a file that is not a history, are refused in words.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;

use crate::support::cluster::until;
use crate::support::cluster_client::{Browser, Frame};
use crate::support::process::{Herald, Launch, request};

const PUBLISHERS: usize = 16;
/// The most that each one publishes.
const EACH: usize = 60;
const ORDERS: &str = "/user/queue/orders";

fn launch(file: &std::path::Path) -> Launch {
    Launch::demo()
        .set("HERALD_HISTORY__PATH", &file.to_string_lossy())
        .set("HERALD_LIMITS__OUTBOX_BYTES", "8MiB")
        .set("HERALD_HISTORY__REPLAY_MESSAGES", "10000")
        .set("HERALD_HISTORY__REPLAY_BYTES", "4MiB")
}

async fn subscribe(browser: &mut Browser, after: Option<&str>) -> Frame {
    let mut headers = vec![("id", ORDERS), ("destination", ORDERS), ("receipt", "r")];
    headers.extend(after.map(|after| ("last-message-id", after)));
    browser.frame("SUBSCRIBE", &headers, b"").await;
    let receipt = browser.next().await;
    assert_eq!(receipt.header("receipt-id"), Some("r"), "{receipt:?}");
    receipt
}

fn sequence(position: &str) -> (u64, u64) {
    let (epoch, sequence) = position.split_once('-').expect("a position");
    (epoch.parse().unwrap(), sequence.parse().unwrap())
}

/// Body and position, in the order of their coming, up to the notification `last`.
async fn until_last(browser: &mut Browser, last: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    loop {
        let message = browser.next_on(ORDERS).await;
        let body = message.json().as_str().expect("a text").to_owned();
        let is_last = body == last;
        found.push((body, message.header("message-id").expect("an id").to_owned()));
        if is_last {
            return found;
        }
    }
}

async fn publish(to: std::net::SocketAddr, body: &str, key: &str) -> Option<String> {
    let object = json!({"destination": "/queue/orders", "user": "test1", "payload": body}).to_string();
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
    let answer = request(to, "POST", "/api/v1/notifications", &headers, object.as_bytes()).await;
    let answer = answer.ok().filter(|answer| answer.status == 202)?;
    Some(answer.json()["position"].as_str().expect("a position").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history");
    let mut herald = Herald::start("first", &launch(&file)).await;
    let address = herald.address;
    let mut away = Browser::connect(address, "test1").await;
    let begin = subscribe(&mut away, None)
        .await
        .header("position")
        .unwrap()
        .to_owned();
    drop(away);
    let mut live = Browser::connect(address, "test1").await;
    subscribe(&mut live, None).await;

    let stored = Arc::new(Mutex::new(Vec::new()));
    let unknown = Arc::new(Mutex::new(Vec::new()));
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let (stored, unknown) = (stored.clone(), unknown.clone());
            tokio::spawn(async move {
                for number in 0..EACH {
                    let body = format!("{publisher}-{number}");
                    match publish(address, &body, &body).await {
                        Some(position) => stored.lock().push((body, position)),
                        None => return unknown.lock().push(body),
                    }
                }
            })
        })
        .collect();
    until("half of it", async || stored.lock().len() > PUBLISHERS * EACH / 2).await;
    herald.kill();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    let heard: Vec<Frame> = live.end().await.frames;
    let heard: Vec<&str> = heard
        .iter()
        .filter_map(|frame| frame.header("message-id"))
        .collect();

    let herald = Herald::start("second", &launch(&file)).await;
    let address = herald.address;
    // Who does not know repeats with its key: stored once, whichever way it was.
    let unknown = std::mem::take(&mut *unknown.lock());
    for body in unknown {
        let position = publish(address, &body, &body).await.expect("stored");
        stored.lock().push((body, position));
    }
    let last = publish(address, "last", "last").await.unwrap();
    stored.lock().push(("last".to_owned(), last));
    let mut stored = stored.lock().clone();
    stored.sort_by_key(|(_, position)| sequence(position));
    let mut back = Browser::connect(address, "test1").await;
    let receipt = subscribe(&mut back, Some(&begin)).await;
    assert_eq!(receipt.header("recovered"), Some("true"), "{receipt:?}");
    let found = until_last(&mut back, "last").await;
    assert_eq!(found, stored);
    let count = found.len() as u64;
    let (epoch, first) = sequence(&found[0].1);
    assert!(
        found
            .iter()
            .zip(first..)
            .all(|((_, at), expected)| sequence(at) == (epoch, expected))
    );
    assert_eq!(sequence(&begin), (epoch, first - 1));
    // What a session heard before is what was stored, and nothing else.
    assert!(
        heard
            .iter()
            .zip(&found)
            .all(|(heard, (_, position))| heard == position)
    );
    let after = *heard.last().expect("something was heard");
    let mut again = Browser::connect(address, "test1").await;
    let receipt = subscribe(&mut again, Some(after)).await;
    assert_eq!(receipt.header("recovered"), Some("true"), "{receipt:?}");
    let rest = until_last(&mut again, "last").await;
    assert_eq!(rest, found[heard.len()..]);
    assert!(count > heard.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_used_is_named_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history");
    let held = Herald::start("holder", &launch(&file)).await;
    let (code, said) = launch(&file).run().await;
    assert_eq!(code, Some(78), "{said}");
    assert!(
        said.contains("history.path") && said.contains("another process has it open"),
        "{said}"
    );
    let metrics = held.get("/readyz").await;
    assert_eq!(metrics.status, 200);
    held.stop().await;
    // Ended in order, it can be opened at once.
    let next = tokio::time::timeout(Duration::from_secs(30), Herald::start("next", &launch(&file))).await;
    next.expect("a start").stop().await;
    std::fs::write(&file, "a text").unwrap();
    let check = Launch::new(&["check"]).set("HERALD_HISTORY__PATH", &file.to_string_lossy());
    for launch in [launch(&file), check] {
        let (code, said) = launch.run().await;
        assert_eq!(code, Some(78), "{said}");
        let named = file.to_string_lossy();
        assert!(said.contains("history.path") && said.contains(&*named), "{said}");
        assert!(said.contains("expected a history of Herald"), "{said}");
    }
}
