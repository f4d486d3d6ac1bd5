//! What an attack costs everyone else: good sessions, in turns quiet and under attack. Every notification must reach
//! every good session, in order; only time may suffer.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;

use crate::Outcome;
use crate::attack::{self, Kind};
use crate::process::{Server, herald_binary};
use crate::report::Latency;
use crate::session::{Dialogue, connect, open};

mod good;
mod publisher;

use good::{Good, Tally};
use publisher::Publisher;

/// After an attack the server has to clear away what is left of it; nothing is measured meanwhile.
const SETTLE: Duration = Duration::from_secs(3);
const LOGIN_EVERY: Duration = Duration::from_millis(500);

/// What is measured, and how much of it.
#[derive(Args, Clone)]
pub struct Options {
    /// Good sessions; each gets every notification.
    #[arg(long, default_value_t = 500)]
    sessions: usize,
    /// Turns; each is quiet, then attacked.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of quiet in a turn.
    #[arg(long, default_value_t = 8)]
    quiet_seconds: u64,
    /// Seconds of attack in a turn.
    #[arg(long, default_value_t = 20)]
    attack_seconds: u64,
    /// Milliseconds from one notification to the next.
    #[arg(long, default_value_t = 50)]
    interval_ms: u64,
    /// One turn for each kind of attack by itself, instead of all at once.
    #[arg(long)]
    each: bool,
    /// Settings of the server, as in its environment: `HERALD_LIMITS__OUTBOX_BYTES=1MiB`.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// The program to measure; none: the `herald` beside this one.
    #[arg(long)]
    herald: Option<PathBuf>,
    #[command(flatten)]
    attack: attack::Options,
}

/// A phase of the run: which notifications belong to it, and what else was observed.
struct Phase {
    name: String,
    first: usize,
    end: usize,
    cpu: f64,
    logins: Vec<Duration>,
    refused_logins: usize,
    report: String,
}

/// Runs everything and prints it. Fails if a notification was lost or arrived out of order.
pub fn run(options: &Options) -> Outcome<()> {
    let settings: Vec<(&str, &str)> = options
        .settings
        .iter()
        .map(|setting| setting.split_once('=').ok_or("--set NAME=VALUE"))
        .collect::<Result<_, _>>()?;
    let herald = Server::herald(&herald_binary(options.herald.as_ref())?, &settings)?;
    let mut sockets = Vec::with_capacity(options.sessions);
    for number in 0..options.sessions {
        sockets.push(open(herald.address, number, "0,10000")?.0);
    }
    // Every demo user has logged in: their later logins with the right password need no hash.
    let publisher = Publisher::start(&herald, Duration::from_millis(options.interval_ms))?;
    let good = Good::start(sockets, publisher.times())?;
    let mut phases = Vec::new();
    let quiet = Duration::from_secs(options.quiet_seconds);
    let turns: Vec<Vec<Kind>> = match options.each {
        true => options
            .attack
            .kinds()
            .into_iter()
            .map(|kind| vec![kind])
            .collect(),
        false => vec![options.attack.kinds(); options.rounds.max(1)],
    };
    for kinds in turns {
        sleep(SETTLE);
        phases.push(phase("quiet", &herald, &publisher, || {
            Ok((probe_logins(&herald, quiet), String::new()))
        })?);
        let name = match kinds.as_slice() {
            [kind] => kind.name(),
            _ => "attack",
        };
        phases.push(phase(name, &herald, &publisher, || {
            let attack = attack::start(&options.attack, &kinds, herald.address, options.attack_seconds)?;
            let logins = probe_logins(&herald, Duration::from_secs(options.attack_seconds));
            Ok((logins, attack.end()?))
        })?);
    }
    let sent = publisher.stop()?;
    let tally = good.end(sent)?;
    print(options, &phases, &tally, &herald)?;
    match tally.lost + tally.disordered + tally.closed {
        0 => Ok(()),
        _ => Err("good sessions were closed, or did not get every notification in order".into()),
    }
}

type Logins = (Vec<Duration>, usize);

fn phase(
    name: &str,
    herald: &Server,
    publisher: &Publisher,
    body: impl FnOnce() -> Outcome<(Logins, String)>,
) -> Outcome<Phase> {
    let (first, cpu, began) = (publisher.sent(), herald.cpu()?, Instant::now());
    let ((logins, refused_logins), report) = body()?;
    Ok(Phase {
        name: name.to_owned(),
        first,
        end: publisher.sent(),
        cpu: (herald.cpu()?.saturating_sub(cpu)).as_secs_f64() / began.elapsed().as_secs_f64(),
        logins,
        refused_logins,
        report,
    })
}

/// A newcomer every half second: how long a login takes, and how many fail.
fn probe_logins(herald: &Server, time: Duration) -> Logins {
    let (end, mut taken, mut refused) = (Instant::now() + time, Vec::new(), 0);
    let mut next = Instant::now();
    while next < end {
        sleep(next.saturating_duration_since(Instant::now()));
        let began = Instant::now();
        let log_in = || -> Outcome<()> {
            let mut newcomer = Dialogue::new(connect(herald.address, 1)?);
            newcomer.upgrade(herald.address)?;
            newcomer.log_in(2, "0,0")
        };
        match log_in() {
            Ok(()) => taken.push(began.elapsed()),
            Err(_) => refused += 1,
        }
        next = (next + LOGIN_EVERY).max(Instant::now());
    }
    (taken, refused)
}

fn print(options: &Options, phases: &[Phase], tally: &Tally, herald: &Server) -> Outcome<()> {
    println!(
        "\n{} good sessions, a notification every {} ms; attacks from {} addresses",
        options.sessions,
        options.interval_ms,
        options.attack.addresses(),
    );
    println!(
        "{:<14}{:>11}{:>9}{:>9}{:>9}{:>7}{:>22}",
        "", "deliveries", "p50 ms", "p99 ms", "max ms", "cores", "logins ok/no, p50 ms"
    );
    let mut merged: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for phase in phases {
        let latencies = tally.between(phase.first, phase.end);
        let (latency, logins) = (Latency::of(latencies.clone()), Latency::of(phase.logins.clone()));
        println!(
            "{:<14}{:>11}{:>9.2}{:>9.2}{:>9.2}{:>7.2}{:>14}/{} {:>6.1}",
            phase.name,
            latency.count,
            latency.p50_ms,
            latency.p99_ms,
            latency.max_ms,
            phase.cpu,
            phase.logins.len(),
            phase.refused_logins,
            logins.p50_ms,
        );
        merged.entry(&phase.name).or_default().extend(latencies);
    }
    let quiet = Latency::of(merged.remove("quiet").unwrap_or_default());
    for (name, latencies) in merged {
        let attacked = Latency::of(latencies);
        println!(
            "p99 {name} / quiet: {:.2} ms / {:.2} ms = {:.2}; p50: {:.2} / {:.2} = {:.2}",
            attacked.p99_ms,
            quiet.p99_ms,
            attacked.p99_ms / quiet.p99_ms,
            attacked.p50_ms,
            quiet.p50_ms,
            attacked.p50_ms / quiet.p50_ms,
        );
    }
    for phase in phases.iter().filter(|phase| !phase.report.is_empty()) {
        println!("{}: {}", phase.name, phase.report);
    }
    println!(
        "{} deliveries of {} expected; lost {}, out of order or twice {}, good sessions closed {}; peak RSS {:.1} MiB",
        tally.delivered,
        tally.expected,
        tally.lost,
        tally.disordered,
        tally.closed,
        herald.peak_rss_bytes()? as f64 / 1_048_576.0,
    );
    Ok(())
}
