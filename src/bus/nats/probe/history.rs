//! Whether JetStream has what history needs, and whether this user may use it. Changes nothing: each right is tried
//! with a request that is not JSON, which JetStream refuses before it looks at any stream.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use async_nats::{Client, RequestErrorKind};
use bytes::Bytes;
use serde::Deserialize;
use ulid::Ulid;

use super::{QUESTION_TIMEOUT, come_back_by};
use crate::bus::Config;
use crate::bus::history::config::Storage;
use crate::bus::nats::Keep;
use crate::bus::nats::api::{self, ApiFailure};
use crate::bus::nats::streams::{InfoAnswer, NOT_FOUND, Plan, Stream, Version};
use crate::bus::subject::Subjects;

/// A request that JetStream refuses to read.
const NO_JSON: &[u8] = b"?";
/// JetStream's code for "JetStream not enabled for account".
const NOT_IN_ACCOUNT: u32 = 10_039;
/// The requests of an instance about each stream.
const QUESTIONS: [&str; 3] = ["STREAM.INFO", "CONSUMER.CREATE", "DIRECT.GET"];
/// Further requests of an instance with `history.manage`.
const CHANGES: [&str; 2] = ["STREAM.CREATE", "STREAM.UPDATE"];
/// The requests of an instance without it, after a stream was rolled back.
const RARE_CHANGE: &str = "STREAM.UPDATE";
const FLOW: &str = "$JS.FC.";

/// The findings about JetStream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbedHistory {
    /// Whether it is enabled for this user's account. `None`: it does not say.
    pub is_on: Option<bool>,
    /// The cluster that the server is in.
    pub cluster: Option<String>,
    /// The limits of the account. `None`: this user may not ask for them.
    pub account: Option<Account>,
    /// Each stream that the configuration requires.
    pub streams: Vec<ProbedStream>,
    /// What this user may not publish to, but has to.
    pub refused: Vec<String>,
    /// What it may not publish to, but would have to after a stream was rolled back.
    pub refused_rarely: Vec<String>,
}

/// Room for streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// What streams have reserved, or what they use if that is more.
    pub taken: u64,
    /// The account's limit. `None`: as much as the servers have, which only they know.
    pub limit: Option<u64>,
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbedStream {
    /// Its name.
    pub name: String,
    /// The maximum size that the configuration gives it.
    pub bytes_max: u64,
    /// Its state.
    pub state: StreamState,
}

/// The state of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamState {
    /// It does not exist.
    Missing,
    /// It could not be queried, and why.
    Unknown(String),
    /// It exists.
    There(Found),
}

/// A stream that exists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The number of its messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The maximum of its bytes. `None`: unlimited.
    pub bytes_max: Option<u64>,
    /// The number of servers on which it is stored.
    pub replicas: u64,
    /// The servers whose replica is missing or behind.
    pub behind: Vec<String>,
    /// Differences that would break a promise, a line each.
    pub not_ready: Vec<String>,
    /// Whether one of these cannot be changed.
    pub is_fixed: bool,
    /// Limits that differ from the configuration, a line each.
    pub drift: Vec<String>,
}

/// Examines JetStream through `client`, whose replies arrive by `_INBOX` if `common_inbox`.
pub(super) async fn look(
    client: &Client,
    config: &Config,
    keep: &Keep<'_>,
    common_inbox: bool,
) -> ProbedHistory {
    let subjects = Subjects::new(&config.prefix);
    let plans = Plan::all(
        keep.config,
        keep.config.kept_prefixes(keep.prefixes),
        &config.prefix,
        &subjects,
    );
    let api = api::prefix(keep.config.domain.as_ref());
    let info = client.server_info();
    let mut probed = ProbedHistory {
        is_on: info.jetstream.then_some(true),
        cluster: info.cluster.filter(|cluster| !cluster.is_empty()),
        account: None,
        streams: Vec::new(),
        refused: Vec::new(),
        refused_rarely: Vec::new(),
    };
    if may_publish(client, &format!("{api}INFO"), common_inbox).await {
        match ask::<AccountAnswer>(client, format!("{api}INFO")).await {
            Ok(answer) => {
                probed.is_on = Some(true);
                probed.account = Some(answer.account(keep));
            }
            Err(ApiFailure::NoResponders) => probed.is_on = Some(false),
            Err(ApiFailure::Refused(refusal)) if refusal.err_code == NOT_IN_ACCOUNT => {
                probed.is_on = Some(false);
            }
            Err(_) => {}
        }
    }
    for plan in &plans {
        for verb in QUESTIONS.into_iter().chain(CHANGES) {
            let subject = format!("{api}{verb}.{}", plan.name);
            let is_rare = CHANGES.contains(&verb) && !plan.manage;
            if (is_rare && verb != RARE_CHANGE) || may_publish(client, &subject, common_inbox).await {
                continue;
            }
            match is_rare {
                true => probed.refused_rarely.push(subject),
                false => probed.refused.push(subject),
            }
        }
        let question = format!("{api}STREAM.INFO.{}", plan.name);
        let state = match probed.refused.contains(&question) {
            true => StreamState::Unknown("this user may not ask".to_owned()),
            false => stream(client, plan, question).await,
        };
        probed.streams.push(ProbedStream {
            name: plan.name.to_string(),
            bytes_max: plan.bytes as u64,
            state,
        });
    }
    // The subject at which a consumer awaits the answers to its flow control; no consumer uses this one.
    let flow = format!("{FLOW}herald.doctor.{}", Ulid::new());
    if !may_publish(client, &flow, common_inbox).await {
        probed.refused.push(format!("{FLOW}>"));
    }
    probed
}

/// Whether the server accepts this user's publishes to `subject`. It answers in order: a refusal arrives before the
/// round trip is over.
async fn may_publish(client: &Client, subject: &str, common_inbox: bool) -> bool {
    let refused = || client.statistics().refused_publishes.load(Ordering::Relaxed);
    let before = refused();
    if client
        .publish(subject.to_owned(), Bytes::from_static(NO_JSON))
        .await
        .is_err()
    {
        return false;
    }
    come_back_by(client, common_inbox).await;
    refused() == before
}

async fn ask<T: serde::de::DeserializeOwned>(client: &Client, subject: String) -> Result<T, ApiFailure> {
    api::read(&ask_raw(client, subject).await?)
}

async fn ask_raw(client: &Client, subject: String) -> Result<Bytes, ApiFailure> {
    let asked = client.request(subject, Bytes::new());
    match tokio::time::timeout(QUESTION_TIMEOUT, asked).await {
        Ok(Ok(answer)) => Ok(answer.payload),
        Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => Err(ApiFailure::NoResponders),
        _ => Err(ApiFailure::Silent),
    }
}

async fn stream(client: &Client, plan: &Plan, question: String) -> StreamState {
    #[derive(Deserialize)]
    struct Replicas {
        cluster: Option<Cluster>,
    }
    #[derive(Deserialize)]
    struct Cluster {
        #[serde(default)]
        replicas: Vec<Replica>,
    }
    #[derive(Deserialize)]
    struct Replica {
        name: String,
        #[serde(default)]
        current: bool,
        #[serde(default)]
        offline: bool,
    }
    let answered = ask_raw(client, question).await.and_then(|answer| {
        let info = api::read::<InfoAnswer>(&answer)?;
        let replicas = api::read::<Replicas>(&answer)?;
        Ok((Stream::read(info, plan)?, replicas.cluster))
    });
    let (stream, cluster) = match answered {
        Ok(answered) => answered,
        Err(ApiFailure::Refused(refusal)) if refusal.err_code == NOT_FOUND => return StreamState::Missing,
        Err(failure) => return StreamState::Unknown(failure.to_string()),
    };
    let report = plan.compare(&stream.config, Version::parse(&client.server_info().version));
    let number = |key: &str| stream.config.get(key).and_then(serde_json::Value::as_u64);
    let behind = cluster.into_iter().flat_map(|cluster| cluster.replicas);
    StreamState::There(Found {
        messages: stream.messages,
        bytes: stream.bytes,
        bytes_max: number("max_bytes").filter(|bytes| *bytes > 0),
        replicas: number("num_replicas").unwrap_or(1),
        behind: behind
            .filter(|replica| replica.offline || !replica.current)
            .map(|replica| replica.name)
            .collect(),
        is_fixed: ["storage", "retention"].iter().any(|field| {
            report
                .not_ready
                .iter()
                .any(|line| line.contains(&format!(" has {field} ")))
        }),
        not_ready: report.not_ready,
        drift: report.drift,
    })
}

#[derive(Deserialize)]
struct AccountAnswer {
    #[serde(flatten)]
    whole: Room,
    #[serde(default)]
    tiers: HashMap<String, Room>,
}

/// The use and the limits of an account, or of one of its tiers. A limit of −1 means unlimited.
#[derive(Deserialize)]
struct Room {
    #[serde(default)]
    memory: u64,
    #[serde(default)]
    storage: u64,
    #[serde(default)]
    reserved_memory: u64,
    #[serde(default)]
    reserved_storage: u64,
    limits: Limits,
}

#[derive(Deserialize)]
struct Limits {
    max_memory: i64,
    max_storage: i64,
}

impl AccountAnswer {
    fn account(&self, keep: &Keep<'_>) -> Account {
        let tier = format!("R{}", u8::from(keep.config.replicas));
        let room = self.tiers.get(&tier).unwrap_or(&self.whole);
        let (taken, limit) = match keep.config.storage {
            Storage::File => (room.storage.max(room.reserved_storage), room.limits.max_storage),
            Storage::Memory => (room.memory.max(room.reserved_memory), room.limits.max_memory),
        };
        Account {
            taken,
            limit: u64::try_from(limit).ok(),
        }
    }
}
