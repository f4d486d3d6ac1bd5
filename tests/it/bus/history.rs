//! The promises of a bus with history, on each of them: in memory, in a file, in JetStream. Failures of their stores
//! are tested in the bus's own tests.

use std::sync::Arc;

use futures_util::stream::{BoxStream, StreamExt, select_all};
use herald::bus::embedded::{EmbeddedBus, Keeping};
use herald::bus::history::{Caps, Config as HistoryConfig, Request};
use herald::bus::nats::{Identity, Keep, NatsBus};
use herald::bus::{Bus, History, Incoming, Key, PublishError};
use herald::destination::{Prefixes, Target};
use herald::envelope::{Envelope, Kind, MessageId, Position, Unrecovered, unix_ms};
use herald::principal::UserName;
use herald::setting::ByteSize;

use super::{LIMITS, config, instance, path};
use crate::support::cluster::until;
use crate::support::nats::NatsServer;
use crate::support::within;

const CAPS: Caps = Caps {
    messages: 500,
    bytes: 8 << 20,
};

struct Given {
    bus: Arc<dyn Bus>,
    incoming: BoxStream<'static, Envelope>,
    _folder: Option<tempfile::TempDir>,
    _server: Option<NatsServer>,
}

/// Small, so that it is soon full.
fn history() -> HistoryConfig {
    HistoryConfig {
        enabled: Some(true),
        broadcast: Some(vec![path("/queue")]),
        tail_bytes: Some(ByteSize::mib(2)),
        ..HistoryConfig::default()
    }
}

fn given(bus: Arc<dyn Bus>, folder: Option<tempfile::TempDir>, server: Option<NatsServer>) -> Given {
    let kept = Kind::ALL.into_iter().filter_map(|kind| bus.kept_incoming(kind));
    let all = select_all(bus.incoming().into_iter().chain(kept));
    let notifications = all.filter_map(|incoming| async move {
        match incoming {
            Incoming::Notification(envelope) => Some(Envelope::clone(&envelope)),
            Incoming::Passed(..) => None,
            broken @ Incoming::Broken(..) => panic!("{broken:?}"),
        }
    });
    Given {
        incoming: notifications.boxed(),
        bus,
        _folder: folder,
        _server: server,
    }
}

async fn in_memory() -> Given {
    let keeping = Keeping::of(&history(), &Prefixes::default(), ByteSize::mib(1)).unwrap();
    let bus = EmbeddedBus::open(&config(""), LIMITS, instance().id, keeping).unwrap();
    given(bus, None, None)
}

async fn in_a_file() -> Given {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history");
    let history = HistoryConfig {
        path: Some(file.to_str().unwrap().parse().unwrap()),
        broadcast_bytes: ByteSize::mib(1),
        user_bytes: ByteSize::mib(1),
        ..history()
    };
    let keeping = Keeping::of(&history, &Prefixes::default(), ByteSize::mib(1)).unwrap();
    let bus = EmbeddedBus::open(&config(""), LIMITS, instance().id, keeping).unwrap();
    given(bus, Some(folder), None)
}

async fn over_nats() -> Given {
    let server = NatsServer::start_with_jetstream("");
    let config = config(&server.url());
    let history = HistoryConfig {
        broadcast_bytes: ByteSize::mib(1),
        user_bytes: ByteSize::mib(1),
        ..history()
    };
    let prefixes = Prefixes::default();
    let keep = Keep::of(&history, &prefixes, ByteSize::mib(1));
    let identity = Identity::read(&config).unwrap();
    let instance = instance();
    let bus = NatsBus::connect_as(identity, &config, LIMITS, &instance, keep);
    let bus = bus.await.unwrap();
    // They feed what comes in.
    let tasks = bus.tasks();
    std::mem::forget(tasks);
    until("the history is read", async || bus.is_ready()).await;
    given(bus, None, Some(server))
}

macro_rules! on_every_bus {
    ($($promise:ident)*) => {
        on_every_bus!(@ in_memory, $($promise)*);
        on_every_bus!(@ in_a_file, $($promise)*);
        on_every_bus!(@ over_nats, $($promise)*);
    };
    (@ $given:ident, $($promise:ident)*) => {
        mod $given {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    super::$promise(super::$given().await).await;
                }
            )*
        }
    };
}

on_every_bus! {
    what_is_kept_has_positions_in_the_order_in_which_it_comes
    what_is_not_kept_has_none
    a_repeat_is_stored_once
    a_batch_stands_together
    a_replay_has_all_of_its_target_and_nothing_else
    what_cannot_be_replayed_is_named
    what_went_is_never_passed_over
}

fn broadcast(body: impl Into<bytes::Bytes>) -> Envelope {
    let mut envelope = Envelope::new(Target::Broadcast(path("/queue/news")), body);
    envelope.id = MessageId::parse("id").unwrap();
    envelope
}

fn to_user(name: &str, body: impl Into<bytes::Bytes>) -> Envelope {
    let mut envelope = broadcast(body);
    envelope.target = Target::User {
        user: UserName::parse(name).unwrap(),
        path: path("/queue/orders"),
    };
    envelope
}

fn key(text: &str) -> Key {
    Key::of([text.as_bytes()])
}

impl Given {
    fn history(&self) -> &dyn History {
        self.bus.history().expect("a history")
    }

    async fn publish(&self, envelope: &Envelope) -> Position {
        let published = self.bus.publish(envelope).await.unwrap();
        assert!(!published.duplicate);
        published.position.expect("a position")
    }

    async fn heard(&mut self) -> Envelope {
        within("a notification", self.incoming.next())
            .await
            .expect("the stream goes on")
    }

    async fn replay(
        &self,
        of: &Envelope,
        after: Position,
        until: Position,
        caps: Caps,
    ) -> Result<Vec<Position>, Unrecovered> {
        let request = Request {
            target: of.target.clone(),
            after,
            until,
            caps,
            piece: usize::MAX,
            goes_on: false,
            now_ms: unix_ms(),
        };
        let replayed = within("a replay", self.history().replay(request)).await?;
        assert_eq!(replayed.behind, 0);
        let replayed = replayed.messages;
        for envelope in &replayed {
            assert_eq!(envelope.target, of.target);
        }
        Ok(replayed
            .iter()
            .map(|envelope| envelope.position.unwrap())
            .collect())
    }
}

async fn what_is_kept_has_positions_in_the_order_in_which_it_comes(mut given: Given) {
    let mut last: [Option<Position>; 2] = [None; 2];
    for number in 0..50_u8 {
        let envelope = match number % 3 {
            0 => broadcast(vec![number]),
            1 => to_user("anna", vec![number]),
            _ => to_user("ben", vec![number]),
        };
        let position = given.publish(&envelope).await;
        let last = &mut last[Kind::of(&envelope.target) as usize];
        if let Some(last) = last {
            assert_eq!(
                (position.epoch, position.sequence),
                (last.epoch, last.sequence + 1)
            );
        }
        *last = Some(position);
        let heard = given.heard().await;
        assert_eq!((heard.position, &heard.body), (Some(position), &envelope.body));
        assert_eq!(heard.target, envelope.target);
    }
    let [broadcasts, users] = last.map(Option::unwrap);
    assert_ne!(broadcasts.epoch, users.epoch);
    for (kind, last) in Kind::ALL.into_iter().zip([broadcasts, users]) {
        let info = within("what it says", given.history().info(kind)).await.unwrap();
        assert_eq!(
            (info.epoch, info.first, info.last),
            (last.epoch, 1, last.sequence)
        );
    }
}

async fn what_is_not_kept_has_none(mut given: Given) {
    let mut elsewhere = broadcast("x");
    elsewhere.target = Target::Broadcast(path("/topic/x"));
    assert!(!given.history().kept().holds(&elsewhere.target));
    let published = given.bus.publish(&elsewhere).await.unwrap();
    assert_eq!((published.position, published.duplicate), (None, false));
    assert_eq!(given.heard().await.position, None);
}

async fn a_repeat_is_stored_once(mut given: Given) {
    let once = async |body: &'static str, name| {
        let published = given
            .bus
            .publish_once(&to_user("anna", body), Some(key(name)))
            .await?;
        Ok::<_, PublishError>((published.position.unwrap(), published.duplicate))
    };
    let (first, is_repeat) = once("a", "1").await.unwrap();
    assert!(!is_repeat);
    assert_eq!(once("a", "1").await, Ok((first, true)));
    assert_eq!(once("b", "1").await, Err(PublishError::KeyReused));
    let (second, is_repeat) = once("a", "2").await.unwrap();
    assert!(!is_repeat && second.sequence == first.sequence + 1);
    for expected in [first, second] {
        assert_eq!(given.heard().await.position, Some(expected));
    }
}

async fn a_batch_stands_together(mut given: Given) {
    let batch = |name: &str| -> Vec<(Envelope, Option<Key>)> {
        (0..20_u8)
            .map(|number| (to_user(name, vec![number]), None))
            .collect()
    };
    let (one, other) = (batch("anna"), batch("ben"));
    let (one, other) = tokio::join!(
        given.bus.publish_atomic(&one).unwrap(),
        given.bus.publish_atomic(&other).unwrap()
    );
    for published in [one.unwrap(), other.unwrap()] {
        let sequences: Vec<u64> = published
            .iter()
            .map(|one| one.position.unwrap().sequence)
            .collect();
        assert_eq!(sequences, (sequences[0]..sequences[0] + 20).collect::<Vec<_>>());
    }
    let mut bodies = Vec::new();
    for _ in 0..40 {
        bodies.push(given.heard().await.body[0]);
    }
    assert_eq!(bodies, (0..20).chain(0..20).collect::<Vec<_>>());
}

async fn a_replay_has_all_of_its_target_and_nothing_else(mut given: Given) {
    let mut of_anna = Vec::new();
    let mut last = Position::default();
    for number in 0..60_u8 {
        let name = if number % 3 == 0 { "anna" } else { "ben" };
        last = given.publish(&to_user(name, vec![number])).await;
        if name == "anna" {
            of_anna.push(last);
        }
        given.heard().await;
    }
    let anna = to_user("anna", "");
    for from in 0..of_anna.len() {
        let found = given.replay(&anna, of_anna[from], last, CAPS).await.unwrap();
        assert_eq!(found, of_anna[from + 1..]);
    }
    // Not behind where it is live.
    let found = given.replay(&anna, of_anna[0], of_anna[3], CAPS).await.unwrap();
    assert_eq!(found, of_anna[1..=3]);
    let found = given.replay(&to_user("carl", ""), of_anna[0], last, CAPS).await;
    assert_eq!(found, Ok(Vec::new()));
}

async fn what_cannot_be_replayed_is_named(mut given: Given) {
    let first = given.publish(&broadcast("a")).await;
    let mut last = first;
    for _ in 0..9 {
        last = given.publish(&broadcast(vec![b'x'; 10_000])).await;
    }
    for _ in 0..10 {
        given.heard().await;
    }
    let replay = async |after, messages, bytes| {
        let caps = Caps { messages, bytes };
        let found = given.replay(&broadcast(""), after, last, caps).await;
        found.map(|found| found.len())
    };
    assert_eq!(replay(first, 9, 8 << 20).await, Ok(9));
    assert_eq!(replay(first, 8, 8 << 20).await, Err(Unrecovered::TooMany));
    assert_eq!(replay(first, 9, 50_000).await, Err(Unrecovered::TooMany));
    for epoch in [first.epoch - 1, first.epoch + 1] {
        let other = Position { epoch, ..first };
        assert_eq!(replay(other, 9, 8 << 20).await, Err(Unrecovered::EpochChanged));
    }
}

/// More than it holds, of others too: what is left is replayed whole, or not at all.
async fn what_went_is_never_passed_over(mut given: Given) {
    let first = given.publish(&to_user("anna", "first")).await;
    given.heard().await;
    let mut of_anna = vec![first];
    let mut last = first;
    for number in 0..60_u8 {
        let name = if number % 10 == 0 { "anna" } else { "ben" };
        last = given.publish(&to_user(name, vec![number; 50_000])).await;
        if name == "anna" {
            of_anna.push(last);
        }
        // One at a time: what goes before an instance has read it is a loss, and not what this is about.
        given.heard().await;
    }
    let info = within("what it says", given.history().info(Kind::User))
        .await
        .unwrap();
    assert!(info.first > 20 && info.first <= info.last, "{info:?}");
    let anna = to_user("anna", "");
    for after in 0..=last.sequence {
        let after = Position {
            sequence: after,
            ..last
        };
        let missed: Vec<Position> = of_anna.iter().copied().filter(|at| *at > after).collect();
        let is_there = missed.iter().all(|at| at.sequence >= info.first);
        let outcome = given.replay(&anna, after, last, CAPS).await;
        // Where an index says that nothing of hers went, that the position itself did is nothing to her.
        if after.sequence + 1 < info.first && outcome == Err(Unrecovered::PositionExpired) {
            continue;
        }
        assert!(is_there, "{after}: {outcome:?}");
        assert_eq!(outcome, Ok(missed), "{after}");
    }
}
