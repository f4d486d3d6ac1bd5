//! The promise: a handshake is bounded in time and number, a slow one keeps nobody out, and a client that does not
//! speak TLS is told so.

use std::sync::Arc;

use herald::http::config::MinVersion;
use herald::setting::HumanDuration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::app::{ANNA, App};
use crate::support::client::{Client, Message, UPGRADE};
use crate::support::tls::{client_config, shake, tls_config};
use crate::support::within;

/// An instance that speaks TLS.
async fn app(configure: impl FnOnce(&mut herald::config::Config)) -> App {
    App::with(|config| {
        config.http.tls = tls_config();
        configure(config);
    })
    .await
}

/// The version and protocol that a client of `versions` agrees on.
async fn agreed(
    app: &App,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> std::io::Result<(rustls::ProtocolVersion, Option<Vec<u8>>)> {
    let mut config = client_config();
    let provider = Arc::clone(config.crypto_provider());
    let mut of_versions = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    std::mem::swap(&mut config, &mut of_versions);
    // Whom it trusts.
    config.dangerous().set_certificate_verifier(verifier());
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(app.address).await?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = std::net::IpAddr::from([127, 0, 0, 1]).into();
    let stream = connector.connect(name, stream).await?;
    let (_, connection) = stream.get_ref();
    let alpn = connection.alpn_protocol().map(<[u8]>::to_vec);
    Ok((connection.protocol_version().unwrap(), alpn))
}

fn verifier() -> Arc<dyn rustls::client::danger::ServerCertVerifier> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let ca = CertificateDer::from_pem_file(crate::support::tls::tls_file("ca.pem")).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .unwrap()
}

/// All that the server sends until it closes.
async fn whole(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer))
        .await
        .unwrap();
    answer
}

#[tokio::test]
async fn both_versions_are_spoken_unless_the_older_is_excluded() {
    use rustls::ProtocolVersion::{TLSv1_2, TLSv1_3};
    use rustls::version::{TLS12, TLS13};
    let http = Some(b"http/1.1".to_vec());
    let both = app(|_| {}).await;
    assert_eq!(agreed(&both, &[&TLS13]).await.unwrap(), (TLSv1_3, http.clone()));
    assert_eq!(agreed(&both, &[&TLS12]).await.unwrap(), (TLSv1_2, http.clone()));
    let newer = app(|config| config.http.tls.min_version = MinVersion::Tls13).await;
    assert_eq!(agreed(&newer, &[&TLS13, &TLS12]).await.unwrap(), (TLSv1_3, http));
    let refused = agreed(&newer, &[&TLS12]).await.unwrap_err().to_string();
    assert!(refused.contains("ProtocolVersion"), "{refused}");
}

#[tokio::test]
async fn who_speaks_plain_http_is_told_to_speak_tls_and_other_noise_is_closed() {
    let app = app(|_| {}).await;
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let answer = whole(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("https:// or wss://"), "{answer}");
    for noise in [
        &b"\0\0\0\0"[..],
        b"\x80\x2e\x01\x00\x02",
        b"quit\r\n",
        b"\x16\x03\x01\x00\x05hello",
    ] {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        stream.write_all(noise).await.unwrap();
        let mut answer = Vec::new();
        // It may be reset: what is closed is not read to its end.
        let _ = within("the end", stream.read_to_end(&mut answer)).await;
        assert!(answer.len() <= 7, "an alert at most: {answer:?}");
    }
    assert_eq!(app.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn half_a_handshake_is_late_as_half_a_request_is() {
    let app = app(|config| config.http.header_timeout = HumanDuration::millis(300)).await;
    // Nothing, the head of a record, a request after the handshake that never ends.
    let mut silent = TcpStream::connect(app.address).await.unwrap();
    let mut half = TcpStream::connect(app.address).await.unwrap();
    half.write_all(&[22, 3, 1, 1]).await.unwrap();
    let mut shaken = shake(TcpStream::connect(app.address).await.unwrap())
        .await
        .unwrap();
    shaken.write_all(b"GET / HT").await.unwrap();
    shaken.flush().await.unwrap();
    let mut nothing = Vec::new();
    within("the end", silent.read_to_end(&mut nothing)).await.unwrap();
    let _ = within("the end", half.read_to_end(&mut nothing)).await;
    assert_eq!(nothing, b"");
    let _ = within("the end", shaken.read_to_end(&mut nothing)).await;
    let late = "herald_limit_hits_total{limit=\"http.header_timeout\"}";
    // In its own time: the answer to this question must come within it too.
    assert!(app.metric(late).await >= 3.0);
}

#[tokio::test]
async fn who_dawdles_gives_its_turn_to_who_waits() {
    let app = app(|config| config.http.tls.handshakes = 1).await;
    let mut dawdler = TcpStream::connect(app.address).await.unwrap();
    dawdler.write_all(&[22]).await.unwrap();
    // Longer than a turn, less than http.header_timeout.
    let shaken = shake(TcpStream::connect(app.address).await.unwrap());
    drop(within("a handshake", shaken).await.unwrap());
    let mut nothing = Vec::new();
    let _ = within("the dawdler's end", dawdler.read_to_end(&mut nothing)).await;
    assert_eq!(app.metric("herald_tls_handshakes_refused_total").await, 1.0);
    assert_eq!(
        app.metric("herald_limit_hits_total{limit=\"http.tls.handshakes\"}")
            .await,
        1.0
    );
}

#[tokio::test]
async fn a_proxy_introduces_its_client_in_front_of_the_handshake() {
    let app = app(|config| {
        config.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.http.proxy_protocol = true;
    })
    .await;
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x05\x0a\0\0\x01\x12\x34\0\x50";
    stream.write_all(header).await.unwrap();
    let mut stream = within("a handshake", shake(stream)).await.unwrap();
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let answer = whole(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// What came with the upgrade in one record belongs to the WebSocket.
#[tokio::test]
async fn nothing_is_lost_between_http_and_the_websocket() {
    let app = app(|_| {}).await;
    let mut stream = shake(TcpStream::connect(app.address).await.unwrap())
        .await
        .unwrap();
    let connect = crate::support::app::connect(ANNA, "1.2", "");
    let frame = crate::support::client::frame(crate::support::client::TEXT, connect.as_bytes());
    stream
        .write_all(&[UPGRADE.as_bytes(), &frame].concat())
        .await
        .unwrap();
    stream.flush().await.unwrap();
    let mut seen = Vec::new();
    while !seen.windows(9).any(|nine| nine == b"CONNECTED") {
        let mut piece = [0; 512];
        let read = within("CONNECTED", stream.read(&mut piece)).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&piece[..read]);
    }
}

/// Sessions end as without TLS: the last frame, the close code, and an end in order.
#[tokio::test]
async fn a_drain_closes_in_order() {
    let app = app(|_| {}).await;
    let mut anna = app.session("1.2").await;
    let mut stranger = app.open().await;
    app.stop();
    let last = within("the close", last_words(&mut anna)).await;
    assert_eq!(last, 1001);
    assert_eq!(within("the close", last_words(&mut stranger)).await, 1001);
}

async fn last_words(client: &mut Client) -> u16 {
    loop {
        if let Message::Close(code, _) = client.next().await {
            assert_eq!(client.next().await, Message::Eof);
            return code;
        }
    }
}

/// A ticket saves the certificates; it is this instance's alone.
#[tokio::test]
async fn who_comes_again_may_bring_a_ticket() {
    let app = app(|_| {}).await;
    let config = Arc::new(client_config());
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let stream = TcpStream::connect(app.address).await.unwrap();
        let name = std::net::IpAddr::from([127, 0, 0, 1]).into();
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&config));
        let mut stream = connector.connect(name, stream).await.unwrap();
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        whole(&mut stream).await;
        kinds.push(stream.get_ref().1.handshake_kind().unwrap());
    }
    assert_eq!(
        kinds,
        [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed]
    );
}

/// Where all places are taken, a handshake in progress gives its place up as a request in progress does.
#[tokio::test]
async fn a_handshake_holds_no_place_that_another_needs() {
    let app = app(|config| config.http.max_connections = 2).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        stream.write_all(&[22]).await.unwrap();
        held.push(stream);
    }
    // Whoever comes before they are seen to wait is refused, and comes again.
    let served = async {
        while shake(TcpStream::connect(app.address).await.unwrap())
            .await
            .is_err()
        {}
    };
    within("a handshake", served).await;
    drop(held);
}
