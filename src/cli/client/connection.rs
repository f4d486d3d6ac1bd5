//! A connection to Herald, plain or over TLS. Knows no HTTP and no WebSocket.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Server;
use crate::tls;

/// The longest time to open a connection, including TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An open connection.
pub(super) enum Connection {
    /// In the clear.
    Plain(TcpStream),
    /// By TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Opens a connection. `Err` holds words for people that name the address.
pub(super) async fn connect(server: &Server) -> Result<Connection, String> {
    let endpoint = &server.endpoint;
    let opening = async {
        let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
        stream.set_nodelay(true)?;
        if !endpoint.tls {
            return Ok(Connection::Plain(stream));
        }
        let name = ServerName::try_from(endpoint.host.clone()).map_err(std::io::Error::other)?;
        let connector = TlsConnector::from(Arc::new(trust(server)?));
        let stream = connector.connect(name, stream).await?;
        Ok(Connection::Tls(Box::new(stream)))
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, opening).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => {
            let error: std::io::Error = error;
            Err(format!("cannot reach Herald at {endpoint}: {error}"))
        }
        Err(_) => Err(format!(
            "cannot reach Herald at {endpoint}: no connection within {} s",
            CONNECT_TIMEOUT.as_secs()
        )),
    }
}

/// The authorities to trust: the system's, and those of `--ca-file`.
pub(super) fn trust(server: &Server) -> std::io::Result<rustls::ClientConfig> {
    let mut roots = tls::system_roots();
    if let Some(path) = &server.ca_file {
        let error =
            |error: &dyn std::fmt::Display| std::io::Error::other(format!("{}: {error}", path.display()));
        for certificate in CertificateDer::pem_file_iter(path).map_err(|cause| error(&cause))? {
            let certificate = certificate.map_err(|cause| error(&cause))?;
            roots.add(certificate).map_err(|cause| error(&cause))?;
        }
    }
    tls::client(roots).map_err(std::io::Error::other)
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
