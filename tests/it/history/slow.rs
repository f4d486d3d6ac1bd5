//! The promise: a session that is closed as a slow consumer, or drained, has lost nothing that it can still ask for.

use std::fmt::Write as _;

use herald::setting::ByteSize;
use serde_json::json;

use super::{NEWS, app, app_with, frame, message, news, post, subscribe};
use crate::support::client::{Client, Message};

#[tokio::test]
async fn a_slow_consumer_resumes() {
    let app = app_with(|config| {
        config.limits.socket_send_bytes = ByteSize::kib(16);
        config.limits.outbox_bytes = ByteSize::kib(64);
        config.history.replay_bytes = Some(ByteSize::mib(16));
    })
    .await;
    let mut slow = app.session("1.2").await;
    subscribe(&mut slow, "0", NEWS, None, "").await;
    let mut numbers = 0;
    let overflows = "herald_outbox_overflows_total";
    while app.metric(overflows).await == 0.0 {
        let some = (numbers..numbers + 50).map(|number| {
            let mut text = format!("{number} ");
            let _ = write!(text, "{}", "x".repeat(4_000));
            json!({"destination": NEWS, "payload": text})
        });
        post(&app, &some.collect()).await;
        numbers += 50;
    }
    let (mut at, mut next) = (None, 0);
    read(&mut slow, &mut at, &mut next, numbers).await;
    assert!(0 < next && next < numbers, "{next} of {numbers}");
    // It comes back as often as its outbox is too small for what is left, and reads further each time.
    let mut sessions = 0;
    while next < numbers {
        let (mut client, before) = (app.session("1.2").await, next);
        let receipt = subscribe(&mut client, "0", NEWS, at.as_deref(), "").await;
        assert_eq!(receipt.get("recovered"), "true");
        read(&mut client, &mut at, &mut next, numbers).await;
        assert!(before < next);
        sessions += 1;
    }
    println!("{sessions} sessions");
}

/// Reads until `numbers` have come, or the session is closed as a slow consumer. What comes continues at `next`.
async fn read(client: &mut Client, at: &mut Option<String>, next: &mut usize, numbers: usize) {
    while *next < numbers {
        match client.next().await {
            Message::Text(text) if text.starts_with(b"MESSAGE") => {
                let text = String::from_utf8(text).unwrap();
                let id = text.lines().find_map(|line| line.strip_prefix("message-id:"));
                assert!(text.contains(&format!("\n\"{next} ")), "{next}");
                *at = id.map(ToOwned::to_owned);
                *next += 1;
            }
            Message::Text(text) => assert!(text.starts_with(b"ERROR\nmessage:slow consumer")),
            Message::Close(code, _) => {
                assert_eq!(code, 1013);
                return;
            }
            other => panic!("{other:?}"),
        }
    }
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
