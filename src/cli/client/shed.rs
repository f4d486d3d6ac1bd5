//! `herald shed`: moves a share of an instance's sessions to the others.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::Method;
use serde::{Deserialize, Serialize};

use super::rest::{Rest, segment};
use super::{ClientError, Server, ServerArgs, paint};

/// The arguments of `herald shed`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald shed herald-0 --share 20
  herald shed 01JDEXAMPRE0000000000000AA --share 50 --json

The instance closes that share of its sessions in waves; their clients reconnect through the balancer.
Requires the scope admin.")]
pub struct ShedArgs {
    /// The name of the instance, or its id if several have that name (herald instances).
    pub instance: String,
    /// The share of its sessions, in percent.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub share: u8,
    /// Prints Herald's answer as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// Herald's address and the credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Deserialize)]
struct Instances {
    instances: Vec<Instance>,
}

#[derive(Debug, Deserialize)]
struct Instance {
    name: String,
    id: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Shed {
    instance: String,
    id: String,
    sessions: u64,
    over_ms: u64,
}

/// Asks and prints. Requires the scope admin.
///
/// # Errors
/// No Herald, its refusal, no such instance, or an output that fails.
pub async fn run(args: ShedArgs) -> Result<(), ClientError> {
    let server = Server::new(&args.server)?;
    let mut rest = Rest::new(&server);
    let live: Instances = rest.get("/api/v1/instances", Duration::ZERO).await?.json()?;
    let id = id_of(&live.instances, &args.instance)?;
    let path = format!("/api/v1/instances/{}/shed?share={}", segment(id), args.share);
    let asking = rest.request(Method::POST, &path, &[], Bytes::new(), Duration::ZERO);
    let shed: Shed = Box::pin(asking).await?.json()?;
    if args.json {
        return Ok(paint::json_line(&shed)?);
    }
    let instance = paint::one_line(&shed.instance);
    let seconds = Duration::from_millis(shed.over_ms).as_secs_f64();
    let words = format!(
        "{instance} closes {} of its sessions over {seconds} s",
        shed.sessions
    );
    paint::notice(paint::GOOD, &words);
    Ok(())
}

/// The id of the only instance with this name.
fn id_of<'a>(live: &'a [Instance], called: &str) -> Result<&'a str, ClientError> {
    let mut found = live
        .iter()
        .filter(|instance| instance.id == called || instance.name == called);
    match (found.next(), found.next()) {
        (Some(instance), None) => Ok(&instance.id),
        (Some(_), Some(_)) => Err(ClientError::Failure(format!(
            "several instances have the name {called:?}: give one's id (herald instances)"
        ))),
        (None, _) => Err(ClientError::Failure(format!(
            "no live instance has the name or the id {called:?} (herald instances)"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_found_by_its_name_or_its_id() {
        let instance = |name: &str, id: &str| Instance {
            name: name.into(),
            id: id.into(),
        };
        let live = [instance("a", "1"), instance("b", "2"), instance("b", "3")];
        let found = |called| id_of(&live, called).ok();
        assert_eq!(
            ["a", "1", "3", "b", "c"].map(found),
            [Some("1"), Some("1"), Some("3"), None, None]
        );
    }
}
