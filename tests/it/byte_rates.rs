//! The promise: the bytes that a client may send are limited in addition to its frames: by session, by user, and by
//! built-in route. A client beyond a limit is told which one, and subscribers are not affected. Runs the built program.

use crate::support::alone;
use crate::support::cluster::{admin, until};
use crate::support::cluster_client::Browser;
use crate::support::process::Herald;

/// An instance where users may SEND to `/queue/…`.
async fn herald(settings: &[(&str, &str)], file: &str) -> (tempfile::TempDir, Herald) {
    let may_send = "[[permissions.send]]\ndestination = \"/queue/**\"\nroles = [\"ROLE_USER\"]\n";
    alone::herald("bytes", settings, &format!("{file}\n{may_send}")).await
}

async fn ended(herald: &Herald, browser: &mut Browser, code: u16, words: &str, limit: &str) {
    let end = browser.end().await;
    assert_eq!((end.code, end.error()), (code, Some(words)), "{end:?}");
    until("the hit to be counted", async || {
        let metrics = admin(herald, "GET", "/metrics").await.text();
        metrics.contains(&format!("herald_limit_hits_total{{limit=\"{limit}\"}} 1\n"))
    })
    .await;
}

#[tokio::test]
async fn bytes_of_a_session_count_with_their_headers() {
    let settings = [("HERALD_LIMITS__SEND_BYTES_PER_SESSION", "1KiB/m burst 40KiB")];
    let (_folder, herald) = herald(&settings, "").await;
    let limit = "limits.send_bytes_per_session";
    let words = "SEND: more than 1KiB/m burst 40KiB (limits.send_bytes_per_session)";
    let body = vec![b'x'; 15 << 10];
    let mut browser = Browser::connect(herald.address, "test1").await;
    for _ in 0..3 {
        browser.send("/app/x", &[], &body).await;
    }
    ended(&herald, &mut browser, 1008, words, limit).await;
    // The same by headers alone, and in a transaction. A frame that sends nothing has a KiB free.
    let long = "x".repeat(7 << 10);
    let more = [("a", &*long), ("b", &*long)];
    for command in ["SEND", "ACK", "BEGIN", "SUBSCRIBE"] {
        let mut browser = Browser::connect(herald.address, "test1").await;
        let given = [&[("id", "1"), ("destination", "/app/x")][..], &more].concat();
        for id in ["1", "2", "3", "4"] {
            let own = match command {
                "SUBSCRIBE" => vec![("id", id), ("destination", "/queue/x"), more[0], more[1]],
                "BEGIN" => vec![("transaction", id), more[0], more[1]],
                _ => given.clone(),
            };
            browser.frame(command, &own, b"").await;
        }
        let end = browser.end().await;
        assert_eq!(end.code, 1008, "{command}: {end:?}");
        assert!(end.error().unwrap().contains(limit), "{command}: {end:?}");
    }
    let mut browser = Browser::connect(herald.address, "test1").await;
    for _ in 0..100 {
        browser.frame("ACK", &[("id", &"x".repeat(900))], b"").await;
    }
    browser.subscribe("/queue/x").await;
}

#[tokio::test]
async fn bytes_of_a_user_count_over_all_its_sessions() {
    let settings = [("HERALD_LIMITS__SEND_BYTES_PER_USER", "1KiB/m burst 40KiB")];
    let (_folder, herald) = herald(&settings, "").await;
    let body = vec![b'x'; 15 << 10];
    let mut one = Browser::connect(herald.address, "test1").await;
    let mut two = Browser::connect(herald.address, "test1").await;
    let mut other = Browser::connect(herald.address, "test2").await;
    for browser in [&mut one, &mut two, &mut other] {
        browser
            .with_receipt("SEND", &[("destination", "/queue/x")], &body)
            .await;
    }
    two.send("/queue/x", &[], &body).await;
    let words = "SEND: more than 1KiB/m burst 40KiB by this user (limits.send_bytes_per_user)";
    ended(&herald, &mut two, 1008, words, "limits.send_bytes_per_user").await;
    one.subscribe("/queue/x").await;
    other
        .with_receipt("SEND", &[("destination", "/queue/x")], &body)
        .await;
}

#[tokio::test]
async fn bodies_of_built_in_routes_have_a_bound_of_their_own() {
    let limit = "application.routes.body_bytes";
    let (_folder, herald) = herald(&[], "").await;
    let mut listening = Browser::connect(herald.address, "test2").await;
    listening.subscribe("/queue/message").await;
    let words = "SEND: the body is over 65536 bytes (application.routes.body_bytes)";
    // The example: 50 of 900 kB closed every subscriber.
    let mut browser = Browser::connect(herald.address, "test1").await;
    for _ in 0..50 {
        browser.send("/chat/message", &[], vec![b'x'; 900_000]).await;
    }
    ended(&herald, &mut browser, 1009, words, limit).await;
    // Every route, in a transaction too, and under each of the prefixes.
    for destination in ["/app/message", "/chat/init/users", "/app/init/messages"] {
        let mut browser = Browser::connect(herald.address, "test1").await;
        browser.frame("BEGIN", &[("transaction", "t")], b"").await;
        let headers = [("transaction", "t")];
        browser
            .send(destination, &headers, vec![b'x'; (64 << 10) + 1])
            .await;
        let end = browser.end().await;
        assert_eq!((end.code, end.error()), (1009, Some(words)), "{destination}");
    }
    // What is allowed arrives, and the subscriber has noticed nothing of the rest. A backend's requests and broadcasts
    // keep `limits.body_bytes`.
    let mut browser = Browser::connect(herald.address, "test1").await;
    browser.send("/chat/message", &[], vec![b'y'; 64 << 10]).await;
    let message = listening.next_on("/queue/message").await;
    assert_eq!(message.json()["message"].as_str().map(str::len), Some(64 << 10));
    browser.send("/queue/message", &[], vec![b'z'; 900_000]).await;
    assert_eq!(listening.next_on("/queue/message").await.body.len(), 900_000);
    browser.subscribe("/queue/x").await;
}

#[tokio::test]
async fn a_routes_bound_is_set_at_the_route() {
    let file = "[[application.routes]]\naction = \"broadcast\"\npath = \"/short\"\ndestination = \"/queue/x\"\n\
                body_bytes = \"8B\"\n\
                [[application.routes]]\naction = \"broadcast\"\npath = \"/long\"\ndestination = \"/queue/x\"\n\
                body_bytes = \"2MiB\"\n";
    let (_folder, herald) = herald(&[], file).await;
    let mut browser = Browser::connect(herald.address, "test1").await;
    browser.subscribe("/queue/x").await;
    browser.send("/app/short", &[], "12345678").await;
    assert_eq!(browser.next_on("/queue/x").await.json()["message"], "12345678");
    browser.send("/app/long", &[], vec![b'x'; 500_000]).await;
    browser.next_on("/queue/x").await;
    browser.send("/app/short", &[], "123456789").await;
    let words = "SEND: the body is over 8 bytes (application.routes.body_bytes)";
    ended(
        &herald,
        &mut browser,
        1009,
        words,
        "application.routes.body_bytes",
    )
    .await;
    // A route's bound beyond limits.body_bytes is that.
    let mut browser = Browser::connect(herald.address, "test1").await;
    browser.send("/app/long", &[], vec![b'x'; 1_024_001]).await;
    assert_eq!(browser.end().await.code, 1009);
}
