//! `herald log-level`: how much a running instance, or every instance, logs; changed for a limited time.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use http::{HeaderValue, Method, header};
use serde::{Deserialize, Serialize};

use super::rest::Rest;
use super::{ClientError, Server, ServerArgs, paint};
use crate::setting::HumanDuration;

const PATH: &str = "/api/v1/debug/log";

/// The arguments of `herald log-level`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald log-level
  herald log-level debug
  herald log-level herald=trace,info --for 2m --all

The configured level (log.level) returns by itself. Requires the scope admin. With http.admin_listen, the route is on that port:
give its address with --admin-url, or store it in a context.")]
pub struct LogLevelArgs {
    /// The new level, in the form of log.level. Without it, shows the level in force.
    pub level: Option<String>,
    /// For how long, at most 24h. Default: 10m.
    #[arg(long = "for", value_name = "DURATION", requires = "level")]
    pub lasts: Option<HumanDuration>,
    /// Changes every instance, not only the one that answers.
    #[arg(long, requires = "level")]
    pub all: bool,
    /// Prints Herald's answer as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// The address of /api/v1/debug, with http.admin_listen. Default: as in the context.
    #[arg(long, value_name = "URL")]
    pub admin_url: Option<String>,
    /// Herald's address and the credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Serialize, Deserialize)]
struct Level {
    level: String,
    configured: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    instance: String,
}

/// What is asked for.
#[derive(Debug, Serialize)]
struct Change<'a> {
    level: &'a str,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    lasts: Option<HumanDuration>,
    instances: &'a str,
}

/// Asks, and prints the level. Requires the scope admin.
///
/// # Errors
/// No Herald, its refusal, or an output that fails.
pub async fn run(args: LogLevelArgs) -> Result<(), ClientError> {
    let server = Server::new(&args.server)?.of_operators(args.admin_url.as_deref())?;
    let mut rest = Rest::new(&server);
    let Some(level) = &args.level else {
        let found: Level = rest.get(PATH, Duration::ZERO).await?.json()?;
        return Ok(show(&args, &found)?);
    };
    let change = Change {
        level,
        lasts: args.lasts,
        instances: if args.all { "all" } else { "own" },
    };
    let body = serde_json::to_vec(&change).map_err(|error| ClientError::Failure(error.to_string()))?;
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let asking = rest.request(Method::PUT, PATH, &json, body.into(), Duration::ZERO);
    let answer = Box::pin(asking).await?;
    if !args.all {
        return Ok(show(&args, &answer.json()?)?);
    }
    answer.require_success()?;
    if args.json {
        return Ok(paint::json_line(&change)?);
    }
    let lasts = args.lasts.map_or("10m".to_owned(), |lasts| lasts.to_string());
    let words = format!("every instance was told to log at {level} for {lasts}");
    paint::notice(paint::GOOD, &words);
    Ok(())
}

fn show(args: &LogLevelArgs, found: &Level) -> std::io::Result<()> {
    if args.json {
        return paint::json_line(found);
    }
    let [level, configured, instance] =
        [&found.level, &found.configured, &found.instance].map(|text| paint::one_line(text));
    let until = match &found.until {
        Some(until) => format!(" until {}, then {configured}", paint::one_line(until)),
        None => String::new(),
    };
    writeln!(anstream::stdout().lock(), "{instance} logs at {level}{until}")
}
