//! `herald subject`: the NATS subject of a destination, for publishing, listening or granting rights at NATS. Knows no
//! running instance; `main` reads the prefixes from the configuration.

use clap::Args;
use serde::Serialize;

use super::ConfigArgs;
use crate::bus::subject::{Prefix, Subjects};
use crate::destination::{Destination, DestinationError, Prefixes, Target};
use crate::principal::UserName;

/// The arguments of `herald subject`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald subject /topic/news
  herald subject /queue/orders --user 'ann smith'
  herald subject /app/orders --json
  nats sub \"$(herald subject /queue/v1.2/orders)\"

Reads bus.prefix and destinations.* from the configuration, like `serve`.")]
pub struct SubjectArgs {
    /// A broadcast or application destination; with --user any path, with or without /user.
    pub destination: String,
    /// Prints the subject for this user.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Prints it as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// The configuration, as for `serve`.
    #[command(flatten)]
    pub config: ConfigArgs,
}

#[derive(Debug, Serialize)]
struct Found<'a> {
    destination: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    subject: String,
}

/// The subject as a line.
///
/// # Errors
/// What is wrong with the destination or the user name, in words.
pub fn line(args: &SubjectArgs, prefix: &Prefix, prefixes: &Prefixes) -> Result<String, String> {
    let subject = subject(&args.destination, args.user.as_deref(), prefix, prefixes)?;
    if !args.json {
        return Ok(subject + "\n");
    }
    let found = Found {
        destination: &args.destination,
        user: args.user.as_deref(),
        subject,
    };
    let line = serde_json::to_string(&found).map_err(|error| error.to_string())?;
    Ok(line + "\n")
}

fn subject(
    destination: &str,
    user: Option<&str>,
    prefix: &Prefix,
    prefixes: &Prefixes,
) -> Result<String, String> {
    let subjects = Subjects::new(prefix);
    let wrong = |error: DestinationError| format!("{destination:?}: {error}");
    if let Some(user) = user {
        let user = UserName::parse(user).map_err(|error| format!("--user: {error}"))?;
        return Ok(subjects.target(&prefixes.user(destination, user).map_err(wrong)?));
    }
    // A broadcast or application destination belongs to no user, and a user destination must name one.
    let nobody = UserName::parse("nobody").map_err(|error| error.to_string())?;
    match prefixes.for_client(destination, &nobody).map_err(wrong)? {
        Destination::Application(path) => Ok(subjects.app(&path)),
        Destination::Target(target @ Target::Broadcast(_)) => Ok(subjects.target(&target)),
        Destination::Target(Target::User { .. }) => Err(format!(
            "{destination} is each user's own: say whose by --user NAME"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_destination_has_a_subject() {
        let found = |destination, user| {
            let prefix = "herald".parse().unwrap();
            subject(destination, user, &prefix, &Prefixes::default())
        };
        let check = |destination, user, expected: &str| {
            assert_eq!(found(destination, user).as_deref(), Ok(expected), "{destination}");
        };
        check("/topic/news", None, "herald.broadcast.topic.news");
        check("/queue/v1.2/a b", None, "herald.broadcast.queue.v1%2E2.a%20b");
        check("/app/orders", None, "herald.app.orders");
        check(
            "/queue/orders",
            Some("ann.smith"),
            "herald.user.ann%2Esmith.queue.orders",
        );
        check("/user/queue/orders", Some("ä"), "herald.user.%C3%A4.queue.orders");
        for (destination, user, words) in [
            ("/nowhere", None, "/queue/, /topic/"),
            ("queue", None, "queue"),
            ("/user/queue/x", None, "--user NAME"),
            ("/queue/x", Some(""), "--user"),
            ("/queue/herald/x", Some("a"), "/queue/herald/x"),
        ] {
            let error = found(destination, user).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
