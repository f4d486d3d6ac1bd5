//! The rate of publishing over REST beside that of a bare axum handler that parses the same JSON: with nobody online,
//! and with many sessions that subscribe to something else.

use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::Outcome;
use crate::load::answer_length;
use crate::process::{Server, herald_binary};
use crate::report::{line, spread};
use crate::request::notifications;
use crate::run::SETTLE;
use crate::session::{connect, open};

/// An answer that takes longer ends the run.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is measured, and how much of it.
#[derive(Args, Clone)]
pub struct Options {
    /// Connections, each of which publishes again as soon as it has its answer.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Sessions online, in the turns with many.
    #[arg(long, default_value_t = 3_000)]
    sessions: usize,
    /// Turns; each measures the bare handler, Herald with nobody online, and Herald with the sessions.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of one measurement.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Size of a notification's body.
    #[arg(long, default_value_t = 128)]
    body_bytes: usize,
    /// The program to measure; none: the `herald` beside this one.
    #[arg(long)]
    herald: Option<PathBuf>,
}

/// Runs it and prints it.
pub fn run(options: &Options) -> Outcome<()> {
    let binary = herald_binary(options.herald.as_ref())?;
    let bare = Server::bare()?;
    let (empty, full) = (Server::herald(&binary, &[])?, Server::herald(&binary, &[])?);
    let mut sessions = Vec::with_capacity(options.sessions);
    for number in 0..options.sessions {
        sessions.push(open(full.address, number, "0,0")?);
    }
    let mut rates = [(); 5].map(|()| Vec::new());
    for _ in 0..options.rounds.max(1) {
        let of_bare = rate(&bare, options)?;
        let of_empty = rate(&empty, options)?;
        let of_full = rate(&full, options)?;
        let line = [of_bare, of_empty, of_full, of_empty / of_bare, of_full / of_empty];
        for (all, figure) in rates.iter_mut().zip(line) {
            all.push(figure);
        }
    }
    println!(
        "\nPublishing over {} connections; bodies of {} bytes; {} rounds of {} s each",
        options.connections, options.body_bytes, options.rounds, options.seconds
    );
    let [bare, empty, full, to_bare, to_empty] = rates;
    line("bare axum, POSTs a second", bare);
    line("Herald, nobody online", empty);
    line(&format!("Herald, {} sessions", options.sessions), full);
    println!("{:<34}{:>24}", "Herald / bare", spread(to_bare));
    println!("{:<34}{:>24}", "with sessions / with nobody", spread(to_empty));
    Ok(())
}

struct Publisher {
    stream: TcpStream,
    unread: Vec<u8>,
}

fn rate(server: &Server, options: &Options) -> Outcome<f64> {
    let request = notifications(server.address.port(), &[], options.body_bytes);
    rate_of(server, &request, options.connections, options.seconds)
}

/// Answered POSTs per second, over so many connections.
pub fn rate_of(server: &Server, request: &[u8], connections: usize, seconds: u64) -> Outcome<f64> {
    sleep(SETTLE);
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(256);
    let mut publishers = Vec::new();
    for number in 0..connections.max(1) {
        let socket = connect(server.address, number)?;
        socket.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(socket);
        poll.registry()
            .register(&mut stream, Token(number), Interest::READABLE)?;
        stream.write_all(request)?;
        let unread = Vec::new();
        publishers.push(Publisher { stream, unread });
    }
    let began = Instant::now();
    let end = began + Duration::from_secs(seconds.max(1));
    let mut answered = 0_u64;
    let mut chunk = [0; 4096];
    while Instant::now() < end {
        poll.poll(&mut events, Some(PATIENCE))?;
        if events.is_empty() {
            return Err(format!("no answer to a publish within {PATIENCE:?}").into());
        }
        for event in &events {
            let Some(publisher) = publishers.get_mut(event.token().0) else {
                continue;
            };
            loop {
                match publisher.stream.read(&mut chunk) {
                    Ok(0) => return Err("the server closed a publisher's connection".into()),
                    Ok(length) => publisher
                        .unread
                        .extend_from_slice(chunk.get(..length).unwrap_or_default()),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                }
                while let Some(length) = answer_length(&publisher.unread)? {
                    publisher.unread.drain(..length);
                    answered += 1;
                    publisher.stream.write_all(request)?;
                }
            }
        }
    }
    Ok(answered as f64 / began.elapsed().as_secs_f64())
}
