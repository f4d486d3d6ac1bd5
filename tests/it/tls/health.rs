//! The promise: `herald health` uses TLS to the instance of its own configuration, and accepts no other certificate.

use crate::support::process::{Herald, Launch};
use crate::support::tls::tls_file;

#[tokio::test]
async fn the_instance_is_asked_over_tls_and_known_by_its_certificate() {
    let with_tls = |launch: Launch, cert: &str, key: &str| {
        launch
            .set("HERALD_HTTP__TLS__CERT_FILE", &tls_file(cert))
            .set("HERALD_HTTP__TLS__KEY_FILE", &tls_file(key))
    };
    let herald = Herald::start("tls", &with_tls(Launch::demo(), "server.pem", "server-key.pem")).await;
    let address = herald.address.to_string();
    let health = |cert: &str, key: &str| {
        let launch = Launch::new(&["health", "--address", &address, "--timeout"]);
        with_tls(launch, cert, key)
    };
    let (code, said) = health("server.pem", "server-key.pem").argument("20s").run().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with(&format!("https://{address}/readyz: ")), "{said}");
    let other = health("client.pem", "client-key.pem").argument("1s");
    let (code, said) = other.run().await;
    assert_eq!(code, Some(1), "{said}");
}

/// A pair that is wrong is said at the start, by its setting.
#[tokio::test]
async fn a_wrong_pair_is_refused_at_the_start() {
    for (cert, key, expected) in [
        ("/nowhere.pem", "server-key.pem", "http.tls.cert_file"),
        ("server.pem", "/nowhere.pem", "http.tls.key_file"),
        (
            "server.pem",
            "client-key.pem",
            "expected the private key of the certificate",
        ),
        ("server-key.pem", "server-key.pem", "expected certificates in PEM"),
        ("server.pem", "server.pem", "expected a private key in PEM"),
    ] {
        let launch = Launch::demo()
            .set("HERALD_HTTP__TLS__CERT_FILE", &tls_file(cert))
            .set("HERALD_HTTP__TLS__KEY_FILE", &tls_file(key));
        let (code, said) = launch.run().await;
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains(expected), "{expected}: {said}");
    }
}
