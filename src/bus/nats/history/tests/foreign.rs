//! Streams and messages of somebody else's making.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;

async fn until_troubled(herald: &Herald, words: &str) {
    let troubled = async {
        while !herald.history.trouble().iter().any(|line| line.contains(words)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(LONG, troubled).await.is_err() {
        panic!("{words:?} is not in {:?}", herald.history.trouble());
    }
}

/// A stream made by hand.
async fn made(servers: &Servers, config: Value) {
    let maker = Herald::start(servers, |config, _| config.manage = false).await;
    maker.until_connected().await;
    let mut whole = json!({"name": "HERALD_USER", "subjects": ["herald.user.>"], "storage": "file"});
    for (key, value) in config.as_object().unwrap() {
        whole[key] = value.clone();
    }
    maker.ask("STREAM.CREATE", whole).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn without_jetstream_it_says_so() {
    let off = Servers::without_jetstream();
    let herald = Herald::start(&off, |_, _| {}).await;
    until_troubled(&herald, "JetStream").await;
    assert_eq!(herald.publish("anna", "x").await, Err(StoreError::Unavailable));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn a_stream_that_does_not_fit_is_named_and_one_that_can_be_changed_is() {
    let servers = Servers::single("");
    made(
        &servers,
        json!({"max_age": 60_000_000_000_u64, "allow_direct": false, "description": "ours"}),
    )
    .await;
    let watching = Herald::start(&servers, |config, _| config.manage = false).await;
    until_troubled(&watching, "allow_direct").await;
    until_troubled(&watching, "HERALD_BROADCAST").await;
    assert!(
        watching
            .history
            .drift()
            .iter()
            .any(|line| line.contains("max_age")),
        "{:?}",
        watching.history.drift()
    );
    // An instance that may change it does, at its start, and leaves what is not Herald's.
    let herald = Herald::start(&servers, |_, _| {}).await.ready().await;
    let info = herald.ask("STREAM.INFO", Value::Null).await;
    assert_eq!(
        (&info["config"]["allow_direct"], &info["config"]["description"]),
        (&json!(true), &json!("ours"))
    );
    watching.ready().await;
    // Later it compares alone.
    let mut config = info["config"].clone();
    config["max_age"] = json!(120_000_000_000_u64);
    herald.ask("STREAM.UPDATE", config.clone()).await;
    herald.history.look(Kind::User);
    let drifted = async {
        while herald.history.drift().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(drifted).await;
    assert!(herald.history.trouble().is_empty());
    config["subjects"] = json!(["herald.user.anna.>"]);
    herald.ask("STREAM.UPDATE", config).await;
    herald.history.look(Kind::User);
    until_troubled(&herald, "herald.user.>").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn another_storage_cannot_be_changed_and_is_named() {
    let servers = Servers::single("");
    made(&servers, json!({"storage": "memory"})).await;
    let herald = Herald::start(&servers, |_, _| {}).await;
    until_troubled(&herald, "storage").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn a_server_without_room_for_the_streams_is_named() {
    let servers = Servers::small();
    let herald = Herald::start(&servers, |_, _| {}).await;
    until_troubled(&herald, "insufficient").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn a_full_stream_that_refuses_says_so() {
    let servers = Servers::single("");
    let herald = Herald::start(&servers, |_, _| {}).await.ready().await;
    let mut config = herald.ask("STREAM.INFO", Value::Null).await["config"].clone();
    (config["discard"], config["max_msgs"]) = (json!("new"), json!(1));
    herald.ask("STREAM.UPDATE", config).await;
    herald.publish("anna", "fits").await.unwrap();
    assert_eq!(herald.publish("anna", "too much").await, Err(StoreError::Full));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn what_cannot_be_read_is_passed_once_and_no_reader_stands_still() {
    let servers = Servers::single("");
    let herald = Herald::start(&servers, |config, _| config.tail_bytes = Some(ByteSize::mib(1)))
        .await
        .ready()
        .await;
    let seen = herald.collect(Kind::User);
    let first = herald.publish("anna", "first").await.unwrap();
    let mut raw = TcpStream::connect(("127.0.0.1", servers.port())).unwrap();
    raw.write_all(b"CONNECT {\"verbose\":false,\"headers\":true}\r\n")
        .unwrap();
    let blocks: [&[u8]; 8] = [
        b"NATS/1.0\r\nno colon\r\n\r\n",
        b"NATS/1.0\r\nname: \xE4\r\n\r\n",
        b"NATS/1.0\r\nname: a\rb\r\n\r\n",
        b"NATS/1.0\r\ncut",
        b"NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\n\r\n",
        b"NATS/1.0 503\r\n\r\n",
        b"NATS/1.0 100 FlowControl Request\r\n\r\n",
        b"NATS/1.0\r\nNats-Sequence: 7\r\nHerald-Headers: {\r\n\r\n",
    ];
    for block in blocks {
        write!(
            raw,
            "HPUB herald.user.anna.queue.orders {} {}\r\n",
            block.len(),
            block.len() + 2
        )
        .unwrap();
        raw.write_all(block).unwrap();
        raw.write_all(b"hi\r\n").unwrap();
    }
    raw.write_all(
        b"PUB herald.user.an%na.x 2\r\nhi\r\nPUB herald.user.anna.queue.orders 3\r\nraw\r\nPING\r\n",
    )
    .unwrap();
    let mut buffer = [0; 4_096];
    let mut text = String::new();
    while !text.contains("PONG") {
        let length = raw.read(&mut buffer).unwrap();
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    let last = herald.publish("anna", "last").await.unwrap();
    assert_eq!(last.position.sequence, first.position.sequence + 11);
    let check = |all: Vec<Fed>| {
        let words: Vec<String> = all
            .iter()
            .map(|fed| match fed {
                Fed::Notification(envelope) => String::from_utf8_lossy(&envelope.body).into_owned(),
                Fed::Passed(_) => "-".into(),
                other => format!("{other:?}"),
            })
            .collect();
        words[words.len() - 12..].join(" ")
    };
    let expected = "first - - - - hi hi hi - - raw last";
    assert_eq!(check(seen.until_position(last.position).await), expected);
    // The id of what has none is its position.
    let raw_at = Position {
        sequence: last.position.sequence - 1,
        ..last.position
    };
    let raw = herald
        .history
        .stored_at(Kind::User, [raw_at])
        .await
        .remove(&raw_at)
        .unwrap();
    assert_eq!(raw.id.to_string(), raw_at.to_string());
    // Whoever reads it again passes it again.
    let second = Herald::start(&servers, |_, _| {}).await.ready().await;
    assert_eq!(second.stats().head, last.position.sequence);
    for herald in [&herald, &second] {
        let stats = herald.stats();
        assert_eq!(
            (stats.resets_by_gap, stats.holes, stats.broken),
            (0, 0, 0),
            "{stats:?}"
        );
    }
    // And so does whoever reads it directly: by a tail that holds only what is behind it.
    let filler = "x".repeat(100_000);
    let mut until = last.position;
    for _ in 0..20 {
        until = herald.publish("ben", &filler).await.unwrap().position;
    }
    seen.until_position(until).await;
    let got = herald
        .history
        .replay(request("anna", first.position, until, CAPS))
        .await
        .unwrap();
    let got: Vec<String> = got
        .messages
        .iter()
        .map(|e| String::from_utf8_lossy(&e.body).into_owned())
        .collect();
    assert_eq!(got, ["hi", "hi", "hi", "raw", "last"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants nats-server"]
async fn a_domain_is_used() {
    let servers = Servers::single("");
    let herald = Herald::start(&servers, |config, _| config.domain = "nowhere".parse().ok()).await;
    until_troubled(&herald, "JetStream").await;
    let servers = Servers::in_domain("hub");
    let herald = Herald::start(&servers, |config, _| config.domain = "hub".parse().ok())
        .await
        .ready()
        .await;
    let seen = herald.collect(Kind::User);
    let stored = herald.publish("anna", "x").await.unwrap();
    seen.until_position(stored.position).await;
}
