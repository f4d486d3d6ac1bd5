//! The promise: a broadcast costs no heap allocation per member, however many there are; a notification to one user
//! costs a few, bounded; history adds one to a publish and none to a delivery, history over NATS a few to a publish;
//! and reading a heart-beat, or checking a thousand rules, costs none. A separate binary, since its allocator counts
//! for the whole process.

#![allow(unreachable_pub, reason = "a test has no callers")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::alloc::System;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use herald::bus::embedded::{EmbeddedBus, Keeping};
use herald::bus::{Bus, Config, Limits};
use herald::delivery::registry::Registry;
use herald::destination::{Path, Prefixes, Target};
use herald::envelope::{Envelope, HeaderLimits};
use herald::instance::InstanceId;
use herald::permissions::{self, Action, Ask, Permissions, Rule, Who};
use herald::principal::{Principal, UserName};
use herald::setting::{ByteSize, Findings};
use herald::ws::reader::{Event, Reader};
use herald::ws::socket::Socket;
use herald::ws::upgrade::register;
use parking_lot::Mutex;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[path = "allocations/durable.rs"]
mod durable;
#[path = "it/support/nats.rs"]
#[allow(dead_code, clippy::expect_used, reason = "other tests need the rest")]
mod nats;
#[path = "it/support/ports.rs"]
mod ports;
#[path = "../benches/instructions/registry.rs"]
mod registry;

const LIMITS: Limits = Limits {
    body_bytes: ByteSize::mib(1),
    headers: HeaderLimits {
        count: 32,
        bytes: 4096,
    },
};

/// For the server's support, which shares it with tests that wait.
#[allow(dead_code, reason = "the part of it that waits is not used here")]
async fn within<F: Future>(_: &'static str, future: F) -> F::Output {
    future.await
}

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Tests run concurrently, and would count each other's allocations.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The number of notifications counted.
const TIMES: usize = 50;
/// How often they are counted. The least counts: the test harness allocates meanwhile, when it reports another test.
const ROUNDS: usize = 5;

fn path() -> Path {
    Path::parse("/queue/bench").unwrap()
}

fn user() -> UserName {
    UserName::parse("alice").unwrap()
}

async fn delivered(registry: &Registry, notification: Envelope, members: u64) {
    let wanted = registry.stats().written + members;
    registry.deliver(notification).await;
    while registry.stats().written < wanted {
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// The least allocations of all threads during [`TIMES`] notifications to `members` sessions; with history each has a
/// position.
fn allocations(target: &Target, members: u64, is_kept: bool) -> usize {
    let registry = registry::empty(is_kept).unwrap();
    let mut sequence = 0;
    let mut next = || {
        sequence += 1;
        registry::notification(target, is_kept.then_some(sequence))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for _ in 0..members {
            registry::subscribe(&registry, user(), target).await;
        }
        // What is made once is made here, and all members have joined by then.
        while registry.stats().subscriptions < members {
            std::thread::sleep(Duration::from_micros(100));
        }
        for _ in 0..3 {
            delivered(&registry, next(), members).await;
        }
        let mut least = usize::MAX;
        for _ in 0..ROUNDS {
            let before = ALLOCATOR.stats();
            for _ in 0..TIMES {
                delivered(&registry, next(), members).await;
            }
            let after = ALLOCATOR.stats();
            let made =
                (after.allocations - before.allocations) + (after.reallocations - before.reallocations);
            least = least.min(made);
        }
        least
    })
}

#[test]
fn a_broadcast_allocates_nothing_per_member() {
    let _alone = ONE_AT_A_TIME.lock();
    let target = Target::Broadcast(path());
    for is_kept in [false, true] {
        let [few, many] = [10, 2_000].map(|members| allocations(&target, members, is_kept));
        println!("{TIMES} broadcasts, kept {is_kept}: {few} allocations for 10 members, {many} for 2,000");
        // The clock ticks meanwhile, and a mailbox allocates memory for several commands at once.
        assert!(
            many <= few + TIMES,
            "{few} allocations for 10 members, {many} for 2,000"
        );
    }
}

#[test]
fn a_notification_to_one_user_allocates_a_bounded_few() {
    let _alone = ONE_AT_A_TIME.lock();
    let target = Target::User {
        user: user(),
        path: path(),
    };
    let [off, on] = [false, true].map(|is_kept| allocations(&target, 1, is_kept) as f64 / TIMES as f64);
    println!("{off} allocations a notification, {on} with history");
    // The test's envelope has 3 of them: id, body, and its shared view.
    assert!(off <= 8.0 && on <= 8.0, "{off} allocations, {on} with history");
}

/// The least allocations of one publish on the embedded bus, until the relay has it.
fn of_a_publish(keeping: Option<Keeping>) -> f64 {
    let (config, instance) = (Config::default(), InstanceId::random());
    let bus = match keeping {
        Some(keeping) => EmbeddedBus::with_history(&config, LIMITS, instance, keeping),
        None => EmbeddedBus::new(&config, LIMITS, instance),
    };
    let mut incoming = bus.incoming().unwrap();
    let target = Target::User {
        user: user(),
        path: path(),
    };
    let envelope = registry::notification(&target, None);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut least = usize::MAX;
        // What is kept takes room that doubles now and then; the rest of the time it does not.
        for _ in 0..4 * ROUNDS {
            let before = ALLOCATOR.stats();
            for _ in 0..TIMES {
                bus.publish(&envelope).await.unwrap();
                incoming.next().await.unwrap();
            }
            let after = ALLOCATOR.stats();
            least = least
                .min((after.allocations - before.allocations) + (after.reallocations - before.reallocations));
        }
        least as f64 / TIMES as f64
    })
}

#[test]
fn history_in_memory_adds_one_allocation_to_a_publish() {
    let _alone = ONE_AT_A_TIME.lock();
    let prefixes = Prefixes::default();
    let keeping = Keeping::of(&Default::default(), &prefixes, ByteSize::mib(1)).unwrap();
    let (off, on) = (of_a_publish(None), of_a_publish(Some(keeping)));
    println!("{off} allocations a publish, {on} with history");
    // A body of its own, since the request's may be a small part of a large one.
    assert!(on <= off + 1.0, "{off} allocations a publish, {on} with history");
}

#[test]
fn a_decision_under_a_thousand_rules_allocates_nothing() {
    let _alone = ONE_AT_A_TIME.lock();
    let rule = |number: usize| {
        let pattern = format!("/queue/{number}/{{user}}/{{claim.tenant}}/{{claim.plan}}/{{claim.region}}");
        Rule::new(pattern.parse().unwrap())
    };
    let rules = (0..1_000).map(rule).collect();
    let config = permissions::Config {
        subscribe: rules,
        ..Default::default()
    };
    let mut findings = Findings::default();
    let permissions = Permissions::new(&config, &Prefixes::default(), &mut findings);
    assert!(findings.errors.is_empty(), "{findings:?}");
    let claims = "tenant = ['acme', 'other']\nplan = ['gold']\nregion = ['eu']";
    let alice = Principal::with_attributes(user(), ["ROLE_USER"], toml::from_str(claims).unwrap());
    let path = |last: &str| Path::parse(&format!("/queue/999/alice/acme/gold/{last}")).unwrap();
    let (permitted, refused) = (path("eu"), path("us"));
    let decide = |path: &Path| {
        permissions
            .decide(Action::Subscribe, Who::User(&alice), Ask::Broadcast(path))
            .is_ok()
    };
    let mut least = usize::MAX;
    let began = std::time::Instant::now();
    for _ in 0..ROUNDS {
        let before = ALLOCATOR.stats();
        for _ in 0..TIMES {
            assert!(decide(&permitted) && !decide(&refused));
        }
        let after = ALLOCATOR.stats();
        least = least
            .min((after.allocations - before.allocations) + (after.reallocations - before.reallocations));
    }
    let each = began.elapsed() / (2 * ROUNDS * TIMES) as u32;
    println!("{least} allocations in {} decisions, {each:?} each", 2 * TIMES);
    assert_eq!(least, 0);
}

#[test]
fn a_heart_beat_is_read_without_an_allocation() {
    let _alone = ONE_AT_A_TIME.lock();
    // FIN and text, masked, one byte: LF under a mask that begins with `M`.
    const HEART_BEAT: [u8; 7] = [0x81, 0x81, b'M', b'A', b'S', b'K', b'\n' ^ b'M'];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    let made = runtime.block_on(async {
        let socket = register(Socket::plain(server)).unwrap();
        let mut reader = Reader::new(&socket, Bytes::new(), 1_024, &|| {});
        let mut beat = async || {
            client.write_all(&HEART_BEAT).unwrap();
            match reader.next().await.unwrap() {
                Event::Data(payload) => assert_eq!(&payload[..], b"\n"),
                event => panic!("{event:?}"),
            }
        };
        // What a thread makes once is made here.
        beat().await;
        let mut least = usize::MAX;
        for _ in 0..ROUNDS {
            let before = ALLOCATOR.stats();
            for _ in 0..TIMES {
                beat().await;
            }
            least = least.min(ALLOCATOR.stats().allocations - before.allocations);
        }
        least
    });
    assert_eq!(made, 0, "{made} allocations for {TIMES} heart-beats");
}
