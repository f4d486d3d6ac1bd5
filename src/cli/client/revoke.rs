//! `herald revoke`: revokes tokens or blocks a user in the whole cluster, lists revocations, lifts them again.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{HeaderValue, Method, header};
use serde::{Deserialize, Serialize};

use super::refusal::in_options;
use super::rest::{Rest, segment};
use super::{ClientError, Server, ServerArgs, paint};
use crate::setting::HumanDuration;

const PATH: &str = "/api/v1/revocations";
/// What is said where the answer says that others were not told.
const UNTOLD: &str = "note: NATS did not confirm it: this holds on the instance that was asked, and the others hear of it later";

/// The arguments of `herald revoke`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald revoke --user id:alice                            all current tokens of alice
  herald revoke --user alice --block --for 24h             alice, with any credentials
  herald revoke --issuer https://id.example --token-id t1  one token, by its jti
  herald revoke --list
  herald revoke --lift 01JDEXAMPRE0000000000000AA")]
pub struct RevokeArgs {
    /// The user's whole name, with its issuer's prefix.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The issuer, as in auth.issuers. Revokes all its tokens, those of --user, or the one of --token-id.
    #[arg(long)]
    pub issuer: Option<String>,
    /// The jti of one token of --issuer.
    #[arg(long, value_name = "ID", requires = "issuer", conflicts_with_all = ["user", "issued_before", "block"])]
    pub token_id: Option<String>,
    /// Revokes tokens that were issued up to this time, in Unix seconds. Default: now.
    #[arg(long, value_name = "SECONDS", conflicts_with = "block")]
    pub issued_before: Option<u64>,
    /// Blocks the user with any credentials, including a password.
    #[arg(long, requires = "user", conflicts_with = "issuer")]
    pub block: bool,
    /// How long, such as 24h. Default: until the last of the tokens has expired; a block lasts 8760h.
    #[arg(long = "for", value_name = "DURATION")]
    pub lasts: Option<HumanDuration>,
    /// The reason, shown in the list.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Lists the revocations; with --user, those that name that user.
    #[arg(long, conflicts_with_all = ["issuer", "token_id", "issued_before", "block", "lasts", "reason", "lift"])]
    pub list: bool,
    /// Lifts the revocation with this id.
    #[arg(long, value_name = "ID", conflicts_with_all = ["user", "issuer", "token_id", "issued_before", "block", "lasts", "reason"])]
    pub lift: Option<String>,
    /// Prints Herald's answer as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// Herald's address and the credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Serialize, Deserialize)]
struct Made {
    id: String,
    until: String,
    /// An older Herald answers only when all have been told.
    #[serde(default = "yes")]
    told: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct List {
    revocations: Vec<Revocation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Revocation {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued_before: Option<u64>,
    block: bool,
    since: String,
    until: String,
    by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What is asked for.
#[derive(Debug, Serialize)]
struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_before: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    block: bool,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    lasts: Option<HumanDuration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// Asks and prints. Requires the scope admin.
///
/// # Errors
/// No Herald, its refusal, or an output that fails.
pub async fn run(args: RevokeArgs) -> Result<(), ClientError> {
    let server = Server::new(&args.server)?;
    let mut rest = Rest::new(&server);
    if args.list {
        let list = list(&mut rest, args.user.as_deref()).await?;
        if args.json {
            return Ok(paint::json_line(&list)?);
        }
        return Ok(show(&list)?);
    }
    if let Some(id) = &args.lift {
        let path = format!("{PATH}/{}", segment(id));
        let lifting = rest.request(Method::DELETE, &path, &[], Bytes::new(), Duration::ZERO);
        let lifted = Box::pin(lifting).await?;
        lifted.require_success()?;
        if !lifted.is_told() {
            paint::notice(paint::DIM, UNTOLD);
        }
        return Ok(());
    }
    if args.user.is_none() && args.issuer.is_none() {
        return Err(ClientError::Usage(
            "expected --user, --issuer, --issuer with --token-id, --list or --lift".into(),
        ));
    }
    let request = Request {
        user: args.user.as_deref(),
        issuer: args.issuer.as_deref(),
        token_id: args.token_id.as_deref(),
        issued_before: args.issued_before,
        block: args.block,
        lasts: args.lasts,
        reason: args.reason.as_deref(),
    };
    let body = serde_json::to_vec(&request).map_err(|error| ClientError::Failure(error.to_string()))?;
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let asking = rest.request(Method::POST, PATH, &json, body.into(), Duration::ZERO);
    let made: Made = Box::pin(asking).await?.json()?;
    if !made.told {
        paint::notice(paint::DIM, UNTOLD);
    }
    if let Some(note) = &made.note {
        paint::notice(
            paint::DIM,
            &format!("note: {}", paint::one_line(&in_options(note))),
        );
    }
    if args.json {
        return Ok(paint::json_line(&made)?);
    }
    paint::table(
        &["REVOCATION", "UNTIL"],
        &[vec![paint::one_line(&made.id), paint::one_line(&made.until)]],
    )?;
    Ok(())
}

/// All of them, page by page.
async fn list(rest: &mut Rest<'_>, user: Option<&str>) -> Result<List, ClientError> {
    let mut all = List::default();
    let mut after = None;
    loop {
        let user = user.map(|user| format!("user={}", segment(user)));
        let from = after.map(|after: String| format!("after={}", segment(&after)));
        let query: Vec<String> = user.into_iter().chain(from).collect();
        let page: List = rest
            .get(&format!("{PATH}?{}", query.join("&")), Duration::ZERO)
            .await?
            .json()?;
        all.revocations.extend(page.revocations);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(all),
        }
    }
}

fn show(list: &List) -> std::io::Result<()> {
    if list.revocations.is_empty() {
        paint::notice(paint::DIM, "nobody is shut out");
        return Ok(());
    }
    let rows: Vec<_> = list
        .revocations
        .iter()
        .map(|one| {
            let what = match (&one.token_id, one.issued_before) {
                _ if one.block => "blocked".to_owned(),
                (Some(id), _) => format!("token {id}"),
                (None, Some(seconds)) => format!("issued before {seconds}"),
                (None, None) => String::new(),
            };
            let who = one
                .user
                .iter()
                .chain(&one.issuer)
                .map(String::as_str)
                .collect::<Vec<_>>();
            let reason = one.reason.clone().unwrap_or_default();
            [
                one.id.clone(),
                who.join(" "),
                what,
                one.until.clone(),
                one.by.clone(),
                reason,
            ]
            .iter()
            .map(|cell| paint::one_line(cell))
            .collect()
        })
        .collect();
    paint::table(&["REVOCATION", "WHO", "WHAT", "UNTIL", "BY", "REASON"], &rows)
}
