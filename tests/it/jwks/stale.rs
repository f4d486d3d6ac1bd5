//! The promise: keys that could not be renewed for `stale` are no longer used, and their users are told to try again.

use super::{readiness, taking, until_ready};
use crate::support::tokens::{Does, KeyServer, Signer, log_in, postponed, set, until};

#[tokio::test]
async fn keys_that_are_too_old_are_not_used() {
    let key = Signer::new("k");
    let server = KeyServer::start(Does::Gives(set(&[&key]))).await;
    let mut issuer = server.issuer();
    issuer.refresh = "1s".parse().unwrap();
    issuer.stale = "3s".parse().unwrap();
    let app = taking(issuer).await;
    until_ready(&app).await;
    let token = key.token("alice");
    log_in(app.address, &token, "id:alice").await;
    server.now_does(Does::Hangs);
    until("the keys to be too old", async || {
        readiness(&app).await == (503, true)
    })
    .await;
    // One that was remembered, and a new one.
    postponed(app.address, &token).await;
    postponed(app.address, &key.token("bob")).await;
    server.now_does(Does::Gives(set(&[&key])));
    until_ready(&app).await;
    log_in(app.address, &token, "id:alice").await;
}
