//! The promise: if NATS refuses what history needs, from the start or later, `/readyz` and the log name it, a publisher
//! learns what happened to its notification, and no session is blocked: a SUBSCRIBE is answered or refused, and
//! existing sessions stay and get their notifications.

use serde_json::{Value, json};

use super::unfit::ask;
use super::{NEWS, ORDERS, attempt, bodies, herald, herald_at, publish, subscribe, until_said};
use crate::support::cluster::until;
use crate::support::cluster_client::Browser;
use crate::support::cut::Proxy;
use crate::support::nats::NatsServer;
use crate::support::process::{Answer, Herald};

/// Not kept where `[history]` says `broadcast = ["/queue"]`.
const UNKEPT: &str = "/topic/other";

fn kind(answer: &Answer) -> String {
    let kind = answer.json()["type"].as_str().unwrap_or_default().to_owned();
    kind.rsplit(':').next().unwrap_or_default().to_owned()
}

/// A publisher is told that nothing went, alone, in an array and as a whole.
async fn refuses_publishers(herald: &Herald, payload: &str, status: u16, expected: &str) {
    let one = json!({"destination": NEWS, "payload": payload});
    let two = json!([one, one]);
    for (query, body) in [("", &one), ("", &two), ("?atomic=true", &two)] {
        let path = format!("/api/v1/notifications{query}");
        let answer = herald.post(&path, "application/json", body.to_string()).await;
        let told = match answer.status {
            207 => answer.json()[0].clone(),
            _ => answer.json(),
        };
        let words = format!("{query}: {}", answer.text());
        assert_eq!(told["status"], status, "{words}");
        assert!(
            told["type"].as_str().is_some_and(|kind| kind.ends_with(expected)),
            "{words}"
        );
    }
}

/// A SUBSCRIBE to what is kept is refused, and nothing else is the worse for it.
async fn refuses_subscribers(herald: &Herald) {
    let mut stays = Browser::connect(herald.address, "test2").await;
    subscribe(&mut stays, UNKEPT, None).await;
    let mut browser = Browser::connect(herald.address, "test1").await;
    browser
        .frame(
            "SUBSCRIBE",
            &[("id", "0"), ("destination", NEWS), ("receipt", "r")],
            b"",
        )
        .await;
    let end = browser.end().await;
    let words = "SUBSCRIBE: history cannot be read now, reconnect";
    assert_eq!((end.code, end.error()), (1013, Some(words)), "{end:?}");
    lives(herald, &mut stays).await;
}

/// A session that is there gets what comes.
async fn lives(herald: &Herald, session: &mut Browser) {
    assert_eq!(attempt(herald, None, UNKEPT, "here").await.status, 202);
    assert_eq!(bodies(session, UNKEPT, 1).await, ["here"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_too_old_is_named_also_after_a_reconnect() {
    const OLD: &str = "the NATS server has version 2.10.29, history needs 2.11.0 or later";
    let nats = NatsServer::start_with_jetstream("");
    let way = Proxy::to(([127, 0, 0, 1], nats.port()).into()).await;
    way.say_version(Some("2.10.29"));
    let (herald, _folder) = herald_at(&format!("nats://{}", way.address()), "broadcast = [\"/queue\"]").await;
    assert_eq!(until_said(&herald, OLD).await, 503);
    herald.logged(OLD).await;
    refuses_publishers(&herald, "refused", 503, "bus-unavailable").await;
    refuses_subscribers(&herald).await;
    let changes = async |version| {
        way.say_version(version);
        way.cut().await;
        way.mend();
    };
    // It is replaced, and later another old one takes its place.
    changes(None).await;
    herald.until_ready().await;
    let mut stays = Browser::connect(herald.address, "test1").await;
    subscribe(&mut stays, NEWS, None).await;
    subscribe(&mut stays, UNKEPT, None).await;
    publish(&herald, None, NEWS, "before").await;
    assert_eq!(bodies(&mut stays, NEWS, 1).await, ["before"]);
    changes(Some("2.10.29")).await;
    assert_eq!(until_said(&herald, OLD).await, 503);
    lives(&herald, &mut stays).await;
    changes(None).await;
    herald.until_ready().await;
    publish(&herald, None, NEWS, "after").await;
    assert_eq!(bodies(&mut stays, NEWS, 1).await, ["after"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jetstream_that_is_switched_off_later_costs_only_what_needs_it() {
    let mut nats = NatsServer::start_with_jetstream("");
    let lines = "broadcast = [\"/queue\"]\npublish_timeout = \"1s\"";
    let (herald, _folder) = herald(&nats, lines).await;
    herald.until_ready().await;
    let mut stays = Browser::connect(herald.address, "test1").await;
    let begin = super::position(&subscribe(&mut stays, NEWS, None).await);
    subscribe(&mut stays, UNKEPT, None).await;
    publish(&herald, None, NEWS, "before").await;
    assert_eq!(bodies(&mut stays, NEWS, 1).await, ["before"]);
    nats.configure("");
    nats.restart();
    // As in an election: an instance that has read everything goes on by it.
    assert_eq!(until_said(&herald, "JetStream does not answer").await, 200);
    refuses_publishers(&herald, "refused", 503, "bus-unavailable").await;
    let mut comes = Browser::connect(herald.address, "test2").await;
    let receipt = subscribe(&mut comes, NEWS, Some(&begin)).await;
    assert_eq!(super::outcome(&receipt), (Some("true"), Some("1")));
    assert_eq!(bodies(&mut comes, NEWS, 1).await, ["before"]);
    lives(&herald, &mut stays).await;
    nats.grant("");
    until("it is stored again", async || {
        attempt(&herald, None, NEWS, "after").await.status == 202
    })
    .await;
    for session in [&mut stays, &mut comes] {
        assert_eq!(bodies(session, NEWS, 1).await, ["after"]);
    }
}

/// A server whose account of Herald has 2 MB of files.
fn small_account() -> NatsServer {
    let account = "jetstream: { max_mem: 16MB, max_file: 2MB, max_streams: 5, max_consumers: 50 }";
    NatsServer::start_with_jetstream(&format!(
        "accounts {{ APP: {{ {account}, users: [ {{ user: herald, password: h }} ] }} }}"
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_without_room_for_the_streams_is_named() {
    let nats = small_account();
    let (herald, _folder) = herald(&nats, "broadcast = [\"/queue\"]").await;
    assert_eq!(until_said(&herald, "insufficient storage resources").await, 503);
    herald.logged("insufficient storage resources").await;
    refuses_publishers(&herald, "refused", 503, "bus-unavailable").await;
    refuses_subscribers(&herald).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_full_takes_nothing_and_what_is_stored_still_comes() {
    let nats = small_account();
    // Without bounds of its own nothing is reserved for it.
    let stream = json!({
        "name": "HERALD_BROADCAST", "subjects": ["herald.broadcast.queue.>"], "storage": "file", "allow_direct": true,
        "allow_atomic": true, "deny_delete": true,
    });
    ask(&nats, "$JS.API.STREAM.CREATE.HERALD_BROADCAST", stream).await;
    let lines = "broadcast = [\"/queue\"]\nmanage = false\nuser = false";
    let (herald, _folder) = herald(&nats, lines).await;
    herald.until_ready().await;
    herald.logged("max_bytes").await;
    let mut stays = Browser::connect(herald.address, "test1").await;
    subscribe(&mut stays, NEWS, None).await;
    subscribe(&mut stays, UNKEPT, None).await;
    let body = "x".repeat(100_000);
    let mut stored = 0;
    let refused = loop {
        let answer = attempt(&herald, None, NEWS, &body).await;
        if answer.status != 202 {
            break answer;
        }
        stored += 1;
        assert!(stored < 40, "the account has 2 MB");
    };
    assert_eq!((refused.status, &*kind(&refused)), (507, "history-full"));
    refuses_publishers(&herald, &body, 507, "history-full").await;
    assert_eq!(bodies(&mut stays, NEWS, stored).await.len(), stored);
    lives(&herald, &mut stays).await;
    let mut comes = Browser::connect(herald.address, "test2").await;
    subscribe(&mut comes, NEWS, None).await;
    ask(&nats, "$JS.API.STREAM.PURGE.HERALD_BROADCAST", Value::Null).await;
    publish(&herald, None, NEWS, "again").await;
    for session in [&mut stays, &mut comes] {
        assert_eq!(bodies(session, NEWS, 1).await, ["again"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_only_read_is_told_and_reads() {
    let nats = NatsServer::start_with_jetstream(
        "authorization { users: [ { user: herald, password: h, permissions: { publish: { allow: \">\", \
         deny: [\"herald.broadcast.>\"] } } }, { user: orders, password: o } ] }",
    );
    let (herald, _folder) = herald(&nats, "broadcast = [\"/queue\"]").await;
    herald.until_ready().await;
    let mut browser = Browser::connect(herald.address, "test1").await;
    subscribe(&mut browser, NEWS, None).await;
    subscribe(&mut browser, ORDERS, None).await;
    refuses_publishers(&herald, "refused", 503, "bus-unavailable").await;
    until_said(
        &herald,
        "did not permit this user to publish to herald.broadcast.>",
    )
    .await;
    herald.logged("the NATS server refuses").await;
    // Users' notifications are permitted, and what others publish comes.
    publish(&herald, Some("test1"), "/queue/orders", "mine").await;
    assert_eq!(bodies(&mut browser, ORDERS, 1).await, ["mine"]);
    let options = async_nats::ConnectOptions::with_user_and_password("orders".into(), "o".into());
    let backend = options.connect(nats.url()).await.unwrap();
    backend
        .publish("herald.broadcast.queue.news", "\"direct\"".into())
        .await
        .unwrap();
    assert_eq!(bodies(&mut browser, NEWS, 1).await, ["direct"]);
}
