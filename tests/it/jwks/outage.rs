//! The promise: while an issuer's server is down, its users keep their sessions and log in with the existing keys; an
//! instance that never had them is not ready, and answers "try again" rather than "go away".

use super::{fetches, readiness, taking, until_ready};
use crate::support::process;
use crate::support::tokens::{Does, KeyServer, Signer, log_in, postponed, set};

const DOWN: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn an_instance_without_the_keys_is_not_ready_and_postpones() {
    let key = Signer::new("k");
    let server = KeyServer::start(Does::Says(DOWN.into())).await;
    let app = taking(server.issuer()).await;
    server.until_asked(1).await;
    assert_eq!(readiness(&app).await, (503, true));
    postponed(app.address, &key.token("alice")).await;
    let header = format!("Bearer {}", key.token("alice"));
    let headers = [("Authorization", &*header)];
    let answer = process::request(app.address, "GET", "/api/v1/users", &headers, b"")
        .await
        .unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.header("Retry-After").is_some() && answer.text().contains("identity-unavailable"));
    // Users with passwords do not depend on it.
    app.session("1.2").await;
    // It is asked again by itself, seldom.
    server.now_does(Does::Gives(set(&[&key])));
    until_ready(&app).await;
    log_in(app.address, &key.token("alice"), "id:alice").await;
}

#[tokio::test]
async fn an_issuer_that_is_not_required_keeps_nobody_waiting() {
    let server = KeyServer::start(Does::Says(DOWN.into())).await;
    let mut issuer = server.issuer();
    issuer.required = false;
    let app = taking(issuer).await;
    server.until_asked(1).await;
    assert_eq!(readiness(&app).await, (200, false));
    postponed(app.address, &Signer::new("k").token("alice")).await;
}

#[tokio::test]
async fn the_last_keys_serve_while_the_server_is_down() {
    let key = Signer::new("k");
    let server = KeyServer::start(Does::Gives(set(&[&key]))).await;
    let mut issuer = server.issuer();
    issuer.refresh = "1s".parse().unwrap();
    let app = taking(issuer).await;
    until_ready(&app).await;
    server.now_does(Does::Says(DOWN.into()));
    server.until_asked(3).await;
    crate::support::tokens::until("a failed fetch to be counted", async || {
        fetches(&app, "failed").await > 0.0
    })
    .await;
    assert_eq!(readiness(&app).await, (200, false));
    log_in(app.address, &key.token("alice"), "id:alice").await;
    // Whether a new key is the issuer's cannot be found out now.
    postponed(app.address, &Signer::new("new").token("bob")).await;
}
