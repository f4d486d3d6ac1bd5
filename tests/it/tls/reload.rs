//! The promise: a new certificate takes effect soon after its files change, a pair that does not match changes nothing,
//! and no session notices either.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpStream;

use crate::support::app::App;
use crate::support::cluster::until;
use crate::support::tls::{tls_config, tls_file};

/// A client that takes any certificate, to see which it is.
#[derive(Debug)]
struct Any;

impl rustls::client::danger::ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        let provider = rustls::crypto::ring::default_provider();
        provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The certificate that `app` shows now.
async fn shown(app: &App) -> CertificateDer<'static> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Any))
        .with_no_client_auth();
    let stream = TcpStream::connect(app.address).await.unwrap();
    let name = std::net::IpAddr::from([127, 0, 0, 1]).into();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0]
        .clone()
        .into_owned()
}

#[tokio::test]
async fn a_new_pair_is_taken_a_wrong_one_is_not_and_sessions_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let put = |cert: &str, key: &str| {
        // As whole files: a half-written one would be looked at again, but that is not meant here.
        for (from, to) in [(cert, "tls.crt"), (key, "tls.key")] {
            std::fs::copy(tls_file(from), path("new")).unwrap();
            std::fs::rename(path("new"), path(to)).unwrap();
        }
    };
    put("server.pem", "server-key.pem");
    let app = App::with(|config| {
        config.http.tls = tls_config();
        config.http.tls.cert_file = path("tls.crt").to_str().map(str::to_owned);
        config.http.tls.key_file = path("tls.key").to_str().map(str::to_owned);
        config.audit.file = path("audit").to_str().unwrap().parse().unwrap();
    })
    .await;
    let der = |name: &str| CertificateDer::from_pem_file(tls_file(name)).unwrap();
    assert_eq!(shown(&app).await, der("server.pem"));
    let mut anna = app.session("1.2").await;
    anna.say("SUBSCRIBE\nid:a\ndestination:/queue/a\nreceipt:s\n\n\0")
        .await;
    anna.expect_receipt("s").await;
    let expires = app
        .metric("herald_tls_certificate_expires_seconds{setting=\"http.tls\"}")
        .await;
    assert!(expires > 4e9, "{expires}");

    put("client.pem", "client-key.pem");
    until("the new certificate", async || {
        shown(&app).await == der("client.pem")
    })
    .await;
    // Neither belongs to the other; nobody can await that nothing happens, but for the certificate after it.
    put("server.pem", "client-key.pem");
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(shown(&app).await, der("client.pem"));
    put("server.pem", "server-key.pem");
    until("the first certificate", async || {
        shown(&app).await == der("server.pem")
    })
    .await;

    anna.say("SEND\ndestination:/queue/a\n\nstill here\0").await;
    anna.expect("MESSAGE\nsubscription:a\n…").await;
    until("what the audit says", async || {
        let text = std::fs::read_to_string(path("audit")).unwrap();
        let outcomes = |outcome: &str| {
            let of_outcome = |line: &&str| line.contains("\"certificate\"") && line.contains(outcome);
            text.lines().filter(of_outcome).count()
        };
        outcomes("\"done\"") >= 2 && outcomes("\"unusable\"") >= 1
    })
    .await;
}
