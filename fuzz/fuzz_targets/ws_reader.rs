//! Promise: whatever bytes come from a socket and however they are cut, guard and fastwebsockets yield the same
//! events and end with a close code that RFC 6455 allows; no message exceeds its bound, a text message is UTF-8; and
//! a waiting reader holds no more than one message or control frame.
//!
//! Input: a character whose double is the bound, one for the cuts, then the stream.

#![no_main]

use std::cell::LazyCell;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use herald::ws::close::may_be_sent;
use herald::ws::guard::HEAD_MAX_BYTES;
use herald::ws::reader::{Event, Payload, ReadError, Reader};
use herald::ws::socket::Socket;
use herald::ws::upgrade::register;
use herald_fuzz::{Memory, assert_words, cut};
use libfuzzer_sys::fuzz_target;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, Runtime};
use tokio::task::unconstrained;

/// The ways in which a connection may end: malformed, gone in the middle of a frame, not UTF-8, too large.
const CODES: [u16; 4] = [1002, 1006, 1007, 1009];
/// The payload of a control frame is not a message and has its own bound (RFC 6455 section 5.5).
const CONTROL_MAX_BYTES: usize = 125;
/// In addition to the message and the doubling of a growing buffer, a waiting reader holds the head.
const SPARE_BYTES: usize = 2 * HEAD_MAX_BYTES + 64;
/// A masked pong without payload.
const PONG: &[u8] = b"\x8a\x80\0\0\0\0";

thread_local! {
    static RUNTIME: LazyCell<Runtime> =
        LazyCell::new(|| Builder::new_current_thread().enable_io().build().expect("a runtime"));
}

fuzz_target!(|data: &[u8]| {
    let [max, sizes, stream @ ..] = data else {
        return;
    };
    let max = usize::from(*max) * 2;
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let whole = conversation(&[stream], max).await;
            let chunks = cut(stream, *sizes);
            assert_eq!(whole, conversation(&chunks, max).await);
            // The first bytes with the handshake.
            assert_eq!(whole, after_handshake(&chunks, max).await);
            assert_bounded(&[stream], max).await;
            assert_bounded(&chunks, max).await;
        });
    });
});

/// The events and, if it ended with a refusal, its close code.
type Conversation = (Vec<Event>, Option<u16>);

/// Both ends of a connection. A pair of Unix sockets reads and writes like TCP, and uses up no port.
fn pair() -> (UnixStream, AsyncFd<Socket>) {
    let (client, server) = UnixStream::pair().expect("a pair of sockets");
    server.set_nonblocking(true).expect("non-blocking");
    let server = TcpStream::from(OwnedFd::from(server));
    (client, register(Socket::plain(server)).expect("registered"))
}

async fn conversation(chunks: &[&[u8]], max: usize) -> Conversation {
    talk(b"", chunks, max).await
}

async fn after_handshake(chunks: &[&[u8]], max: usize) -> Conversation {
    match chunks.split_first() {
        Some((first, rest)) => talk(first, rest, max).await,
        None => talk(b"", &[], max).await,
    }
}

async fn talk(leftover: &[u8], chunks: &[&[u8]], max: usize) -> Conversation {
    let (mut client, socket) = pair();
    let mut reader = Reader::new(&socket, Bytes::copy_from_slice(leftover), max, &|| {});
    let mut seen = Seen::new(max);
    for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
        client.write_all(chunk).expect("the reader is there");
        if !drain(&socket, &mut reader, |event| seen.take(event)).await {
            return seen.finish();
        }
    }
    client.shutdown(Shutdown::Write).expect("shutdown");
    while seen.take(reader.next().await) {}
    seen.finish()
}

/// Passes on every event that is there. Returns `false` if the connection has ended.
async fn drain(
    socket: &AsyncFd<Socket>,
    reader: &mut Reader<'_>,
    mut take: impl FnMut(Result<Event, ReadError>) -> bool,
) -> bool {
    drop(socket.readable().await.expect("readable"));
    loop {
        let mut next = pin!(unconstrained(reader.next()));
        match next.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(event) => {
                if !take(event) {
                    return false;
                }
            }
            // Only a reader that has read everything waits.
            Poll::Pending => return true,
        }
    }
}

/// What arrived, checked on arrival.
struct Seen {
    max: usize,
    events: Vec<Event>,
    code: Option<u16>,
    /// The unfinished message.
    message: Vec<u8>,
}

impl Seen {
    fn new(max: usize) -> Self {
        Self {
            max,
            events: Vec::new(),
            code: None,
            message: Vec::new(),
        }
    }

    /// Returns `false` if nothing follows.
    fn take(&mut self, event: Result<Event, ReadError>) -> bool {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                let code = error.close_reason().code();
                assert!(CODES.contains(&code), "{code}: {error}");
                assert_words(&error.to_string());
                self.code = Some(code);
                return false;
            }
        };
        match &event {
            Event::Data(payload) => self.data(payload),
            Event::Ping(payload) => assert!(payload.len() <= 125),
            Event::Close(code) => assert!(code.is_none_or(may_be_sent), "{code:?}"),
            Event::Pong | Event::Eof => {}
        }
        let goes_on = !matches!(event, Event::Close(_) | Event::Eof);
        self.events.push(event);
        goes_on
    }

    fn data(&mut self, payload: &Payload) {
        self.message.extend_from_slice(payload);
        assert!(self.message.len() <= self.max, "a message over {}", self.max);
        if payload.last {
            let message = std::mem::take(&mut self.message);
            assert!(
                !payload.text || std::str::from_utf8(&message).is_ok(),
                "not UTF-8"
            );
        }
    }

    fn finish(self) -> Conversation {
        (self.events, self.code)
    }
}

/// Events are dropped as they come; what is left belongs to the reader.
async fn assert_bounded(chunks: &[&[u8]], max: usize) {
    let (mut client, socket) = pair();
    let mut reader = Reader::new(&socket, Bytes::new(), max, &|| {});
    // One turn of the runtime, which frees what it held of earlier connections.
    client.write_all(PONG).expect("the reader is there");
    drain(&socket, &mut reader, |event| event.is_ok()).await;
    let memory = Memory::begin();
    for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
        client.write_all(chunk).expect("the reader is there");
        let goes_on = drain(&socket, &mut reader, |event| {
            event.is_ok_and(|event| !matches!(event, Event::Close(_) | Event::Eof))
        });
        let goes_on = goes_on.await;
        let held = memory.held();
        assert!(
            held <= 2 * max.max(CONTROL_MAX_BYTES) + SPARE_BYTES,
            "{held} bytes held for a message of {max}"
        );
        if !goes_on {
            assert_eq!(held, 0, "held after the end");
            return;
        }
    }
}
