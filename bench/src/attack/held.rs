//! Attacks that hold connections and send little.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use super::{Front, Options, Pace};
use crate::session::{Dialogue, client_frame, client_frame_of, upgrade_request};

/// A byte on each connection in this time: slower than any time-out would like, faster than silence.
const DRIBBLE: Duration = Duration::from_secs(1);

/// The length of a long head: a little less than `http.head_bytes`.
const LONG_HEAD_BYTES: usize = 16_000;
/// The body of the largest SEND: `limits.body_bytes`.
const BODY_BYTES: usize = 1_000 << 10;
/// How much of it is never sent.
const MISSING_BYTES: usize = 40;
/// Requests in one breath of a client that does not read.
const PIPELINED: usize = 40;
/// The receive buffer of that client.
const SMALL_BUFFER_BYTES: usize = 4 << 10;

/// Request heads, half of them long, that go on a byte at a time, for ever.
pub(super) fn heads(front: &Front, options: &Options, _: usize) {
    let request = upgrade_request(front.to);
    let start = request.len() / 2;
    let long = format!(
        "GET /ws HTTP/1.1\r\nHost: a\r\nX-Long: {}",
        "x".repeat(LONG_HEAD_BYTES)
    );
    let begin = |front: &Front, number: usize| {
        let mut stream = front.connect()?;
        let said = match number % 2 {
            0 => long.as_bytes().get(..LONG_HEAD_BYTES)?,
            _ => request.as_bytes().get(..start)?,
        };
        stream.write_all(said).ok()?;
        Some(stream)
    };
    dribble(front, options.heads, begin, |stream| !is_lost(stream));
}

/// The largest frame but for its end, three times: as a STOMP frame in a whole message, as a message in fragments, and as
/// half a WebSocket frame; then a byte at a time, which is one of the frame's in the last of them.
pub(super) fn half_frames(front: &Front, options: &Options, _: usize) {
    let mut most = format!("SEND\ndestination:/app/nothing\ncontent-length:{BODY_BYTES}\n\n").into_bytes();
    most.resize(most.len() + BODY_BYTES - MISSING_BYTES, b'x');
    let whole = client_frame(&most);
    let fragment = client_frame_of(0x02, &most);
    let half = whole.get(..whole.len() - MISSING_BYTES).unwrap_or_default();
    let begin = |front: &Front, number: usize| {
        let mut dialogue = Dialogue::new(front.connect()?);
        dialogue.upgrade(front.to).ok()?;
        dialogue.log_in(1 + number % 10, "0,0").ok()?;
        let said = match number % 3 {
            0 => &whole,
            1 => &fragment,
            _ => half,
        };
        dialogue.stream.write_all(said).ok()?;
        Some(dialogue.stream)
    };
    dribble(front, options.half_frames, begin, |stream| !is_lost(stream));
}

/// Large answers that nobody reads. A byte of another request shows whether the server has ended the connection.
pub(super) fn reads(front: &Front, options: &Options, _: usize) {
    let asked = "GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(PIPELINED);
    let begin = |front: &Front, _| {
        let mut stream = front.connect_with(Some(SMALL_BUFFER_BYTES))?;
        stream.write_all(asked.as_bytes()).ok()?;
        Some(stream)
    };
    dribble(front, options.reads, begin, |_| true);
}

/// Half frames of four kinds, then a byte at a time.
pub(super) fn halves(front: &Front, options: &Options, _: usize) {
    dribble(front, options.halves, half, |stream| !is_lost(stream));
}

fn half(front: &Front, number: usize) -> Option<TcpStream> {
    let mut dialogue = Dialogue::new(front.connect()?);
    dialogue.upgrade(front.to).ok()?;
    let bytes = match number % 4 {
        // Half of a head; ten bytes of many; half of a STOMP frame's head; half of its body.
        0 => vec![0x81, 0xFE],
        1 => [&[0x81, 0xFE, 0x10, 0, 0, 0, 0, 0][..], b"CONNECT\nlo"].concat(),
        2 => [
            &[0x01, 0x8A, 0, 0, 0, 0][..],
            b"CONNECT\nlo",
            &[0x00, 0xFE, 0x10, 0, 0, 0, 0, 0],
        ]
        .concat(),
        _ => {
            dialogue.log_in(3, "0,0").ok()?;
            let mut begun = client_frame(b"SEND\ndestination:/app/nothing\ncontent-length:100000\n\nxxx");
            begun.extend([0x82, 0xFE, 0xFF, 0, 0, 0, 0, 0]);
            begun
        }
    };
    dialogue.stream.write_all(&bytes).ok()?;
    Some(dialogue.stream)
}

/// Holds `count` connections as `begin` makes them, each with another byte now and then, and replaces those that the server
/// has ended: where `is_there` says so, or the byte cannot be sent.
fn dribble(
    front: &Front,
    count: usize,
    begin: impl Fn(&Front, usize) -> Option<TcpStream>,
    is_there: impl Fn(&mut TcpStream) -> bool,
) {
    let mut held: Vec<Option<TcpStream>> = Vec::new();
    held.resize_with(count, || None);
    while !front.is_over() {
        let turn = std::time::Instant::now();
        for (number, place) in held.iter_mut().enumerate() {
            if front.is_over() {
                return;
            }
            let lost = match place {
                Some(stream) => !is_there(stream) || stream.write_all(b"x").is_err(),
                None => false,
            };
            if lost {
                front.count_ended();
                *place = None;
            }
            match place {
                Some(_) => front.count(1),
                None => *place = begin(front, number),
            }
        }
        sleep(DRIBBLE.saturating_sub(turn.elapsed()));
    }
}

/// Connections that never log in, in their own rate; the oldest make room for new ones.
pub(super) fn connects(front: &Front, options: &Options, _: usize) {
    let mut pace = Pace::of(options.connects_per_second);
    let mut held = std::collections::VecDeque::new();
    let request = upgrade_request(front.to);
    while !front.is_over() {
        pace.wait(1);
        let Some(mut stream) = front.connect() else {
            continue;
        };
        // Every second one gets as far as it can without a login.
        if front
            .connected
            .load(std::sync::atomic::Ordering::Relaxed)
            .is_multiple_of(2)
            && stream.write_all(request.as_bytes()).is_err()
        {
            front.count_ended();
        }
        front.count(1);
        held.push_back(stream);
        if held.len() > options.connects {
            held.pop_front();
        }
    }
}

/// Whether the server has ended the connection; drops what it said.
fn is_lost(stream: &mut TcpStream) -> bool {
    let mut read = || -> std::io::Result<bool> {
        stream.set_nonblocking(true)?;
        let outcome = loop {
            match stream.read(&mut [0; 4096]) {
                Ok(0) => break Ok(true),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(false),
                Err(error) => break Err(error),
            }
        };
        stream.set_nonblocking(false)?;
        outcome
    };
    read().unwrap_or(true)
}
