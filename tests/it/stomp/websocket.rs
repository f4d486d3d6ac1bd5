//! Rules W1 to W11: how STOMP travels over WebSocket.

use base64::Engine as _;
use herald::origins::Origins;

use super::{ALL, message, subscribe, subscribed};
use crate::support::app::{ANNA, App, BEN, connect};
use crate::support::client::{
    BINARY, BINARY_START, CLOSE, LAST, MORE, Message, PING, PONG, Socket, TEXT, TEXT_START, frame,
};

#[tokio::test]
async fn w1_one_of_the_sub_protocols_is_answered() {
    let app = App::start().await;
    for (offered, answered) in [
        ("v12.stomp", Some("v12.stomp")),
        ("v10.stomp, v11.stomp, v12.stomp", Some("v12.stomp")),
        ("v11.stomp,v10.stomp", Some("v11.stomp")),
        ("v10.stomp", Some("v10.stomp")),
        ("chat, v10.stomp", Some("v10.stomp")),
        ("chat", None),
    ] {
        let socket = Socket::at(app.address).header("Sec-WebSocket-Protocol", offered);
        let (_client, head) = socket.open().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let found = head.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("sec-websocket-protocol: ")
                .map(str::to_owned)
        });
        assert_eq!(found.as_deref(), answered, "{offered}");
    }
    let (_client, head) = Socket::at(app.address).open().await;
    assert!(
        !head.to_ascii_lowercase().contains("sec-websocket-protocol"),
        "{head}"
    );
    let (_client, head) = Socket::at(app.address).path("/ws/below/it").open().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

#[tokio::test]
async fn w2_the_version_is_accept_versions_alone() {
    let app = App::start().await;
    for (offered, version) in [("v10.stomp", "1.2"), ("v12.stomp", "1.0"), ("v11.stomp", "1.1")] {
        let socket = Socket::at(app.address).header("Sec-WebSocket-Protocol", offered);
        let (mut client, _) = socket.open().await;
        client.say(connect(ANNA, version, "")).await;
        client.expect(format!("CONNECTED\nversion:{version}\n…")).await;
    }
}

#[tokio::test]
async fn w3_stomp_is_a_stream_over_messages() {
    let app = App::start().await;
    let text = "SEND\ndestination:/queue/a\n\nzwölf € 💡\0".as_bytes();
    let expected = message("0", "/queue/a", "zwölf € 💡");
    for version in ALL {
        let mut client = subscribed(&app, version, "0", "/queue/a").await;
        // Several frames in a message.
        client.say([text, text, b"\n", text].concat()).await;
        for _ in 0..3 {
            client.expect(&expected).await;
        }
        // A frame in several messages, alternating text and binary (cut inside a character only where they are
        // binary), with empty messages and a ping in between.
        for cut in 0..text.len() {
            let (first, second) = text.split_at(cut);
            let opcode = if std::str::from_utf8(first).is_ok() {
                TEXT
            } else {
                BINARY
            };
            client.write(frame(opcode, first)).await;
            client.write(frame(TEXT, b"")).await;
            client
                .write(frame(if opcode == TEXT { BINARY } else { opcode }, second))
                .await;
            client.expect(&expected).await;
        }
        // A message in fragments, cut anywhere, even inside a character.
        for cut in 0..text.len() {
            let (first, second) = text.split_at(cut);
            client.write(frame(TEXT_START, first)).await;
            client.write(frame(PING, b"p")).await;
            client.write(frame(MORE, b"")).await;
            client.write(frame(LAST, second)).await;
            assert_eq!(client.next().await, Message::Pong(b"p".to_vec()));
            client.expect(&expected).await;
        }
        // Only ends of line, and nothing at all.
        for lone in ["\n", "\r\n", ""] {
            client.write(frame(TEXT, lone.as_bytes())).await;
            client.write(frame(BINARY, lone.as_bytes())).await;
        }
        client.write(frame(BINARY_START, b"")).await;
        client.write(frame(LAST, b"")).await;
        client.expect_nothing().await;
    }
}

#[tokio::test]
async fn w4_each_frame_is_one_message_that_ends_in_nul() {
    let app = App::start().await;
    let mut client = subscribed(&app, "1.2", "0", "/queue/a").await;
    // Many at once are still one message each: `expect` compares whole messages.
    client.say("SEND\ndestination:/queue/a\n\nhi\0".repeat(100)).await;
    for _ in 0..100 {
        client.expect(message("0", "/queue/a", "hi")).await;
    }
    // A large one too.
    let long = "x".repeat(300_000);
    client
        .say(format!("SEND\ndestination:/queue/a\n\n{long}\0"))
        .await;
    client.expect(message("0", "/queue/a", &long)).await;
}

#[tokio::test]
async fn w5_a_message_is_text_if_all_of_it_is_utf8() {
    let app = App::start().await;
    let mut client = subscribed(&app, "1.2", "0", "/queue/a").await;
    // However it was sent, and whatever its type says.
    let send = b"SEND\ndestination:/queue/a\ncontent-type:application/octet-stream\n\n\xc3\xa4\0";
    let expected = "MESSAGE\nsubscription:0\ndestination:/queue/a\nmessage-id:*\n\
                    content-type:application/octet-stream\ncontent-length:2\ntimestamp:*\n\nä\0";
    client.say(send).await;
    client.expect(expected).await;
    client.say_binary(send).await;
    client.expect(expected).await;
    let send = b"SEND\ndestination:/queue/a\ncontent-type:text/plain\n\n\xc3\0";
    client.say_binary(send).await;
    client
        .expect_binary(
            b"MESSAGE\nsubscription:0\ndestination:/queue/a\nmessage-id:*\ncontent-type:text/plain\n\
              content-length:1\ntimestamp:*\n\n\xc3\0",
        )
        .await;
}

#[tokio::test]
async fn w6_text_that_is_not_utf8_is_refused() {
    let app = App::start().await;
    for connected in [false, true] {
        for sent in [
            frame(TEXT, b"SEND\ndestination:/queue/a\n\n\xff\0"),
            [frame(TEXT_START, b"SEND\n\xc3"), frame(LAST, b"x\0")].concat(),
            // It ends inside a character.
            frame(TEXT, b"SEND\n\xc3"),
        ] {
            let mut client = match connected {
                true => app.session("1.2").await,
                false => app.open().await,
            };
            client.write(sent).await;
            client.expect_error("message:text is not UTF-8", 1007).await;
        }
    }
}

#[tokio::test]
async fn w7_each_end_has_its_close_code() {
    let app = App::start().await;
    // 1002, 1007, 1008, 1009, 1013, 4401 and 4408 are tested with the rules that lead to them. Here: the client's own
    // close…
    for code in [1000u16, 1001, 4999] {
        let mut client = app.session("1.2").await;
        client.write(frame(CLOSE, &code.to_be_bytes())).await;
        client.expect_end(1000).await;
    }
    let mut client = app.open().await;
    client.write(frame(CLOSE, b"")).await;
    client.expect_end(1000).await;
    // … a frame that is not WebSocket …
    let mut client = app.session("1.2").await;
    client.write([TEXT, 2, b'h', b'i']).await;
    client
        .expect_error("message:a client's WebSocket frame must be masked", 1002)
        .await;
    // … an operator …
    let mut client = app.session_of(BEN, "1.2").await;
    let path = format!("/api/v1/users/{}/sessions", BEN.0);
    let credentials = base64::engine::general_purpose::STANDARD.encode("admin:test");
    let authorization = [("Authorization", &*format!("Basic {credentials}"))];
    let answer = crate::support::process::request(app.address, "DELETE", &path, &authorization, b"").await;
    assert_eq!(answer.unwrap().status, 202);
    client
        .expect_error("message:disconnected by an operator", 4403)
        .await;
    // … and the instance's own end, where nothing is wrong: no ERROR.
    let (mut client, mut early) = (app.session("1.2").await, app.open().await);
    app.stop();
    client.expect_end(1001).await;
    early.expect_end(1001).await;
}

#[tokio::test]
async fn w8_a_ping_is_answered_whatever_the_state() {
    let app = App::start().await;
    let mut client = app.open().await;
    client.write(frame(PING, b"before")).await;
    assert_eq!(client.next().await, Message::Pong(b"before".to_vec()));
    let connect = connect(ANNA, "1.2", "");
    let (first, second) = connect.split_at(20);
    client.say(first).await;
    client.write(frame(PING, &[0xFE; 125])).await;
    assert_eq!(client.next().await, Message::Pong(vec![0xFE; 125]));
    client.say(second).await;
    client.expect("CONNECTED\n…").await;
    client.say("SEND\ndestination:/queue/a\n").await;
    client.write(frame(PING, b"")).await;
    assert_eq!(client.next().await, Message::Pong(Vec::new()));
    // An unsolicited pong is not a fault.
    client.write(frame(PONG, b"x")).await;
    client.say("receipt:r\n\n\0").await;
    client.expect_receipt("r").await;
}

#[tokio::test]
async fn w9_an_origin_is_checked_where_origins_are_listed() {
    let app = App::with(|config| config.http.origins = Origins::parse(["https://ui.example"]).unwrap()).await;
    for (origin, status) in [
        (None, "101"),
        (Some("https://ui.example"), "101"),
        (Some("https://evil.example"), "403"),
        (Some("http://ui.example"), "403"),
        (Some("null"), "403"),
    ] {
        let mut socket = Socket::at(app.address);
        if let Some(origin) = origin {
            socket = socket.header("Origin", origin);
        }
        let (_client, head) = socket.open().await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{origin:?}: {head}"
        );
    }
    let app = App::start().await;
    let (_client, head) = Socket::at(app.address)
        .header("Origin", "https://any.example")
        .open()
        .await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

#[tokio::test]
async fn w10_the_upgrade_may_carry_credentials() {
    const LISTED: &str = "https://ui.example";
    let app = App::with(|config| config.http.origins = Origins::parse(["*", LISTED]).unwrap()).await;
    let basic = |user: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(user));
    let bare = "CONNECT\naccept-version:1.2\n\n\0".to_owned();
    let with = |header: &str| format!("CONNECT\naccept-version:1.2\n{header}\n\n\0");
    for (origin, frame, user) in [
        (None, bare.clone(), Some("test1")),
        (Some(LISTED), bare.clone(), Some("test1")),
        // A page of any origin could make a browser send it.
        (Some("https://any.example"), bare.clone(), None),
        // CONNECT's own credentials come first, usable or not.
        (None, with("login:test2\npasscode:test"), Some("test2")),
        (
            None,
            with(&format!("Authorization:{}", basic("test2:test"))),
            Some("test2"),
        ),
        (
            None,
            with(&format!("X-Authorization:{}", &basic("test2:test")[6..])),
            Some("test2"),
        ),
        (None, with("login:test2\npasscode:wrong"), None),
    ] {
        let mut socket = Socket::at(app.address).header("Authorization", &basic("test1:test"));
        if let Some(origin) = origin {
            socket = socket.header("Origin", origin);
        }
        let (mut client, _) = socket.open().await;
        client.say(&frame).await;
        match user {
            Some(user) => {
                let expected = format!(
                    "CONNECTED\nversion:1.2\nsession:*\nserver:*\nheart-beat:10000,10000\nuser-name:{user}\n\
                     instance:*\n\n\0"
                );
                client.expect(expected).await;
            }
            None => client.expect_error("message:authentication failed", 4401).await,
        }
    }
    // Never from the query string.
    let token = base64::engine::general_purpose::STANDARD.encode("test1:test");
    let socket = Socket::at(app.address).path(&format!("/ws?authorization={token}&access_token={token}"));
    let (mut client, _) = socket.open().await;
    client.say(&bare).await;
    client.expect_error("message:authentication failed", 4401).await;
}

#[tokio::test]
async fn w11_a_body_of_a_thousand_kib_passes_and_one_byte_more_does_not() {
    let app = App::start().await;
    let most = 1_000 << 10;
    for size in [most, 1_023 << 10, most + 1] {
        let body = "x".repeat(size);
        let send = format!("SEND\ndestination:/queue/a\n\n{body}\0");
        // In one message, and split as stompjs does.
        for chunk in [send.len(), 8 << 10] {
            let mut client = app.session("1.2").await;
            subscribe(&mut client, "0", "/queue/a").await;
            let pieces = send.as_bytes().chunks(chunk).flat_map(|piece| frame(TEXT, piece));
            let all_went = client.try_write(pieces.collect::<Vec<u8>>()).await;
            assert!(all_went);
            if size == most {
                client.expect(message("0", "/queue/a", &body)).await;
            } else {
                let error = "message:a body has at most 1024000 bytes (limits.body_bytes)";
                client.expect_error(error, 1009).await;
            }
        }
    }
    // Before login much less: a stranger costs 8 KiB.
    let mut client = app.open().await;
    client
        .say(connect(ANNA, "1.2", &format!("x:{}\n", "x".repeat(8 << 10))))
        .await;
    let error = "message:WebSocket message over 8192 bytes (limits.frame_bytes_before_login)";
    client.expect_error(error, 1009).await;
}
