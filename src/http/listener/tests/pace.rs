//! The promise: a head is timed from its first byte, the pause between requests has its own limit, and an answer is
//! timed by what the peer accepts; the number of an address's connections is limited.

use std::net::{IpAddr, Shutdown};
use std::thread;

use super::*;

fn times(header: u64, idle: u64, write: u64) -> Options {
    let of = |ms| match ms {
        0 => LONG,
        ms => Duration::from_millis(ms),
    };
    Options {
        times: Times {
            header: of(header),
            idle: of(idle),
            write: of(write),
        },
        ..options()
    }
}

/// Reads until the server closes: what came, and how long it took.
async fn to_end(mut client: Client) -> (usize, Duration) {
    spawn_blocking(move || {
        let begun = std::time::Instant::now();
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut rest = Vec::new();
        match client.read_to_end(&mut rest) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("the connection is still open"),
            Ok(_) | Err(_) => (rest.len(), begun.elapsed()),
        }
    })
    .await
    .unwrap()
}

/// Sends a request and reads the whole answer.
async fn answered(mut client: Client) -> Client {
    spawn_blocking(move || {
        client.write_all(HELLO.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"hello") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            answer.extend(byte);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
        client
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn the_first_head_is_timed_from_accept() {
    for sent in ["", "GET / HT", "GET / HTTP/1.1\r\nho"] {
        let running = start(times(300, 0, 0)).await;
        let mut client = Client::connect(running.address).unwrap();
        client.write_all(sent.as_bytes()).unwrap();
        assert_eq!(to_end(client).await.0, 0);
        assert_eq!(running.metrics.limit_hits(Limit::HeaderTimeout), 1, "{sent:?}");
    }
}

#[tokio::test]
async fn a_later_head_is_timed_from_its_first_byte() {
    let running = start(times(1_000, 0, 0)).await;
    let mut client = Client::connect(running.address).unwrap();
    for line_end in ["", "\r\n"] {
        // An empty line between requests is no request (RFC 9112 section 2.2).
        client.write_all(line_end.as_bytes()).unwrap();
        client = answered(client).await;
        sleep(Duration::from_millis(1_300)).await;
    }
    assert_eq!(running.metrics.limit_hits(Limit::HeaderTimeout), 0);
    client.write_all(b"GET / HT").unwrap();
    let (_, took) = to_end(client).await;
    assert!(took > Duration::from_millis(500), "{took:?}");
    running.tasks.close();
    running.tasks.wait().await;
    assert_eq!(running.metrics.limit_hits(Limit::HeaderTimeout), 1);
}

#[tokio::test]
async fn who_is_idle_for_too_long_is_closed_and_not_counted() {
    let running = start(times(0, 300, 0)).await;
    let client = keep(Client::connect(running.address).unwrap(), HELLO).await;
    to_end(client).await;
    running.tasks.close();
    running.tasks.wait().await;
    assert!(
        Limit::ALL
            .iter()
            .all(|limit| running.metrics.limit_hits(*limit) == 0)
    );
}

/// The body has a limit of its own; neither of these applies to it.
#[tokio::test]
async fn a_request_in_hand_is_neither_idle_nor_a_late_head() {
    let running = start(times(500, 300, 300)).await;
    let mut client = Client::connect(running.address).unwrap();
    let head = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 4\r\n\r\nbo";
    client.write_all(head.as_bytes()).unwrap();
    sleep(Duration::from_millis(1_200)).await;
    let answer = ask(client, "dy").await;
    assert!(answer.ends_with("body"), "{answer}");
}

#[tokio::test]
async fn who_takes_nothing_is_reset() {
    let running = start(times(0, 0, 700)).await;
    let mut client = Client::connect(running.address).unwrap();
    for _ in 0..10 {
        client.write_all(b"GET /big HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    }
    let hits = || running.metrics.limit_hits(Limit::WriteTimeout);
    let ended = async {
        while hits() == 0 {
            sleep(Duration::from_millis(20)).await;
        }
        running.tasks.close();
        running.tasks.wait().await;
    };
    let ended = tokio::time::timeout(Duration::from_secs(30), ended).await;
    assert!(ended.is_ok(), "it is still served");
    assert_eq!(hits(), 1);
    let error = spawn_blocking(move || client.read_to_end(&mut Vec::new()).unwrap_err());
    assert_eq!(error.await.unwrap().kind(), io::ErrorKind::ConnectionReset);
}

/// Slower than a third of the send buffer in the time allowed, which is when the kernel would call the socket writable.
#[tokio::test]
async fn who_takes_little_gets_everything() {
    let running = start(Options {
        socket_send_bytes: 256 << 10,
        ..times(0, 0, 3_000)
    })
    .await;
    let address = running.address;
    let received = spawn_blocking(move || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        // Segments as in a network, so that little is acknowledged at a time.
        socket.set_tcp_mss(1_460).unwrap();
        socket.set_recv_buffer_size(16 << 10).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut client = Client::from(socket);
        client
            .write_all(b"GET /big HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .unwrap();
        let (mut received, mut some) = (0, [0; 3_000]);
        for _ in 0..70 {
            received += client.read(&mut some).unwrap();
            thread::sleep(Duration::from_millis(100));
        }
        received + client.read_to_end(&mut Vec::new()).unwrap()
    })
    .await
    .unwrap();
    assert!(received > BIG, "{received}");
    assert_eq!(running.metrics.limit_hits(Limit::WriteTimeout), 0);
}

#[tokio::test]
async fn an_address_has_as_many_connections_as_it_may() {
    let running = start(Options {
        per_address: 1,
        ..options()
    })
    .await;
    let from = |ip: &str| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let ip: IpAddr = ip.parse().unwrap();
        socket.bind(&SocketAddr::new(ip, 0).into()).unwrap();
        socket.connect(&running.address.into()).unwrap();
        Client::from(socket)
    };
    let first = keep(from("127.0.0.1"), HELLO).await;
    let answer = ask(from("127.0.0.1"), HELLO).await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("\r\nRetry-After: 5\r\n"), "{answer}");
    assert!(
        answer.contains("limits.http_connections_per_address (1) is reached by this address"),
        "{answer}"
    );
    assert_eq!(running.metrics.limit_hits(Limit::HttpConnectionsPerAddress), 1);
    let _other = keep(from("127.0.0.3"), HELLO).await;
    first.shutdown(Shutdown::Both).unwrap();
    loop {
        let answer = ask(from("127.0.0.1"), HELLO_AND_CLOSE).await;
        if answer.starts_with("HTTP/1.1 200 ") {
            break;
        }
    }
}
