//! The command line: what it accepts, and the exit codes. The subcommands other than `serve` are modules below.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Arguments;

pub mod api_key;
pub mod check;
pub mod client;
pub mod doctor;
pub mod explain;
pub mod hash_password;
pub mod health;
pub mod manual;
mod paint;
pub mod token;

/// Something failed while running.
pub const EXIT_FAILURE: u8 = 1;
/// The command line is wrong (`EX_USAGE` of sysexits).
pub const EXIT_USAGE: u8 = 64;
/// The configuration is wrong (`EX_CONFIG` of sysexits).
pub const EXIT_CONFIG: u8 = 78;

/// A gateway for notifications: REST and NATS in, STOMP over WebSocket out.
#[derive(Debug, Parser)]
#[command(name = "herald", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs an instance until SIGTERM.
    Serve(ConfigArgs),
    /// Prints the configuration in force, secrets hidden, and where each value comes from.
    Check(check::CheckArgs),
    /// Makes keys of the REST interface.
    #[command(subcommand)]
    ApiKey(api_key::ApiKey),
    /// Looks whether an instance with this configuration can run here, and says what to do where not.
    Doctor(DoctorArgs),
    /// Explains a decision.
    #[command(subcommand)]
    Explain(explain::Explain),
    /// Asks a running instance whether it is ready; exit code 0 or 1.
    Health(health::HealthArgs),
    /// Reads a password and prints its argon2id hash for the configuration or a users file.
    HashPassword,
    /// Makes tokens, looks into them, and shows the keys of issuers.
    #[command(subcommand)]
    Token(token::Token),
    /// Publishes a notification.
    Publish(client::publish::PublishArgs),
    /// Prints what comes to destinations, as it comes.
    Subscribe(client::subscribe::SubscribeArgs),
    /// Shows who is online in the cluster, or one user's sessions.
    Users(client::users::UsersArgs),
    /// Shuts tokens or a user out of the cluster, lists who is shut out, lifts it again.
    Revoke(client::revoke::RevokeArgs),
    /// Shows what an instance fans out now, by destination.
    Tap(client::tap::TapArgs),
    /// Puts a light load on a running Herald and measures how long deliveries take.
    Bench(client::bench::BenchArgs),
    /// Prints the completions for a shell.
    Completions(manual::CompletionsArgs),
    /// Prints the manual page, or writes all of them into a folder.
    Man(manual::ManArgs),
}

/// Flags about the configuration. Values also come from HERALD_ environment variables, such as HERALD_HTTP__LISTEN.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// The TOML file to read; without it the one that HERALD_CONFIG names, or none.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// To try it out: users test1 to test10 and admin with password `test`, and anyone who reaches the port may publish.
    #[arg(long)]
    pub demo: bool,
    /// Where to listen, such as 127.0.0.1:8080 (http.listen).
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
}

/// What `herald doctor` takes.
#[derive(Debug, Clone, Default, Args)]
pub struct DoctorArgs {
    /// The configuration that `serve` would be given.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Prints each line as JSON.
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
    /// holds the exit code: 0 after `--help` or `--version`, else [`EXIT_USAGE`] (clap's own 2 means something else
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
        _ => EXIT_USAGE,
    }
}

/// Says on standard error why the program ends, without anything that a terminal would obey. Unlike `eprintln!` it does not
/// panic when nobody reads.
pub fn complain(message: &dyn std::fmt::Display) {
    let message = message.to_string();
    let _ = writeln!(std::io::stderr().lock(), "herald: {}", paint::printable(&message));
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn exit_codes_are_sysexits() {
        let check = |line: &str, expected: u8| {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            assert_eq!(exit_code(&error), expected, "{line}");
        };
        check("herald --help", 0);
        check("herald --version", 0);
        check("herald serve --help", 0);
        check("herald", EXIT_USAGE);
        check("herald serve --lisen x", EXIT_USAGE);
        check("herald serve --listen", EXIT_USAGE);
        check("herald dance", EXIT_USAGE);
    }

    #[test]
    fn flags_become_arguments() {
        let line = "herald serve --config a.toml --demo --listen [::]:80";
        let Command::Serve(flags) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
            panic!("not serve");
        };
        let expected = Arguments {
            config: Some("a.toml".into()),
            listen: Some("[::]:80".into()),
            demo: true,
        };
        assert_eq!(Arguments::from(flags), expected);
    }
}
