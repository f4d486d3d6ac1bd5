//! `herald probe`: logs in, subscribes, publishes and receives, once, as a browser and a backend would. For cron and
//! monitors: each stage has its own exit code.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{HeaderName, HeaderValue, Method};
use serde::Serialize;
use tokio::time::{Instant, timeout};
use ulid::Ulid;

use super::rest::{Rest, segment, segments};
use super::session::{End, Session};
use super::{ClientError, Server, ServerArgs, paint};
use crate::cli::exit;
use crate::setting::HumanDuration;
use crate::stomp::client::ServerCommand;

/// The prefix of a user's own destinations.
const OWN: &str = "/user";

/// The arguments of `herald probe`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  herald probe --context prod
  herald probe --destination /topic/probe --timeout 3s --json
  */5 * * * * herald probe --context prod || mail -s 'Herald does not work' ops@example.com

Exit codes: 0 it works, 10 no connection, 11 no login, 12 no subscription, 13 not published, 14 not received; 64 as of every
command. It publishes by the API key, or by the login where it has ROLE_PUBLISHER, or without either where api.access is open.")]
pub struct ProbeArgs {
    /// Where to publish: a destination of the user's own, which nobody else sees, or a broadcast.
    #[arg(long, value_name = "DESTINATION", default_value = "/user/queue/herald-probe")]
    pub destination: String,
    /// How long each stage may take.
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub timeout: HumanDuration,
    /// Prints the result as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// The STOMP endpoint (http.ws_path).
    #[arg(long, value_name = "PATH", default_value = "/ws")]
    pub ws_path: String,
    /// Herald's address and the credentials.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// How far a probe got.
#[derive(Debug, Default, Serialize)]
struct Probed {
    ok: bool,
    url: String,
    destination: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// How long each stage took, in milliseconds, as far as it got.
    stages_ms: Stages,
    /// From before the publish to the MESSAGE, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    /// The stage that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct Stages {
    #[serde(skip_serializing_if = "Option::is_none")]
    connect: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscribe: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publish: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receive: Option<f64>,
}

/// A stage: its name and its exit code.
#[derive(Debug, Clone, Copy)]
struct Stage(&'static str, u8);

const CONNECT: Stage = Stage("connect", exit::PROBE_CONNECT);
const LOGIN: Stage = Stage("login", exit::PROBE_LOGIN);
const SUBSCRIBE: Stage = Stage("subscribe", exit::PROBE_SUBSCRIBE);
const PUBLISH: Stage = Stage("publish", exit::PROBE_PUBLISH);
const RECEIVE: Stage = Stage("receive", exit::PROBE_RECEIVE);

/// Goes through the stages and prints the result.
///
/// # Errors
/// The stage that failed, with its exit code; a command line that is wrong, or an output that fails.
pub async fn run(args: ProbeArgs) -> Result<(), ClientError> {
    let server = Server::new(&args.server)?;
    // Reported before anything is opened: these are errors of the command line.
    server.require_login()?;
    segments(&args.destination)?;
    let mut probed = Probed {
        url: server.endpoint.to_string(),
        destination: args.destination.clone(),
        ..Probed::default()
    };
    let outcome = Box::pin(probe(&args, &server, &mut probed)).await;
    probed.ok = outcome.is_ok();
    if let Err((Stage(name, code), words)) = outcome {
        let words = paint::printable(&words);
        if args.json {
            probed.failed = Some(name);
            probed.error = Some(words.clone());
            paint::json_line(&probed)?;
        }
        return Err(ClientError::Stage(code, format!("{name}: {words}")));
    }
    match args.json {
        true => paint::json_line(&probed)?,
        false => show(&probed)?,
    }
    Ok(())
}

async fn probe(args: &ProbeArgs, server: &Server, probed: &mut Probed) -> Result<(), (Stage, String)> {
    let within = args.timeout.0;
    let login = server
        .require_login()
        .map_err(|error| (LOGIN, error.to_string()))?;
    let began = Instant::now();
    let connecting = Session::connect(server, &args.ws_path);
    let upgraded = staged(CONNECT, within, connecting).await?;
    probed.stages_ms.connect = Some(ms(began));

    let began = Instant::now();
    let mut session = staged(LOGIN, within, Session::log_in(upgraded, server, login)).await?;
    probed.stages_ms.login = Some(ms(began));
    probed.user = Some(session.user.clone());
    probed.instance = Some(session.instance.clone());

    let began = Instant::now();
    staged(SUBSCRIBE, within, async {
        session.subscribe("0", &args.destination, "auto", None).await?;
        session.receipt("0").await
    })
    .await?;
    probed.stages_ms.subscribe = Some(ms(began));

    let id = Ulid::new().to_string();
    let began = Instant::now();
    let came = {
        let receiving = received(&mut session, &id);
        tokio::pin!(receiving);
        let publishing = staged(
            PUBLISH,
            within,
            publish(args, server, &id, probed.user.as_deref()),
        );
        tokio::pin!(publishing);
        let mut came = None;
        // It may come before the answer to its publish.
        loop {
            tokio::select! {
                published = &mut publishing => break published?,
                received = &mut receiving, if came.is_none() => came = Some(received),
            }
        }
        probed.stages_ms.publish = Some(ms(began));
        match came {
            Some(came) => came.map_err(|end| (RECEIVE, end.to_string()))?,
            None => staged(RECEIVE, within, receiving).await?,
        }
    };
    let latency = came.duration_since(began).as_secs_f64() * 1_000.0;
    probed.stages_ms.receive = Some(latency);
    probed.latency_ms = Some(latency);
    session.close().await;
    Ok(())
}

/// The result of `stage`, within its time.
async fn staged<T, E: Into<ClientError>>(
    stage: Stage,
    within: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, (Stage, String)> {
    match timeout(within, Box::pin(work)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err((stage, error.into().to_string())),
        Err(_) => Err((stage, format!("not within {}", HumanDuration(within)))),
    }
}

async fn publish(args: &ProbeArgs, server: &Server, id: &str, user: Option<&str>) -> Result<(), ClientError> {
    let own = args
        .destination
        .strip_prefix(OWN)
        .filter(|rest| rest.starts_with('/'));
    let path = match (own, user) {
        (Some(rest), Some(user)) => format!("/api/v1/users/{}/{}", segment(user), segments(rest)?),
        _ => format!("/api/v1/broadcast/{}", segments(&args.destination)?),
    };
    let value =
        |text: &str| HeaderValue::from_str(text).map_err(|error| ClientError::Failure(error.to_string()));
    // Nobody needs an old probe.
    let ttl = args.timeout.0.as_millis().max(1).to_string();
    let headers = [
        (HeaderName::from_static("herald-id"), value(id)?),
        (HeaderName::from_static("herald-ttl-ms"), value(&ttl)?),
    ];
    let mut rest = Rest::new(server);
    let body = Bytes::from_static(b"herald probe");
    let asking = rest.request(Method::POST, &path, &headers, body, Duration::ZERO);
    Box::pin(asking).await?.require_success()
}

/// When the MESSAGE with this id arrived.
async fn received(session: &mut Session, id: &str) -> Result<Instant, End> {
    loop {
        let frame = session.next().await?;
        // If history keeps the destination, the message-id is a position.
        let is_it = ["herald-id", "message-id"]
            .iter()
            .any(|name| frame.headers.get(name) == Some(id));
        if frame.command == ServerCommand::Message && is_it {
            return Ok(Instant::now());
        }
    }
}

fn ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1_000.0
}

fn show(probed: &Probed) -> std::io::Result<()> {
    let (good, dim) = (paint::GOOD, paint::DIM);
    let text = |text: &Option<String>| paint::one_line(text.as_deref().unwrap_or_default());
    let took = |stage: Option<f64>| stage.unwrap_or_default();
    let stages = &probed.stages_ms;
    writeln!(
        anstream::stdout().lock(),
        "{good}ok{good:#} {} at {}: what was published came after {:.1} ms {dim}(connect {:.1}, login {:.1}, subscribe {:.1}, publish {:.1} ms){dim:#}",
        text(&probed.user),
        text(&probed.instance),
        took(probed.latency_ms),
        took(stages.connect),
        took(stages.login),
        took(stages.subscribe),
        took(stages.publish),
    )
}
