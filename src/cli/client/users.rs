//! `herald users`: who is online in the cluster, or one user's sessions on all instances.

use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::rest::{Rest, segment};
use super::senders::Sent;
use super::{ClientError, Server, ServerArgs, paint};

/// The arguments of `herald users`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald users
  herald users alice --json")]
pub struct UsersArgs {
    /// Shows this user's sessions.
    pub user: Option<String>,
    /// Prints Herald's answer as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// Herald's address and the credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Serialize, Deserialize)]
struct Online {
    users: Vec<String>,
    count: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct UserSessions {
    user: String,
    online: bool,
    sessions: Vec<Session>,
    silent: Vec<String>,
    truncated: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Session {
    session: String,
    instance: String,
    instance_id: String,
    since: String,
    address: String,
    subscriptions: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<Sent>,
}

/// Asks and prints. Requires the scope read.
///
/// # Errors
/// No Herald, its refusal, or an output that fails.
pub async fn run(args: UsersArgs) -> Result<(), ClientError> {
    let server = Server::new(&args.server)?;
    let mut rest = Rest::new(&server);
    match &args.user {
        None => {
            let online: Online = rest.get("/api/v1/users", Duration::ZERO).await?.json()?;
            if args.json {
                return Ok(paint::json_line(&online)?);
            }
            let rows: Vec<_> = online
                .users
                .iter()
                .map(|user| vec![paint::one_line(user)])
                .collect();
            paint::table(&[&format!("ONLINE ({})", online.count)], &rows)?;
        }
        Some(user) => {
            let path = format!("/api/v1/users/{}", segment(user));
            let found: UserSessions = rest.get(&path, Duration::ZERO).await?.json()?;
            if args.json {
                return Ok(paint::json_line(&found)?);
            }
            show(&found)?;
        }
    }
    Ok(())
}

/// A user without a session on any instance that answered; whether some did not answer.
fn absent(some_are_silent: bool) -> &'static str {
    match some_are_silent {
        true => "is not online on the instances that answered",
        false => "is not online",
    }
}

fn show(found: &UserSessions) -> std::io::Result<()> {
    for (names, what) in [
        (&found.silent, "did not answer in time"),
        (&found.truncated, "left out sessions: there are too many"),
    ] {
        if !names.is_empty() {
            paint::notice(paint::WARN, &format!("{} {what}", names.join(", ")));
        }
    }
    if !found.online {
        paint::notice(
            paint::DIM,
            &format!("{} {}", found.user, absent(!found.silent.is_empty())),
        );
        return Ok(());
    }
    let rows: Vec<_> = found
        .sessions
        .iter()
        .map(|session| {
            let cells = [
                session.instance.clone(),
                session.since.clone(),
                session.address.clone(),
                session
                    .sent
                    .map_or("?".to_owned(), |sent| sent.frames.to_string()),
                session.session.clone(),
                session.subscriptions.join(" "),
            ];
            cells.iter().map(|cell| paint::one_line(cell)).collect()
        })
        .collect();
    paint::table(
        &["INSTANCE", "SINCE", "ADDRESS", "SENT", "SESSION", "SUBSCRIPTIONS"],
        &rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_be_on_a_silent_instance_is_not_called_offline() {
        assert_eq!(absent(false), "is not online");
        assert!(absent(true).contains("on the instances that answered"));
    }
}
