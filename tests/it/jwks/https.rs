//! Promise: an issuer's document and keys come over https from a server for which `ca_file` vouches. A server for which nobody
//! vouches is not believed: nobody is let in by its keys, the instance is not ready, and the log says why.

use tempfile::TempDir;

use crate::support::alone;
use crate::support::cluster::admin_key;
use crate::support::process::{Herald, Launch};
use crate::support::tls::{tls_file, tls_proxy};
use crate::support::tokens::{Does, ISSUER, KeyServer, Signer, claims, log_in, postponed, set};

/// `[[auth.issuers]]` that fetches as `how` says.
fn issuer(name: &str, how: &str, authority: Option<&str>) -> String {
    let authority = authority.map(|file| format!("ca_file = \"{}\"\n", tls_file(file)));
    let authority = authority.unwrap_or_default();
    format!(
        "[[auth.issuers]]\nissuer = \"{name}\"\naudience = [\"herald\"]\nuser_prefix = \"id:\"\n{how}\n{authority}"
    )
}

/// An instance that has no keys yet.
async fn without_keys(config: &str) -> (TempDir, Herald) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("herald.toml");
    std::fs::write(&path, format!("{config}\n{}", admin_key())).unwrap();
    let launch = Launch::demo()
        .argument("--config")
        .argument(path.to_str().unwrap());
    (folder, Herald::start_unready("https", &launch).await)
}

#[tokio::test]
async fn keys_come_from_a_server_that_ca_file_vouches_for() {
    let key = Signer::new("k");
    let server = KeyServer::start(Does::Gives(set(&[&key]))).await;
    let how = format!("jwks_uri = \"https://{}/keys\"", tls_proxy(server.address).await);
    let (_folder, herald) = alone::herald("https", &[], &issuer(ISSUER, &how, Some("ca.pem"))).await;
    log_in(herald.address, &key.token("alice"), "id:alice").await;
    assert!(
        server.paths().iter().all(|path| path == "/keys"),
        "{:?}",
        server.paths()
    );
}

#[tokio::test]
async fn a_document_and_the_keys_that_it_names_come_from_it_as_well() {
    let key = Signer::new("k");
    let server = KeyServer::start(Does::Hangs).await;
    let at = format!("https://{}", tls_proxy(server.address).await);
    let document = serde_json::json!({"issuer": at, "jwks_uri": format!("{at}/keys"), "keys": [key.jwk()]});
    server.now_does(Does::Gives(document.to_string()));
    let (_folder, herald) =
        alone::herald("https", &[], &issuer(&at, "discovery = true", Some("ca.pem"))).await;
    let token = key.sign(&claims("alice", serde_json::json!({"iss": at})));
    log_in(herald.address, &token, "id:alice").await;
    assert_eq!(
        server.paths()[..2],
        ["/.well-known/openid-configuration", "/keys"]
    );
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_lets_nobody_in_and_the_log_says_why() {
    let key = Signer::new("k");
    let server = KeyServer::start(Does::Gives(set(&[&key]))).await;
    let at = format!("https://{}", tls_proxy(server.address).await);
    let by_uri = format!("jwks_uri = \"{at}/keys\"");
    for (name, how) in [(ISSUER, &*by_uri), (&at, "discovery = true")] {
        let (_folder, herald) = without_keys(&issuer(name, how, None)).await;
        let line = herald.logged("no keys from its server").await;
        assert!(line.contains("UnknownIssuer"), "{line}");
        let token = key.sign(&claims("alice", serde_json::json!({"iss": name})));
        postponed(herald.address, &token).await;
        assert_eq!(herald.get("/readyz").await.status, 503);
    }
    assert_eq!(server.asked(), 0, "it is told nothing");
}
