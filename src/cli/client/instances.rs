//! `herald instances`: the live instances and the sessions of each.

use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::rest::Rest;
use super::{ClientError, Server, ServerArgs, paint};

/// The arguments of `herald instances`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald instances
  herald instances --json | jq '.instances[] | {name, sessions}'

* marks the instance that answered. Requires the scope admin.")]
pub struct InstancesArgs {
    /// Prints Herald's answer as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// Herald's address and the credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Serialize, Deserialize)]
struct Instances {
    instances: Vec<Instance>,
    silent: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Instance {
    name: String,
    id: String,
    own: bool,
    users: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sessions: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subscriptions: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outbox_bytes: Option<u64>,
}

/// Asks and prints. Requires the scope admin.
///
/// # Errors
/// No Herald, its refusal, or an output that fails.
pub async fn run(args: InstancesArgs) -> Result<(), ClientError> {
    let server = Server::new(&args.server)?;
    let mut rest = Rest::new(&server);
    let found: Instances = rest.get("/api/v1/instances", Duration::ZERO).await?.json()?;
    if args.json {
        return Ok(paint::json_line(&found)?);
    }
    for name in &found.silent {
        paint::notice(paint::WARN, &format!("{name} did not answer in time"));
    }
    Ok(show(&found)?)
}

fn show(found: &Instances) -> std::io::Result<()> {
    let number = |number: Option<u64>| number.map_or("?".to_owned(), |number| number.to_string());
    let rows: Vec<_> = found
        .instances
        .iter()
        .map(|instance| {
            let own = if instance.own { "*" } else { "" };
            vec![
                paint::one_line(&format!("{}{own}", instance.name)),
                paint::one_line(instance.version.as_deref().unwrap_or("?")),
                instance.users.to_string(),
                number(instance.sessions),
                number(instance.subscriptions),
                number(instance.outbox_bytes),
                paint::one_line(&instance.id),
            ]
        })
        .collect();
    paint::table(
        &[
            "INSTANCE",
            "VERSION",
            "USERS",
            "SESSIONS",
            "SUBSCRIPTIONS",
            "WAITING BYTES",
            "ID",
        ],
        &rows,
    )
}
