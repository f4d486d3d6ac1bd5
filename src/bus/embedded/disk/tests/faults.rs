//! The promise: a disk that is slow, does not respond, is full or fails causes waits and honest refusals, but ends no
//! session; and everybody gets what the file has.

use std::io;

use futures_util::StreamExt;

use super::fake::Disk as FakeDisk;
use super::*;
use crate::bus::queue::{QueueStream, queue};
use crate::bus::{Incoming, PublishError};
use crate::destination::Prefixes;
use crate::setting::{ByteSize, HumanDuration};

const LONG: Duration = Duration::from_secs(30);

struct Given {
    fake: FakeDisk,
    disk: Disk,
    incoming: QueueStream,
}

fn config(publishes: usize, timeout_ms: u64) -> history::Config {
    history::Config {
        path: Some("fake".parse().unwrap()),
        publishes,
        publish_timeout: HumanDuration::millis(timeout_ms),
        ..history::Config::default()
    }
}

fn start_as(fake: FakeDisk, config: &history::Config) -> Given {
    let keeping = Keeping::of(config, &Prefixes::default(), ByteSize::mib(1)).unwrap();
    let (sender, incoming) = queue(64, 1 << 20);
    let on_disk = OnDisk::of(config).unwrap();
    Given {
        disk: Disk::on(Box::new(fake.clone()), &on_disk, keeping, sender).unwrap(),
        fake,
        incoming,
    }
}

fn start() -> Given {
    start_as(FakeDisk::default(), &config(64, 60_000))
}

impl Given {
    async fn publish(&self, body: &'static str) -> Result<u64, PublishError> {
        self.once(body, None).await.map(|(sequence, _)| sequence)
    }

    async fn once(&self, body: &'static str, name: Option<&str>) -> Result<(u64, bool), PublishError> {
        let published = self.disk.publish(vec![(broadcast(body), name.map(key))]).await?;
        Ok((published[0].position.unwrap().sequence, published[0].duplicate))
    }

    async fn heard(&mut self) -> (u64, String) {
        let next = tokio::time::timeout(LONG, self.incoming.next()).await.unwrap();
        match next.unwrap() {
            Incoming::Notification(envelope) => {
                let body = String::from_utf8(envelope.body.to_vec()).unwrap();
                (envelope.position.unwrap().sequence, body)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Repeats until it is stored.
    async fn stored(&self, body: &'static str) -> u64 {
        let stored = async {
            loop {
                if let Ok(sequence) = self.publish(body).await {
                    return sequence;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LONG, stored).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_stands_still_costs_a_wait_and_an_honest_answer() {
    let mut given = start_as(FakeDisk::default(), &config(2, 400));
    assert_eq!(given.publish("a").await, Ok(1));
    assert_eq!(given.heard().await, (1, "a".into()));
    given.fake.stick(true);
    let being_stored = given.disk.publish(vec![(broadcast("b"), None)]);
    // Once the writer has begun with it.
    while given.shared().busy.lock().is_none() {
        tokio::task::yield_now().await;
    }
    let waiting = given.disk.publish(vec![(broadcast("c"), None)]);
    let limit = Limit::HistoryPublishes;
    assert_eq!(given.publish("d").await, Err(PublishError::TooMany { limit }));
    assert_eq!(being_stored.await, Err(PublishError::Unknown));
    // As of an array, the next one is awaited after the first; its time has run since it was handed over.
    let at_once = tokio::time::timeout(Duration::from_millis(300), waiting).await;
    assert_eq!(at_once, Ok(Err(PublishError::Unavailable)));
    assert!(!given.disk.is_ready());
    assert_eq!(given.disk.trouble(), ["history.path: the disk does not answer"]);
    // Who resumes from memory, or asks how far it is, does not wait for the disk.
    let request = Request {
        target: broadcast("").target,
        after: Position {
            sequence: 0,
            ..given.disk.base(Kind::Broadcast)
        },
        until: Position {
            sequence: 1,
            ..given.disk.base(Kind::Broadcast)
        },
        caps: given.disk.caps(),
        piece: usize::MAX,
        goes_on: false,
        now_ms: unix_ms(),
    };
    assert!(given.disk.replay(request).await.is_ok());
    given.fake.stick(false);
    // What was being stored comes; what was refused does not.
    assert_eq!(given.heard().await, (2, "b".into()));
    assert_eq!(given.stored("e").await, 3);
    assert_eq!(given.heard().await, (3, "e".into()));
    assert!(given.disk.is_ready() && given.disk.trouble().is_empty());
}

/// Two with one key that are stored at the same time: the second one finds the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeats_that_wait_together_are_stored_once() {
    let mut given = start();
    given.fake.stick(true);
    let being_stored = given.disk.publish(vec![(broadcast("a"), None)]);
    while given.shared().busy.lock().is_none() {
        tokio::task::yield_now().await;
    }
    let again = || given.disk.publish(vec![(broadcast("b"), Some(key("key")))]);
    let (one, other, last) = (again(), again(), given.disk.publish(vec![(broadcast("c"), None)]));
    given.fake.stick(false);
    for (published, sequence, is_repeat) in [
        (being_stored, 1, false),
        (one, 2, false),
        (other, 2, true),
        (last, 3, false),
    ] {
        let published = published.await.unwrap()[0];
        let position = published.position.unwrap();
        assert_eq!((position.sequence, published.duplicate), (sequence, is_repeat));
    }
    for expected in [(1, "a"), (2, "b"), (3, "c")] {
        assert_eq!(given.heard().await, (expected.0, expected.1.into()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_and_ends() {
    let mut given = start();
    assert_eq!(given.once("a", Some("key")).await, Ok((1, false)));
    given.fake.free(Some(1_000));
    assert_eq!(given.publish("b").await, Err(PublishError::Full));
    // By then its refusals cost no look at the disk. What is stored is known all the same.
    assert_eq!(given.publish("b").await, Err(PublishError::Full));
    assert_eq!(given.once("a", Some("key")).await, Ok((1, true)));
    assert_eq!(
        given.once("other", Some("key")).await,
        Err(PublishError::KeyReused)
    );
    assert_eq!(given.disk.trouble(), ["history.path: the disk is full"]);
    assert!(given.disk.is_ready());
    given.fake.free(None);
    assert_eq!(given.stored("c").await, 2);
    assert!(given.disk.trouble().is_empty());
    assert_eq!(given.heard().await, (1, "a".into()));
    assert_eq!(given.heard().await, (2, "c".into()));
}

/// At whichever write the disk fills up or fails: refused and never stored, or in doubt and stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_the_disk_fails_the_answer_is_true() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
        let refusal = match kind {
            io::ErrorKind::StorageFull => PublishError::Full,
            _ => PublishError::Unavailable,
        };
        let mut in_doubt = 0;
        for works in 0.. {
            let mut given = start();
            assert_eq!(given.publish("a").await, Ok(1));
            given.fake.fail(works, kind);
            given.fake.close(true);
            let publishing = given.once("b", Some("key"));
            let failed = publishing.await;
            let state = *given.shared().state.lock();
            given.fake.heal();
            given.fake.close(false);
            let Err(error) = failed else {
                break;
            };
            // It could not be opened again, so nobody knows.
            assert_eq!(error, PublishError::Unknown);
            in_doubt += 1;
            match kind {
                io::ErrorKind::StorageFull => assert_eq!(state, State::Full),
                _ => assert_eq!(state, State::Broken),
            }
            let (sequence, is_repeat) = loop {
                match given.once("b", Some("key")).await {
                    Ok(found) => break found,
                    Err(error) => assert_eq!(error, refusal),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            assert_eq!(sequence, 2, "{works} {is_repeat}");
            assert_eq!(given.stored("c").await, 3);
            for expected in [(1, "a"), (2, "b"), (3, "c")] {
                assert_eq!(given.heard().await, (expected.0, expected.1.into()));
            }
            assert!(given.disk.is_ready());
        }
        assert!(in_doubt > 2, "{in_doubt}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_before_it_is_written_is_surely_not_stored() {
    let given = start();
    assert_eq!(given.publish("a").await, Ok(1));
    given.fake.fail(0, io::ErrorKind::Other);
    let publishing = given.disk.publish(vec![(broadcast("b"), None)]);
    let fake = given.fake.clone();
    // The disk works again when the file is opened anew.
    let healing = async {
        while *given.shared().state.lock() == State::Good {
            tokio::task::yield_now().await;
        }
        fake.heal();
    };
    let (failed, ()) = tokio::join!(publishing, healing);
    assert!(
        matches!(failed, Err(PublishError::Unavailable | PublishError::Unknown)),
        "{failed:?}"
    );
    assert_eq!(given.stored("c").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_where_it_was_and_a_copy_does_not() {
    let given = start();
    assert_eq!(given.once("a", Some("key")).await, Ok((1, false)));
    let (epoch, fake) = (given.disk.base(Kind::Broadcast).epoch, given.fake.clone());
    given.disk.drain().await;
    drop(given);
    let given = start_as(fake.clone(), &config(64, 60_000));
    assert_eq!(given.disk.base(Kind::Broadcast), Position { epoch, sequence: 1 });
    assert_eq!(given.once("a", Some("key")).await, Ok((1, true)));
    assert_eq!(given.once("b", Some("key")).await, Err(PublishError::KeyReused));
    assert_eq!(given.publish("b").await, Ok(2));
    given.disk.drain().await;
    drop(given);
    fake.copy();
    let given = start_as(fake, &config(64, 60_000));
    let base = given.disk.base(Kind::Broadcast);
    assert!(base.epoch > epoch && base.sequence == 2, "{base}");
}

/// A disk that says it has synced, and has not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_loses_what_was_synced_ends_and_begins_anew() {
    let given = start();
    assert_eq!(given.publish("a").await, Ok(1));
    let old = given.fake.image();
    assert_eq!(given.publish("b").await, Ok(2));
    let (epoch, fake) = (given.disk.base(Kind::Broadcast).epoch, given.fake.clone());
    let task = given.disk.task();
    fake.fail(0, io::ErrorKind::Other);
    fake.close(true);
    assert!(given.publish("c").await.is_err());
    fake.put_back(&old);
    fake.heal();
    fake.close(false);
    let ended = tokio::time::timeout(LONG, task).await.unwrap();
    assert!(!ended.may_return && !given.disk.is_ready());
    assert_eq!(given.publish("d").await, Err(PublishError::Unavailable));
    drop(given);
    let given = start_as(fake, &config(64, 60_000));
    assert!(given.disk.base(Kind::Broadcast).epoch > epoch);
}

impl Given {
    fn shared(&self) -> &Shared {
        &self.disk.shared
    }
}
