//! The bus among other NATS clients: publishers that know nothing of Herald reach every instance, backends learn of
//! users, and a hostile message affects no others.

use bytes::Bytes;
use futures_util::StreamExt;
use herald::bus::nats::NatsBus;
use herald::bus::{Bus, Health, PublishError, UserEvent};
use herald::destination::Target;
use herald::envelope::{Headers, unix_ms};
use herald::principal::UserName;
use herald::setting::ByteSize;

use super::backend::headers;
use super::{LIMITS, broadcast, config, heard, instance, nats_bus, next, path, until};
use crate::support::nats::{NatsServer, RawPublisher};
use crate::support::within;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_instance_gets_every_message() {
    let server = NatsServer::start();
    let (first, second) = (nats_bus(&server.url()).await, nats_bus(&server.url()).await);
    let (mut at_first, mut at_second) = (first.incoming().unwrap(), second.incoming().unwrap());
    let sent: Vec<_> = (0..200_u8).map(|number| broadcast(vec![number])).collect();
    for (number, envelope) in sent.iter().enumerate() {
        let bus = if number % 2 == 0 { &first } else { &second };
        bus.publish(envelope).await.unwrap();
    }
    for incoming in [&mut at_first, &mut at_second] {
        let mut got = Vec::new();
        for _ in 0..sent.len() {
            got.push(heard(incoming).await);
        }
        // Two publishers: there is no order between them.
        got.sort_by(|a, b| a.body.cmp(&b.body));
        assert_eq!(got, sent);
    }
    let mut said = second.control_incoming().unwrap();
    first.control_publish("test.kind", Bytes::new()).await.unwrap();
    assert_eq!(next(&mut said).await.kind, "test.kind");
}

#[tokio::test]
async fn a_plain_client_reaches_browsers() {
    let server = NatsServer::start();
    let bus = nats_bus(&server.url()).await;
    let mut incoming = bus.incoming().unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let before = unix_ms();
    client
        .publish("herald.broadcast.queue.message", r#"{"message":"hi"}"#.into())
        .await
        .unwrap();
    let plain = heard(&mut incoming).await;
    assert_eq!(plain.target, Target::Broadcast(path("/queue/message")));
    assert_eq!(plain.body, r#"{"message":"hi"}"#);
    assert_eq!(plain.id.as_str().len(), 26);
    assert!(plain.timestamp_ms >= before && plain.content_type.is_none() && plain.headers.is_empty());

    let own = headers(&[
        ("content-type", "a/b"),
        ("X-Order", "7"),
        ("Cookie", "s"),
        ("Herald-Id", "x!"),
    ]);
    client
        .publish_with_headers("herald.user.a%2Eb.queue.orders", own, "o".into())
        .await
        .unwrap();
    let with_headers = heard(&mut incoming).await;
    let target = Target::User {
        user: UserName::parse("a.b").unwrap(),
        path: path("/queue/orders"),
    };
    assert_eq!(with_headers.target, target);
    assert_eq!(with_headers.content_type.as_deref(), Some("a/b"));
    assert_eq!(
        with_headers.headers,
        Headers::from_publisher([("X-Order", "7")], LIMITS.headers).unwrap()
    );
}

#[tokio::test]
async fn backends_learn_of_users() {
    let server = NatsServer::start();
    let bus = nats_bus(&server.url()).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut events = client.subscribe("herald.event.user.*").await.unwrap();
    client.flush().await.unwrap();
    let mut own = client.subscribe("ready").await.unwrap();
    client.publish("ready", "".into()).await.unwrap();
    within("the subscription", own.next()).await.unwrap();
    for (connected, subject) in [
        (true, "herald.event.user.connected"),
        (false, "herald.event.user.disconnected"),
    ] {
        let event = UserEvent {
            user: UserName::parse("älice").unwrap(),
            instance: "host-1".into(),
            connected,
            time_ms: 1_700_000_000_123,
        };
        bus.publish_user_event(&event).await.unwrap();
        let seen = next(&mut events).await;
        assert_eq!(seen.subject.as_str(), subject);
        let json: serde_json::Value = serde_json::from_slice(&seen.payload).unwrap();
        let expected =
            serde_json::json!({"user": "älice", "instance": "host-1", "time": 1_700_000_000_123_u64});
        assert_eq!(json, expected);
    }
}

#[tokio::test]
async fn what_cannot_be_delivered_is_counted_and_costs_only_itself() {
    let server = NatsServer::start();
    let bus = nats_bus(&server.url()).await;
    let mut incoming = bus.incoming().unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let large = vec![0; LIMITS.body_bytes.0 + 1];
    for (subject, own, body) in [
        ("herald.broadcast.queue.%41", &[][..], &b"x"[..]),
        ("herald.broadcast.queue.*", &[], b"x"),
        ("herald.user.alice", &[], b"x"),
        ("herald.broadcast.queue.large", &[], &large),
        ("herald.broadcast.queue.headers", &[("Herald-Headers", "{")], b"x"),
    ] {
        client
            .publish_with_headers(subject, headers(own), Bytes::copy_from_slice(body))
            .await
            .unwrap();
    }
    client
        .publish("herald.broadcast.queue.x", "good".into())
        .await
        .unwrap();
    // The two subscriptions have no order between them: wait for the one to the user's subject as well.
    client
        .publish("herald.user.alice.queue.x", "good".into())
        .await
        .unwrap();
    for _ in 0..2 {
        assert_eq!(heard(&mut incoming).await.body, "good");
    }
    let stats = bus.stats();
    assert_eq!(
        (stats.undeliverable, stats.reconnects, stats.slow_consumer_drops),
        (5, 0, 0)
    );
}

/// One malformed message must cost neither the connection nor anybody else's message.
#[tokio::test]
async fn what_the_client_cannot_read_is_counted_and_costs_only_itself() {
    let server = NatsServer::start();
    let bus = nats_bus(&server.url()).await;
    let mut incoming = bus.incoming().unwrap();
    let mut raw = RawPublisher::connect(&server).await;
    let hostile: [(&[u8], &[u8]); 11] = [
        (b"herald.broadcast.queue.x", b"NATS/1.0\r\nbad name: x\r\n\r\n"),
        (b"herald.broadcast.queue.x", b"NATS/1.0\r\nno colon\r\n\r\n"),
        // A CR that ends no line, in a value, in its continuation, in a name; and the same where control messages go.
        (b"herald.broadcast.queue.x", b"NATS/1.0\r\na: b\rc\r\n\r\n"),
        (b"herald.broadcast.queue.x", b"NATS/1.0\r\na: b\r\n c\rd\r\n\r\n"),
        (b"herald.broadcast.queue.x", b"NATS/1.0\r\na\rb: c\r\n\r\n"),
        (
            b"herald.control.all.presence.digest",
            b"NATS/1.0\r\na: b\rc\r\n\r\n",
        ),
        (b"herald.broadcast.queue.x", b"HTTP/1.1 200\r\n\r\n"),
        (b"herald.broadcast.queue.x", b"NATS/1.0 99999\r\n\r\n"),
        (b"herald.user.alice.queue.x", b"NATS/1.0\r\nlatin: \xe4\r\n\r\n"),
        (b"herald.broadcast.queue.\xff", b""),
        // White space to Unicode but not to NATS: it separates no arguments, and it is not a subject of Herald's.
        (
            "herald.broadcast.queue.a\u{2003}b".as_bytes(),
            b"NATS/1.0\r\n\r\n",
        ),
    ];
    for _ in 0..20 {
        for (subject, block) in &hostile {
            raw.publish(subject, block, b"body").await;
        }
        raw.publish(b"herald.broadcast.queue.x", b"", b"good").await;
        assert_eq!(heard(&mut incoming).await.body, "good");
    }
    // The two subscriptions have no order between them: wait for the one to the users' subjects as well.
    raw.publish(b"herald.user.alice.queue.x", b"", b"good").await;
    assert_eq!(heard(&mut incoming).await.body, "good");
    let stats = bus.stats();
    assert_eq!((stats.undeliverable, stats.reconnects), (220, 0));
}

#[tokio::test]
async fn the_servers_limit_is_named_when_it_is_the_smaller_one() {
    let server = NatsServer::start_with("max_payload: 65536");
    let bus = nats_bus(&server.url()).await;
    let mut incoming = bus.incoming().unwrap();
    let limit = 65_536 - 16_384;
    assert_eq!(bus.max_body_bytes(), limit);
    let which = "max_payload of the NATS server";
    let refused = bus.publish(&broadcast(vec![0; limit + 1])).await;
    let size = limit + 1;
    assert_eq!(refused, Err(PublishError::TooLarge { size, limit, which }));
    bus.publish(&broadcast(vec![0; limit])).await.unwrap();
    assert_eq!(heard(&mut incoming).await.body.len(), limit);

    // Headers that exceed the reserve are refused too, and the connection survives.
    let values: Vec<_> = (0..8).map(|n| (format!("h{n}"), "v".repeat(4_000))).collect();
    let pairs = values.iter().map(|(name, value)| (&**name, &**value));
    let mut envelope = broadcast(vec![0; limit]);
    envelope.headers = Headers::from_publisher(pairs, LIMITS.headers).unwrap();
    let refused = bus.publish(&envelope).await;
    assert!(
        matches!(refused, Err(PublishError::TooLarge { limit: 65_536, .. })),
        "{refused:?}"
    );
    envelope.body = Bytes::new();
    bus.publish(&envelope).await.unwrap();
    assert_eq!(heard(&mut incoming).await, envelope);
    assert_eq!(bus.stats().reconnects, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_instance_is_bounded_in_bytes_and_counts_what_it_drops() {
    let server = NatsServer::start();
    let mut small = config(&server.url());
    small.incoming_bytes = ByteSize::kib(256);
    let slow = NatsBus::connect(&small, LIMITS, &instance()).await.unwrap();
    let mut unread = slow.incoming().unwrap();
    until(&*slow, Health::Connected).await;
    let body = Bytes::from(vec![0; 32 << 10]);
    for _ in 0..100 {
        slow.publish(&broadcast(body.clone())).await.unwrap();
    }
    // Control messages do not queue behind notifications. What is said after them arrives, and then they have been
    // handled.
    let counted = async {
        while slow.stats().slow_consumer_drops < 93 {
            tokio::task::yield_now().await;
        }
    };
    within("the drops", counted).await;
    for _ in 0..7 {
        heard(&mut unread).await;
    }
    assert_eq!(slow.stats().slow_consumer_drops, 93);
    slow.publish(&broadcast("after")).await.unwrap();
    assert_eq!(heard(&mut unread).await.body, "after");
}
