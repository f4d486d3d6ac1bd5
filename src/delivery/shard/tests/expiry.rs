//! The promise: an expired session gets ERROR and 4401 and nothing after it, is reminded once before, and costs nothing
//! until then; many ends at the same moment are spread over ticks.

use std::cell::Cell;

use super::*;
use crate::delivery::heartbeat::TICK_MS;

thread_local! {
    static NOW_MS: Cell<u64> = const { Cell::new(1_000_000) };
}

/// The time of day of this test.
pub(super) fn now_ms() -> u64 {
    NOW_MS.get()
}

/// Both clocks go on to tick `to`, one tick after the other.
pub(super) fn pass(f: &mut Fixture, to: u32) {
    while f.clock.load(Ordering::Relaxed) < to {
        NOW_MS.set(NOW_MS.get() + TICK_MS);
        let next = f.clock.load(Ordering::Relaxed) + 1;
        f.tick(next);
    }
}

/// The same, and sessions whose time is over wait for the next command.
pub(super) fn pass_without_ends(f: &mut Fixture, to: u32) {
    NOW_MS.set(NOW_MS.get() + TICK_MS);
    f.clock.store(to, Ordering::Relaxed);
    f.shard.handle(Command::Tick(to));
}

const REMINDERS: &str = "/queue/herald/auth";

impl Fixture {
    /// A session that ends in `left_ms`, without heart-beats.
    pub(super) fn join_until(&mut self, user: &str, left_ms: u64) -> Client {
        self.join_with(user, 1 << 20, |join| {
            let principal = join.principal.clone();
            join.principal = principal.ending(Some(now_ms() + left_ms));
            (join.send_every_ms, join.receive_every_ms) = (0, 0);
        })
    }
}

#[test]
fn a_session_ends_in_time_and_nothing_goes_out_behind_its_error() {
    let mut f = Fixture::new();
    let (ends, stays) = (f.join_until("alice", 10_000), f.join("bob", 1 << 20));
    let target = broadcast("/queue/x");
    f.subscribe(&ends, 0, target.clone());
    f.subscribe(&stays, 0, target.clone());
    pass(&mut f, 40);
    assert_eq!(ends.outbox.closing(), None);
    f.deliver([note(&target, "in time;")]);
    pass(&mut f, 44);
    f.deliver([note(&target, "too late;")]);
    ends.outbox.write_waiting().unwrap();
    assert_eq!(ends.outbox.closing(), Some(CloseReason::TokenExpired));
    let text = ends.pipe.text();
    let error = text.find("ERROR\nmessage:token expired\nherald-reason:token-expired\n");
    assert!(error > text.find("in time;") && error.is_some(), "{text}");
    assert!(!text.contains("too late;"), "{text}");
    assert_eq!((f.sessions(), stays.pipe.count("too late;")), (1, 1));
}

#[test]
fn a_session_is_reminded_where_it_has_subscribed_and_alone() {
    let mut f = Fixture::new();
    let clients = [
        f.join_until("alice", 600_000),
        f.join_with("alice", 1 << 20, |join| join.receive_every_ms = 0),
        f.join_until("bob", 600_000),
    ];
    for (client, user) in clients.iter().take(2).zip(["alice", "alice"]) {
        f.subscribe(client, 0, own(user, REMINDERS));
    }
    f.subscribe(&clients[2], 0, own("bob", "/queue/x"));
    pass(&mut f, 1 + 2_159);
    let counts = |clients: &[Client; 3]| {
        clients
            .each_ref()
            .map(|client| client.pipe.count(r#"{"event":"expiring""#))
    };
    assert_eq!(counts(&clients), [0, 0, 0]);
    pass(&mut f, 1 + 2_160);
    assert_eq!(counts(&clients), [1, 0, 0]);
    assert_eq!(
        clients[0]
            .pipe
            .count(r#"{"event":"expiring","expires_in_ms":60000}"#),
        1
    );
    assert_eq!(clients[0].pipe.count("destination:/user/queue/herald/auth\n"), 1);
    // Whoever subscribes later is told at once, behind the RECEIPT.
    f.subscribe(&clients[2], 1, own("bob", REMINDERS));
    assert_eq!(counts(&clients), [1, 0, 1]);
    let text = clients[2].pipe.text();
    assert!(text.find("RECEIPT-1;") < text.find("expiring"), "{text}");
    pass(&mut f, 1 + 2_410);
    assert_eq!(counts(&clients), [1, 0, 1], "once");
    assert_eq!(f.sessions(), 1);
}

#[test]
fn a_short_life_is_reminded_after_two_thirds() {
    let mut f = Fixture::new();
    let client = f.join_until("alice", 9_000);
    f.subscribe(&client, 0, own("alice", REMINDERS));
    pass(&mut f, 1 + 23);
    assert_eq!(client.pipe.count("expiring"), 0);
    pass(&mut f, 1 + 24);
    assert_eq!(client.pipe.count(r#""expires_in_ms":3000}"#), 1);
}

#[test]
fn many_ends_at_one_moment_are_spread_and_all_within_a_second() {
    let mut f = Fixture::new();
    let clients: Vec<Client> = (0..3_000)
        .map(|n| f.join_until(&format!("user-{n}"), 10_000))
        .collect();
    pass(&mut f, 1 + 39);
    assert_eq!(f.sessions(), 3_000);
    let left: Vec<u64> = (40..44)
        .map(|tick| {
            pass(&mut f, 1 + tick);
            f.sessions()
        })
        .collect();
    assert_eq!(left, [2_000, 1_000, 0, 0], "a third a tick");
    assert!(
        clients
            .iter()
            .all(|client| client.outbox.closing() == Some(CloseReason::TokenExpired))
    );
}

#[test]
fn the_slot_of_a_session_that_ended_keeps_no_timer_for_the_next() {
    let mut f = Fixture::new();
    let first = f.join_until("alice", 10_000);
    f.handle(Command::Session(first.key, SessionCommand::Leave));
    let second = f.join("bob", 1 << 20);
    let third = f.join_until("carol", 20_000);
    pass(&mut f, 1 + 60);
    assert_eq!((second.outbox.closing(), third.outbox.closing()), (None, None));
}
