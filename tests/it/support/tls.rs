//! TLS with certificates of the tests' own.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use herald::http::config::TlsConfig;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A file of the tests' own authority.
pub fn tls_file(name: &str) -> String {
    format!("{}/tests/it/support/nats_tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// What can be read and written, with TLS or without.
pub trait Duplex: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Duplex for T {}

/// Where instances of this process speak TLS.
static SPOKEN_AT: Mutex<Option<HashSet<SocketAddr>>> = Mutex::new(None);

/// Whether instances are to speak TLS although their test does not ask for it: **the switch** by which the same tests run over
/// `wss` (`scripts/test` sets it).
pub fn is_on() -> bool {
    std::env::var_os("HERALD_TEST_TLS").is_some_and(|set| set == "1")
}

/// Settings of a listener that shows the tests' certificate, for 127.0.0.1.
pub fn tls_config() -> TlsConfig {
    TlsConfig {
        cert_file: Some(tls_file("server.pem")),
        key_file: Some(tls_file("server-key.pem")),
        ..TlsConfig::default()
    }
}

/// Clients of `address` speak TLS from now on.
pub fn spoken_at(address: SocketAddr) {
    let mut spoken_at = SPOKEN_AT.lock();
    spoken_at.get_or_insert_default().insert(address);
}

/// `stream`, which leads to `address`, behind its handshake if TLS is spoken there.
pub async fn dressed(stream: tokio::net::TcpStream, address: SocketAddr) -> std::io::Result<Box<dyn Duplex>> {
    let is_spoken = |at: &HashSet<SocketAddr>| at.contains(&address);
    let is_tls = SPOKEN_AT.lock().as_ref().is_some_and(is_spoken);
    match is_tls {
        true => Ok(Box::new(shake(stream).await?)),
        false => Ok(Box::new(stream)),
    }
}

/// A client that trusts the tests' authority.
pub fn client_config() -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(tls_file("ca.pem")).unwrap())
        .unwrap();
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// The handshake with whatever `stream` leads to.
pub async fn shake(
    stream: tokio::net::TcpStream,
) -> std::io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
    let name = std::net::IpAddr::from([127, 0, 0, 1]).into();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client_config()));
    connector.connect(name, stream).await
}

/// Terminates TLS in front of `to`, as a proxy does, with a certificate for 127.0.0.1 signed by `ca.pem`. Returns its
/// address.
pub async fn tls_proxy(to: SocketAddr) -> SocketAddr {
    let certificate = CertificateDer::from_pem_file(tls_file("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(tls_file("server-key.pem")).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    // What gRPC asks for, and what HTTP does.
    config.alpn_protocols = vec![b"h2".into(), b"http/1.1".into()];
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust it leaves.
                let Ok(mut outside) = acceptor.accept(stream).await else {
                    return;
                };
                let mut inside = tokio::net::TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    address
}
