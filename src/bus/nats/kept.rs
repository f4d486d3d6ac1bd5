//! Between the bus and its history: which subjects stay on core NATS, what a publish into a stream comes to, and what a reader
//! gives on, in the bus's words. Knows no session.

use std::sync::Arc;

use futures_util::StreamExt;
use serde::Deserialize;
use ulid::Ulid;

use super::history::{NatsHistory, Published as Stored, Setup};
use super::link::Connection;
use super::store::StoreError;
use crate::bus::feed::Fed;
use crate::bus::history::{self, Caps, Outcome, Request, StreamInfo};
use crate::bus::subject::Subjects;
use crate::bus::{
    BoxFuture, BoxStream, Config, Content, History, Incoming, Key, Limits, PublishError, Published, Stats,
    StreamStats, TailStats,
};
use crate::destination::{Path, Prefixes, Target};
use crate::envelope::{Envelope, Kept, Kind, Position};
use crate::setting::ByteSize;

/// The kind of the control message by which instances tell each other that a stream's epoch is another.
pub(super) const EPOCH_KIND: &str = "history.epoch";

/// What is to be kept in JetStream.
#[derive(Debug, Clone, Copy)]
pub struct Keep<'c> {
    /// `[history]`, which is on.
    pub config: &'c history::Config,
    /// `[destinations]`
    pub prefixes: &'c Prefixes,
    /// `limits.outbox_bytes`
    pub outbox_bytes: ByteSize,
}

impl<'c> Keep<'c> {
    /// What `config` asks for, if it is on.
    pub fn of(config: &'c history::Config, prefixes: &'c Prefixes, outbox_bytes: ByteSize) -> Option<Self> {
        config.is_enabled(true).then_some(Self {
            config,
            prefixes,
            outbox_bytes,
        })
    }

    /// The subjects of notifications that no stream keeps.
    pub(super) fn not_kept(&self, subjects: &Subjects) -> Vec<String> {
        let kept = self.config.kept_prefixes(self.prefixes);
        let is_left = |prefix: &&Path| !kept.contains(prefix);
        let left = self.prefixes.broadcast_prefixes.iter().filter(is_left);
        let [_, users] = subjects.notifications();
        left.map(|prefix| subjects.broadcasts_below(prefix))
            .chain((!self.config.user).then_some(users))
            .collect()
    }
}

/// The history of one bus.
pub(super) struct Keeper {
    history: NatsHistory,
    kept: Kept,
    caps: Caps,
}

impl Keeper {
    pub(super) fn new(
        keep: &Keep<'_>,
        connection: &Connection,
        subjects: &Subjects,
        config: &Config,
        limits: Limits,
    ) -> Self {
        let history = NatsHistory::new(Setup {
            connection: connection.clone(),
            prefix: &config.prefix,
            subjects,
            limits,
            config: keep.config,
            kept: keep.config.kept_prefixes(keep.prefixes),
            incoming_bytes: config.incoming_bytes.0,
        });
        Self {
            history,
            kept: keep.config.kept(keep.prefixes),
            caps: Caps {
                messages: keep.config.replay_messages,
                bytes: keep.config.replay_bytes(keep.outbox_bytes).0,
            },
        }
    }

    /// The live readers, to be run until the drain. Once.
    pub(super) fn readers(&self) -> Vec<(&'static str, BoxFuture<'static, ()>)> {
        self.history.readers()
    }

    pub(super) fn keeps(&self, target: &Target) -> bool {
        self.history.keeps(target).is_some()
    }

    /// Stores `envelope`, which is kept, once for all repeats with `key`.
    pub(super) async fn publish(
        &self,
        envelope: &Envelope,
        key: Option<Key>,
    ) -> Result<Published, PublishError> {
        let stored = self.history.publish(envelope, id(key)).await.map_err(refusal)?;
        let published = published(stored);
        if published.duplicate && key.is_some() {
            let kind = Kind::of(&envelope.target);
            // What is not there any more cannot be compared, and what cannot be read now is stored all the same.
            let first = self.history.stored_at(kind, stored.position).await.ok().flatten();
            if first.is_some_and(|first| Content::of(&first) != Content::of(envelope)) {
                return Err(PublishError::KeyReused);
            }
        }
        Ok(published)
    }

    /// The kind of a batch that can be stored whole or not at all: all of it is kept, of one kind, and without keys, by which
    /// JetStream would refuse all where it knows one.
    pub(super) fn kind_of(&self, batch: &[(Envelope, Option<Key>)]) -> Option<Kind> {
        let kind = batch.first().map(|(envelope, _)| Kind::of(&envelope.target))?;
        let fits = |(envelope, key): &(Envelope, Option<Key>)| {
            key.is_none() && self.history.keeps(&envelope.target) == Some(kind)
        };
        (!self.history.refuses_batches(kind) && batch.iter().all(fits)).then_some(kind)
    }

    /// Stores a batch of `kind`, all or nothing.
    pub(super) async fn publish_atomic(
        &self,
        kind: Kind,
        batch: &[(Envelope, Option<Key>)],
    ) -> Result<Vec<Published>, PublishError> {
        let all: Vec<(&Envelope, String)> =
            batch.iter().map(|(envelope, key)| (envelope, id(*key))).collect();
        let stored = self.history.publish_atomic(kind, &all).await.map_err(refusal)?;
        Ok(stored.into_iter().map(published).collect())
    }

    /// What the reader of `kind` gives on. Taken once.
    pub(super) fn incoming(&self, kind: Kind) -> Option<BoxStream<Incoming>> {
        let feed = self.history.feed(kind)?;
        Some(Box::pin(feed.map(move |fed| match fed {
            Fed::Notification(envelope) => Incoming::Notification(envelope),
            Fed::Passed(position) | Fed::CaughtUp(position) => Incoming::Passed(kind, position),
            Fed::Broken(broken) => Incoming::Broken(kind, broken.base),
        })))
    }

    /// Another instance says that a stream's epoch is another.
    pub(super) fn look(&self, payload: &[u8]) {
        #[derive(Deserialize)]
        struct Told {
            kind: String,
        }
        // What it says is looked up in any case; a newer version may say it of a kind that is not known here.
        let told = serde_json::from_slice::<Told>(payload);
        for kind in Kind::ALL {
            if told.as_ref().is_ok_and(|told| told.kind == kind.as_str()) {
                self.history.look(kind);
            }
        }
    }

    pub(super) fn trouble(&self) -> Vec<String> {
        self.history.trouble()
    }

    /// `stats`, and what is counted here.
    pub(super) fn stats(&self, mut stats: Stats) -> Stats {
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            let of_kind = self.history.stats(kind).unwrap_or_default();
            stats.expired += of_kind.expired;
            stats.tails[at] = TailStats {
                messages: of_kind.tail_messages as u64,
                bytes: of_kind.tail_bytes as u64,
            };
            stats.streams[at] = StreamStats {
                head: of_kind.head,
                lag: of_kind.pending,
                resets: [
                    of_kind.resets_by_gap,
                    of_kind.resets_by_silence,
                    of_kind.resets_by_connection,
                ],
                polled: of_kind.polled,
                holes: of_kind.holes,
                broken: of_kind.broken,
                has_drift: of_kind.has_drift,
            };
        }
        stats.publish_repeats = self.history.publishes().1;
        stats
    }
}

impl History for Keeper {
    fn kept(&self) -> Kept {
        self.kept.clone()
    }

    fn caps(&self) -> Caps {
        self.caps
    }

    /// Not known before the stream has been read.
    fn base(&self, _kind: Kind) -> Position {
        Position::default()
    }

    fn info(&self, kind: Kind) -> BoxFuture<'_, Option<StreamInfo>> {
        Box::pin(self.history.info(kind))
    }

    fn replay(&self, request: Request<Target>) -> BoxFuture<'_, Outcome<Arc<Envelope>>> {
        Box::pin(self.history.replay(request))
    }
}

/// By what JetStream knows a repeat. Not by the notification's own id: that may be a publisher's, who may well use it twice.
fn id(key: Option<Key>) -> String {
    key.map_or_else(|| Ulid::new().to_string(), |key| key.to_string())
}

fn published(stored: Stored) -> Published {
    Published {
        position: Some(stored.position),
        duplicate: stored.is_duplicate,
    }
}

/// What it means for who publishes.
fn refusal(error: StoreError) -> PublishError {
    match error {
        StoreError::Unavailable => PublishError::Unavailable,
        // Stored, but not as it was asked for: who repeats it with its key learns where.
        StoreError::Unknown | StoreError::OrderChanged(_) | StoreError::Duplicate => PublishError::Unknown,
        StoreError::Full => PublishError::Full,
        StoreError::TooLarge { size, limit, which } => PublishError::TooLarge { size, limit, which },
    }
}
