//! The promise: every limit on a client ends a client that exceeds it, with words that name the setting and its value
//! and with the right code, and counts it; nobody else is affected. Runs the built program as a real process, over real
//! WebSockets.

use std::time::{Duration, Instant};

use crate::support::alone;
use crate::support::cluster::{admin, until};
use crate::support::cluster_client::{Browser, End};
use crate::support::process::Herald;

mod raw;

use raw::{Raw, proxy_header};

const PING: u8 = 0x89;
const EMPTY_START: u8 = 0x01;
const EMPTY_MORE: u8 = 0x00;

/// A STOMP frame to send: command, headers, body.
type Sent<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8]);

/// An instance with these settings, whose operators' key has scope read.
async fn herald(settings: &[(&str, &str)]) -> (tempfile::TempDir, Herald) {
    alone::herald("limits", settings, "").await
}

/// How often a limit was hit.
async fn hits(herald: &Herald, limit: &str) -> u64 {
    let metrics = admin(herald, "GET", "/metrics").await.text();
    let name = format!("herald_limit_hits_total{{limit=\"{limit}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}"))
        .parse()
        .unwrap()
}

#[track_caller]
fn ended(end: &End, code: u16, words: &str) {
    assert_eq!(end.code, code, "{end:?}");
    assert_eq!(end.error(), Some(words), "{end:?}");
}

#[tokio::test]
async fn sends_of_a_session_and_of_a_user() {
    let (_folder, herald) = herald(&[
        ("HERALD_LIMITS__SENDS_PER_SESSION", "1/m burst 3"),
        ("HERALD_LIMITS__SENDS_PER_USER", "1/m burst 5"),
    ])
    .await;
    let mut other = Browser::connect(herald.address, "test2").await;
    let mut one = Browser::connect(herald.address, "test1").await;
    for _ in 0..4 {
        one.send("/app/x", &[], "").await;
    }
    ended(
        &one.end().await,
        1008,
        "SEND: more than 1/m burst 3 (limits.sends_per_session)",
    );
    assert_eq!(hits(&herald, "limits.sends_per_session").await, 1);
    // Three of the user's five are used up; a new session has its own three.
    let mut again = Browser::connect(herald.address, "test1").await;
    for _ in 0..3 {
        again.send("/app/x", &[("receipt", "r")], "").await;
    }
    let end = again.end().await;
    ended(
        &end,
        1008,
        "SEND: more than 1/m burst 5 by this user (limits.sends_per_user)",
    );
    let error = end.frames.iter().find(|frame| frame.command == "ERROR").unwrap();
    assert_eq!(error.header("receipt-id"), Some("r"));
    assert_eq!(hits(&herald, "limits.sends_per_user").await, 1);
    other
        .with_receipt("SEND", &[("destination", "/app/x")], b"")
        .await;
}

#[tokio::test]
async fn subscriptions_that_come_and_go() {
    let (_folder, herald) = herald(&[("HERALD_LIMITS__SUBSCRIBES_PER_SESSION", "1/m burst 4")]).await;
    let mut churning = Browser::connect(herald.address, "test1").await;
    for _ in 0..3 {
        churning
            .frame("SUBSCRIBE", &[("id", "1"), ("destination", "/queue/x")], b"")
            .await;
        churning.frame("UNSUBSCRIBE", &[("id", "1")], b"").await;
    }
    let words = "SUBSCRIBE: more than 1/m burst 4 (limits.subscribes_per_session)";
    ended(&churning.end().await, 1008, words);
    assert_eq!(hits(&herald, "limits.subscribes_per_session").await, 1);
}

#[tokio::test]
async fn pings_and_empty_frames() {
    let (_folder, herald) = herald(&[("HERALD_LIMITS__CONTROL_FRAMES_PER_SESSION", "1/m burst 5")]).await;
    let words = "pings, pongs and empty frames: more than 1/m burst 5 (limits.control_frames_per_session)";
    let mut pinging = Browser::connect(herald.address, "test1").await;
    for _ in 0..6 {
        pinging.message(PING, b"x").await;
    }
    ended(&pinging.end().await, 1008, words);
    let mut empty = Browser::connect(herald.address, "test1").await;
    empty.message(EMPTY_START, b"").await;
    for _ in 0..5 {
        empty.message(EMPTY_MORE, b"").await;
    }
    ended(&empty.end().await, 1008, words);
    assert_eq!(hits(&herald, "limits.control_frames_per_session").await, 2);
    // The same before login.
    let mut raw = Raw::upgrade(herald.address, &[]).await.unwrap();
    for _ in 0..6 {
        raw.message(PING, b"").await;
    }
    let said = raw.read_to_end().await;
    assert!(said.contains("limits.control_frames_per_session"), "{said}");
}

/// A client that came back at once after exceeding a rate would get a new burst for the price of a login: so it is
/// kept, unread, for a second, and still receives what is delivered to it.
#[tokio::test]
async fn who_passes_a_rate_is_kept_for_a_moment() {
    let (_folder, herald) = herald(&[("HERALD_LIMITS__SUBSCRIBES_PER_SESSION", "1/m burst 2")]).await;
    let mut client = Browser::connect(herald.address, "test1").await;
    client.subscribe("/queue/x").await;
    client.subscribe("/queue/y").await;
    let begun = Instant::now();
    client
        .frame("SUBSCRIBE", &[("id", "z"), ("destination", "/queue/z")], b"")
        .await;
    until("the limit to be hit", async || {
        hits(&herald, "limits.subscribes_per_session").await == 1
    })
    .await;
    admin(&herald, "POST", "/api/v1/broadcast/queue/x").await;
    client.next_on("/queue/x").await;
    let words = "SUBSCRIBE: more than 1/m burst 2 (limits.subscribes_per_session)";
    ended(&client.end().await, 1008, words);
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    // The same before login.
    let (_folder, herald) =
        self::herald(&[("HERALD_LIMITS__CONTROL_FRAMES_PER_SESSION", "1/m burst 1")]).await;
    let mut raw = Raw::upgrade(herald.address, &[]).await.unwrap();
    let begun = Instant::now();
    raw.message(PING, b"").await;
    raw.message(PING, b"").await;
    let said = raw.read_to_end().await;
    assert!(said.contains("limits.control_frames_per_session"), "{said}");
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn sessions_of_a_user_where_the_newest_wins() {
    let (_folder, herald) = herald(&[("HERALD_LIMITS__SESSIONS_PER_USER", "2")]).await;
    let mut first = Browser::connect(herald.address, "test1").await;
    let mut second = Browser::connect(herald.address, "test1").await;
    let mut other = Browser::connect(herald.address, "test2").await;
    let mut third = Browser::connect(herald.address, "test1").await;
    let words = "superseded by a newer session: at most 2 sessions a user (limits.sessions_per_user)";
    ended(&first.end().await, 4409, words);
    for alive in [&mut second, &mut third, &mut other] {
        alive.subscribe("/queue/x").await;
    }
    // A session that ends makes room.
    second.frame("DISCONNECT", &[], b"").await;
    assert_eq!(second.end().await.code, 1000);
    let _fourth = Browser::connect(herald.address, "test1").await;
    third.subscribe("/queue/y").await;
    assert_eq!(hits(&herald, "limits.sessions_per_user").await, 1);
}

/// Concurrent logins: however they overtake each other, exactly the allowed number is left.
#[tokio::test]
async fn sessions_of_a_user_that_come_at_once() {
    let (_folder, herald) = herald(&[("HERALD_LIMITS__SESSIONS_PER_USER", "3")]).await;
    let open = (0..20).map(|_| Browser::attempt(herald.address, "test1", "test"));
    let _open = futures_util::future::join_all(open).await;
    let left = async || {
        let answer = admin(&herald, "GET", "/api/v1/users/test1").await;
        answer.json()["sessions"].as_array().map_or(0, Vec::len)
    };
    until("the sessions to be three", async || left().await == 3).await;
}

#[tokio::test]
async fn sessions_of_a_user_where_the_new_one_is_refused() {
    let (_folder, herald) = herald(&[
        ("HERALD_LIMITS__SESSIONS_PER_USER", "1"),
        ("HERALD_LIMITS__SESSIONS_PER_USER_POLICY", "refuse"),
    ])
    .await;
    let mut first = Browser::connect(herald.address, "test1").await;
    let refused = Browser::attempt(herald.address, "test1", "test")
        .await
        .err()
        .unwrap();
    ended(
        &refused,
        1008,
        "at most 1 sessions a user (limits.sessions_per_user)",
    );
    first.subscribe("/queue/x").await;
    assert_eq!(hits(&herald, "limits.sessions_per_user").await, 1);
}

#[tokio::test]
async fn connections_of_an_address() {
    let (_folder, herald) = herald(&[
        ("HERALD_LIMITS__SESSIONS_PER_ADDRESS", "2"),
        ("HERALD_HTTP__TRUSTED_PROXIES", "127.0.0.0/8"),
    ])
    .await;
    let from = async |client: &str| Raw::upgrade(herald.address, &[("X-Forwarded-For", client)]).await;
    let _first = from("9.9.9.9, 192.0.2.1").await.unwrap();
    let second = from("8.8.8.8, 192.0.2.1").await.unwrap();
    let refused = from("192.0.2.1").await.err().unwrap();
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(refused.contains("retry-after: 5\r\n"), "{refused}");
    assert!(
        refused.contains("limits.sessions_per_address (2) is reached by this address"),
        "{refused}"
    );
    let _other = from("192.0.2.2").await.unwrap();
    assert_eq!(hits(&herald, "limits.sessions_per_address").await, 1);
    drop(second);
    until("the place to be free", async || from("192.0.2.1").await.is_ok()).await;
}

#[tokio::test]
async fn connects_of_an_address() {
    let (_folder, herald) = herald(&[("HERALD_LIMITS__CONNECTS_PER_ADDRESS", "1/m burst 3")]).await;
    for _ in 0..3 {
        Raw::upgrade(herald.address, &[]).await.unwrap();
    }
    // Nobody is a trusted proxy: the header's content is not believed.
    let refused = Raw::upgrade(herald.address, &[("X-Forwarded-For", "192.0.2.1")]).await;
    let refused = refused.err().unwrap();
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    let words = "limits.connects_per_address (1/m burst 3) is reached by this address";
    assert!(refused.contains(words), "{refused}");
    let wait = refused
        .split("retry-after: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next());
    let wait: u64 = wait.unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{refused}");
    assert_eq!(hits(&herald, "limits.connects_per_address").await, 1);
}

#[tokio::test]
async fn failed_logins_wait() {
    let (_folder, herald) = herald(&[
        ("HERALD_LOGIN__FREE_FAILURES", "2"),
        ("HERALD_LOGIN__DELAY", "1s"),
        ("HERALD_LOGIN__DELAYED_PER_ADDRESS", "1"),
    ])
    .await;
    let attempt = async |password: &str| {
        let started = Instant::now();
        let end = Browser::attempt(herald.address, "test1", password)
            .await
            .err()
            .unwrap();
        ended(&end, 4401, "authentication failed");
        started.elapsed()
    };
    attempt("a").await;
    attempt("b").await;
    assert!(attempt("c").await >= Duration::from_secs(1));
    assert_eq!(hits(&herald, "login.delay").await, 1);
    // One waits; the next is told when to come back.
    let waiting = {
        let address = herald.address;
        tokio::spawn(async move { Browser::attempt(address, "test1", "d").await })
    };
    until("the login to be delayed", async || {
        hits(&herald, "login.delay").await == 2
    })
    .await;
    let end = Browser::attempt(herald.address, "test1", "e")
        .await
        .err()
        .unwrap();
    ended(&end, 1013, "overloaded");
    assert_eq!(hits(&herald, "login.delayed_per_address").await, 1);
    assert_eq!(waiting.await.unwrap().err().unwrap().code, 4401);
    // Others are admitted in the meantime. The same holds for REST.
    Browser::connect(herald.address, "test2").await;
    let started = Instant::now();
    let basic = "Basic dGVzdDE6ZQ=="; // test1:e
    let answer = herald
        .request("GET", "/api/v1/users", &[("authorization", basic)], b"")
        .await;
    assert_eq!(answer.status, 401);
    assert!(
        started.elapsed() >= Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn the_proxy_protocol_names_the_client() {
    let (_folder, herald) = herald(&[
        ("HERALD_HTTP__TRUSTED_PROXIES", "127.0.0.2"),
        ("HERALD_HTTP__PROXY_PROTOCOL", "true"),
    ])
    .await;
    let header = proxy_header([203, 0, 113, 5]);
    let mut raw = Raw::upgrade_from("127.0.0.2", herald.address, &header, &[])
        .await
        .unwrap();
    raw.login("test1").await;
    let address = async |user: &str| {
        let answer = admin(&herald, "GET", &format!("/api/v1/users/{user}")).await;
        answer.json()["sessions"][0]["address"].clone()
    };
    until("the session to be seen", async || {
        address("test1").await == "203.0.113.5"
    })
    .await;
    // A trusted proxy must send it.
    let without = Raw::upgrade_from("127.0.0.2", herald.address, &[], &[]).await;
    assert_eq!(without.err().unwrap(), "");
    let metrics = admin(&herald, "GET", "/metrics").await.text();
    assert!(
        metrics.contains("herald_proxy_protocol_refused_total 1"),
        "{metrics}"
    );
    // From anybody else it is not HTTP.
    let forged = Raw::upgrade_from("127.0.0.1", herald.address, &header, &[]).await;
    assert!(!forged.err().unwrap().starts_with("HTTP/1.1 101"));
    Browser::connect(herald.address, "test2").await;
}

#[tokio::test]
async fn limits_that_were_there_before_are_counted_too() {
    let (_folder, herald) = herald(&[
        ("HERALD_LIMITS__SUBSCRIPTIONS", "1"),
        ("HERALD_LIMITS__TRANSACTIONS", "1"),
        ("HERALD_LIMITS__HEADERS", "10"),
        ("HERALD_LIMITS__BODY_BYTES", "1KiB"),
    ])
    .await;
    let check = async |frames: &[Sent<'_>], code: u16, limit: &str| {
        let mut browser = Browser::connect(herald.address, "test1").await;
        for (command, headers, body) in frames {
            browser.frame(command, headers, body).await;
        }
        let end = browser.end().await;
        assert_eq!(end.code, code, "{end:?}");
        assert!(end.error().unwrap().contains(limit), "{end:?}");
        assert_eq!(hits(&herald, limit).await, 1, "{limit}");
    };
    let subscribe = |id| [("id", id), ("destination", "/queue/x")];
    let (one, two) = (subscribe("1"), subscribe("2"));
    let frames: [Sent<'_>; 2] = [("SUBSCRIBE", &one, b""), ("SUBSCRIBE", &two, b"")];
    check(&frames, 1008, "limits.subscriptions").await;
    let frames: [Sent<'_>; 2] = [
        ("BEGIN", &[("transaction", "1")], b""),
        ("BEGIN", &[("transaction", "2")], b""),
    ];
    check(&frames, 1008, "limits.transactions").await;
    let many = [("destination", "/app/x"); 11];
    check(&[("SEND", &many, b"")], 1009, "limits.headers").await;
    check(
        &[("SEND", &[("destination", "/app/x")], &[b'x'; 2_000])],
        1009,
        "limits.body_bytes",
    )
    .await;
    let answer = herald
        .post("/api/v1/broadcast/queue/x", "text/plain", [b'x'; 2_000])
        .await;
    assert_eq!(answer.status, 413);
    assert_eq!(hits(&herald, "limits.body_bytes").await, 2);
    let headers: serde_json::Map<_, _> = (0..11).map(|n| (format!("h{n}"), "v".into())).collect();
    let body = serde_json::json!({ "destination": "/queue/x", "payload": 1, "headers": headers });
    let answer = herald
        .post(
            "/api/v1/notifications",
            "application/json",
            body.to_string().as_bytes(),
        )
        .await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["limit"], "limits.headers", "{}", answer.text());
    assert_eq!(hits(&herald, "limits.headers").await, 2);
}
