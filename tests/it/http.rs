//! The promise: HTTP clients, and the proxies and balancers in front of an instance, may do what they usually do, and
//! what they may not do is answered in words. Runs the built program as a real process.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::cluster_client::Browser;
use crate::support::process::{Answer, Herald, Launch, read_answer};
use crate::support::within;

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The first bytes of the answer to `request`: its status line.
async fn status_line(herald: &Herald, request: &str) -> String {
    let mut stream = TcpStream::connect(herald.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(within("a status line", stream.read_u8()).await.unwrap());
    }
    String::from_utf8(line).unwrap()
}

/// The answer to `request` on a connection that stays open. It has a Content-Length.
async fn exchange(stream: &mut TcpStream, request: &str) -> Answer {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    loop {
        let read = within("an answer", stream.read_buf(&mut bytes)).await.unwrap();
        assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
        let complete = read_answer(&bytes).filter(|answer| {
            let length = answer
                .header("content-length")
                .and_then(|length| length.parse().ok());
            length.unwrap_or(0) == answer.body.len()
        });
        if let Some(answer) = complete {
            return answer;
        }
    }
}

#[tokio::test]
async fn a_slash_behind_ws_changes_nothing() {
    let plain = Herald::start("plain", &Launch::demo()).await;
    let launch = Launch::demo().set("HERALD_HTTP__BASE_PATH", "/backend");
    let below = Herald::start_unready("below", &launch).await;
    for (herald, path, status) in [
        (&plain, "/ws", "101"),
        (&plain, "/ws/", "101"),
        (&plain, "/ws/?x=y", "101"),
        (&plain, "/ws/123/abc/websocket", "101"),
        (&plain, "/wsx", "404"),
        (&below, "/backend/ws/", "101"),
        (&below, "/ws/", "404"),
    ] {
        let line = status_line(
            herald,
            &format!("GET {path} HTTP/1.1\r\nHost: a\r\n{UPGRADE}\r\n"),
        )
        .await;
        assert!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {line}");
    }
}

#[tokio::test]
async fn a_head_that_breaks_a_rule_is_refused_on_every_route() {
    let herald = Herald::start("strict", &Launch::demo()).await;
    for hosts in ["", "Host: a\r\nHost: a\r\n", "Host: a/b\r\n", "Host: user@a\r\n"] {
        for target in [
            "GET /livez",
            "GET /",
            "GET /nowhere",
            "GET /ws",
            "POST /api/v1/broadcast/queue/x",
        ] {
            let line = status_line(&herald, &format!("{target} HTTP/1.1\r\n{hosts}{UPGRADE}\r\n")).await;
            assert!(line.starts_with("HTTP/1.1 400 "), "{target} {hosts:?}: {line}");
        }
    }
    // HTTP/1.0 knows no Host.
    let line = status_line(&herald, "GET /livez HTTP/1.0\r\n\r\n").await;
    assert!(line.contains(" 200 "), "{line}");
    for coding in ["gzip", "gzip, chunked", "identity"] {
        let request = format!(
            "POST /api/v1/broadcast/queue/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n"
        );
        let line = status_line(&herald, &request).await;
        assert!(line.starts_with("HTTP/1.1 501 "), "{coding}: {line}");
    }
    let long = "x".repeat(17 << 10);
    for request in [
        format!("GET /livez HTTP/1.1\r\nHost: a\r\nCookie: {long}\r\n\r\n"),
        format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
    ] {
        let mut stream = TcpStream::connect(herald.address).await.unwrap();
        let answer = exchange(&mut stream, &request).await;
        assert_eq!(answer.status, 431);
        assert_eq!(
            answer.header("content-type").or(answer.header("Content-Type")),
            Some("application/problem+json")
        );
        assert!(
            answer.text().contains("16384") && answer.text().contains("http.head_bytes"),
            "{}",
            answer.text()
        );
    }
    let herald = Herald::start("roomy", &Launch::demo().set("HERALD_HTTP__HEAD_BYTES", "32KiB")).await;
    let request = format!("GET /livez HTTP/1.1\r\nHost: a\r\nCookie: {long}\r\n\r\n");
    let line = status_line(&herald, &request).await;
    assert!(line.contains(" 200 "), "{line}");
}

/// A pooling balancer keeps a connection for longer than a head may take, and sends the next request on it.
#[tokio::test]
async fn a_connection_rests_for_longer_than_a_head_may_take() {
    let launch = Launch::demo()
        .set("HERALD_HTTP__HEADER_TIMEOUT", "1s")
        .set("HERALD_HTTP__IDLE_TIMEOUT", "6s");
    let herald = Herald::start("patient", &launch).await;
    let mut stream = TcpStream::connect(herald.address).await.unwrap();
    let post = "POST /api/v1/broadcast/queue/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    for _ in 0..2 {
        assert_eq!(exchange(&mut stream, post).await.status, 202);
        tokio::time::sleep(Duration::from_millis(1_800)).await;
    }
    assert_eq!(exchange(&mut stream, post).await.status, 202);
    let begun = std::time::Instant::now();
    assert_eq!(within("the end", stream.read(&mut [0])).await.unwrap(), 0);
    assert!(begun.elapsed() > Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// What bounds HTTP connections ends with the upgrade.
#[tokio::test]
async fn a_session_is_no_http_connection() {
    let launch = Launch::demo()
        .set("HERALD_HTTP__HEADER_TIMEOUT", "1s")
        .set("HERALD_HTTP__IDLE_TIMEOUT", "500ms")
        .set("HERALD_HTTP__WRITE_TIMEOUT", "500ms")
        .set("HERALD_LIMITS__HTTP_CONNECTIONS_PER_ADDRESS", "1");
    let herald = Herald::start("sessions", &launch).await;
    let mut sessions = Vec::new();
    for user in ["test1", "test2", "test3"] {
        sessions.push(Browser::connect(herald.address, user).await);
    }
    let _held = TcpStream::connect(herald.address).await.unwrap();
    let line = status_line(&herald, "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(line.starts_with("HTTP/1.1 429 "), "{line}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    for session in &mut sessions {
        session.subscribe("/queue/x").await;
    }
}

#[tokio::test]
async fn a_proxy_of_the_wrong_version_is_named_in_the_log() {
    let launch = Launch::demo()
        .set("HERALD_HTTP__TRUSTED_PROXIES", "::ffff:127.0.0.2")
        .set("HERALD_HTTP__PROXY_PROTOCOL", "true");
    let herald = Herald::start("proxied", &launch).await;
    for _ in 0..10 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut stream = socket.connect(herald.address).await.unwrap();
        let request = b"PROXY TCP4 203.0.113.5 10.0.0.1 1 2\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut said = Vec::new();
        let _ = within("the end", stream.read_to_end(&mut said)).await;
        assert_eq!(said, b"");
    }
    let line = herald.logged("PROXY protocol v1").await;
    assert!(
        line.contains("WARN") && line.contains("127.0.0.2") && line.contains("v2 is expected"),
        "{line}"
    );
    assert!(herald.lines_with("PROXY protocol v1").len() < 10);
}
