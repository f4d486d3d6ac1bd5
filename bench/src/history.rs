//! The cost and the speed of history: each figure beside its floor, or beside the same without history, in turns in one
//! run. Starts its own `nats-server`s, and ends by itself.

use std::path::PathBuf;

use clap::Args;

use crate::Outcome;
use crate::process::{Server, herald_binary};
use crate::table::{Measure, measure};

mod arrays;
mod broadcast;
mod catch_up;
mod comeback;
mod failures;
mod file;
mod nats;
mod post;
mod reads;
mod wire;

use nats::Nats;

/// What is measured, by the word that picks it.
const ROWS: &[(&str, Measure<Options>)] = &[
    ("broadcast", broadcast::run),
    ("post", post::run),
    ("file", file::run),
    ("arrays", arrays::run),
    ("storm", comeback::run),
    ("reads", reads::run),
    ("catch-up", catch_up::run),
    ("failures", failures::run),
];

/// What is measured, and how much of it.
#[derive(Args, Clone)]
pub struct Options {
    /// Only rows with this word: broadcast, post, file, arrays, storm, reads, catch-up, failures.
    #[arg(long, default_value = "")]
    only: String,
    /// Turns of each measurement.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Sessions of a broadcast, and users of arrays.
    #[arg(long, default_value_t = 1_000)]
    sessions: usize,
    /// Clients of a storm.
    #[arg(long, default_value_t = 5_000)]
    storm: usize,
    /// Notifications to catch up with.
    #[arg(long, default_value_t = 300_000)]
    backlog: usize,
    /// Size of a notification's body.
    #[arg(long, default_value_t = 128)]
    body_bytes: usize,
    /// The program to measure; none: the `herald` beside this one.
    #[arg(long)]
    herald: Option<PathBuf>,
}

/// Runs the rows and prints their table.
pub fn run(options: &Options) -> Outcome<()> {
    measure(ROWS, &options.only, options)
}

/// On which bus a Herald is, and whether it keeps a history.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bus {
    /// The embedded one, with or without history in memory.
    Embedded(bool),
    /// NATS without history.
    Core,
    /// NATS with so many replicas of each stream, on as many servers.
    Stream(usize),
}

/// A Herald, and its NATS servers.
struct Side {
    herald: Server,
    nats: Option<Nats>,
}

impl Side {
    fn start(options: &Options, bus: Bus, more: &[(&str, &str)]) -> Outcome<Self> {
        let nats = match bus {
            Bus::Embedded(_) => None,
            Bus::Core => Some(Nats::start(1)?),
            Bus::Stream(replicas) => Some(Nats::start(replicas)?),
        };
        let url = nats.as_ref().map(Nats::url);
        let replicas = match bus {
            Bus::Stream(replicas) => replicas.to_string(),
            _ => "1".to_owned(),
        };
        let enabled = match bus {
            Bus::Embedded(true) | Bus::Stream(_) => "true",
            Bus::Embedded(false) | Bus::Core => "false",
        };
        let mut settings = vec![
            ("HERALD_HISTORY__ENABLED", enabled),
            ("HERALD_HISTORY__REPLICAS", &replicas),
        ];
        settings.extend(url.as_deref().map(|url| ("HERALD_BUS__URL", url)));
        settings.extend(more);
        let herald = Server::herald(&herald_binary(options.herald.as_ref())?, &settings)?;
        Ok(Self { herald, nats })
    }

    fn nats(&self) -> Outcome<&Nats> {
        self.nats.as_ref().ok_or_else(|| "no NATS on this side".into())
    }
}

/// The order of `count` sides in a round: each is first, second and last equally often.
fn in_turn(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| (round + place) % count)
}
