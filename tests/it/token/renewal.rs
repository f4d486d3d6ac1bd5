//! The promise: a renewal gives the session the rights of its new token: every subscription is judged again, a lost one
//! is named and gets nothing more, a kept one loses nothing; the RECEIPT comes last. An expired token is reported as
//! expired, and changes nothing.

use serde_json::{Value, json};

use super::Taking;
use crate::support::client::Client;
use crate::support::tokens::{claims, log_in, now};

const RULES: &str = r#"
    [[permissions.subscribe]]
    name = "tenant"
    destination = "/queue/tenant/{claim.tenant}/**"
"#;

async fn start() -> Taking {
    Taking::with(|config| {
        let read: herald::config::Config = toml::from_str(RULES).unwrap();
        config.permissions = read.permissions;
        config.auth.issuers[0].attributes = vec!["tenant".into()];
        config.auth.issuers[0].leeway = "0s".parse().unwrap();
    })
    .await
}

/// A token of Alice in this tenant, with these claims changed.
fn token(taking: &Taking, tenant: &str, mut changes: Value) -> String {
    changes["tenant"] = json!(tenant);
    taking.key.sign(&claims("alice", changes))
}

fn renewal(token: &str) -> String {
    format!("SEND\ndestination:/app/herald/auth\nAuthorization:Bearer {token}\nreceipt:renewed\n\n\0")
}

async fn subscribe(client: &mut Client, id: &str, destination: &str) {
    let frame = format!("SUBSCRIBE\nid:{id}\ndestination:{destination}\nreceipt:{id}\n\n\0");
    client.say(frame).await;
    client.expect_receipt(id).await;
}

/// The body of a MESSAGE on the errors destination.
async fn reported(client: &mut Client) -> Value {
    let message = client.text().await;
    assert!(message.starts_with("MESSAGE\nsubscription:errors\n"), "{message}");
    let body = message.split("\n\n").nth(1).unwrap().trim_end_matches('\0');
    serde_json::from_str(body).unwrap()
}

#[tokio::test]
async fn what_the_new_token_does_not_give_is_lost_and_all_else_stays() {
    let taking = start().await;
    let acme = token(&taking, "acme", json!({}));
    let mut alice = log_in(taking.app.address, &acme, "id:alice").await;
    subscribe(&mut alice, "errors", "/user/queue/errors").await;
    subscribe(&mut alice, "tenant", "/queue/tenant/acme/x").await;
    subscribe(&mut alice, "open", "/queue/open").await;
    alice.say(renewal(&token(&taking, "other", json!({})))).await;
    let body = reported(&mut alice).await;
    let words = "SUBSCRIBE to /queue/tenant/acme/x is not permitted: rule tenant ";
    assert!(body["message"].as_str().unwrap().starts_with(words), "{body}");
    assert_eq!(body["code"], "not_permitted_any_more");
    assert_eq!(body["destination"], "/queue/tenant/acme/x");
    alice
        .expect("RECEIPT\nreceipt-id:renewed\nexpires-in:*\n\n\0")
        .await;
    for destination in ["queue/tenant/acme/x", "queue/open"] {
        let path = format!("/api/v1/broadcast/{destination}");
        let answer = taking
            .app
            .request("POST", &path, &[("Content-Type", "text/plain")], b"hi")
            .await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    alice.expect("MESSAGE\nsubscription:open\n…").await;
    alice.expect_nothing().await;
    // Its id is free, whether or not its client ends it first.
    alice.say("UNSUBSCRIBE\nid:tenant\nreceipt:gone\n\n\0").await;
    alice.expect_receipt("gone").await;
    subscribe(&mut alice, "tenant", "/queue/tenant/other/x").await;
    alice.say(renewal(&acme)).await;
    assert_eq!(reported(&mut alice).await["destination"], "/queue/tenant/other/x");
    alice
        .expect("RECEIPT\nreceipt-id:renewed\nexpires-in:*\n\n\0")
        .await;
    subscribe(&mut alice, "tenant", "/queue/tenant/acme/x").await;
}

#[tokio::test]
async fn an_old_token_says_so_and_an_earlier_end_is_taken() {
    let taking = start().await;
    let mut alice = log_in(taking.app.address, &token(&taking, "acme", json!({})), "id:alice").await;
    subscribe(&mut alice, "errors", "/user/queue/errors").await;
    let old = token(&taking, "acme", json!({"iat": now() - 700, "exp": now() - 60}));
    alice.say(renewal(&old)).await;
    let body = reported(&mut alice).await;
    assert_eq!(
        (&body["code"], &body["message"]),
        (&json!("token_refused"), &json!("expired"))
    );
    let expired = "herald_renewals_total{result=\"expired\"}";
    assert_eq!(taking.app.metric(expired).await, 1.0);
    alice
        .say(renewal(&token(&taking, "acme", json!({"exp": now() + 4}))))
        .await;
    alice
        .expect("RECEIPT\nreceipt-id:renewed\nexpires-in:*\n\n\0")
        .await;
    alice
        .expect_error("message:token expired\nherald-reason:token-expired", 4401)
        .await;
}

/// The user of a password and the one of an issuer are two, even where their names read the same.
#[tokio::test]
async fn a_password_does_not_renew_a_token() {
    let taking = start().await;
    let mut alice = log_in(taking.app.address, &taking.key.token("test1"), "id:test1").await;
    alice
        .say("SEND\ndestination:/app/herald/auth\nlogin:test1\npasscode:test\nreceipt:r\n\n\0")
        .await;
    alice
        .expect_error(
            "message:SEND\\c the token is another user's\nreceipt-id:r\nherald-reason:token-of-another-user",
            4401,
        )
        .await;
}
