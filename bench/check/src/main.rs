//! Checks that Herald keeps its promise of docs/history.md: sessions, publishers and faults around the real program,
//! and a verdict on what each session saw. Knows Herald only from outside, by STOMP over WebSocket, REST, processes and
//! signals; shares no code with it.

#![allow(unreachable_pub, reason = "a program has no callers")]
#![allow(
    clippy::disallowed_methods,
    reason = "sessions and publishers are awaited, which tells of a panic; a proxy's connection ends with its task"
)]

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

use options::{Arguments, Mode};
use run::{Folder, Report};

mod fault;
mod frame;
mod options;
mod plant;
mod process;
mod proxy;
mod publisher;
mod recorded;
mod report;
mod run;
mod session;
mod verdict;
mod world;

/// An error ends the run with its words.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let (options, rolling) = match Arguments::parse().mode {
        Mode::Faults(options) => (options, false),
        Mode::Rolling(options) => (options, true),
    };
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let outcome = match options.problem(rolling) {
        Some(problem) => Err(problem.into()),
        None => check(options, rolling, seed),
    };
    match outcome {
        Ok(report) if report.verdict.holds() => ExitCode::SUCCESS,
        Ok(_) => {
            eprintln!("herald-check: Herald broke its promise, with seed {seed}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("herald-check: {error} (seed {seed})");
            ExitCode::from(2)
        }
    }
}

/// Runs, prints the table, and keeps the logs if something is wrong.
fn check(options: options::Options, rolling: bool, seed: u64) -> Outcome<Report> {
    eprintln!("seed {seed}");
    let folder = Folder::new(seed)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(run::run(options, rolling, seed, &folder));
    runtime.shutdown_background();
    if let Ok(report) = &outcome {
        println!("{report}");
    }
    match &outcome {
        Ok(report) if report.verdict.holds() => folder.remove(),
        _ => eprintln!("herald-check: the logs are in {}", folder.path.display()),
    }
    outcome
}
