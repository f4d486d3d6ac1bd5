//! Promise: a subscription that resumes gets its RECEIPT, then the replay, then what came meanwhile, each once; what is held
//! ends with its session.

use super::*;
use crate::delivery::command::{Hold, Release};
use crate::delivery::shard::held::Bound;
use crate::envelope::Unrecovered;
use tokio::sync::oneshot;

const BOUND: Bound = Bound {
    messages: 3,
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
        let (begins, mut answer) = oneshot::channel();
        let hold = Hold {
            subscription: subscription(0, target),
            coming: None,
            begun: at(begun),
            bound: BOUND,
            begins,
        };
        let command = SessionCommand::Hold(Box::new(hold));
        self.handle(Command::Session(client.key, command));
        answer.try_recv().ok()
    }

    pub(super) fn release(
        &mut self,
        client: &Client,
        after: u64,
        outcome: Result<Vec<Envelope>, Unrecovered>,
    ) {
        let release = Release {
            after: at(after),
            outcome: outcome.map(|missed| missed.into_iter().map(Arc::new).collect()),
            receipt: "r".into(),
            room: 0,
        };
        let command = SessionCommand::Release(Box::new(release));
        self.handle(Command::Session(client.key, command));
    }

    fn answer(&mut self, client: &Client, target: &Target, body: &str) {
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
fn an_overflow_gives_up_the_replay_and_keeps_answers() {
    let mut f = keeping();
    let client = f.join("alice", 1 << 20);
    let target = own("alice", "/queue/x");
    f.hold(&client, &target, 1);
    f.answer(&client, &target, "answer;");
    f.deliver((2..6).map(|sequence| stored(&target, sequence)));
    f.release(&client, 0, Ok(vec![stored(&target, 1)]));
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
