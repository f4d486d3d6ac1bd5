//! The certificate of a NATS server. The client library does not provide it, so this does one more handshake by hand
//! with a server that was just reached.

use std::sync::Arc;
use std::time::Duration;

use async_nats::ServerAddr;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::bus::Config;
use crate::bus::nats::tls;

const TIMEOUT: Duration = Duration::from_secs(2);
/// The server's first line.
const INFO_MAX_BYTES: u64 = 64 << 10;

/// The leaf in DER. `None`: no TLS, or it could not be determined.
pub(super) async fn shown(config: &Config, address: &ServerAddr) -> Option<Vec<u8>> {
    tokio::time::timeout(TIMEOUT, shake(config, address)).await.ok()?
}

async fn shake(config: &Config, address: &ServerAddr) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Info {
        #[serde(default)]
        tls_required: bool,
        #[serde(default)]
        tls_available: bool,
    }
    let stream = TcpStream::connect((address.host(), address.port())).await.ok()?;
    let mut stream = BufReader::new(stream);
    if !config.tls_first {
        let mut line = String::new();
        (&mut stream)
            .take(INFO_MAX_BYTES)
            .read_line(&mut line)
            .await
            .ok()?;
        let info: Info = serde_json::from_str(line.strip_prefix("INFO ")?.trim()).ok()?;
        let is_wanted = config.ca_file.is_some() || config.cert_file.is_some() || address.tls_required();
        let is_tls = info.tls_required || (info.tls_available && is_wanted);
        if !is_tls {
            return None;
        }
    }
    let tls = tls::client_config(config).ok()?;
    let name = ServerName::try_from(address.host().to_owned()).ok()?;
    // Nothing is left in the buffer: the server waits for the client.
    let stream = TlsConnector::from(Arc::new(tls))
        .connect(name, stream.into_inner())
        .await
        .ok()?;
    let (_, connection) = stream.get_ref();
    Some(connection.peer_certificates()?.first()?.to_vec())
}
