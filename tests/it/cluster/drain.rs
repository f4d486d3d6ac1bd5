//! The promise: SIGTERM ends an instance so that clients that reconnect notice nothing: it is not ready at once while
//! it still serves, then accepts no new connections, closes sessions in waves with 1001, its users are gone elsewhere
//! at once, and it exits with 0 in time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::{TEXT, frame};
use crate::support::cluster::{Cluster, until, until_online};
use crate::support::cluster_client::Browser;

const SETTINGS: [(&str, &str); 3] = [
    ("HERALD_DRAIN__BALANCER_WAIT", "2s"),
    ("HERALD_DRAIN__SPREAD", "1s"),
    ("HERALD_DRAIN__TIMEOUT", "8s"),
];

#[tokio::test]
async fn sigterm_drains() {
    let mut cluster = Cluster::start_with(2, &SETTINGS).await;
    let backend = async_nats::connect(cluster.nats.url()).await.unwrap();
    let mut events = backend.subscribe("herald.event.user.disconnected").await.unwrap();
    backend.flush().await.unwrap();
    let mut browsers = Vec::new();
    for number in 0..20 {
        let user = format!("test{}", number % 5 + 1);
        browsers.push(Browser::connect(cluster.instances[0].address, &user).await);
    }
    let _there = Browser::connect(cluster.instances[1].address, "test9").await;
    until_online(
        &cluster.instances[1],
        &["test1", "test2", "test3", "test4", "test5", "test9"],
    )
    .await;

    let drained = &cluster.instances[0];
    let address = drained.address;
    drained.signal("TERM");
    let begun = Instant::now();
    until("not ready", async || drained.get("/readyz").await.status == 503).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    // The balancer has not noticed yet: the instance serves and admits clients.
    let mut late = Browser::connect(address, "test6").await;
    late.subscribe("/queue/x").await;
    let published = drained
        .post("/api/v1/broadcast/queue/x", "text/plain", "still")
        .await;
    assert_eq!(
        (published.status, late.next().await.text()),
        (202, "still".into())
    );
    browsers.push(late);

    until("no more connections", async || {
        TcpStream::connect(address).await.is_err()
    })
    .await;
    assert!(
        begun.elapsed() > Duration::from_millis(1_900),
        "{:?}",
        begun.elapsed()
    );
    let mut ends = Vec::new();
    let closing = browsers.iter_mut().map(async |browser| {
        let end = browser.end().await;
        assert_eq!((end.code, end.error()), (1001, None));
        begun.elapsed()
    });
    ends.extend(futures_util::future::join_all(closing).await);
    ends.sort();
    let (first, last) = (ends[0], ends[ends.len() - 1]);
    assert!(
        last - first > Duration::from_millis(400),
        "all closed within {:?}",
        last - first
    );
    assert!(last < Duration::from_secs(6), "{last:?}");
    drop(browsers);
    until_online(&cluster.instances[1], &["test9"]).await;
    let gone = begun.elapsed() - last;
    assert!(
        gone < Duration::from_secs(3),
        "gone {gone:?} after the last close"
    );
    assert_eq!(cluster.instances[0].exit_code().await, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(cluster.instances[0].lines_with("\"level\":\"ERROR\""), [""; 0]);

    let mut told = Vec::new();
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(300), events.next()).await {
        let event: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
        told.push(event["user"].as_str().unwrap().to_owned());
    }
    told.sort();
    assert_eq!(told, ["test1", "test2", "test3", "test4", "test5", "test6"]);
}

#[tokio::test]
async fn a_second_sigterm_ends_at_once() {
    let mut cluster = Cluster::start(1).await;
    let herald = &mut cluster.instances[0];
    let mut browser = Browser::connect(herald.address, "test1").await;
    herald.signal("TERM");
    until("not ready", async || herald.get("/readyz").await.status == 503).await;
    herald.signal("TERM");
    let begun = Instant::now();
    assert_eq!(herald.exit_code().await, Some(1));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(browser.end().await.code, 1006);
}

/// A client that neither reads nor leaves delays nothing; SIGINT waits for no balancer.
#[tokio::test]
async fn a_client_that_does_not_go_holds_nothing_up() {
    let mut cluster = Cluster::start_with(1, &SETTINGS).await;
    let herald = &mut cluster.instances[0];
    let (mut idle, mut stuck) = (TcpStream::connect(herald.address).await.unwrap(), Vec::new());
    for _ in 0..5 {
        stuck.push(Stuck::connect(herald.address).await);
    }
    let body = vec![b'x'; 512 << 10];
    for _ in 0..4 {
        // More than a socket's buffers hold: these sessions wait in their outbox.
        assert_eq!(
            herald
                .post("/api/v1/broadcast/queue/x", "text/plain", &body)
                .await
                .status,
            202
        );
    }
    herald.signal("INT");
    let begun = Instant::now();
    assert_eq!(herald.exit_code().await, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap(), 0);
}

/// A session that subscribes to `/queue/x` and stops reading.
struct Stuck(#[expect(dead_code, reason = "held open")] TcpStream);

impl Stuck {
    async fn connect(to: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(to).await.unwrap();
        let frames = [
            "CONNECT\naccept-version:1.2\nlogin:test1\npasscode:test\n\n\0",
            "SUBSCRIBE\nid:1\ndestination:/queue/x\nreceipt:joined\n\n\0",
        ];
        stream
            .write_all(crate::support::client::UPGRADE.as_bytes())
            .await
            .unwrap();
        for text in frames {
            stream.write_all(&frame(TEXT, text.as_bytes())).await.unwrap();
        }
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("receipt-id:joined") {
            seen.push(stream.read_u8().await.unwrap());
        }
        Self(stream)
    }
}
