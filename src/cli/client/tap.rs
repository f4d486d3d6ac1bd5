//! `herald tap`: what one instance delivers now, by destination.

use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::rest::Rest;
use super::{ClientError, Server, ServerArgs, paint};

/// The arguments of `herald tap`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald tap
  herald tap --seconds 10 --top 5
  herald tap --url http://10.0.0.7:8080 --json")]
pub struct TapArgs {
    /// How long the instance samples.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=30))]
    pub seconds: u64,
    /// The number of destinations to show, busiest first.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub top: usize,
    /// Prints Herald's answer as one line of JSON, with all destinations.
    #[arg(long)]
    pub json: bool,
    /// Herald's address and the credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Serialize, Deserialize)]
struct Tapped {
    instance: String,
    seconds: f64,
    destinations: Vec<Destination>,
    others: Counted,
}

#[derive(Debug, Serialize, Deserialize)]
struct Destination {
    destination: String,
    #[serde(flatten)]
    counted: Counted,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Counted {
    notifications: u64,
    unmatched: u64,
    body_bytes: u64,
}

/// Samples and prints. Requires the scope admin.
///
/// # Errors
/// No Herald, its refusal, or an output that fails.
pub async fn run(args: TapArgs) -> Result<(), ClientError> {
    let server = Server::new(&args.server)?;
    let mut rest = Rest::new(&server);
    let bar = paint::bar("sampling", args.seconds);
    let path = format!("/api/v1/tap?seconds={}", args.seconds);
    let asking = rest.get(&path, Duration::from_secs(args.seconds));
    tokio::pin!(asking);
    let mut every = tokio::time::interval(Duration::from_secs(1));
    every.tick().await;
    let answer = loop {
        tokio::select! {
            answer = asking.as_mut() => break answer,
            _ = every.tick() => bar.inc(1),
        }
    };
    bar.finish_and_clear();
    let tapped: Tapped = answer?.json()?;
    if args.json {
        return Ok(paint::json_line(&tapped)?);
    }
    show(&tapped, args.top)?;
    Ok(())
}

fn show(tapped: &Tapped, top: usize) -> std::io::Result<()> {
    let (instance, seconds) = (&tapped.instance, tapped.seconds);
    paint::notice(paint::DIM, &format!("{instance}, {seconds:.1} s"));
    let row = |name: &str, counted: Counted| {
        vec![
            paint::one_line(name),
            rate(counted.notifications, seconds),
            rate(counted.body_bytes, seconds),
            counted.notifications.to_string(),
            counted.unmatched.to_string(),
        ]
    };
    let mut rows: Vec<_> = tapped
        .destinations
        .iter()
        .take(top)
        .map(|destination| row(&destination.destination, destination.counted))
        .collect();
    if let Some(rest) = tapped.destinations.get(top..).filter(|rest| !rest.is_empty()) {
        rows.push(vec![format!("({} more: --top, --json)", rest.len())]);
    }
    if tapped.others.notifications > 0 {
        rows.push(row("(others, beyond api.tap_destinations)", tapped.others));
    }
    paint::table(
        &["DESTINATION", "PER SECOND", "BYTES/S", "ALL", "UNWANTED HERE"],
        &rows,
    )
}

fn rate(count: u64, seconds: f64) -> String {
    format!("{:.1}", count as f64 / seconds.max(0.001))
}
