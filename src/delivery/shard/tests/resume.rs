//! The promise: a subscription that resumes gets its RECEIPT, then the replay, then what arrived meanwhile, each once;
//! held messages end with their session.

use super::*;
use crate::delivery::command::{Hold, Piece};
use crate::delivery::shard::held::{self, Bound, Next};
use crate::envelope::Unrecovered;
use tokio::sync::oneshot;

const BOUND: Bound = Bound {
    messages: 4,
    bytes: 1 << 20,
};

pub(super) fn at(sequence: u64) -> Position {
    Position { epoch: 7, sequence }
}

pub(super) fn stored(target: &Target, sequence: u64) -> Envelope {
    let mut envelope = note(target, &format!("body-{sequence};"));
    envelope.position = Some(at(sequence));
    envelope
}

pub(super) fn keeping() -> Fixture {
    let mut f = Fixture::new();
    f.shard.setting.kept = Kept::new(&[Path::parse("/queue").unwrap()], true);
    f
}

pub(super) fn subscription(number: u32, target: &Target) -> Subscription {
    Subscription {
        number,
        id: Some(format!("sub-{number}").into()),
        target: target.clone(),
        ack: AckMode::Auto,
        prefetch: 1,
    }
}

impl Fixture {
    /// Holds a subscription. Returns where its live part begins.
    pub(super) fn hold(&mut self, client: &Client, target: &Target, begun: u64) -> Option<Position> {
        self.hold_with(client, target, begun, AckMode::Auto)
    }

    pub(super) fn hold_with(
        &mut self,
        client: &Client,
        target: &Target,
        begun: u64,
        ack: AckMode,
    ) -> Option<Position> {
        let (begins, mut answer) = oneshot::channel();
        let hold = Hold {
            subscription: Subscription {
                ack,
                ..subscription(0, target)
            },
            coming: None,
            begun: at(begun),
            bound: BOUND,
            begins,
        };
        let command = SessionCommand::Hold(Box::new(hold));
        self.handle(Command::Session(client.key, command));
        answer.try_recv().ok()
    }

    /// The last piece of a replay, or why there is none.
    pub(super) fn release(
        &mut self,
        client: &Client,
        after: u64,
        outcome: Result<Vec<Envelope>, Unrecovered>,
    ) {
        let outcome = outcome.map(|missed| (missed, 0, 0));
        self.piece(client, after, outcome);
    }

    /// A piece of a replay: its messages, how many are behind it, and how far it reaches. Gives how it goes on.
    pub(super) fn piece(
        &mut self,
        client: &Client,
        after: u64,
        outcome: Result<(Vec<Envelope>, usize, u64), Unrecovered>,
    ) -> Option<Next> {
        self.piece_of(client, after, outcome, 0)
    }

    /// The same, for which `room` was taken.
    pub(super) fn piece_of(
        &mut self,
        client: &Client,
        after: u64,
        outcome: Result<(Vec<Envelope>, usize, u64), Unrecovered>,
        room: usize,
    ) -> Option<Next> {
        let piece = Piece {
            after: at(after),
            outcome: outcome.map(|(messages, behind, reaches)| held::Piece {
                messages: messages.into_iter().map(Arc::new).collect(),
                behind,
                reaches: at(reaches),
                from_stream: 0,
            }),
            receipt: "r".into(),
            room,
        };
        let (next, mut answer) = oneshot::channel();
        let command = SessionCommand::Replay(Box::new(piece), next);
        self.handle(Command::Session(client.key, command));
        answer.try_recv().ok()
    }

    pub(super) fn answer(&mut self, client: &Client, target: &Target, body: &str) {
        let command = SessionCommand::Deliver(Box::new(note(target, body)));
        self.handle(Command::Session(client.key, command));
    }
}

/// The bodies and RECEIPTs that were written, by their first bytes, in their order.
fn order(text: &str, needles: &[&str]) {
    let found: Vec<Option<usize>> = needles.iter().map(|needle| text.find(needle)).collect();
    assert!(found.iter().all(Option::is_some) && found.is_sorted(), "{text}");
    for needle in needles {
        assert_eq!(text.matches(needle).count(), 1, "{needle} in {text}");
    }
}

#[test]
fn the_receipt_then_the_replay_then_what_was_held_then_what_comes() {
    for target in [broadcast("/queue/x"), own("alice", "/queue/x")] {
        let mut f = keeping();
        let client = f.join("alice", 1 << 20);
        f.deliver([stored(&target, 3)]);
        assert_eq!(
            f.hold(&client, &target, 2),
            Some(at(3)),
            "what the shard has seen is in front"
        );
        let explained = f.shard.explain(&target, 9);
        assert_eq!(explained.reached[0].way, crate::delivery::explain::Way::Resuming);
        f.deliver([stored(&target, 4), stored(&target, 5)]);
        assert_eq!(client.pipe.count("body-"), 0);
        f.release(&client, 1, Ok(vec![stored(&target, 2), stored(&target, 3)]));
        f.deliver([stored(&target, 6)]);
        let receipt = "RECEIPT\nreceipt-id:r\nposition:7-1\nrecovered:true\nreplayed:2\n";
        order(
            &client.pipe.text(),
            &[receipt, "body-2;", "body-3;", "body-4;", "body-5;", "body-6;"],
        );
        assert_eq!(f.shard.setting.counters.subscriptions.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn pieces_are_written_in_order_while_live_ones_wait_and_an_overflow_is_read_from_history() {
    for target in [broadcast("/queue/x"), own("alice", "/queue/x")] {
        let mut f = keeping();
        let client = f.join("alice", 1 << 20);
        f.hold(&client, &target, 3);
        let first = f.piece(&client, 0, Ok((vec![stored(&target, 1)], 2, 1)));
        let (after, until) = (at(1), at(3));
        assert_eq!(first, Some(Next::Read { after, until }));
        // More than may be held back.
        f.deliver((4..9).map(|sequence| stored(&target, sequence)));
        assert_eq!(client.outbox.waiting().0, 0, "nothing is held any more");
        assert_eq!(client.pipe.count("body-"), 1);
        let second = f.piece(
            &client,
            1,
            Ok((vec![stored(&target, 2), stored(&target, 3)], 0, 3)),
        );
        let (after, until) = (at(3), at(8));
        assert_eq!(second, Some(Next::Read { after, until }));
        f.deliver([stored(&target, 9)]);
        assert!(client.outbox.waiting().0 > 0, "what is held counts");
        let missed = (4..9).map(|sequence| stored(&target, sequence)).collect();
        assert_eq!(f.piece(&client, 3, Ok((missed, 0, 8))), Some(Next::Live));
        assert_eq!(client.outbox.waiting().0, 0);
        f.deliver([stored(&target, 10)]);
        let text = client.pipe.text();
        let bodies: Vec<String> = (1..=10).map(|n| format!("body-{n};")).collect();
        let mut needles = vec!["position:7-0\nrecovered:true\nreplayed:3\n"];
        needles.extend(bodies.iter().map(String::as_str));
        order(&text, &needles);
        assert_eq!(text.matches("RECEIPT").count(), 1);
    }
}

#[test]
fn an_acknowledgement_reaches_what_a_piece_has_sent() {
    let mut f = keeping();
    let client = f.join("alice", 1 << 20);
    let target = own("alice", "/queue/x");
    f.hold_with(&client, &target, 3, AckMode::ClientIndividual);
    let three = (1..=3).map(|sequence| stored(&target, sequence)).collect();
    f.piece(&client, 0, Ok((three, 1, 3)));
    assert_eq!(client.pipe.count("body-"), 1, "the window has room for one");
    let held = client.outbox.waiting().0;
    acknowledge::ack(&mut f, &client, "7-1");
    assert_eq!(client.pipe.count("body-"), 2);
    assert!(
        client.outbox.waiting().0 < held,
        "that makes room for the next piece"
    );
}

#[test]
fn what_cannot_be_kept_ends_the_session() {
    let mut f = keeping();
    let client = f.join("alice", 1 << 20);
    let target = broadcast("/queue/x");
    f.hold(&client, &target, 3);
    f.piece(&client, 0, Ok((vec![stored(&target, 1)], 2, 1)));
    let reason = Unrecovered::PositionExpired;
    assert_eq!(f.piece(&client, 1, Err(reason)), Some(Next::Lost(reason)));
    assert_eq!(client.outbox.closing(), Some(CloseReason::HistoryGap));
    assert!(f.shard.resuming.is_idle());
    assert!(f.shard.setting.interest.shards(&target).is_empty());
}

#[test]
fn an_overflow_without_a_replay_begins_now_and_keeps_answers() {
    let mut f = keeping();
    let client = f.join("alice", 1 << 20);
    let target = own("alice", "/queue/x");
    f.hold(&client, &target, 1);
    f.answer(&client, &target, "answer;");
    f.deliver((2..6).map(|sequence| stored(&target, sequence)));
    f.release(&client, 0, Err(Unrecovered::TooMany));
    let text = client.pipe.text();
    order(
        &text,
        &[
            "position:7-5\nrecovered:false\nreason:too-many\n",
            "message-id:7-5.1\n",
            "answer;",
        ],
    );
    assert_eq!(client.pipe.count("body-"), 0);
}

#[test]
fn of_what_this_instance_makes_for_all_the_newest_waits() {
    let mut f = keeping();
    let client = f.join("alice", 1 << 20);
    let target = broadcast("/queue/users");
    f.hold(&client, &target, 1);
    for n in 0..9 {
        f.deliver([note(&target, &format!("list-{n};"))]);
    }
    f.release(&client, 1, Ok(vec![]));
    assert_eq!((client.pipe.count("list-"), client.pipe.count("list-8;")), (1, 1));
}

#[test]
fn more_answers_than_may_wait_end_the_session() {
    let mut f = keeping();
    let client = f.join("alice", 1 << 20);
    let target = own("alice", "/queue/x");
    f.hold(&client, &target, 1);
    for n in 0..=BOUND.messages {
        assert_eq!(client.outbox.closing(), None, "{n}");
        f.answer(&client, &target, "answer;");
    }
    assert_eq!(client.outbox.closing(), Some(CloseReason::SlowConsumer));
    assert!(f.shard.resuming.is_idle());
}

#[test]
fn a_drain_in_the_middle_of_a_replay_gives_everything_back() {
    for target in [broadcast("/queue/x"), own("alice", "/queue/x")] {
        let mut f = keeping();
        let client = f.join("alice", 1 << 20);
        f.hold_with(&client, &target, 3, AckMode::ClientIndividual);
        assert_eq!(client.outbox.hold(100), crate::delivery::outbox::Pushed::Queued);
        let two = (1..=2).map(|sequence| stored(&target, sequence)).collect();
        f.piece(&client, 0, Ok((two, 1, 2)));
        f.deliver([stored(&target, 4)]);
        assert!(f.ledger.queued_bytes() > 100);
        let (left, mut is_left) = oneshot::channel();
        f.handle(Command::End(Whom::Some(9, left), CloseReason::Draining));
        assert_eq!(is_left.try_recv(), Ok(0));
        assert_eq!(client.outbox.closing(), Some(CloseReason::Draining));
        // The one message that is left is the Close.
        let close = f.ledger.queued_bytes();
        assert_eq!(close, client.outbox.waiting().0);
        assert!(f.shard.resuming.is_idle());
        assert!(f.shard.setting.interest.shards(&target).is_empty());
        assert_eq!(f.shard.setting.counters.subscriptions.load(Ordering::Relaxed), 0);
        f.piece(&client, 2, Ok((vec![stored(&target, 3)], 0, 3)));
        assert_eq!(client.pipe.count("body-"), 1);
    }
}

#[test]
fn what_this_instance_makes_stands_behind_what_its_shard_has_seen() {
    let mut f = keeping();
    let client = f.join("alice", 1 << 20);
    let (mine, list) = (own("alice", "/queue/x"), broadcast("/queue/users"));
    for (number, target) in [(0, &mine), (1, &list)] {
        let command = subscribe_command(subscription(number, target), Some("r"), Some(at(4)));
        f.handle(Command::Session(client.key, command));
    }
    f.answer(&client, &mine, "one;");
    f.deliver([stored(&mine, 5), note(&list, "list;"), stored(&mine, 6)]);
    f.answer(&client, &mine, "two;");
    order(
        &client.pipe.text(),
        &[
            "message-id:7-4.1\n",
            "one;",
            "body-5;",
            "message-id:7-4.2\n",
            "list;",
            "body-6;",
            "message-id:7-6.3\n",
            "two;",
        ],
    );
}

#[test]
fn what_is_held_ends_with_its_session_and_a_late_release_is_nothing() {
    let mut f = keeping();
    let client = f.join("alice", 1 << 20);
    let target = broadcast("/queue/x");
    f.hold(&client, &target, 1);
    f.handle(Command::Session(client.key, SessionCommand::Leave));
    assert!(f.shard.resuming.is_idle());
    f.release(&client, 0, Ok(vec![stored(&target, 1)]));
    f.deliver([stored(&target, 2)]);
    assert_eq!(client.pipe.count("body-"), 0);
    // The next session finds nothing of it.
    let next = f.join("alice", 1 << 20);
    assert_eq!(f.hold(&next, &target, 2), Some(at(2)));
}

#[test]
fn a_long_replay_is_written_in_order_however_many_writes_it_takes() {
    let mut f = keeping();
    let client = f.join("alice", 1 << 20);
    let target = broadcast("/queue/x");
    f.hold(&client, &target, 100);
    f.release(
        &client,
        0,
        Ok((1..=100).map(|sequence| stored(&target, sequence)).collect()),
    );
    let text = client.pipe.text();
    let found: Vec<Option<usize>> = (1..=100).map(|n| text.find(&format!("\nbody-{n};"))).collect();
    assert!(found.iter().all(Option::is_some) && found.is_sorted());
}
