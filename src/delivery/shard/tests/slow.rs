//! The promise: a session that does not read affects only itself, and what it reads in the end is complete and in
//! order.

use super::*;
use crate::envelope::PublisherKind;

#[test]
fn a_blocked_session_gets_every_byte_in_order_once_it_reads() {
    let mut f = Fixture::new();
    let client = f.join("alice", 1 << 20);
    let target = broadcast("/queue/x");
    f.subscribe(&client, 0, target.clone());
    client.pipe.room.store(10, Ordering::Relaxed);
    f.deliver([note(&target, "one;"), note(&target, "two;")]);
    client.pipe.room.store(1 << 20, Ordering::Relaxed);
    // The socket has room again, but something waits: the shard must not overtake it.
    f.deliver([note(&target, "three;")]);
    assert_eq!(client.pipe.count("three;"), 0);
    f.handle(Command::Session(client.key, SessionCommand::Drained));
    f.deliver([note(&target, "four;")]);
    while !client.outbox.is_drained() {
        client.outbox.write_waiting().unwrap();
    }
    f.handle(Command::Session(client.key, SessionCommand::Drained));
    f.deliver([note(&target, "five;")]);
    let text = client.pipe.text();
    let order: Vec<_> = ["one;", "two;", "three;", "four;", "five;"]
        .iter()
        .map(|n| text.find(n))
        .collect();
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{text}");
}

#[test]
fn a_slow_consumer_is_closed_and_the_others_get_everything() {
    let mut f = Fixture::new();
    let (slow, quick) = (f.join("alice", 1 << 20), f.join("bob", 1 << 20));
    let target = broadcast("/queue/x");
    f.subscribe(&slow, 0, target.clone());
    f.subscribe(&quick, 0, target.clone());
    slow.pipe.room.store(0, Ordering::Relaxed);
    let body = "x".repeat(1_000);
    for _ in 0..10 {
        f.deliver([note(&target, &body)]);
    }
    assert_eq!(slow.outbox.closing(), Some(CloseReason::SlowConsumer));
    assert_eq!(quick.pipe.count(&body), 10);
    assert_eq!(f.sessions(), 1);
    slow.pipe.room.store(1 << 20, Ordering::Relaxed);
    while !slow.outbox.is_drained() {
        slow.outbox.write_waiting().unwrap();
    }
    assert_eq!(slow.pipe.count("ERROR\nmessage:slow consumer\\c over "), 1);
    assert_eq!(slow.pipe.count(&body), 0);
    assert_eq!(f.ledger.queued_bytes(), 0);
}

#[test]
fn a_newer_message_with_the_same_key_takes_the_place_of_a_waiting_one() {
    let mut f = Fixture::new();
    let client = f.join("alice", 1 << 20);
    let target = broadcast("/queue/x");
    f.subscribe(&client, 0, target.clone());
    client.pipe.room.store(1, Ordering::Relaxed);
    let of = |kind, body, key: &str| Envelope {
        collapse: crate::envelope::CollapseKey::parse(key, kind),
        ..note(&target, body)
    };
    let keyed = |body, key| of(PublisherKind::Backend, body, key);
    f.deliver([note(&target, "begun;")]);
    f.deliver([keyed("old;", "k")]);
    f.deliver([keyed("other;", "j")]);
    f.deliver([keyed("new;", "k")]);
    // A client's key is another one.
    f.deliver([of(PublisherKind::Client, "mine;", "k")]);
    client.pipe.room.store(1 << 20, Ordering::Relaxed);
    while !client.outbox.is_drained() {
        client.outbox.write_waiting().unwrap();
    }
    let text = client.pipe.text();
    assert!(!text.contains("old;"), "{text}");
    let order = ["begun;", "other;", "new;", "mine;"].map(|body| text.find(body));
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{text}");
    assert_eq!(f.ledger.collapsed.load(Ordering::Relaxed), 1);
}
