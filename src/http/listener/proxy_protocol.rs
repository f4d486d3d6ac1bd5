//! The PROXY protocol v2 header at the start of a trusted proxy's connection, bounded in bytes and in time. Reads not
//! one byte beyond it, since the rest belongs to hyper. ppp parses it.

use std::io;
use std::net::IpAddr;

use ppp::v2::{Addresses, Command, Header};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

/// Signature, version and command, family, length.
const HEAD_BYTES: usize = 16;
/// The most of addresses and further fields that is read. The protocol's own bound is 64 KiB; proxies send some
/// hundred bytes.
const REST_MAX_BYTES: usize = 4 << 10;

/// The client's address. `None`: the proxy speaks for itself (`LOCAL`, as for health checks) or does not know it.
///
/// # Errors
/// There is no such header, it is too long, or it did not arrive by `deadline`.
pub(super) async fn client(
    stream: &mut (impl AsyncRead + Unpin),
    deadline: Instant,
) -> io::Result<Option<IpAddr>> {
    timeout_at(deadline, read(stream))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head).await?;
    // Checked before the length is believed: something other than the header may have come.
    if head.starts_with(ppp::v1::PROTOCOL_PREFIX.as_bytes()) {
        return Err(invalid(
            "a PROXY protocol v1 header came, v2 is expected: configure the proxy to send v2",
        ));
    }
    if !head.starts_with(ppp::v2::PROTOCOL_PREFIX) {
        return Err(invalid("no PROXY protocol v2 header"));
    }
    let [.., high, low] = head;
    let rest = usize::from(u16::from_be_bytes([high, low]));
    if rest > REST_MAX_BYTES {
        return Err(invalid("the PROXY protocol header is too long"));
    }
    let mut bytes = head.to_vec();
    bytes.resize(HEAD_BYTES + rest, 0);
    stream
        .read_exact(bytes.get_mut(HEAD_BYTES..).unwrap_or_default())
        .await?;
    let header = Header::try_from(bytes.as_slice()).map_err(|error| invalid(&error.to_string()))?;
    Ok(match (header.command, header.addresses) {
        (Command::Local, _) => None,
        (Command::Proxy, Addresses::IPv4(addresses)) => Some(addresses.source_address.into()),
        (Command::Proxy, Addresses::IPv6(addresses)) => Some(addresses.source_address.into()),
        (Command::Proxy, Addresses::Unspecified | Addresses::Unix(_)) => None,
    })
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = (rest.len() as u16).to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    const V4: [u8; 12] = [203, 0, 113, 5, 10, 0, 0, 1, 0x12, 0x34, 0, 80];

    #[tokio::test]
    async fn the_client_is_who_the_header_names_and_nothing_more_is_read() {
        let check = async |header: Vec<u8>, expected: Option<&str>| {
            let bytes = [&header[..], b"GET /"].concat();
            let mut stream = &bytes[..];
            let found = client(&mut stream, Instant::now() + Duration::from_secs(5))
                .await
                .unwrap();
            assert_eq!(found, expected.map(|text| text.parse().unwrap()), "{header:?}");
            assert_eq!(stream, b"GET /");
        };
        check(header(0x21, 0x11, &V4), Some("203.0.113.5")).await;
        let tlv = [&V4[..], &[4, 0, 1, 42]].concat();
        check(header(0x21, 0x11, &tlv), Some("203.0.113.5")).await;
        let mut v6 = [0; 36];
        v6[15] = 9;
        check(header(0x21, 0x21, &v6), Some("::9")).await;
        check(header(0x20, 0x00, &[]), None).await;
        check(header(0x20, 0x11, &V4), None).await;
        check(header(0x21, 0x00, &[]), None).await;
        check(header(0x21, 0x31, &[0; 216]), None).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_header_is_refused() {
        let check = async |bytes: &[u8], kind: io::ErrorKind| {
            let mut stream = bytes;
            let error = client(&mut stream, Instant::now() + Duration::from_secs(5))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), kind, "{bytes:?}: {error}");
        };
        check(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", io::ErrorKind::InvalidData).await;
        check(
            b"PROXY TCP4 203.0.113.5 10.0.0.1 1 2\r\n",
            io::ErrorKind::InvalidData,
        )
        .await;
        check(&header(0x11, 0x11, &V4), io::ErrorKind::InvalidData).await;
        check(&header(0x22, 0x11, &V4), io::ErrorKind::InvalidData).await;
        check(&header(0x21, 0x11, &V4[..8]), io::ErrorKind::InvalidData).await;
        check(&header(0x21, 0x11, &[0; 5_000]), io::ErrorKind::InvalidData).await;
        check(&header(0x21, 0x11, &V4)[..20], io::ErrorKind::UnexpectedEof).await;
        let (_held, mut silent) = tokio::io::duplex(64);
        let error = client(&mut silent, Instant::now() + Duration::from_secs(5))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
