//! What the contract suite (`tests/it/bus.rs`) cannot ask of every bus: what a full queue does here, and the handler.

use futures_util::StreamExt;

use super::*;
use crate::destination::{Path, Target};
use crate::envelope::{HeaderLimits, Headers, TraceContext};
use crate::principal::UserName;
use crate::setting::ByteSize;

const LIMITS: Limits = Limits {
    body_bytes: ByteSize::kib(64),
    headers: HeaderLimits {
        count: 8,
        bytes: 1_024,
    },
};

fn bus(set: impl FnOnce(&mut Config)) -> Arc<EmbeddedBus> {
    let mut config = Config::default();
    set(&mut config);
    EmbeddedBus::new(&config, LIMITS, InstanceId::random())
}

fn envelope(body: impl Into<Bytes>) -> Envelope {
    Envelope::new(Target::Broadcast(Path::parse("/queue/x").unwrap()), body)
}

fn request() -> AppRequest {
    AppRequest {
        path: Path::parse("/x").unwrap(),
        user: UserName::parse("alice").unwrap(),
        session: "s".into(),
        instance: "i".into(),
        content_type: None,
        headers: Headers::default(),
        trace: TraceContext::default(),
        body: Bytes::from_static(b"question"),
    }
}

#[tokio::test(start_paused = true)]
async fn publishers_wait_for_a_slow_reader_and_are_refused_within_a_second() {
    for bus in [
        bus(|config| config.embedded_capacity = 2),
        bus(|config| config.incoming_bytes = ByteSize::kib(64)),
    ] {
        let mut incoming = bus.incoming().unwrap();
        let large = envelope(vec![0; 30 << 10]);
        bus.publish(&large).await.unwrap();
        bus.publish(&large).await.unwrap();
        let start = tokio::time::Instant::now();
        assert_eq!(bus.publish(&large).await, Err(PublishError::Unavailable));
        assert!(start.elapsed() >= PUBLISH_TIMEOUT && start.elapsed() < Duration::from_secs(1));
        // A reader that comes in time lets the waiting publisher through.
        let (published, read) = tokio::join!(bus.publish(&large), incoming.next());
        assert!(published.is_ok() && read.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_or_panics_ends_the_wait() {
    let bus = bus(|_| ());
    bus.respond_to_requests(|_| Box::pin(std::future::pending()));
    let reply = bus.request(&request()).await.unwrap().reply().await;
    assert_eq!(reply, Err(RequestError::Timeout));
    bus.respond_to_requests(|_| Box::pin(async { panic!("the backend's fault") }));
    let reply = bus.request(&request()).await.unwrap().reply().await;
    assert_eq!(reply, Err(RequestError::Unavailable));
}

#[tokio::test]
async fn without_readers_publishing_goes_on() {
    let bus = bus(|config| config.embedded_capacity = 1);
    drop((bus.incoming(), bus.control_incoming()));
    for _ in 0..100 {
        bus.publish(&envelope("x")).await.unwrap();
        bus.control_publish("x", Bytes::new()).await.unwrap();
    }
}
