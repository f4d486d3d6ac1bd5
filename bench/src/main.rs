//! The load program: the cost of a delivery, a publish, a login and an idle session of Herald, each beside a floor that
//! no gateway can beat, such as one thread that only `write(2)`s the same bytes to as many sockets. `slow`: the effect
//! of clients that do not read on the others. `hostile`: the effect of an attack. Knows Herald only from outside,
//! except for the sizes of its types.

#![allow(unreachable_pub, reason = "a program has no callers")]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

mod all;
mod attack;
mod bare;
mod floor;
mod history;
mod hostile;
mod identity;
mod idle;
mod load;
mod people;
mod process;
mod publish;
mod report;
mod request;
mod run;
mod session;
mod sink;
mod slow;
mod storm;
mod table;
mod tracing;
mod users;
mod wire;

/// An error ends the run with its words.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

#[derive(Parser)]
#[command(
    about = "Measures Herald on loopback: against a bare write(2) loop, beside slow clients, under attack"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Every scenario of docs/performance.md but `slow`, `hostile`, `history` and `identity`.
    All(all::Options),
    /// Broadcasts: starts Herald and the floor, opens the sessions and measures both in turns.
    Run(Options),
    /// Notifications to single users, in arrays or one a POST, over the embedded bus or NATS.
    Users(users::Options),
    /// What tracing costs: off, at a ratio of 0.01 and of 1, in turns.
    Tracing(tracing::Options),
    /// The rate of publishing, next to a bare axum handler.
    Publish(publish::Options),
    /// What history costs, beside the same run without it; what resumes take, and failures of NATS.
    History(history::Options),
    /// What tokens cost: logins, renewals, ends, floods of bad ones; and TLS beside plain connections.
    Identity(identity::Options),
    /// Memory and CPU of idle sessions.
    Idle(idle::Options),
    /// Thousands of logins at once.
    Storm(storm::Options),
    /// Measures what clients that do not read cost the others, and the memory they can take.
    Slow(slow::Options),
    /// Attacks Herald, and measures what that costs everyone else.
    Hostile(hostile::Options),
    /// The attacking process; started by `hostile`.
    #[command(hide = true)]
    Attack(attack::Order),
    /// The floor's server; started by `run` and `users`.
    #[command(hide = true)]
    Floor(FloorOptions),
    /// The bare handler's server; started by `users` and `publish`.
    #[command(hide = true)]
    Bare,
}

/// What is measured, and how much of it.
#[derive(Args, Clone)]
pub struct Options {
    /// Sessions on each of the two servers.
    #[arg(long, default_value_t = 1_000)]
    sessions: usize,
    /// Turns; each measures Herald, then the floor.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Notifications in a turn; none: as many as make 200,000 deliveries.
    #[arg(long)]
    notifications: Option<usize>,
    /// Milliseconds from one notification to the next; none: 20 µs a session.
    #[arg(long)]
    interval_ms: Option<u64>,
    /// Size of a notification's body.
    #[arg(long, default_value_t = 128)]
    body_bytes: usize,
    /// Notifications sent at once, for a rate that saturates.
    #[arg(long, default_value_t = 1)]
    burst: usize,
    /// The program to measure; none: the `herald` beside this one.
    #[arg(long)]
    herald: Option<PathBuf>,
}

#[derive(Args, Clone)]
struct FloorOptions {
    #[arg(long)]
    sessions: usize,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::All(options) => all::run(&options),
        Command::Run(options) => run::run(&options),
        Command::Users(options) => users::run(&options),
        Command::Tracing(options) => tracing::run(&options),
        Command::Publish(options) => publish::run(&options),
        Command::History(options) => history::run(&options),
        Command::Identity(options) => identity::run(&options),
        Command::Idle(options) => idle::run(&options),
        Command::Storm(options) => storm::run(&options),
        Command::Slow(options) => slow::run(&options),
        Command::Hostile(options) => hostile::run(&options),
        Command::Attack(order) => attack::run(&order),
        Command::Floor(options) => floor::serve(options.sessions),
        Command::Bare => bare::serve(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("herald-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
