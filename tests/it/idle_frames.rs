//! The promise: frames that settle nothing have a rate, whatever kind they are, and end their session beyond it; ACKs
//! and NACKs of outstanding MESSAGEs do not count. Runs the built program.

use std::time::Duration;

use crate::support::alone;
use crate::support::cluster::{admin, until};
use crate::support::cluster_client::{Browser, Event};
use crate::support::process::Herald;
use crate::support::within;

const WORDS: &str = "frames that settle nothing: more than 1/m burst 20 (limits.idle_frames_per_session)";
const TEXT: u8 = 0x81;
const BEGUN: u8 = 0x01;
const MORE: u8 = 0x00;

async fn herald() -> (tempfile::TempDir, Herald) {
    let settings = [("HERALD_LIMITS__IDLE_FRAMES_PER_SESSION", "1/m burst 20")];
    alone::herald("idle", &settings, "").await
}

/// A session with a subscription in this ack mode, and `messages` MESSAGEs for it: their `ack` headers.
async fn subscribed(herald: &Herald, mode: &str, messages: usize) -> (Browser, Vec<String>) {
    let mut browser = Browser::connect(herald.address, "test1").await;
    let headers = [("id", "s"), ("destination", "/queue/x"), ("ack", mode)];
    browser.with_receipt("SUBSCRIBE", &headers, b"").await;
    let mut acks = Vec::new();
    for number in 0..messages {
        admin(herald, "POST", "/api/v1/broadcast/queue/x").await;
        let message = browser.next_on("s").await;
        let id = message.header("message-id").unwrap();
        let ack = message
            .header("ack")
            .map_or_else(|| format!("{id};s"), Into::into);
        assert_eq!(ack, format!("{id};s"), "{number}");
        acks.push(ack);
    }
    (browser, acks)
}

/// The session ends because of what it has sent, and that counts.
async fn ended(herald: &Herald, browser: &mut Browser, hits: u64) {
    let end = browser.end().await;
    assert_eq!((end.code, end.error()), (1008, Some(WORDS)), "{end:?}");
    counted(herald, hits).await;
}

async fn counted(herald: &Herald, hits: u64) {
    until("the hit to be counted", async || {
        let metrics = admin(herald, "GET", "/metrics").await.text();
        let line = format!("herald_limit_hits_total{{limit=\"limits.idle_frames_per_session\"}} {hits}\n");
        metrics.contains(&line)
    })
    .await;
}

/// Sends `command` until the session is closed. Its shard tells a moment later what has settled nothing, so that a few
/// more than the burst get through.
async fn until_closed(
    herald: &Herald,
    browser: &mut Browser,
    command: &str,
    headers: &[(&str, &str)],
    hits: u64,
) {
    for _ in 0..21 {
        browser.frame(command, headers, b"").await;
    }
    let first = within("the session to be closed", async {
        loop {
            if let Some(event) = browser.event_within(Duration::from_millis(50)).await {
                return event;
            }
            browser.frame(command, headers, b"").await;
        }
    })
    .await;
    match first {
        Event::Frame(frame) => assert_eq!(frame.header("message"), Some(WORDS), "{frame:?}"),
        other => panic!("{other:?} instead of an ERROR"),
    }
    assert_eq!(browser.end().await.code, 1008);
    counted(herald, hits).await;
}

#[tokio::test]
async fn acks_of_an_id_that_never_was() {
    let (_folder, herald) = herald().await;
    // Without a subscription, with one that has nothing outstanding, and with one that has: the last asks the shard.
    let mut browser = Browser::connect(herald.address, "test1").await;
    until_closed(&herald, &mut browser, "ACK", &[("id", "never;s")], 1).await;
    let (mut browser, _) = subscribed(&herald, "client-individual", 0).await;
    until_closed(&herald, &mut browser, "NACK", &[("id", "never;s")], 2).await;
    let (mut browser, _) = subscribed(&herald, "client-individual", 1).await;
    until_closed(&herald, &mut browser, "ACK", &[("id", "never;s")], 3).await;
}

#[tokio::test]
async fn acks_that_come_twice_or_where_none_are_awaited() {
    let (_folder, herald) = herald().await;
    let (mut browser, acks) = subscribed(&herald, "client-individual", 2).await;
    browser.frame("ACK", &[("id", &acks[0])], b"").await;
    until_closed(&herald, &mut browser, "ACK", &[("id", &acks[0])], 1).await;
    let (mut browser, acks) = subscribed(&herald, "auto", 1).await;
    until_closed(&herald, &mut browser, "ACK", &[("id", &acks[0])], 2).await;
}

#[tokio::test]
async fn transactions_that_come_to_nothing() {
    let (_folder, herald) = herald().await;
    let transaction = [("transaction", "t")];
    for (hits, end) in [(1, "ABORT"), (2, "COMMIT")] {
        let mut browser = Browser::connect(herald.address, "test1").await;
        for _ in 0..21 {
            browser.frame("BEGIN", &transaction, b"").await;
            browser.frame(end, &transaction, b"").await;
        }
        ended(&herald, &mut browser, hits).await;
    }
    // ACKs that would settle something, in a transaction that is aborted.
    let (mut browser, acks) = subscribed(&herald, "client-individual", 1).await;
    browser.frame("BEGIN", &transaction, b"").await;
    for _ in 0..21 {
        browser
            .frame("ACK", &[("id", &*acks[0]), ("transaction", "t")], b"")
            .await;
    }
    browser.frame("ABORT", &transaction, b"").await;
    browser.frame("UNSUBSCRIBE", &[("id", "s")], b"").await;
    ended(&herald, &mut browser, 3).await;
}

#[tokio::test]
async fn pieces_that_complete_no_frame() {
    let (_folder, herald) = herald().await;
    let mut browser = Browser::connect(herald.address, "test1").await;
    for _ in 0..22 {
        browser.message(TEXT, b"\n").await;
    }
    ended(&herald, &mut browser, 1).await;
    let mut browser = Browser::connect(herald.address, "test1").await;
    for byte in b"SEND\ndestination:/app/x\n\n" {
        browser.message(TEXT, &[*byte]).await;
    }
    ended(&herald, &mut browser, 2).await;
    // The same in fragments of one message.
    let mut browser = Browser::connect(herald.address, "test1").await;
    let mut first = BEGUN;
    for byte in b"SEND\ndestination:/app/x\n" {
        browser.message(first, &[*byte]).await;
        first = MORE;
    }
    ended(&herald, &mut browser, 3).await;
    // A large piece is a part of a large frame.
    let mut browser = Browser::connect(herald.address, "test1").await;
    browser
        .message(TEXT, b"SEND\ndestination:/app/x\ncontent-length:81920\n\n")
        .await;
    for _ in 0..80 {
        browser.message(TEXT, &[b'x'; 1_024]).await;
    }
    browser.message(TEXT, b"\0").await;
    browser.subscribe("/queue/x").await;
}

#[tokio::test]
async fn acks_of_outstanding_messages_are_free() {
    let (_folder, herald) = herald().await;
    for mode in ["client", "client-individual"] {
        let (mut browser, acks) = subscribed(&herald, mode, 50).await;
        for (number, ack) in acks.iter().enumerate() {
            let command = if number % 2 == 0 { "ACK" } else { "NACK" };
            browser.frame(command, &[("id", ack)], b"").await;
        }
        browser.subscribe("/queue/y").await;
        browser.subscribe("/queue/z").await;
    }
    // In a transaction, too.
    let (mut browser, acks) = subscribed(&herald, "client-individual", 50).await;
    browser.frame("BEGIN", &[("transaction", "t")], b"").await;
    for ack in &acks {
        browser
            .frame("ACK", &[("id", ack), ("transaction", "t")], b"")
            .await;
    }
    browser.with_receipt("COMMIT", &[("transaction", "t")], b"").await;
    browser.subscribe("/queue/y").await;
    browser.subscribe("/queue/z").await;
}
