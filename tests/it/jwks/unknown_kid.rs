//! The promise: unknown keys cost their server one fetch, however many tokens name them.

use std::time::{Duration, Instant};

use super::{taking, until_ready};
use crate::support::tokens::{Does, KeyServer, Signer, attempt, log_in, refused, set};

#[tokio::test]
async fn strangers_cause_one_fetch_and_no_more() {
    let key = Signer::new("k");
    let server = KeyServer::start(Does::Gives(set(&[&key]))).await;
    let app = taking(server.issuer()).await;
    until_ready(&app).await;
    let began = Instant::now();
    let stranger = Signer::new("stranger");
    let to = app.address;
    let attempts = (0..20).map(|n| {
        let token = stranger.token(&format!("user{n}"));
        async move { refused(to, &token).await }
    });
    futures_util::future::join_all(attempts).await;
    refused(app.address, &stranger.token("once more")).await;
    assert_eq!(server.asked(), 2);
    // Another name within 30 s: it is not asked again, and its holder is to come back.
    for n in 0..5 {
        // A machine that is that slow cannot tell.
        if began.elapsed() > Duration::from_secs(20) {
            return;
        }
        let token = Signer::new(&format!("other{n}")).token("alice");
        let mut client = attempt(app.address, &format!("passcode:{token}\n")).await;
        client
            .expect("ERROR\nmessage:overloaded\nherald-reason:identity-unavailable\nretry-after-ms:…")
            .await;
        client.expect_end(1013).await;
    }
    // Nor for wrong signatures under a name that is known, nor for tokens whose time is over.
    let forged = Signer::new("k");
    for n in 0..3 {
        refused(app.address, &forged.token(&format!("user{n}"))).await;
    }
    assert_eq!(server.asked(), 2);
    log_in(app.address, &key.token("alice"), "id:alice").await;
}
