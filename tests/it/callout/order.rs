//! The promise: Herald's own users and its issuers never depend on a backend: it is asked about everything else, and
//! about none of theirs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::{Backend, Does, log_in};
use crate::support::app::{ANNA, App};
use crate::support::tokens::{Does as Keys, KeyServer, Signer, attempt, claims, is, set};

#[tokio::test]
async fn users_and_issuers_of_heralds_own_are_not_asked_about() {
    let backend = Backend::start(Does::Hangs).await;
    let signer = Signer::new("k1");
    let keys = KeyServer::start(Keys::Gives(set(&[&signer]))).await;
    let app = App::with(|config| {
        backend.set(config);
        config.auth.issuers = vec![keys.issuer()];
    })
    .await;
    let _anna = app.session_of(ANNA, "1.2").await;
    // Nor about a wrong password of theirs.
    let mut client = attempt(app.address, "login:test1\npasscode:wrong\n").await;
    client.expect_error("message:authentication failed", 4401).await;
    let mut client = attempt(app.address, &format!("passcode:{}\n", signer.token("alice"))).await;
    is(&mut client, "id:alice").await;
    // What claims to be an issuer's is the issuer's, though it is not right.
    let other = Signer::new("k1");
    let unsigned = format!(
        "{}.{}.",
        part(r#"{"alg":"none"}"#),
        part(&claims("alice", json!({})).to_string())
    );
    for token in [
        other.token("alice"),
        signer.sign(&claims("alice", json!({"aud": "other"}))),
        unsigned,
        "x".repeat(6_200),
    ] {
        let mut client = attempt(app.address, &format!("passcode:{token}\n")).await;
        client.expect_error("message:authentication failed", 4401).await;
    }
    assert_eq!(backend.asked(), 0);
    // An issuer that nobody knows here.
    backend.now_says(r#"{"user":"ann"}"#);
    let foreign = other.sign(&claims("alice", json!({"iss": "https://elsewhere.example"})));
    let mut client = attempt(app.address, &format!("passcode:{foreign}\n")).await;
    is(&mut client, "app:ann").await;
    assert_eq!(backend.last_question()["credential"], json!(foreign));
}

fn part(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// Without the prefix, too, nobody is let in under the name of a user of Herald's.
#[tokio::test]
async fn a_backend_does_not_name_a_user_of_heralds() {
    let backend = Backend::saying(r#"{"user":"test1"}"#).await;
    let app = App::with(|config| {
        backend.set(config);
        config.auth.callout.user_prefix = Some(String::new());
    })
    .await;
    super::is_postponed(&mut log_in(&app, "ann").await, "the name of another").await;
    backend.now_says(r#"{"user":"ann"}"#);
    is(&mut log_in(&app, "ann").await, "ann").await;
}
