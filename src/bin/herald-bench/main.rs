//! The load program. `run`: what one delivery costs Herald in CPU time and latency, and one idle session in memory,
//! next to a floor that no gateway can pass: one thread that does nothing but `write(2)` the same bytes to as many
//! sockets. `slow`: what clients that do not read cost the others. `hostile`: what an attack does. Knows Herald from
//! outside only.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

mod attack;
mod floor;
mod hostile;
mod load;
mod memory;
mod process;
mod report;
mod run;
mod session;
mod slow;

/// Whatever goes wrong ends the run with its words.
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
    /// Starts Herald and the floor, opens the sessions and measures both in turns.
    Run(Options),
    /// Measures what clients that do not read cost the others, and the memory they can take.
    Slow(slow::Options),
    /// Attacks Herald, and measures what that costs everyone else.
    Hostile(hostile::Options),
    /// The attacking process; started by `hostile`.
    #[command(hide = true)]
    Attack(attack::Order),
    /// The floor's server; started by `run`.
    #[command(hide = true)]
    Floor(FloorOptions),
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
    /// Seconds of heart-beats, one a second each way, before memory is read again.
    #[arg(long, default_value_t = 15)]
    beat_seconds: u64,
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
        Command::Run(options) => run::run(&options),
        Command::Slow(options) => slow::run(&options),
        Command::Hostile(options) => hostile::run(&options),
        Command::Attack(order) => attack::run(&order),
        Command::Floor(options) => floor::serve(options.sessions),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("herald-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
