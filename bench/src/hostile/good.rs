//! The good sessions: one thread reads them all, sends their heart-beats, and checks that each gets every
//! notification, once and in order.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::publisher::Times;
use crate::Outcome;
use crate::session::{client_frame, server_frame};

const BEAT: Duration = Duration::from_secs(5);
/// How long after the last publish a notification may still come.
const PATIENCE: Duration = Duration::from_secs(20);

struct Session {
    stream: mio::net::TcpStream,
    unread: Vec<u8>,
    next: usize,
    open: bool,
}

/// What the good sessions saw.
#[derive(Default)]
pub struct Tally {
    /// Notification and latency, of each delivery.
    latencies: Vec<(usize, Duration)>,
    /// Deliveries.
    pub delivered: usize,
    /// Notifications times sessions.
    pub expected: usize,
    /// Notifications that a session never got.
    pub lost: usize,
    /// Notifications that were not the one after the one before.
    pub disordered: usize,
    /// Sessions that the server closed.
    pub closed: usize,
}

impl Tally {
    /// The latencies of the notifications from `first` up to `end`.
    pub fn between(&self, first: usize, end: usize) -> Vec<Duration> {
        self.latencies
            .iter()
            .filter(|(number, _)| (first..end).contains(number))
            .map(|(_, latency)| *latency)
            .collect()
    }
}

/// The reading thread.
pub struct Good {
    /// How many notifications there are; `usize::MAX` until that is known.
    wanted: Arc<AtomicUsize>,
    thread: JoinHandle<Result<Tally, String>>,
}

impl Good {
    /// Takes the sessions over.
    pub fn start(sockets: Vec<TcpStream>, times: Arc<Times>) -> Outcome<Self> {
        let poll = Poll::new()?;
        let mut sessions = Vec::with_capacity(sockets.len());
        for (at, socket) in sockets.into_iter().enumerate() {
            socket.set_nonblocking(true)?;
            let mut stream = mio::net::TcpStream::from_std(socket);
            poll.registry()
                .register(&mut stream, Token(at), Interest::READABLE)?;
            sessions.push(Session {
                stream,
                unread: Vec::new(),
                next: 0,
                open: true,
            });
        }
        let wanted = Arc::new(AtomicUsize::new(usize::MAX));
        let told = wanted.clone();
        let thread = spawn(move || {
            read_all(poll, sessions, &times, &told).map_err(|error| format!("the good sessions: {error}"))
        });
        Ok(Self { wanted, thread })
    }

    /// Waits for what is still to come of `sent` notifications, and sums up.
    pub fn end(self, sent: usize) -> Outcome<Tally> {
        self.wanted.store(sent, Ordering::Release);
        Ok(self.thread.join().map_err(|_| "the reader panicked")??)
    }
}

fn read_all(
    mut poll: Poll,
    mut sessions: Vec<Session>,
    times: &Times,
    wanted: &AtomicUsize,
) -> Outcome<Tally> {
    let mut tally = Tally::default();
    let (mut events, mut buffer) = (Events::with_capacity(1_024), vec![0; 64 * 1024]);
    let (mut beat, mut deadline) = (Instant::now() + BEAT, None);
    loop {
        poll.poll(&mut events, Some(Duration::from_millis(200)))?;
        for event in &events {
            if let Some(session) = sessions.get_mut(event.token().0) {
                session.read(&mut buffer, times, &mut tally)?;
            }
        }
        if Instant::now() > beat {
            beat += BEAT;
            let frame = client_frame(b"\n");
            for session in sessions.iter_mut().filter(|session| session.open) {
                // A socket that is gone shows when it is read.
                let _ = session.stream.write(&frame);
            }
        }
        let sent = wanted.load(Ordering::Acquire);
        if sent < usize::MAX {
            let deadline = *deadline.get_or_insert(Instant::now() + PATIENCE);
            let missing = sessions.iter().filter(|session| session.next < sent);
            if missing.clone().all(|session| !session.open) || Instant::now() > deadline {
                tally.lost += missing.map(|session| sent - session.next).sum::<usize>();
                tally.expected = sent * sessions.len();
                return Ok(tally);
            }
        }
    }
}

impl Session {
    fn read(&mut self, buffer: &mut [u8], times: &Times, tally: &mut Tally) -> Outcome<()> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return self.ended(tally),
                Ok(length) => {
                    self.unread
                        .extend_from_slice(buffer.get(..length).unwrap_or_default());
                    self.take(times, tally);
                    if length < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.ended(tally),
            }
        }
    }

    fn ended(&mut self, tally: &mut Tally) -> Outcome<()> {
        if self.open {
            tally.closed += 1;
            eprintln!(
                "a good session was closed: {}",
                String::from_utf8_lossy(&self.unread)
            );
        }
        self.open = false;
        Ok(())
    }

    /// Takes the whole frames of what was read; `number` stands in the last bytes of a MESSAGE's body.
    fn take(&mut self, times: &Times, tally: &mut Tally) {
        let mut rest = self.unread.as_slice();
        while let Some((start, end)) = server_frame(rest) {
            let payload = rest.get(start..end).unwrap_or_default();
            if payload.starts_with(b"MESSAGE\n") {
                let digits = payload
                    .len()
                    .checked_sub(21)
                    .and_then(|at| payload.get(at..payload.len() - 1));
                let number = digits
                    .and_then(|digits| std::str::from_utf8(digits).ok())
                    .and_then(|digits| digits.parse::<usize>().ok());
                if number == Some(self.next) {
                    tally.delivered += 1;
                    tally
                        .latencies
                        .extend(times.since(self.next).map(|latency| (self.next, latency)));
                } else {
                    tally.disordered += 1;
                    tally.lost += number.map_or(0, |number| number.saturating_sub(self.next));
                }
                self.next = number.map_or(self.next, |number| self.next.max(number + 1));
            } else if payload.starts_with(b"ERROR\n") {
                eprintln!("a good session got: {}", String::from_utf8_lossy(payload));
            }
            rest = rest.get(end..).unwrap_or_default();
        }
        let taken = self.unread.len() - rest.len();
        self.unread.drain(..taken);
    }
}
