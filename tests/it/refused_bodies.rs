//! The promise: a client whose body is refused before all of it has arrived can read why, even if it sends everything
//! before it reads anything. Over real sockets.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::app::App;
use crate::support::process::{Answer, read_answer};
use crate::support::within;

/// base64 of admin:test.
const ADMIN: &str = "Authorization: Basic YWRtaW46dGVzdA==\r\n";
const MOST: usize = 2 << 20;

async fn app() -> App {
    App::with(|config| {
        config.http.max_request_bytes.0 = MOST;
        config.limits.body_bytes.0 = 100 << 10;
    })
    .await
}

/// Sends a POST with these headers and `body` after them, all of it, and only then reads, until the server closes.
async fn post(app: &App, path: &str, headers: &str, body: &[u8]) -> Answer {
    within("an answer", async {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        read_answer(&answer).unwrap()
    })
    .await
}

#[tokio::test]
async fn by_its_announced_length() {
    let app = app().await;
    let (raw, json) = ("/api/v1/broadcast/queue/x", "Content-Type: application/json\r\n");
    for (path, headers, status, words) in [
        (raw, ADMIN.to_owned(), 413, "limits.body_bytes"),
        (
            "/api/v1/notifications",
            format!("{ADMIN}{json}"),
            413,
            "http.max_request_bytes",
        ),
        // Other refusals that read no body.
        ("/livez", String::new(), 405, ""),
        ("/api/v1/nothing", ADMIN.to_owned(), 404, ""),
        ("/api/v1/notifications", ADMIN.to_owned(), 415, "application/json"),
    ] {
        for bytes in [MOST + 1, 2 * MOST] {
            let headers = format!("{headers}Content-Length: {bytes}\r\n");
            let answer = post(&app, path, &headers, &vec![b'x'; bytes]).await;
            assert_eq!(answer.status, status, "{path} {bytes}: {}", answer.text());
            assert!(answer.text().contains(words), "{path}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn by_what_has_come_of_it() {
    let app = app().await;
    let chunk = [b"10000\r\n", &[b'x'; 0x10000][..], b"\r\n"].concat();
    let body = [&chunk.repeat(2 * MOST / 0x10000)[..], b"0\r\n\r\n"].concat();
    let headers = format!("{ADMIN}Transfer-Encoding: chunked\r\n");
    let answer = post(&app, "/api/v1/broadcast/queue/x", &headers, &body).await;
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert!(answer.text().contains("limits.body_bytes"), "{}", answer.text());
}

/// A client that waits to be asked for the body is answered at once, and sends nothing.
#[tokio::test]
async fn who_asks_first_is_told_at_once() {
    let app = app().await;
    let headers = format!("{ADMIN}Content-Length: {}\r\nExpect: 100-continue\r\n", 2 * MOST);
    let answer = post(&app, "/api/v1/broadcast/queue/x", &headers, b"").await;
    assert_eq!(answer.status, 413, "{}", answer.text());
}
