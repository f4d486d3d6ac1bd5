//! Rules R1 to R3, G1 to G3, E1 to E3 and L1: what the server answers.

use super::{ALL, message, message_with, refuses, subscribe, subscribed};
use crate::support::app::{ANNA, App, BEN, connect};
use crate::support::client::{CLOSE, Message, TEXT, frame, is_like};

#[tokio::test]
async fn r1_every_frame_may_ask_for_a_receipt() {
    let app = App::start().await;
    for version in ALL {
        let mut client = app.session(version).await;
        for (number, frame) in [
            "SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client\n",
            "SEND\ndestination:/queue/b\n",
            "SEND\ndestination:/chat/init/users\n",
            "BEGIN\ntransaction:t\n",
            "SEND\ndestination:/queue/b\ntransaction:t\n",
            "COMMIT\ntransaction:t\n",
            "BEGIN\ntransaction:u\n",
            "ABORT\ntransaction:u\n",
            "ACK\nid:x\nmessage-id:x\nsubscription:0\n",
            "UNSUBSCRIBE\nid:0\n",
            "DISCONNECT\n",
        ]
        .iter()
        .enumerate()
        {
            client.say(format!("{frame}receipt:r-{number}\n\n\0")).await;
            client.expect_receipt(&format!("r-{number}")).await;
        }
        client.expect_end(1000).await;
    }
    // As received, escaped again.
    let mut client = app.session("1.2").await;
    client
        .say("BEGIN\ntransaction:t\nreceipt: a\\cb\\\\c\\nd\\r \n\n\0")
        .await;
    client.expect_receipt(" a\\cb\\\\c\\nd\\r ").await;
    client.say("ABORT\ntransaction:t\nreceipt:\n\n\0").await;
    client.expect_receipt("").await;
}

#[tokio::test]
async fn r2_frames_received_before_the_end_are_processed_in_their_order() {
    let app = App::start().await;
    let mut other = subscribed(&app, "1.2", "0", "/queue/a").await;
    let mut client = app.session_of(BEN, "1.2").await;
    let frames: String = (0..50)
        .map(|n| format!("SEND\ndestination:/queue/a\n\n{n}\0BEGIN\ntransaction:{n}\nreceipt:{n}\n\n\0ABORT\ntransaction:{n}\n\n\0"))
        .collect();
    client.say(frames).await;
    for n in 0..50 {
        client.expect_receipt(&n.to_string()).await;
        other.expect(message("0", "/queue/a", &n.to_string())).await;
    }
    // The connection ends after them, without an ERROR.
    let sends = |from: usize| -> String {
        (from..from + 50)
            .map(|n| format!("SEND\ndestination:/queue/a\n\n{n}\0"))
            .collect()
    };
    client.say(sends(50)).await;
    client.finish().await;
    let mut client = app.session_of(BEN, "1.2").await;
    for n in 50..100 {
        other.expect(message("0", "/queue/a", &n.to_string())).await;
    }
    client.say(sends(100)).await;
    client.write(frame(CLOSE, &[3, 232])).await;
    client.expect_end(1000).await;
    for n in 100..150 {
        other.expect(message("0", "/queue/a", &n.to_string())).await;
    }
}

#[tokio::test]
async fn r3_a_subscribes_receipt_precedes_its_first_message() {
    let app = App::start().await;
    let mut sender = app.session_of(BEN, "1.2").await;
    for destination in ["/queue/a", "/user/queue/a"] {
        for round in 0..20 {
            let mut client = app.session_of(BEN, ALL[round % 3]).await;
            let frame = format!("SUBSCRIBE\nid:0\ndestination:{destination}\nreceipt:r\n\n\0");
            let send = format!("SEND\ndestination:{destination}\n\nhi\0");
            // Concurrently, before, and directly after it.
            sender.say(&send).await;
            client.say(format!("{frame}{send}")).await;
            sender.say(&send).await;
            client.expect_receipt("r").await;
            client.expect(message("0", destination, "hi")).await;
        }
    }
}

#[tokio::test]
async fn g1_a_message_names_destination_id_and_subscription() {
    let app = App::start().await;
    let mut ids = std::collections::HashSet::new();
    for version in ALL {
        let mut client = subscribed(&app, version, "sub-0", "/topic/a/b").await;
        for _ in 0..3 {
            client.say("SEND\ndestination:/topic/a/b\n\nhi\0").await;
            let Message::Text(text) = client.next().await else {
                panic!("no text");
            };
            let expected = message("sub-0", "/topic/a/b", "hi");
            assert!(is_like(expected.as_bytes(), &text));
            let text = String::from_utf8(text).unwrap();
            let id = text.lines().find(|line| line.starts_with("message-id:")).unwrap();
            assert!(ids.insert(id.to_owned()), "{text}");
        }
    }
    // 1.0 without an id: the MESSAGE has no subscription header either.
    let mut client = app.session("1.0").await;
    client
        .say("SUBSCRIBE\ndestination:/queue/a\n\n\0SEND\ndestination:/queue/a\n\nhi\0")
        .await;
    let expected = message("x", "/queue/a", "hi").replace("subscription:x\n", "");
    client.expect(expected).await;
}

#[tokio::test]
async fn g2_ack_stands_in_1_2_where_the_mode_acknowledges() {
    let app = App::start().await;
    for version in ALL {
        for ack in ["auto", "client", "client-individual"] {
            if (version, ack) == ("1.0", "client-individual") {
                continue;
            }
            let mut client = app.session(version).await;
            let subscribe = |id: u8| format!("SUBSCRIBE\nid:{id}\ndestination:/queue/a\nack:{ack}\n\n\0");
            client.say(subscribe(0) + &subscribe(1)).await;
            client.say("SEND\ndestination:/queue/a\n\nhi\0").await;
            let mut acks = Vec::new();
            for _ in 0..2 {
                let Message::Text(text) = client.next().await else {
                    panic!("no text");
                };
                let text = String::from_utf8(text).unwrap();
                acks.extend(
                    text.lines()
                        .find(|line| line.starts_with("ack:"))
                        .map(str::to_owned),
                );
            }
            acks.dedup();
            let expected = if version == "1.2" && ack != "auto" { 2 } else { 0 };
            assert_eq!(acks.len(), expected, "{version} {ack}: {acks:?}");
        }
    }
}

#[tokio::test]
async fn g3_a_message_has_length_type_and_its_publishers_headers() {
    let app = App::start().await;
    for version in ALL {
        let mut client = subscribed(&app, version, "0", "/queue/a").await;
        client
            .say("SEND\ndestination:/queue/a\ncontent-type:application/json\nb:2\na:1\n\n{}\0")
            .await;
        let typed = message_with("0", "/queue/a", "a:1\nb:2\n", "{}")
            .replace("text/plain;charset=UTF-8", "application/json");
        client.expect(typed).await;
        // Without one: by the content of the body.
        client.say("SEND\ndestination:/queue/a\n\nhi\0").await;
        client.expect(message("0", "/queue/a", "hi")).await;
        client
            .say_binary(b"SEND\ndestination:/queue/a\ncontent-length:2\n\n\xff\0\0")
            .await;
        client
            .expect_binary(
                b"MESSAGE\nsubscription:0\ndestination:/queue/a\nmessage-id:*\n\
                  content-type:application/octet-stream\ncontent-length:2\ntimestamp:*\n\n\xff\0\0",
            )
            .await;
    }
}

#[tokio::test]
async fn e1_an_error_ends_the_connection_at_once() {
    let app = App::start().await;
    for version in ALL {
        // The next frame is not processed.
        let mut client = subscribed(&app, version, "0", "/queue/a").await;
        client
            .say("JUMP\n\n\0SEND\ndestination:/queue/a\nreceipt:r\n\nhi\0")
            .await;
        client
            .expect_error("message:unknown command \"JUMP\"", 1002)
            .await;
    }
}

#[tokio::test]
async fn e2_an_error_has_the_culprits_receipt_and_no_receipt_comes() {
    let app = App::start().await;
    for version in ["1.1", "1.2"] {
        for (frame, words) in [
            (
                "SUBSCRIBE\nid:0\nreceipt:a\\cb\n\n\0",
                "SUBSCRIBE\\c header destination is missing",
            ),
            ("BEGIN\nreceipt:a\\cb\n\nbody\0", "BEGIN must not have a body"),
            (
                "SEND\nreceipt:a\\cb\nx:\\t\n\n\0",
                "header \"x\" has the escape '\\\\t', which STOMP VERSION does not define",
            ),
            (
                "SEND\nreceipt:a\\cb\nreceipt:c\ndestination:/x\n\n\0",
                "SEND\\c /x\\c a destination begins with one of /queue/, /topic/, /chat/, /app/, /user/",
            ),
        ] {
            let code = if words.contains("/x") { 1008 } else { 1002 };
            let error = format!("message:{}\nreceipt-id:a\\cb", words.replace("VERSION", version));
            refuses(&app, version, frame, &error, code).await;
        }
    }
}

#[tokio::test]
async fn e3_what_passes_a_limit_is_an_error_that_names_it() {
    let app = App::with(|config| {
        config.limits.headers = 5;
        config.limits.header_bytes.0 = 40;
        config.limits.body_bytes.0 = 100;
    })
    .await;
    let send = |headers: &str, body: &str| format!("SEND\ndestination:/queue/a\n{headers}\n{body}\0");
    let mut client = subscribed(&app, "1.2", "0", "/queue/a").await;
    // The limits themselves are allowed.
    let header = format!("x:{}\n", "y".repeat(39));
    client.say(send(&header, &"z".repeat(100))).await;
    client
        .expect(message_with("0", "/queue/a", &header, &"z".repeat(100)))
        .await;
    for (sent, words) in [
        (
            send("receipt:r\na:1\nb:2\nc:3\nd:4\n", ""),
            "a frame has at most 5 headers (limits.headers)",
        ),
        (
            send(&format!("receipt:r\nx:{}\n", "y".repeat(40)), ""),
            "header \"x\" is over 40 bytes (limits.header_bytes)",
        ),
        (
            send("receipt:r\n", &"z".repeat(101)),
            "a body has at most 100 bytes (limits.body_bytes)",
        ),
        (
            send("receipt:r\ncontent-length:101\n", ""),
            "a body has at most 100 bytes (limits.body_bytes)",
        ),
    ] {
        refuses(&app, "1.2", sent, &format!("message:{words}\nreceipt-id:r"), 1009).await;
    }
}

#[tokio::test]
async fn l1_the_last_frame_reaches_a_client_that_reads() {
    let app = App::with(|config| config.limits.body_bytes.0 = 200 << 10).await;
    // Many that connect and end at the same time.
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = app.open().await;
        client.say(connect(ANNA, "1.2", "") + "JUMP\n\n\0").await;
        clients.push(client);
    }
    for client in &mut clients {
        client.expect("CONNECTED\n…").await;
        client
            .expect_error("message:unknown command \"JUMP\"", 1002)
            .await;
    }
    // A client that keeps sending far more than is allowed still hears why.
    let mut client = app.session("1.2").await;
    let long = format!(
        "SEND\ndestination:/queue/a\nreceipt:r\n\n{}\0",
        "x".repeat(1_500 << 10)
    );
    let pieces = long
        .as_bytes()
        .chunks(8 << 10)
        .flat_map(|piece| frame(TEXT, piece));
    assert!(client.try_write(pieces.collect::<Vec<u8>>()).await);
    let error = "message:a body has at most 204800 bytes (limits.body_bytes)\nreceipt-id:r";
    client.expect_error(error, 1009).await;
    // Nothing was reset: for a while, what it sends is still read.
    client.write(vec![0; 256 << 10]).await;
    client.write(vec![0; 256 << 10]).await;
    // The same in one message, as browsers send it.
    let mut client = app.session("1.2").await;
    client.write(frame(TEXT, long.as_bytes())).await;
    client.expect("ERROR\nmessage:WebSocket message over …").await;
    client.expect_end(1009).await;
    client.write(vec![0; 256 << 10]).await;
    client.write(vec![0; 256 << 10]).await;
    // The peer's own end is awaited for a bounded time: the server sends FIN first, and nothing is reset.
    let mut client = app.session("1.2").await;
    subscribe(&mut client, "0", "/queue/a").await;
    client.say("DISCONNECT\n\n\0").await;
    client.expect_end(1000).await;
    client.write(frame(CLOSE, &[3, 232])).await;
    client.finish().await;
    assert_eq!(client.next().await, Message::Eof);
}
