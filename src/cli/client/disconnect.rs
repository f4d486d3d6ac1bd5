//! `herald disconnect`: ends a user's sessions on all instances.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::Method;
use serde::Serialize;

use super::rest::{Rest, segment};
use super::{ClientError, Server, ServerArgs, paint};

/// What `herald disconnect` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald disconnect alice
  herald disconnect id:alice --revoke

The user may log in again, with --revoke not by a token that was issued before. To keep a user out: herald revoke --block.
It wants scope admin.")]
pub struct DisconnectArgs {
    /// Whose sessions, on all instances (close code 4403).
    pub user: String,
    /// Revokes the tokens that the user has now, too.
    #[arg(long)]
    pub revoke: bool,
    /// Prints what was done as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// Where Herald is.
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Serialize)]
struct Disconnected<'a> {
    user: &'a str,
    disconnected: bool,
    revoked: bool,
}

/// Tells Herald, and says that it did. It wants scope admin.
///
/// # Errors
/// No Herald, its refusal, or an output that fails.
pub async fn run(args: DisconnectArgs) -> Result<(), ClientError> {
    let server = Server::new(&args.server)?;
    let mut rest = Rest::new(&server);
    let query = if args.revoke { "?revoke=true" } else { "" };
    let path = format!("/api/v1/users/{}/sessions{query}", segment(&args.user));
    let asking = rest.request(Method::DELETE, &path, &[], Bytes::new(), Duration::ZERO);
    Box::pin(asking).await?.require_success()?;
    if args.json {
        return Ok(paint::json_line(&Disconnected {
            user: &args.user,
            disconnected: true,
            revoked: args.revoke,
        })?);
    }
    let tokens = if args.revoke {
        ", and its tokens are revoked"
    } else {
        ""
    };
    let words = format!("every instance was told to disconnect {}{tokens}", args.user);
    paint::notice(paint::GOOD, &words);
    Ok(())
}
