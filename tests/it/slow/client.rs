//! A client with a small receive buffer that reads only on request.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::app::{User, connect};
use crate::support::within;

/// With a smaller one the kernel makes a sender wait for its timers.
const RECEIVE_BYTES: u32 = 16 * 1024;
/// The most that is read at once: what is read ahead is no longer in the kernel.
const CHUNK_BYTES: usize = 4 * 1024;
const CLOSE: u8 = 0x88;

/// What a client finds when it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A STOMP frame.
    Frame(String),
    /// A WebSocket Close with this code.
    Close(u16),
    /// The end of the connection; `true` if it ended within a frame.
    Eof(bool),
}

pub struct SlowClient {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl SlowClient {
    /// Logged in, without heart-beats.
    pub async fn log_in(to: SocketAddr, user: User) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(RECEIVE_BYTES).unwrap();
        let mut client = Self {
            stream: socket.connect(to).await.unwrap(),
            unread: Vec::new(),
        };
        client
            .stream
            .write_all(crate::support::client::UPGRADE.as_bytes())
            .await
            .unwrap();
        while !client.unread.ends_with(b"\r\n\r\n") {
            assert!(within("the answer to the upgrade", client.read()).await);
        }
        client.unread.clear();
        client.say(&connect(user, "1.2", "")).await;
        let connected = client.frame().await;
        assert!(connected.starts_with("CONNECTED\n"), "{connected}");
        client
    }

    /// Subscribed, with the RECEIPT read.
    pub async fn subscribe(&mut self, id: &str, destination: &str) {
        self.say(&format!(
            "SUBSCRIBE\nid:{id}\ndestination:{destination}\nreceipt:{id}\n\n\0"
        ))
        .await;
        let receipt = self.frame().await;
        // Where there is a history, the position follows.
        assert!(
            receipt.starts_with(&format!("RECEIPT\nreceipt-id:{id}\n")),
            "{receipt}"
        );
    }

    /// Sends a STOMP frame, masked with zeros.
    pub async fn say(&mut self, frame: &str) {
        let mut bytes = vec![0x81, 0xFE];
        bytes.extend((frame.len() as u16).to_be_bytes());
        if frame.len() < 126 {
            bytes = vec![0x81, 0x80 | frame.len() as u8];
        }
        bytes.extend([0; 4]);
        bytes.extend(frame.as_bytes());
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// The next frame or the end.
    pub async fn next(&mut self) -> Found {
        within("a frame, or the end", self.read_next()).await
    }

    async fn read_next(&mut self) -> Found {
        loop {
            if let Some((start, end)) = whole(&self.unread) {
                let frame: Vec<u8> = self.unread.drain(..end).collect();
                return match frame[0] {
                    CLOSE => Found::Close(u16::from_be_bytes([frame[start], frame[start + 1]])),
                    _ => Found::Frame(String::from_utf8(frame[start..].to_vec()).unwrap()),
                };
            }
            if !self.read().await {
                return Found::Eof(!self.unread.is_empty());
            }
        }
    }

    /// The next item, which must be a frame.
    pub async fn frame(&mut self) -> String {
        match self.next().await {
            Found::Frame(frame) => frame,
            other => panic!("a frame expected, found {other:?}"),
        }
    }

    /// The body of the next item, which must be a MESSAGE.
    pub async fn body(&mut self) -> String {
        let frame = self.frame().await;
        body(&frame)
            .unwrap_or_else(|| panic!("a MESSAGE expected, found {frame}"))
            .to_owned()
    }

    /// Everything up to the end: the bodies of the MESSAGEs, and what came after the last of them.
    pub async fn rest(&mut self) -> (Vec<String>, Vec<Found>) {
        let (mut bodies, mut last) = (Vec::new(), Vec::new());
        loop {
            let found = self.next().await;
            match &found {
                Found::Frame(frame) if frame.starts_with("MESSAGE\n") && last.is_empty() => {
                    bodies.extend(body(frame).map(ToOwned::to_owned));
                }
                Found::Eof(_) => {
                    last.push(found);
                    return (bodies, last);
                }
                _ => last.push(found),
            }
        }
    }

    /// Reads a chunk. `false`: there is no more.
    async fn read(&mut self) -> bool {
        let mut chunk = [0; CHUNK_BYTES];
        let length = self.stream.read(&mut chunk).await.unwrap();
        self.unread.extend_from_slice(&chunk[..length]);
        length > 0
    }
}

/// The body of a MESSAGE.
pub fn body(frame: &str) -> Option<&str> {
    let (_, body) = frame.strip_prefix("MESSAGE\n")?.split_once("\n\n")?;
    body.strip_suffix('\0')
}

/// The range of the first frame's payload, if all of it has arrived.
fn whole(bytes: &[u8]) -> Option<(usize, usize)> {
    let (start, length) = match bytes {
        [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
        [_, 126, ..] | [] | [_] => return None,
        [_, 127, ..] => panic!("longer than any frame of these tests"),
        [_, length, ..] => (2, usize::from(*length)),
    };
    (bytes.len() >= start + length).then_some((start, start + length))
}
