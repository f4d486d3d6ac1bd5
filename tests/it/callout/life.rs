//! The promise: a session that a backend let in ends when the backend said, can be renewed through it, and keeps its
//! user.

use super::{Backend, log_in};
use crate::support::app::App;
use crate::support::tokens::is;

const RENEWAL: &str = "SEND\ndestination:/app/herald/auth\nAuthorization:Bearer fresh\nreceipt:renewed\n\n\0";

#[tokio::test]
async fn it_ends_when_the_backend_said() {
    let backend = Backend::saying(r#"{"user":"ann","expires_in_ms":1500}"#).await;
    let app = App::with(|config| backend.set(config)).await;
    let mut client = log_in(&app, "ann").await;
    let connected = client.text().await;
    assert!(connected.contains("\nexpires-in:1"), "{connected}");
    client
        .expect_error("message:token expired\nherald-reason:token-expired", 4401)
        .await;
}

#[tokio::test]
async fn it_renews_by_the_backend_and_stays_its_users() {
    let backend = Backend::saying(r#"{"user":"ann","expires_in_ms":60000}"#).await;
    let app = App::with(|config| backend.set(config)).await;
    let mut client = log_in(&app, "ann").await;
    is(&mut client, "app:ann").await;
    backend.now_says(r#"{"user":"ann","expires_in_ms":3600000}"#);
    client.say(RENEWAL).await;
    let receipt = client.text().await;
    let expires = receipt.lines().find_map(|line| line.strip_prefix("expires-in:"));
    let expires: u64 = expires.unwrap_or_else(|| panic!("{receipt}")).parse().unwrap();
    assert!((3_500_000..=3_600_000).contains(&expires), "{receipt}");
    assert_eq!(backend.last_question()["credential"], "fresh");
    // What is refused changes nothing.
    client
        .say("SUBSCRIBE\nid:errors\ndestination:/user/queue/errors\nreceipt:errors\n\n\0")
        .await;
    client.expect_receipt("errors").await;
    backend.now_says(r#"{"refused":true}"#);
    client.say(RENEWAL).await;
    let note = client.text().await;
    assert!(note.contains("\"code\":\"token_refused\""), "{note}");
    backend.now_says("rubbish");
    client.say(RENEWAL).await;
    let note = client.text().await;
    assert!(note.contains("\"code\":\"overloaded\""), "{note}");
    client.expect_nothing().await;
    backend.now_says(r#"{"user":"ben"}"#);
    client.say(RENEWAL).await;
    let words = "message:SEND\\c the token is another user's\nreceipt-id:renewed\nherald-reason:token-of-another-user";
    client.expect_error(words, 4401).await;
}

#[tokio::test]
async fn whom_an_operator_blocks_is_out_whatever_the_backend_says() {
    let backend = Backend::saying(r#"{"user":"ann"}"#).await;
    let app = App::with(|config| backend.set(config)).await;
    let mut client = log_in(&app, "ann").await;
    is(&mut client, "app:ann").await;
    let json = [("Content-Type", "application/json")];
    let block = br#"{"user":"app:ann","block":true}"#;
    let answer = app.request("POST", "/api/v1/revocations", &json, block).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let words = "message:authentication failed\nherald-reason:revoked";
    client.expect_error(words, 4401).await;
    let mut again = log_in(&app, "ann").await;
    again.expect_error(words, 4401).await;
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let lifted = format!("/api/v1/revocations/{id}");
    assert_eq!(app.request("DELETE", &lifted, &[], b"").await.status, 202);
    let mut back = log_in(&app, "ann").await;
    is(&mut back, "app:ann").await;
}

#[tokio::test]
async fn who_comes_back_right_after_a_revocation_is_to_come_again() {
    let backend = Backend::saying(r#"{"user":"ann"}"#).await;
    let app = App::with(|config| backend.set(config)).await;
    let mut client = log_in(&app, "ann").await;
    is(&mut client, "app:ann").await;
    let json = [("Content-Type", "application/json")];
    let revocation = br#"{"user":"app:ann"}"#;
    let answer = app
        .request("POST", "/api/v1/revocations", &json, revocation)
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let words = "message:authentication failed\nherald-reason:revoked";
    client.expect_error(words, 4401).await;
    let mut again = log_in(&app, "ann").await;
    let error = again.text().await;
    assert!(error.starts_with("ERROR"), "{error}");
    assert!(
        error.contains("\nretry-after-ms:5000\n") && !error.contains("revoked"),
        "{error}"
    );
}
