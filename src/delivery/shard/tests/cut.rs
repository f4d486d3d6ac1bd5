//! The promise: a gap ends every subscription of its kind, held or live, at its place in the mailbox, and no other;
//! their sessions are closed afterwards and told to reconnect.

use super::resume::{at, keeping, stored, subscription};
use super::*;
use crate::delivery::command::Whom;
use crate::delivery::shard::held::Next;
use crate::delivery::wire::AckMode;
use crate::envelope::{Kind, Unrecovered};
use tokio::sync::oneshot;

#[test]
fn a_gap_ends_live_and_held_subscriptions_of_its_kind_alone() {
    let mut f = keeping();
    let [live, held, user, other] = ["a", "b", "c", "d"].map(|name| f.join(name, 1 << 20));
    let news = broadcast("/queue/x");
    let (mine, apart) = (own("c", "/queue/x"), broadcast("/topic/x"));
    for (client, target) in [(&live, &news), (&user, &mine), (&other, &apart)] {
        let command = subscribe_command(subscription(0, target), Some("r"), Some(at(1)));
        f.handle(Command::Session(client.key, command));
    }
    f.hold(&held, &news, 1);
    f.deliver([stored(&news, 2)]);
    f.handle(Command::Cut(Kind::Broadcast, at(9)));
    f.release(&held, 0, Ok(vec![stored(&news, 1)]));
    f.deliver([stored(&news, 10), stored(&mine, 2), note(&apart, "body-apart;")]);
    assert_eq!(live.pipe.count("body-"), 1, "{}", live.pipe.text());
    assert!(!held.pipe.text().contains("receipt-id"), "{}", held.pipe.text());
    assert_eq!(
        (user.pipe.count("body-2;"), other.pipe.count("body-apart;")),
        (1, 1)
    );
    // Whoever subscribes before the close begins behind the gap.
    let command = subscribe_command(subscription(1, &news), Some("again"), Some(at(1)));
    f.handle(Command::Session(live.key, command));
    assert!(
        live.pipe.text().contains("receipt-id:again\nposition:7-10\n"),
        "{}",
        live.pipe.text()
    );
    let mut left = Vec::new();
    for _ in 0..2 {
        let (sender, mut answer) = oneshot::channel();
        f.handle(Command::End(Whom::Cut(1, sender), CloseReason::HistoryGap));
        left.push(answer.try_recv().unwrap());
    }
    assert_eq!(left, [1, 0]);
    let sessions = [&live, &held, &user, &other].map(|client| f.shard.roster.slot(client.key).is_some());
    assert_eq!(sessions, [false, false, true, true]);
}

#[test]
fn a_gap_in_the_middle_of_the_pieces_ends_them() {
    for ack in [AckMode::Auto, AckMode::ClientIndividual] {
        for target in [broadcast("/queue/x"), own("a", "/queue/x")] {
            let mut f = keeping();
            let client = f.join("a", 1 << 20);
            f.hold_with(&client, &target, 4, ack);
            let two = (1..=2).map(|sequence| stored(&target, sequence)).collect();
            let (after, until) = (at(2), at(4));
            let first = f.piece(&client, 0, Ok((two, 2, 2)));
            assert_eq!(first, Some(Next::Read { after, until }));
            let written = client.pipe.count("body-");
            // What is held back, what waits behind the window, and the room of the next piece, which is being read.
            f.deliver([stored(&target, 5)]);
            assert_eq!(client.outbox.hold(100), crate::delivery::outbox::Pushed::Queued);
            assert!(client.outbox.waiting().0 > 100);
            f.handle(Command::Cut(Kind::of(&target), at(9)));
            assert_eq!(
                client.outbox.waiting().0,
                100,
                "all but the room of the next piece is given back"
            );
            assert!(f.shard.resuming.is_idle());
            assert_eq!(f.shard.setting.counters.subscriptions.load(Ordering::Relaxed), 0);
            assert_eq!(
                f.piece_of(&client, 2, Ok((vec![stored(&target, 3)], 1, 3)), 100),
                None
            );
            assert_eq!(client.outbox.waiting().0, 0, "its room is given back as well");
            assert_eq!(f.piece(&client, 3, Ok((vec![stored(&target, 4)], 0, 4))), None);
            f.release(&client, 3, Err(Unrecovered::PositionExpired));
            f.deliver([stored(&target, 10)]);
            // An ACK of what was sent before settles nothing any more, and makes way for nothing.
            acknowledge::ack(&mut f, &client, "7-1");
            f.answer(&client, &target, "answer;");
            let text = client.pipe.text();
            assert_eq!(
                (client.pipe.count("body-"), client.pipe.count("answer;")),
                (written, 0),
                "{text}"
            );
            assert_eq!(
                (text.matches("RECEIPT").count(), f.ledger.queued_bytes()),
                (1, 0),
                "{text}"
            );
            assert_eq!(client.outbox.closing(), None);
            let (sender, mut answer) = oneshot::channel();
            f.handle(Command::End(Whom::Cut(9, sender), CloseReason::HistoryGap));
            assert_eq!(answer.try_recv(), Ok(0));
            assert_eq!(client.outbox.closing(), Some(CloseReason::HistoryGap));
        }
    }
}

#[test]
fn a_gap_of_the_other_kind_leaves_the_pieces_alone() {
    let mut f = keeping();
    let client = f.join("a", 1 << 20);
    let target = broadcast("/queue/x");
    f.hold(&client, &target, 2);
    f.piece(&client, 0, Ok((vec![stored(&target, 1)], 1, 1)));
    f.handle(Command::Cut(Kind::User, at(9)));
    let last = f.piece(&client, 1, Ok((vec![stored(&target, 2)], 0, 2)));
    f.deliver([stored(&target, 3)]);
    assert_eq!((last, client.pipe.count("body-")), (Some(Next::Live), 3));
}
