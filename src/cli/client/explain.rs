//! `herald explain DESTINATION`: which sessions would get a notification, on which instance, and why the others would
//! not.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::rest::{Rest, segment};
use super::{ClientError, Server, ServerArgs, paint};

/// The arguments of `herald explain DESTINATION`.
#[derive(Debug, Args)]
pub struct RecipientsArgs {
    /// The destination of the notification: /queue/… or /topic/…; with --user any path, with or without /user.
    #[arg(required = true)]
    pub destination: Option<String>,
    /// A notification for this user only.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Prints Herald's answer as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// Herald's address and the credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Serialize, Deserialize)]
struct Explanation {
    destination: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    online: Option<bool>,
    bus_connected: bool,
    reached_count: u64,
    reached: Vec<Reached>,
    missed_count: u64,
    missed: Vec<Missed>,
    silent: Vec<String>,
    #[serde(default)]
    truncated: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Reached {
    session: String,
    user: String,
    instance: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subscription: Option<String>,
    way: String,
    waiting_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unacknowledged: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Missed {
    session: String,
    user: String,
    instance: String,
    why: String,
    subscriptions: Vec<String>,
}

/// Asks and prints. Returns whether anybody would get it. Requires the scope admin; publishes nothing.
///
/// # Errors
/// No Herald, its refusal, or an output that fails.
pub async fn run(args: RecipientsArgs) -> Result<bool, ClientError> {
    let destination = args.destination.as_deref().unwrap_or_default();
    if !destination.starts_with('/') {
        return Err(ClientError::Usage(format!(
            "expected a destination such as /queue/orders, or `permission`: {destination:?}"
        )));
    }
    let server = Server::new(&args.server)?;
    let mut rest = Rest::new(&server);
    let user = args.user.as_deref();
    let user = user.map_or(String::new(), |user| format!("&user={}", segment(user)));
    let path = format!("/api/v1/explain?destination={}{user}", segment(destination));
    let found: Explanation = rest.get(&path, Duration::ZERO).await?.json()?;
    let reaches = found.bus_connected && found.reached_count > 0;
    match args.json {
        true => paint::json_line(&found)?,
        false => show(&found)?,
    }
    Ok(reaches)
}

fn show(found: &Explanation) -> std::io::Result<()> {
    for name in &found.silent {
        paint::notice(paint::WARN, &format!("{name} did not answer in time"));
    }
    for name in &found.truncated {
        paint::notice(
            paint::WARN,
            &format!("{name} left out sessions: its answer would be too large"),
        );
    }
    if !found.bus_connected {
        let words = "this instance's bus is not connected: it would refuse the publish (503)";
        paint::notice(paint::BAD, words);
    }
    let whom = match (&found.user, found.online) {
        (Some(user), Some(false)) => format!(" for {user}, who is not online"),
        (Some(user), _) => format!(" for {user}"),
        (None, _) => String::new(),
    };
    writeln!(
        anstream::stdout().lock(),
        "{}{}: {} would get it, {} would not",
        paint::one_line(&found.destination),
        paint::one_line(&whom),
        counted(found.reached_count, "subscription"),
        counted(found.missed_count, "session"),
    )?;
    if !found.reached.is_empty() {
        let rows: Vec<_> = found.reached.iter().map(reached_row).collect();
        paint::table(
            &[
                "REACHED",
                "INSTANCE",
                "SESSION",
                "SUBSCRIPTION",
                "WAY",
                "WAITING BYTES",
            ],
            &rows,
        )?;
    }
    if !found.missed.is_empty() {
        let rows: Vec<_> = found.missed.iter().map(missed_row).collect();
        paint::table(&["MISSED", "INSTANCE", "SESSION", "WHY", "SUBSCRIPTIONS"], &rows)?;
    }
    for (all, shown, what) in [
        (found.reached_count, found.reached.len(), "reached"),
        (found.missed_count, found.missed.len(), "missed"),
    ] {
        let left_out = all.saturating_sub(shown as u64);
        if left_out > 0 {
            paint::notice(paint::DIM, &format!("{left_out} more are {what}"));
        }
    }
    Ok(())
}

fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn reached_row(one: &Reached) -> Vec<String> {
    let subscription = one.subscription.clone().unwrap_or_default();
    let way = match one.unacknowledged {
        Some(count) if one.way == "held" => format!("held ({count} unacknowledged)"),
        _ => one.way.clone(),
    };
    let waiting = one.waiting_bytes.to_string();
    [
        &one.user,
        &one.instance,
        &one.session,
        &subscription,
        &way,
        &waiting,
    ]
    .map(|cell| paint::one_line(cell))
    .into()
}

fn missed_row(one: &Missed) -> Vec<String> {
    let subscriptions = one.subscriptions.join(" ");
    [&one.user, &one.instance, &one.session, &one.why, &subscriptions]
        .map(|cell| paint::one_line(cell))
        .into()
}
