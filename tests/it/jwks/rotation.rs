//! The promise: a new key is accepted with the first token that names it, and a removed key is refused at once, also
//! for tokens that were accepted before.

use super::{fetches, taking, until_ready};
use crate::support::app::App;
use crate::support::client::Client;
use crate::support::tokens::{Does, KeyServer, Signer, attempt, log_in, set, until};

#[tokio::test]
async fn a_new_key_is_fetched_for_its_first_token_and_an_old_one_is_out() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let server = KeyServer::start(Does::Gives(set(&[&old]))).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit");
    let app = App::with(|config| {
        config.auth.issuers = vec![server.issuer()];
        config.audit.file = file.to_str().unwrap().parse().unwrap();
    })
    .await;
    until_ready(&app).await;
    let before = old.token("alice");
    log_in(app.address, &before, "id:alice").await;
    assert_eq!(server.paths(), ["/keys"]);

    server.now_does(Does::Gives(set(&[&new])));
    // Nothing is known of it yet.
    log_in(app.address, &before, "id:alice").await;
    log_in(app.address, &new.token("bob"), "id:bob").await;
    assert_eq!((server.asked(), fetches(&app, "ok").await), (2, 2.0));
    // A token that was remembered goes with its key. Whether that comes back is not asked again so soon.
    let mut client = attempt(app.address, &format!("passcode:{before}\n")).await;
    client
        .expect("ERROR\nmessage:overloaded\nherald-reason:identity-unavailable\nretry-after-ms:…")
        .await;
    // The first keys are told of; how many others came within the minute, when that is over.
    app.stop();
    until("the lines of the audit", async || {
        let text = std::fs::read_to_string(&file).unwrap();
        let of_keys: Vec<_> = text
            .lines()
            .filter(|line| line.contains("\"issuer-keys\""))
            .collect();
        of_keys.len() == 2 && of_keys[0].contains("\"count\":1") && of_keys[1].contains("\"left_out\":1")
    })
    .await;
}

#[tokio::test]
async fn a_discovery_document_names_the_key_set() {
    let key = Signer::new("k");
    let server = KeyServer::start(Does::Hangs).await;
    let mut issuer = server.issuer();
    issuer.issuer = format!("http://{}/realms/x", server.address);
    issuer.jwks_uri = None;
    issuer.discovery = true;
    let document =
        serde_json::json!({"issuer": issuer.issuer, "jwks_uri": server.uri(), "keys": [key.jwk()]});
    server.now_does(Does::Gives(document.to_string()));
    let token = key.sign(&crate::support::tokens::claims(
        "alice",
        serde_json::json!({"iss": issuer.issuer}),
    ));
    let app = taking(issuer).await;
    until_ready(&app).await;
    log_in(app.address, &token, "id:alice").await;
    assert_eq!(
        server.paths(),
        ["/realms/x/.well-known/openid-configuration", "/keys"]
    );
}

/// Only where that is asked for, only those of the key, and not when the server is silent.
#[tokio::test]
async fn sessions_end_with_their_key_where_they_are_to() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let server = KeyServer::start(Does::Gives(set(&[&old, &new]))).await;
    let issuer = |closes| {
        let mut issuer = server.issuer();
        issuer.close_on_key_removal = closes;
        issuer.refresh = "1s".parse().unwrap();
        issuer
    };
    let (app, other) = (taking(issuer(true)).await, taking(issuer(false)).await);
    until_ready(&app).await;
    until_ready(&other).await;
    let mut alice = log_in(app.address, &old.token("alice"), "id:alice").await;
    let mut bob = log_in(app.address, &new.token("bob"), "id:bob").await;
    let mut carol = log_in(other.address, &old.token("carol"), "id:carol").await;

    server.now_does(Does::Says(
        b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n".to_vec(),
    ));
    let (failed, others) = (fetches(&app, "failed").await, fetches(&other, "failed").await);
    until("a server that fails", async || {
        fetches(&app, "failed").await > failed && fetches(&other, "failed").await > others
    })
    .await;
    stays(&mut alice).await;

    server.now_does(Does::Gives(set(&[&new])));
    alice
        .expect_error("message:token expired\nherald-reason:token-expired", 4401)
        .await;
    until("a set without the key", async || {
        fetches(&other, "ok").await > 1.0 && fetches(&app, "ok").await > 1.0
    })
    .await;
    stays(&mut bob).await;
    stays(&mut carol).await;
    assert_eq!(
        app.metric("herald_session_closes_total{reason=\"token_expired\"}")
            .await,
        1.0
    );
}

async fn stays(client: &mut Client) {
    client
        .say("SUBSCRIBE\nid:still\ndestination:/queue/still\nreceipt:still\n\n\0")
        .await;
    client.expect_receipt("still").await;
    client.say("UNSUBSCRIBE\nid:still\n\n\0").await;
}
