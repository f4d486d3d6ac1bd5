//! The promise of the embedded bus beyond the contract suite (`tests/it/bus.rs`): what a full queue does here, and the
//! handler.

use futures_util::StreamExt;

use super::*;
use crate::destination::{Path, Target};
use crate::envelope::{HeaderLimits, Headers, TraceContext};
use crate::principal::UserName;
use crate::setting::ByteSize;

const LIMITS: Limits = Limits {
    body_bytes: ByteSize::kib(64),
    headers: HeaderLimits {
        count: 8,
        bytes: 1_024,
    },
};

fn bus(set: impl FnOnce(&mut Config)) -> Arc<EmbeddedBus> {
    let mut config = Config::default();
    set(&mut config);
    EmbeddedBus::new(&config, LIMITS, InstanceId::random())
}

fn envelope(body: impl Into<Bytes>) -> Envelope {
    Envelope::new(Target::Broadcast(Path::parse("/queue/x").unwrap()), body)
}

fn request() -> AppRequest {
    AppRequest {
        path: Path::parse("/x").unwrap(),
        user: UserName::parse("alice").unwrap(),
        session: "s".into(),
        instance: "i".into(),
        content_type: None,
        headers: Headers::default(),
        trace: TraceContext::default(),
        body: Bytes::from_static(b"question"),
    }
}

#[tokio::test(start_paused = true)]
async fn publishers_wait_for_a_slow_reader_and_are_refused_within_a_second() {
    for bus in [
        bus(|config| config.embedded_capacity = 2),
        bus(|config| config.incoming_bytes = ByteSize::kib(64)),
    ] {
        let mut incoming = bus.incoming().unwrap();
        let large = envelope(vec![0; 30 << 10]);
        bus.publish(&large).await.unwrap();
        bus.publish(&large).await.unwrap();
        let start = tokio::time::Instant::now();
        assert_eq!(bus.publish(&large).await, Err(PublishError::Unavailable));
        assert!(start.elapsed() >= PUBLISH_TIMEOUT && start.elapsed() < Duration::from_secs(1));
        // A reader that comes in time lets the waiting publisher through.
        let (published, read) = tokio::join!(bus.publish(&large), incoming.next());
        assert!(published.is_ok() && read.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_or_panics_ends_the_wait() {
    let bus = bus(|_| ());
    bus.respond_to_requests(|_| Box::pin(std::future::pending()));
    let reply = bus.request(&request()).await.unwrap().reply().await;
    assert_eq!(reply, Err(RequestError::Timeout));
    bus.respond_to_requests(|_| Box::pin(async { panic!("the backend's fault") }));
    let reply = bus.request(&request()).await.unwrap().reply().await;
    assert_eq!(reply, Err(RequestError::Unavailable));
}

#[tokio::test]
async fn without_readers_publishing_goes_on() {
    let bus = bus(|config| config.embedded_capacity = 1);
    drop((bus.incoming(), bus.control_incoming()));
    for _ in 0..100 {
        bus.publish(&envelope("x")).await.unwrap();
        bus.control_publish("x", Bytes::new()).await.unwrap();
    }
}

mod repeats {
    //! Promise: what has a key is stored once, however often it comes, and a batch is stored whole or not at all.

    use super::*;
    use crate::bus::history;
    use crate::destination::Prefixes;
    use crate::limit::Limit;

    fn keeping(set: impl FnOnce(&mut history::Config)) -> Arc<EmbeddedBus> {
        keeping_with(|_| (), set)
    }

    fn keeping_with(
        set_bus: impl FnOnce(&mut Config),
        set: impl FnOnce(&mut history::Config),
    ) -> Arc<EmbeddedBus> {
        let (mut config, mut history) = (Config::default(), history::Config::default());
        set_bus(&mut config);
        set(&mut history);
        let keeping = Keeping::of(&history, &Prefixes::default(), ByteSize::mib(1)).unwrap();
        EmbeddedBus::with_history(&config, LIMITS, InstanceId::random(), keeping)
    }

    fn key(text: &str) -> Key {
        Key::of([text.as_bytes()])
    }

    fn sequence(published: Published) -> (u64, bool) {
        (published.position.unwrap().sequence, published.duplicate)
    }

    fn waiting(incoming: &mut BoxStream<Incoming>) -> usize {
        let next = || futures_util::FutureExt::now_or_never(incoming.next()).flatten();
        std::iter::from_fn(next).count()
    }

    #[tokio::test]
    async fn a_repeat_is_answered_as_the_first_one_was() {
        let bus = keeping(|_| ());
        let mut incoming = bus.incoming().unwrap();
        let first = envelope("a");
        let mut repeat = first.clone();
        repeat.timestamp_ms += 5;
        assert_eq!(
            sequence(bus.publish_once(&first, Some(key("1"))).await.unwrap()),
            (1, false)
        );
        assert_eq!(
            sequence(bus.publish_once(&repeat, Some(key("1"))).await.unwrap()),
            (1, true)
        );
        assert_eq!(
            sequence(bus.publish_once(&first, Some(key("2"))).await.unwrap()),
            (2, false)
        );
        assert_eq!(sequence(bus.publish(&first).await.unwrap()), (3, false));
        repeat.body = "b".into();
        let other = bus.publish_once(&repeat, Some(key("1"))).await;
        assert_eq!(other, Err(PublishError::KeyReused));
        assert_eq!(waiting(&mut incoming), 3);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_repeats_at_the_same_time_one_is_stored() {
        let bus = keeping(|_| ());
        let mut incoming = bus.incoming().unwrap();
        let mut publishers = tokio::task::JoinSet::new();
        let all = envelope("a");
        for _ in 0..8 {
            let (bus, envelope) = (bus.clone(), all.clone());
            publishers.spawn(async move {
                let mut stored = Vec::new();
                for number in 0..100 {
                    let key = key(&number.to_string());
                    stored.push(sequence(bus.publish_once(&envelope, Some(key)).await.unwrap()));
                }
                stored
            });
        }
        let answers = publishers.join_all().await;
        for number in 0..100 {
            let firsts = answers.iter().filter(|stored| !stored[number].1).count();
            assert_eq!(firsts, 1, "{number}");
            assert!(
                answers
                    .iter()
                    .all(|stored| stored[number].0 == answers[0][number].0)
            );
        }
        assert_eq!(waiting(&mut incoming), 100);
    }

    #[tokio::test]
    async fn more_keys_than_there_is_room_for_are_refused() {
        let bus = keeping(|history| history.keys = 1);
        let once = |name: &'static str| {
            let bus = bus.clone();
            let mut envelope = envelope("a");
            envelope.id = crate::envelope::MessageId::parse("id").unwrap();
            async move { bus.publish_once(&envelope, Some(key(name))).await }
        };
        once("1").await.unwrap();
        let limit = Limit::HistoryKeys;
        assert_eq!(once("2").await, Err(PublishError::TooMany { limit }));
        assert!(once("1").await.unwrap().duplicate);
        assert_eq!(bus.stats().tails[0].messages, 1);
    }

    #[tokio::test]
    async fn a_batch_is_stored_whole_or_not_at_all() {
        let bus = keeping(|_| ());
        let mut incoming = bus.incoming().unwrap();
        let batch = |keys: [&str; 3]| {
            let item = |name: &str| {
                let mut envelope = envelope("a");
                envelope.id = crate::envelope::MessageId::parse("id").unwrap();
                (envelope, (!name.is_empty()).then(|| key(name)))
            };
            keys.map(item)
        };
        let sequences = async |keys| {
            let batch = batch(keys);
            let published = bus.publish_atomic(&batch).unwrap().await;
            published.map(|all| all.into_iter().map(sequence).collect::<Vec<_>>())
        };
        let fresh = sequences(["", "", ""]).await;
        assert_eq!(fresh, Ok(vec![(1, false), (2, false), (3, false)]));
        let first = sequences(["1", "2", "3"]).await;
        assert_eq!(first, Ok(vec![(4, false), (5, false), (6, false)]));
        let repeat = sequences(["1", "2", "3"]).await;
        assert_eq!(repeat, Ok(vec![(4, true), (5, true), (6, true)]));
        // A part of it is known, or one key stands for two: nothing is stored.
        for bad in [["1", "2", "4"], ["", "", "1"], ["7", "7", "8"]] {
            assert_eq!(sequences(bad).await, Err(PublishError::KeyReused), "{bad:?}");
        }
        assert_eq!(waiting(&mut incoming), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_finds_no_room_stores_nothing() {
        let bus = keeping_with(|config| config.embedded_capacity = 4, |_| ());
        let mut incoming = bus.incoming().unwrap();
        let batch = |count| vec![(envelope("a"), None); count];
        // Never fits, is of both kinds, or is not kept: the bus cannot.
        assert!(bus.publish_atomic(&batch(5)).is_none());
        assert!(bus.publish_atomic(&batch(0)).is_none());
        let user = UserName::parse("alice").unwrap();
        let path = Path::parse("/queue/x").unwrap();
        let mut mixed = batch(2);
        mixed[1].0.target = Target::User { user, path };
        assert!(bus.publish_atomic(&mixed).is_none());
        mixed[0].0.target = Target::Broadcast(Path::parse("/elsewhere/x").unwrap());
        assert!(bus.publish_atomic(&mixed[..1]).is_none());
        // Does not fit now.
        bus.publish_atomic(&batch(3)).unwrap().await.unwrap();
        let refused = bus.publish_atomic(&batch(2)).unwrap().await;
        assert_eq!(refused, Err(PublishError::Unavailable));
        assert_eq!(waiting(&mut incoming), 3);
        assert_eq!(bus.publish_atomic(&batch(4)).unwrap().await.unwrap().len(), 4);
    }
}
