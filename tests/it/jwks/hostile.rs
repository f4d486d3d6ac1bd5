//! The promise: whatever an issuer's server answers, the existing keys stay; no redirect is followed, nothing grows
//! without bound, and nothing waits forever.

use super::{fetches, readiness, taking, until_ready};
use crate::support::tokens::{Does, KeyServer, Signer, log_in, set, until};

#[tokio::test]
async fn no_answer_takes_away_what_was_there() {
    let key = Signer::new("k");
    let server = KeyServer::start(Does::Gives(set(&[&key]))).await;
    let elsewhere = KeyServer::start(Does::Gives(set(&[&Signer::new("evil")]))).await;
    let mut issuer = server.issuer();
    issuer.refresh = "1s".parse().unwrap();
    issuer.timeout = "200ms".parse().unwrap();
    let app = taking(issuer).await;
    until_ready(&app).await;

    let redirect = format!(
        "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
        elsewhere.uri()
    );
    let many = vec![key.jwk(); 65];
    let shared = serde_json::json!({"keys": [{"kty": "oct", "kid": "k", "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]});
    for (what, does) in [
        ("a redirect", Does::Says(redirect.into_bytes())),
        ("an empty set", Does::Gives(r#"{"keys":[]}"#.into())),
        ("a shared secret", Does::Gives(shared.to_string())),
        ("no JSON", Does::Gives("<html>".into())),
        (
            "too many keys",
            Does::Gives(serde_json::json!({ "keys": many }).to_string()),
        ),
        (
            "a large answer",
            Does::Gives(format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(1 << 20))),
        ),
        (
            "a deep answer",
            Does::Gives(format!(
                "{{\"keys\":{}{}}}",
                "[".repeat(50_000),
                "]".repeat(50_000)
            )),
        ),
        (
            "half an answer",
            Does::Says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".into()),
        ),
        ("no HTTP", Does::Says(b"SSH-2.0-OpenSSH_9.2\r\n".into())),
        (
            "an endless head",
            Does::Says(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(1 << 20)).into_bytes()),
        ),
    ] {
        server.now_does(does);
        let failed = fetches(&app, "failed").await;
        // The next fetch may have been under way: the one after it meets this answer for sure.
        until("two more failures", async || {
            fetches(&app, "failed").await >= failed + 1.0
        })
        .await;
        log_in(app.address, &key.token("alice"), "id:alice").await;
        assert_eq!(readiness(&app).await, (200, false), "{what}");
        // So that the time between two fetches does not grow.
        let good = fetches(&app, "ok").await;
        server.now_does(Does::Gives(set(&[&key])));
        until("a good one", async || fetches(&app, "ok").await > good).await;
    }
    assert_eq!(elsewhere.asked(), 0);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let key = Signer::new("k");
    let server = KeyServer::start(Does::Hangs).await;
    let mut issuer = server.issuer();
    issuer.timeout = "200ms".parse().unwrap();
    let app = taking(issuer).await;
    until("a failure", async || fetches(&app, "failed").await > 0.0).await;
    assert_eq!(readiness(&app).await, (503, true));
    server.now_does(Does::With(set(&[&key]), "Cache-Control: public, max-age=60\r\n"));
    until_ready(&app).await;
    log_in(app.address, &key.token("alice"), "id:alice").await;
}
