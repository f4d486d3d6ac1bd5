//! The reading side: one thread, one epoll, and of each message only its size is looked at, so that the load does not
//! outweigh what it measures. Both servers' sockets stay open; rounds go to one or the other.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::Outcome;

/// A notification that has not reached everyone by then ends the run.
const LOST: Duration = Duration::from_secs(20);
/// How long nothing may come before the first message counts as whole.
const QUIET: Duration = Duration::from_millis(500);

struct Reader {
    stream: mio::net::TcpStream,
    received_bytes: u64,
}

/// All sockets to one server, and the way to make it send.
pub struct Audience {
    poll: Poll,
    events: Events,
    readers: Vec<Reader>,
    buffer: Vec<u8>,
    trigger: TcpStream,
    /// Whether the trigger is answered, as HTTP is.
    answered: bool,
    /// Bytes that each reader gets of one notification, its WebSocket head included.
    pub frame_bytes: u64,
    expected_bytes: u64,
}

impl Audience {
    /// Takes the sockets over. Nothing may be unread on them.
    pub fn new(sockets: Vec<TcpStream>, trigger: TcpStream, answered: bool) -> Outcome<Self> {
        let poll = Poll::new()?;
        let mut readers = Vec::with_capacity(sockets.len());
        for (at, socket) in sockets.into_iter().enumerate() {
            socket.set_nonblocking(true)?;
            let mut stream = mio::net::TcpStream::from_std(socket);
            poll.registry()
                .register(&mut stream, Token(at), Interest::READABLE)?;
            readers.push(Reader {
                stream,
                received_bytes: 0,
            });
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(1_024),
            readers,
            buffer: vec![0; 64 * 1024],
            trigger,
            answered,
            frame_bytes: 0,
            expected_bytes: 0,
        })
    }

    /// Sends one notification, learns the size of its frame, and gives the frame as the first reader saw it.
    pub fn learn(&mut self, request: &[u8]) -> Outcome<Vec<u8>> {
        let mut sample = Vec::new();
        self.trigger.write_all(request)?;
        let began = Instant::now();
        let mut last = began;
        while last.elapsed() < QUIET || self.readers.iter().any(|reader| reader.received_bytes == 0) {
            if began.elapsed() > LOST {
                return Err(self.missing());
            }
            self.poll.poll(&mut self.events, Some(QUIET))?;
            for event in &self.events {
                let at = event.token().0;
                let Some(reader) = self.readers.get_mut(at) else {
                    continue;
                };
                let read = drain(reader, &mut self.buffer)?;
                last = Instant::now();
                if at == 0 && read <= self.buffer.len() {
                    sample.extend_from_slice(self.buffer.get(..read).unwrap_or_default());
                }
            }
        }
        self.answer()?;
        self.frame_bytes = sample.len() as u64;
        self.expected_bytes = self.frame_bytes;
        match self
            .readers
            .iter()
            .position(|reader| reader.received_bytes != self.frame_bytes)
        {
            None => Ok(sample),
            Some(at) => Err(format!(
                "reader {at} got another number of bytes than reader 0, which got {}",
                self.frame_bytes
            )
            .into()),
        }
    }

    /// Sends one notification and waits until every reader has it; adds each one's latency.
    pub fn notify(&mut self, request: &[u8], latencies: &mut Vec<Duration>) -> Outcome<()> {
        self.expected_bytes += self.frame_bytes;
        let began = Instant::now();
        self.trigger.write_all(request)?;
        let mut waiting = self.readers.len();
        while waiting > 0 {
            self.poll.poll(&mut self.events, Some(LOST))?;
            if self.events.is_empty() || began.elapsed() > LOST {
                return Err(self.missing());
            }
            for event in &self.events {
                let Some(reader) = self.readers.get_mut(event.token().0) else {
                    continue;
                };
                let before = reader.received_bytes;
                drain(reader, &mut self.buffer)?;
                if before < self.expected_bytes && reader.received_bytes >= self.expected_bytes {
                    latencies.push(began.elapsed());
                    waiting -= 1;
                }
                if reader.received_bytes > self.expected_bytes {
                    return Err("a reader got more than the notification".into());
                }
            }
        }
        self.answer()
    }

    /// Sends `frame` on every socket, and drops whatever came in; for heart-beats.
    pub fn beat(&mut self, frame: &[u8]) -> Outcome<()> {
        for reader in &mut self.readers {
            reader.stream.write_all(frame)?;
        }
        loop {
            self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
            if self.events.is_empty() {
                return Ok(());
            }
            for event in &self.events {
                if let Some(reader) = self.readers.get_mut(event.token().0) {
                    drain(reader, &mut self.buffer)?;
                }
            }
        }
    }

    fn answer(&mut self) -> Outcome<()> {
        match self.answered {
            true => read_answer(&mut self.trigger),
            false => Ok(()),
        }
    }

    fn missing(&self) -> Box<dyn std::error::Error> {
        let without = self
            .readers
            .iter()
            .filter(|reader| reader.received_bytes < self.expected_bytes.max(1))
            .count();
        format!("{without} readers did not get a notification within {LOST:?}").into()
    }
}

/// Reads what is there; gives how much. A read that does not fill the buffer has emptied the socket, which spares the
/// second call that would only say so.
fn drain(reader: &mut Reader, buffer: &mut [u8]) -> Outcome<usize> {
    let mut total = 0;
    loop {
        match reader.stream.read(buffer) {
            Ok(0) => return Err("the server closed a session".into()),
            Ok(length) => {
                total += length;
                reader.received_bytes += length as u64;
                if length < buffer.len() {
                    return Ok(total);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(total),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads the answer to a publish: a status of 2xx, headers, and a body of the length they say.
pub fn read_answer(publisher: &mut TcpStream) -> Outcome<()> {
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let length = publisher.read(&mut chunk)?;
        answer.extend_from_slice(chunk.get(..length).unwrap_or_default());
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            if !head.starts_with("HTTP/1.1 2") {
                return Err(format!("the publish was refused: {text}").into());
            }
            let wanted = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(Ok(0), |(_, value)| value.trim().parse::<usize>())?;
            if body.len() >= wanted {
                return Ok(());
            }
        }
        if length == 0 {
            return Err("the server closed the publisher's connection".into());
        }
    }
}
