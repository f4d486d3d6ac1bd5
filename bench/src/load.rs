//! The reading side: one thread, one epoll, and of each message only the WebSocket head is examined, so that the load
//! does not outweigh what it measures. It counts frames, not bytes: a frame whose trace is recorded is longer by its
//! `traceparent` than its neighbours. The sockets to all servers stay open; rounds go to one or another.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::Outcome;
use crate::request::Trigger;
use crate::session::connect;

/// A notification that has not reached everyone by then ends the run.
const LOST: Duration = Duration::from_secs(20);
/// How long nothing may arrive before the first message counts as complete.
const QUIET: Duration = Duration::from_millis(500);

struct Reader {
    stream: mio::net::TcpStream,
    frames: Frames,
}

/// All sockets to one server, and the way to make it send.
pub struct Audience {
    poll: Poll,
    events: Events,
    readers: Vec<Reader>,
    buffer: Vec<u8>,
    trigger: TcpStream,
    /// The frames that each reader should have received.
    expected: u64,
}

impl Audience {
    /// Takes over the sockets. Nothing may be unread on them.
    pub fn new(sockets: Vec<TcpStream>, trigger: TcpStream) -> Outcome<Self> {
        Self::counting(sockets, trigger, Counted::Frames)
    }

    /// The same, which counts other things than WebSocket's frames.
    pub fn counting(sockets: Vec<TcpStream>, trigger: TcpStream, counted: Counted) -> Outcome<Self> {
        let poll = Poll::new()?;
        let mut readers = Vec::with_capacity(sockets.len());
        for (at, socket) in sockets.into_iter().enumerate() {
            socket.set_nonblocking(true)?;
            let mut stream = mio::net::TcpStream::from_std(socket);
            poll.registry()
                .register(&mut stream, Token(at), Interest::READABLE)?;
            readers.push(Reader {
                stream,
                frames: Frames::of(counted),
            });
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(1_024),
            readers,
            buffer: vec![0; 64 * 1024],
            trigger,
            expected: 0,
        })
    }

    /// Sends one notification to every reader, and returns the frame as the first reader saw it.
    pub fn learn(&mut self, triggers: &[Trigger]) -> Outcome<Vec<u8>> {
        let mut sample = Vec::new();
        self.pull(triggers)?;
        let began = Instant::now();
        let mut last = began;
        while last.elapsed() < QUIET || self.readers.iter().any(|reader| reader.frames.whole == 0) {
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
        self.expected = 1;
        let is_one = |reader: &Reader| reader.frames.whole == 1 && reader.frames.is_between();
        match self.readers.iter().position(|reader| !is_one(reader)) {
            None => Ok(sample),
            Some(at) => Err(format!("reader {at} got another number of frames than one").into()),
        }
    }

    /// The bytes that all readers have received, including WebSocket heads.
    pub fn received_bytes(&self) -> u64 {
        self.readers.iter().map(|reader| reader.frames.bytes).sum()
    }

    /// Pulls the triggers, which make `frames` for every reader, and waits until every reader has them. Adds each
    /// reader's latency, from the first trigger to its last frame. If there is only one trigger, answers are read
    /// after the deliveries, so that reading them delays no reader.
    pub fn notify(
        &mut self,
        triggers: &[Trigger],
        frames: usize,
        latencies: &mut Vec<Duration>,
    ) -> Outcome<()> {
        self.expected += frames as u64;
        let began = Instant::now();
        let mut unanswered = 0;
        match triggers {
            [one] => {
                self.trigger.write_all(&one.bytes)?;
                unanswered = one.answers;
            }
            several => self.pull(several)?,
        }
        let expected = self.expected;
        // Some may be there already, without a further event; an event's socket is read until it is empty.
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
                let before = reader.frames.whole;
                drain(reader, &mut self.buffer)?;
                let after = &reader.frames;
                if before < expected && after.whole >= expected {
                    latencies.push(began.elapsed());
                    waiting -= 1;
                }
                if after.whole > expected || (after.whole == expected && !after.is_between()) {
                    return Err("a reader got more than the notification".into());
                }
            }
        }
        read_answers(&mut self.trigger, unanswered)
    }

    /// Publishes over a new connection from here on: an idle one is closed by `http.idle_timeout`. Not for the floor, which
    /// ends with its trigger.
    pub fn renew_trigger(&mut self) -> Outcome<()> {
        self.trigger = connect(self.trigger.peer_addr()?, 0)?;
        Ok(())
    }

    /// Pulls each trigger once the previous one is answered.
    fn pull(&mut self, triggers: &[Trigger]) -> Outcome<()> {
        for trigger in triggers {
            self.trigger.write_all(&trigger.bytes)?;
            read_answers(&mut self.trigger, trigger.answers)?;
        }
        Ok(())
    }

    /// Sends `frame` on every socket, and drops whatever came in. For heart-beats.
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

    fn missing(&self) -> Box<dyn std::error::Error> {
        let without = self
            .readers
            .iter()
            .filter(|reader| reader.frames.whole < self.expected.max(1))
            .count();
        format!("{without} readers did not get a notification within {LOST:?}").into()
    }
}

/// What is counted of what readers receive.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Counted {
    /// Unmasked WebSocket frames.
    #[default]
    Frames,
    /// TLS records, encrypted as they are: a delivery is one.
    Records,
}

/// What a reader has received, delimited by the heads alone.
#[derive(Default)]
struct Frames {
    counted: Counted,
    /// Complete frames.
    whole: u64,
    bytes: u64,
    /// Bytes of the current frame still to come after its head.
    left: u64,
    /// The current head, if a read ended within one.
    head: Vec<u8>,
}

impl Frames {
    fn of(counted: Counted) -> Self {
        Self {
            counted,
            ..Self::default()
        }
    }

    fn is_between(&self) -> bool {
        self.left == 0 && self.head.is_empty()
    }

    fn take(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.left == 0 {
                // A head ends somewhere in what is there, or goes on in the next read.
                let (head_bytes, payload) = match (self.head.is_empty(), self.counted.head(bytes)) {
                    (true, Some(found)) => found,
                    _ => {
                        let Some((first, rest)) = bytes.split_first() else {
                            return;
                        };
                        self.head.push(*first);
                        bytes = rest;
                        let Some((_, payload)) = self.counted.head(&self.head) else {
                            continue;
                        };
                        self.head.clear();
                        (0, payload)
                    }
                };
                bytes = bytes.get(head_bytes..).unwrap_or_default();
                self.left = payload;
            }
            let taken = self.left.min(bytes.len() as u64);
            bytes = bytes.get(taken as usize..).unwrap_or_default();
            self.left -= taken;
            self.whole += u64::from(self.left == 0);
        }
    }
}

impl Counted {
    /// The lengths of the head that `bytes` begin with and of what is behind it, once the head is whole.
    fn head(self, bytes: &[u8]) -> Option<(usize, u64)> {
        match (self, bytes) {
            (Self::Frames, _) => frame_head(bytes),
            // RFC 8446, section 5.2: type, version, length.
            (Self::Records, [_, _, _, high, low, ..]) => {
                Some((5, u64::from(u16::from_be_bytes([*high, *low]))))
            }
            (Self::Records, _) => None,
        }
    }
}

/// The lengths of the unmasked head that `bytes` begin with and of the payload behind it, once the head is whole.
fn frame_head(bytes: &[u8]) -> Option<(usize, u64)> {
    match bytes {
        [_, 127, length @ ..] => {
            let length: [u8; 8] = length.get(..8)?.try_into().ok()?;
            Some((10, u64::from_be_bytes(length)))
        }
        [_, 126, high, low, ..] => Some((4, u64::from(u16::from_be_bytes([*high, *low])))),
        [_, 126, ..] | [] | [_] => None,
        [_, length, ..] => Some((2, u64::from(*length))),
    }
}

/// Reads what is there and returns how much. A read that does not fill the buffer has emptied the socket, which saves
/// the second call that would only say so.
fn drain(reader: &mut Reader, buffer: &mut [u8]) -> Outcome<usize> {
    let mut total = 0;
    loop {
        match reader.stream.read(buffer) {
            Ok(0) => return Err("the server closed a session".into()),
            Ok(length) => {
                total += length;
                reader.frames.take(buffer.get(..length).unwrap_or_default());
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

/// Reads `count` answers to publishes: each a status of 2xx, headers, and a body of the length they say.
pub fn read_answers(publisher: &mut TcpStream, mut count: usize) -> Outcome<()> {
    let mut unread = Vec::new();
    let mut chunk = [0; 16 * 1024];
    while count > 0 {
        while let Some(length) = answer_length(&unread)? {
            unread.drain(..length);
            count = count.saturating_sub(1);
        }
        if count == 0 {
            break;
        }
        let length = publisher.read(&mut chunk)?;
        if length == 0 {
            return Err("the server closed the publisher's connection".into());
        }
        unread.extend_from_slice(chunk.get(..length).unwrap_or_default());
    }
    match unread.len() {
        0 => Ok(()),
        more => Err(format!("{more} bytes behind the last answer").into()),
    }
}

/// The length of the complete answer that `bytes` begin with. `None` if it is incomplete.
pub fn answer_length(bytes: &[u8]) -> Outcome<Option<usize>> {
    let Some(head_bytes) = memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4) else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(bytes.get(..head_bytes).unwrap_or_default());
    if !head.starts_with("HTTP/1.1 202") {
        let text = String::from_utf8_lossy(bytes);
        return Err(format!("a publish was refused: {text}").into());
    }
    let body_bytes = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Ok(0), |(_, value)| value.trim().parse::<usize>())?;
    let whole = head_bytes + body_bytes;
    Ok((bytes.len() >= whole).then_some(whole))
}

#[cfg(test)]
mod tests {
    use super::{Counted, Frames};

    #[test]
    fn frames_are_counted_whatever_their_length_and_wherever_a_read_ends() {
        let frame = |length: usize| -> Vec<u8> {
            let mut frame = match length {
                0..126 => vec![0x81, length as u8],
                126..65_536 => vec![0x81, 126, (length >> 8) as u8, length as u8],
                _ => [&[0x81, 127][..], &(length as u64).to_be_bytes()].concat(),
            };
            frame.resize(frame.len() + length, b'x');
            frame
        };
        let lengths = [300, 368, 0, 125, 126, 70_000, 1];
        let all: Vec<u8> = lengths.iter().flat_map(|length| frame(*length)).collect();
        for step in [1, 2, 3, 5, 7, 11, 372, 65_536, all.len()] {
            let mut frames = Frames::default();
            for read in all.chunks(step) {
                frames.take(read);
            }
            let told = (frames.whole, frames.bytes, frames.is_between());
            assert_eq!(told, (7, all.len() as u64, true), "reads of {step}");
        }
        let mut records = Frames::of(Counted::Records);
        let record = [&[23, 3, 3, 1, 4][..], &[0; 260]].concat();
        for read in record.repeat(3).chunks(7) {
            records.take(read);
        }
        assert!(records.whole == 3 && records.is_between());
        let mut cut = Frames::default();
        cut.take(&all[..303]);
        assert!(cut.whole == 0 && !cut.is_between(), "one byte is missing");
    }
}
