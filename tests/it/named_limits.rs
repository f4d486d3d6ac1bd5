//! The promise: the log line about a session that ended because of a limit names that limit by its key in the
//! configuration, no matter what noticed it: the session, the shard that wrote to it, or a newer session. Runs the
//! built program.

use crate::slow::client::SlowClient;
use crate::support::alone;
use crate::support::app::User;
use crate::support::cluster::{ADMIN, until};
use crate::support::cluster_client::Browser;
use crate::support::process::Herald;

const MAY_SEND: &str = "[[permissions.send]]\ndestination = \"/queue/**\"\nroles = [\"ROLE_USER\"]\n";

/// What the log says of the end of this user's only session.
async fn ended(herald: &Herald, user: &str) -> String {
    let mut line = None;
    until("the session's end in the log", async || {
        let ends = herald.lines_with("session ended");
        line = ends
            .into_iter()
            .find(|line| line.contains(&format!("\"user\":\"{user}\"")));
        line.is_some()
    })
    .await;
    line.unwrap()
}

async fn check(herald: &Herald, user: &str, reason: &str, limit: Option<&str>) {
    let line = ended(herald, user).await;
    for words in [
        format!("\"reason\":\"{reason}\""),
        "\"address\":\"127.0.0.1\"".into(),
    ] {
        assert!(line.contains(&words), "{words}: {line}");
    }
    match limit {
        Some(limit) => assert!(line.contains(&format!("\"limit\":\"{limit}\"")), "{line}"),
        None => assert!(!line.contains("\"limit\":"), "{line}"),
    }
}

#[tokio::test]
async fn what_a_client_sends() {
    let settings = [
        ("HERALD_LIMITS__SUBSCRIPTIONS", "2"),
        ("HERALD_LIMITS__SENDS_PER_USER", "1/m burst 2"),
        ("HERALD_LIMITS__BODY_BYTES", "1KiB"),
    ];
    let (_folder, herald) = alone::herald("named", &settings, MAY_SEND).await;
    let mut subscribes = Browser::connect(herald.address, "test1").await;
    for id in ["1", "2", "3"] {
        let headers = [("id", id), ("destination", "/queue/x")];
        subscribes.frame("SUBSCRIBE", &headers, b"").await;
    }
    check(&herald, "test1", "limit", Some("limits.subscriptions")).await;
    let mut sends = Browser::connect(herald.address, "test2").await;
    for _ in 0..3 {
        sends.send("/queue/x", &[], "x").await;
    }
    check(&herald, "test2", "rate_limited", Some("limits.sends_per_user")).await;
    let mut large = Browser::connect(herald.address, "test3").await;
    large.send("/queue/x", &[], vec![b'x'; 2 << 10]).await;
    check(&herald, "test3", "too_large", Some("limits.body_bytes")).await;
    // No limit of a number, and none at all.
    let mut forbidden = Browser::connect(herald.address, "test4").await;
    forbidden.send("/topic/x", &[], "x").await;
    check(&herald, "test4", "forbidden", None).await;
    let mut leaves = Browser::connect(herald.address, "test5").await;
    leaves.frame("DISCONNECT", &[], b"").await;
    check(&herald, "test5", "normal", None).await;
}

#[tokio::test]
async fn what_others_do() {
    let settings = [
        ("HERALD_LIMITS__SESSIONS_PER_USER", "1"),
        ("HERALD_LIMITS__OUTBOX_BYTES", "64KiB"),
        ("HERALD_LIMITS__SOCKET_SEND_BYTES", "16KiB"),
    ];
    let (_folder, herald) = alone::herald("named", &settings, "").await;
    let _older = Browser::connect(herald.address, "test1").await;
    let _newer = Browser::connect(herald.address, "test1").await;
    check(&herald, "test1", "superseded", Some("limits.sessions_per_user")).await;
    let mut slow = SlowClient::log_in(herald.address, User("test2")).await;
    slow.subscribe("0", "/queue/x").await;
    let body = vec![b'x'; 32 << 10];
    until("the slow session's end", async || {
        let path = "/api/v1/broadcast/queue/x";
        let answer = herald.request("POST", path, &[ADMIN], &body).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        herald
            .lines_with("session ended")
            .iter()
            .any(|line| line.contains("\"user\":\"test2\""))
    })
    .await;
    check(&herald, "test2", "slow_consumer", Some("limits.outbox_bytes")).await;
}
