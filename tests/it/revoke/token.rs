//! The promise: one token can be revoked by its id and its issuer, whether it is remembered or not; all other tokens of
//! its user remain valid, and it renews nobody's session.

use serde_json::{Value, json};

use super::{ends, is_out, revoke, stays, taking};
use crate::support::tokens::{ISSUER, claims, log_in};

#[tokio::test]
async fn a_token_is_out_by_its_id() {
    let taking = taking().await;
    let (app, key) = (&taking.app, &taking.key);
    let token = |id: Value| key.sign(&claims("alice", json!({ "jti": id })));
    let (lost, fresh, none) = (token(json!("t-1")), token(json!("t-2")), key.token("alice"));
    let mut out = log_in(app.address, &lost, "id:alice").await;
    let mut kept = [
        log_in(app.address, &fresh, "id:alice").await,
        log_in(app.address, &none, "id:alice").await,
    ];
    kept[0]
        .say("SUBSCRIBE\nid:errors\ndestination:/user/queue/errors\nreceipt:errors\n\n\0")
        .await;
    kept[0].expect_receipt("errors").await;
    revoke(app, json!({"issuer": ISSUER, "token_id": "t-1"})).await;
    ends(&mut out).await;
    is_out(app, &lost).await;
    // One that this instance has not seen before.
    revoke(app, json!({"issuer": ISSUER, "token_id": "t-3"})).await;
    is_out(app, &token(json!("t-3"))).await;
    // A renewal by it changes nothing, and is told.
    kept[0]
        .say(format!(
            "SEND\ndestination:/app/herald/auth\nAuthorization:Bearer {lost}\nreceipt:renewed\n\n\0"
        ))
        .await;
    let told = kept[0].text().await;
    assert!(told.contains(r#""code":"token_refused""#), "{told}");
    for session in &mut kept {
        stays(session).await;
    }
    log_in(app.address, &fresh, "id:alice").await;
}
