//! The promise: a broadcast costs no heap allocation per member, however many there are, and a notification to one user
//! costs a bounded few. A binary of its own, since its allocator counts for the whole process.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::alloc::System;
use std::time::Duration;

use herald::delivery::registry::Registry;
use herald::destination::{Path, Target};
use herald::envelope::Envelope;
use herald::principal::UserName;
use parking_lot::Mutex;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[path = "../benches/instructions/registry.rs"]
mod registry;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Tests run beside each other, and count for each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Notifications that are counted.
const TIMES: usize = 50;

fn path() -> Path {
    Path::parse("/queue/bench").unwrap()
}

fn user() -> UserName {
    UserName::parse("alice").unwrap()
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
    let registry = registry::empty().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for _ in 0..members {
            registry::subscribe(&registry, user(), target).await;
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
