//! The promise: for a user, an issuer or a user of an issuer, tokens that were issued up to a moment are refused and
//! later ones are not; the moment may be in the future, and the issuer's leeway counts.

use serde_json::json;

use super::{ends, is_out, revoke, stays, taking};
use crate::support::tokens::{ISSUER, claims, log_in, now};
use crate::token::Taking;

#[tokio::test]
async fn only_what_was_issued_until_then_is_out() {
    let taking = taking().await;
    let (app, key) = (&taking.app, &taking.key);
    let at = |user: &str, seconds: u64| key.sign(&claims(user, json!({"iat": now() - seconds})));
    let (old, new, bobs) = (at("alice", 100), at("alice", 10), at("bob", 200));
    let mut sessions = [
        log_in(app.address, &old, "id:alice").await,
        log_in(app.address, &new, "id:alice").await,
        log_in(app.address, &bobs, "id:bob").await,
    ];
    revoke(
        app,
        json!({"user": "id:alice", "issuer": ISSUER, "issued_before": now() - 50}),
    )
    .await;
    ends(&mut sessions[0]).await;
    is_out(app, &old).await;
    log_in(app.address, &new, "id:alice").await;
    stays(&mut sessions[1]).await;
    stays(&mut sessions[2]).await;
    // Of the whole issuer, and still not what came later.
    revoke(app, json!({"issuer": ISSUER, "issued_before": now() - 50})).await;
    ends(&mut sessions[2]).await;
    is_out(app, &bobs).await;
    stays(&mut sessions[1]).await;
    revoke(app, json!({"user": "id:alice", "issued_before": now() + 3_600})).await;
    ends(&mut sessions[1]).await;
    is_out(app, &new).await;
    log_in(app.address, &at("bob", 10), "id:bob").await;
}

#[tokio::test]
async fn what_another_clock_may_have_issued_before_is_out_too() {
    let Taking { app, key, _file } = Taking::with(|config| {
        config.auth.issuers[0].leeway = "1m".parse().unwrap();
    })
    .await;
    let at = |seconds: u64| key.sign(&claims("alice", json!({"iat": now() - seconds})));
    let (near, far) = (at(60), at(20));
    revoke(&app, json!({"user": "id:alice", "issued_before": now() - 100})).await;
    is_out(&app, &near).await;
    log_in(app.address, &far, "id:alice").await;
}
