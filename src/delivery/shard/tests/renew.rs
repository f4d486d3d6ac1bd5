//! The promise: a renewal judges every subscription in one step, whatever state it is in; a lost one gets nothing more,
//! a kept one loses nothing, and the session ends only at its new end. The walk tries every order of steps on the real
//! shard.

use super::expiry::{now_ms, pass};
use super::resume::{at, keeping, stored};
use super::*;
use crate::delivery::command::{Judge, Lost};

mod walk;

impl Fixture {
    /// Renews the session of `client` to end in `left_ms`. `judge` says what it keeps. Returns the numbers of what it has lost.
    pub(super) fn renew(
        &mut self,
        client: &Client,
        left_ms: Option<u64>,
        judge: impl Fn(&Target) -> bool + Send + Sync + 'static,
    ) -> Vec<u32> {
        let (lost, mut answer) = tokio::sync::oneshot::channel();
        let judge: Judge = Arc::new(judge);
        let principal = Principal::new(UserName::parse("alice").unwrap(), ["ROLE_USER"]);
        let principal = principal.ending(left_ms.map(|left_ms| now_ms() + left_ms));
        let renewal = Renewal {
            principal,
            judge,
            lost,
        };
        let command = SessionCommand::Renew(Box::new(renewal));
        self.handle(Command::Session(client.key, command));
        let lost: Vec<Lost> = answer.try_recv().unwrap_or_default();
        lost.iter().map(|lost| lost.number).collect()
    }
}

#[test]
fn every_kind_of_subscription_is_judged_and_what_waits_of_the_lost_is_dropped() {
    let mut f = keeping();
    let client = f.join("alice", 1 << 20);
    let (kept, lost, waits) = (
        broadcast("/topic/a"),
        own("alice", "/topic/b"),
        broadcast("/queue/c"),
    );
    f.subscribe(&client, 1, kept.clone());
    f.subscribe(&client, 2, lost.clone());
    f.hold(&client, &waits, 2);
    client.pipe.room.store(1, Ordering::Relaxed);
    f.deliver([
        note(&kept, "begun;"),
        note(&lost, "lost;"),
        note(&kept, "kept;"),
        stored(&waits, 3),
    ]);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (asking, kept_path) = (asked.clone(), kept.clone());
    let numbers = f.renew(&client, None, move |target| {
        asking.lock().push(target.clone());
        *target == kept_path
    });
    assert_eq!(numbers, [2, 0]);
    assert_eq!(*asked.lock(), [kept.clone(), lost.clone(), waits.clone()]);
    f.deliver([note(&lost, "lost;"), note(&kept, "kept;"), stored(&waits, 4)]);
    f.release(&client, 2, Ok(Vec::new()));
    client.pipe.room.store(1 << 20, Ordering::Relaxed);
    while !client.outbox.is_drained() {
        client.outbox.write_waiting().unwrap();
    }
    let counts = ["begun;", "kept;", "lost;", "body-"].map(|body| client.pipe.count(body));
    assert_eq!(counts, [1, 2, 0, 0], "{}", client.pipe.text());
    assert!(f.shard.resuming.is_idle());
    assert!(f.shard.setting.interest.shards(&waits).is_empty());
    assert_eq!(f.shard.setting.counters.subscriptions.load(Ordering::Relaxed), 1);
    // Its number is free again.
    f.handle(Command::Session(client.key, SessionCommand::Drained));
    f.subscribe(&client, 2, lost.clone());
    f.deliver([note(&lost, "anew;")]);
    assert_eq!(client.pipe.count("anew;"), 1);
}

#[test]
fn an_earlier_end_is_taken_and_the_timers_of_before_are_void() {
    let mut f = Fixture::new();
    let client = f.join_until("alice", 60_000);
    for _ in 0..10 {
        f.renew(&client, Some(600_000), |_| true);
        f.renew(&client, Some(10_000), |_| true);
    }
    pass(&mut f, 1 + 39);
    assert_eq!(client.outbox.closing(), None);
    pass(&mut f, 1 + 40);
    assert_eq!(client.outbox.closing(), Some(CloseReason::TokenExpired));
    let endless = f.join_until("alice", 1_000);
    f.renew(&endless, None, |_| true);
    pass(&mut f, 1 + 400);
    assert_eq!(endless.outbox.closing(), None, "it has no end any more");
}

#[test]
fn who_renews_is_reminded_again() {
    let mut f = Fixture::new();
    let client = f.join_until("alice", 9_000);
    f.subscribe(&client, 0, own("alice", "/queue/herald/auth"));
    pass(&mut f, 1 + 24);
    assert_eq!(client.pipe.count("expiring"), 1);
    f.renew(&client, Some(9_000), |_| true);
    pass(&mut f, 1 + 47);
    assert_eq!(client.pipe.count("expiring"), 1);
    pass(&mut f, 1 + 48);
    assert_eq!(client.pipe.count("expiring"), 2);
}
