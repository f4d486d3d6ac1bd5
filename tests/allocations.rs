//! The promise: a broadcast costs no heap allocation per member, however many there are, and a notification to one user
//! costs a bounded few. A binary of its own, since its allocator counts for the whole process.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::alloc::System;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use herald::delivery::Config;
use herald::delivery::command::{Join, Subscription};
use herald::delivery::outbox::TryWrite;
use herald::delivery::registry::{Limits, Registry};
use herald::delivery::wire::AckMode;
use herald::destination::{Path, Target};
use herald::envelope::Envelope;
use herald::principal::{Principal, UserName};
use herald::stomp::Version;
use parking_lot::Mutex;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Tests run beside each other, and count for each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Notifications that are counted.
const TIMES: usize = 50;

/// A socket that takes everything.
struct Taking;

impl TryWrite for Taking {
    fn try_write(&self, chunks: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(chunks.iter().map(|chunk| chunk.len()).sum())
    }
}

fn path() -> Path {
    Path::parse("/queue/bench").unwrap()
}

fn user() -> UserName {
    UserName::parse("alice").unwrap()
}

async fn subscribed(registry: &Registry, target: &Target) {
    let session = registry.session();
    let join = Join {
        outbox: registry.outbox(Arc::new(Taking)),
        session: "session".into(),
        principal: Principal::new(user(), ["ROLE_USER"]),
        version: Version::V1_2,
        send_every_ms: 0,
        receive_every_ms: 0,
        address: [127, 0, 0, 1].into(),
        since_ms: 0,
        connected: Bytes::from_static(b"CONNECTED"),
    };
    let subscription = Subscription {
        number: 0,
        id: Some("0".into()),
        target: target.clone(),
        ack: AckMode::Auto,
        prefetch: 1,
    };
    session.join(Box::new(join)).await;
    session.subscribe(Box::new(subscription), None).await;
}

async fn delivered(registry: &Registry, target: &Target, members: u64) {
    let wanted = registry.stats().written + members;
    registry
        .deliver(Envelope::new(target.clone(), vec![b'x'; 128]))
        .await;
    while registry.stats().written < wanted {
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Allocations of all threads over [`TIMES`] notifications to `members` sessions.
fn allocations(target: &Target, members: u64) -> usize {
    let limits = Limits {
        tracer: Default::default(),
        outbox_bytes: 1 << 20,
        outbox_total_bytes: 1 << 20,
        delivery_bytes: 1 << 20,
        hidden_tab_grace: Duration::from_secs(300),
        user_prefix: Path::parse("/user").unwrap(),
        measure: Arc::new(()),
    };
    let registry = Registry::start(&Config::default(), limits).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for _ in 0..members {
            subscribed(&registry, target).await;
        }
        // What is made once is made here, and by then all members are in.
        while registry.stats().subscriptions < members {
            std::thread::sleep(Duration::from_micros(100));
        }
        for _ in 0..3 {
            delivered(&registry, target, members).await;
        }
        let before = ALLOCATOR.stats();
        for _ in 0..TIMES {
            delivered(&registry, target, members).await;
        }
        let after = ALLOCATOR.stats();
        (after.allocations - before.allocations) + (after.reallocations - before.reallocations)
    })
}

#[test]
fn a_broadcast_allocates_nothing_per_member() {
    let _alone = ONE_AT_A_TIME.lock();
    let target = Target::Broadcast(path());
    let (few, many) = (allocations(&target, 10), allocations(&target, 2_000));
    println!("{TIMES} broadcasts: {few} allocations for 10 members, {many} for 2,000");
    // The clock ticks meanwhile, and a mailbox takes memory for some commands at a time.
    assert!(
        many <= few + TIMES,
        "{few} allocations for 10 members, {many} for 2,000"
    );
}

#[test]
fn a_notification_to_one_user_allocates_a_bounded_few() {
    let _alone = ONE_AT_A_TIME.lock();
    let target = Target::User {
        user: user(),
        path: path(),
    };
    let each = allocations(&target, 1) as f64 / TIMES as f64;
    println!("{each} allocations a notification");
    // The envelope of the test has 3 of them: id, body, and its shared view.
    assert!(each <= 8.0, "{each} allocations a notification");
}
