//! The promise: a client with a token of a configured issuer logs in with it, over STOMP and REST, while it is valid;
//! all others get the same words, and only the counters know why.

use serde_json::json;

use super::Taking;
use crate::support::process;
use crate::support::tokens::{Signer, claims, log_in, refused};

#[tokio::test]
async fn a_token_proves_who_one_is() {
    let Taking { app, key, _file } = Taking::start().await;
    let token = key.token("alice");
    for _ in 0..3 {
        log_in(app.address, &token, "id:alice").await;
    }
    log_in(app.address, &key.token("auth0|7:x"), "id:auth0|7:x").await;
    let ok = format!(
        "herald_tokens_total{{issuer=\"{}\",result=\"ok\"}}",
        crate::support::tokens::ISSUER
    );
    assert_eq!(app.metric(&ok).await, 4.0);
}

#[tokio::test]
async fn every_refusal_sounds_the_same_and_has_its_counter() {
    let Taking { app, key, _file } = Taking::start().await;
    let stranger = Signer::new("k1");
    let other = Signer::new("k2");
    let own = crate::support::tokens::ISSUER;
    for (token, issuer, reason) in [
        ("a.b.c".into(), "unknown", "malformed"),
        ("x".repeat(7_000), "unknown", "malformed"),
        (
            key.sign(&claims("alice", json!({"iss": "https://evil.example"}))),
            "unknown",
            "issuer",
        ),
        (
            key.sign(&claims("alice", json!({"aud": "other"}))),
            own,
            "audience",
        ),
        (stranger.token("alice"), own, "signature"),
        (other.token("alice"), own, "unknown_key"),
        (key.sign(&claims("", json!({}))), own, "claim"),
    ] {
        let series = format!("herald_tokens_total{{issuer=\"{issuer}\",result=\"{reason}\"}}");
        let before = app.metric(&series).await;
        refused(app.address, &token).await;
        assert_eq!(app.metric(&series).await, before + 1.0, "{reason}");
    }
    assert_eq!(app.metric("herald_logins_total{result=\"failed\"}").await, 7.0);
}

#[tokio::test]
async fn a_token_is_a_callers_too() {
    let Taking { app, key, _file } = Taking::with(|config| {
        config.auth.issuers[0].roles_claim = Some("roles".into());
        let admin = "ROLE_ADMIN".parse().unwrap();
        config.auth.issuers[0].role_map.insert("boss".into(), admin);
    })
    .await;
    let ask = async |token: String| {
        let header = format!("Bearer {token}");
        let headers = [("Authorization", &*header)];
        process::request(app.address, "GET", "/api/v1/users", &headers, b"")
            .await
            .unwrap()
    };
    let boss = key.sign(&claims("boss", json!({"roles": ["boss"]})));
    assert_eq!(ask(boss.clone()).await.status, 200);
    assert_eq!(ask(key.token("alice")).await.status, 403);
    let wrong = ask(format!("{boss}x")).await;
    assert_eq!(wrong.status, 401);
    assert_eq!(
        wrong.header("WWW-Authenticate"),
        Some("Bearer realm=\"herald\", error=\"invalid_token\"")
    );
    // What begins as an API key does is one, mistyped or withdrawn.
    let mistyped = ask("herald_wrong".into()).await;
    assert_eq!(
        (mistyped.status, mistyped.header("WWW-Authenticate")),
        (401, Some("Bearer realm=\"herald\""))
    );
    let text = mistyped.text();
    assert!(text.contains("with a key of api.keys"), "{text}");
    let old = json!({"iat": 1_000_000_000, "exp": 1_000_000_600, "roles": ["boss"]});
    let old = ask(key.sign(&claims("boss", old))).await;
    assert_eq!(old.status, 401);
    assert_eq!(
        old.header("WWW-Authenticate"),
        Some("Bearer realm=\"herald\", error=\"invalid_token\", error_description=\"expired\"")
    );
}
