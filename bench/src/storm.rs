//! A storm of logins, as when another instance has died: all clients arrive at once, and refused ones return when they
//! were told, or soon. Beside them are existing sessions, whose notifications must not be late.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

use clap::Args;

use crate::Outcome;
use crate::load::Audience;
use crate::people::{People, name};
use crate::process::{Server, cpu_of, herald_binary};
use crate::report::{Latency, line};
use crate::request::{Trigger, broadcast};
use crate::session::{DESTINATION, PASSCODE, connect, connect_frame_of, open};

mod crowd;

pub use crowd::{Again, Crowd};

/// From one notification to the sessions that stayed to the next.
const EVERY: Duration = Duration::from_millis(50);

/// What is measured, and how much of it.
#[derive(Args, Clone)]
pub struct Options {
    /// Clients that come at once.
    #[arg(long, default_value_t = 5_000)]
    sessions: usize,
    /// Sessions that stayed.
    #[arg(long, default_value_t = 100)]
    stayed: usize,
    /// Turns, each with a Herald of its own.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// As many distinct users as clients, instead of the ten demo users.
    #[arg(long)]
    distinct: bool,
    /// Memory of a distinct user's password hash, one pass over it, in KiB.
    #[arg(long, default_value_t = 2_048)]
    hash_kib: u32,
    /// Herald's `login.queue`; none: its default.
    #[arg(long)]
    login_queue: Option<usize>,
    /// Herald's `login.queue_timeout`; none: its default.
    #[arg(long)]
    login_queue_timeout: Option<String>,
    /// When a client that was refused comes again.
    #[arg(long, value_enum, default_value_t = Again::Told)]
    again: Again,
    /// The program to measure; none: the `herald` beside this one.
    #[arg(long)]
    herald: Option<PathBuf>,
}

/// Runs it and prints it.
pub fn run(options: &Options) -> Outcome<()> {
    let people = match options.distinct {
        true => Some(People::write(options.sessions, options.hash_kib)?),
        false => None,
    };
    let file = people
        .as_ref()
        .map(|people| people.file.to_string_lossy().into_owned());
    let queue = options.login_queue.map(|queue| queue.to_string());
    let mut settings = Vec::new();
    settings.extend(file.as_deref().map(|file| ("HERALD_AUTH__USERS_FILE", file)));
    settings.extend(queue.as_deref().map(|queue| ("HERALD_LOGIN__QUEUE", queue)));
    let wait = options.login_queue_timeout.as_deref();
    settings.extend(wait.map(|wait| ("HERALD_LOGIN__QUEUE_TIMEOUT", wait)));

    let mut lines = [(); 8].map(|()| Vec::new());
    for _ in 0..options.rounds.max(1) {
        let herald = Server::herald(&herald_binary(options.herald.as_ref())?, &settings)?;
        let stayed = Stayed::start(&herald, options.stayed)?;
        sleep(Duration::from_secs(2));
        let hash_seconds = match &people {
            Some(people) => people.check_time()?.as_secs_f64() * options.sessions as f64,
            None => f64::NAN,
        };
        let quiet = stayed.turn()?;
        let user = |number: usize| match options.distinct {
            true => name(number),
            false => format!("test{}", 1 + number % 10),
        };
        let frame = |number: usize| connect_frame_of(&user(number), PASSCODE, "0,0");
        let before = (herald.cpu()?, cpu_of("self")?, herald.rss_bytes()?);
        let storm = Crowd::storm(
            herald.address,
            options.sessions,
            options.again,
            frame,
            None,
            Vec::new(),
        )?;
        let cpu = (herald.cpu()? - before.0, cpu_of("self")? - before.1);
        let peak = herald.peak_rss_bytes()?.saturating_sub(before.2);
        let during = stayed.end()?;
        lines[0].push(storm.took.as_secs_f64());
        lines[1].push(storm.refused as f64);
        lines[2].push(quiet.max_ms);
        lines[3].push(during.max_ms);
        // The machine's permits: half of its cores.
        let permits = std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1));
        lines[4].push(storm.took.as_secs_f64() / (hash_seconds / permits as f64));
        lines[5].push(cpu.0.as_secs_f64());
        lines[6].push(cpu.1.as_secs_f64());
        lines[7].push(peak as f64 / options.sessions as f64 / 1024.0);
    }
    let who = match options.distinct {
        true => format!("distinct users, hashes over {} KiB", options.hash_kib),
        false => "ten demo users".to_owned(),
    };
    println!(
        "\nA storm of {} logins with two subscriptions each, {who}; beside {} sessions that stayed; {} rounds",
        options.sessions, options.stayed, options.rounds
    );
    let [took, refused, quiet, during, ratio, own, load, peak] = lines;
    line("all back after, s", took);
    line("refused as overloaded, came again", refused);
    line("slowest notification before, ms", quiet);
    line("slowest notification during, ms", during);
    line("CPU of Herald, s", own);
    line("CPU of the load program, s", load);
    line("peak RSS a client, KiB", peak);
    if options.distinct {
        line("time / (argon2 time / permits)", ratio);
    }
    Ok(())
}

/// Sessions that stayed, and a thread that notifies them.
pub struct Stayed {
    thread: std::thread::JoinHandle<Result<(), String>>,
    seen: Arc<parking_lot::Mutex<Vec<Duration>>>,
    over: Arc<AtomicBool>,
}

impl Stayed {
    /// `count` of them, as the demo users, of a Herald that lets anyone publish.
    pub fn start(herald: &Server, count: usize) -> Outcome<Self> {
        let mut sockets = Vec::with_capacity(count);
        for number in 0..count.max(1) {
            sockets.push(open(herald.address, number, "0,0")?.0);
        }
        let request = broadcast(herald.address.port(), DESTINATION, &"x".repeat(128));
        Self::of(herald, sockets, &request)
    }

    /// These, each subscribed to where `request` publishes.
    pub fn of(herald: &Server, sockets: Vec<std::net::TcpStream>, request: &[u8]) -> Outcome<Self> {
        let mut audience = Audience::new(sockets, connect(herald.address, 0)?)?;
        let triggers = [Trigger::burst(request, 1)];
        audience.learn(&triggers)?;
        let (seen, over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let thread = {
            let (seen, over): (Arc<parking_lot::Mutex<Vec<Duration>>>, _) = (Arc::clone(&seen), over.clone());
            spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let mut latencies = Vec::new();
                    audience
                        .notify(&triggers, 1, &mut latencies)
                        .map_err(|error| error.to_string())?;
                    seen.lock().append(&mut latencies);
                    sleep(EVERY);
                }
                Ok(())
            })
        };
        Ok(Self { thread, seen, over })
    }

    /// The latencies since the last turn.
    pub fn turn(&self) -> Outcome<Latency> {
        match self.thread.is_finished() {
            true => Err("those who stayed lost a notification".into()),
            false => Ok(Latency::of(std::mem::take(&mut *self.seen.lock()))),
        }
    }

    /// The latencies since the last turn; they leave.
    pub fn end(self) -> Outcome<Latency> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the publisher panicked")??;
        let latencies = std::mem::take(&mut *self.seen.lock());
        Ok(Latency::of(latencies))
    }
}
