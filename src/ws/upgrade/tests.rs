//! The promise: over a real listener, a request becomes a WebSocket, with nothing of what the client sent lost, or gets
//! an answer that says why not.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream as Client};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::http::listener::{Options, bind, serve};
use crate::setting::Secret;

const GOOD: &str = "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

struct Server {
    address: SocketAddr,
    metrics: Metrics,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    connections: mpsc::Receiver<Connection>,
}

async fn start(origins: &str, max_connections: usize) -> Server {
    let (sender, connections) = mpsc::channel(8);
    let connect: Connect = Arc::new(move |connection| {
        let sender = sender.clone();
        Box::pin(async move {
            // The gauge counts until the test has it and drops the sender's side.
            let _ = sender.send(connection).await;
        })
    });
    let metrics = Metrics::new().unwrap();
    let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
    let origins = Origins::parse([origins]).unwrap();
    let state = UpgradeState::new(origins, connect, tasks.clone(), &metrics);
    let router = routes("/ws", state);
    let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let config = crate::http::Config {
        max_connections,
        ..Default::default()
    };
    let options = Options {
        socket_send_bytes: 0,
        ..Options::new(&config, &Default::default())
    };
    let (of_metrics, of_tasks, of_shutdown) = (metrics.clone(), tasks.clone(), shutdown.clone());
    tokio::spawn(async move {
        serve(listener, router, options, of_metrics, of_shutdown, &of_tasks).await;
    });
    Server {
        address,
        metrics,
        tasks,
        shutdown,
        connections,
    }
}

struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: String,
    client: BufReader<Client>,
}

/// Sends `request` and reads one answer.
async fn ask(server: &Server, request: String) -> Answer {
    let address = server.address;
    tokio::task::spawn_blocking(move || {
        let mut client = BufReader::new(Client::connect(address).unwrap());
        client.get_mut().write_all(request.as_bytes()).unwrap();
        let mut line = || {
            let mut line = String::new();
            client.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        };
        let status = line().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HashMap<String, String> = std::iter::repeat_with(line)
            .take_while(|line| !line.is_empty())
            .map(|line| {
                let (name, value) = line.split_once(": ").unwrap();
                (name.to_ascii_lowercase(), value.to_owned())
            })
            .collect();
        let length = headers
            .get("content-length")
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; if request.starts_with("HEAD") { 0 } else { length }];
        client.read_exact(&mut body).unwrap();
        Answer {
            status,
            headers,
            body: String::from_utf8(body).unwrap(),
            client,
        }
    })
    .await
    .unwrap()
}

fn get(headers: &str) -> String {
    format!("GET /ws HTTP/1.1\r\n{headers}\r\n")
}

async fn check(request: String, status: u16, expected: &[(&str, &str)]) {
    let server = start("https://a.example", 8).await;
    let answer = ask(&server, request.clone()).await;
    assert_eq!(answer.status, status, "{request}");
    for (name, value) in expected {
        let found = answer.headers.get(*name).map(String::as_str);
        assert_eq!(
            found,
            (!value.is_empty()).then_some(*value),
            "{name} of {request}"
        );
    }
    if status != 101 && !request.starts_with("HEAD") {
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(problem["status"], status);
        assert!(!problem["detail"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn answers() {
    let accept = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let none = ("sec-websocket-protocol", "");
    check(
        get(GOOD),
        101,
        &[accept, none, ("upgrade", "websocket"), ("connection", "upgrade")],
    )
    .await;
    let offer = |offer: &str| get(&format!("{GOOD}Sec-WebSocket-Protocol: {offer}\r\n"));
    let v12 = ("sec-websocket-protocol", "v12.stomp");
    check(offer("v10.stomp, v11.stomp, v12.stomp"), 101, &[v12]).await;
    check(offer("mqtt"), 101, &[none]).await;
    let extensions = get(&format!("{GOOD}Sec-WebSocket-Extensions: permessage-deflate\r\n"));
    check(extensions, 101, &[("sec-websocket-extensions", "")]).await;

    check(
        format!("POST /ws HTTP/1.1\r\n{GOOD}Content-Length: 0\r\n\r\n"),
        405,
        &[("allow", "GET")],
    )
    .await;
    check(
        format!("HEAD /ws HTTP/1.1\r\n{GOOD}\r\n"),
        405,
        &[("allow", "GET")],
    )
    .await;
    check(get("Host: a\r\n"), 426, &[("upgrade", "websocket")]).await;
    check(
        format!("GET /ws HTTP/1.0\r\n{GOOD}\r\n"),
        426,
        &[("upgrade", "websocket")],
    )
    .await;
    check(
        get(&GOOD.replace("13", "8")),
        426,
        &[("sec-websocket-version", "13")],
    )
    .await;
    check(get(&GOOD.replace("dGhl", "")), 400, &[]).await;
    check(get(&format!("{GOOD}Content-Length: 3\r\n\r\nabc")), 400, &[]).await;
    check(get(&format!("{GOOD}Origin: https://a.example\r\n")), 101, &[]).await;
    check(get(&format!("{GOOD}Origin: https://b.example\r\n")), 403, &[]).await;
}

#[tokio::test]
async fn what_came_with_the_handshake_is_left_over() {
    let mut server = start("*", 8).await;
    let answer = ask(&server, format!("{}first frame", get(GOOD))).await;
    answer.client.get_ref().shutdown(Shutdown::Write).unwrap();
    let connection = server.connections.recv().await.unwrap();
    // Perhaps in two packets; together it is all of it.
    let mut received = connection.leftover.to_vec();
    let socket = register(connection.socket).unwrap();
    loop {
        let mut ready = socket.readable().await.unwrap();
        let mut more = [0; 16];
        match ready.try_io(|socket| socket.get_ref().stream().read(&mut more)) {
            Ok(Ok(0)) => break,
            Ok(read) => received.extend_from_slice(&more[..read.unwrap()]),
            Err(_would_block) => {}
        }
    }
    assert_eq!(received, b"first frame");
}

#[tokio::test]
async fn the_arrival_tells_where_from_and_holds_the_place() {
    let mut server = start("*", 1).await;
    let basic = get(&format!("{GOOD}Authorization: Basic eA==\r\n"));
    let mut answer = ask(&server, basic).await;
    let connection = server.connections.recv().await.unwrap();
    assert!(connection.leftover.is_empty());
    assert!(connection.arrival.address.is_loopback());
    assert_eq!(
        connection.arrival.upgrade.authorization,
        Some(Secret::new("Basic eA=="))
    );
    // The only place is taken as long as the arrival lives.
    assert_eq!(ask(&server, get(GOOD)).await.status, 503);

    // The listener's end does not touch it.
    server.shutdown.cancel();
    server.tasks.close();
    server.tasks.wait().await;
    // Nor does what bounds HTTP connections.
    let timeout = socket2::SockRef::from(connection.socket.stream()).tcp_user_timeout();
    assert_eq!(timeout.unwrap(), None);
    connection.socket.stream().write_all(b"hi").unwrap();
    let mut hi = [0; 2];
    answer.client.read_exact(&mut hi).unwrap();
    assert_eq!(&hi, b"hi");
}

#[tokio::test]
async fn a_freed_place_is_given_again_and_open_connections_are_counted() {
    let mut server = start("*", 1).await;
    for _ in 0..3 {
        let answer = ask(&server, get(GOOD)).await;
        assert_eq!(answer.status, 101);
        drop(server.connections.recv().await.unwrap());
        // The session's task and hyper's end on their own; then nothing counts.
        while !server.tasks.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(server.metrics.connections.get(), 0);
    }
}
