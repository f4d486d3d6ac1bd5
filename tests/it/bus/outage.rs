//! NATS goes away and comes back: while it is away a publish is refused at once and nothing is kept for later; two
//! seconds after its return everything works as before, without intervention.

use std::time::{Duration, Instant};

use herald::bus::nats::NatsBus;
use herald::bus::{Bus, Health, PublishError, RequestError};

use super::{LIMITS, broadcast, config, heard, instance, nats_bus, next, request, until};
use crate::support::nats::NatsServer;
use crate::support::within;

async fn refused(bus: &dyn Bus) {
    let publish = bus.publish(&broadcast("lost")).await;
    assert_eq!(publish, Err(PublishError::Unavailable));
    let ask = bus.request(&request("/x")).await.unwrap_err();
    assert_eq!(ask, PublishError::Unavailable);
    let long = Duration::from_secs(5);
    let control = bus
        .control_request(instance().id, "test.kind", "".into(), long)
        .await;
    assert_eq!(control, Err(RequestError::Unavailable));
}

/// Not one by one, which would fail on a busy machine: each of them would wait for `request_timeout` or longer.
async fn refused_at_once(bus: &dyn Bus) {
    let start = Instant::now();
    for _ in 0..100 {
        refused(bus).await;
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_ends_by_itself() {
    let mut server = NatsServer::start();
    let bus = nats_bus(&server.url()).await;
    let mut incoming = bus.incoming().unwrap();
    for round in 1..=2 {
        server.kill();
        until(&*bus, Health::Disconnected).await;
        refused_at_once(&*bus).await;
        server.restart();
        let back = Instant::now();
        while bus.publish(&broadcast(format!("round {round}"))).await.is_err() {
            assert!(back.elapsed() < Duration::from_secs(2));
            tokio::task::yield_now().await;
        }
        // The first one to arrive: of what was refused, nothing was kept.
        assert_eq!(heard(&mut incoming).await.body, format!("round {round}"));
        assert_eq!(bus.stats().reconnects, round);
    }
}

#[tokio::test]
async fn it_starts_before_the_server_does() {
    let mut server = NatsServer::start();
    server.kill();
    let bus = within(
        "connect without a server",
        NatsBus::connect(&config(&server.url()), LIMITS, &instance()),
    )
    .await
    .unwrap();
    let mut incoming = bus.incoming().unwrap();
    assert_eq!(*bus.health().borrow(), Health::Disconnected);
    refused_at_once(&*bus).await;
    server.restart();
    until(&*bus, Health::Connected).await;
    bus.publish(&broadcast("first")).await.unwrap();
    assert_eq!(heard(&mut incoming).await.body, "first");
    assert_eq!(bus.stats().reconnects, 0);
}

#[tokio::test]
async fn a_request_that_waits_ends_with_the_connection() {
    let mut server = NatsServer::start();
    let mut patient = config(&server.url());
    patient.request_timeout.0 = Duration::from_secs(3_600);
    let bus = NatsBus::connect(&patient, LIMITS, &instance()).await.unwrap();
    until(&*bus, Health::Connected).await;
    super::backend::listen(&server).await;
    let pending = bus.request(&request("/silent")).await.unwrap();
    server.kill();
    let end = within("its end", pending.reply()).await;
    assert_eq!(end, Err(RequestError::Unavailable));
}

/// The connection is open and accepts nothing: each call is still answered within a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_server_blocks_nobody() {
    let server = NatsServer::start();
    let bus = nats_bus(&server.url()).await;
    server.set_frozen(true);
    let large = broadcast(vec![0; LIMITS.body_bytes.0]);
    let mut taken = 0;
    loop {
        let start = Instant::now();
        let result = bus.publish(&large).await;
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        match result {
            Ok(_) => taken += 1,
            Err(error) => break assert_eq!(error, PublishError::Unavailable),
        }
        assert!(taken < 1_000, "nothing bounds what waits");
    }
    server.set_frozen(false);
    let mut incoming = bus.incoming().unwrap();
    let back = async { while bus.publish(&broadcast("back")).await.is_err() {} };
    within("the return", back).await;
    while heard(&mut incoming).await.body != "back" {}
}

#[tokio::test]
async fn drain_delivers_what_was_accepted_and_is_bounded() {
    let server = NatsServer::start();
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut seen = client.subscribe("herald.broadcast.>").await.unwrap();
    client.flush().await.unwrap();
    let bus = nats_bus(&server.url()).await;
    for number in 0..1_000_u32 {
        bus.publish(&broadcast(number.to_be_bytes().to_vec()))
            .await
            .unwrap();
    }
    bus.drain().await;
    for number in 0..1_000_u32 {
        assert_eq!(next(&mut seen).await.payload, number.to_be_bytes().to_vec());
    }

    let mut server = server;
    let hanging = nats_bus(&server.url()).await;
    server.set_frozen(true);
    let start = Instant::now();
    hanging.drain().await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    server.set_frozen(false);
    let lost = nats_bus(&server.url()).await;
    server.kill();
    until(&*lost, Health::Disconnected).await;
    let start = Instant::now();
    lost.drain().await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}
