//! The promise: a caller is identified by the client certificate of its connection, may do what its entry says and no
//! more, and no header can claim it.

use std::sync::Arc;

use herald::config::Config;
use herald::http::config::ClientAuth;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::app::{ANNA, App, connect};
use crate::support::client::Socket;
use crate::support::process::{Answer, read_answer};
use crate::support::tls::{tls_config, tls_file};
use crate::support::within;

async fn app(auth: ClientAuth, wanted: &str) -> App {
    let entry =
        format!("name = 'orders'\n{wanted}\nscopes = ['publish']\ndestinations = ['/queue/orders/**']");
    App::guarded(|config: &mut Config| {
        config.http.tls = tls_config();
        config.http.tls.client_ca_file = Some(tls_file("clients-ca.pem"));
        config.http.tls.client_auth = auth;
        config.api.certificates = vec![toml::from_str(&entry).unwrap()];
    })
    .await
}

/// The answer to POST `path` over a connection that shows `certificate`; none: there is no connection.
async fn ask(app: &App, certificate: Option<&str>, path: &str, header: &str) -> Option<Answer> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(tls_file("ca.pem")).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match certificate {
        None => config.with_no_client_auth(),
        Some(name) => {
            let chain = vec![CertificateDer::from_pem_file(tls_file(&format!("{name}.pem"))).unwrap()];
            let key = PrivateKeyDer::from_pem_file(tls_file(&format!("{name}-key.pem"))).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(app.address).await.unwrap();
    let name = std::net::IpAddr::from([127, 0, 0, 1]).into();
    let mut stream = connector.connect(name, stream).await.ok()?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n{header}\r\nx"
    );
    // With TLS 1.3 the client learns only now that its certificate is refused.
    stream.write_all(request.as_bytes()).await.ok()?;
    stream.flush().await.ok()?;
    let mut answer = Vec::new();
    within("an answer", stream.read_to_end(&mut answer)).await.ok()?;
    read_answer(&answer)
}

async fn status(app: &App, certificate: Option<&str>, path: &str, header: &str) -> Option<u16> {
    ask(app, certificate, path, header)
        .await
        .map(|answer| answer.status)
}

const OWN: &str = "/api/v1/broadcast/queue/orders/new";
const OTHER: &str = "/api/v1/broadcast/queue/news";

#[tokio::test]
async fn a_certificate_is_a_caller_with_the_rights_of_its_entry() {
    for wanted in [
        "uri = 'spiffe://example.com/orders'",
        "dns = 'orders.example'",
        "subject = 'CN=orders,O=Example'",
    ] {
        let app = app(ClientAuth::Request, wanted).await;
        assert_eq!(status(&app, Some("orders"), OWN, "").await, Some(202), "{wanted}");
        let other = ask(&app, Some("orders"), OTHER, "").await.unwrap();
        assert_eq!(other.status, 403);
        let detail = "publishing there is not permitted: it is not among the destinations of the certificate";
        assert_eq!(other.json()["detail"], detail);
        // A header is meant, and decides.
        assert_eq!(
            status(&app, Some("orders"), OWN, "Authorization: Bearer wrong\r\n").await,
            Some(401)
        );
        // Without one, and with what a proxy or anyone might write into a header.
        assert_eq!(status(&app, None, OWN, "").await, Some(401));
        for header in [
            "X-Client-Cert",
            "X-SSL-Client-S-DN",
            "X-Forwarded-Client-Cert",
            "Client-Cert",
        ] {
            let header = format!("{header}: CN=orders,O=Example\r\n");
            assert_eq!(status(&app, None, OWN, &header).await, Some(401), "{header}");
        }
        // One of another authority, whatever it says.
        assert_eq!(status(&app, Some("client"), OWN, "").await, None);
    }
}

#[tokio::test]
async fn a_certificate_of_no_entry_is_none() {
    let app = app(ClientAuth::Request, "uri = 'spiffe://example.com/other'").await;
    let answer = ask(&app, Some("orders"), OWN, "").await.unwrap();
    assert_eq!(answer.status, 401, "{}", answer.text());
    // Sessions need none.
    let (mut client, head) = Socket::at(app.address).open().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    client.say(connect(ANNA, "1.2", "")).await;
    client.expect("CONNECTED\n…").await;
}

#[tokio::test]
async fn where_one_is_required_nobody_connects_without() {
    let app = app(ClientAuth::Require, "dns = 'orders.example'").await;
    assert_eq!(ask(&app, None, OWN, "").await, None);
    let answer = ask(&app, Some("orders"), OWN, "").await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    // Nobody comes back by a ticket that was given to somebody who was verified once.
    let again = ask(&app, None, OWN, "").await;
    assert_eq!(again, None);
}
