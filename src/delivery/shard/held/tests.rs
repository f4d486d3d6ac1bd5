//! The promise of held messages: order, pieces, bounds and positions, without a shard.

use super::*;

pub(crate) mod mutants;

type Words = Holding<u8, &'static str, &'static str>;

const BOUND: Bound = Bound {
    messages: 3,
    bytes: 100,
};
const KIND: Kind = Kind::User;
const LONG: &str =
    "a text that is longer than what may be held back for one subscription, which is a hundred bytes or so";

/// Room for `free` bytes.
struct Free(usize);

impl Rooms<u8> for Free {
    fn take(&mut self, _: u8, bytes: usize) -> bool {
        let has_room = bytes <= self.0;
        self.0 -= if has_room { bytes } else { 0 };
        has_room
    }

    fn free(&mut self, _: u8, bytes: usize) {
        self.0 += bytes;
    }
}

const ROOM: usize = 1_000;

fn at(epoch: u64, sequence: u64) -> Position {
    Position { epoch, sequence }
}

fn offer(holding: &mut Words, rooms: &mut Free, target: &'static str, word: &'static str) {
    holding.offer(&target, word.len(), rooms, || word);
}

fn answer(holding: &mut Words, rooms: &mut Free, key: u8, word: &'static str) -> Answered {
    holding.answer(key, word.len(), false, rooms, word)
}

/// A piece with these words, of a replay that goes on behind `reaches` if there is more behind it.
fn piece(messages: &[&'static str], behind: usize, reaches: u64) -> Result<Piece<&'static str>, Unrecovered> {
    Ok(Piece {
        messages: messages.to_vec(),
        behind,
        reaches: at(7, reaches),
        from_stream: messages.len().min(1),
    })
}

fn read(after: u64, until: u64) -> Next {
    Next::Read {
        after: at(7, after),
        until: at(7, until),
    }
}

#[test]
fn receipt_replay_and_held_come_in_this_order() {
    let (mut holding, rooms) = (Words::default(), &mut Free(ROOM));
    assert!(holding.is_empty());
    assert_eq!(holding.hold(1, KIND, "a", at(7, 4), BOUND), at(7, 4));
    offer(&mut holding, rooms, "a", "five");
    holding.saw(KIND, at(7, 5));
    assert_eq!(answer(&mut holding, rooms, 1, "local"), Answered::Waits);
    offer(&mut holding, rooms, "b", "other");
    offer(&mut holding, rooms, "a", "six");
    assert_eq!(answer(&mut holding, rooms, 2, "not held"), Answered::AtOnce);
    let written = holding
        .piece(1, at(7, 2), piece(&["three", "four"], 0, 4))
        .unwrap();
    let expected = Written {
        receipt: Some(Resumed {
            position: at(7, 2),
            outcome: Ok(2),
        }),
        replay: vec!["three", "four"],
        from_stream: 1,
        held: vec![
            Waiting::Notification("five"),
            Waiting::Local(at(7, 5), "local"),
            Waiting::Notification("six"),
        ],
        freed: 12,
        next: Next::Live,
    };
    assert_eq!(written, expected);
    assert!(holding.is_empty() && holding.keys.is_empty());
    assert_eq!(rooms.0, ROOM - 12, "the caller gives it back");
    assert_eq!(holding.piece(1, at(7, 2), piece(&[], 0, 4)), None);
}

#[test]
fn pieces_follow_one_receipt_and_what_is_held_follows_the_last() {
    let (mut holding, rooms) = (Words::default(), &mut Free(ROOM));
    holding.hold(1, KIND, "a", at(7, 4), BOUND);
    offer(&mut holding, rooms, "a", "five");
    holding.saw(KIND, at(7, 5));
    let first = holding.piece(1, at(7, 1), piece(&["two"], 2, 2)).unwrap();
    let outcome = first.receipt.map(|receipt| (receipt.position, receipt.outcome));
    assert_eq!(outcome, Some((at(7, 1), Ok(3))));
    assert_eq!(
        (first.replay, first.held, first.next),
        (vec!["two"], vec![], read(2, 4))
    );
    let last = holding
        .piece(1, at(7, 2), piece(&["three", "four"], 0, 4))
        .unwrap();
    assert_eq!((last.receipt, last.next), (None, Next::Live));
    assert_eq!(last.held, [Waiting::Notification("five")]);
}

#[test]
fn a_receipt_says_where_live_begins_if_nothing_is_replayed() {
    for outcome in [piece(&[], 0, 6), Err(Unrecovered::PositionExpired)] {
        let mut holding = Words::default();
        holding.saw(KIND, at(7, 6));
        assert_eq!(holding.hold(1, KIND, "a", at(7, 4), BOUND), at(7, 6));
        let written = holding.piece(1, at(7, 2), outcome.clone()).unwrap();
        let receipt = written.receipt.unwrap();
        assert_eq!((receipt.position, written.next), (at(7, 6), Next::Live));
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
        assert!(holding.cut(KIND, at(epoch, 1), &mut Free(0)).is_empty());
        assert_eq!(holding.begins(KIND, at(7, 5)), at(epoch, 1));
        assert_eq!(holding.begins(KIND, at(epoch, 2)), at(epoch, 2));
    }
}

#[test]
fn too_much_that_is_held_is_read_from_history_and_the_beginning_moves() {
    for (words, mut rooms) in [
        (vec!["five", "six", "seven"], Free(ROOM)),
        (vec!["five", LONG], Free(ROOM)),
        (vec!["five", "more than fits into the outbox"], Free(15)),
    ] {
        let (mut holding, rooms) = (Words::default(), &mut rooms);
        let room = rooms.0;
        holding.hold(1, KIND, "a", at(7, 4), BOUND);
        offer(&mut holding, rooms, "a", words[0]);
        holding.saw(KIND, at(7, 5));
        assert_eq!(answer(&mut holding, rooms, 1, "local"), Answered::Waits);
        for word in &words[1..] {
            offer(&mut holding, rooms, "a", word);
        }
        assert_eq!(rooms.0, room - 5, "only the answer waits");
        offer(&mut holding, rooms, "a", "x");
        holding.saw(KIND, at(7, 9));
        let first = holding
            .piece(1, at(7, 2), piece(&["three", "four"], 0, 4))
            .unwrap();
        assert_eq!(first.receipt.unwrap().outcome, Ok(2));
        assert_eq!((first.replay, first.next), (vec!["three", "four"], read(4, 9)));
        assert!(first.held.is_empty());
        // From here on it holds again.
        offer(&mut holding, rooms, "a", "ten");
        holding.saw(KIND, at(7, 10));
        let last = holding
            .piece(1, at(7, 4), piece(&["five to nine"], 0, 9))
            .unwrap();
        assert_eq!((last.receipt, last.next, last.freed), (None, Next::Live, 8));
        // The answer must not lead the client back in front of what was replayed.
        let held = [Waiting::Local(at(7, 9), "local"), Waiting::Notification("ten")];
        assert_eq!(last.held, held);
    }
}

#[test]
fn what_has_overflowed_begins_now_where_nothing_can_be_replayed() {
    let (mut holding, rooms) = (Words::default(), &mut Free(ROOM));
    holding.hold(1, KIND, "a", at(7, 4), BOUND);
    assert_eq!(answer(&mut holding, rooms, 1, "local"), Answered::Waits);
    offer(&mut holding, rooms, "a", LONG);
    holding.saw(KIND, at(7, 9));
    let written = holding.piece(1, at(7, 2), Err(Unrecovered::TooMany)).unwrap();
    assert_eq!(written.receipt.unwrap().position, at(7, 9));
    assert_eq!(written.next, Next::Live);
    assert_eq!(written.held, [Waiting::Local(at(7, 9), "local")]);
}

#[test]
fn a_promise_that_cannot_be_kept_ends_the_session() {
    let mut holding = Words::default();
    holding.hold(1, KIND, "a", at(7, 4), BOUND);
    holding.piece(1, at(7, 1), piece(&["two"], 2, 2)).unwrap();
    let lost = holding
        .piece(1, at(7, 2), Err(Unrecovered::PositionExpired))
        .unwrap();
    assert_eq!(lost.next, Next::Lost(Unrecovered::PositionExpired));
    assert_eq!(lost.receipt, None);
    assert!(holding.is_empty());
}

#[test]
fn answers_are_kept_within_the_bound_and_a_state_replaces_the_one_before() {
    let (mut holding, rooms) = (Words::default(), &mut Free(ROOM));
    holding.hold(1, KIND, "a", at(7, 4), BOUND);
    offer(&mut holding, rooms, "a", "five");
    for word in ["one", "two", "three"] {
        assert_eq!(answer(&mut holding, rooms, 1, word), Answered::Waits);
    }
    // They have pushed the notification out, which history has.
    assert_eq!(rooms.0, ROOM - 11);
    assert_eq!(answer(&mut holding, rooms, 1, "four"), Answered::TooMuch);
    for word in ["state", "newer"] {
        let answered = holding.answer(1, word.len(), true, rooms, word);
        assert_eq!(answered, Answered::Waits);
    }
    assert_eq!(holding.waiting_for(&"a"), [1]);
    holding.forget(1, rooms);
    assert_eq!(rooms.0, ROOM);
    assert!(holding.is_empty() && holding.keys.is_empty());
}

#[test]
fn a_cut_ends_what_is_held_of_its_kind() {
    let (mut holding, rooms) = (Words::default(), &mut Free(ROOM));
    holding.hold(1, KIND, "a", at(7, 4), BOUND);
    holding.hold(2, Kind::Broadcast, "b", at(9, 4), BOUND);
    holding.hold(3, KIND, "a", at(7, 4), BOUND);
    let mut cut = holding.cut(KIND, at(7, 20), rooms);
    cut.sort_unstable();
    assert_eq!(cut, [1, 3]);
    assert_eq!(holding.seen(KIND), at(7, 20));
    assert_eq!(holding.piece(1, at(7, 2), piece(&["three"], 0, 4)), None);
    offer(&mut holding, rooms, "b", "five");
    assert!(holding.holds(2));
    holding.forget(2, rooms);
    assert!(holding.is_empty() && holding.keys.is_empty());
}

#[test]
fn a_replay_of_another_epoch_is_not_taken() {
    let mut holding = Words::default();
    holding.hold(1, KIND, "a", at(8, 1), BOUND);
    let written = holding.piece(1, at(7, 2), piece(&["three"], 0, 4)).unwrap();
    let receipt = written.receipt.unwrap();
    assert_eq!(receipt.position, at(8, 1));
    assert_eq!(receipt.outcome, Err(Unrecovered::EpochChanged));
    assert!(written.replay.is_empty());
}
