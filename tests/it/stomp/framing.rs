//! Rules F1 to F12: how bytes become frames.

use super::{ALL, cuts, message, refuses, subscribed};
use crate::support::app::{ANNA, App, connect};

#[tokio::test]
async fn f1_a_frame_is_command_headers_body_nul() {
    let app = App::start().await;
    for version in ALL {
        // No headers at all.
        let mut client = app.session(version).await;
        client.say("DISCONNECT\n\n\0").await;
        client.expect_end(1000).await;
    }
    let error = r#"message:unknown command "send""#;
    refuses(&app, "1.2", "send\ndestination:/queue/a\n\n\0", error, 1002).await;
    let error = r"message:SEND\c header destination is missing";
    refuses(&app, "1.2", "SEND\nDestination:/queue/a\n\n\0", error, 1002).await;
    let error = "message:NUL before the blank line that ends the headers";
    refuses(&app, "1.2", "SEND\ndestination:/queue/a\n\0", error, 1002).await;
}

#[tokio::test]
async fn f2_lf_ends_a_line_and_cr_lf_does_in_1_2() {
    let app = App::start().await;
    let frame = "SUBSCRIBE\r\nid:0\ndestination:/queue/a\r\nreceipt:r\r\n\r\n\0";
    for message in cuts(frame.as_bytes()) {
        let mut client = app.session("1.2").await;
        client.write(message).await;
        client.expect_receipt("r").await;
    }
    // In earlier versions a CR is part of the text that it stands in.
    for version in ["1.0", "1.1"] {
        let mut client = app.session(version).await;
        client.say("BEGIN\ntransaction:t\nreceipt:r\r\n\n\0").await;
        client.expect_receipt("r\r").await;
    }
    let error = r#"message:unknown command "BEGIN\\r""#;
    refuses(&app, "1.1", "BEGIN\r\ntransaction:t\n\n\0", error, 1002).await;
}

#[tokio::test]
async fn f3_ends_of_line_between_frames_are_skipped() {
    let app = App::start().await;
    for version in ALL {
        let frames = "\n\r\n\nBEGIN\ntransaction:t\nreceipt:1\n\n\0\n\n\0\0\r\n\nABORT\ntransaction:t\nreceipt:2\n\n\0\n";
        for message in cuts(frames.as_bytes()) {
            let mut client = app.session(version).await;
            client.write(message).await;
            client.expect_receipt("1").await;
            client.expect_receipt("2").await;
            client.expect_nothing().await;
        }
    }
    // Also before CONNECT.
    let mut client = app.open().await;
    client.say("\n\r\n").await;
    client.say(connect(ANNA, "1.2", "")).await;
    client.expect("CONNECTED\n…").await;

    let error = "message:a CR that no LF follows between frames";
    refuses(&app, "1.2", "\n\rBEGIN\ntransaction:t\n\n\0", error, 1002).await;
    let error = "message:header 1 of the frame has a CR that no LF follows";
    refuses(&app, "1.2", "BEGIN\ntransaction:t\rx\n\n\0", error, 1002).await;
}

#[tokio::test]
async fn f4_command_and_headers_are_utf8_and_a_body_is_any_octets() {
    let app = App::start().await;
    for version in ALL {
        let error = "message:header 2 of the frame is not UTF-8";
        refuses(&app, version, b"SEND\na:b\nc:\xff\n\n\0", error, 1002).await;
    }
    let mut client = subscribed(&app, "1.2", "0", "/queue/ä").await;
    client
        .say_binary(
            [
                "SEND\ndestination:/queue/ä\nnäme:wért\n\n".as_bytes(),
                b"\xff\xfe\0",
            ]
            .concat(),
        )
        .await;
    let head = "MESSAGE\nsubscription:0\ndestination:/queue/ä\nmessage-id:*\n\
                content-type:application/octet-stream\ncontent-length:2\ntimestamp:*\nnäme:wért\n\n";
    client
        .expect_binary([head.as_bytes(), b"\xff\xfe\0"].concat())
        .await;
}

#[tokio::test]
async fn f5_only_send_has_a_body() {
    let app = App::start().await;
    for command in [
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "ACK",
        "NACK",
        "BEGIN",
        "COMMIT",
        "ABORT",
        "DISCONNECT",
        "CONNECT",
        "STOMP",
    ] {
        let sent = format!("{command}\nid:0\ntransaction:t\n\nbody\0");
        let error = format!("message:{command} must not have a body");
        for version in ALL {
            if (version, command) != ("1.0", "SUBSCRIBE") {
                refuses(&app, version, &sent, &error, 1002).await;
            }
        }
    }
    // 1.0 says that the body of a SUBSCRIBE is ignored.
    let mut client = app.session("1.0").await;
    client
        .say("SUBSCRIBE\ndestination:/queue/a\nreceipt:r\n\nignored\0")
        .await;
    client.expect_receipt("r").await;
}

#[tokio::test]
async fn f6_content_length_counts_octets_and_nul_follows() {
    let app = App::start().await;
    for version in ALL {
        // Three octets, two characters, one of them NUL.
        let frame = "SEND\ndestination:/queue/a\ncontent-length:3\n\nä\0\0";
        for sent in cuts(frame.as_bytes()) {
            let mut client = subscribed(&app, version, "0", "/queue/a").await;
            client.write(sent).await;
            client.expect(message("0", "/queue/a", "ä\0")).await;
        }
        let error = "message:no NUL after the 2 bytes that content-length says\nreceipt-id:r";
        let frame = "SEND\ndestination:/queue/a\nreceipt:r\ncontent-length:2\n\nabc\0";
        refuses(&app, version, frame, error, 1002).await;
    }
}

#[tokio::test]
async fn f7_a_body_with_nul_has_a_content_length() {
    let app = App::start().await;
    let mut client = subscribed(&app, "1.2", "0", "/queue/a").await;
    // Without one the rest is another frame, which Herald does not know.
    let mut sender = app.session("1.2").await;
    sender.say("SEND\ndestination:/queue/a\n\nab\0cd\0").await;
    client.expect(message("0", "/queue/a", "ab")).await;
    sender
        .expect_error("message:NUL before the blank line that ends the headers", 1002)
        .await;
    // Herald's own frames always carry it, and a type.
    client.say("SEND\ndestination:/queue/a\n\n\0").await;
    client.expect(message("0", "/queue/a", "")).await;
}

#[tokio::test]
async fn f8_content_length_may_stand_in_any_frame() {
    let app = App::start().await;
    for version in ALL {
        let mut client = app.open().await;
        client.say(connect(ANNA, version, "content-length:0\n")).await;
        client.expect("CONNECTED\n…").await;
        client
            .say("SUBSCRIBE\nid:0\ndestination:/queue/a\ncontent-length:0\nreceipt:r\n\n\0")
            .await;
        client.expect_receipt("r").await;
        client.say("DISCONNECT\ncontent-length:0\nreceipt:d\n\n\0").await;
        client.expect_receipt("d").await;
        client.expect_end(1000).await;
    }
    let error = "message:BEGIN must not have a body";
    refuses(
        &app,
        "1.2",
        "BEGIN\ntransaction:t\ncontent-length:1\n\n\0\0",
        error,
        1002,
    )
    .await;
}

#[tokio::test]
async fn f9_a_content_length_that_is_no_number_is_an_error() {
    let app = App::start().await;
    for value in ["-1", "+1", "x", "", " 1", "1 ", "1.0", "0x1"] {
        let sent = format!("SEND\ndestination:/queue/a\ncontent-length:{value}\n\na\0");
        let error = "message:content-length is not a non-negative integer";
        for version in ALL {
            // In 1.0 a blank before a value is not part of it (H5).
            if (version, value) != ("1.0", " 1") {
                refuses(&app, version, &sent, error, 1002).await;
            }
        }
    }
}

#[tokio::test]
async fn f10_without_content_length_the_first_nul_ends_a_frame() {
    let app = App::start().await;
    let frames = "SEND\ndestination:/queue/a\n\none\0SEND\ndestination:/queue/a\n\n\ntwo\n\0";
    for version in ALL {
        for sent in cuts(frames.as_bytes()) {
            let mut client = subscribed(&app, version, "0", "/queue/a").await;
            client.write(sent).await;
            client.expect(message("0", "/queue/a", "one")).await;
            client.expect(message("0", "/queue/a", "\ntwo\n")).await;
        }
    }
}

#[tokio::test]
async fn f11_an_unknown_command_is_an_error() {
    let app = App::start().await;
    for version in ALL {
        let error = "message:unknown command \"JUMP\"\nreceipt-id:r";
        refuses(&app, version, "JUMP\nreceipt:r\n\n\0", error, 1002).await;
    }
    // Longer than any command, refused before its end has arrived. A control character is shown as an escape.
    let error = format!("message:unknown command {:?}", "A".repeat(32));
    refuses(&app, "1.1", "A".repeat(100), &error, 1002).await;
    let error = r#"message:unknown command "\\u{1b}[0m""#;
    refuses(&app, "1.1", "\x1b[0m\n\n\0", error, 1002).await;
}

#[tokio::test]
async fn f12_a_servers_frame_from_a_client_is_an_unknown_command() {
    let app = App::start().await;
    for command in ["MESSAGE", "RECEIPT", "CONNECTED", "ERROR"] {
        let error = format!("message:unknown command {command:?}");
        let sent = format!("{command}\ndestination:/queue/a\nsubscription:0\nmessage-id:1\n\nx\0");
        for version in ALL {
            refuses(&app, version, &sent, &error, 1002).await;
        }
    }
}
