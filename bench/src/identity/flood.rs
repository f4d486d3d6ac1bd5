//! A flood of tokens with bad signatures from sixteen addresses: its cost for existing sessions, and how long newcomers
//! take. Once with Herald's delays, and once without, when each has to be verified.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::Options;
use super::issuer::{API_KEY, Algorithm, Issuer, in_an_hour};
use super::rate::{NOBODY, post};
use crate::Outcome;
use crate::process::Server;
use crate::report::{Latency, spread};
use crate::session::{DESTINATION, Dialogue, connect, connect_frame_by, connect_from};
use crate::storm::Stayed;
use crate::table::Table;

/// Sessions that stayed.
const STAYED: usize = 100;
/// Bad tokens a second.
const RATE: u64 = 20_000;
/// Where they come from: 127.0.2.1 and on.
const ADDRESSES: u8 = 16;
/// Connections of each address: more than wait for a delay at once.
const CONNECTIONS: usize = 40;
/// How long it lasts, and how long it is quiet before.
const TIME: Duration = Duration::from_secs(8);
const LOGIN_EVERY: Duration = Duration::from_millis(200);

/// Measures and adds its rows.
pub fn run(options: &Options, table: &mut Table) -> Outcome<()> {
    for (what, more) in [
        ("", None),
        (
            ", without delays: each is verified",
            Some(("HERALD_LOGIN__FREE_FAILURES_PER_ADDRESS", "4000000000")),
        ),
    ] {
        let issuer = Issuer::new(Algorithm::Rs256)?;
        let config = issuer.config();
        let mut settings = vec![("HERALD_CONFIG", config.as_str())];
        settings.extend(more);
        let herald = options.start_guarded(&settings)?;
        let mut sockets = Vec::with_capacity(STAYED);
        for (number, token) in issuer.tokens(STAYED, 0, in_an_hour()?)?.iter().enumerate() {
            let mut dialogue = Dialogue::new(connect(herald.address, number)?);
            dialogue.upgrade(herald.address)?;
            dialogue.say(&connect_frame_by(token))?;
            dialogue.expect("CONNECTED\n")?;
            dialogue.subscribe("0", DESTINATION)?;
            sockets.push(dialogue.stream);
        }
        let stayed = Stayed::of(&herald, sockets, &post(herald.address, DESTINATION, API_KEY))?;
        let (mut quiet, mut attacked, mut ratio, mut logins) = (vec![], vec![], vec![], vec![]);
        let (mut answered, mut verified) = (vec![], vec![]);
        for round in 0..3_u64 {
            sleep(Duration::from_secs(2));
            stayed.turn()?;
            sleep(TIME);
            let before = stayed.turn()?;
            let flood = Flood::start(&herald, &issuer, round)?;
            let checked = refused(&herald)?;
            let took = newcomers(&herald, &issuer, round)?;
            let during = stayed.turn()?;
            answered.push(flood.end()? as f64 / TIME.as_secs_f64());
            verified.push((refused(&herald)? - checked) / TIME.as_secs_f64());
            quiet.push(before.p99_ms);
            attacked.push(during.p99_ms);
            ratio.push(during.p99_ms / before.p99_ms);
            logins.push(took.max_ms);
        }
        table.pair(
            &format!("p99 of deliveries under a flood of bad signatures from {ADDRESSES} addresses{what}"),
            "≤ 5 ×",
            "ms",
            &attacked,
            ("quiet", &quiet),
        );
        table.row(
            &format!("that flood{what}"),
            &format!("{RATE} a second"),
            &format!("{} answered a second", spread(answered)),
            &format!("{} signatures verified a second", spread(verified)),
        );
        table.row(
            &format!("the slowest of the newcomers' logins meanwhile{what}"),
            "≤ 1,000 ms",
            &format!("{} ms", spread(logins)),
            "",
        );
    }
    Ok(())
}

/// Tokens that were refused by their signature.
fn refused(herald: &Server) -> Outcome<f64> {
    herald.metric("tokens_total{issuer=\"https://bench.example\",result=\"signature\"}")
}

/// Logins by good tokens from another address, one after the other.
fn newcomers(herald: &Server, issuer: &Issuer, round: u64) -> Outcome<Latency> {
    let (began, mut took) = (Instant::now(), Vec::new());
    let ends = in_an_hour()?;
    while began.elapsed() < TIME {
        let token = issuer.token(took.len(), 1_000_000 * (1 + round), ends)?;
        let before = Instant::now();
        let mut dialogue = Dialogue::new(connect(herald.address, 15)?);
        dialogue.upgrade(herald.address)?;
        dialogue.say(&connect_frame_by(&token))?;
        dialogue.expect("CONNECTED\n")?;
        took.push(before.elapsed());
        sleep(LOGIN_EVERY.saturating_sub(before.elapsed()));
    }
    Ok(Latency::of(took))
}

/// The attacker: a thread.
struct Flood {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<Result<(), String>>,
}

impl Flood {
    fn start(herald: &Server, issuer: &Issuer, round: u64) -> Outcome<Self> {
        let token = issuer.token(0, 77 + round, in_an_hour()?)?;
        let (text, signature) = token.rsplit_once('.').ok_or("a token has three parts")?;
        // The signature's first letters count up: another token each time.
        let tail = signature.get(8..).ok_or("a signature is longer")?;
        let request = post(herald.address, NOBODY, &format!("{text}.########{tail}"));
        let at = memchr::memmem::find(&request, b"########").ok_or("no place for the count")?;
        let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let thread = {
            let (to, over, answered) = (herald.address, Arc::clone(&over), Arc::clone(&answered));
            spawn(move || pour(to, &request, at, &over, &answered).map_err(|error| error.to_string()))
        };
        Ok(Self {
            over,
            answered,
            thread,
        })
    }

    /// Ends it; how many answers there were.
    fn end(self) -> Outcome<u64> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the attacker panicked")??;
        Ok(self.answered.load(Ordering::Relaxed))
    }
}

struct Asker {
    stream: mio::net::TcpStream,
    is_waiting: bool,
}

fn pour(to: SocketAddr, request: &[u8], at: usize, over: &AtomicBool, answered: &AtomicU64) -> Outcome<()> {
    let mut poll = Poll::new()?;
    let registry = poll.registry().try_clone()?;
    let mut events = Events::with_capacity(1_024);
    let open = |number: usize| -> Outcome<Asker> {
        let source = Ipv4Addr::new(127, 0, 2, 1 + (number % usize::from(ADDRESSES)) as u8);
        let socket = connect_from(to, source, None)?;
        socket.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(socket);
        registry.register(&mut stream, Token(number), Interest::READABLE)?;
        Ok(Asker {
            stream,
            is_waiting: false,
        })
    };
    let count = usize::from(ADDRESSES) * CONNECTIONS;
    let mut askers = (0..count).map(open).collect::<Outcome<Vec<_>>>()?;
    let mut idle: std::collections::VecDeque<usize> = (0..count).collect();
    let mut request = request.to_vec();
    let (began, mut sent, mut chunk) = (Instant::now(), 0_u64, [0; 4096]);
    while !over.load(Ordering::Relaxed) {
        let due = (began.elapsed().as_micros() as u64) * RATE / 1_000_000;
        while sent < due {
            let Some(number) = idle.pop_front() else {
                // What cannot be asked now is not made up for.
                sent = due;
                break;
            };
            let Some(asker) = askers.get_mut(number) else {
                continue;
            };
            sent += 1;
            let digits = format!("{:08}", sent % 100_000_000);
            if let Some(place) = request.get_mut(at..at + 8) {
                place.copy_from_slice(digits.as_bytes());
            }
            asker.is_waiting = asker.stream.write_all(&request).is_ok();
            if !asker.is_waiting {
                *asker = open(number)?;
                idle.push_back(number);
            }
        }
        poll.poll(&mut events, Some(Duration::from_millis(1)))?;
        for event in &events {
            let number = event.token().0;
            let Some(asker) = askers.get_mut(number) else {
                continue;
            };
            let is_open = loop {
                match asker.stream.read(&mut chunk) {
                    Ok(0) => break false,
                    // An answer is one write of a few hundred bytes.
                    Ok(_) => {
                        if std::mem::take(&mut asker.is_waiting) {
                            answered.fetch_add(1, Ordering::Relaxed);
                            idle.push_back(number);
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break true,
                    Err(_) => break false,
                }
            };
            if !is_open {
                let was_waiting = asker.is_waiting;
                *asker = open(number)?;
                if was_waiting {
                    idle.push_back(number);
                }
            }
        }
    }
    Ok(())
}
