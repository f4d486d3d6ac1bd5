//! The attack on a server on loopback, as a separate process, bounded in connections, rate and time. Each kind is one
//! or a few threads with their own source addresses, 127.0.2.1 and on, so that limits per address can be tested.

use std::env;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use crate::Outcome;

mod churn;
mod flood;
mod held;
mod useless;

/// What an attacker does.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Request heads that never end: some of a few bytes, some almost as long as they may be; then a byte at a time.
    Heads,
    /// Half a WebSocket frame, half a STOMP frame, half a body; then a byte at a time.
    Halves,
    /// All of the largest frame but 40 bytes, in three ways; then a byte at a time.
    HalfFrames,
    /// Requests with large answers, 40 on each connection, of which none is read.
    Reads,
    /// Connections that never log in, half of them upgraded.
    Connects,
    /// Logins with wrong passwords.
    Passwords,
    /// Lengths of 2^40, huge `content-length`, a MiB before login, a head without end.
    Oversize,
    /// SUBSCRIBE and UNSUBSCRIBE without end.
    Subscribes,
    /// WebSocket pings without end.
    Pings,
    /// ACKs of an id that never was.
    Acks,
    /// Bodies for the chat, as many and as large as they may be, and larger.
    Bytes,
    /// Connections reset as they come, in the upgrade, and after login.
    Resets,
    /// No attack: threads that only take CPU time, as the attacker does on a machine that it shares with the server.
    Burn,
}

impl Kind {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Heads => "heads",
            Self::Halves => "halves",
            Self::HalfFrames => "half-frames",
            Self::Reads => "reads",
            Self::Connects => "connects",
            Self::Passwords => "passwords",
            Self::Oversize => "oversize",
            Self::Subscribes => "subscribes",
            Self::Pings => "pings",
            Self::Acks => "acks",
            Self::Bytes => "bytes",
            Self::Resets => "resets",
            Self::Burn => "burn",
        }
    }
}

/// How much of each kind. A rate of 0 is full speed, a number of connections of 0 is none.
#[derive(Args, Clone, Copy, Debug)]
#[group(id = "attack")]
pub struct Options {
    /// Source addresses of each kind.
    #[arg(long = "attack-addresses", default_value_t = 16)]
    addresses: u8,
    /// Slow request heads at once.
    #[arg(long, default_value_t = 500)]
    heads: usize,
    /// Half frames at once.
    #[arg(long, default_value_t = 500)]
    halves: usize,
    /// Sessions at once that have sent almost all of a large frame.
    #[arg(long, default_value_t = 300)]
    half_frames: usize,
    /// Connections at once that ask and do not read.
    #[arg(long, default_value_t = 60)]
    reads: usize,
    /// Connections at once that never log in.
    #[arg(long, default_value_t = 10_000)]
    connects: usize,
    /// Those connects a second.
    #[arg(long, default_value_t = 2_000)]
    connects_per_second: u32,
    /// Wrong passwords waiting at once.
    #[arg(long, default_value_t = 400)]
    passwords: usize,
    /// Oversize frames at once.
    #[arg(long, default_value_t = 20)]
    oversize: usize,
    /// Oversize frames a second.
    #[arg(long, default_value_t = 0)]
    oversize_per_second: u32,
    /// Sessions that flood with SUBSCRIBE and UNSUBSCRIBE.
    #[arg(long, default_value_t = 8)]
    subscribes: usize,
    /// Sessions that flood with pings.
    #[arg(long, default_value_t = 8)]
    pings: usize,
    /// Sessions that flood with ACKs of nothing.
    #[arg(long, default_value_t = 8)]
    acks: usize,
    /// Sessions that flood the chat with bytes.
    #[arg(long, default_value_t = 8)]
    bytes: usize,
    /// Frames a second of each flooding session.
    #[arg(long, default_value_t = 0)]
    flood_per_second: u32,
    /// Threads that connect and reset.
    #[arg(long, default_value_t = 2)]
    resets: usize,
    /// Resets a second of each of them.
    #[arg(long, default_value_t = 1_000)]
    resets_per_second: u32,
    /// Threads that only take CPU time: for comparison, together with `--each`.
    #[arg(long, default_value_t = 0)]
    burn: usize,
    /// Added to the attacking process's niceness: an attacker has a machine of its own.
    #[arg(long, default_value_t = 0)]
    attack_nice: u8,
}

impl Options {
    /// The kinds with a number above 0.
    pub fn kinds(&self) -> Vec<Kind> {
        let kinds = Kind::value_variants().iter().copied();
        kinds.filter(|kind| self.connections(*kind) > 0).collect()
    }

    /// Source addresses of each kind.
    pub fn addresses(&self) -> u8 {
        self.addresses.max(1)
    }

    fn connections(&self, kind: Kind) -> usize {
        match kind {
            Kind::Heads => self.heads,
            Kind::Halves => self.halves,
            Kind::HalfFrames => self.half_frames,
            Kind::Reads => self.reads,
            Kind::Connects => self.connects,
            Kind::Passwords => self.passwords,
            Kind::Oversize => self.oversize,
            Kind::Subscribes => self.subscribes,
            Kind::Pings => self.pings,
            Kind::Acks => self.acks,
            Kind::Bytes => self.bytes,
            Kind::Resets => self.resets,
            Kind::Burn => self.burn,
        }
    }

    fn arguments(&self) -> Vec<String> {
        let figures = [
            ("--attack-addresses", usize::from(self.addresses)),
            ("--heads", self.heads),
            ("--halves", self.halves),
            ("--half-frames", self.half_frames),
            ("--reads", self.reads),
            ("--connects", self.connects),
            ("--connects-per-second", self.connects_per_second as usize),
            ("--passwords", self.passwords),
            ("--oversize", self.oversize),
            ("--oversize-per-second", self.oversize_per_second as usize),
            ("--subscribes", self.subscribes),
            ("--pings", self.pings),
            ("--acks", self.acks),
            ("--bytes", self.bytes),
            ("--flood-per-second", self.flood_per_second as usize),
            ("--resets", self.resets),
            ("--resets-per-second", self.resets_per_second as usize),
            ("--burn", self.burn),
        ];
        let text = |(name, figure): (&str, usize)| [name.to_owned(), figure.to_string()];
        figures.into_iter().flat_map(text).collect()
    }
}

/// The attacking process's arguments.
#[derive(Args, Clone)]
pub struct Order {
    #[arg(long)]
    to: SocketAddr,
    #[arg(long)]
    seconds: u64,
    #[arg(long, value_enum, value_delimiter = ',')]
    kinds: Vec<Kind>,
    #[command(flatten)]
    options: Options,
}

/// A running attack, killed when dropped.
pub struct Running {
    child: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Waits for its end and returns its report.
    pub fn end(mut self) -> Outcome<String> {
        let mut report = String::new();
        if let Some(output) = &mut self.child.stdout {
            output.read_to_string(&mut report)?;
        }
        Ok(report.trim().replace('\n', "; "))
    }
}

/// Starts this program as the attacker.
pub fn start(options: &Options, kinds: &[Kind], to: SocketAddr, seconds: u64) -> Outcome<Running> {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    let child = Command::new("nice")
        .args(["-n", &options.attack_nice.to_string()])
        .arg(env::current_exe()?)
        .args([
            "attack",
            "--to",
            &to.to_string(),
            "--seconds",
            &seconds.to_string(),
        ])
        .args(["--kinds", &names.join(",")])
        .args(options.arguments())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    Ok(Running { child })
}

/// Attacks, and reports what it did, one line per kind.
pub fn run(order: &Order) -> Outcome<()> {
    if !order.to.ip().is_loopback() {
        return Err("only a server on loopback".into());
    }
    let end = Instant::now() + Duration::from_secs(order.seconds);
    let mut running = Vec::new();
    for (at, kind) in order.kinds.iter().enumerate() {
        let front = Arc::new(Front {
            to: order.to,
            end,
            third_octet: 2 + at as u8,
            addresses: order.options.addresses(),
            connected: AtomicUsize::new(0),
            failed: AtomicU64::new(0),
            done: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        });
        let (options, kind) = (order.options, *kind);
        for work in front.clone().work(kind, &options) {
            running.push(spawn(work));
        }
        running.push(spawn(move || {
            sleep(end.saturating_duration_since(Instant::now()));
            front.report(kind);
        }));
    }
    for thread in running {
        thread.join().map_err(|_| "an attacker panicked")?;
    }
    Ok(())
}

type Work = Box<dyn FnOnce() + Send>;

/// One kind's part of the attack: the target, the sources, the deadline, and its counts.
struct Front {
    to: SocketAddr,
    end: Instant,
    third_octet: u8,
    addresses: u8,
    connected: AtomicUsize,
    failed: AtomicU64,
    done: AtomicU64,
    ended: AtomicU64,
}

impl Front {
    fn work(self: Arc<Self>, kind: Kind, options: &Options) -> Vec<Work> {
        let (options, count) = (*options, options.connections(kind));
        let each = |count: usize, work: fn(&Self, &Options, usize)| -> Vec<Work> {
            let one = |number| -> Work {
                let front = self.clone();
                Box::new(move || work(&front, &options, number))
            };
            (0..count).map(one).collect()
        };
        match kind {
            Kind::Heads => each(1, held::heads),
            Kind::Halves => each(1, held::halves),
            Kind::HalfFrames => each(1, held::half_frames),
            Kind::Reads => each(1, held::reads),
            Kind::Connects => each(1, held::connects),
            Kind::Passwords => each(4, churn::passwords),
            Kind::Oversize => each(count, churn::oversize),
            Kind::Subscribes => each(count, flood::subscribes),
            Kind::Pings => each(count, flood::pings),
            Kind::Acks => each(count, useless::acks),
            Kind::Bytes => each(count, useless::bytes),
            Kind::Resets => each(count, churn::resets),
            Kind::Burn => each(count, burn),
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    /// A connection from the next of the kind's addresses. A failure is counted, and costs a moment, so that a server
    /// that refuses is not asked in a tight loop.
    fn connect(&self) -> Option<std::net::TcpStream> {
        self.connect_with(None)
    }

    /// The same with a receive buffer of `receive_bytes` where given.
    fn connect_with(&self, receive_bytes: Option<usize>) -> Option<std::net::TcpStream> {
        let number = self.connected.fetch_add(1, Ordering::Relaxed);
        let last = 1 + (number % usize::from(self.addresses)) as u8;
        let source = Ipv4Addr::new(127, 0, self.third_octet, last);
        let stream = crate::session::connect_from(self.to, source, receive_bytes).ok();
        if stream.is_none() {
            self.failed.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(10));
        }
        stream
    }

    fn count(&self, actions: u64) {
        self.done.fetch_add(actions, Ordering::Relaxed);
    }

    fn count_ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    fn report(&self, kind: Kind) {
        println!(
            "{} {} connects, {} failed, {} actions, {} ended by the server",
            kind.name(),
            self.connected.load(Ordering::Relaxed),
            self.failed.load(Ordering::Relaxed),
            self.done.load(Ordering::Relaxed),
            self.ended.load(Ordering::Relaxed),
        );
    }
}

/// Keeps a rate; 0 is full speed.
struct Pace {
    every: Duration,
    due: Instant,
}

impl Pace {
    fn of(per_second: u32) -> Self {
        Self {
            every: match per_second {
                0 => Duration::ZERO,
                rate => Duration::from_secs(1) / rate,
            },
            due: Instant::now(),
        }
    }

    /// Waits until `actions` more are due. What was missed is not made up for.
    fn wait(&mut self, actions: u32) {
        self.due = (self.due + self.every * actions).max(Instant::now());
        if !self.every.is_zero() {
            sleep(self.due.saturating_duration_since(Instant::now()));
        }
    }
}

fn burn(front: &Front, _: &Options, _: usize) {
    while !front.is_over() {
        std::hint::spin_loop();
    }
}
