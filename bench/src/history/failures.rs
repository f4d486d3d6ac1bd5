//! One of three servers fails, or is stopped in order: how long a session receives nothing, while several publishers
//! continue.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::nats::Nats;
use super::{Bus, Options, Side};
use crate::Outcome;
use crate::report::spread;
use crate::request::broadcast;
use crate::session::{DESTINATION, Dialogue, connect};
use crate::table::Table;

/// Publishers, each of which waits for its answer before it publishes again.
const PUBLISHERS: usize = 8;
/// From an answer to the next publish.
const EVERY: Duration = Duration::from_millis(20);
/// How often each failure is tried.
const TIMES: usize = 3;
/// How long it is waited for the pause to be over, at most.
const PATIENCE: Duration = Duration::from_secs(20);
/// So long without a longer pause than this: it is over.
const CALM: Duration = Duration::from_millis(2_500);
/// The stream of broadcasts.
const STREAM: &str = "HERALD_BROADCAST";

/// Whom it hits, and how.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    LeaderKilled,
    LeaderStopped,
    ConsumersKilled,
}

/// Measures and adds its rows.
pub fn run(options: &Options, table: &mut Table) -> Outcome<()> {
    let mut side = Side::start(options, Bus::Stream(3), &[])?;
    let to = side.herald.address;
    let request = broadcast(to.port(), DESTINATION, &"x".repeat(options.body_bytes));
    let over = AtomicBool::new(false);
    let ear = Ear::new(to)?;
    let nats = side.nats.as_mut().ok_or("no NATS")?;
    thread::scope(|scope| -> Outcome<()> {
        for number in 0..PUBLISHERS {
            let (request, over) = (&request, &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    // What is refused, or breaks, is published again.
                    let _ = publish(to, number, request, over);
                }
            });
        }
        let outcome = failures(nats, &ear, table);
        over.store(true, Ordering::Relaxed);
        outcome
    })
}

fn failures(nats: &mut Nats, ear: &Ear, table: &mut Table) -> Outcome<()> {
    for (what, goal, failure) in [
        ("the stream's leader killed", "≤ 10 s", Failure::LeaderKilled),
        (
            "the stream's leader stopped in order",
            "≤ 0.5 s",
            Failure::LeaderStopped,
        ),
        (
            "the server of the consumer killed",
            "≤ 1.5 s",
            Failure::ConsumersKilled,
        ),
    ] {
        let (mut pauses, mut calm) = (Vec::new(), Vec::new());
        for _ in 0..TIMES {
            ear.forget();
            calm.push(ear.longest_pause()?);
            let at = match failure {
                Failure::ConsumersKilled => consumers(nats)?,
                _ => leader(nats)?,
            };
            ear.forget();
            nats.end(at, failure == Failure::LeaderStopped)?;
            pauses.push(ear.longest_pause()?);
            nats.start_again(at)?;
            whole(nats)?;
        }
        let figure = format!("{} s, R3, {PUBLISHERS} publishers", spread(pauses));
        table.row(
            &format!("{what}: live pause"),
            goal,
            &figure,
            &format!("before it {} s", spread(calm)),
        );
    }
    Ok(())
}

fn info(nats: &Nats) -> Outcome<serde_json::Value> {
    nats.wire()?.ask(&format!("$JS.API.STREAM.INFO.{STREAM}"), "")
}

fn leader(nats: &Nats) -> Outcome<usize> {
    let info = info(nats)?;
    let name = info["cluster"]["leader"].as_str();
    nats.place_of(name.ok_or("the stream has no leader")?)
}

/// The server of the consumer, once that is another one than the stream's leader, whose stepping down moves it.
fn consumers(nats: &Nats) -> Outcome<usize> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let list = nats.wire()?.ask(&format!("$JS.API.CONSUMER.LIST.{STREAM}"), "")?;
        let place = list["consumers"][0]["cluster"]["leader"].as_str();
        if let Some(place) = place.map(|name| nats.place_of(name)).transpose()?
            && leader(nats)? != place
        {
            return Ok(place);
        }
        nats.wire()?
            .ask(&format!("$JS.API.STREAM.LEADER.STEPDOWN.{STREAM}"), "")?;
        sleep(Duration::from_secs(1));
    }
    Err("the consumer stays with the leader".into())
}

/// Waits until all replicas are current.
fn whole(nats: &Nats) -> Outcome<()> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let info = info(nats)?;
        let replicas = info["cluster"]["replicas"].as_array();
        if replicas.is_some_and(|all| all.len() == 2 && all.iter().all(|one| one["current"] == true)) {
            return Ok(());
        }
        sleep(Duration::from_millis(200));
    }
    Err(format!("not all replicas are current after {PATIENCE:?}").into())
}

fn publish(to: SocketAddr, number: usize, request: &[u8], over: &AtomicBool) -> Outcome<()> {
    let mut stream = connect(to, number)?;
    while !over.load(Ordering::Relaxed) {
        stream.write_all(request)?;
        crate::load::read_answers(&mut stream, 1)?;
        sleep(EVERY);
    }
    Ok(())
}

/// A session that notes when it hears something, on a thread of its own.
struct Ear(Arc<Mutex<Heard>>);

struct Heard {
    last: Instant,
    longest: Duration,
    over: bool,
}

impl Ear {
    fn new(to: SocketAddr) -> Outcome<Self> {
        let mut dialogue = Dialogue::new(connect(to, 0)?);
        dialogue.upgrade(to)?;
        dialogue.log_in(1, "0,0")?;
        dialogue.subscribe("0", DESTINATION)?;
        let heard = Arc::new(Mutex::new(Heard {
            last: Instant::now(),
            longest: Duration::ZERO,
            over: false,
        }));
        let shared = heard.clone();
        thread::spawn(move || {
            // Anything but a MESSAGE is the end.
            while dialogue.expect("MESSAGE\n").is_ok() {
                let mut heard = shared.lock();
                heard.longest = heard.longest.max(heard.last.elapsed());
                heard.last = Instant::now();
            }
            shared.lock().over = true;
        });
        Ok(Self(heard))
    }

    /// Forgets the longest pause.
    fn forget(&self) {
        self.0.lock().longest = Duration::ZERO;
    }

    /// The longest pause between two notifications since it was forgotten, in seconds, once it is calm again.
    fn longest_pause(&self) -> Outcome<f64> {
        let (began, mut longest, mut calm) = (Instant::now(), Duration::ZERO, Instant::now());
        while calm.elapsed() < CALM {
            sleep(EVERY);
            let heard = self.0.lock();
            if heard.over || began.elapsed() > PATIENCE {
                return Err("the session hears nothing any more".into());
            }
            let pause = heard.longest.max(heard.last.elapsed());
            if pause > longest {
                longest = pause;
                calm = Instant::now();
            }
        }
        Ok(self.0.lock().longest.as_secs_f64())
    }
}
