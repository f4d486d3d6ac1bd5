//! Tests of what is held: order, bounds and positions, without a shard.

use super::*;

pub(crate) mod mutants;

type Words = Holding<u8, &'static str, &'static str>;

const BOUND: Bound = Bound {
    messages: 2,
    bytes: 100,
};
const KIND: Kind = Kind::User;

fn at(epoch: u64, sequence: u64) -> Position {
    Position { epoch, sequence }
}

fn offer(holding: &mut Words, target: &'static str, word: &'static str) {
    holding.offer(&target, word.len(), |_| true, || word);
}

#[test]
fn receipt_replay_and_held_come_in_this_order() {
    let mut holding = Words::default();
    assert!(holding.is_empty());
    assert_eq!(holding.hold(1, KIND, "a", at(7, 4), BOUND), at(7, 4));
    offer(&mut holding, "a", "five");
    holding.saw(KIND, at(7, 5));
    assert_eq!(holding.answer(1, "local"), None);
    offer(&mut holding, "b", "other");
    offer(&mut holding, "a", "six");
    assert_eq!(holding.answer(2, "not held"), Some("not held"));
    let released = holding.release(1, at(7, 2), Ok(vec!["three", "four"])).unwrap();
    let receipt = Resumed {
        position: at(7, 2),
        outcome: Ok(2),
    };
    let held = vec![
        Waiting::Notification("five"),
        Waiting::Local(at(7, 5), "local"),
        Waiting::Notification("six"),
    ];
    let replay = vec!["three", "four"];
    assert_eq!(
        released,
        Released {
            receipt,
            replay,
            held
        }
    );
    assert!(holding.is_empty() && holding.keys.is_empty());
    assert_eq!(holding.release(1, at(7, 2), Ok(vec![])), None);
}

#[test]
fn a_receipt_says_where_live_begins_if_nothing_is_replayed() {
    for outcome in [Ok(vec![]), Err(Unrecovered::PositionExpired)] {
        let mut holding = Words::default();
        holding.saw(KIND, at(7, 6));
        assert_eq!(holding.hold(1, KIND, "a", at(7, 4), BOUND), at(7, 6));
        let receipt = holding.release(1, at(7, 2), outcome.clone()).unwrap().receipt;
        assert_eq!(receipt.position, at(7, 6));
        assert_eq!(receipt.outcome, outcome.map(|_| 0));
    }
}

#[test]
fn a_subscription_begins_behind_what_its_shard_has_seen() {
    let mut holding = Words::default();
    assert_eq!(holding.begins(KIND, at(7, 4)), at(7, 4));
    assert_eq!(holding.seen(KIND), at(7, 4));
    assert_eq!(holding.begins(KIND, at(7, 3)), at(7, 4));
    assert_eq!(holding.begins(KIND, at(7, 5)), at(7, 5));
    assert_eq!(holding.seen(Kind::Broadcast), Position::default());
    // A cut stands in front of a command that carries the old epoch, whatever the numbers.
    for epoch in [6, 8] {
        assert!(holding.cut(KIND, at(epoch, 1)).is_empty());
        assert_eq!(holding.begins(KIND, at(7, 5)), at(epoch, 1));
        assert_eq!(holding.begins(KIND, at(epoch, 2)), at(epoch, 2));
    }
}

#[test]
fn too_much_that_is_held_drops_notifications_and_begins_now() {
    let many = vec!["five", "six", "seven"];
    let large = vec![
        "five",
        "a text that is longer than what may be held back for one subscription, which is a hundred bytes or so",
    ];
    for words in [many, large] {
        let mut holding = Words::default();
        holding.hold(1, KIND, "a", at(7, 4), BOUND);
        offer(&mut holding, "a", words[0]);
        holding.saw(KIND, at(7, 5));
        holding.answer(1, "local");
        for word in &words[1..] {
            offer(&mut holding, "a", word);
        }
        offer(&mut holding, "a", "x");
        holding.saw(KIND, at(7, 9));
        let released = holding.release(1, at(7, 2), Ok(vec!["three"])).unwrap();
        assert_eq!(released.receipt.position, at(7, 9));
        assert_eq!(released.receipt.outcome, Err(Unrecovered::TooMany));
        assert!(released.replay.is_empty());
        // It must not lead the client back in front of the RECEIPT.
        assert_eq!(released.held, [Waiting::Local(at(7, 9), "local")]);
    }
    let mut holding = Words::default();
    holding.hold(
        1,
        KIND,
        "a",
        at(7, 4),
        Bound {
            messages: 9,
            bytes: 1,
        },
    );
    offer(&mut holding, "a", "one always fits");
    let released = holding.release(1, at(7, 4), Ok(vec![])).unwrap();
    assert_eq!(released.held, [Waiting::Notification("one always fits")]);
}

#[test]
fn a_cut_ends_what_is_held_of_its_kind() {
    let mut holding = Words::default();
    holding.hold(1, KIND, "a", at(7, 4), BOUND);
    holding.hold(2, Kind::Broadcast, "b", at(9, 4), BOUND);
    holding.hold(3, KIND, "a", at(7, 4), BOUND);
    let mut cut = holding.cut(KIND, at(7, 20));
    cut.sort_unstable();
    assert_eq!(cut, [1, 3]);
    assert_eq!(holding.seen(KIND), at(7, 20));
    assert_eq!(holding.release(1, at(7, 2), Ok(vec!["three"])), None);
    offer(&mut holding, "b", "five");
    assert!(holding.holds(2));
    holding.forget(2);
    assert!(holding.is_empty() && holding.keys.is_empty());
}

#[test]
fn a_replay_of_another_epoch_is_not_taken() {
    let mut holding = Words::default();
    holding.hold(1, KIND, "a", at(8, 1), BOUND);
    let released = holding.release(1, at(7, 2), Ok(vec!["three"])).unwrap();
    assert_eq!(released.receipt.position, at(8, 1));
    assert_eq!(released.receipt.outcome, Err(Unrecovered::EpochChanged));
    assert!(released.replay.is_empty());
}

#[test]
fn only_the_subscriptions_that_are_meant_hold_a_notification() {
    let mut holding = Words::default();
    for key in [1, 2] {
        holding.hold(key, KIND, "a", at(7, 4), BOUND);
    }
    holding.offer(&"a", 1, |key| key == 2, || "five");
    assert!(holding.release(1, at(7, 4), Ok(vec![])).unwrap().held.is_empty());
    assert_eq!(holding.release(2, at(7, 4), Ok(vec![])).unwrap().held.len(), 1);
}
