//! `herald publish`: one notification to everyone or to some users, with any body.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use http::{HeaderName, HeaderValue, Method, header};
use serde::{Deserialize, Serialize};

use super::body::BodyArgs;
use super::rest::{Rest, segment, segments};
use super::{ClientError, Server, ServerArgs, paint};
use crate::setting::HumanDuration;

/// From this number of users on, a bar shows the progress.
const BAR_FROM: usize = 20;

/// The arguments of `herald publish`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald publish /topic/news 'to everyone'
  herald publish /queue/orders --user alice --user bob -t application/json '{\"order\":7}'
  herald publish /topic/news --file README.md -t text/markdown --json
  date | herald publish /topic/time -H kind:clock --ttl 10s --collapse clock")]
pub struct PublishArgs {
    /// The destination: /queue/… or /topic/…; with --user any path, which that user subscribes to below /user.
    pub destination: String,
    /// Publishes only to this user's sessions. Repeatable.
    #[arg(long = "user", value_name = "NAME")]
    pub users: Vec<String>,
    /// The body to publish.
    #[command(flatten)]
    pub body: BodyArgs,
    /// The id of the notification, 1 to 64 of A-Z a-z 0-9 . _ -. Default: a new ULID.
    #[arg(long)]
    pub id: Option<String>,
    /// Herald does not deliver the notification after this time, such as 500ms, 10s or 5m.
    #[arg(long, value_name = "DURATION")]
    pub ttl: Option<HumanDuration>,
    /// Replaces an earlier notification with this key that still waits for a slow session.
    #[arg(long, value_name = "KEY")]
    pub collapse: Option<String>,
    /// Herald publishes only once for all commands with the same key: 1 to 255 visible ASCII characters. Requires that
    /// history keeps the destination.
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Prints each answer as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// Herald's address and the credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Deserialize)]
struct Accepted {
    id: String,
    position: Option<String>,
    #[serde(default)]
    duplicate: bool,
    trace_id: Option<String>,
}

/// One answer as JSON.
#[derive(Debug, Serialize)]
struct Published<'a> {
    destination: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

/// Publishes, and prints Herald's answer.
///
/// # Errors
/// The first refusal. What was published before it has been printed.
pub async fn run(args: PublishArgs) -> Result<(), ClientError> {
    let server = Server::new(&args.server)?;
    let headers = headers(&args)?;
    let path = segments(&args.destination)?;
    let body = args.body.read()?;
    let mut rest = Rest::new(&server);
    let targets: Vec<Option<&str>> = match args.users.is_empty() {
        true => vec![None],
        false => args.users.iter().map(|user| Some(user.as_str())).collect(),
    };
    let bar = (targets.len() >= BAR_FROM).then(|| paint::bar("publishing", targets.len() as u64));
    for user in targets {
        let route = match user {
            None => format!("/api/v1/broadcast/{path}"),
            Some(user) => format!("/api/v1/users/{}/{path}", segment(user)),
        };
        let whom = user.map_or(String::new(), |user| format!(" for {user}"));
        let request = rest.request(Method::POST, &route, &headers, body.clone(), Duration::ZERO);
        let answer = Box::pin(request).await?;
        let accepted: Accepted = answer.json().map_err(|error| {
            error.reworded(|words| format!("{}{whom} was not published: {words}", args.destination))
        })?;
        match &bar {
            Some(bar) => bar.suspend(|| print(&args, user, accepted))?,
            None => print(&args, user, accepted)?,
        }
        if let Some(bar) = &bar {
            bar.inc(1);
        }
    }
    Ok(())
}

fn print(args: &PublishArgs, user: Option<&str>, accepted: Accepted) -> std::io::Result<()> {
    if args.json {
        return paint::json_line(&Published {
            destination: &args.destination,
            user,
            id: accepted.id,
            position: accepted.position,
            duplicate: accepted.duplicate,
            trace_id: accepted.trace_id,
        });
    }
    let (good, name, dim) = (paint::GOOD, paint::NAME, paint::DIM);
    let destination = paint::one_line(&args.destination);
    let whom = user.map_or(String::new(), |user| format!(" for {}", paint::one_line(user)));
    let id = paint::one_line(&accepted.id);
    let done = match accepted.duplicate {
        true => "published before",
        false => "published",
    };
    let trace = accepted
        .trace_id
        .map_or(String::new(), |id| format!("  trace {}", paint::one_line(&id)));
    writeln!(
        anstream::stdout().lock(),
        "{good}{done}{good:#} {name}{destination}{name:#}{whom}  {dim}{id}{trace}{dim:#}"
    )
}

fn headers(args: &PublishArgs) -> Result<Vec<(HeaderName, HeaderValue)>, ClientError> {
    let mut headers = Vec::new();
    let mut add = |name: HeaderName, option: &str, text: &str| {
        let value = HeaderValue::from_bytes(text.as_bytes())
            .map_err(|_| ClientError::Usage(format!("{option}: no control characters are allowed")))?;
        headers.push((name, value));
        Ok::<_, ClientError>(())
    };
    if let Some(text) = &args.body.content_type {
        add(header::CONTENT_TYPE, "--content-type", text)?;
    }
    if let Some(text) = &args.id {
        add(HeaderName::from_static("herald-id"), "--id", text)?;
    }
    if let Some(ttl) = args.ttl {
        let ms = ttl.0.as_millis().to_string();
        add(HeaderName::from_static("herald-ttl-ms"), "--ttl", &ms)?;
    }
    if let Some(text) = &args.collapse {
        add(HeaderName::from_static("herald-collapse"), "--collapse", text)?;
    }
    if let Some(text) = &args.idempotency_key {
        add(
            HeaderName::from_static("idempotency-key"),
            "--idempotency-key",
            text,
        )?;
    }
    let own = args.body.headers()?;
    if !own.is_empty() {
        let object = own
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()));
        let object: serde_json::Map<_, _> = object.collect();
        let text = serde_json::Value::Object(object).to_string();
        add(HeaderName::from_static("herald-headers"), "--header", &text)?;
    }
    Ok(headers)
}
