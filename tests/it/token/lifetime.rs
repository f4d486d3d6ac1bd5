//! The promise: a token is valid from `nbf` to `exp`, and for no longer than its issuer may grant; only a holder of a
//! valid signature is told that the token has expired.

use serde_json::{Value, json};

use super::Taking;
use crate::support::tokens::{Signer, attempt, claims, log_in, now, refused};

async fn is_too_old(to: std::net::SocketAddr, token: &str) {
    let mut client = attempt(to, &format!("Authorization:Bearer {token}\n")).await;
    client
        .expect("ERROR\nmessage:token expired\nherald-reason:token-expired\n…")
        .await;
    client.expect_end(4401).await;
}

#[tokio::test]
async fn only_the_holder_of_a_right_token_hears_that_it_is_too_old() {
    let Taking { app, key, _file } = Taking::start().await;
    let old = |key: &Signer| key.sign(&claims("alice", json!({"iat": now() - 700, "exp": now() - 60})));
    is_too_old(app.address, &old(&key)).await;
    refused(app.address, &old(&Signer::new("k1"))).await;
    refused(app.address, &old(&Signer::new("k2"))).await;
    // However often: a client that comes back with an old token delays nobody.
    for _ in 0..20 {
        is_too_old(app.address, &old(&key)).await;
    }
    log_in(app.address, &key.token("bob"), "id:bob").await;
}

#[tokio::test]
async fn times_count_with_the_leeway() {
    let Taking { app, key, _file } = Taking::with(|config| {
        config.auth.issuers[0].max_lifetime = "1h".parse().unwrap();
    })
    .await;
    let token = |changes: Value| key.sign(&claims("alice", changes));
    for good in [
        json!({"iat": now() - 60, "exp": now() - 5}),
        json!({"nbf": now() + 5}),
        json!({"iat": now() - 60, "exp": now() + 3_500}),
    ] {
        log_in(app.address, &token(good), "id:alice").await;
    }
    for bad in [
        json!({"nbf": now() + 300}),
        json!({"iat": now() + 300, "exp": now() + 600}),
        json!({"exp": now() + 3_700}),
        json!({"exp": null}),
        json!({"exp": (now() + 60).to_string()}),
    ] {
        refused(app.address, &token(bad)).await;
    }
}

#[tokio::test]
async fn a_session_ends_with_its_token_unless_another_one_renews_it() {
    let Taking { app, key, _file } = Taking::with(|config| {
        config.auth.issuers[0].leeway = "0s".parse().unwrap();
    })
    .await;
    let token = |user: &str, seconds: u64| key.sign(&claims(user, json!({"exp": now() + seconds})));
    let renewal = |token: &str| {
        format!("SEND\ndestination:/app/herald/auth\nAuthorization:Bearer {token}\nreceipt:r\n\n\0")
    };
    let mut stays = log_in(app.address, &token("alice", 20), "id:alice").await;
    stays.say(renewal(&token("alice", 600))).await;
    stays.expect("RECEIPT\nreceipt-id:r\nexpires-in:*\n\n\0").await;
    // Somebody else's, of the same issuer.
    let mut taken = log_in(app.address, &token("alice", 600), "id:alice").await;
    taken.say(renewal(&token("bob", 600))).await;
    taken
        .expect("ERROR\nmessage:SEND\\c the token is another user's\n…")
        .await;
    taken.expect_end(4401).await;

    let mut ends = log_in(app.address, &token("alice", 8), "id:alice").await;
    ends.expect("ERROR\nmessage:token expired\nherald-reason:token-expired\n…")
        .await;
    ends.expect_end(4401).await;
    stays.expect_nothing().await;
}
