//! The promise: turns are fair between addresses, the queue is bounded in number and in time, a login that leaves frees
//! everything, and a refused one is told when to try again.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use super::*;

const WAIT: Duration = Duration::from_secs(8);

fn address(last: u8) -> AddressGroup {
    AddressGroup::of(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)))
}

/// A queue with one permit, which is taken by a separate address.
fn busy(length: usize) -> (Queue<&'static str>, Turn) {
    let queue = Queue::new(1, length, WAIT);
    let Ok(Entered::Turn(turn, "busy")) = queue.enter(address(255), Kind::Password, "busy") else {
        panic!("a free permit was not given")
    };
    assert_eq!(queue.taken(), (1, 0));
    (queue, turn)
}

/// One that has to wait, and the one that was evicted for it.
fn enter(queue: &Queue<&'static str>, from: u8, login: &'static str) -> (Place, Option<&'static str>) {
    match queue.enter(address(from), Kind::Password, login).unwrap() {
        Entered::Waits(place, pushed_out) => (place, pushed_out.map(|(login, _)| login)),
        Entered::Turn(..) => panic!("{login} got a turn"),
    }
}

fn refused(queue: &Queue<&'static str>, from: u8) -> Full {
    queue
        .enter(address(from), Kind::Password, "refused")
        .map(|_| ())
        .unwrap_err()
}

/// Computes enough hashes of this time that the cost is known; the first one took longer, which is attributed to other
/// work on the machine.
fn learn<J>(queue: &Queue<J>, took: Duration) {
    queue.computed(Kind::Password, took * 20);
    for _ in 1..KNOWN_AFTER {
        queue.computed(Kind::Password, took);
    }
}

/// The order in which the waiting logins get their turn, each done before the next.
fn order(queue: &Queue<&'static str>, mut turn: Turn) -> Vec<&'static str> {
    let mut order = Vec::new();
    while let Some((next, login)) = queue.next(turn) {
        order.push(login);
        turn = next;
    }
    order
}

#[test]
fn addresses_take_turns_and_one_address_keeps_its_order() {
    let (queue, computing) = busy(100);
    for (login, from) in [
        ("a1", 1),
        ("a2", 1),
        ("a3", 1),
        ("a4", 1),
        ("b1", 2),
        ("c1", 3),
        ("b2", 2),
    ] {
        enter(&queue, from, login);
    }
    assert_eq!(
        order(&queue, computing),
        ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]
    );
    assert_eq!(queue.taken(), (0, 0));
    assert!(queue.state.lock().lanes.is_empty());
}

#[test]
fn who_always_has_one_waiting_gets_every_other_turn_and_no_more() {
    let (queue, mut turn) = busy(100);
    for login in ["p1", "p2", "p3"] {
        enter(&queue, 1, login);
    }
    enter(&queue, 2, "greedy");
    for expected in ["p1", "greedy", "p2", "greedy", "p3", "greedy"] {
        let (next, login) = queue.next(turn).unwrap();
        assert_eq!(login, expected);
        // The next one of the greedy address arrives while its last one computes.
        if login == "greedy" {
            enter(&queue, 2, "greedy");
        }
        turn = next;
    }
    drop(turn);
}

#[test]
fn a_free_permit_is_given_at_once_and_each_is_given_back() {
    let queue = Queue::new(2, 10, WAIT);
    let turns: Vec<Turn> = ["a", "b"]
        .into_iter()
        .map(|login| match queue.enter(address(1), Kind::Password, login) {
            Ok(Entered::Turn(turn, _)) => turn,
            _ => panic!("{login} waits"),
        })
        .collect();
    enter(&queue, 1, "c");
    assert_eq!(queue.taken(), (2, 1));
    let mut turns = turns.into_iter();
    let (c, login) = queue.next(turns.next().unwrap()).unwrap();
    assert_eq!((login, queue.taken()), ("c", (2, 0)));
    for turn in turns.chain([c]) {
        assert!(queue.next(turn).is_none());
    }
    assert_eq!(queue.taken(), (0, 0));
}

#[test]
fn a_full_queue_pushes_out_the_newest_of_who_has_most() {
    let (queue, computing) = busy(3);
    let [_, second, third] = ["first", "second", "third"].map(|login| enter(&queue, 1, login).0);
    // One more from the same address is refused ...
    assert_eq!(refused(&queue, 1).limit, Limit::LoginQueue);
    // ... an address with none yet takes the place of the last one.
    assert_eq!(enter(&queue, 2, "other").1, Some("third"));
    assert_eq!((queue.taken(), queue.leave(third)), ((1, 3), None));
    // And if all have one, nobody is evicted.
    assert_eq!(queue.leave(second), Some("second"));
    enter(&queue, 3, "another");
    assert_eq!(refused(&queue, 4).limit, Limit::LoginQueue);
    assert_eq!(order(&queue, computing), ["first", "other", "another"]);
}

#[test]
fn who_would_wait_for_too_long_is_refused_at_once() {
    let (queue, _computing) = busy(1_000);
    learn(&queue, Duration::from_secs(2));
    for _ in 0..4 {
        enter(&queue, 1, "waits");
    }
    assert_eq!(refused(&queue, 1).limit, Limit::LoginQueueTimeout);
    assert_eq!(queue.taken(), (1, 4));
    // Two permits serve twice as many in the same time.
    let queue = Queue::new(2, 1_000, WAIT);
    learn(&queue, Duration::from_secs(2));
    for _ in 0..10 {
        assert!(queue.enter(address(1), Kind::Password, "waits").is_ok());
    }
    assert_eq!(queue.taken(), (2, 8));
    assert_eq!(refused(&queue, 1).limit, Limit::LoginQueueTimeout);
}

#[test]
fn nobody_is_refused_for_a_time_that_is_not_known() {
    let (queue, _computing) = busy(1_000);
    for _ in 1..KNOWN_AFTER {
        queue.computed(Kind::Password, WAIT);
    }
    for _ in 0..10 {
        enter(&queue, 1, "waits");
    }
    queue.computed(Kind::Password, WAIT);
    assert_eq!(refused(&queue, 1).limit, Limit::LoginQueueTimeout);
}

#[test]
fn who_leaves_or_is_late_gives_back_what_was_taken() {
    let (queue, computing) = busy(10);
    let (gone, _) = enter(&queue, 1, "gone");
    let (late, _) = enter(&queue, 1, "late");
    let (called, _) = enter(&queue, 2, "called");
    assert_eq!(queue.leave(gone), Some("gone"));
    let (login, full) = queue.late(late).unwrap();
    assert_eq!((login, full.limit), ("late", Limit::LoginQueueTimeout));
    assert_eq!(queue.taken(), (1, 1));
    let (turn, login) = queue.next(computing).unwrap();
    assert_eq!(login, "called");
    // A login whose turn has come neither leaves nor is late any more.
    assert!(queue.leave(called).is_none() && queue.late(called).is_none());
    assert_eq!(queue.taken(), (1, 0));
    assert!(queue.next(turn).is_none());
    assert_eq!(queue.taken(), (0, 0));
    assert!(queue.state.lock().lanes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_refused_are_told_times_one_hash_apart_up_to_a_bound() {
    let (queue, _computing) = busy(4);
    learn(&queue, Duration::from_millis(100));
    for _ in 0..4 {
        enter(&queue, 1, "waits");
    }
    let refuse = || refused(&queue, 1).retry_after;
    // When two of the four are done, and each further one a hash later.
    for expected in [200, 300, 400] {
        assert_eq!(refuse().as_millis(), expected);
    }
    for _ in 0..1_000 {
        refuse();
    }
    let bounded: Vec<_> = (0..100).map(|_| refuse()).collect();
    let half = RETRY_AFTER_MAX / 2;
    assert!(
        bounded
            .iter()
            .all(|after| (half..=RETRY_AFTER_MAX).contains(after))
    );
    assert!(bounded.iter().collect::<HashSet<_>>().len() > 50, "{bounded:?}");
    // Later, when all of them have returned, it begins anew.
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(refuse().as_millis(), 200);
}
