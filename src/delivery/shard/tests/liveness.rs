//! The promise: a heart-beat is sent if nothing else was, and silent clients are pinged before they are reaped.

use super::*;

#[test]
fn heart_beats_go_out_only_where_nothing_else_did() {
    let mut f = Fixture::new();
    let client = f.join("alice", 1 << 20);
    let target = broadcast("/queue/x");
    f.subscribe(&client, 0, target.clone());
    f.tick(30);
    f.deliver([note(&target, "x")]);
    f.tick(61);
    assert_eq!(
        client.pipe.count("\u{1}\n"),
        0,
        "a message at tick 30 is a sign of life"
    );
    f.tick(62);
    assert_eq!(client.pipe.count("\u{1}\n"), 1);
    f.tick(94);
    assert_eq!(client.pipe.count("\u{1}\n"), 2);
}

#[test]
fn a_silent_client_is_asked_and_then_reaped() {
    let mut f = Fixture::new();
    let (silent, hidden) = (f.join("alice", 1 << 20), f.join("bob", 1 << 20));
    f.tick(101);
    let pings = |client: &Client| {
        client
            .pipe
            .taken
            .lock()
            .windows(2)
            .filter(|two| two == b"\x89\0")
            .count()
    };
    assert_eq!((pings(&silent), pings(&hidden)), (1, 1));
    hidden.outbox.liveness().pong.store(102, Ordering::Relaxed);
    f.tick(141);
    assert_eq!(silent.outbox.closing(), Some(CloseReason::Silence));
    assert_eq!(hidden.outbox.closing(), None);
    for tick in (142..1_400).step_by(10) {
        f.tick(tick);
        hidden.outbox.liveness().pong.store(tick, Ordering::Relaxed);
    }
    assert_eq!(
        hidden.outbox.closing(),
        Some(CloseReason::Silence),
        "the grace ends"
    );
}
