//! The promise: one mailbox, one order; a session that does not read affects only itself; a session that leaves is gone
//! everywhere.

use std::io::{self, IoSlice};
use std::sync::atomic::AtomicUsize;

use parking_lot::Mutex;

use super::*;
use crate::delivery::command::Delivery;
use crate::delivery::ledger::Ledger;
use crate::delivery::outbox::tests::Pipe;
use crate::delivery::outbox::{Pushed, TryWrite, Written};
use crate::delivery::sent::By;
use crate::delivery::sent::users::UserSent;
use crate::delivery::wire::AckMode;
use crate::envelope::{Envelope, Position};
use crate::principal::{Principal, UserName};
use crate::stomp::Version;

mod acknowledge;
mod cut;
mod expiry;
mod liveness;
mod poison;
mod renew;
mod resume;
mod slow;

fn subscribe_command(
    subscription: Subscription,
    receipt: Option<&str>,
    begun: Option<Position>,
) -> SessionCommand {
    SessionCommand::Subscribe(Box::new(Subscribe {
        subscription,
        receipt: receipt.map(Into::into),
        coming: None,
        begun,
    }))
}

impl Pipe {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.taken.lock()).into_owned()
    }

    fn count(&self, needle: &str) -> usize {
        self.text().matches(needle).count()
    }
}

struct Fixture {
    shard: Shard,
    clock: Arc<AtomicU32>,
    ledger: Arc<Ledger>,
    keys: u64,
}

struct Client {
    pipe: Arc<Pipe>,
    outbox: Arc<Outbox>,
    key: SessionKey,
}

impl Fixture {
    fn new() -> Self {
        let clock = Arc::new(AtomicU32::new(1));
        let ledger = Arc::new(Ledger::new(1 << 20, Arc::new(())));
        let shard = Shard::new(Setting {
            index: 0,
            interest: Arc::default(),
            counters: Arc::default(),
            clock: clock.clone(),
            user_prefix: Path::parse("/user").unwrap(),
            kept: Kept::default(),
            grace_ticks: 1_200,
            remind_ms: 60_000,
            unix_ms: expiry::now_ms,
            trail: Arc::new(()),
            records: false,
        });
        Self {
            shard,
            clock,
            ledger,
            keys: 0,
        }
    }

    fn join(&mut self, user: &str, room: usize) -> Client {
        self.join_with(user, room, |_| {})
    }

    fn join_with(&mut self, user: &str, room: usize, adjust: impl FnOnce(&mut Join)) -> Client {
        let pipe = Arc::new(Pipe {
            room: AtomicUsize::new(room),
            ..Pipe::default()
        });
        let outbox = Arc::new(Outbox::new(pipe.clone(), 4_096, self.ledger.clone()));
        let key = SessionKey(self.keys);
        self.keys += 1;
        let mut join = Join {
            outbox: outbox.clone(),
            session: format!("session-{}", key.0).into(),
            principal: Principal::new(UserName::parse(user).unwrap(), ["ROLE_USER"]),
            version: Version::V1_2,
            send_every_ms: 10_000,
            receive_every_ms: 10_000,
            address: [127, 0, 0, 1].into(),
            since_ms: 0,
            connected: Bytes::from_static(b"CONNECTED;"),
        };
        adjust(&mut join);
        self.handle(Command::Session(key, SessionCommand::Join(Box::new(join), None)));
        Client { pipe, outbox, key }
    }

    fn handle(&mut self, command: Command) {
        self.shard.handle(command);
        self.shard.end_doomed();
    }

    fn subscribe(&mut self, client: &Client, number: u32, target: Target) {
        let id = Some(format!("sub-{number}").into());
        let subscription = Subscription {
            number,
            id,
            target,
            ack: AckMode::Auto,
            prefetch: 1,
        };
        let command = subscribe_command(subscription, Some(&format!("RECEIPT-{number};")), None);
        self.handle(Command::Session(client.key, command));
    }

    fn deliver(&mut self, envelopes: impl IntoIterator<Item = Envelope>) {
        let batch: Vec<Arc<Delivery>> = envelopes
            .into_iter()
            .map(|envelope| {
                Arc::new(Delivery {
                    envelope: Arc::new(envelope),
                    trail: None,
                    _permit: None,
                })
            })
            .collect();
        self.shard.deliver(&batch);
        self.shard.end_doomed();
    }

    fn tick(&mut self, to: u32) {
        self.clock.store(to, Ordering::Relaxed);
        self.handle(Command::Tick(to));
    }

    fn sessions(&self) -> u64 {
        self.shard.setting.counters.sessions.load(Ordering::Relaxed)
    }
}

fn broadcast(path: &str) -> Target {
    Target::Broadcast(Path::parse(path).unwrap())
}

fn own(user: &str, path: &str) -> Target {
    Target::User {
        user: UserName::parse(user).unwrap(),
        path: Path::parse(path).unwrap(),
    }
}

fn note(target: &Target, body: &str) -> Envelope {
    Envelope::new(target.clone(), body.to_owned())
}

#[test]
fn receipt_comes_before_the_first_message_and_order_is_kept() {
    let mut f = Fixture::new();
    let client = f.join("alice", 1 << 20);
    let target = broadcast("/queue/x");
    f.deliver([note(&target, "early;")]);
    f.subscribe(&client, 0, target.clone());
    f.deliver((0..50).map(|n| note(&target, &format!("body-{n};"))).take(32));
    let text = client.pipe.text();
    let positions: Vec<usize> = ["CONNECTED;", "RECEIPT-0;", "body-0;", "body-1;", "body-31;"]
        .iter()
        .map(|needle| text.find(needle).unwrap())
        .collect();
    assert!(positions.is_sorted(), "{text}");
    assert!(!text.contains("early"));
}

/// A client that publishes as soon as it has its RECEIPT must not be too early for its own subscription.
#[test]
fn the_index_knows_a_subscription_before_its_receipt_goes_out() {
    struct Witness(Arc<Interest>, Target, Mutex<Vec<bool>>);
    impl TryWrite for Witness {
        fn try_write(&self, chunks: &[IoSlice<'_>]) -> io::Result<Written> {
            self.2.lock().push(!self.0.shards(&self.1).is_empty());
            Ok(Written::taken(chunks.iter().map(|chunk| chunk.len()).sum()))
        }
    }
    let mut f = Fixture::new();
    let target = broadcast("/queue/x");
    let witness = Arc::new(Witness(
        f.shard.setting.interest.clone(),
        target.clone(),
        Mutex::default(),
    ));
    let client = f.join("alice", 1 << 20);
    let slot = f.shard.roster.slot(client.key).unwrap();
    f.shard.roster.hot(slot).socket = witness.clone();
    f.subscribe(&client, 0, target);
    assert_eq!(*witness.2.lock(), [true]);
}

#[test]
fn neighbours_leave_in_one_call_and_each_subscription_gets_its_own() {
    let mut f = Fixture::new();
    let client = f.join("alice", 1 << 20);
    let target = broadcast("/queue/x");
    f.subscribe(&client, 0, target.clone());
    f.subscribe(&client, 1, target.clone());
    let before = client.pipe.calls.load(Ordering::Relaxed);
    f.deliver((0..20).map(|_| note(&target, "x")));
    assert_eq!(
        client.pipe.calls.load(Ordering::Relaxed) - before,
        2,
        "one call a group"
    );
    assert_eq!(client.pipe.count("subscription:sub-0\n"), 20);
    assert_eq!(client.pipe.count("subscription:sub-1\n"), 20);
}

#[test]
fn large_bodies_are_chained_and_arrive_whole_among_small_ones() {
    let mut f = Fixture::new();
    let client = f.join("alice", 1 << 20);
    let target = broadcast("/queue/x");
    f.subscribe(&client, 0, target.clone());
    let large = "L".repeat(10_000);
    f.deliver([
        note(&target, "one;"),
        note(&target, &large),
        note(&target, "two;"),
        note(&target, &large),
    ]);
    let text = client.pipe.text();
    assert_eq!(text.matches(&large).count(), 2);
    let order = [
        text.find("one;"),
        text.find(&large),
        text.find("two;"),
        text.rfind(&large),
    ];
    assert!(order.is_sorted());
}

#[test]
fn a_users_notification_reaches_that_users_sessions_and_no_other() {
    let mut f = Fixture::new();
    let clients: Vec<Client> = ["alice", "alice", "bob"]
        .iter()
        .map(|user| f.join(user, 1 << 20))
        .collect();
    for (client, user) in clients.iter().zip(["alice", "alice", "bob"]) {
        f.subscribe(client, 0, own(user, "/queue/x"));
    }
    f.deliver([
        note(&own("alice", "/queue/x"), "hers"),
        note(&own("bob", "/queue/x"), "his"),
        note(&own("alice", "/queue/y"), "nobody's"),
    ]);
    let counts: Vec<[usize; 3]> = clients
        .iter()
        .map(|client| ["hers", "his", "nobody's"].map(|body| client.pipe.count(body)))
        .collect();
    assert_eq!(counts, [[1, 0, 0], [1, 0, 0], [0, 1, 0]]);
    let answer = SessionCommand::Deliver(Box::new(note(&own("alice", "/queue/x"), "answer")));
    f.handle(Command::Session(clients[1].key, answer));
    let answers: Vec<usize> = clients.iter().map(|client| client.pipe.count("answer")).collect();
    assert_eq!(answers, [0, 1, 0], "an answer is for the session that asked");
}

#[test]
fn who_leaves_is_gone_from_every_table_and_its_slot_is_used_again() {
    let mut f = Fixture::new();
    let target = broadcast("/queue/x");
    let first = f.join("alice", 1 << 20);
    f.subscribe(&first, 0, target.clone());
    f.subscribe(&first, 1, own("alice", "/queue/y"));
    assert!(!f.shard.setting.interest.shards(&target).is_empty());
    f.handle(Command::Session(first.key, SessionCommand::Leave));
    assert!(f.shard.setting.interest.shards(&target).is_empty());
    assert!(
        f.shard
            .setting
            .interest
            .shards(&own("alice", "/queue/y"))
            .is_empty()
    );
    assert_eq!(f.sessions(), 0);
    assert_eq!(f.shard.setting.counters.subscriptions.load(Ordering::Relaxed), 0);
    let second = f.join("bob", 1 << 20);
    f.subscribe(&second, 0, target.clone());
    let close = SessionCommand::Close(CloseReason::Normal, Vec::new());
    f.handle(Command::Session(first.key, close));
    f.deliver([note(&target, "hello")]);
    assert_eq!((first.pipe.count("hello"), second.pipe.count("hello")), (0, 1));
    assert_eq!(
        first.outbox.push_own(Outgoing::plain(Bytes::new())),
        Pushed::Closed
    );
}

#[test]
fn unsubscribe_ends_messages_before_its_receipt() {
    let mut f = Fixture::new();
    let client = f.join("alice", 1 << 20);
    let target = broadcast("/queue/x");
    f.subscribe(&client, 7, target.clone());
    client.pipe.room.store(1, Ordering::Relaxed);
    f.deliver([note(&target, "begun;"), note(&target, "waits;")]);
    let receipt = Some(Bytes::from_static(b"GONE;"));
    let command = SessionCommand::Unsubscribe(7, receipt);
    f.handle(Command::Session(client.key, command));
    f.deliver([note(&target, "later;")]);
    client.pipe.room.store(1 << 20, Ordering::Relaxed);
    while !client.outbox.is_drained() {
        client.outbox.write_waiting().unwrap();
    }
    let text = client.pipe.text();
    assert!(text.contains("begun;") && text.ends_with("GONE;"), "{text}");
    assert!(!text.contains("waits;") && !text.contains("later;"), "{text}");
}

#[test]
fn a_drain_closes_everyone_with_1001_and_no_error() {
    let mut f = Fixture::new();
    let clients: Vec<Client> = (0..10).map(|_| f.join("alice", 1 << 20)).collect();
    let (sender, mut receiver) = tokio::sync::oneshot::channel();
    f.handle(Command::End(Whom::Some(4, sender), CloseReason::Draining));
    assert_eq!(receiver.try_recv(), Ok(6));
    assert_eq!(
        clients
            .iter()
            .filter(|client| client.outbox.closing().is_some())
            .count(),
        4
    );
    let (sender, mut receiver) = tokio::sync::oneshot::channel();
    f.handle(Command::End(Whom::Some(100, sender), CloseReason::Draining));
    assert_eq!(receiver.try_recv(), Ok(0));
    for client in &clients {
        client.outbox.write_waiting().unwrap();
        assert_eq!(client.pipe.count("ERROR"), 0);
        assert!(
            client
                .pipe
                .taken
                .lock()
                .windows(2)
                .any(|two| two == 1001_u16.to_be_bytes())
        );
    }
}

#[test]
fn an_operator_sees_a_users_sessions() {
    let mut f = Fixture::new();
    let client = f.join("alice", 1 << 20);
    f.subscribe(&client, 0, broadcast("/queue/x"));
    f.subscribe(&client, 1, own("alice", "/queue/y"));
    let views = f.shard.sessions_of(&UserName::parse("alice").unwrap());
    assert_eq!(views.len(), 1);
    assert_eq!(views[0].subscriptions, ["/queue/x", "/user/queue/y"]);
}

#[test]
fn of_a_user_those_end_that_are_old_enough() {
    let mut f = Fixture::new();
    let mut join = |user, since_ms| f.join_with(user, 1 << 20, |join| join.since_ms = since_ms);
    let clients = [
        join("alice", 5),
        join("alice", 6),
        join("alice", 7),
        join("bob", 1),
    ];
    let meant = Whom::Since(UserName::parse("alice").unwrap(), 6);
    f.handle(Command::End(meant, CloseReason::Disconnected));
    let ended = clients.map(|client| client.outbox.closing() == Some(CloseReason::Disconnected));
    assert_eq!(ended, [true, true, false, false]);
}

#[test]
fn who_reconnects_after_every_few_sends_is_summed_with_the_ended_sessions() {
    let mut f = Fixture::new();
    let sums = |f: &Fixture| {
        let of = |one: UserSent| {
            let sent = one.sent;
            (
                one.user.to_string(),
                [one.sessions, one.ended, sent.frames, sent.recent_bytes],
            )
        };
        f.shard
            .sending_users(By::Recent, 10)
            .into_iter()
            .map(of)
            .collect::<Vec<_>>()
    };
    let quiet = f.join("quiet", 1 << 20);
    quiet.outbox.sent().count(1, 7);
    let _silent = f.join("silent", 1 << 20);
    for _ in 0..4 {
        let loud = f.join("loud", 1 << 20);
        loud.outbox.sent().count(1, 5);
        f.handle(Command::Session(loud.key, SessionCommand::Leave));
    }
    let loud = f.join("loud", 1 << 20);
    loud.outbox.sent().count(1, 5);
    let expected = [("loud".into(), [1, 4, 5, 25]), ("quiet".into(), [1, 0, 1, 7])];
    assert_eq!(sums(&f), expected);
    // Whoever the shard closes is counted too, and an anonymous session has no name that could come back.
    let stranger = f.join_with("alice", 1 << 20, |join| {
        join.principal = Principal::anonymous("1").unwrap();
    });
    stranger.outbox.sent().count(1, 9);
    f.handle(Command::End(
        Whom::Where(Arc::new(|_| true)),
        CloseReason::Disconnected,
    ));
    let expected = [("loud".into(), [0, 5, 5, 25]), ("quiet".into(), [0, 1, 1, 7])];
    assert_eq!(sums(&f), expected);
}

#[test]
fn those_end_whose_principal_is_meant() {
    let mut f = Fixture::new();
    let clients: Vec<Client> = ["alice", "bob", "alice", "carol"]
        .iter()
        .map(|user| f.join(user, 1 << 20))
        .collect();
    let meant = Arc::new(|who: &Principal| who.user().as_str() != "bob");
    f.handle(Command::End(Whom::Where(meant), CloseReason::NotAuthenticated));
    let ended: Vec<bool> = clients
        .iter()
        .map(|client| client.outbox.closing() == Some(CloseReason::NotAuthenticated))
        .collect();
    assert_eq!(ended, [true, false, true, true]);
}
