//! The promise: while a replay waits until its client makes room, the session continues: ACK and NACK are executed,
//! counted and limited as usual, other frames are answered in their order, and a second resume waits for the first.

use std::time::Duration;

use herald::config::Config;
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
    resuming_with(mode, |_| ()).await
}

/// The same, configured further.
async fn resuming_with(mode: &str, more: impl FnOnce(&mut Config)) -> (App, Client) {
    let app = app_with(|config| {
        more(config);
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

/// What one MESSAGE or RECEIPT is, by its subscription or its id.
fn told(frame: &str) -> String {
    let name = match frame.starts_with("RECEIPT\n") {
        true => "receipt-id:",
        false => "subscription:",
    };
    header(frame, name).unwrap_or_else(|| panic!("{frame:.200}"))
}

/// The next RECEIPT; MESSAGEs in front of it are counted in `messages`.
async fn receipt(client: &mut Client, messages: &mut usize) -> String {
    loop {
        let frame = text(client).await;
        match frame.starts_with("MESSAGE\n") {
            true => *messages += 1,
            false => return told(&frame),
        }
    }
}

#[tokio::test]
async fn other_frames_are_answered_in_their_order() {
    let (_app, mut client) = resuming("").await;
    client.say("UNSUBSCRIBE\nid:errors\nreceipt:one\n\n\0").await;
    client
        .say("SEND\ndestination:/app/message\nreceipt:two\n\n{}\0")
        .await;
    let (mut next, mut receipts) = (0, Vec::new());
    while next < MISSED || receipts.len() < 2 {
        let frame = text(&mut client).await;
        match frame.starts_with("RECEIPT\n") {
            true => receipts.push(told(&frame)),
            false => {
                assert!(frame.contains(&format!("\n\n\"{next} ")), "{next}: {frame:.200}");
                next += 1;
            }
        }
    }
    assert_eq!(receipts, ["one", "two"]);
}

#[tokio::test]
async fn who_wants_an_answer_before_it_acknowledges_gets_it() {
    let (_app, mut client, mut ack) = behind_a_window().await;
    for n in 1..=20 {
        let send = format!("SEND\ndestination:/app/message\nreceipt:{n}\n\n{{}}\0");
        client.say(send).await;
        assert_eq!(receipt(&mut client, &mut 0).await, n.to_string());
        client.say(format!("ACK\nid:{ack}\n\n\0")).await;
        let message = text(&mut client).await;
        assert!(message.contains(&format!("\n\n\"{n} ")), "{message:.200}");
        ack = header(&message, "ack:").expect("an ack header");
    }
    // An acknowledgement within a transaction makes room as well.
    client
        .say(format!(
            "BEGIN\ntransaction:t\n\n\0ACK\nid:{ack}\ntransaction:t\n\n\0COMMIT\ntransaction:t\n\n\0"
        ))
        .await;
    let message = text(&mut client).await;
    assert!(message.contains("\n\n\"21 "), "{message:.200}");
}

#[tokio::test]
async fn a_second_resume_waits_for_the_first_and_acknowledgements_pass_it() {
    let (app, mut client, mut ack) = behind_a_window().await;
    let mut other = app.session("1.2").await;
    let at = subscribe(&mut other, "0", "/queue/other", None, "").await;
    post(&app, &json!({"destination": "/queue/other", "payload": "missed"})).await;
    let position = at.get("position");
    client
        .say(format!(
            "SUBSCRIBE\nid:1\ndestination:/queue/other\nlast-message-id:{position}\nreceipt:second\n\n\0"
        ))
        .await;
    client.say("UNSUBSCRIBE\nid:errors\nreceipt:third\n\n\0").await;
    client.say(format!("ACK\nid:{ack}\n\n\0")).await;
    let (mut next, mut rest) = (1, Vec::new());
    while next < MISSED || rest.len() < 3 {
        let frame = text(&mut client).await;
        match header(&frame, "subscription:").as_deref() {
            Some("0") => {
                assert!(frame.contains(&format!("\n\n\"{next} ")), "{next}: {frame:.200}");
                next += 1;
                ack = header(&frame, "ack:").expect("an ack header");
                client.say(format!("ACK\nid:{ack}\n\n\0")).await;
            }
            _ => rest.push(told(&frame)),
        }
    }
    assert_eq!(rest, ["second", "1", "third"]);
}

#[tokio::test]
async fn a_replay_that_waits_ends_with_its_subscription() {
    let (app, mut client, _) = behind_a_window().await;
    client.say("UNSUBSCRIBE\nid:0\nreceipt:gone\n\n\0").await;
    assert_eq!(receipt(&mut client, &mut 0).await, "gone");
    // Its id and the session are as good as new.
    let begun = subscribe(&mut client, "0", NEWS, None, "").await;
    assert_eq!(begun.outcome(), (None, None));
    post(&app, &json!({"destination": NEWS, "payload": "anew"})).await;
    let message = text(&mut client).await;
    assert!(message.contains("\n\n\"anew\""), "{message:.200}");
}

#[tokio::test]
async fn who_makes_no_room_is_told_what_it_did_not_do() {
    let mode = "ack:client-individual\nprefetch:1\n";
    let (app, mut client) = resuming_with(mode, |config| {
        config.limits.replay_ack_timeout.0 = Duration::from_millis(500);
    })
    .await;
    let first = text(&mut client).await;
    assert!(first.starts_with("MESSAGE\n"), "{first:.200}");
    let error = text(&mut client).await;
    let words = "\nmessage:SUBSCRIBE\\c slow consumer\\c nothing was acknowledged for 500ms while more waits \
                 (limits.replay_ack_timeout)\n";
    assert!(error.starts_with("ERROR\n") && error.contains(words), "{error}");
    assert!(error.contains("\nretry-after-ms:"), "{error}");
    client.expect_end(1013).await;
    let hits = "herald_limit_hits_total{limit=\"limits.replay_ack_timeout\"}";
    assert_eq!(app.metric(hits).await, 1.0);
    let others = "herald_limit_hits_total{limit=\"limits.outbox_total_bytes\"}";
    assert_eq!(app.metric(others).await, 0.0);
}
