//! The promise: while a replay waits until its client makes room, ACK and NACK are executed, counted and limited as ever, and
//! other frames wait, in their order.

use std::time::Duration;

use herald::setting::ByteSize;
use serde_json::json;
use tokio::time::sleep;

use super::{NEWS, app_with, post, subscribe};
use crate::support::app::App;
use crate::support::client::{Client, Message};
use crate::support::within;

const WORDS: &str =
    "message:frames that settle nothing\\c more than 1/m burst 20 (limits.idle_frames_per_session)\n";
const HITS: &str = "herald_limit_hits_total{limit=\"limits.idle_frames_per_session\"}";
/// So many are missed: more than the buffers of sockets have room for.
const MISSED: usize = 400;

/// An instance with small outboxes, and a session that resumes in this ack mode and has read the RECEIPT.
async fn resuming(mode: &str) -> (App, Client) {
    let app = app_with(|config| {
        config.limits.socket_send_bytes = ByteSize::kib(16);
        config.limits.outbox_bytes = ByteSize::kib(64);
        config.limits.idle_frames_per_session = "1/m burst 20".parse().unwrap();
    })
    .await;
    let mut before = app.session("1.2").await;
    let at = subscribe(&mut before, "0", NEWS, None, "").await;
    drop(before);
    let filling = "x".repeat(2_000);
    let objects = (0..MISSED).map(|n| json!({"destination": NEWS, "payload": format!("{n} {filling}")}));
    for some in objects.collect::<Vec<_>>().chunks(50) {
        post(&app, &some.into()).await;
    }
    let mut client = app.session("1.2").await;
    subscribe(&mut client, "errors", "/user/queue/errors", None, "").await;
    let receipt = subscribe(&mut client, "0", NEWS, Some(at.get("position")), mode).await;
    assert_eq!(receipt.outcome(), (Some("true"), Some("400")));
    (app, client)
}

/// The same behind a window: the replay waits for ACKs. Gives the `ack` header of the first MESSAGE.
async fn behind_a_window() -> (App, Client, String) {
    let (app, mut client) = resuming("ack:client-individual\nprefetch:1\n").await;
    let first = text(&mut client).await;
    let ack = header(&first, "ack:").expect("an ack header");
    (app, client, ack)
}

async fn text(client: &mut Client) -> String {
    match client.next().await {
        Message::Text(text) => String::from_utf8(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn header(frame: &str, name: &str) -> Option<String> {
    let mut lines = frame.lines().take_while(|line| !line.is_empty());
    lines.find_map(|line| line.strip_prefix(name)).map(str::to_owned)
}

/// Sends `frame` until the session is closed for it. What is delivered meanwhile is read.
async fn is_closed_for(app: &App, client: &mut Client, frame: &str) {
    for _ in 0..21 {
        client.say(frame).await;
    }
    // The shard tells a moment later what has settled nothing, and the next frame is refused for it.
    within("the session to be refused", async {
        while app.metric(HITS).await < 1.0 {
            client.say(frame).await;
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let error = loop {
        let next = text(client).await;
        if !next.starts_with("MESSAGE\n") {
            break next;
        }
    };
    assert!(
        error.starts_with("ERROR\n") && error.contains(WORDS),
        "{frame}: {error}"
    );
    client.expect_end(1008).await;
}

#[tokio::test]
async fn acks_of_nothing_end_the_session() {
    // Of no subscription, of one that awaits none, and of nothing that is outstanding.
    for frame in [
        "ACK\nid:7-7;never\n\n\0",
        "NACK\nid:7-7;errors\n\n\0",
        "ACK\nid:7-7;0\n\n\0",
    ] {
        let (app, mut client, _) = behind_a_window().await;
        is_closed_for(&app, &mut client, frame).await;
    }
    // Where nothing awaits an ACK, and the replay waits for the client to read.
    let (app, mut client) = resuming("").await;
    is_closed_for(&app, &mut client, "ACK\nid:7-7;0\n\n\0").await;
}

#[tokio::test]
async fn an_ack_of_a_message_id_is_answered_by_a_note() {
    let (_app, mut client, ack) = behind_a_window().await;
    let (message_id, _) = ack.split_once(';').unwrap();
    client.say(format!("ACK\nid:{message_id}\n\n\0")).await;
    let note = text(&mut client).await;
    assert!(
        note.contains("\nsubscription:errors\n") && note.contains("\"unknown_ack\""),
        "{note}"
    );
}

#[tokio::test]
async fn other_frames_wait_and_keep_their_order() {
    let (_app, mut client) = resuming("").await;
    let unsubscribe = "UNSUBSCRIBE\nid:errors\nreceipt:one\n\n\0";
    let send = "SEND\ndestination:/queue/other\nreceipt:two\n\nbody\0";
    client.say(unsubscribe).await;
    client.say(send).await;
    for n in 0..MISSED {
        let message = text(&mut client).await;
        assert!(message.starts_with("MESSAGE\n"), "{n}: {message:.200}");
        assert!(message.contains(&format!("\n\n\"{n} ")), "{n}: {message:.200}");
    }
    for receipt in ["one", "two"] {
        let frame = text(&mut client).await;
        assert!(
            frame.contains(&format!("RECEIPT\nreceipt-id:{receipt}\n")),
            "{frame}"
        );
    }
}
