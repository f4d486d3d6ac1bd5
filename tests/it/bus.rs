//! The bus's contract: the promises of `herald::bus::Bus` hold on every bus. One function per promise, each run over
//! the embedded bus, also with a file, over NATS, and over the bus that other tests make fail. The promises of a bus
//! with history are in `bus/history.rs`. Tests for NATS alone are in `bus/nats.rs` (other clients), `bus/outage.rs`
//! (loss and return), `bus/rights.rs` (permissions), `bus/access.rs` (credentials, TLS), `bus/open.rs` (a server
//! without credentials) and `bus/seal.rs` (signed control messages).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use herald::bus::embedded::{EmbeddedBus, Keeping};
use herald::bus::nats::NatsBus;
use herald::bus::{
    AppReply, AppRequest, Bus, Config, Health, Incoming, Limits, PublishError, RequestError, UserEvent,
};
use herald::destination::{Path, Target};
use herald::envelope::{Envelope, HeaderLimits, Headers, MessageId, TraceContext};
use herald::instance::{Instance, InstanceId};
use herald::principal::UserName;
use herald::setting::{ByteSize, HumanDuration};

use crate::support::nats::NatsServer;
use crate::support::within;

mod access;
mod backend;
mod history;
mod nats;
mod open;
mod outage;
mod rights;
mod seal;

pub const LIMITS: Limits = Limits {
    body_bytes: ByteSize::kib(64),
    headers: HeaderLimits {
        count: 16,
        bytes: 4_096,
    },
};

/// One instance on a bus, and beside it a backend that answers requests (`backend::answer`).
struct Given {
    bus: Arc<dyn Bus>,
    instance: Instance,
    _server: Option<NatsServer>,
    _folder: Option<tempfile::TempDir>,
}

pub fn instance() -> Instance {
    Instance::new(&herald::instance::Config::default())
}

pub fn config(url: &str) -> Config {
    Config {
        // Empty for a bus that needs no server.
        url: (!url.is_empty()).then(|| url.parse().unwrap()),
        request_timeout: HumanDuration::millis(300),
        ..Config::default()
    }
}

pub async fn nats_bus(url: &str) -> Arc<NatsBus> {
    let bus = NatsBus::connect(&config(url), LIMITS, &instance()).await.unwrap();
    until(&*bus, Health::Connected).await;
    bus
}

pub async fn until(bus: &dyn Bus, health: Health) {
    let mut receiver = bus.health();
    within("the bus's health", receiver.wait_for(|held| *held == health))
        .await
        .unwrap();
}

pub async fn next<T>(stream: &mut (impl Stream<Item = T> + Unpin)) -> T {
    within("a message", stream.next())
        .await
        .expect("the stream goes on")
}

/// The next notification.
pub async fn heard(incoming: &mut (impl Stream<Item = Incoming> + Unpin)) -> Envelope {
    loop {
        match next(incoming).await {
            Incoming::Notification(envelope) => return Envelope::clone(&envelope),
            Incoming::Passed(..) => {}
            broken @ Incoming::Broken(..) => panic!("{broken:?}"),
        }
    }
}

pub fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

pub fn broadcast(body: impl Into<Bytes>) -> Envelope {
    let mut envelope = Envelope::new(Target::Broadcast(path("/queue/x")), body);
    // The decision on what an instance publishes has been made.
    envelope.trace.decided = true;
    envelope
}

pub fn request(to: &str) -> AppRequest {
    AppRequest {
        path: path(to),
        user: UserName::parse("älice").unwrap(),
        session: "session-1".into(),
        instance: "host".into(),
        content_type: Some("text/plain".into()),
        headers: Headers::from_publisher([("correlation-id", "7"), ("lines", "a\nb")], LIMITS.headers)
            .unwrap(),
        trace: TraceContext::default(),
        body: Bytes::from_static(b"question"),
    }
}

async fn embedded() -> Given {
    let instance = instance();
    let bus = EmbeddedBus::new(&config(""), LIMITS, instance.id);
    backend::embed(&bus);
    Given {
        bus,
        instance,
        _server: None,
        _folder: None,
    }
}

async fn in_a_file() -> Given {
    let (instance, folder) = (instance(), tempfile::tempdir().unwrap());
    let history = herald::bus::history::Config {
        path: Some(folder.path().join("history").to_str().unwrap().parse().unwrap()),
        ..Default::default()
    };
    let keeping = Keeping::of(&history, &Default::default(), ByteSize::mib(1)).unwrap();
    let bus = EmbeddedBus::open(&config(""), LIMITS, instance.id, keeping).unwrap();
    backend::embed(&bus);
    Given {
        bus,
        instance,
        _server: None,
        _folder: Some(folder),
    }
}

async fn faulty() -> Given {
    let mut given = embedded().await;
    given.bus = crate::support::faulty_bus::FaultyBus::new(given.bus);
    given
}

async fn over_nats() -> Given {
    let server = NatsServer::start();
    let instance = instance();
    let bus = NatsBus::connect(&config(&server.url()), LIMITS, &instance)
        .await
        .unwrap();
    until(&*bus, Health::Connected).await;
    backend::listen(&server).await;
    Given {
        bus,
        instance,
        _server: Some(server),
        _folder: None,
    }
}

macro_rules! on_every_bus {
    ($($promise:ident)*) => {
        on_every_bus!(@ embedded, embedded, $($promise)*);
        on_every_bus!(@ in_a_file, in_a_file, $($promise)*);
        on_every_bus!(@ faulty, faulty, $($promise)*);
        on_every_bus!(@ over_nats, over_nats, $($promise)*);
    };
    (@ $module:ident, $given:ident, $($promise:ident)*) => {
        mod $module {
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
    order_per_target_is_kept_under_load
    several_go_in_their_order_each_for_itself
    everything_of_an_envelope_arrives
    stale_notifications_do_not_arrive
    streams_are_taken_once
    too_large_is_refused_with_the_limits_name
    a_request_is_answered
    a_request_ends_without_an_answer
    what_is_said_to_all_comes_back_in_order
    one_instance_is_asked
    user_events_are_taken
    drained_it_refuses_and_ends
}

/// Two targets, 20,000 notifications, at most 1,000 of them in flight: the order of each target holds. A publisher that
/// waits for the disk each time sends fewer.
async fn order_per_target_is_kept_under_load(given: Given) {
    let count: u32 = if given._folder.is_some() { 500 } else { 20_000 };
    let targets = [
        Target::Broadcast(path("/queue/load")),
        Target::User {
            user: UserName::parse("bob@example.com").unwrap(),
            path: path("/queue/load"),
        },
    ];
    let mut incoming = given.bus.incoming().unwrap();
    let window = Arc::new(tokio::sync::Semaphore::new(1_000));
    let (bus, publisher_window, to) = (given.bus.clone(), window.clone(), targets.clone());
    let publisher = tokio::spawn(async move {
        for number in 0..count {
            publisher_window.acquire().await.unwrap().forget();
            let target = to[number as usize % 2].clone();
            let envelope = Envelope::new(target, number.to_be_bytes().to_vec());
            bus.publish(&envelope).await.unwrap();
        }
    });
    let mut expected = [0_u32, 1];
    for _ in 0..count {
        let envelope = heard(&mut incoming).await;
        window.add_permits(1);
        let of = targets
            .iter()
            .position(|target| *target == envelope.target)
            .unwrap();
        assert_eq!(envelope.body, expected[of].to_be_bytes().to_vec());
        expected[of] += 2;
    }
    publisher.await.unwrap();
    assert_eq!(given.bus.stats().slow_consumer_drops, 0);
}

async fn several_go_in_their_order_each_for_itself(given: Given) {
    let mut incoming = given.bus.incoming().unwrap();
    let mut all: Vec<_> = (0..300)
        .map(|number: u32| (broadcast(number.to_string()), None))
        .collect();
    all[100].0 = broadcast(vec![b'x'; LIMITS.body_bytes.0 + 1]);
    let outcomes = within("the outcomes", given.bus.publish_all(&all)).await;
    assert_eq!(outcomes.len(), all.len());
    for (number, (outcome, (envelope, _))) in outcomes.iter().zip(&all).enumerate() {
        if number == 100 {
            assert!(
                matches!(outcome, Err(PublishError::TooLarge { .. })),
                "{outcome:?}"
            );
            continue;
        }
        let heard = heard(&mut incoming).await;
        // A position only where there is history.
        let expected = herald::bus::Published {
            position: heard.position,
            duplicate: false,
        };
        assert_eq!(*outcome, Ok(expected), "{number}");
        assert_eq!(heard.body, envelope.body);
    }
    assert_eq!(within("nothing", given.bus.publish_all(&[])).await, []);
    given.bus.drain().await;
    let outcomes = within("the refusals", given.bus.publish_all(&all[..2])).await;
    assert_eq!(outcomes, [const { Err(PublishError::Unavailable) }; 2]);
}

async fn everything_of_an_envelope_arrives(given: Given) {
    let every_byte: Vec<u8> = (0..=255).cycle().take(5_000).collect();
    let mut sent = broadcast(every_byte).with_content_type("text/plain;charset=UTF-8");
    sent.id = MessageId::parse("my.own-id_1").unwrap();
    sent.timestamp_ms = 1_700_000_000_000;
    sent.expires_at_ms = Some(u64::MAX);
    sent.collapse = herald::envelope::CollapseKey::parse("k ä", herald::envelope::PublisherKind::Client);
    sent.trace = TraceContext {
        decided: true,
        mark: Some(herald::envelope::Mark::random()),
        ..TraceContext::from_headers(
            Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            Some("vendor=x"),
        )
    };
    let given_headers = [
        ("plain", "value"),
        ("Plain", "other case"),
        ("empty", ""),
        ("with space", "v"),
        ("with:colon", "v"),
        ("näme", "välue €"),
        ("lines", "a\nb\r\nc"),
        ("outer", "\tx "),
        ("quote", "\"\\"),
        ("reply-to", "/user/queue/x"),
        ("cookie", "secret"),
    ];
    sent.headers = Headers::from_publisher(given_headers, LIMITS.headers).unwrap();
    let mut incoming = given.bus.incoming().unwrap();
    let mut to_user = broadcast("");
    to_user.target = Target::User {
        user: UserName::parse("a.b c/ü*>%").unwrap(),
        path: path("/queue/ä.ö/%25 >"),
    };
    for envelope in [&sent, &to_user] {
        let position = given.bus.publish(envelope).await.unwrap().position;
        let expected = Envelope {
            position,
            ..envelope.clone()
        };
        assert_eq!(heard(&mut incoming).await, expected);
    }
}

async fn stale_notifications_do_not_arrive(given: Given) {
    let mut incoming = given.bus.incoming().unwrap();
    let mut stale = broadcast("stale");
    stale.expires_at_ms = Some(stale.timestamp_ms);
    given.bus.publish(&stale).await.unwrap();
    given.bus.publish(&broadcast("fresh")).await.unwrap();
    assert_eq!(heard(&mut incoming).await.body, "fresh");
    assert_eq!(given.bus.stats().expired, 1);
}

async fn streams_are_taken_once(given: Given) {
    assert!(given.bus.incoming().is_some() && given.bus.incoming().is_none());
    assert!(given.bus.control_incoming().is_some() && given.bus.control_incoming().is_none());
}

async fn too_large_is_refused_with_the_limits_name(given: Given) {
    let limit = LIMITS.body_bytes.0;
    assert_eq!(given.bus.max_body_bytes(), limit);
    let mut incoming = given.bus.incoming().unwrap();
    let too_large = PublishError::TooLarge {
        size: limit + 1,
        limit,
        which: "limits.body_bytes",
    };
    let refused = given.bus.publish(&broadcast(vec![0; limit + 1])).await;
    assert_eq!(refused, Err(too_large.clone()));
    let mut large_request = request("/echo");
    large_request.body = vec![0; limit + 1].into();
    assert_eq!(given.bus.request(&large_request).await.unwrap_err(), too_large);
    given.bus.publish(&broadcast(vec![0; limit])).await.unwrap();
    assert_eq!(heard(&mut incoming).await.body.len(), limit);
}

async fn a_request_is_answered(given: Given) {
    let ask = async |to| {
        let pending = given.bus.request(&request(to)).await.unwrap();
        within("a reply", pending.reply()).await.unwrap()
    };
    let AppReply {
        body,
        content_type,
        headers,
        error,
        trace: _,
    } = ask("/echo/ä").await;
    // The backend repeats what it received.
    assert_eq!(body, "/echo/ä älice session-1 host text/plain 7 a\nb question");
    assert_eq!(content_type.as_deref(), Some("text/x-echo"));
    assert_eq!(headers.iter().collect::<Vec<_>>(), [("kind", "echo")]);
    assert_eq!(error, None);
    assert_eq!(ask("/refuse").await.error.as_deref(), Some("not today"));
}

async fn a_request_ends_without_an_answer(given: Given) {
    let ask = async |to| {
        let pending = given.bus.request(&request(to)).await.unwrap();
        within("its end", pending.reply()).await
    };
    assert_eq!(ask("/silent").await, Err(RequestError::Timeout));
    let unknown = ask("/nobody").await;
    assert_eq!(unknown, Err(RequestError::NoResponders));
}

async fn what_is_said_to_all_comes_back_in_order(given: Given) {
    let mut control = given.bus.control_incoming().unwrap();
    for number in 0..50_u8 {
        let payload = Bytes::from(vec![number]);
        given.bus.control_publish("test.count", payload).await.unwrap();
    }
    for number in 0..50_u8 {
        let message = next(&mut control).await;
        assert_eq!(
            (&*message.kind, &message.payload[..]),
            ("test.count", &[number][..])
        );
        assert!(message.responder.is_none());
    }
}

async fn one_instance_is_asked(given: Given) {
    let mut control = given.bus.control_incoming().unwrap();
    let answering = tokio::spawn(async move {
        let first = next(&mut control).await;
        assert_eq!((&*first.kind, &first.payload[..]), ("test.ask", &b"how?"[..]));
        first.responder.unwrap().respond(Bytes::from_static(b"so"));
        drop(next(&mut control).await.responder);
    });
    let ask = async |whom, timeout| {
        let question = Bytes::from_static(b"how?");
        let asked = given.bus.control_request(whom, "test.ask", question, timeout);
        within("an answer", asked).await
    };
    let (long, short) = (Duration::from_secs(5), Duration::from_millis(50));
    assert_eq!(ask(given.instance.id, long).await, Ok(Bytes::from_static(b"so")));
    assert_eq!(ask(given.instance.id, short).await, Err(RequestError::Timeout));
    let nobody = ask(InstanceId::random(), long).await;
    assert_eq!(nobody, Err(RequestError::NoResponders));
    answering.await.unwrap();
}

async fn user_events_are_taken(given: Given) {
    let event = UserEvent {
        user: UserName::parse("alice").unwrap(),
        instance: "host".into(),
        connected: true,
        time_ms: 1,
    };
    assert_eq!(given.bus.publish_user_event(&event).await, Ok(()));
}

async fn drained_it_refuses_and_ends(given: Given) {
    let mut incoming = given.bus.incoming().unwrap();
    let mut control = given.bus.control_incoming().unwrap();
    given.bus.publish(&broadcast("last")).await.unwrap();
    let start = std::time::Instant::now();
    given.bus.drain().await;
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(*given.bus.health().borrow(), Health::Disconnected);
    let late = given.bus.publish(&broadcast("late")).await;
    assert_eq!(late, Err(PublishError::Unavailable));
    assert_eq!(heard(&mut incoming).await.body, "last");
    assert!(within("the end", incoming.next()).await.is_none());
    assert!(within("the end", control.next()).await.is_none());
}
