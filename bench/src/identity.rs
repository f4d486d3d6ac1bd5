//! What identity costs: tokens that are proven or remembered, storms of logins by token, renewals, ends, floods of bad
//! tokens, revocations; and TLS beside plain connections in the same run. Ends by itself.

use std::path::PathBuf;

use clap::Args;

use crate::Outcome;
use crate::process::{Server, herald_binary};
use crate::table::{Measure, measure};

mod certificate;
mod delivery;
mod ends;
mod flood;
mod herd;
mod idle;
mod issuer;
mod rate;
mod renewals;
mod revoke;
mod rules;
mod storms;
mod trusting;

/// What is measured, by the word that picks it.
const ROWS: &[(&str, Measure<Options>)] = &[
    ("rate", rate::run),
    ("storms", storms::run),
    ("renewals", renewals::run),
    ("ends", ends::run),
    ("flood", flood::run),
    ("delivery", delivery::run),
    ("idle", idle::run),
    ("rules", rules::run),
    ("revoke", revoke::run),
];

/// What is measured, and how much of it.
#[derive(Args, Clone)]
pub struct Options {
    /// Only rows with this word: rate, storms, renewals, ends, flood, delivery, idle, rules, revoke.
    #[arg(long, default_value = "")]
    only: String,
    /// Turns of each measurement.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Sessions of a storm, of renewals and of ends.
    #[arg(long, default_value_t = 5_000)]
    sessions: usize,
    /// Requests of a turn that measures a rate.
    #[arg(long, default_value_t = 5_000)]
    requests: usize,
    /// The program to measure; none: the `herald` beside this one.
    #[arg(long)]
    herald: Option<PathBuf>,
}

impl Options {
    fn start(&self, settings: &[(&str, &str)]) -> Outcome<Server> {
        Server::herald(&herald_binary(self.herald.as_ref())?, settings)
    }

    /// The same, where nobody publishes without a key.
    fn start_guarded(&self, settings: &[(&str, &str)]) -> Outcome<Server> {
        Server::guarded(&herald_binary(self.herald.as_ref())?, settings)
    }
}

/// Runs the rows and prints their table.
pub fn run(options: &Options) -> Outcome<()> {
    measure(ROWS, &options.only, options)
}
