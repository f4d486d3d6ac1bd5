//! The definition of the command line. The subcommands other than `serve` are modules below, and the exit codes.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Arguments;

pub mod api_key;
pub mod bundle;
pub mod check;
pub mod client;
pub mod context;
pub mod doctor;
pub mod exit;
pub mod explain;
pub mod hash_password;
pub mod health;
pub mod manual;
mod paint;
pub mod subject;
pub mod token;

/// A gateway for notifications: REST and NATS in, STOMP over WebSocket out.
#[derive(Debug, Parser)]
#[command(name = "herald", version, arg_required_else_help = true)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs an instance until SIGTERM.
    #[command(after_help = "Examples:
  herald serve --demo
  herald serve --config /etc/herald/herald.toml
  HERALD_BUS__URL=nats://10.0.0.5:4222 herald serve --config herald.toml --listen 0.0.0.0:8080")]
    Serve(ConfigArgs),
    /// Prints the effective configuration without secrets, and the source of each value.
    #[command(after_help = "Examples:
  herald check --config herald.toml
  herald check --production --config herald.toml
  HERALD_BUS__URL=nats://10.0.0.5:4222 herald check --config herald.toml")]
    Check(check::CheckArgs),
    /// Makes API keys.
    #[command(
        subcommand,
        after_help = "Examples:
  herald api-key new orders --destination '/queue/orders/**' >> keys.toml
  herald api-key new scraper --scope metrics --key-file scraper.key >> keys.toml"
    )]
    ApiKey(api_key::ApiKey),
    /// Checks whether an instance with this configuration can run here, and says what to do if it cannot.
    Doctor(DoctorArgs),
    /// Shows who would receive a notification and why others would not, or which rule decides a permission.
    Explain(Box<explain::ExplainArgs>),
    /// Asks a running instance whether it is ready; exit code 0 or 1.
    Health(health::HealthArgs),
    /// Reads a password and prints its argon2id hash for the configuration or a users file.
    #[command(after_help = "Examples:
  herald hash-password
  printf '%s\\n' 'correct horse' | herald hash-password")]
    HashPassword,
    /// Makes and inspects tokens, and shows the keys of issuers.
    #[command(
        subcommand,
        after_help = "Examples:
  herald token mint --demo --user alice
  herald token inspect --config herald.toml token.txt
  herald token keys --config herald.toml"
    )]
    Token(token::Token),
    /// Publishes a notification.
    Publish(client::publish::PublishArgs),
    /// Sends a SEND frame like a browser, and prints the answer of a backend.
    Send(client::send::SendArgs),
    /// Subscribes to destinations and prints each message.
    Subscribe(client::subscribe::SubscribeArgs),
    /// Shows the users online in the cluster, or one user's sessions.
    Users(client::users::UsersArgs),
    /// Shows the live instances and their load.
    Instances(client::instances::InstancesArgs),
    /// Shows the sessions that send most.
    Senders(client::senders::SendersArgs),
    /// Ends a user's sessions on all instances.
    Disconnect(client::disconnect::DisconnectArgs),
    /// Revokes tokens or blocks a user in the whole cluster; lists and lifts revocations.
    Revoke(client::revoke::RevokeArgs),
    /// Manages contexts: named addresses and credentials of Heralds.
    #[command(
        subcommand,
        after_help = "Examples:
  herald context add prod --url https://herald.example.com --key-file ~/.config/herald/prod.key --select
  herald context ls
  herald context select prod"
    )]
    Context(context::ContextCommand),
    /// Checks that Herald works from here: logs in, subscribes, publishes and receives once.
    Probe(client::probe::ProbeArgs),
    /// Shows or changes the log level of a running instance.
    LogLevel(client::log_level::LogLevelArgs),
    /// Prints the NATS subject of a destination.
    Subject(subject::SubjectArgs),
    /// Moves a share of an instance's sessions to the others.
    Shed(client::shed::ShedArgs),
    /// Shows the busiest destinations of an instance.
    Tap(client::tap::TapArgs),
    /// Puts a light load on a running Herald and measures delivery times.
    Bench(client::bench::BenchArgs),
    /// Collects configuration, doctor, metrics and log in an archive for support, without secrets.
    SupportBundle(Box<bundle::BundleArgs>),
    /// Prints completions for a shell.
    Completions(manual::CompletionsArgs),
    /// Prints the manual page, or writes all manual pages to a folder.
    Man(manual::ManArgs),
}

/// The configuration. Values also come from HERALD_ environment variables, such as HERALD_HTTP__LISTEN.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// The TOML file to read. Default: the file that HERALD_CONFIG names, if any.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// For trying out: users test1 to test10 and admin with the password `test`, and anybody who can reach the port may
    /// publish. Settings in the file or in variables (api.access, users with these names, auth.issuers) take
    /// precedence.
    #[arg(long)]
    pub demo: bool,
    /// The address to listen on, such as 127.0.0.1:8080 (http.listen).
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
}

/// The arguments of `herald doctor`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  herald doctor --config herald.toml
  herald doctor --demo --listen 127.0.0.1:8090 --json")]
pub struct DoctorArgs {
    /// The configuration, as for `serve`.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Prints each check as one line of JSON.
    #[arg(long)]
    pub json: bool,
}

impl From<ConfigArgs> for Arguments {
    fn from(flags: ConfigArgs) -> Self {
        Self {
            config: flags.config,
            listen: flags.listen,
            demo: flags.demo,
        }
    }
}

impl Cli {
    /// Reads this process's arguments. `Err` means that there is nothing to run and everything has been said; it
    /// holds the exit code: 0 after `--help` or `--version`, else [`exit::USAGE`] (clap's own 2 means something else
    /// to many shells).
    pub fn from_process() -> Result<Self, u8> {
        Self::try_parse().map_err(|error| {
            // There is nobody to tell if standard error is gone.
            let _ = error.print();
            exit_code(&error)
        })
    }
}

fn exit_code(error: &clap::Error) -> u8 {
    match error.kind() {
        clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion => 0,
        _ => exit::USAGE,
    }
}

/// Says on standard error why the program ends, without characters that control a terminal. Unlike `eprintln!` it does
/// not panic if nobody reads.
pub fn complain(message: &dyn std::fmt::Display) {
    let message = message.to_string();
    let _ = writeln!(std::io::stderr().lock(), "herald: {}", paint::printable(&message));
}

#[cfg(test)]
mod tests;
