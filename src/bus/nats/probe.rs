//! Examines each server of `bus.url` once, before an instance starts. Connects as an instance would, asks a few
//! questions, and disconnects.

use std::time::{Duration, Instant};

use async_nats::{Client, Subscriber};
use serde::Deserialize;
use ulid::Ulid;

use super::causes::Causes;
use super::kept::Keep;
use super::open;
use super::options::{ConnectError, Identity};
use super::rights;
use super::servers::Servers;
use crate::bus::Config;
use crate::bus::subject::{INBOX, Prefix, Subjects};
use crate::instance::InstanceId;

mod certificate;
mod history;

pub use history::{Account, Found, ProbedHistory, ProbedStream, StreamState};

/// Messages that may wait per subscription; none is read.
const SUBSCRIPTION_CAPACITY: usize = 16;
/// The time for one question to a server.
const QUESTION_TIMEOUT: Duration = Duration::from_millis(1_000);

/// A server that was reached.
#[derive(Debug, Clone)]
pub struct Probed {
    /// Its own name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `max_payload`
    pub max_payload: usize,
    /// Whether JetStream is enabled. `None`: it does not say.
    pub jetstream: Option<bool>,
    /// The subscriptions that an instance needs and the server refuses, a line each.
    pub refused: Vec<String>,
    /// How long a message to our own inbox takes to return. `None`: it does not return, and an instance would never be
    /// ready.
    pub round_trip: Option<Duration>,
    /// Whether that was through `_INBOX`, since `<prefix>.reply.>` is not permitted.
    pub common_inbox: bool,
    /// Whether it accepts every client that can reach it.
    pub open: bool,
    /// The certificate that it presents, in DER. `None`: the connection is not encrypted.
    pub certificate: Option<Vec<u8>>,
    /// Its clock minus this one's in ms, plus or minus half the round trip. `None`: this user may not ask for it.
    pub clock_ms: Option<i64>,
    /// What it offers for history. `None`: nothing is to be kept, or another server of the same cluster has answered.
    pub history: Option<ProbedHistory>,
}

/// Examines each server; returns its address with the result, or with the reason why there is none. The first server
/// that can be reached is asked for what `keep` needs.
///
/// # Errors
/// A cause that waiting could not fix, as at a start.
pub async fn probe(
    config: &Config,
    keep: Option<&Keep<'_>>,
) -> Result<Vec<(String, Result<Probed, String>)>, ConnectError> {
    let mut found: Vec<(String, Result<Probed, String>)> = Vec::new();
    for address in config.url.as_ref().map_or(&[][..], Servers::addresses) {
        let options = Identity::read(config)?
            .options
            .name("herald doctor")
            .custom_inbox_prefix(format!("{}.reply", config.prefix))
            .subscription_capacity(SUBSCRIPTION_CAPACITY);
        let name = format!("{}:{}", address.host(), address.port());
        let outcome = match Box::pin(options.connect(address)).await {
            Ok(client) => {
                let certificate = Box::pin(certificate::shown(config, address)).await;
                let keep = keep.filter(|_| found.iter().all(|(_, outcome)| outcome.is_err()));
                Ok(Box::pin(ask(&client, config, keep, certificate)).await)
            }
            Err(error) => {
                let error = words(&error);
                Err(match Causes::of(config).of_error(&error) {
                    Some(cause) => format!("{cause} ({error})"),
                    None => error,
                })
            }
        };
        found.push((name, outcome));
    }
    Ok(found)
}

/// An error with its causes: the kind alone ("IO error") does not help.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

async fn ask(
    client: &Client,
    config: &Config,
    keep: Option<&Keep<'_>>,
    certificate: Option<Vec<u8>>,
) -> Probed {
    let info = client.server_info();
    let held = subscribe(client, &config.prefix).await;
    // The server has handled the subscriptions before this is over.
    let (mut round_trip, mut common_inbox) = (come_back_by(client, false).await, false);
    if round_trip.is_none() {
        round_trip = come_back_by(client, true).await;
        common_inbox = round_trip.is_some();
    }
    let mut refused = client.refused_subscriptions();
    drop(held);
    // The round trip's own.
    let subjects = Subjects::new(&config.prefix);
    refused.subjects.retain(|subject| !subjects.is_reply(subject));
    // Without a reply nothing is known about refusals.
    let history = match keep.filter(|_| round_trip.is_some()) {
        Some(keep) => Some(Box::pin(history::look(client, config, keep, common_inbox)).await),
        None => None,
    };
    Probed {
        refused: rights::words(&refused),
        open: open::is_open(&info),
        name: info.server_name,
        version: info.version,
        max_payload: info.max_payload,
        round_trip,
        common_inbox,
        jetstream: jetstream(client).await,
        certificate,
        clock_ms: clock_ms(client).await,
        history,
    }
}

/// The subscriptions of an instance. The rights to publish are not tried, since others would see the messages.
async fn subscribe(client: &Client, prefix: &Prefix) -> Vec<Subscriber> {
    let subjects = Subjects::new(prefix);
    let control = subjects.control(InstanceId::random());
    let mut held = Vec::new();
    for subject in subjects.notifications().into_iter().chain(control) {
        let asked = tokio::time::timeout(QUESTION_TIMEOUT, client.subscribe(subject));
        held.extend(asked.await.ok().and_then(Result::ok));
    }
    held
}

/// Either JetStream answers on its own subject, or nobody does.
async fn jetstream(client: &Client) -> Option<bool> {
    let asked = client.request("$JS.API.INFO", bytes::Bytes::new());
    match tokio::time::timeout(QUESTION_TIMEOUT, asked).await {
        Ok(Ok(_)) => Some(true),
        Ok(Err(error)) if error.kind() == async_nats::RequestErrorKind::NoResponders => Some(false),
        // Most likely not permitted: then nothing arrives.
        _ => None,
    }
}

async fn clock_ms(client: &Client) -> Option<i64> {
    #[derive(Deserialize)]
    struct Answer {
        server: Server,
    }
    #[derive(Deserialize)]
    struct Server {
        time: String,
    }
    let began = jiff::Timestamp::now();
    let asked = client.request("$SYS.REQ.USER.INFO", bytes::Bytes::new());
    let answer = tokio::time::timeout(QUESTION_TIMEOUT, asked).await.ok()?.ok()?;
    let ended = jiff::Timestamp::now();
    let answer: Answer = serde_json::from_slice(&answer.payload).ok()?;
    let middle_ms = (began.as_millisecond() + ended.as_millisecond()) / 2;
    let theirs: jiff::Timestamp = answer.server.time.parse().ok()?;
    Some(theirs.as_millisecond() - middle_ms)
}

/// How long a message to our own inbox takes to return. `None`: it does not return.
async fn come_back_by(client: &Client, common_inbox: bool) -> Option<Duration> {
    let inbox = match common_inbox {
        true => format!("{INBOX}{}", Ulid::new()),
        false => client.new_inbox(),
    };
    come_back(client, inbox).await
}

async fn come_back(client: &Client, inbox: String) -> Option<Duration> {
    let came = async {
        let mut replies = client.subscribe(inbox.clone()).await.ok()?;
        let began = Instant::now();
        client.publish(inbox.clone(), bytes::Bytes::new()).await.ok()?;
        futures_util::StreamExt::next(&mut replies).await?;
        Some(began.elapsed())
    };
    tokio::time::timeout(QUESTION_TIMEOUT, came).await.ok()?
}
