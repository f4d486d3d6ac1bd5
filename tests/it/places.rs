//! The promise: nobody keeps others out with idle connections. While all places are taken, a new connection replaces
//! the one that has been without a request for longest, of the address that has most of them. Connections with a
//! request in progress and sessions stay. Over real sockets.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::app::App;
use crate::support::stranger::{REQUEST, hits, is_served, rest, stranger};
use crate::support::within;

const LIMIT: &str = "http.max_connections";

async fn with(places: usize) -> App {
    App::with(|config| config.http.max_connections = places).await
}

/// Asks, and reads the whole of the answer. `None`: the connection is closed.
async fn ask(stream: &mut TcpStream) -> Option<String> {
    within("an answer", async {
        stream.write_all(REQUEST).await.ok()?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(answer).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        stream.read_exact(&mut body).await.ok()?;
        Some(head)
    })
    .await
}

/// A connection from 127.0.0.`last` that was answered and asks for nothing.
async fn answered(app: &App, last: u8) -> TcpStream {
    let mut stream = stranger(app, last, b"").await;
    let head = ask(&mut stream).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    stream
}

/// A connection from 127.0.0.`last` whose request is in hand, but not its body of five bytes.
async fn busy(app: &App, last: u8) -> TcpStream {
    let request =
        b"POST /api/v1/broadcast/queue/x HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YWRtaW46dGVzdA==\r\n\
                    Content-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let mut stream = stranger(app, last, request).await;
    let mut said = [0; 25];
    within("the instance to want the body", stream.read_exact(&mut said))
        .await
        .unwrap();
    assert_eq!(&said, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[tokio::test]
async fn who_was_answered_and_asks_for_nothing_makes_room() {
    let app = with(7).await;
    let mut session = app.session("1.2").await;
    let mut busy = busy(&app, 2).await;
    let mut other = answered(&app, 3).await;
    let mut kept = Vec::new();
    for _ in 0..4 {
        kept.push(answered(&app, 2).await);
    }
    // The first of them asks again: it is the last one now.
    assert!(ask(&mut kept[0]).await.is_some());
    let mut late = Vec::new();
    for last in [4, 5, 2] {
        late.push(answered(&app, last).await);
    }
    for gone in &mut kept[1..] {
        assert_eq!(rest(gone).await, "", "it has its answer, and asked for no other");
    }
    // Requests in hand are not idle, and who has least is not the first to go.
    for kept in late.iter_mut().chain([&mut kept[0], &mut other]) {
        assert!(ask(kept).await.is_some());
    }
    session.expect_nothing().await;
    busy.write_all(b"hello").await.unwrap();
    assert!(is_accepted(&mut busy).await);
    assert!(hits(&app, LIMIT).await >= 3);
    assert_eq!(app.metric("herald_connections_refused_total").await, 0.0);
}

async fn is_accepted(stream: &mut TcpStream) -> bool {
    let mut head = [0; 12];
    within("an answer", stream.read_exact(&mut head)).await.unwrap();
    &head == b"HTTP/1.1 202"
}

/// Where there are fewer places than `http.unauthenticated`, in whatever state of a request they are.
#[tokio::test]
async fn strangers_who_say_nothing_make_room_too() {
    let app = with(4).await;
    let mut all = Vec::new();
    for said in ["", "GET / HT", ""] {
        all.push(stranger(&app, 2, said.as_bytes()).await);
    }
    let mut half = answered(&app, 2).await;
    half.write_all(b"GET / HT").await.unwrap();
    all.push(half);
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut late = stranger(&app, 3, b"").await;
        assert!(is_served(&mut late, REQUEST).await);
        kept.push(late);
    }
    let words = "another connection needs the place of this one (http.max_connections)";
    for gone in &mut all[..2] {
        let said = rest(gone).await;
        assert!(
            said.starts_with("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n"),
            "{said}"
        );
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn where_nobody_is_idle_there_is_no_room() {
    let app = with(2).await;
    let mut session = app.session("1.2").await;
    let mut busy = busy(&app, 2).await;
    let mut late = stranger(&app, 3, b"").await;
    let said = rest(&mut late).await;
    assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
    assert!(said.contains("http.max_connections (2) is reached"), "{said}");
    session.expect_nothing().await;
    busy.write_all(b"hello").await.unwrap();
    assert!(is_accepted(&mut busy).await);
}
