//! The promise: the open transactions of all sessions together are bounded by `limits.transaction_total_bytes`, and no
//! user takes the room of the others. Over real sockets.

use crate::support::app::{ANNA, App, BEN};
use crate::support::client::{Client, Message};

const NO_ROOM: &str = "message:SEND\\c too many open transactions of all sessions, come again later (limits.transaction_total_bytes)";
const BEGIN: &str = "BEGIN\ntransaction:t\n\n\0";

fn send(bytes: usize) -> String {
    let body = "x".repeat(bytes);
    format!("SEND\ndestination:/queue/message\ntransaction:t\n\n{body}\0")
}

/// A session whose open transaction holds something of `bytes`.
async fn holder(app: &App, bytes: usize) -> Client {
    let mut client = app.session_of(ANNA, "1.2").await;
    client.say(BEGIN).await;
    client.say(&send(bytes)).await;
    client.say("BEGIN\ntransaction:last\nreceipt:r\n\n\0").await;
    client
}

#[tokio::test]
async fn all_open_transactions_together_hold_so_much() {
    const LIMIT: &str = "herald_limit_hits_total{limit=\"limits.transaction_total_bytes\"}";
    let app = App::with(|config| config.limits.transaction_total_bytes.0 = 1 << 20).await;
    let mut holders = Vec::new();
    let refused = loop {
        assert!(holders.len() < 30, "30 hold more than 1 MiB");
        let mut client = holder(&app, 60 << 10).await;
        match client.next().await {
            Message::Text(text) if text == b"RECEIPT\nreceipt-id:r\n\n\0" => holders.push(client),
            Message::Text(text) => break (String::from_utf8(text).unwrap(), client.next().await),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused.0, format!("ERROR\n{NO_ROOM}\n\n\0"));
    assert!(matches!(refused.1, Message::Close(1013, _)), "{:?}", refused.1);
    assert!(app.metric(LIMIT).await as u64 == 1);
    assert!(holders.len() >= 2, "{}", holders.len());

    // Another user has room.
    let mut other = app.session_of(BEN, "1.2").await;
    other.say(BEGIN).await;
    other.say(&send(60 << 10)).await;
    other.say("ABORT\ntransaction:t\nreceipt:a\n\n\0").await;
    other.expect_receipt("a").await;

    // An ABORT, and the end of a session, give everything back.
    let mut first = holders.remove(0);
    first.say("ABORT\ntransaction:t\nreceipt:a\n\n\0").await;
    first.expect_receipt("a").await;
    for mut holder in holders {
        holder.say("DISCONNECT\nreceipt:d\n\n\0").await;
        holder.expect_receipt("d").await;
        while holder.next().await != Message::Eof {}
    }
    let mut again = holder(&app, 60 << 10).await;
    again.expect_receipt("r").await;
}
