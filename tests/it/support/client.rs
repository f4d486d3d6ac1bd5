//! A client byte by byte: it sends what the test wrote, and the test sees every frame that comes back. Nothing is
//! answered, skipped or unescaped in between.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::tls::{Duplex, dressed};
use super::within;

/// FIN and opcodes (RFC 6455 section 5.2).
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8A;
/// Without FIN: the message continues.
pub const TEXT_START: u8 = 0x01;
pub const BINARY_START: u8 = 0x02;
/// A continuation, and its end.
pub const MORE: u8 = 0x00;
pub const LAST: u8 = 0x80;

/// Contains a byte that changes nothing and one that changes all bits.
pub const MASK: [u8; 4] = [0xA1, 0x5B, 0x00, 0xFF];

/// A WebSocket about to be opened.
pub struct Socket {
    address: SocketAddr,
    from: [u8; 4],
    path: String,
    headers: String,
}

impl Socket {
    /// At `/ws` of this address.
    pub fn at(address: SocketAddr) -> Self {
        let (path, headers) = ("/ws".into(), String::new());
        Self {
            address,
            from: [127, 0, 0, 1],
            path,
            headers,
        }
    }

    /// From this IPv4 address.
    pub fn from(mut self, address: [u8; 4]) -> Self {
        self.from = address;
        self
    }

    pub fn path(mut self, path: &str) -> Self {
        self.path = path.into();
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// The open socket, if there is one, and the head of the answer.
    pub async fn open(self) -> (Client, String) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((self.from, 0).into()).unwrap();
        let stream = within("a connection", socket.connect(self.address))
            .await
            .unwrap();
        stream.set_nodelay(true).unwrap();
        let mut stream = within("a handshake", dressed(stream, self.address))
            .await
            .unwrap();
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n",
            self.path, self.address, self.headers
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = within("the head of the answer", stream.read_u8()).await.unwrap();
            head.push(byte);
        }
        let client = Client { stream };
        (client, String::from_utf8(head).unwrap())
    }
}

/// What the server sends.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// A Close frame: its code and its words.
    Close(u16, String),
    /// The connection ended in order, after a complete frame.
    Eof,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut named = |name: &str, bytes: &[u8]| {
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(2_000)]);
            write!(f, "{name} {text:?}")
        };
        match self {
            Self::Text(bytes) => named("text", bytes),
            Self::Binary(bytes) => named("binary", bytes),
            Self::Ping(bytes) => named("ping", bytes),
            Self::Pong(bytes) => named("pong", bytes),
            Self::Close(code, words) => write!(f, "close {code} {words:?}"),
            Self::Eof => f.write_str("end of the connection"),
        }
    }
}

/// An open WebSocket.
pub struct Client {
    stream: Box<dyn Duplex>,
}

impl Client {
    /// Writes these bytes as they are.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let writing = write(&mut self.stream, bytes.as_ref());
        within("the server to read", writing).await.unwrap();
    }

    /// The same, for bytes that the server may no longer accept. Returns whether all of them were written.
    pub async fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let writing = write(&mut self.stream, bytes.as_ref());
        within("the server to read or end", writing).await.is_ok()
    }

    /// One text message.
    pub async fn say(&mut self, text: impl AsRef<[u8]>) {
        self.write(frame(TEXT, text.as_ref())).await;
    }

    /// One binary message.
    pub async fn say_binary(&mut self, bytes: impl AsRef<[u8]>) {
        self.write(frame(BINARY, bytes.as_ref())).await;
    }

    /// Shuts down the sending side; what arrives can still be read.
    pub async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// The next frame.
    #[track_caller]
    pub fn next(&mut self) -> impl Future<Output = Message> {
        within("a frame of the server", self.read())
    }

    /// The next frame, which must be text.
    #[track_caller]
    pub fn text(&mut self) -> impl Future<Output = String> {
        let (caller, next) = (std::panic::Location::caller(), self.next());
        async move {
            match next.await {
                Message::Text(text) => String::from_utf8(text).unwrap(),
                other => panic!("{caller}: {other:?}, not text"),
            }
        }
    }

    async fn read(&mut self) -> Message {
        let mut head = [0; 2];
        match self.stream.read(&mut head[..1]).await {
            Ok(0) => return Message::Eof,
            Ok(_) => {}
            Err(error) => panic!("the connection ended by {error}, not in order"),
        }
        self.stream.read_exact(&mut head[1..]).await.unwrap();
        assert_eq!(head[1] & 0x80, 0, "a server masks nothing");
        let length = match head[1] {
            126 => self.stream.read_u16().await.unwrap().into(),
            127 => self.stream.read_u64().await.unwrap(),
            short => u64::from(short),
        };
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).await.unwrap();
        match head[0] {
            TEXT => {
                assert!(std::str::from_utf8(&payload).is_ok(), "text that is none");
                Message::Text(payload)
            }
            BINARY => Message::Binary(payload),
            PING => Message::Ping(payload),
            PONG => Message::Pong(payload),
            CLOSE => {
                let (code, words) = payload.split_first_chunk::<2>().expect("a code");
                let words = String::from_utf8(words.to_vec()).expect("words in UTF-8");
                Message::Close(u16::from_be_bytes(*code), words)
            }
            first => panic!("the server's frame begins with {first:#x}"),
        }
    }

    /// The next frame must be text and match `expected` (see [`is_like`]).
    #[track_caller]
    pub fn expect(&mut self, expected: impl AsRef<[u8]>) -> impl Future<Output = ()> {
        let (caller, next) = (std::panic::Location::caller(), self.next());
        async move {
            match next.await {
                Message::Text(text) if is_like(expected.as_ref(), &text) => {}
                other => panic!(
                    "{caller}: {other:?}\nexpected text {:?}",
                    String::from_utf8_lossy(expected.as_ref())
                ),
            }
        }
    }

    /// The next frame must be binary and match `expected`.
    #[track_caller]
    pub fn expect_binary(&mut self, expected: impl AsRef<[u8]>) -> impl Future<Output = ()> {
        let (caller, next) = (std::panic::Location::caller(), self.next());
        async move {
            match next.await {
                Message::Binary(bytes) if is_like(expected.as_ref(), &bytes) => {}
                other => panic!(
                    "{caller}: {other:?}\nexpected binary {:?}",
                    String::from_utf8_lossy(expected.as_ref())
                ),
            }
        }
    }

    /// The next frame must be the `RECEIPT` for `receipt`, as on the wire.
    #[track_caller]
    pub fn expect_receipt(&mut self, receipt: &str) -> impl Future<Output = ()> {
        self.expect(format!("RECEIPT\nreceipt-id:{receipt}\n\n\0"))
    }

    /// Expects a Close with `code` and then the end of the connection.
    #[track_caller]
    pub fn expect_end(&mut self, code: u16) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            match self.next().await {
                Message::Close(found, _) if found == code => {}
                other => panic!("{caller}: {other:?}\nexpected close {code}"),
            }
            match self.next().await {
                Message::Eof => {}
                other => panic!("{caller}: {other:?} behind the close"),
            }
        }
    }

    /// Expects an ERROR without body and with these header lines (as on the wire), then a Close with `code` and the
    /// end.
    #[track_caller]
    pub fn expect_error(&mut self, headers: &str, code: u16) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        let expected = format!("ERROR\n{headers}\n\n\0");
        async move {
            match self.next().await {
                Message::Text(text) if is_like(expected.as_bytes(), &text) => {}
                other => panic!("{caller}: {other:?}\nexpected text {expected:?}"),
            }
            match self.next().await {
                Message::Close(found, _) if found == code => {}
                other => panic!("{caller}: {other:?}\nexpected close {code}"),
            }
            match self.next().await {
                Message::Eof => {}
                other => panic!("{caller}: {other:?} behind the close"),
            }
        }
    }

    /// Expects that everything sent before was processed without an answer.
    #[track_caller]
    pub fn expect_nothing(&mut self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            self.say("BEGIN\ntransaction:fence\nreceipt:fence\n\n\0ABORT\ntransaction:fence\n\n\0")
                .await;
            match self.next().await {
                Message::Text(text) if text == b"RECEIPT\nreceipt-id:fence\n\n\0" => {}
                other => panic!("{caller}: {other:?}\nexpected nothing"),
            }
        }
    }
}

async fn write(stream: &mut Box<dyn Duplex>, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// The request for a WebSocket at `/ws`, without any header that it does not need.
pub const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A WebSocket frame with this first byte, masked.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | short as u8),
        long @ 126..0x1_0000 => {
            bytes.push(0xFE);
            bytes.extend((long as u16).to_be_bytes());
        }
        longer => {
            bytes.push(0xFF);
            bytes.extend((longer as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

/// Whether two frames are equal, except that a header line `name:*` in `expected` stands for any value and `…` for
/// everything that follows.
pub fn is_like(expected: &[u8], found: &[u8]) -> bool {
    if let Some(begin) = expected.strip_suffix("…".as_bytes()) {
        return found.starts_with(begin);
    }
    let parts = |frame: &[u8]| {
        let blank = frame.windows(2).position(|two| two == b"\n\n");
        let (head, body) = frame.split_at(blank.unwrap_or(frame.len()));
        (head.to_vec(), body.to_vec())
    };
    let ((wanted, wanted_body), (head, body)) = (parts(expected), parts(found));
    let (wanted, head): (Vec<_>, Vec<_>) = (
        wanted.split(|byte| *byte == b'\n').collect(),
        head.split(|byte| *byte == b'\n').collect(),
    );
    let line_is_like = |(wanted, line): (&&[u8], &&[u8])| match wanted.strip_suffix(b":*") {
        Some(name) => line.len() > name.len() + 1 && line.starts_with(name) && line[name.len()] == b':',
        None => wanted == line,
    };
    wanted_body == body && wanted.len() == head.len() && wanted.iter().zip(&head).all(line_is_like)
}
