//! One notification per POST: the time until the answer, and until it reaches the browser, and its cost for Herald;
//! over NATS without history, with one replica and with three.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream as Blocking;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::{Bus, Options, Side, in_turn};
use crate::Outcome;
use crate::load::answer_length;
use crate::publish::rate_of;
use crate::report::Latency;
use crate::request::notifications;
use crate::run::SETTLE;
use crate::session::{connect, open_of, server_frame};
use crate::table::Table;

/// POSTs in a turn.
const TIMES: usize = 400;
/// POSTs before the first turn.
const WARM: usize = 200;
/// An answer and a delivery that take longer end the run.
const PATIENCE: Duration = Duration::from_secs(10);
/// Publishers at the same time, and for how long.
const CONNECTIONS: usize = 16;
const SECONDS: u64 = 1;

struct Measured {
    side: Side,
    poll: Poll,
    publisher: TcpStream,
    session: TcpStream,
    request: Vec<u8>,
}

/// Measures and adds its rows.
pub fn run(options: &Options, table: &mut Table) -> Outcome<()> {
    let mut sides = Vec::new();
    for bus in [Bus::Core, Bus::Stream(1), Bus::Stream(3)] {
        sides.push(Measured::start(options, bus)?);
    }
    let mut figures = [(); 3].map(|()| [(); 4].map(|()| Vec::new()));
    for round in 0..options.rounds {
        for at in in_turn(round, sides.len()) {
            if let (Some(side), Some(lines)) = (sides.get_mut(at), figures.get_mut(at)) {
                let turn = side.turn(options)?;
                for (line, figure) in lines.iter_mut().zip(turn) {
                    line.push(figure);
                }
            }
        }
    }
    let [core, one, three] = &figures;
    for (name, kept, post, browser, cpu) in [
        ("R1", one, "core + 0.3 ms", "core + 0.3 ms", "core + 6 µs"),
        ("R3", three, "core + 0.8 ms", "core + 1 ms", ""),
    ] {
        let [answered, delivered, alone, many] = kept;
        let beside = |at: usize| ("core", core.get(at).map_or(&[][..], Vec::as_slice));
        table.pair(&format!("POST, p50, {name}"), post, "ms", answered, beside(0));
        table.pair(
            &format!("REST to browser, p50, {name}"),
            browser,
            "ms",
            delivered,
            beside(1),
        );
        let what = format!("Herald's CPU of a POST with its delivery, one at a time, {name}");
        table.pair(&what, cpu, "µs", alone, beside(2));
        let what = format!("Herald's CPU of a POST to nobody, {CONNECTIONS} at a time, {name}");
        table.pair(&what, cpu, "µs", many, beside(3));
    }
    Ok(())
}

impl Measured {
    fn start(options: &Options, bus: Bus) -> Outcome<Self> {
        let side = Side::start(options, bus, &[])?;
        let (to, user) = (side.herald.address, "test1".to_owned());
        let poll = Poll::new()?;
        let own = |stream: Blocking, token: usize| -> Outcome<TcpStream> {
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry()
                .register(&mut stream, Token(token), Interest::READABLE)?;
            Ok(stream)
        };
        let session = own(open_of(to, 0, &user)?, 1)?;
        let publisher = own(connect(to, 0)?, 0)?;
        let request = notifications(to.port(), &[user], options.body_bytes);
        let mut measured = Self {
            side,
            poll,
            publisher,
            session,
            request,
        };
        for _ in 0..WARM {
            measured.one()?;
        }
        Ok(measured)
    }

    /// p50 of the answers and of the deliveries in ms; CPU µs of a notification one at a time, and with many publishers.
    fn turn(&mut self, options: &Options) -> Outcome<[f64; 4]> {
        sleep(SETTLE);
        self.renew()?;
        let (mut answers, mut deliveries) = (Vec::new(), Vec::new());
        let herald = &self.side.herald;
        let before = herald.cpu_of_threads()?;
        for _ in 0..TIMES {
            let (answer, delivery) = self.one()?;
            answers.push(answer);
            deliveries.push(delivery);
        }
        let herald = &self.side.herald;
        let alone = herald.cpu_of_threads()?.saturating_sub(before);
        let request = notifications(herald.address.port(), &[], options.body_bytes);
        let before = herald.cpu_of_threads()?;
        let rate = rate_of(herald, &request, CONNECTIONS, SECONDS)?;
        let many = herald.cpu_of_threads()?.saturating_sub(before);
        Ok([
            Latency::of(answers).p50_ms,
            Latency::of(deliveries).p50_ms,
            alone.as_secs_f64() * 1e6 / TIMES as f64,
            many.as_secs_f64() * 1e6 / (rate * SECONDS as f64),
        ])
    }

    /// A new connection: an idle one is closed by `http.idle_timeout`.
    fn renew(&mut self) -> Outcome<()> {
        let stream = connect(self.side.herald.address, 0)?;
        stream.set_nonblocking(true)?;
        self.publisher = TcpStream::from_std(stream);
        let registry = self.poll.registry();
        registry.register(&mut self.publisher, Token(0), Interest::READABLE)?;
        self.one()?;
        Ok(())
    }

    /// One notification: until its answer, until it is at its session.
    fn one(&mut self) -> Outcome<(Duration, Duration)> {
        let mut events = Events::with_capacity(4);
        let (mut answer, mut frame) = (Vec::new(), Vec::new());
        let (mut answered, mut delivered) = (None, None);
        let began = Instant::now();
        self.publisher.write_all(&self.request)?;
        while answered.is_none() || delivered.is_none() {
            self.poll.poll(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                return Err(format!("no answer or no delivery within {PATIENCE:?}").into());
            }
            if answered.is_none()
                && read(&mut self.publisher, &mut answer)?
                && answer_length(&answer)?.is_some()
            {
                answered = Some(began.elapsed());
            }
            if delivered.is_none() && read(&mut self.session, &mut frame)? && server_frame(&frame).is_some() {
                delivered = Some(began.elapsed());
            }
        }
        answered.zip(delivered).ok_or_else(|| "no answer".into())
    }
}

/// Reads what is there; whether that is anything.
fn read(stream: &mut TcpStream, into: &mut Vec<u8>) -> Outcome<bool> {
    let mut chunk = [0; 4096];
    match stream.read(&mut chunk) {
        Ok(0) => Err("Herald closed a connection".into()),
        Ok(length) => {
            into.extend_from_slice(chunk.get(..length).unwrap_or_default());
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error.into()),
    }
}
