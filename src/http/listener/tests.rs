//! The promise: decision 7 of docs/architecture.md about the accept loop: the maximum of connections, the head's
//! time-out, the end.

use std::io::{Read, Write};
use std::net::TcpStream as Client;

use axum::Extension;
use axum::routing::get;
use rustix::io::Errno;
use tokio::task::spawn_blocking;

use super::*;
use crate::http::proxies::ForwardedHeader;
use crate::limit::Limit;
use crate::ws::peer::Peer;

mod heads;
mod pace;

struct Running {
    address: SocketAddr,
    metrics: Metrics,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    accepting: tokio::task::JoinHandle<()>,
}

/// What is served where a test says nothing else: no time-out is ever reached.
fn options() -> Options {
    Options {
        times: Times {
            header: LONG,
            idle: LONG,
            write: LONG,
        },
        head_bytes: 16 << 10,
        newcomers: Bounds {
            unauthenticated: 100,
            per_address: 0,
            head_bytes: 1 << 20,
        },
        places: 10,
        max_connections: 10,
        refusals: 8,
        per_address: 0,
        linger_bytes: 1 << 20,
        socket_send_bytes: 128 << 10,
        proxies: Proxies::new(&["127.0.0.2".parse().unwrap()], ForwardedHeader::XForwardedFor),
        proxy_protocol: true,
        tls: None,
        admin_tls: None,
        admin_places: 0,
    }
}

async fn start(options: Options) -> Running {
    let router = Router::new()
        .route("/", get(|| async { "hello" }).post(|body: String| async { body }))
        .route("/big", get(|| async { vec![b'x'; BIG] }))
        .route(
            "/peer",
            get(|Extension(peer): Extension<Peer>| async move { peer.address.to_string() }),
        );
    let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
    let running = Running {
        address: listener.local_addr().unwrap(),
        metrics: Metrics::new().unwrap(),
        shutdown: CancellationToken::new(),
        tasks: TaskTracker::new(),
        accepting: tokio::spawn(async {}),
    };
    let (metrics, shutdown, tasks) = (
        running.metrics.clone(),
        running.shutdown.clone(),
        running.tasks.clone(),
    );
    let accepting =
        tokio::spawn(async move { serve(listener, router, options, metrics, shutdown, &tasks).await });
    Running { accepting, ..running }
}

/// Sends `request` and reads until the server closes.
async fn ask(mut client: Client, request: &'static str) -> String {
    spawn_blocking(move || {
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    })
    .await
    .unwrap()
}

/// Sends `request` on a connection that stays open, and reads the answer's first bytes.
async fn keep(mut client: Client, request: &'static str) -> Client {
    spawn_blocking(move || {
        client.write_all(request.as_bytes()).unwrap();
        let mut status = [0; 15];
        client.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200 OK");
        client
    })
    .await
    .unwrap()
}

/// Begins a request whose body does not come, so that the connection is not idle.
async fn busy(mut client: Client) -> Client {
    spawn_blocking(move || {
        let head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n";
        client.write_all(head).unwrap();
        let mut status = [0; 12];
        client.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 100");
        client
    })
    .await
    .unwrap()
}

const HELLO: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const HELLO_AND_CLOSE: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const LONG: Duration = Duration::from_secs(3_600);
const BIG: usize = 2 << 20;

#[tokio::test]
async fn the_connection_beyond_the_cap_gets_503_and_the_place_comes_back() {
    let running = start(Options {
        places: 1,
        max_connections: 1,
        ..options()
    })
    .await;
    let first = busy(Client::connect(running.address).unwrap()).await;

    let answer = ask(Client::connect(running.address).unwrap(), HELLO).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\r\nRetry-After: 5\r\n"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["detail"], "http.max_connections (1) is reached");
    assert_eq!(running.metrics.connections_refused.get(), 1);

    drop(first);
    loop {
        let answer = ask(Client::connect(running.address).unwrap(), HELLO_AND_CLOSE).await;
        if answer.starts_with("HTTP/1.1 200 ") {
            break;
        }
    }
}

/// However often: each finds its place at once, and is not told to come again.
#[tokio::test]
async fn an_idle_connection_gives_its_place_up() {
    let running = start(Options {
        places: 3,
        max_connections: 3,
        ..options()
    })
    .await;
    let mut busy = busy(Client::connect(running.address).unwrap()).await;
    let mut kept = Vec::new();
    for _ in 0..10 {
        kept.push(keep(Client::connect(running.address).unwrap(), HELLO).await);
    }
    assert_eq!(running.metrics.limit_hits(Limit::MaxConnections), 8);
    assert_eq!(running.metrics.connections_refused.get(), 0);
    spawn_blocking(move || {
        for mut gone in kept.into_iter().take(8) {
            let mut rest = String::new();
            gone.read_to_string(&mut rest).unwrap();
            assert!(
                rest.ends_with("\r\n\r\nhello"),
                "the answer, and no other: {rest}"
            );
        }
        busy.write_all(b"12345").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"200 OK") {
            let mut byte = [0];
            busy.read_exact(&mut byte).unwrap();
            answer.extend(byte);
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn requests_know_their_peer() {
    let running = start(options()).await;
    let client = Client::connect(running.address).unwrap();
    let address = client.local_addr().unwrap().ip().to_string();
    let answer = ask(
        client,
        "GET /peer HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.ends_with(&address), "{answer}");
}

#[tokio::test]
async fn shutdown_frees_the_port_and_closes_idle_connections() {
    let running = start(options()).await;
    let mut idle = keep(Client::connect(running.address).unwrap(), HELLO).await;
    running.shutdown.cancel();
    running.accepting.await.unwrap();
    running.tasks.close();
    let ended = tokio::time::timeout(Duration::from_secs(10), running.tasks.wait()).await;
    assert!(ended.is_ok(), "the idle connection is still served");
    let mut rest = Vec::new();
    spawn_blocking(move || idle.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
    assert!(Client::connect(running.address).is_err());
}

#[tokio::test]
async fn sockets_are_prepared() {
    let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
    let _client = Client::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    prepare(&stream, &options()).unwrap();
    let socket = SockRef::from(&stream);
    assert!(stream.nodelay().unwrap());
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(30));
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(10));
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
    // Linux doubles it, for its own book-keeping.
    assert_eq!(socket.send_buffer_size().unwrap(), 256 << 10);
}

#[test]
fn accepting_pauses_when_nothing_is_left() {
    let metrics = Metrics::new().unwrap();
    let mut failures = Failures::new(metrics.clone());
    let start = Instant::now();
    let mut note = |errno: Errno, ms| {
        let pause = failures.note(&errno.into(), start + Duration::from_millis(ms));
        (
            pause,
            failures.logged_at.map(|at| at.duration_since(start).as_millis()),
        )
    };
    // The connection's own fault: on to the next.
    for errno in [Errno::CONNABORTED, Errno::NETDOWN, Errno::PROTO, Errno::INTR] {
        assert_eq!(note(errno, 0), (false, None), "{errno}");
    }
    assert_eq!(metrics.accept_pauses.get(), 0);
    // Each time a pause, but logged only once a second.
    for (errno, ms, logged) in [
        (Errno::MFILE, 5, 5),
        (Errno::NFILE, 100, 5),
        (Errno::NOBUFS, 1_004, 5),
        (Errno::NOMEM, 1_005, 1_005),
    ] {
        assert_eq!(note(errno, ms), (true, Some(logged)), "{errno}");
    }
    assert_eq!(metrics.accept_pauses.get(), 4);
}
