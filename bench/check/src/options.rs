//! The options of a run on its command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::verdict::Allowed;

#[derive(Parser)]
#[command(
    name = "herald-check",
    about = "Checks from outside that Herald loses, doubles and reorders nothing while its processes and connections fail"
)]
pub struct Arguments {
    /// What is done to it.
    #[command(subcommand)]
    pub mode: Mode,
}

#[derive(Subcommand)]
pub enum Mode {
    /// Faults, one after the other, drawn from a seed.
    Faults(Options),
    /// All instances restarted in turn by SIGTERM; nothing may be missed. Needs NATS.
    Rolling(Options),
}

/// What runs, and how much of it.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Instances of Herald. Several need NATS.
    #[arg(long, default_value_t = 1)]
    pub instances: usize,
    /// NATS servers with JetStream; 0: the embedded bus.
    #[arg(long = "nats", default_value_t = 0)]
    pub servers: usize,
    /// Sessions; two have the same user.
    #[arg(long, default_value_t = 100)]
    pub sessions: usize,
    /// Notifications to users a second, over all users.
    #[arg(long, default_value_t = 200)]
    pub rate: u32,
    /// Broadcasts a second.
    #[arg(long, default_value_t = 5)]
    pub broadcasts: u32,
    /// Notifications in one request, at most: drawn for each.
    #[arg(long, default_value_t = 4)]
    pub array: usize,
    /// Size of a body, at least.
    #[arg(long, default_value_t = 20)]
    pub body_bytes: usize,
    /// How long faults go on, in seconds.
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
    /// Ends once so many are stored, if that is before `--seconds` are over.
    #[arg(long)]
    pub notifications: Option<u64>,
    /// From the end of one fault to the next, in milliseconds.
    #[arg(long, default_value_t = 2_000)]
    pub pause_ms: u64,
    /// How long a client waits before it connects again, in milliseconds.
    #[arg(long, default_value_t = 500)]
    pub reconnect_ms: u64,
    /// Heart-beats of the clients, in milliseconds; a silence of two is the end of a connection.
    #[arg(long, default_value_t = 2_000)]
    pub heartbeat_ms: u64,
    /// Kill and restart instances although their history goes with them (the embedded bus).
    #[arg(long)]
    pub forget: bool,
    /// `history.tail_bytes`. If it is small, positions expire, and sessions may be told so.
    #[arg(long)]
    pub tail_bytes: Option<String>,
    /// The history is so small that positions expire: sessions may be told so.
    #[arg(long)]
    pub expire: bool,
    /// Repeat what is not answered 202 under one `Idempotency-Key`: no attempt may be stored twice.
    #[arg(long)]
    pub keys: bool,
    /// Publish half of the arrays as a whole: all of one is stored or nothing, one behind the other.
    #[arg(long)]
    pub atomic: bool,
    /// Give a third of the notifications to users a short `ttl_ms`, and a third a `collapse` key.
    #[arg(long)]
    pub fleeting: bool,
    /// Put NATS back to a state that was copied before, or take all that it stored: sessions must be told so.
    #[arg(long)]
    pub rollback: bool,
    /// Draws the same faults again.
    #[arg(long)]
    pub seed: Option<u64>,
    /// A further setting of the instances, `HERALD_…=value`. May be repeated.
    #[arg(long)]
    pub set: Vec<String>,
    /// The program; none: the `herald` beside this one.
    #[arg(long)]
    pub herald: Option<PathBuf>,
}

impl Options {
    /// What is wrong with it.
    pub fn problem(&self, rolling: bool) -> Option<&'static str> {
        let embedded = self.servers == 0;
        if self.instances == 0 || self.sessions == 0 || self.rate == 0 {
            Some("--instances, --sessions and --rate must be at least 1")
        } else if embedded && self.instances > 1 {
            Some("several instances need --nats")
        } else if embedded && rolling {
            Some("`rolling` needs --nats: on the embedded bus a restart ends the history")
        } else if self.forget && !embedded {
            Some("--forget is for the embedded bus alone: with --nats no fault ends the history")
        } else if self.rollback && embedded {
            Some("--rollback needs --nats: what is put back is the folder of its streams")
        } else if self.keys && (self.atomic || self.rollback) {
            Some(
                "--keys goes neither with --atomic, which NATS refuses, nor with --rollback, which takes known keys away",
            )
        } else if self.array == 0 || self.array > 1_000 {
            Some("--array must be 1 to 1000")
        } else {
            None
        }
    }

    /// What Herald may say instead of recovering.
    pub fn allowed(&self, rolling: bool) -> Allowed {
        Allowed {
            epoch_changed: self.forget || self.rollback,
            expired: self.expire,
            too_many: self.expire,
            // While NATS is away a position outside of the tail cannot be judged.
            unavailable: self.servers > 0 && !rolling,
            every_outcome_is_known: self.keys,
        }
    }

    /// Users.
    pub fn users(&self) -> usize {
        self.sessions.div_ceil(2)
    }

    /// From the loss of a connection to the next.
    pub fn reconnect(&self) -> Duration {
        Duration::from_millis(self.reconnect_ms)
    }
}
