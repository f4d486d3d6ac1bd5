//! Resumes from beyond the memory of the instance, eight at the same time, and their effect on the notifications of
//! others.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::comeback::{READS, RESUMES};
use super::wire::Wire;
use super::{Bus, Options, Side};
use crate::Outcome;
use crate::load::Audience;
use crate::people::{CHEAP_KIB, People, name};
use crate::report::{Latency, spread};
use crate::request::{Trigger, broadcast};
use crate::run::SETTLE;
use crate::session::{DESTINATION, Dialogue, connect, header};
use crate::table::Table;

/// Resumes at the same time, each of a user of its own.
const AT_ONCE: usize = 8;
/// Resumes of each in a turn.
const TIMES: usize = 40;
/// What each user has missed, spread over all that is stored.
const MISSED: usize = 20;
/// What is stored for others in between. JetStream goes through all of it for each page.
const OTHERS: [usize; 2] = [2_000, 20_000];
/// Sessions that only listen.
const LISTENING: usize = 100;
/// From one broadcast to them to the next.
const EVERY: Duration = Duration::from_millis(10);

/// Measures and adds its rows.
pub fn run(options: &Options, table: &mut Table) -> Outcome<()> {
    OTHERS
        .iter()
        .try_for_each(|others| among(*others, options, table))
}

fn among(stored: usize, options: &Options, table: &mut Table) -> Outcome<()> {
    let people = People::write(options.sessions.max(AT_ONCE + LISTENING), CHEAP_KIB)?;
    let file = people.file.to_string_lossy();
    let settings = [
        ("HERALD_AUTH__USERS_FILE", &*file),
        ("HERALD_HISTORY__TAIL_BYTES", "1MiB"),
        ("HERALD_LIMITS__SUBSCRIBES_PER_SESSION", "off"),
    ];
    let side = Side::start(options, Bus::Stream(1), &settings)?;
    let to = side.herald.address;
    let mut resumers = Vec::new();
    for number in 0..AT_ONCE {
        resumers.push(Resumer::new(to, number)?);
    }
    let mut wire = side.nats()?.wire()?;
    let body = vec![b'x'; options.body_bytes];
    let others: Vec<String> = (0..100)
        .map(|number| format!("herald.user.other{number}.queue.bench"))
        .collect();
    let own: Vec<String> = (0..AT_ONCE)
        .map(|number| format!("herald.user.{}.queue.bench", name(number)))
        .collect();
    for _ in 0..MISSED {
        wire.store(&own, AT_ONCE, &body)?;
        wire.store(&others, stored / MISSED, &body)?;
    }
    let last = (AT_ONCE * MISSED + stored) as f64;
    let read = |head: f64| head >= last;
    side.herald
        .until_metric("history_head{kind=\"user\"}", read, Duration::from_secs(20))?;

    let mut wire = side.nats()?.wire()?;
    wire.watch(READS, RESUMES)?;
    let sockets = (0..LISTENING).map(|number| open_as(to, AT_ONCE + number));
    let mut audience = Audience::new(sockets.collect::<Outcome<_>>()?, connect(to, 0)?)?;
    let request = broadcast(to.port(), DESTINATION, &"x".repeat(options.body_bytes));
    let triggers = [Trigger::burst(&request, 1)];
    audience.learn(&triggers)?;

    let (mut fresh, mut resumed, mut quiet, mut busy) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut worst, mut cpu, mut of_nats) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        for (with, took, others) in [(false, &mut fresh, &mut quiet), (true, &mut resumed, &mut busy)] {
            sleep(SETTLE);
            audience.renew_trigger()?;
            let over = AtomicBool::new(false);
            let before = (side.herald.cpu_of_threads()?, side.nats()?.cpu()?);
            let (times, latencies) = thread::scope(|scope| -> Outcome<_> {
                let mut threads = Vec::new();
                for resumer in &mut resumers {
                    threads.push(scope.spawn(move || resumer.turn(with).map_err(|error| error.to_string())));
                }
                let over = &over;
                let joined = scope.spawn(move || {
                    let all = threads
                        .into_iter()
                        .map(|thread| thread.join().map_err(|_| "panicked".to_owned())?);
                    let all: Result<Vec<_>, String> = all.collect();
                    over.store(true, Ordering::Relaxed);
                    all
                });
                let mut latencies = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    audience.notify(&triggers, 1, &mut latencies)?;
                    sleep(EVERY);
                }
                let times = joined.join().map_err(|_| "panicked")??;
                Ok((times.concat(), latencies))
            })?;
            let times = Latency::of(times);
            took.push(times.p50_ms);
            if with {
                let each = |spent: Duration| spent.as_secs_f64() * 1e3 / (AT_ONCE * TIMES) as f64;
                cpu.push(each(side.herald.cpu_of_threads()?.saturating_sub(before.0)));
                of_nats.push(each(side.nats()?.cpu()?.saturating_sub(before.1)));
                worst.push(times.p99_ms);
            }
            others.push(Latency::of(latencies).p99_ms);
        }
    }
    wire.sync()?;
    let seen = wire.seen;
    let raw = raw_reads(&side)?;
    let what = format!("resume outside the tail, {AT_ONCE} at once, {MISSED} missed of {stored} stored");
    let beside = format!(
        "SUBSCRIBE without a position {}, the read alone, {AT_ONCE} at once, {raw:.2}",
        spread(fresh)
    );
    let figure = format!("{} ms", spread(resumed.clone()));
    table.row(&format!("{what}: p50"), "≤ 5 ms", &figure, &beside);
    table.pair(&format!("{what}: p99"), "", "ms", &worst, ("p50", &resumed));
    table.pair(
        &format!("{what}: p99 of live broadcasts to {LISTENING} others"),
        "unmoved",
        "ms",
        &busy,
        ("without resumes", &quiet),
    );
    let beside = format!("nats-server's {}", spread(of_nats));
    let figure = format!("{} ms", spread(cpu));
    table.row(
        &format!("{what}: Herald's CPU of one, with the broadcasts meanwhile"),
        "",
        &figure,
        &beside,
    );
    let resumes = options.rounds * AT_ONCE * TIMES;
    table.row(
        &what,
        "",
        &format!("{seen} requests to read for {resumes} resumes"),
        "",
    );
    Ok(())
}

/// The same reads without Herald, as many at once: p50 in ms.
fn raw_reads(side: &Side) -> Outcome<f64> {
    let mut wires = Vec::new();
    for number in 0..AT_ONCE {
        wires.push((
            side.nats()?.wire()?,
            format!("herald.user.{}.queue.bench", name(number)),
        ));
    }
    let one = |wire: &mut Wire, subject: &str| -> Outcome<Duration> {
        let began = Instant::now();
        match wire.read_of("HERALD_USER", subject)? {
            MISSED => Ok(began.elapsed()),
            other => Err(format!("{other} read of {MISSED}").into()),
        }
    };
    let times = thread::scope(|scope| {
        let threads: Vec<_> = wires
            .iter_mut()
            .map(|(wire, subject)| {
                let all = move || {
                    (0..TIMES)
                        .map(|_| one(wire, subject).map_err(|error| error.to_string()))
                        .collect()
                };
                scope.spawn(all)
            })
            .collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "panicked".to_owned())?);
        joined.collect::<Result<Vec<Vec<Duration>>, String>>()
    })?;
    Ok(Latency::of(times.concat()).p50_ms)
}

fn open_as(to: SocketAddr, number: usize) -> Outcome<std::net::TcpStream> {
    let mut dialogue = Dialogue::new(connect(to, number)?);
    dialogue.upgrade(to)?;
    dialogue.log_in_as(&name(number), "0,0")?;
    dialogue.subscribe("0", DESTINATION)?;
    Ok(dialogue.stream)
}

/// A session that comes back to its destination again and again.
struct Resumer {
    dialogue: Dialogue,
    position: String,
}

impl Resumer {
    fn new(to: SocketAddr, number: usize) -> Outcome<Self> {
        let mut dialogue = Dialogue::new(connect(to, number)?);
        dialogue.upgrade(to)?;
        dialogue.log_in_as(&name(number), "0,0")?;
        let mut resumer = Self {
            dialogue,
            position: String::new(),
        };
        resumer.once(false)?;
        Ok(resumer)
    }

    fn turn(&mut self, with: bool) -> Outcome<Vec<Duration>> {
        (0..TIMES).map(|_| self.once(with)).collect()
    }

    /// Subscribes, with its position or without; how long it took to have all that was missed.
    fn once(&mut self, with: bool) -> Outcome<Duration> {
        let last = match with {
            true => format!("last-message-id:{}\n", self.position),
            false => String::new(),
        };
        let began = Instant::now();
        self.dialogue.say(&format!(
            "SUBSCRIBE\nid:0\ndestination:/user{DESTINATION}\nreceipt:r\n{last}\n\0"
        ))?;
        let (_, receipt) = self.dialogue.frame()?;
        if with && header(&receipt, "recovered") != Some("true") {
            return Err(format!("not recovered: {}", String::from_utf8_lossy(&receipt)).into());
        }
        let replayed: usize = header(&receipt, "replayed").map_or(Ok(0), str::parse)?;
        for _ in 0..replayed {
            self.dialogue.expect("MESSAGE\n")?;
        }
        let took = began.elapsed();
        if with && replayed != MISSED {
            return Err(format!("{replayed} replayed of {MISSED}").into());
        }
        if self.position.is_empty() {
            header(&receipt, "position")
                .unwrap_or_default()
                .clone_into(&mut self.position);
        }
        self.dialogue.say("UNSUBSCRIBE\nid:0\nreceipt:u\n\n\0")?;
        self.dialogue.expect("RECEIPT\n")?;
        Ok(took)
    }
}
