//! History against real servers: `cargo test --lib bus::nats::history -- --ignored`. They want `nats-server` in `.tools/bin`, or
//! in `$HERALD_TOOLS/bin`.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::*;
use crate::bus::Bus;
use crate::bus::feed::Fed;
use crate::bus::history::config::Storage as StoredIn;
use crate::bus::history::{Caps, Unrecovered};
use crate::bus::nats::NatsBus;
use crate::bus::reader::Broken;
use crate::bus::replay::Request;
use crate::destination::Prefixes;
use crate::envelope::{HeaderLimits, unix_ms};
use crate::instance::{Instance, InstanceId};
use crate::principal::UserName;
use crate::setting::ByteSize;

mod faults;
mod foreign;
mod herald;
mod load;
mod server;

use herald::{Herald, Seen};
use load::Load;
use server::Servers;

/// What takes longer is a fault.
const LONG: Duration = Duration::from_secs(60);

fn within<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let bounded = tokio::time::timeout(LONG, Box::pin(work));
    async { bounded.await.expect("in time") }
}

fn target(user: &str) -> Target {
    Target::User {
        user: UserName::parse(user).unwrap(),
        path: Path::parse("/queue/orders").unwrap(),
    }
}

fn to_user(user: &str, body: &str) -> Envelope {
    Envelope::new(target(user), body.to_owned())
}

fn request(user: &str, after: Position, until: Position, caps: Caps) -> Request<Target> {
    Request {
        target: target(user),
        after,
        until,
        caps,
        piece: usize::MAX,
        goes_on: false,
        now_ms: unix_ms(),
    }
}

const CAPS: Caps = Caps {
    messages: 100_000,
    bytes: 1 << 30,
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn what_is_stored_is_seen_at_its_position() {
    for storage in [StoredIn::File, StoredIn::Memory] {
        let servers = Servers::single("");
        let herald = Herald::start(&servers, |config, _| config.storage = storage)
            .await
            .ready()
            .await;
        let (users, broadcasts) = (herald.collect(Kind::User), herald.collect(Kind::Broadcast));
        let load = Load::start(&herald, 16, Duration::ZERO);
        tokio::time::sleep(Duration::from_secs(2)).await;
        load.check(&herald, &users, &format!("steady, {storage}")).await;
        let broadcast = Envelope::new(Target::Broadcast(Path::parse("/topic/x").unwrap()), "all");
        let published = herald.history.publish(&broadcast, "b".into()).await.unwrap();
        let again = herald.history.publish(&broadcast, "b".into()).await.unwrap();
        assert!(!published.is_duplicate && again.is_duplicate && again.position == published.position);
        let all = broadcasts.until_position(published.position).await;
        assert!(matches!(all[0], Fed::CaughtUp(_)) && all.len() == 2, "{all:?}");
        let stored = herald
            .history
            .stored_at(Kind::Broadcast, [published.position])
            .await
            .remove(&published.position)
            .unwrap();
        assert_eq!((&stored.body[..], stored.id == broadcast.id), (&b"all"[..], true));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn arrays_keep_their_order_and_batches_are_whole() {
    for (servers, replicas) in [(Servers::single(""), 1), (Servers::cluster(), 3)] {
        let herald = Herald::start(&servers, |config, _| {
            config.replicas = Replicas::try_from(replicas).unwrap()
        })
        .await;
        arrays_and_batches(herald.ready().await).await;
    }
}

async fn arrays_and_batches(herald: Herald) {
    let seen = herald.collect(Kind::User);
    let envelopes: Vec<Envelope> = (0..1_000)
        .map(|number| to_user("anna", &format!("a{number}")))
        .collect();
    let all: Vec<(&Envelope, String)> = envelopes.iter().map(|e| (e, e.id.to_string())).collect();
    let began = Instant::now();
    let outcomes = herald.history.publish_all(all.clone()).await;
    eprintln!(
        "an array of 1,000: {:?}, {:?}",
        began.elapsed(),
        herald.history.publishes()
    );
    let positions: Vec<u64> = outcomes
        .iter()
        .map(|o| o.as_ref().unwrap().position.sequence)
        .collect();
    assert!(positions.is_sorted());
    let again = herald.history.publish_all(all).await;
    assert!(again.iter().zip(&outcomes).all(|(again, first)| {
        let (again, first) = (again.as_ref().unwrap(), first.as_ref().unwrap());
        again.is_duplicate && again.position == first.position
    }));
    let envelopes: Vec<Envelope> = (0..1_000)
        .map(|number| to_user("anna", &format!("b{number}")))
        .collect();
    let all: Vec<(&Envelope, String)> = envelopes.iter().map(|e| (e, e.id.to_string())).collect();
    assert!(herald.history.is_atomic(Kind::User));
    let load = Load::start(&herald, 4, Duration::ZERO);
    let began = Instant::now();
    let stored = herald.history.publish_atomic(Kind::User, &all).await.unwrap();
    eprintln!("a batch of 1,000: {:?}", began.elapsed());
    let first = stored[0].position.sequence;
    assert!(
        stored
            .iter()
            .zip(first..)
            .all(|(stored, expected)| stored.position.sequence == expected)
    );
    load.check(&herald, &seen, "beside a batch").await;
    let bodies = seen.bodies();
    for (number, stored) in stored.iter().enumerate() {
        assert_eq!(bodies[&stored.position], format!("b{number}"));
    }
    // The whole again is known by all of its ids; some of them are a part of something else.
    let again = herald.history.publish_atomic(Kind::User, &all).await.unwrap();
    for (again, first) in again.iter().zip(&stored) {
        assert!(
            again.is_duplicate && again.position == first.position,
            "{again:?}"
        );
    }
    let read = herald
        .history
        .stored_at(Kind::User, again.iter().map(|again| again.position))
        .await;
    for ((envelope, _), again) in all.iter().zip(&again) {
        assert_eq!(read[&again.position].body, envelope.body);
    }
    let more = to_user("anna", "more");
    let with_more: Vec<_> = all[..3]
        .iter()
        .cloned()
        .chain([(&more, "new".to_owned())])
        .collect();
    assert_eq!(
        herald.history.publish_atomic(Kind::User, &with_more).await,
        Err(StoreError::Duplicate)
    );
    // Where the ids of a batch are stored can be asked, and the question stores nothing.
    let last = herald
        .api()
        .stream(&herald.history.kinds[1].plan)
        .await
        .unwrap()
        .info
        .last;
    for (id, is_known) in [(&all[999].1, true), (&"never".to_owned(), false)] {
        let answer = herald
            .history
            .store
            .stored_for_test(&herald.history.kinds[1].plan, id)
            .await;
        assert_eq!(answer, is_known.then_some(stored[999].position.sequence));
    }
    assert_eq!(
        herald
            .api()
            .stream(&herald.history.kinds[1].plan)
            .await
            .unwrap()
            .info
            .last,
        last
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn a_replay_is_complete_from_the_tail_and_from_the_stream() {
    let servers = Servers::single("");
    let herald = Herald::start(&servers, |config, _| config.tail_bytes = Some(ByteSize::mib(1)))
        .await
        .ready()
        .await;
    let seen = herald.collect(Kind::User);
    let envelopes: Vec<Envelope> = (0..6_000)
        .map(|n| to_user(["anna", "ben"][n % 2], &format!("{n}")))
        .collect();
    let mut positions = Vec::new();
    for part in envelopes.chunks(1_000) {
        let all: Vec<(&Envelope, String)> = part.iter().map(|e| (e, e.id.to_string())).collect();
        positions.extend(
            herald
                .history
                .publish_all(all)
                .await
                .into_iter()
                .map(|o| o.unwrap().position),
        );
    }
    let until = *positions.last().unwrap();
    seen.until_position(until).await;
    for (user, offset) in [("anna", 0), ("ben", 1)] {
        for after in [0, 1, 100, 2_999, 5_500, 5_990, 5_999] {
            let began = Instant::now();
            let got = within(
                herald
                    .history
                    .replay(request(user, positions[after], until, CAPS)),
            )
            .await
            .unwrap();
            let expected: Vec<Position> = positions
                .iter()
                .skip(offset)
                .step_by(2)
                .copied()
                .filter(|p| *p > positions[after])
                .collect();
            let got: Vec<Position> = got.messages.iter().map(|e| e.position.unwrap()).collect();
            assert_eq!(got, expected, "{user} {after}");
            eprintln!("replay of {}: {:?}", got.len(), began.elapsed());
        }
    }
    let few = Caps {
        messages: 10,
        bytes: 1 << 20,
    };
    assert_eq!(
        herald
            .history
            .replay(request("anna", positions[0], until, few))
            .await
            .unwrap_err(),
        Unrecovered::TooMany
    );
    let other = Position {
        epoch: 1,
        ..positions[0]
    };
    assert_eq!(
        herald
            .history
            .replay(request("anna", other, until, CAPS))
            .await
            .unwrap_err(),
        Unrecovered::EpochChanged
    );
    herald
        .ask("STREAM.PURGE", json!({"seq": positions[50].sequence}))
        .await;
    assert_eq!(
        herald
            .history
            .replay(request("anna", positions[0], until, CAPS))
            .await
            .unwrap_err(),
        Unrecovered::PositionExpired
    );
    // Another instance fills its tail at its start.
    let second = Herald::start(&servers, |_, _| {}).await.ready().await;
    assert_eq!(second.stats().tail_messages, 5_950);
    let got = second
        .history
        .replay(request("anna", positions[4_500], until, CAPS))
        .await
        .unwrap();
    assert_eq!(got.count(), 749);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn a_slow_relay_is_served_slower_and_nothing_is_dropped() {
    let servers = Servers::single("");
    let herald = Herald::start(&servers, |config, incoming| {
        (*incoming, config.tail_bytes) = (1 << 20, Some(ByteSize::mib(1)));
    })
    .await
    .ready()
    .await;
    let mut feed = herald.history.feed(Kind::User).unwrap();
    let mut last = Position::default();
    for part in 0..200 {
        let envelopes: Vec<Envelope> = (0..1_000)
            .map(|n| to_user("anna", &format!("{part}-{n:<200}")))
            .collect();
        let all: Vec<(&Envelope, String)> = envelopes.iter().map(|e| (e, e.id.to_string())).collect();
        for outcome in herald.history.publish_all(all).await {
            last = outcome.unwrap().position;
        }
    }
    let before = herald.stats();
    assert!(before.head < 20_000, "{before:?}");
    let began = Instant::now();
    let mut next = 1;
    while next <= last.sequence {
        match within(feed.next()).await.unwrap() {
            Fed::Notification(envelope) => {
                assert_eq!(envelope.position.unwrap().sequence, next);
                next += 1;
            }
            Fed::CaughtUp(_) => {}
            other => panic!("{other:?}"),
        }
    }
    let after = herald.stats();
    eprintln!("200,000 caught up in {:?}; {after:?}", began.elapsed());
    assert_eq!(herald.bus.stats().slow_consumer_drops, 0);
    assert_eq!((after.resets_by_gap, after.broken), (0, 0));
}
