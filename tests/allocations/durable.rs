//! The promise: a notification that JetStream keeps costs a bounded few heap allocations more than one that is not
//! kept, from the publish until the relay has it, including its acknowledgement. With a real `nats-server`; only this
//! process is counted.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use herald::bus::history::Config as HistoryConfig;
use herald::bus::nats::{Identity, Keep, NatsBus};
use herald::bus::{Bus, Config, Health, Incoming};
use herald::destination::{Prefixes, Target};
use herald::envelope::Kind;
use herald::instance::Instance;
use herald::setting::ByteSize;

use super::nats::NatsServer;
use super::{ALLOCATOR, LIMITS, ONE_AT_A_TIME, ROUNDS, TIMES, path, registry, user};

/// The least allocations of one notification to a user who is not there: published by itself, and in an array.
fn allocations(url: &str, is_kept: bool) -> [f64; 2] {
    let config = Config {
        url: Some(url.parse().unwrap()),
        ..Config::default()
    };
    let history = HistoryConfig {
        enabled: Some(is_kept),
        ..HistoryConfig::default()
    };
    let (prefixes, instance) = (Prefixes::default(), Instance::new(&Default::default()));
    let keep = Keep::of(&history, &prefixes, ByteSize::mib(1));
    let target = Target::User {
        user: user(),
        path: path(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let identity = Identity::read(&config).unwrap();
        let bus = NatsBus::connect_as(identity, &config, LIMITS, &instance, keep);
        let bus = bus.await.unwrap();
        let _tasks = bus.tasks();
        let deadline = Instant::now() + Duration::from_secs(30);
        while !(bus.is_ready() && *bus.health().borrow() == Health::Connected) {
            assert!(
                Instant::now() < deadline,
                "not ready within 30 s: {:?}",
                bus.trouble()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut incoming = match is_kept {
            true => bus.kept_incoming(Kind::User).unwrap(),
            false => bus.incoming().unwrap(),
        };
        let envelope = registry::notification(&target, None);
        let array: Vec<_> = (0..TIMES).map(|_| (envelope.clone(), None)).collect();
        let mut least = [usize::MAX; 2];
        // A heart-beat of the stream, a tick or a larger buffer comes now and then; the rest of the time none does.
        for _ in 0..4 * ROUNDS {
            for (is_array, least) in [false, true].into_iter().zip(&mut least) {
                let before = ALLOCATOR.stats();
                let mut published = Vec::new();
                if is_array {
                    published = bus.publish_all(&array).await;
                }
                for _ in 0..TIMES {
                    if !is_array {
                        bus.publish(&envelope).await.unwrap();
                    }
                    while !matches!(incoming.next().await, Some(Incoming::Notification(_))) {}
                }
                let after = ALLOCATOR.stats();
                assert!(published.iter().all(Result::is_ok), "{published:?}");
                let made =
                    (after.allocations - before.allocations) + (after.reallocations - before.reallocations);
                *least = made.min(*least);
            }
        }
        least.map(|least| least as f64 / TIMES as f64)
    })
}

#[test]
fn jetstream_adds_a_bounded_few_to_a_publish() {
    let _alone = ONE_AT_A_TIME.lock();
    let server = NatsServer::start_with_jetstream("");
    let [[alone_off, array_off], [alone_on, array_on]] =
        [false, true].map(|is_kept| allocations(&server.url(), is_kept));
    println!("alone {alone_off} allocations, kept {alone_on}; in an array {array_off}, kept {array_on}");
    assert!(alone_on <= alone_off + 12.0, "{alone_on}, {alone_off} without");
    assert!(array_on <= array_off + 9.0, "{array_on}, {array_off} without");
    assert!(array_off <= 22.0, "{array_off}");
}
