//! Rules S1 to S8, A1 to A3, T1 to T4, D1 and D2: what a client may request.

use super::{ALL, message, message_with, refuses, subscribe, subscribed};
use crate::support::app::{ANNA, App, BEN};
use crate::support::client::{Client, Message, is_like};

/// `words` as a header's value in `version`.
fn escaped(words: &str, version: &str) -> String {
    match version {
        "1.0" => words.to_owned(),
        _ => words
            .replace('\\', "\\\\")
            .replace(':', "\\c")
            .replace('\n', "\\n"),
    }
}

async fn refuses_with(app: &App, version: &str, sent: &str, words: &str, code: u16) {
    let error = format!("message:{}", escaped(words, version));
    refuses(app, version, sent, &error, code).await;
}

/// The header `name` of the next frame, which must begin with `command`.
async fn header_of(client: &mut Client, command: &str, name: &str) -> String {
    match client.next().await {
        Message::Text(text) => {
            let text = String::from_utf8(text).unwrap();
            assert!(text.starts_with(&format!("{command}\n")), "{text}");
            let value = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
        }
        other => panic!("{other:?}"),
    }
}

async fn send(client: &mut Client, destination: &str, body: &str) {
    client
        .say(format!("SEND\ndestination:{destination}\n\n{body}\0"))
        .await;
}

#[tokio::test]
async fn s1_send_wants_a_destination() {
    let app = App::start().await;
    for version in ALL {
        refuses_with(
            &app,
            version,
            "SEND\n\nbody\0",
            "SEND: header destination is missing",
            1002,
        )
        .await;
    }
}

#[tokio::test]
async fn s2_a_senders_own_headers_reach_the_message() {
    let app = App::start().await;
    let mut client = subscribed(&app, "1.2", "0", "/queue/a").await;
    let mut sender = app.session_of(BEN, "1.2").await;
    sender
        .say(
            "SEND\ndestination:/queue/a\nb:2\na:1\nPriority:9\nexpires:0\npersistent:true\nreceipt:r\n\
             Receipt:x\nlogin:l\nPASSCODE:p\nX-Authorization:x\ncookie:c\nherald-x:x\nNats-Y:y\n\
             subscription:s\nmessage-id:m\nid:i\nack:a\ntimestamp:1\nheart-beat:1,1\n\nhi\0",
        )
        .await;
    sender.expect_receipt("r").await;
    let headers = "Priority:9\na:1\nb:2\nexpires:0\npersistent:true\n";
    client.expect(message_with("0", "/queue/a", headers, "hi")).await;
    // The transaction that it was in does not reach anybody either.
    sender
        .say(
            "BEGIN\ntransaction:t\n\n\0SEND\ndestination:/queue/a\ntransaction:t\nx:1\n\nhi\0\
             COMMIT\ntransaction:t\n\n\0",
        )
        .await;
    client.expect(message_with("0", "/queue/a", "x:1\n", "hi")).await;
}

#[tokio::test]
async fn s3_a_send_that_cannot_be_processed_is_an_error() {
    let app = App::with(|config| config.permissions.send.truncate(1)).await;
    for (destination, words, code) in [
        (
            "/topic/a",
            "SEND to /topic/a is not permitted: a client sends to broadcast destinations only where a rule in \
             permissions.send lets it",
            1008,
        ),
        (
            "/user/queue/a",
            "SEND to /user/queue/a is not permitted: a client sends to user destinations only where a rule in \
             permissions.send lets it",
            1008,
        ),
        (
            "/nowhere/a",
            "SEND: /nowhere/a: a destination begins with one of /queue/, /topic/, /chat/, /app/, /user/",
            1008,
        ),
        ("queue", "SEND: queue: a destination begins with '/'", 1008),
        (
            "/queue//a",
            "SEND: /queue//a: a destination has no empty segments",
            1008,
        ),
    ] {
        let sent = format!("SEND\ndestination:{destination}\n\nhi\0");
        refuses_with(&app, "1.2", &sent, words, code).await;
    }
    app.bus.set_down(true);
    refuses_with(
        &app,
        "1.2",
        "SEND\ndestination:/queue/a\n\nhi\0",
        "SEND: the bus is not connected",
        1013,
    )
    .await;
}

#[tokio::test]
async fn s4_subscribe_wants_a_destination_and_an_id_of_its_own() {
    let app = App::start().await;
    for version in ALL {
        let words = "SUBSCRIBE: header destination is missing";
        refuses_with(&app, version, "SUBSCRIBE\nid:0\n\n\0", words, 1002).await;
        let twice = "SUBSCRIBE\nid:0\ndestination:/queue/a\n\n\0SUBSCRIBE\nid:0\ndestination:/queue/b\n\n\0";
        let words = "SUBSCRIBE: header id names a live subscription";
        refuses_with(&app, version, twice, words, 1002).await;
        // Free again after UNSUBSCRIBE.
        let mut client = subscribed(&app, version, "0", "/queue/a").await;
        client.say("UNSUBSCRIBE\nid:0\n\n\0").await;
        subscribe(&mut client, "0", "/queue/b").await;
        send(&mut client, "/queue/b", "hi").await;
        client.expect(message("0", "/queue/b", "hi")).await;
    }
    for version in ["1.1", "1.2"] {
        let words = "SUBSCRIBE: header id is missing";
        refuses_with(
            &app,
            version,
            "SUBSCRIBE\ndestination:/queue/a\n\n\0",
            words,
            1002,
        )
        .await;
    }
    // In 1.0 the destination may replace it.
    let twice = "SUBSCRIBE\ndestination:/queue/a\n\n\0SUBSCRIBE\ndestination:/queue/a\n\n\0";
    let words = "SUBSCRIBE: header destination is that of a live subscription";
    refuses_with(&app, "1.0", twice, words, 1002).await;
}

#[tokio::test]
async fn s5_a_subscribe_that_fails_is_an_error_and_two_ids_are_two_messages() {
    let app = App::with(|config| config.limits.subscriptions = 2).await;
    for (destination, words) in [
        (
            "/chat/message",
            "SUBSCRIBE to /chat/message is not permitted: an application destination accepts only SEND",
        ),
        (
            "/nowhere",
            "SUBSCRIBE: /nowhere: a destination begins with one of /queue/, /topic/, /chat/, /app/, /user/",
        ),
        (
            "/queue/*",
            "SUBSCRIBE: /queue/*: a destination has no segment '*' or '**': there are no wildcards, name each destination",
        ),
    ] {
        let sent = format!("SUBSCRIBE\nid:0\ndestination:{destination}\n\n\0");
        refuses_with(&app, "1.2", &sent, words, 1008).await;
    }
    let mut client = subscribed(&app, "1.2", "0", "/queue/a").await;
    subscribe(&mut client, "1", "/queue/a").await;
    send(&mut client, "/queue/a", "hi").await;
    let (first, second) = (client.next().await, client.next().await);
    for id in ["0", "1"] {
        let expected = message(id, "/queue/a", "hi");
        let is_it = |found: &Message| match found {
            Message::Text(text) => is_like(expected.as_bytes(), text),
            _ => false,
        };
        assert!(is_it(&first) != is_it(&second), "{first:?} {second:?}");
    }
    client
        .say("SUBSCRIBE\nid:2\ndestination:/queue/a\nreceipt:r\n\n\0")
        .await;
    let error = "message:SUBSCRIBE\\c at most 2 subscriptions a session (limits.subscriptions)\nreceipt-id:r";
    client.expect_error(error, 1008).await;
}

#[tokio::test]
async fn s6_ack_is_auto_client_or_client_individual() {
    let app = App::start().await;
    let subscribe = |ack: &str| format!("SUBSCRIBE\nid:0\ndestination:/queue/a\nack:{ack}\nreceipt:r\n\n\0");
    for version in ALL {
        for ack in ["auto", "client", "client-individual"] {
            if (version, ack) == ("1.0", "client-individual") {
                continue;
            }
            let mut client = app.session(version).await;
            client.say(subscribe(ack)).await;
            client.expect_receipt("r").await;
        }
    }
    let words = "SUBSCRIBE: header ack must be auto, client or client-individual";
    for (version, ack) in [
        ("1.2", "manual"),
        ("1.2", ""),
        ("1.1", "CLIENT"),
        ("1.0", "client-individual"),
    ] {
        let sent = format!("SUBSCRIBE\nid:0\ndestination:/queue/a\nack:{ack}\n\n\0");
        refuses_with(&app, version, &sent, words, 1002).await;
    }
}

/// A session with the subscription `0` to `/queue/a` that allows two unacknowledged MESSAGEs.
async fn windowed(app: &App, version: &str, ack: &str) -> Client {
    let mut client = app.session(version).await;
    client
        .say(format!(
            "SUBSCRIBE\nid:0\ndestination:/queue/a\nack:{ack}\nprefetch:2\nreceipt:r\n\n\0"
        ))
        .await;
    client.expect_receipt("r").await;
    client
}

#[tokio::test]
async fn s7_client_is_cumulative_and_client_individual_is_not() {
    let app = App::start().await;
    let mut sender = app.session_of(BEN, "1.2").await;
    for (mode, after_first_ack) in [("client", 2), ("client-individual", 1)] {
        let mut client = windowed(&app, "1.2", mode).await;
        for body in ["1", "2", "3", "4", "5"] {
            send(&mut sender, "/queue/a", body).await;
        }
        header_of(&mut client, "MESSAGE", "ack").await;
        let second = header_of(&mut client, "MESSAGE", "ack").await;
        // Two are out and unacknowledged: the others wait.
        client.expect_nothing().await;
        client.say(format!("ACK\nid:{second}\n\n\0")).await;
        for _ in 0..after_first_ack {
            header_of(&mut client, "MESSAGE", "ack").await;
        }
        client.expect_nothing().await;
    }
}

#[tokio::test]
async fn s8_after_unsubscribe_no_message_is_made() {
    let app = App::start().await;
    for version in ALL {
        let mut client = subscribed(&app, version, "0", "/queue/a").await;
        subscribe(&mut client, "1", "/queue/b").await;
        client.say("UNSUBSCRIBE\nid:0\nreceipt:u\n\n\0").await;
        client.expect_receipt("u").await;
        send(&mut client, "/queue/a", "not any more").await;
        send(&mut client, "/queue/b", "hi").await;
        client.expect(message("1", "/queue/b", "hi")).await;
        let words = "UNSUBSCRIBE: header id names no live subscription";
        refuses_with(&app, version, "UNSUBSCRIBE\nid:0\n\n\0", words, 1002).await;
    }
    // What waited for an ACK is dropped, even if the id is used again.
    for version in ALL {
        let mut client = windowed(&app, version, "client").await;
        for body in ["1", "2", "waits", "waits too"] {
            send(&mut client, "/queue/a", body).await;
        }
        header_of(&mut client, "MESSAGE", "message-id").await;
        header_of(&mut client, "MESSAGE", "message-id").await;
        client.expect_nothing().await;
        assert!(app.metric("herald_outbox_bytes").await > 0.0);
        client.say("UNSUBSCRIBE\nid:0\n\n\0").await;
        client.expect_nothing().await;
        assert_eq!(app.metric("herald_outbox_bytes").await, 0.0);
        subscribe(&mut client, "0", "/queue/a").await;
        send(&mut client, "/queue/a", "anew").await;
        client.expect(message("0", "/queue/a", "anew")).await;
    }
    for version in ["1.1", "1.2"] {
        let words = "UNSUBSCRIBE: header id is missing";
        refuses_with(
            &app,
            version,
            "UNSUBSCRIBE\ndestination:/queue/a\n\n\0",
            words,
            1002,
        )
        .await;
    }
    // 1.0: by the destination, whether the subscription has an id or not.
    for id in ["", "id:0\n"] {
        let mut client = app.session("1.0").await;
        client
            .say(format!("SUBSCRIBE\n{id}destination:/queue/a\n\n\0"))
            .await;
        client
            .say("UNSUBSCRIBE\ndestination:/queue/a\nreceipt:u\n\n\0")
            .await;
        client.expect_receipt("u").await;
        client.say("SUBSCRIBE\nid:1\ndestination:/queue/b\n\n\0").await;
        send(&mut client, "/queue/a", "not any more").await;
        send(&mut client, "/queue/b", "hi").await;
        client.expect(message("1", "/queue/b", "hi")).await;
    }
    let words = "UNSUBSCRIBE: header destination names no live subscription";
    refuses_with(
        &app,
        "1.0",
        "UNSUBSCRIBE\ndestination:/queue/a\n\n\0",
        words,
        1002,
    )
    .await;
}

#[tokio::test]
async fn a1_ack_and_nack_name_the_message_by_version() {
    let app = App::start().await;
    for (version, kind) in [
        ("1.0", "ACK"),
        ("1.1", "ACK"),
        ("1.1", "NACK"),
        ("1.2", "ACK"),
        ("1.2", "NACK"),
    ] {
        let mut client = windowed(&app, version, "client").await;
        for body in ["1", "2", "3"] {
            send(&mut client, "/queue/a", body).await;
        }
        header_of(&mut client, "MESSAGE", "message-id").await;
        let name = if version == "1.2" { "ack" } else { "message-id" };
        let second = header_of(&mut client, "MESSAGE", name).await;
        client.expect_nothing().await;
        // Unknown ids are ignored; a receipt is due all the same.
        let named = |id: &str| match version {
            "1.2" => format!("id:{id}\nsubscription:0\n"),
            "1.1" => format!("message-id:{id}\nsubscription:0\n"),
            _ => format!("message-id:{id}\n"),
        };
        client
            .say(format!("{kind}\n{}receipt:1\n\n\0", named("nobody;0")))
            .await;
        client.expect_receipt("1").await;
        client
            .say(format!("{kind}\n{}receipt:2\n\n\0", named(&second)))
            .await;
        let mut came = Vec::new();
        for _ in 0..2 {
            match client.next().await {
                Message::Text(text) => came.push(String::from_utf8(text).unwrap()),
                other => panic!("{other:?}"),
            }
        }
        came.sort();
        assert!(
            came[0].starts_with("MESSAGE\n") && came[0].ends_with("\n\n3\0"),
            "{came:?}"
        );
        assert_eq!(came[1], "RECEIPT\nreceipt-id:2\n\n\0");
        // Acknowledged already: ignored too.
        client
            .say(format!("{kind}\n{}receipt:3\n\n\0", named(&second)))
            .await;
        client.expect_receipt("3").await;
    }
    for (version, sent, words) in [
        (
            "1.2",
            "ACK\nmessage-id:1\nsubscription:0\n\n\0",
            "ACK: header id is missing",
        ),
        (
            "1.1",
            "NACK\nsubscription:0\n\n\0",
            "NACK: header message-id is missing",
        ),
        (
            "1.1",
            "ACK\nmessage-id:1\n\n\0",
            "ACK: header subscription is missing",
        ),
        ("1.0", "ACK\nid:1\n\n\0", "ACK: header message-id is missing"),
        ("1.0", "NACK\nmessage-id:1\n\n\0", "NACK: no command of STOMP 1.0"),
    ] {
        refuses_with(&app, version, sent, words, 1002).await;
    }
}

#[tokio::test]
async fn a2_an_ack_may_be_part_of_a_transaction() {
    let app = App::start().await;
    for (end, released) in [("COMMIT", true), ("ABORT", false)] {
        let mut client = windowed(&app, "1.2", "client").await;
        for body in ["1", "2", "3"] {
            send(&mut client, "/queue/a", body).await;
        }
        header_of(&mut client, "MESSAGE", "ack").await;
        let second = header_of(&mut client, "MESSAGE", "ack").await;
        client
            .say(format!(
                "BEGIN\ntransaction:t\n\n\0ACK\nid:{second}\ntransaction:t\nreceipt:a\n\n\0"
            ))
            .await;
        client.expect_receipt("a").await;
        client.expect_nothing().await;
        client.say(format!("{end}\ntransaction:t\n\n\0")).await;
        if released {
            header_of(&mut client, "MESSAGE", "ack").await;
        }
        client.expect_nothing().await;
    }
}

#[tokio::test]
async fn a3_what_is_not_acknowledged_is_not_sent_again() {
    let app = App::start().await;
    let mut client = windowed(&app, "1.2", "client").await;
    send(&mut client, "/queue/a", "lost").await;
    header_of(&mut client, "MESSAGE", "ack").await;
    client.say("DISCONNECT\nreceipt:d\n\n\0").await;
    client.expect_receipt("d").await;
    client.expect_end(1000).await;
    let mut client = windowed(&app, "1.2", "client").await;
    let mut sender = app.session_of(BEN, "1.2").await;
    send(&mut sender, "/queue/a", "next").await;
    client
        .expect(
            "MESSAGE\nsubscription:0\nack:*\ndestination:/queue/a\nmessage-id:*\n\
             content-type:text/plain;charset=UTF-8\ncontent-length:4\ntimestamp:*\n\nnext\0",
        )
        .await;
    let lost = app
        .metric("herald_deliveries_total{outcome=\"unacknowledged\"}")
        .await;
    assert_eq!(lost, 1.0);
}

#[tokio::test]
async fn t1_begin_commit_and_abort_name_a_transaction() {
    let app = App::with(|config| config.limits.transactions = 2).await;
    for version in ALL {
        for command in ["BEGIN", "COMMIT", "ABORT"] {
            let words = format!("{command}: header transaction is missing");
            refuses_with(&app, version, &format!("{command}\n\n\0"), &words, 1002).await;
        }
        let twice = "BEGIN\ntransaction:t\n\n\0BEGIN\ntransaction:t\n\n\0";
        let words = "BEGIN: header transaction names an open transaction";
        refuses_with(&app, version, twice, words, 1002).await;
    }
    let three = "BEGIN\ntransaction:1\n\n\0BEGIN\ntransaction:2\n\n\0BEGIN\ntransaction:3\n\n\0";
    let words = "BEGIN: at most 2 open transactions (limits.transactions)";
    refuses_with(&app, "1.2", three, words, 1008).await;
    // Committed or aborted, an id is free again.
    let mut client = app.session("1.2").await;
    for end in ["COMMIT", "ABORT"] {
        client
            .say(format!(
                "BEGIN\ntransaction:t\nreceipt:b\n\n\0{end}\ntransaction:t\nreceipt:e\n\n\0"
            ))
            .await;
        client.expect_receipt("b").await;
        client.expect_receipt("e").await;
    }
}

#[tokio::test]
async fn t2_what_is_in_a_transaction_happens_at_its_commit() {
    let app = App::start().await;
    for version in ALL {
        let mut client = subscribed(&app, version, "0", "/queue/a").await;
        let mut sender = app.session_of(BEN, version).await;
        let in_t = |id: &str, body: &str| format!("SEND\ndestination:/queue/a\ntransaction:{id}\n\n{body}\0");
        sender
            .say("BEGIN\ntransaction:t\n\n\0BEGIN\ntransaction:u\n\n\0")
            .await;
        sender.say(in_t("t", "first")).await;
        sender.say(in_t("u", "never")).await;
        sender.say(in_t("t", "second")).await;
        send(&mut sender, "/queue/a", "outside").await;
        // What came before it in a transaction has not been sent.
        client.expect(message("0", "/queue/a", "outside")).await;
        sender
            .say("ABORT\ntransaction:u\n\n\0COMMIT\ntransaction:t\n\n\0")
            .await;
        client.expect(message("0", "/queue/a", "first")).await;
        client.expect(message("0", "/queue/a", "second")).await;
        send(&mut sender, "/queue/a", "after").await;
        client.expect(message("0", "/queue/a", "after")).await;
        for (sent, command) in [
            (in_t("unknown", "x"), "SEND"),
            ("COMMIT\ntransaction:unknown\n\n\0".to_owned(), "COMMIT"),
            ("ABORT\ntransaction:unknown\n\n\0".to_owned(), "ABORT"),
        ] {
            let words = format!("{command}: header transaction names no open transaction");
            refuses_with(&app, version, &sent, &words, 1002).await;
        }
    }
}

#[tokio::test]
async fn t3_the_end_of_a_session_aborts_its_transactions() {
    let app = App::with(|config| {
        config.limits.transaction_actions = 2;
        config.limits.transaction_bytes.0 = 2_000;
    })
    .await;
    let mut client = subscribed(&app, "1.2", "0", "/queue/a").await;
    let open = "BEGIN\ntransaction:t\n\n\0SEND\ndestination:/queue/a\ntransaction:t\n\nnever\0";
    for end in ["DISCONNECT\n\n\0", "COMMIT\n\n\0"] {
        let mut sender = app.session_of(BEN, "1.2").await;
        sender.say(open).await;
        sender.say(end).await;
        while sender.next().await != Message::Eof {}
    }
    let mut sender = app.session_of(BEN, "1.2").await;
    sender.say(open).await;
    sender.expect_nothing().await;
    drop(sender);
    let mut sender = app.session_of(BEN, "1.2").await;
    send(&mut sender, "/queue/a", "hi").await;
    client.expect(message("0", "/queue/a", "hi")).await;
    // Their number and size are bounded.
    let in_t = |body: &str| format!("SEND\ndestination:/queue/a\ntransaction:t\n\n{body}\0");
    let three = format!("BEGIN\ntransaction:t\n\n\0{}{}{}", in_t(""), in_t(""), in_t(""));
    let words = "SEND: at most 2 frames in a transaction (limits.transaction_actions)";
    refuses_with(&app, "1.2", &three, words, 1008).await;
    let long = format!("BEGIN\ntransaction:t\n\n\0{}", in_t(&"x".repeat(2_000)));
    let words = "SEND: open transactions are over 2000 bytes (limits.transaction_bytes)";
    refuses_with(&app, "1.2", &long, words, 1008).await;
    // Headers weigh as much as a body.
    let long = in_t("").replace("\n\n", &format!("\na:{}\n\n", "x".repeat(2_000)));
    let long = format!("BEGIN\ntransaction:t\n\n\0{long}");
    refuses_with(&app, "1.2", &long, words, 1008).await;
}

#[tokio::test]
async fn t4_a_receipt_of_a_send_in_a_transaction_comes_at_once() {
    let app = App::start().await;
    for version in ALL {
        let mut client = subscribed(&app, version, "0", "/queue/a").await;
        client
            .say("BEGIN\ntransaction:t\n\n\0SEND\ndestination:/queue/a\ntransaction:t\nreceipt:s\n\nhi\0")
            .await;
        client.expect_receipt("s").await;
        client.expect_nothing().await;
        client.say("COMMIT\ntransaction:t\n\n\0").await;
        client.expect(message("0", "/queue/a", "hi")).await;
    }
}

#[tokio::test]
async fn d1_disconnect_processes_all_before_it_then_receipt_then_close() {
    let app = App::start().await;
    for version in ALL {
        let mut other = subscribed(&app, version, "0", "/queue/a").await;
        let mut client = app.session_of(ANNA, version).await;
        let sends = (0..20).map(|n| format!("SEND\ndestination:/queue/a\n\n{n}\0"));
        let all: String = sends
            .chain(["DISCONNECT\nreceipt:bye\n\n\0".to_owned()])
            .collect();
        client.say(all).await;
        client.expect_receipt("bye").await;
        client.expect_end(1000).await;
        for n in 0..20 {
            other.expect(message("0", "/queue/a", &n.to_string())).await;
        }
        other.say("DISCONNECT\n\n\0").await;
        other.expect_end(1000).await;
    }
}

#[tokio::test]
async fn d2_what_follows_disconnect_is_discarded() {
    let app = App::start().await;
    let mut other = subscribed(&app, "1.2", "0", "/queue/a").await;
    let mut client = app.session("1.2").await;
    client
        .say("DISCONNECT\nreceipt:d\n\n\0SEND\ndestination:/queue/a\n\nlate\0no frame at all\0")
        .await;
    client.expect_receipt("d").await;
    client.expect_end(1000).await;
    let mut sender = app.session_of(BEN, "1.2").await;
    send(&mut sender, "/queue/a", "hi").await;
    other.expect(message("0", "/queue/a", "hi")).await;
}
