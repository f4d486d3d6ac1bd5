//! The effect of slow clients on the others: latencies beside clients that do not read, and the memory needed to close
//! many of them.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use clap::Args;

use crate::load::Audience;
use crate::process::{Server, herald_binary};
use crate::report::{Round, spread};
use crate::request::{Trigger, broadcast};
use crate::run::{DELIVERIES, SETTLE, round};
use crate::session::{DESTINATION, connect, open};
use crate::{Outcome, slow::stuck::Stuck};

mod closed;
mod stuck;

/// What is measured, and how much of it.
#[derive(Args, Clone)]
pub struct Options {
    /// Sessions that read.
    #[arg(long, default_value_t = 5_000)]
    sessions: usize,
    /// Turns; each measures without the stuck sessions, then with them.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Sessions that never read, in each turn with stuck ones; one more reads a byte a second.
    #[arg(long, default_value_t = 1)]
    stuck: usize,
    /// Sessions that never read while broadcasts go on until all are closed.
    #[arg(long, default_value_t = 500)]
    closed: usize,
    /// Size of those broadcasts' bodies.
    #[arg(long, default_value_t = 16 * 1024)]
    body_bytes: usize,
    /// The program to measure; none: the `herald` beside this one.
    #[arg(long)]
    herald: Option<PathBuf>,
}

/// Runs both parts and prints them. Either is left out if its number of sessions is 0.
pub fn run(options: &Options) -> Outcome<()> {
    if options.sessions > 0 {
        beside_stuck(options)?;
    }
    if options.closed > 0 {
        closed::run(options)?;
    }
    Ok(())
}

fn beside_stuck(options: &Options) -> Outcome<()> {
    let sessions = options.sessions;
    let herald = Server::herald(&herald_binary(options.herald.as_ref())?, &[])?;
    let mut sockets = Vec::with_capacity(sessions);
    for number in 0..sessions {
        sockets.push(open(herald.address, number, "0,0")?.0);
    }
    let mut audience = Audience::new(sockets, connect(herald.address, 0)?)?;
    let request = broadcast(herald.address.port(), DESTINATION, &"x".repeat(128));
    let triggers = [Trigger::burst(&request, 1)];
    audience.learn(&triggers)?;
    let notifications = (DELIVERIES / sessions).max(1);
    let interval = Duration::from_micros(20 * sessions as u64);

    let mut measure = || {
        sleep(SETTLE);
        round(&herald, &mut audience, &triggers, 1, notifications, interval)
    };
    let mut rounds = Vec::new();
    let mut waiting_bytes = Vec::new();
    for _ in 0..options.rounds.max(1) {
        let without = measure()?;
        let stuck = Stuck::open(&herald, options.stuck)?;
        let with = measure()?;
        waiting_bytes.push(herald.metric("outbox_bytes")?);
        drop(stuck);
        rounds.push((without, with));
        if !herald.until_metric("outbox_bytes", |bytes| bytes == 0.0, Duration::from_secs(10))? {
            return Err("bytes still wait for sessions that are gone".into());
        }
    }
    println!(
        "\n{sessions} sessions that read; beside {} that never read and one that reads a byte a second \
         (KiB waiting for them at the end of a turn: {})",
        options.stuck,
        spread(waiting_bytes.iter().map(|bytes| bytes / 1024.0).collect()),
    );
    print(&rounds);
    Ok(())
}

fn print(rounds: &[(Round, Round)]) {
    println!(
        "{:<26}{:>24}{:>24}{:>24}",
        "", "without", "with", "with / without"
    );
    let line = |name: &str, figure: fn(&Round) -> f64| {
        let all =
            |pick: fn(&(Round, Round)) -> &Round| rounds.iter().map(pick).map(figure).collect::<Vec<_>>();
        let (without, with) = (all(|(without, _)| without), all(|(_, with)| with));
        let ratio = with
            .iter()
            .zip(&without)
            .map(|(with, without)| with / without)
            .collect();
        println!(
            "{name:<26}{:>24}{:>24}{:>24}",
            spread(without),
            spread(with),
            spread(ratio)
        );
    };
    line("CPU µs per delivery", |round| round.cpu_us);
    line("latency p50 ms", |round| round.latency.p50_ms);
    line("latency p99 ms", |round| round.latency.p99_ms);
    line("latency max ms", |round| round.latency.max_ms);
}
