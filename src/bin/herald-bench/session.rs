//! One client, as small as it can be: a handwritten WebSocket and STOMP dialogue up to the RECEIPT of its SUBSCRIBE, on
//! a blocking socket from a loopback address of its own.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::Outcome;

/// The destination that every session listens to.
pub const DESTINATION: &str = "/queue/bench";
/// Source addresses, from 127.0.0.2 on: enough ports for every session.
const SOURCES: usize = 16;
/// No answer of the dialogue takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connects from the `number`th source address.
pub fn connect(to: SocketAddr, number: usize) -> Outcome<TcpStream> {
    let source = Ipv4Addr::new(127, 0, 0, 2 + (number % SOURCES) as u8);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).map_err(|error| out_of(number, &error))?;
    socket.bind(&SocketAddr::from((IpAddr::V4(source), 0)).into())?;
    socket
        .connect(&to.into())
        .map_err(|error| out_of(number, &error))?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn out_of(number: usize, error: &std::io::Error) -> String {
    format!("connection {number}: {error} (the limit on descriptors is `ulimit -n`)")
}

/// Logs in as one of the demo users and subscribes; gives the socket and the bytes read beyond the RECEIPT.
pub fn open(to: SocketAddr, number: usize, heartbeat: &str) -> Outcome<(TcpStream, Vec<u8>)> {
    let mut dialogue = Dialogue {
        stream: connect(to, number)?,
        unread: Vec::new(),
    };
    let upgrade = format!(
        "GET /ws HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: v12.stomp\r\n\r\n"
    );
    dialogue.stream.write_all(upgrade.as_bytes())?;
    dialogue.upgraded()?;
    let user = 1 + number % 10;
    dialogue.say(&format!(
        "CONNECT\naccept-version:1.2\nhost:bench\nlogin:test{user}\npasscode:test\nheart-beat:{heartbeat}\n\n\0"
    ))?;
    dialogue.expect("CONNECTED\n")?;
    dialogue.say(&format!(
        "SUBSCRIBE\nid:0\ndestination:{DESTINATION}\nreceipt:joined\n\n\0"
    ))?;
    dialogue.expect("RECEIPT\n")?;
    Ok((dialogue.stream, dialogue.unread))
}

/// A masked text frame of a client. The mask is zero, which RFC 6455 allows on the wire: nothing here needs guarding
/// from proxies.
pub fn client_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
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

struct Dialogue {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Dialogue {
    fn say(&mut self, frame: &str) -> Outcome<()> {
        Ok(self.stream.write_all(&client_frame(frame.as_bytes()))?)
    }

    fn upgraded(&mut self) -> Outcome<()> {
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

    /// The next frame, but heart-beats, begins with `command`.
    fn expect(&mut self, command: &str) -> Outcome<()> {
        loop {
            let payload = self.frame()?;
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

    /// The payload of one unmasked frame.
    fn frame(&mut self) -> Outcome<Vec<u8>> {
        loop {
            let (head, length) = match self.unread.as_slice() {
                [_, 127, ..] => return Err("a frame over 64 KiB in the dialogue".into()),
                [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
                [_, 126, ..] | [] | [_] => (4, usize::MAX - 4),
                [_, length, ..] => (2, usize::from(*length)),
            };
            if self.unread.len() >= head + length {
                let mut frame: Vec<u8> = self.unread.drain(..head + length).collect();
                return Ok(frame.split_off(head));
            }
            self.read_more()?;
        }
    }

    fn read_more(&mut self) -> Outcome<()> {
        let mut chunk = [0; 4096];
        let length = self.stream.read(&mut chunk)?;
        if length == 0 {
            return Err(format!("closed: {}", String::from_utf8_lossy(&self.unread)).into());
        }
        self.unread
            .extend_from_slice(chunk.get(..length).unwrap_or_default());
        Ok(())
    }
}
