//! A connection by hand: from any loopback address, with any bytes before the request and any headers in it.

use std::net::SocketAddr;

use base64::Engine as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::client::frame;
use crate::support::within;

pub struct Raw(TcpStream);

impl Raw {
    /// An open WebSocket, or the answer that came instead.
    pub async fn upgrade(to: SocketAddr, headers: &[(&str, &str)]) -> Result<Self, String> {
        Self::upgrade_from("127.0.0.1", to, &[], headers).await
    }

    pub async fn upgrade_from(
        from: &str,
        to: SocketAddr,
        before: &[u8],
        headers: &[(&str, &str)],
    ) -> Result<Self, String> {
        within("an answer to the upgrade", async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
            let mut stream = socket.connect(to).await.unwrap();
            let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let request = format!(
                "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: \
                 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
            );
            stream.write_all(&[before, request.as_bytes()].concat()).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => answer.push(byte),
                    // Closed, possibly with unread bytes.
                    Err(_) => break,
                }
            }
            let head = String::from_utf8(answer).unwrap();
            if head.starts_with("HTTP/1.1 101 ") {
                return Ok(Self(stream));
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            stream.read_exact(&mut body).await.unwrap();
            Err(head + &String::from_utf8(body).unwrap())
        })
        .await
    }

    /// One WebSocket frame.
    pub async fn message(&mut self, first: u8, payload: &[u8]) {
        // The server may have closed already.
        let _ = self.0.write_all(&frame(first, payload)).await;
    }

    pub async fn login(&mut self, user: &str) {
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{user}:test"));
        let connect = format!("CONNECT\naccept-version:1.2\nhost:a\nX-Authorization:{basic}\n\n\0");
        self.message(0x81, connect.as_bytes()).await;
        let mut head = [0; 64];
        let read = within("CONNECTED", self.0.read(&mut head)).await.unwrap();
        let said = String::from_utf8_lossy(&head[..read]).into_owned();
        assert!(said.contains("CONNECTED"), "{said}");
    }

    pub async fn read_to_end(&mut self) -> String {
        let mut bytes = Vec::new();
        within("the end", self.0.read_to_end(&mut bytes)).await.unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A PROXY protocol v2 header for a client of this address.
pub fn proxy_header(client: [u8; 4]) -> Vec<u8> {
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    let addresses = [&client[..], &[10, 0, 0, 1], &[0x12, 0x34, 0, 80]].concat();
    [&signature[..], &[0x21, 0x11, 0, 12], &addresses].concat()
}
