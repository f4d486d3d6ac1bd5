//! The promise: a window admits its number of MESSAGEs, ACK by ACK, and unacknowledged ones affect only their own
//! session.

use super::*;

fn acknowledging(f: &mut Fixture, client: &Client, target: &Target, ack: AckMode, prefetch: usize) {
    let subscription = Subscription {
        number: 0,
        id: Some("s".into()),
        target: target.clone(),
        ack,
        prefetch,
    };
    let command = subscribe_command(subscription, None, None);
    f.handle(Command::Session(client.key, command));
}

pub(super) fn ack(f: &mut Fixture, client: &Client, id: &str) {
    let message_id = crate::envelope::MessageId::parse(id).unwrap();
    let ack = crate::delivery::command::Acknowledgement {
        subscription: Some(0),
        message_id,
        positive: true,
        trace: Default::default(),
    };
    let command = SessionCommand::Acknowledge(Box::new(ack));
    f.handle(Command::Session(client.key, command));
}

fn numbered(target: &Target, n: usize) -> Envelope {
    let mut envelope = note(target, &format!("body-{n};"));
    envelope.id = crate::envelope::MessageId::parse(&format!("m{n}")).unwrap();
    envelope
}

#[test]
fn a_window_lets_prefetch_messages_pass_and_the_rest_in_order_as_they_are_acknowledged() {
    for target in [broadcast("/queue/x"), own("alice", "/queue/x")] {
        let mut f = Fixture::new();
        let client = f.join("alice", 1 << 20);
        acknowledging(&mut f, &client, &target, AckMode::ClientIndividual, 2);
        f.deliver((0..5).map(|n| numbered(&target, n)));
        assert_eq!(client.pipe.count("body-"), 2);
        assert!(f.ledger.queued_bytes() > 0, "what is held counts");
        ack(&mut f, &client, "m1");
        assert_eq!(client.pipe.count("body-"), 3);
        ack(&mut f, &client, "m1");
        assert_eq!(client.pipe.count("body-"), 3, "acknowledged already");
        f.deliver([numbered(&target, 5)]);
        for id in ["m0", "m2", "m3", "m4"] {
            ack(&mut f, &client, id);
        }
        let text = client.pipe.text();
        let order: Vec<_> = (0..6).map(|n| text.find(&format!("body-{n};"))).collect();
        assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{text}");
        assert_eq!(f.ledger.queued_bytes(), 0);
        assert_eq!(f.shard.setting.counters.acknowledged.load(Ordering::Relaxed), 5);
        f.handle(Command::Session(client.key, SessionCommand::Leave));
        assert_eq!(f.shard.setting.counters.unacknowledged.load(Ordering::Relaxed), 1);
    }
}

/// A session's task asks its shard no more than it must: it knows when an ACK can settle nothing.
#[test]
fn the_task_knows_whether_an_ack_can_settle_anything_and_how_many_did_not() {
    let mut f = Fixture::new();
    let client = f.join("alice", 1 << 20);
    let target = broadcast("/queue/x");
    acknowledging(&mut f, &client, &target, AckMode::Client, 2);
    let acks = |client: &Client| {
        (
            client.outbox.acks().can_settle(),
            client.outbox.acks().take_missed(),
        )
    };
    assert_eq!(acks(&client), (false, 0));
    f.deliver((0..4).map(|n| numbered(&target, n)));
    ack(&mut f, &client, "never");
    ack(&mut f, &client, "m0");
    ack(&mut f, &client, "m0");
    assert_eq!(acks(&client), (true, 2));
    ack(&mut f, &client, "m2");
    assert_eq!(acks(&client), (true, 0), "what was held is outstanding now");
    ack(&mut f, &client, "m3");
    assert_eq!(acks(&client), (false, 0));
    f.deliver([numbered(&target, 4)]);
    assert_eq!(acks(&client), (true, 0));
    f.handle(Command::Session(client.key, SessionCommand::Unsubscribe(0, None)));
    assert_eq!(acks(&client), (false, 0));
}

#[test]
fn who_never_acknowledges_is_a_slow_consumer_and_gives_everything_back() {
    let mut f = Fixture::new();
    let client = f.join("alice", 1 << 20);
    let target = broadcast("/queue/x");
    acknowledging(&mut f, &client, &target, AckMode::Client, 1);
    for n in 0..100 {
        f.deliver([numbered(&target, n)]);
    }
    assert_eq!(client.outbox.closing(), Some(CloseReason::SlowConsumer));
    client.outbox.write_waiting().unwrap();
    assert_eq!(f.ledger.queued_bytes(), 0);
}
