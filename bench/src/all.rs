//! All scenarios, one after the other, each as a separate process, so that none inherits another's memory or
//! descriptors.

use std::env;
use std::process::Command;
use std::time::Instant;

use clap::Args;

use crate::Outcome;

/// One scenario per line, by its arguments.
const SCENARIOS: &[&str] = &[
    "run --sessions 1000",
    "run --sessions 5000",
    "run --sessions 9000",
    "run --sessions 1000 --burst 16",
    "run --sessions 5000 --burst 16",
    "users",
    "users --nats",
    "users --array 1",
    "tracing",
    "publish",
    "storm",
    "storm --distinct",
    "idle",
];

/// What is run.
#[derive(Args, Clone)]
pub struct Options {
    /// Only scenarios whose line contains this.
    #[arg(long, default_value = "")]
    only: String,
}

/// Runs them all. One that fails does not keep the others from running.
pub fn run(options: &Options) -> Outcome<()> {
    let began = Instant::now();
    let mut failed = Vec::new();
    for scenario in SCENARIOS.iter().filter(|line| line.contains(&options.only)) {
        let status = Command::new(env::current_exe()?)
            .args(scenario.split(' '))
            .status()?;
        if !status.success() {
            failed.push(*scenario);
        }
    }
    println!("\nAll of it took {} s.", began.elapsed().as_secs());
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("failed: {}", failed.join("; ")).into()),
    }
}
