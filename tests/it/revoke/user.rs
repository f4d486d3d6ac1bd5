//! The promise: a user whose tokens are revoked loses every session and cannot return with them; a blocked user cannot
//! return with any credential, including a password, until the block is lifted. Nobody else is affected.

use serde_json::json;

use super::{ends, is_out, lift, listed, post, revoke, stays, taking, user};
use crate::support::app::{ANNA, App, connect};
use crate::support::process;
use crate::support::tokens::log_in;

#[tokio::test]
async fn a_users_tokens_are_out_and_nobody_elses() {
    let taking = taking().await;
    let (app, key) = (&taking.app, &taking.key);
    let (alice, bob) = (key.token("alice"), key.token("bob"));
    let mut sessions = Vec::new();
    // The second is let in by what is remembered.
    for _ in 0..2 {
        sessions.push(log_in(app.address, &alice, "id:alice").await);
    }
    let mut others = [
        log_in(app.address, &bob, "id:bob").await,
        app.session("1.2").await,
    ];
    revoke(app, user("id:alice")).await;
    for session in &mut sessions {
        ends(session).await;
    }
    is_out(app, &alice).await;
    let header = format!("Bearer {alice}");
    let headers = [("Authorization", &*header)];
    let answer = process::request(app.address, "GET", "/api/v1/users", &headers, b"")
        .await
        .unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.header("WWW-Authenticate"),
        Some("Bearer realm=\"herald\", error=\"invalid_token\"")
    );
    log_in(app.address, &bob, "id:bob").await;
    for session in &mut others {
        stays(session).await;
    }
    let issuer = crate::support::tokens::ISSUER;
    let series = format!("herald_tokens_total{{issuer=\"{issuer}\",result=\"revoked\"}}");
    assert_eq!(app.metric(&series).await, 2.0);
    assert_eq!(app.metric("herald_revocations").await, 1.0);
    let ended = "herald_session_closes_total{reason=\"revoked\"}";
    assert_eq!(app.metric(ended).await, 3.0);
}

#[tokio::test]
async fn a_block_holds_for_passwords_and_tokens_until_it_is_lifted() {
    let taking = taking().await;
    let (app, key) = (&taking.app, &taking.key);
    let mut anna = app.session("1.2").await;
    let alice = key.token("alice");
    let mut token = log_in(app.address, &alice, "id:alice").await;
    // Of tokens alone: her password is as good as before.
    revoke(app, user("test1")).await;
    stays(&mut anna).await;
    let block = revoke(
        app,
        json!({"user": "test1", "block": true, "reason": "left the company"}),
    )
    .await;
    ends(&mut anna).await;
    let mut again = app.open().await;
    again.say(connect(ANNA, "1.2", "")).await;
    ends(&mut again).await;
    // A wrong password hears no more than ever.
    let mut wrong = app.open().await;
    wrong
        .say("CONNECT\naccept-version:1.2\nhost:herald\nlogin:test1\npasscode:wrong\n\n\0")
        .await;
    wrong.expect_error("message:authentication failed", 4401).await;
    let blocked_token = revoke(app, json!({"user": "id:alice", "block": true, "for": "1h"})).await;
    ends(&mut token).await;
    is_out(app, &alice).await;
    let found = listed(app, "?user=test1").await;
    let reasons: Vec<_> = found
        .iter()
        .map(|one| (one["block"].clone(), one["reason"].clone()))
        .collect();
    assert_eq!(
        reasons,
        [
            (json!(false), json!(null)),
            (json!(true), json!("left the company"))
        ]
    );
    for id in [&block, &blocked_token] {
        assert_eq!(lift(app, id).await, 202);
        assert_eq!(lift(app, id).await, 404, "it is lifted");
    }
    app.session("1.2").await;
    log_in(app.address, &alice, "id:alice").await;
    assert_eq!(listed(app, "").await.len(), 1);
}

#[tokio::test]
async fn a_blocked_user_is_no_caller() {
    let app = App::guarded(|config| config.login.delay = "0s".parse().unwrap()).await;
    let admin = "Basic YWRtaW46dGVzdA==";
    let ask = async || {
        let headers = [("Authorization", admin), ("Content-Type", "application/json")];
        let body = json!({"user": "admin", "block": true, "for": "1h"}).to_string();
        process::request(app.address, "POST", super::PATH, &headers, body.as_bytes())
            .await
            .unwrap()
    };
    assert_eq!(ask().await.status, 202);
    let refused = ask().await;
    assert_eq!(refused.status, 401, "{}", refused.text());
}

#[tokio::test]
async fn an_operator_disconnects_and_revokes_at_once() {
    let taking = taking().await;
    let (app, key) = (&taking.app, &taking.key);
    let alice = key.token("alice");
    let mut session = log_in(app.address, &alice, "id:alice").await;
    let path = "/api/v1/users/id%3Aalice/sessions";
    assert_eq!(
        app.request("DELETE", &format!("{path}?revoke=1"), &[], b"")
            .await
            .status,
        400
    );
    stays(&mut session).await;
    assert_eq!(app.request("DELETE", path, &[], b"").await.status, 202);
    session
        .expect_error("message:disconnected by an operator", 4403)
        .await;
    let mut session = log_in(app.address, &alice, "id:alice").await;
    assert_eq!(
        app.request("DELETE", &format!("{path}?revoke=true"), &[], b"")
            .await
            .status,
        202
    );
    ends(&mut session).await;
    is_out(app, &alice).await;
}

#[tokio::test]
async fn a_revocation_ends_by_itself() {
    let app = App::start().await;
    let mut body = json!({"user": "test1", "block": true, "for": "2s"});
    revoke(&app, body.clone()).await;
    crate::support::tokens::until("the end of the block", async || {
        let mut client = app.open().await;
        client.say(connect(ANNA, "1.2", "")).await;
        client.text().await.starts_with("CONNECTED")
    })
    .await;
    assert!(listed(&app, "").await.is_empty());
    body["for"] = json!("0s");
    assert_eq!(post(&app, &body).await.status, 400);
}

#[tokio::test]
async fn a_revocation_of_nobody_says_so() {
    let taking = taking().await;
    let note = async |body| {
        let answer = post(&taking.app, &body).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["note"].as_str().map(ToOwned::to_owned)
    };
    for body in [
        user("alice"),
        json!({"user": "alice", "block": true}),
        json!({"user": "alice", "issuer": crate::support::tokens::ISSUER}),
    ] {
        let words = note(body).await.unwrap();
        assert!(
            words.contains("as alice") && words.ends_with("begin with id:"),
            "{words}"
        );
    }
    assert_eq!(note(user("id:alice")).await, None);
    assert_eq!(note(json!({"user": "id:alice", "block": true})).await, None);
    assert!(
        note(user("test1"))
            .await
            .unwrap()
            .contains("logs in by a password")
    );
    assert_eq!(note(json!({"user": "test1", "block": true})).await, None);
}
