//! The promise: strangers that connect and send nothing, or begin a request and do not end it, take a bounded number of
//! places and bounded memory, and push out one another: the oldest of the address that has most is closed, is told why,
//! and is counted. Connections with a request, a waiting login or a session are not affected. Over real sockets.

use tokio::io::AsyncWriteExt;

use crate::support::app::{ANNA, App, connect};
use crate::support::client::{Client, Socket};
use crate::support::cluster::until;
use crate::support::stranger::{REQUEST, hits, is_served, rest, stranger};

/// An open WebSocket that has said nothing.
async fn upgraded(app: &App) -> Client {
    Socket::at(app.address).open().await.0
}

async fn with(unauthenticated: usize, head_total_bytes: usize) -> App {
    App::with(|config| {
        config.http.unauthenticated = unauthenticated;
        config.http.head_total_bytes.0 = head_total_bytes;
    })
    .await
}

#[tokio::test]
async fn the_oldest_of_the_address_that_has_most_goes() {
    let app = with(4, 1 << 20).await;
    let mut other = stranger(&app, 3, b"").await;
    let mut first = stranger(&app, 2, b"").await;
    let mut second = stranger(&app, 2, b"GET / HT").await;
    let limit = "http.unauthenticated";
    // One by one, since two of them may be accepted in any order.
    let mut more = Vec::new();
    until("one to go", async || {
        more.push(stranger(&app, 2, b"").await);
        hits(&app, limit).await > 0
    })
    .await;
    let said = rest(&mut first).await;
    assert!(
        said.starts_with("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n"),
        "{said}"
    );
    let words = "more than 4 connections without a request or a login (http.unauthenticated)";
    assert!(said.contains(words), "{said}");
    // The next ones are next, and a lonely one of another address is not.
    until("the second to go", async || {
        more.push(stranger(&app, 2, b"").await);
        hits(&app, limit).await > 1
    })
    .await;
    assert!(rest(&mut second).await.contains(words));
    assert!(is_served(&mut other, REQUEST).await);
}

/// Strangers with one connection each at more addresses than there are places, lower and higher ones than the newcomer's.
#[tokio::test]
async fn of_addresses_that_have_one_each_the_oldest_goes() {
    for (strangers, newcomer) in [(10..22, 200), (110..122, 9)] {
        let app = with(4, 1 << 20).await;
        let limit = "http.unauthenticated";
        let mut all = Vec::new();
        // In this order: each question comes from a newcomer, too, after which one fewer waits.
        for last in strangers {
            all.push(stranger(&app, last, b"").await);
            hits(&app, limit).await;
        }
        let before = hits(&app, limit).await;
        let mut newcomer = stranger(&app, newcomer, b"").await;
        until("one to go for the newcomer", async || {
            hits(&app, limit).await > before
        })
        .await;
        assert!(is_served(&mut newcomer, REQUEST).await);
        for gone in all.iter_mut().take(4) {
            assert!(rest(gone).await.contains("(http.unauthenticated)"));
        }
    }
}

#[tokio::test]
async fn a_websocket_without_a_login_is_one_of_them() {
    let app = with(3, 1 << 20).await;
    let mut silent = upgraded(&app).await;
    let mut half = upgraded(&app).await;
    half.say("CONNECT\naccept-version:1.2\n").await;
    let mut more = Vec::new();
    until("both to go", async || {
        more.push(stranger(&app, 1, b"").await);
        hits(&app, "http.unauthenticated").await > 1
    })
    .await;
    let words = "message:more than 3 connections without a request or a login (http.unauthenticated)";
    silent.expect_error(words, 1013).await;
    half.expect_error(words, 1013).await;
}

#[tokio::test]
async fn who_has_asked_or_logged_in_is_none_of_them() {
    let app = with(2, 1 << 20).await;
    let mut session = app.session("1.2").await;
    let mut answered = stranger(&app, 1, b"").await;
    assert!(is_served(&mut answered, REQUEST).await);
    let mut more = Vec::new();
    until("strangers to go", async || {
        more.push(stranger(&app, 1, b"").await);
        hits(&app, "http.unauthenticated").await > 5
    })
    .await;
    session.expect_nothing().await;
    // The rest of the first answer, and the second.
    answered
        .write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let said = rest(&mut answered).await;
    assert!(said.contains("HTTP/1.1 200 OK"), "{said}");
    // A newcomer gets in, and so does its login.
    let mut late = upgraded(&app).await;
    late.say(connect(ANNA, "1.2", "")).await;
    late.expect("CONNECTED\n…").await;
}

/// Long heads of one address: what it holds is what it is judged by, not how many.
#[tokio::test]
async fn unfinished_heads_hold_so_much() {
    let app = with(1_000, 64 << 10).await;
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}", "x".repeat(12_000));
    let mut small = Vec::new();
    for _ in 0..20 {
        small.push(stranger(&app, 2, b"GET /livez HTTP/1.1\r\nHost: ").await);
    }
    let mut first = stranger(&app, 3, long.as_bytes()).await;
    let mut more = Vec::new();
    until("one to go", async || {
        assert!(more.len() < 10, "ten hold more than 64 KiB");
        more.push(stranger(&app, 3, long.as_bytes()).await);
        hits(&app, "http.head_total_bytes").await > 0
    })
    .await;
    let said = rest(&mut first).await;
    let words = "more than 65536 bytes of unfinished request heads (http.head_total_bytes)";
    assert!(
        said.starts_with("HTTP/1.1 503 ") && said.contains(words),
        "{said}"
    );
    for mut small in small {
        assert!(is_served(&mut small, b"a\r\n\r\n").await);
    }
}

/// The same behind a request that was answered, in later heads and in the same packet.
#[tokio::test]
async fn a_head_behind_an_answer_counts_too() {
    let app = with(1_000, 64 << 10).await;
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}", "x".repeat(12_000));
    let limit = "http.head_total_bytes";
    let mut all = Vec::new();
    until("one to go", async || {
        assert!(all.len() < 10, "ten hold more than 64 KiB");
        let mut later = stranger(&app, 3, b"").await;
        assert!(is_served(&mut later, REQUEST).await);
        later.write_all(long.as_bytes()).await.unwrap();
        all.push(later);
        hits(&app, limit).await > 0
    })
    .await;
    all.clear();
    let before = hits(&app, limit).await;
    until("one to go", async || {
        assert!(all.len() < 10, "ten hold more than 64 KiB");
        let mut at_once = stranger(&app, 3, &[REQUEST, long.as_bytes()].concat()).await;
        assert!(is_served(&mut at_once, b"").await);
        all.push(at_once);
        hits(&app, limit).await > before
    })
    .await;
}

#[tokio::test]
async fn one_address_may_have_so_many_where_it_is_set() {
    let app = App::with(|config| config.http.unauthenticated_per_address = 2).await;
    let mut other = stranger(&app, 3, b"").await;
    let mut first = stranger(&app, 2, b"").await;
    let mut more = Vec::new();
    until("one to go", async || {
        more.push(stranger(&app, 2, b"").await);
        hits(&app, "http.unauthenticated_per_address").await > 0
    })
    .await;
    let said = rest(&mut first).await;
    let words = "more than 2 connections of this address without a request or a login \
                 (http.unauthenticated_per_address)";
    assert!(said.contains(words), "{said}");
    assert!(is_served(&mut other, REQUEST).await);
}
