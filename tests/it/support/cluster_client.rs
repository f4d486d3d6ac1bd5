//! A browser's session, by hand: WebSocket and STOMP 1.2 over a TCP connection, read by a task of its own, so that
//! nothing is lost that a test has not looked at yet.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::client::frame;
use super::within;

/// Events that a test has not looked at yet.
const UNSEEN: usize = 1 << 16;

/// A STOMP frame from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub command: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether it came in a binary WebSocket message.
    pub is_binary: bool,
}

impl Frame {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(held, _)| held == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// An event from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Frame(Frame),
    Pong(Vec<u8>),
    /// The code of a Close frame. 1006: the connection ended without one.
    Closed(u16),
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The code of the Close frame.
    pub code: u16,
    /// Frames before it that nobody had looked at.
    pub frames: Vec<Frame>,
}

impl End {
    /// The ERROR's message.
    pub fn error(&self) -> Option<&str> {
        let error = self.frames.iter().find(|frame| frame.command == "ERROR");
        error.and_then(|frame| frame.header("message"))
    }
}

/// One connection.
pub struct Browser {
    events: mpsc::Receiver<Event>,
    writer: OwnedWriteHalf,
    /// The CONNECTED frame.
    pub connected: Frame,
    receipts: u32,
    /// Frames that were skipped.
    unseen: VecDeque<Frame>,
    /// How many pongs were skipped.
    pub pongs: usize,
}

impl Browser {
    /// A session of `user`, whose password is `test`.
    pub async fn connect(to: SocketAddr, user: &str) -> Self {
        match Self::attempt(to, user, "test").await {
            Ok(browser) => browser,
            Err(end) => panic!("{user} is not let in: {end:?}"),
        }
    }

    /// Sends CONNECT and returns its outcome.
    pub async fn attempt(to: SocketAddr, user: &str, password: &str) -> Result<Self, End> {
        within("an answer to CONNECT", Self::open(to, user, password)).await
    }

    async fn open(to: SocketAddr, user: &str, password: &str) -> Result<Self, End> {
        let gone = |_| End {
            code: 1006,
            frames: Vec::new(),
        };
        let stream = upgrade(to).await.map_err(gone)?;
        let (reader, writer) = stream.into_split();
        let (sender, mut events) = mpsc::channel(UNSEEN);
        tokio::spawn(read(BufReader::new(reader), sender));
        let mut connect = Self {
            events: mpsc::channel(1).1,
            writer,
            connected: Frame {
                command: String::new(),
                headers: Vec::new(),
                body: Vec::new(),
                is_binary: false,
            },
            receipts: 0,
            unseen: VecDeque::new(),
            pongs: 0,
        };
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let headers = [
            ("accept-version", "1.2"),
            ("host", "test"),
            ("heart-beat", "0,0"),
            ("X-Authorization", &basic),
        ];
        connect.frame("CONNECT", &headers, b"").await;
        match events.recv().await {
            Some(Event::Frame(frame)) if frame.command == "CONNECTED" => {
                connect.connected = frame;
                connect.events = events;
                Ok(connect)
            }
            first => Err(end(first, &mut events).await),
        }
    }

    /// Sends a frame. Errors become visible where the end is awaited.
    pub async fn frame(&mut self, command: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut text = format!("{command}\n");
        for (name, value) in headers {
            let value = match command {
                "CONNECT" => (*value).to_owned(),
                _ => value
                    .replace('\\', "\\\\")
                    .replace('\n', "\\n")
                    .replace('\r', "\\r")
                    .replace(':', "\\c"),
            };
            text.push_str(&format!("{name}:{value}\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("content-length:{}\n", body.len()));
        }
        text.push('\n');
        let bytes = [text.as_bytes(), body, b"\0"].concat();
        self.message(0x82, &bytes).await;
    }

    /// A WebSocket frame.
    pub async fn message(&mut self, first: u8, payload: &[u8]) {
        let _ = self.writer.write_all(&frame(first, payload)).await;
    }

    /// Subscribes, and waits until that is done. The id is the destination.
    pub async fn subscribe(&mut self, destination: &str) {
        let headers = [("id", destination), ("destination", destination)];
        self.with_receipt("SUBSCRIBE", &headers, b"").await;
    }

    /// Sends, without a receipt.
    pub async fn send(&mut self, destination: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) {
        let headers = [&[("destination", destination)], headers].concat();
        self.frame("SEND", &headers, body.as_ref()).await;
    }

    /// Sends a frame and waits for its RECEIPT.
    pub async fn with_receipt(&mut self, command: &str, headers: &[(&str, &str)], body: &[u8]) {
        self.receipts += 1;
        let receipt = format!("r{}", self.receipts);
        let headers = [headers, &[("receipt", &receipt)]].concat();
        self.frame(command, &headers, body).await;
        let frame = self
            .next_where(|frame| frame.header("receipt-id") == Some(&receipt))
            .await;
        assert_eq!(frame.command, "RECEIPT", "{frame:?}");
    }

    /// The next frame. If the connection ends, the test fails.
    pub async fn next(&mut self) -> Frame {
        self.next_where(|_| true).await
    }

    /// The next MESSAGE of the subscription to `destination`. Others are kept for later.
    pub async fn next_on(&mut self, destination: &str) -> Frame {
        self.next_where(|frame| frame.header("subscription") == Some(destination))
            .await
    }

    async fn next_where(&mut self, is_wanted: impl Fn(&Frame) -> bool) -> Frame {
        if let Some(at) = self.unseen.iter().position(&is_wanted) {
            return self.unseen.remove(at).expect("the frame just found");
        }
        loop {
            match within("a frame", self.events.recv()).await {
                Some(Event::Frame(frame)) if is_wanted(&frame) => return frame,
                Some(Event::Frame(frame)) => self.unseen.push_back(frame),
                Some(Event::Pong(_)) => self.pongs += 1,
                other => panic!("{other:?} instead of a frame"),
            }
        }
    }

    /// The next event, if one arrives within `time`.
    pub async fn event_within(&mut self, time: Duration) -> Option<Event> {
        tokio::time::timeout(time, self.events.recv())
            .await
            .ok()
            .flatten()
    }

    /// The frames that have already arrived.
    pub fn waiting(&mut self) -> Vec<Frame> {
        let mut frames: Vec<Frame> = self.unseen.drain(..).collect();
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Frame(frame) => frames.push(frame),
                other => panic!("{other:?} instead of a frame"),
            }
        }
        frames
    }

    /// Waits for the end of the connection.
    pub async fn end(&mut self) -> End {
        let events = &mut self.events;
        within("the connection's end", async {
            let first = events.recv().await;
            end(first, events).await
        })
        .await
    }
}

async fn end(first: Option<Event>, events: &mut mpsc::Receiver<Event>) -> End {
    let (mut frames, mut code) = (Vec::new(), 1006);
    let mut event = first;
    loop {
        match event {
            Some(Event::Frame(frame)) => frames.push(frame),
            Some(Event::Pong(_)) => {}
            Some(Event::Closed(found)) => code = found,
            None => return End { code, frames },
        }
        event = events.recv().await;
    }
}

async fn upgrade(to: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: v12.stomp\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    if head.starts_with(b"HTTP/1.1 101 ") {
        Ok(stream)
    } else {
        Err(std::io::Error::other(String::from_utf8_lossy(&head).into_owned()))
    }
}

/// Reads until the connection ends, which is the last event.
async fn read(mut stream: BufReader<OwnedReadHalf>, events: mpsc::Sender<Event>) {
    loop {
        let event = match read_event(&mut stream).await {
            Ok(Some(event)) => event,
            Ok(None) => continue,
            Err(_) => Event::Closed(1006),
        };
        let is_last = matches!(event, Event::Closed(_));
        assert!(
            events.try_send(event).is_ok() || events.is_closed(),
            "unseen events"
        );
        if is_last {
            return;
        }
    }
}

async fn read_event(stream: &mut BufReader<OwnedReadHalf>) -> std::io::Result<Option<Event>> {
    let first = stream.read_u8().await?;
    let length = match stream.read_u8().await? {
        126 => stream.read_u16().await?.into(),
        127 => stream.read_u64().await?,
        short => short.into(),
    };
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await?;
    Ok(match first {
        0x88 => {
            let code = payload.split_first_chunk::<2>();
            Some(Event::Closed(
                code.map_or(1005, |(code, _)| u16::from_be_bytes(*code)),
            ))
        }
        0x8A => Some(Event::Pong(payload)),
        0x81 | 0x82 if payload == b"\n" => None,
        0x81 | 0x82 => Some(Event::Frame(parse(&payload, first == 0x82))),
        other => panic!("a WebSocket frame that begins with {other:#x}"),
    })
}

fn parse(bytes: &[u8], is_binary: bool) -> Frame {
    let blank = bytes
        .windows(2)
        .position(|two| two == b"\n\n")
        .expect("a blank line");
    let head = std::str::from_utf8(&bytes[..blank]).expect("a head of UTF-8");
    let mut lines = head.split('\n');
    let command = lines.next().expect("a command").to_owned();
    let headers = lines
        .map(|line| {
            let (name, value) = line.split_once(':').expect("a header");
            (unescape(name), unescape(value))
        })
        .collect();
    let body = bytes[blank + 2..]
        .strip_suffix(b"\0")
        .expect("NUL at the end")
        .to_vec();
    let frame = Frame {
        command,
        headers,
        body,
        is_binary,
    };
    if let Some(length) = frame.header("content-length") {
        assert_eq!(length, frame.body.len().to_string(), "{frame:?}");
    }
    frame
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        out.push(match char {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('c') => ':',
                Some('\\') => '\\',
                other => panic!("an escape of {other:?} in {text:?}"),
            },
            char => char,
        });
    }
    out
}
