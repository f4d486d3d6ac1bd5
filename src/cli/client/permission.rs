//! `herald explain permission` for a running Herald: asks the instance which rule decides. Does not know the decision's
//! content, which `cli::explain` reads.

use std::time::Duration;

use super::rest::{Rest, segment};
use super::{ClientError, Server, ServerArgs};
use crate::cli::explain::PermissionArgs;
use crate::cli::paint;

/// Asks, and returns the decision's JSON. Requires the scope admin.
///
/// # Errors
/// No Herald, or its refusal.
pub async fn run(args: &PermissionArgs, server: ServerArgs) -> Result<Vec<u8>, ClientError> {
    let server = Server::new(&server)?;
    let mut rest = Rest::new(&server);
    let (name, whom) = args
        .who
        .parameter()
        .ok_or_else(|| ClientError::Usage("--user, --key, --certificate or --session: who?".into()))?;
    let what = &args.what;
    let asked = [
        ("subscribe", &what.subscribe),
        ("send", &what.send),
        ("publish", &what.publish),
    ];
    let named = asked
        .iter()
        .find_map(|(action, destination)| Some((action, destination.as_deref()?)));
    let (action, destination) =
        named.ok_or_else(|| ClientError::Usage("--subscribe, --send or --publish: what?".into()))?;
    let path = format!(
        "/api/v1/explain/permission?action={action}&destination={}&{name}={}",
        segment(destination),
        segment(whom)
    );
    paint::notice(
        paint::DIM,
        &format!("asked: the running Herald at {}", server.endpoint),
    );
    let answer = rest.get(&path, Duration::ZERO).await?;
    answer.require_success()?;
    Ok(answer.body().to_vec())
}
