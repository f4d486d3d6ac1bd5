//! Rules C1 to C11: from CONNECT to CONNECTED, or to an ERROR.

use super::ALL;
use crate::support::app::{ADMIN, ANNA, App, connect};
use crate::support::client::{Client, Message, is_like};

const SERVER: &str = concat!("server:herald/", env!("CARGO_PKG_VERSION"));

fn connected(version: &str, heart_beat: &str) -> String {
    format!(
        "CONNECTED\nversion:{version}\nsession:*\n{SERVER}\nheart-beat:{heart_beat}\nuser-name:test1\n\
         instance:here\n\n\0"
    )
}

async fn start() -> App {
    App::with(|config| config.instance.name = Some("here".parse().unwrap())).await
}

/// A client that has sent `frame` on a new connection.
async fn said(app: &App, frame: impl AsRef<[u8]>) -> Client {
    let mut client = app.open().await;
    client.say(frame).await;
    client
}

#[tokio::test]
async fn c1_stomp_is_connect() {
    let app = start().await;
    for version in ["1.1", "1.2"] {
        let frame = connect(ANNA, version, "").replace("CONNECT", "STOMP");
        said(&app, frame)
            .await
            .expect(connected(version, "10000,10000"))
            .await;
    }
}

#[tokio::test]
async fn c2_a_host_may_be_missing_and_means_nothing() {
    let app = start().await;
    for host in ["", "host:\n", "host:/elsewhere\n"] {
        let frame = format!("CONNECT\naccept-version:1.2\n{host}login:test1\npasscode:test\n\n\0");
        said(&app, frame)
            .await
            .expect(connected("1.2", "10000,10000"))
            .await;
    }
}

#[tokio::test]
async fn c3_without_accept_version_it_is_1_0() {
    let app = start().await;
    for frame in [
        "CONNECT\nlogin: test1\npasscode:\ttest\n\n\0",
        // Blank lines for a body, as clients of 1.0 send them.
        "CONNECT\nlogin:test1\npasscode:test\n\n\n\0",
        "CONNECT\nlogin:test1\npasscode:test\n\n\r\n\n\0\n",
        "CONNECT\nlogin:test1\npasscode:test\ncontent-length:2\n\n\n\n\0",
    ] {
        said(&app, frame).await.expect(connected("1.0", "0,0")).await;
    }
    let error = "message:CONNECT must not have a body";
    for frame in ["CONNECT\n\n\nx\0", "CONNECT\naccept-version:1.2\n\n\n\0"] {
        said(&app, frame).await.expect_error(error, 1002).await;
    }
}

#[tokio::test]
async fn c4_the_highest_common_version_is_chosen() {
    let app = start().await;
    for (offered, version) in [
        ("1.2,1.1,1.0", "1.2"),
        ("1.0,1.1,1.2", "1.2"),
        ("1.0,1.1,2.0", "1.1"),
        ("1.1", "1.1"),
        ("9.9, 1.2", "1.2"),
    ] {
        said(&app, connect(ANNA, offered, ""))
            .await
            .expect(connected(version, "10000,10000"))
            .await;
    }
    said(&app, connect(ANNA, "1.0,3.0", ""))
        .await
        .expect(connected("1.0", "0,0"))
        .await;
}

#[tokio::test]
async fn c5_no_common_version_is_an_error_that_names_them() {
    let app = start().await;
    for offered in ["2.0", "", "1.20", "1"] {
        let mut client = said(&app, connect(ANNA, offered, "")).await;
        client
            .expect(
                "ERROR\nmessage:CONNECT: no common version in accept-version\nversion:1.0,1.1,1.2\n\
                 content-type:text/plain\ncontent-length:43\n\nSupported protocol versions are 1.0 1.1 1.2\0",
            )
            .await;
        client.expect_end(1002).await;
    }
}

#[tokio::test]
async fn c6_a_refused_connect_is_an_error_that_explains() {
    let app = start().await;
    for frame in [
        "CONNECT\naccept-version:1.2\n\n\0",
        "CONNECT\naccept-version:1.2\nlogin:test1\npasscode:wrong\n\n\0",
        "CONNECT\nlogin:nobody\npasscode:test\n\n\0",
    ] {
        said(&app, frame)
            .await
            .expect_error("message:authentication failed", 4401)
            .await;
    }
    // Headers without a value count as absent.
    let basic = "CONNECT\naccept-version:1.2\nX-Authorization:\nAuthorization:Basic dGVzdDE6dGVzdA==\nlogin:\n\
                 passcode:\n\n\0";
    let pair =
        "CONNECT\naccept-version:1.2\nX-Authorization:\nAuthorization:\nlogin:test1\npasscode:test\n\n\0";
    for frame in [basic, pair] {
        said(&app, frame)
            .await
            .expect(connected("1.2", "10000,10000"))
            .await;
    }
    let app = App::with(|config| config.limits.frame_bytes_before_login.0 = 100).await;
    let frame = connect(ANNA, "1.2", &format!("x:{}\n", "x".repeat(100)));
    let error = "message:WebSocket message over 100 bytes (limits.frame_bytes_before_login)";
    said(&app, &frame).await.expect_error(error, 1009).await;
    // The same in pieces.
    let mut client = app.open().await;
    for piece in frame.as_bytes().chunks(60) {
        client.say(piece).await;
    }
    let error = "message:a frame before login has at most 100 bytes (limits.frame_bytes_before_login)";
    client.expect_error(error, 1009).await;
    let app =
        App::with(|config| config.limits.connect_timeout.0 = std::time::Duration::from_millis(50)).await;
    let mut client = app.open().await;
    let error = "message:no CONNECT within 50ms (limits.connect_timeout)";
    client.expect_error(error, 1008).await;
    let error = "message:a CONNECT came without the NUL that ends a frame, and no NUL within 50ms \
                 (limits.connect_timeout): where WebSocket text is cut at NUL, stompjs needs forceBinaryWSFrames";
    for version in ALL {
        for command in ["CONNECT", "STOMP"] {
            let frame = connect(ANNA, version, "").replace("CONNECT", command);
            let cut = frame.trim_end_matches('\0');
            said(&app, cut).await.expect_error(error, 1008).await;
        }
    }
    // Half a head is no CONNECT.
    let error = "message:no CONNECT within 50ms (limits.connect_timeout)";
    said(&app, "CONNECT\nlogin:test1\n")
        .await
        .expect_error(error, 1008)
        .await;
}

#[tokio::test]
async fn c7_connected_names_session_server_and_heart_beats() {
    let app = start().await;
    let mut sessions = std::collections::HashSet::new();
    for version in ALL {
        let mut client = said(&app, connect(ANNA, version, "")).await;
        let found = match client.next().await {
            Message::Text(text) => String::from_utf8(text).unwrap(),
            other => panic!("{other:?}"),
        };
        let heart_beat = if version == "1.0" { "0,0" } else { "10000,10000" };
        let expected = connected(version, heart_beat);
        assert!(is_like(expected.as_bytes(), found.as_bytes()), "{found}");
        let session = found.lines().find_map(|line| line.strip_prefix("session:"));
        assert!(sessions.insert(session.unwrap().to_owned()), "{found}");
    }
}

#[tokio::test]
async fn c8_a_second_connect_is_an_error() {
    let app = start().await;
    for version in ALL {
        for command in ["CONNECT", "STOMP"] {
            let mut client = app.session(version).await;
            client
                .say(connect(ADMIN, "1.2", "").replace("CONNECT", command))
                .await;
            let error = "message:CONNECT\\c this session is connected already";
            let error = if version == "1.0" {
                error.replace("\\c", ":")
            } else {
                error.into()
            };
            client.expect_error(&error, 1002).await;
        }
    }
}

#[tokio::test]
async fn c9_before_connect_only_disconnect_is_allowed() {
    let app = start().await;
    for command in [
        "SEND",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "ACK",
        "NACK",
        "BEGIN",
        "COMMIT",
        "ABORT",
    ] {
        let frame = format!("{command}\ndestination:/queue/a\nid:0\ntransaction:t\nreceipt:a:b\\c\n\n\0");
        // No version is agreed, so nothing is escaped.
        let error = format!("message:{command}: not connected, CONNECT comes first\nreceipt-id:a:b\\c");
        said(&app, frame).await.expect_error(&error, 1002).await;
    }
    let mut client = said(&app, "DISCONNECT\nreceipt:d\n\n\0").await;
    client.expect_receipt("d").await;
    client.expect_end(1000).await;
    said(&app, "DISCONNECT\n\n\0").await.expect_end(1000).await;
}

#[tokio::test]
async fn c10_a_receipt_of_connect_is_ignored() {
    let app = start().await;
    for version in ALL {
        let mut client = app.session_with(ANNA, version, "receipt:r\n").await;
        client.expect_nothing().await;
        // An ERROR does not name it either.
        client.say("CONNECT\nreceipt:r\n\n\0").await;
        let error = "message:CONNECT\\c this session is connected already";
        let error = if version == "1.0" {
            error.replace("\\c", ":")
        } else {
            error.into()
        };
        client.expect_error(&error, 1002).await;
    }
    let refused = "CONNECT\nlogin:test1\npasscode:wrong\nreceipt:r\n\n\0";
    said(&app, refused)
        .await
        .expect_error("message:authentication failed", 4401)
        .await;
}

#[tokio::test]
async fn c11_a_heart_beat_is_two_numbers_and_a_comma() {
    let app = start().await;
    for value in ["", "1", "1,", ",1", "a,b", "-1,0", "1,2,3", "1.5,0", "1 2,3"] {
        let frame = connect(ANNA, "1.2", &format!("heart-beat:{value}\n"));
        let error =
            "message:CONNECT: header heart-beat must be two non-negative integers with a comma between";
        said(&app, frame).await.expect_error(error, 1002).await;
    }
    for value in ["0,99999999999999999999", "10000, 10000", " 0 ,\t0 "] {
        said(&app, connect(ANNA, "1.2", &format!("heart-beat:{value}\n")))
            .await
            .expect(connected("1.2", "10000,10000"))
            .await;
    }
}
