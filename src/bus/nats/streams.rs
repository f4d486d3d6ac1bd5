//! The streams that keep history: their names and configuration, what each reports about itself, and how one is created
//! or changed as required. Knows no message and no reader.
//!
//! * **Compared field by field.** An old server drops fields that it does not know, and somebody else may have created
//!   the stream: what JetStream *answers* is compared with the required configuration. A difference that would break a
//!   promise keeps the instance from being ready; limits that differ from the configuration are *drift*, a warning, so
//!   that a rolling change of the configuration takes no instance down.
//! * **The epoch** of a stream is its creation time in Unix ms × 1,000 plus its generation, a number in its metadata
//!   that is incremented when the stream was rolled back. For users' streams it starts at 500: two streams created in
//!   the same millisecond must differ.
//! * **Changes start from what the stream has**, by reading and writing its whole configuration, so that others'
//!   settings stay.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use ulid::Ulid;

use super::api::{Api, ApiFailure, CHANGE_TIMEOUT, QUESTION_TIMEOUT};
use crate::bus::history::config::{Config, Storage};
use crate::bus::history::{Kind, StreamInfo};
use crate::bus::subject::{Prefix, Subjects};
use crate::destination::Path;

mod compare;

pub(super) use compare::{Report, Version};

/// The key of the generation in a stream's metadata.
const GENERATION: &str = "herald.generation";
/// The key in a stream's metadata that identifies the request that created it.
const REQUEST: &str = "herald.request";
/// The time for the next generation: a cluster without a leader does not answer, and the same request may be repeated.
const RAISE_TIMEOUT: Duration = Duration::from_secs(1);
/// JetStream's code for "stream not found".
pub(super) const NOT_FOUND: u32 = 10_059;
/// JetStream's code for a stream of this name with another configuration.
const IN_USE: u32 = 10_058;

/// The required configuration of a stream.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    /// `HERALD_BROADCAST`, `HERALD_USER`.
    pub(super) name: Box<str>,
    pub(super) subjects: Vec<String>,
    pub(super) storage: Storage,
    pub(super) replicas: u8,
    pub(super) age: Duration,
    pub(super) bytes: usize,
    /// How long JetStream has to remember ids.
    pub(super) duplicate_window: Duration,
    /// The minimum that repeats need.
    pub(super) duplicate_window_min: Duration,
    /// Whether Herald creates and changes the stream.
    pub(super) manage: bool,
}

/// A stream as JetStream describes it.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) info: StreamInfo,
    /// The number of its messages, and their bytes.
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// Its whole configuration.
    pub(super) config: Map<String, Value>,
}

impl Plan {
    /// The streams that `config` requires: one for each kind, unless nothing of the kind is kept.
    pub(super) fn all(config: &Config, kept: &[Path], prefix: &Prefix, subjects: &Subjects) -> Vec<Self> {
        let plan = |kind: Kind| {
            let (subjects, age, bytes) = match kind {
                Kind::Broadcast => (
                    kept.iter().map(|path| subjects.broadcasts_below(path)).collect(),
                    config.broadcast_age,
                    config.broadcast_bytes,
                ),
                Kind::User if config.user => {
                    let [_, users] = subjects.notifications();
                    (vec![users], config.user_age, config.user_bytes)
                }
                Kind::User => (Vec::new(), config.user_age, config.user_bytes),
            };
            Self {
                kind,
                name: name(prefix, kind),
                subjects,
                storage: config.storage,
                replicas: config.replicas.into(),
                age: age.0,
                bytes: bytes.0,
                duplicate_window: config.duplicate_window.0,
                duplicate_window_min: config.publish_timeout.0.saturating_mul(2),
                manage: config.manage,
            }
        };
        let mut plans: Vec<Self> = Kind::ALL.into_iter().map(plan).collect();
        plans.retain(|plan| !plan.subjects.is_empty());
        plans
    }

    /// The required configuration of the stream, without its name and its generation.
    fn wanted(&self, version: Version) -> Map<String, Value> {
        let mut wanted = Map::new();
        let mut set = |key: &str, value: Value| wanted.insert(key.to_owned(), value);
        set("subjects", json!(self.subjects));
        set("retention", json!("limits"));
        set("discard", json!("old"));
        set("storage", json!(self.storage.to_string()));
        set("num_replicas", json!(self.replicas));
        set("max_age", json!(nanoseconds(self.age)));
        set("max_bytes", json!(self.bytes));
        set("max_msgs", json!(-1));
        set("max_msg_size", json!(-1));
        set("max_consumers", json!(-1));
        set("max_msgs_per_subject", json!(-1));
        // JetStream refuses a window that is longer than the age.
        set(
            "duplicate_window",
            json!(nanoseconds(self.duplicate_window.min(self.age))),
        );
        set("allow_direct", json!(true));
        set("deny_delete", json!(true));
        set("allow_rollup_hdrs", json!(false));
        set("allow_msg_ttl", json!(false));
        if version >= Version::ATOMIC {
            set("allow_atomic", json!(true));
        }
        wanted
    }

    /// The configuration of a new stream, which differs from every other request. To an identical request a cluster
    /// would answer as if the stream had not existed, and give it a later `created`, and so another epoch, once its
    /// servers restart.
    fn new_stream(&self, version: Version) -> Map<String, Value> {
        let mut config = self.wanted(version);
        config.insert("name".into(), json!(self.name));
        let metadata = json!({
            GENERATION: self.first_generation().to_string(),
            REQUEST: Ulid::new().to_string(),
        });
        config.insert("metadata".into(), metadata);
        config
    }

    /// The generation of a new stream.
    fn first_generation(&self) -> u64 {
        match self.kind {
            Kind::Broadcast => 0,
            Kind::User => 500,
        }
    }

    fn generation(&self, config: &Map<String, Value>) -> u64 {
        let text = config
            .get("metadata")
            .and_then(|metadata| metadata.get(GENERATION));
        let number = text.and_then(Value::as_str).and_then(|text| text.parse().ok());
        number.unwrap_or(self.first_generation())
    }
}

/// `HERALD_BROADCAST` for `herald`: a prefix is one token, so only its case changes.
fn name(prefix: &Prefix, kind: Kind) -> Box<str> {
    format!("{prefix}_{}", kind.as_str()).to_ascii_uppercase().into()
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Api {
    /// What the stream reports about itself.
    pub(super) async fn stream(&self, plan: &Plan) -> Result<Stream, ApiFailure> {
        let answer = self
            .ask("STREAM.INFO", &plan.name, &Value::Null, QUESTION_TIMEOUT)
            .await?;
        Stream::read(answer, plan)
    }

    /// The stream, created if it does not exist, and changed if `may_change` and it is not as required.
    /// [`Plan::compare`] tells whether it is then. Instances may do this at the same time: one of them creates it.
    pub(super) async fn ensure(&self, plan: &Plan, may_change: bool) -> Result<Stream, ApiFailure> {
        let version = self.version();
        let found = match self.stream(plan).await {
            Err(ApiFailure::Refused(refusal)) if refusal.err_code == NOT_FOUND && plan.manage => {
                match self.change("STREAM.CREATE", plan, plan.new_stream(version)).await {
                    // Another instance was faster: its stream is compared like any other.
                    Err(ApiFailure::Refused(refusal)) if refusal.err_code == IN_USE => {
                        self.stream(plan).await?
                    }
                    made => return made,
                }
            }
            found => found?,
        };
        if !(may_change && plan.manage) || plan.compare(&found.config, version).is_empty() {
            return Ok(found);
        }
        let mut config = found.config.clone();
        config.extend(plan.wanted(version));
        match self.change("STREAM.UPDATE", plan, config).await {
            Ok(changed) => Ok(changed),
            Err(ApiFailure::Refused(refusal)) => {
                tracing::warn!(
                    stream = &*plan.name,
                    refusal = refusal.description,
                    "NATS does not let the stream be changed to what the configuration says"
                );
                Ok(found)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Increments the stream's generation, and with it its epoch, unless its epoch is no longer `epoch`. Returns the
    /// stream as it is then.
    pub(super) async fn raise_generation(&self, plan: &Plan, epoch: u64) -> Result<Stream, ApiFailure> {
        let found = self.stream(plan).await?;
        if found.info.epoch != epoch {
            return Ok(found);
        }
        let mut config = found.config;
        let raised = plan.generation(&config).saturating_add(1).to_string();
        let metadata = config.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert(GENERATION.to_owned(), json!(raised));
        }
        self.change_within(RAISE_TIMEOUT, "STREAM.UPDATE", plan, config)
            .await
    }

    /// The version of the server that this instance is connected to.
    pub(super) fn version(&self) -> Version {
        Version::parse(&self.connection.client.server_info().version)
    }

    async fn change(
        &self,
        verb: &str,
        plan: &Plan,
        config: Map<String, Value>,
    ) -> Result<Stream, ApiFailure> {
        self.change_within(CHANGE_TIMEOUT, verb, plan, config).await
    }

    async fn change_within(
        &self,
        timeout: Duration,
        verb: &str,
        plan: &Plan,
        config: Map<String, Value>,
    ) -> Result<Stream, ApiFailure> {
        let answer = self
            .ask(verb, &plan.name, &Value::Object(config), timeout)
            .await?;
        Stream::read(answer, plan)
    }
}

#[derive(Deserialize)]
pub(super) struct InfoAnswer {
    config: Map<String, Value>,
    created: String,
    state: StateAnswer,
    cluster: Option<ClusterAnswer>,
}

#[derive(Deserialize)]
struct StateAnswer {
    messages: u64,
    bytes: u64,
    first_seq: u64,
    last_seq: u64,
    #[serde(default)]
    last_ts: String,
}

#[derive(Deserialize)]
struct ClusterAnswer {
    #[serde(default)]
    leader: String,
}

impl Stream {
    pub(super) fn read(answer: InfoAnswer, plan: &Plan) -> Result<Self, ApiFailure> {
        let InfoAnswer {
            config,
            created,
            state,
            cluster,
        } = answer;
        let created: jiff::Timestamp = created.parse().map_err(|_| ApiFailure::Unreadable)?;
        let created_ms = u64::try_from(created.as_millisecond()).map_err(|_| ApiFailure::Unreadable)?;
        let generation = plan.generation(&config);
        Ok(Self {
            info: StreamInfo {
                epoch: created_ms.saturating_mul(1_000).saturating_add(generation),
                first: match state.messages {
                    0 => state.last_seq.saturating_add(1),
                    _ => state.first_seq,
                },
                last: state.last_seq,
                last_stamp: stamp(&state.last_ts),
                is_leaders: cluster.is_none_or(|cluster| !cluster.leader.is_empty()),
            },
            messages: state.messages,
            bytes: state.bytes,
            config,
        })
    }
}

/// A time stamp of NATS in ns since 1970, the form used by consumers. `None` for Go's year 1, which means that there is
/// none.
pub(super) fn stamp(text: &str) -> Option<u64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests;
