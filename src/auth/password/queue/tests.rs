//! Promises: turns are fair between addresses, the queue is bounded in number and in time, who leaves leaves nothing taken,
//! and who is refused is told when to come again.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;

use super::*;

type Turn = Pin<Box<dyn Future<Output = Result<Place, Full>>>>;

const WAIT: Duration = Duration::from_secs(8);

fn address(last: u8) -> AddressGroup {
    AddressGroup::of(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)))
}

/// A queue of one permit, which is taken from an address of its own.
fn busy(length: usize) -> (Arc<Queue>, Place) {
    let queue = Queue::new(1, length, WAIT);
    let place = queue.enter(address(255)).unwrap();
    assert_eq!(queue.taken(), (1, 0));
    (queue, place)
}

fn enter(queue: &Arc<Queue>, from: u8) -> Turn {
    Box::pin(queue.enter(address(from)).unwrap().turn())
}

/// So many hashes of this time that it is known; the first took longer, which is taken for the neighbours' doing.
fn learn(queue: &Queue, took: Duration) {
    queue.computed(took * 20);
    for _ in 1..KNOWN_AFTER {
        queue.computed(took);
    }
}

/// The order in which those who wait get their turn, each done before the next.
async fn order(mut waiting: Vec<(&'static str, Turn)>) -> Vec<&'static str> {
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let turns = waiting.iter_mut().map(|(_, turn)| turn);
        let (place, index, _) = futures_util::future::select_all(turns).await;
        order.push(waiting.remove(index).0);
        drop(place.unwrap());
    }
    order
}

#[tokio::test]
async fn addresses_take_turns_and_one_address_keeps_its_order() {
    let (queue, computing) = busy(100);
    let mut waiting = Vec::new();
    for (name, from) in [
        ("a1", 1),
        ("a2", 1),
        ("a3", 1),
        ("a4", 1),
        ("b1", 2),
        ("c1", 3),
        ("b2", 2),
    ] {
        waiting.push((name, enter(&queue, from)));
    }
    drop(computing);
    assert_eq!(order(waiting).await, ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]);
    assert_eq!(queue.taken(), (0, 0));
    assert!(queue.state.lock().lanes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_always_has_one_waiting_gets_every_other_turn_and_no_more() {
    let (queue, computing) = busy(100);
    let patient = [enter(&queue, 1), enter(&queue, 1), enter(&queue, 1)];
    let mut greedy = enter(&queue, 2);
    drop(computing);
    for turn in patient {
        // Were it not its turn, it would wait until its time is over.
        drop(turn.await.unwrap());
        // The next of the greedy one comes while its last one computes.
        let place = greedy.await.unwrap();
        greedy = enter(&queue, 2);
        drop(place);
    }
}

#[tokio::test]
async fn a_full_queue_pushes_out_the_newest_of_who_has_most() {
    let (queue, _computing) = busy(3);
    let first = enter(&queue, 1);
    let second = enter(&queue, 1);
    let third = enter(&queue, 1);
    // One more of the same is refused ...
    let refused = queue.enter(address(1)).map(|_| ()).unwrap_err();
    assert_eq!(refused.limit, Limit::LoginQueue);
    // ... who has none yet takes the place of the last.
    let other = enter(&queue, 2);
    assert_eq!(third.await.map(|_| ()).unwrap_err().limit, Limit::LoginQueue);
    assert_eq!(queue.taken(), (1, 3));
    // And where all have one, nobody.
    drop(second);
    let another = enter(&queue, 3);
    assert!(queue.enter(address(4)).is_err());
    drop((first, other, another));
    assert_eq!(queue.taken(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_for_too_long_is_refused_at_once() {
    let (queue, _computing) = busy(1_000);
    learn(&queue, Duration::from_secs(2));
    let waiting: Vec<_> = (0..4).map(|_| enter(&queue, 1)).collect();
    let refused = queue.enter(address(1)).map(|_| ()).unwrap_err();
    assert_eq!(refused.limit, Limit::LoginQueueTimeout);
    assert_eq!(queue.taken(), (1, 4));
    // Two permits serve twice as many in the time.
    let queue = Queue::new(2, 1_000, WAIT);
    learn(&queue, Duration::from_secs(2));
    let twice: Vec<_> = (0..10).map(|_| enter(&queue, 1)).collect();
    assert_eq!(queue.taken(), (2, 8));
    assert!(queue.enter(address(1)).is_err());
    drop((waiting, twice));
}

#[tokio::test]
async fn nobody_is_refused_for_a_time_that_is_not_known() {
    let (queue, _computing) = busy(1_000);
    for _ in 1..KNOWN_AFTER {
        queue.computed(WAIT);
    }
    let waiting: Vec<_> = (0..10).map(|_| enter(&queue, 1)).collect();
    queue.computed(WAIT);
    assert!(queue.enter(address(1)).is_err());
    drop(waiting);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_longer_than_the_time() {
    let (queue, _computing) = busy(10);
    let began = Instant::now();
    let refused = enter(&queue, 1).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.limit, Limit::LoginQueueTimeout);
    assert_eq!(began.elapsed().as_secs(), WAIT.as_secs());
    assert_eq!(queue.taken(), (1, 0));
}

#[tokio::test]
async fn who_leaves_gives_back_what_was_taken() {
    let (queue, computing) = busy(10);
    let gone = enter(&queue, 1);
    let stays = enter(&queue, 1);
    drop(gone);
    assert_eq!(queue.taken(), (1, 1));
    // Its turn has come, but it does not know yet.
    let called = enter(&queue, 2);
    drop(computing);
    assert_eq!(queue.taken(), (1, 1));
    drop((called, stays));
    assert_eq!(queue.taken(), (0, 0));
    assert!(queue.state.lock().lanes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_refused_are_told_times_one_hash_apart_up_to_a_bound() {
    let (queue, _computing) = busy(4);
    learn(&queue, Duration::from_millis(100));
    let _waiting: Vec<_> = (0..4).map(|_| enter(&queue, 1)).collect();
    let refuse = || queue.enter(address(1)).map(|_| ()).unwrap_err().retry_after;
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
    // Later, when all of them have come, it begins anew.
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(refuse().as_millis(), 200);
}
