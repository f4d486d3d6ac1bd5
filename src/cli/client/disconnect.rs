//! `herald disconnect`: ends a user's sessions on all instances.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::Method;
use serde::{Deserialize, Serialize};

use super::refusal::in_options;
use super::rest::{Rest, segment};
use super::{ClientError, Server, ServerArgs, paint};

/// The arguments of `herald disconnect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald disconnect alice
  herald disconnect id:alice --revoke

The user may log in again, with --revoke not by a token that was issued before. To keep a user out: herald revoke --block.
Requires the scope admin.")]
pub struct DisconnectArgs {
    /// The user whose sessions end, on all instances (close code 4403).
    pub user: String,
    /// Also revokes the tokens that the user has now.
    #[arg(long)]
    pub revoke: bool,
    /// Prints what was done as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// Herald's address and the credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// The part of Herald's answer that is shown.
#[derive(Debug, Default, Deserialize)]
struct Answered {
    revocation: Option<Revoked>,
}

#[derive(Debug, Deserialize)]
struct Revoked {
    note: Option<String>,
}

#[derive(Debug, Serialize)]
struct Disconnected<'a> {
    user: &'a str,
    disconnected: bool,
    revoked: bool,
    told: bool,
}

/// Tells Herald, and says that it did. Requires the scope admin.
///
/// # Errors
/// No Herald, its refusal, or an output that fails.
pub async fn run(args: DisconnectArgs) -> Result<(), ClientError> {
    let server = Server::new(&args.server)?;
    let mut rest = Rest::new(&server);
    let query = if args.revoke { "?revoke=true" } else { "" };
    let path = format!("/api/v1/users/{}/sessions{query}", segment(&args.user));
    let asking = rest.request(Method::DELETE, &path, &[], Bytes::new(), Duration::ZERO);
    let answer = Box::pin(asking).await?;
    answer.require_success()?;
    let told = answer.is_told();
    let answered: Answered = serde_json::from_slice(answer.body()).unwrap_or_default();
    if let Some(note) = answered.revocation.and_then(|revoked| revoked.note) {
        paint::notice(
            paint::DIM,
            &format!("note: {}", paint::one_line(&in_options(&note))),
        );
    }
    if args.json {
        return Ok(paint::json_line(&Disconnected {
            user: &args.user,
            disconnected: true,
            revoked: args.revoke,
            told,
        })?);
    }
    let (user, tokens) = match args.revoke {
        true => (&args.user, ", and its tokens are revoked"),
        false => (&args.user, ""),
    };
    if told {
        let words = format!("every instance was told to disconnect {user}{tokens}");
        paint::notice(paint::GOOD, &words);
    } else {
        let words = format!(
            "NATS is away or hangs: {user} is disconnected on the instance that was asked{tokens}; the others may hear of it later"
        );
        paint::notice(paint::DIM, &words);
    }
    Ok(())
}
