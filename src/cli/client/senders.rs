//! `herald senders`: which sessions and users of the cluster send most.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::rest::Rest;
use super::{ClientError, Server, ServerArgs, paint};

/// The arguments of `herald senders`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald senders
  herald senders --by bytes --top 5
  herald senders --json | jq '.senders[0].user'

Counts the SENDs of sessions, and sums all sessions of each user, including those that ended within the last minutes. For publishers over
REST, see herald_api_key_requests_total. Requires the scope admin.")]
pub struct SendersArgs {
    /// The number of sessions, and of users, to show.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub top: u64,
    /// The order: by SENDs within the last ten seconds, by all SENDs, or by their bytes.
    #[arg(long, value_enum, default_value_t = By::Recent)]
    pub by: By,
    /// Prints Herald's answer as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// Herald's address and the credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// An order.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum By {
    /// SENDs within the last ten seconds.
    Recent,
    /// All SENDs.
    Frames,
    /// Their bytes.
    Bytes,
}

#[derive(Debug, Serialize, Deserialize)]
struct Senders {
    senders: Vec<Sender>,
    /// An earlier version does not say.
    #[serde(default)]
    users: Vec<User>,
    silent: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Sender {
    user: String,
    session: String,
    instance: String,
    address: String,
    since: String,
    sent: Sent,
}

#[derive(Debug, Serialize, Deserialize)]
struct User {
    user: String,
    address: String,
    instances: Vec<String>,
    sessions: u64,
    ended: u64,
    sent: Sent,
}

/// What a session, or a user, has sent.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Sent {
    /// SENDs since the login.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// SENDs within the last ten seconds.
    pub recent_frames: u64,
    /// Their bytes.
    pub recent_bytes: u64,
}

/// Asks and prints.
///
/// # Errors
/// No Herald, its refusal, or an output that fails.
pub async fn run(args: SendersArgs) -> Result<(), ClientError> {
    let server = Server::new(&args.server)?;
    let mut rest = Rest::new(&server);
    let by = match args.by {
        By::Recent => "recent",
        By::Frames => "frames",
        By::Bytes => "bytes",
    };
    let path = format!("/api/v1/senders?top={}&by={by}", args.top);
    let found: Senders = rest.get(&path, Duration::ZERO).await?.json()?;
    if args.json {
        return Ok(paint::json_line(&found)?);
    }
    for name in &found.silent {
        paint::notice(paint::WARN, &format!("{name} did not answer in time"));
    }
    // Everybody else's are a row of the first table.
    let in_several = |user: &&User| user.sessions.saturating_add(user.ended) > 1 || user.sessions == 0;
    let users: Vec<_> = found.users.iter().filter(in_several).collect();
    if found.senders.is_empty() && users.is_empty() {
        paint::notice(paint::DIM, "no session has sent anything");
        return Ok(());
    }
    if !found.senders.is_empty() {
        show_sessions(&found)?;
    }
    if !users.is_empty() {
        show_users(&users)?;
    }
    Ok(())
}

fn show_users(users: &[&User]) -> std::io::Result<()> {
    let row = |user: &&User| {
        let sent = user.sent;
        vec![
            paint::one_line(&user.user),
            sent.recent_frames.to_string(),
            sent.recent_bytes.to_string(),
            sent.frames.to_string(),
            sent.bytes.to_string(),
            user.sessions.to_string(),
            user.ended.to_string(),
            paint::one_line(&user.address),
            paint::one_line(&user.instances.join(",")),
        ]
    };
    let rows: Vec<_> = users.iter().map(row).collect();
    paint::table(
        &[
            "ALL SESSIONS OF",
            "SENT IN 10 S",
            "BYTES IN 10 S",
            "SENT",
            "BYTES",
            "OPEN",
            "ENDED",
            "ADDRESS",
            "INSTANCES",
        ],
        &rows,
    )
}

fn show_sessions(found: &Senders) -> std::io::Result<()> {
    let rows: Vec<_> = found
        .senders
        .iter()
        .map(|sender| {
            let sent = sender.sent;
            vec![
                paint::one_line(&sender.user),
                sent.recent_frames.to_string(),
                sent.recent_bytes.to_string(),
                sent.frames.to_string(),
                sent.bytes.to_string(),
                paint::one_line(&sender.address),
                paint::one_line(&sender.instance),
                paint::one_line(&sender.since),
                paint::one_line(&sender.session),
            ]
        })
        .collect();
    paint::table(
        &[
            "USER",
            "SENT IN 10 S",
            "BYTES IN 10 S",
            "SENT",
            "BYTES",
            "ADDRESS",
            "INSTANCE",
            "SINCE",
            "SESSION",
        ],
        &rows,
    )
}
