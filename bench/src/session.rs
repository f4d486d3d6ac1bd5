//! One minimal client: a handwritten WebSocket and STOMP dialogue on a blocking socket from its own loopback address.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::Outcome;

/// The destination that every session listens to.
pub const DESTINATION: &str = "/queue/bench";
/// Every demo user's password.
pub const PASSCODE: &str = "test";
/// Source addresses, from 127.0.0.2 on: enough ports for every session.
pub const SOURCES: usize = 16;
/// No answer of the dialogue takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connects from the `number`th source address.
pub fn connect(to: SocketAddr, number: usize) -> Outcome<TcpStream> {
    let source = Ipv4Addr::new(127, 0, 0, 2 + (number % SOURCES) as u8);
    connect_from(to, source, None).map_err(|error| {
        format!("connection {number}: {error} (the limit on descriptors is `ulimit -n`)").into()
    })
}

/// Connects from `source`, with a receive buffer of `receive_bytes` where given.
pub fn connect_from(to: SocketAddr, source: Ipv4Addr, receive_bytes: Option<usize>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    if let Some(bytes) = receive_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(&SocketAddr::from((IpAddr::V4(source), 0)).into())?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Makes closing `stream` send RST.
pub fn abort(stream: TcpStream) -> io::Result<()> {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))
}

/// Logs in as one of the demo users and subscribes. Returns the socket and the bytes read beyond the RECEIPT.
pub fn open(to: SocketAddr, number: usize, heartbeat: &str) -> Outcome<(TcpStream, Vec<u8>)> {
    let mut dialogue = Dialogue::new(connect(to, number)?);
    dialogue.upgrade(to)?;
    dialogue.log_in(1 + number % 10, heartbeat)?;
    dialogue.subscribe("0", DESTINATION)?;
    Ok((dialogue.stream, dialogue.unread))
}

/// Logs in as one of the demo users and subscribes to all of `destinations`. Returns the socket.
pub fn open_with(
    to: SocketAddr,
    number: usize,
    heartbeat: &str,
    destinations: &[&str],
) -> Outcome<TcpStream> {
    let user = 1 + number % 10;
    open_by(
        to,
        number,
        &connect_frame(user, PASSCODE, heartbeat),
        destinations,
    )
}

/// Logs in by this CONNECT frame and subscribes to all of `destinations`. Returns the socket.
pub fn open_by(to: SocketAddr, number: usize, frame: &str, destinations: &[&str]) -> Outcome<TcpStream> {
    let mut dialogue = Dialogue::new(connect(to, number)?);
    dialogue.upgrade(to)?;
    dialogue.say(frame)?;
    dialogue.expect("CONNECTED\n")?;
    for (id, destination) in destinations.iter().enumerate() {
        dialogue.subscribe(&id.to_string(), destination)?;
    }
    Ok(dialogue.stream)
}

/// Logs in as `user` and subscribes to its own `/queue/bench` behind the user prefix. Returns the socket.
pub fn open_of(to: SocketAddr, number: usize, user: &str) -> Outcome<TcpStream> {
    let mut dialogue = Dialogue::new(connect(to, number)?);
    dialogue.upgrade(to)?;
    dialogue.log_in_as(user, "0,0")?;
    dialogue.subscribe("0", &format!("/user{DESTINATION}"))?;
    match dialogue.is_between_frames() {
        true => Ok(dialogue.stream),
        false => Err("a session got more than the RECEIPT of its SUBSCRIBE".into()),
    }
}

/// Logs in as `user`, subscribes to `/queue/bench` and to its own `/user/queue/bench`. Returns the socket.
pub fn open_both(to: SocketAddr, number: usize, user: &str) -> Outcome<TcpStream> {
    let mut dialogue = Dialogue::new(connect(to, number)?);
    dialogue.upgrade(to)?;
    dialogue.log_in_as(user, "0,0")?;
    dialogue.subscribe("0", DESTINATION)?;
    dialogue.subscribe("1", &format!("/user{DESTINATION}"))?;
    Ok(dialogue.stream)
}

/// A masked text frame of a client. The mask is zero, which RFC 6455 allows on the wire: nothing here needs guarding
/// from proxies.
pub fn client_frame(payload: &[u8]) -> Vec<u8> {
    client_frame_of(0x81, payload)
}

/// The same, with a given first byte.
pub fn client_frame_of(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | length as u8),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// The value of a header of a STOMP frame whose values need no unescaping.
pub fn header<'f>(frame: &'f [u8], name: &str) -> Option<&'f str> {
    let head = frame.get(..memchr::memmem::find(frame, b"\n\n")?)?;
    let lines = std::str::from_utf8(head).ok()?.lines();
    lines
        .filter_map(|line| line.split_once(':'))
        .find_map(|(found, value)| (found == name).then_some(value))
}

/// The range of the payload of the first unmasked frame in `bytes`, if the frame is complete.
pub fn server_frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let (start, length): (usize, usize) = match bytes {
        [_, 127, a, b, c, d, e, f, g, h, ..] => (
            10,
            usize::try_from(u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h])).ok()?,
        ),
        [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
        [_, 126 | 127, ..] | [] | [_] => return None,
        [_, length, ..] => (2, usize::from(*length)),
    };
    let end = start.checked_add(length)?;
    (bytes.len() >= end).then_some((start, end))
}

/// A connection and what was read from it beyond the last frame examined.
pub struct Dialogue<Stream = TcpStream> {
    /// The connection.
    pub stream: Stream,
    unread: Vec<u8>,
}

impl<Stream: Read + Write> Dialogue<Stream> {
    /// A connection on which nothing has been said.
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Sends the upgrade and waits for 101.
    pub fn upgrade(&mut self, to: SocketAddr) -> Outcome<()> {
        self.stream.write_all(upgrade_request(to).as_bytes())?;
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            self.read_more()?;
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        if head.starts_with(b"HTTP/1.1 101") {
            Ok(())
        } else {
            Err(format!("no upgrade: {}", String::from_utf8_lossy(&head)).into())
        }
    }

    /// CONNECT as a demo user, up to CONNECTED.
    pub fn log_in(&mut self, user: usize, heartbeat: &str) -> Outcome<()> {
        self.log_in_as(&format!("test{user}"), heartbeat)
    }

    /// CONNECT as any user, up to CONNECTED.
    pub fn log_in_as(&mut self, user: &str, heartbeat: &str) -> Outcome<()> {
        self.say(&connect_frame_of(user, PASSCODE, heartbeat))?;
        self.expect("CONNECTED\n")
    }

    /// SUBSCRIBE, up to its RECEIPT.
    pub fn subscribe(&mut self, id: &str, destination: &str) -> Outcome<()> {
        self.say(&format!(
            "SUBSCRIBE\nid:{id}\ndestination:{destination}\nreceipt:joined\n\n\0"
        ))?;
        self.expect("RECEIPT\n")
    }

    /// Sends one STOMP frame.
    pub fn say(&mut self, frame: &str) -> Outcome<()> {
        Ok(self.stream.write_all(&client_frame(frame.as_bytes()))?)
    }

    /// Expects the next frame, ignoring heart-beats, to begin with `command`.
    pub fn expect(&mut self, command: &str) -> Outcome<()> {
        loop {
            let (_, payload) = self.frame()?;
            if payload == b"\n" {
                continue;
            }
            if payload.starts_with(command.as_bytes()) {
                return Ok(());
            }
            return Err(format!(
                "{} expected, got: {}",
                command.trim(),
                String::from_utf8_lossy(&payload)
            )
            .into());
        }
    }

    /// The first byte and the payload of one unmasked frame.
    pub fn frame(&mut self) -> Outcome<(u8, Vec<u8>)> {
        loop {
            if let Some((start, end)) = server_frame(&self.unread) {
                let mut frame: Vec<u8> = self.unread.drain(..end).collect();
                let payload = frame.split_off(start);
                return Ok((frame.first().copied().unwrap_or_default(), payload));
            }
            self.read_more()?;
        }
    }

    /// Whether everything that was read has been used.
    pub fn is_between_frames(&self) -> bool {
        self.unread.is_empty()
    }

    fn read_more(&mut self) -> Outcome<()> {
        let mut chunk = [0; 16 * 1024];
        let length = self.stream.read(&mut chunk)?;
        if length == 0 {
            return Err(format!("closed: {}", String::from_utf8_lossy(&self.unread)).into());
        }
        self.unread
            .extend_from_slice(chunk.get(..length).unwrap_or_default());
        Ok(())
    }
}

/// An upgrade request as browsers send it.
pub fn upgrade_request(to: SocketAddr) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: v12.stomp\r\n\r\n"
    )
}

/// A CONNECT frame of a demo user.
pub fn connect_frame(user: usize, passcode: &str, heartbeat: &str) -> String {
    connect_frame_of(&format!("test{user}"), passcode, heartbeat)
}

/// A CONNECT frame with a token.
pub fn connect_frame_by(token: &str) -> String {
    format!("CONNECT\naccept-version:1.2\nhost:bench\nAuthorization:Bearer {token}\nheart-beat:0,0\n\n\0")
}

/// A CONNECT frame.
pub fn connect_frame_of(user: &str, passcode: &str, heartbeat: &str) -> String {
    format!(
        "CONNECT\naccept-version:1.2\nhost:bench\nlogin:{user}\npasscode:{passcode}\nheart-beat:{heartbeat}\n\n\0"
    )
}
