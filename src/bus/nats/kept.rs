//! Between the bus and its history: which subjects stay on core NATS, and translates the results of publishes and the
//! output of readers into the bus's types. Knows no session.

use std::collections::{HashMap, HashSet};
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

/// The kind of the control message with which instances tell each other that a stream's epoch has changed.
pub(super) const EPOCH_KIND: &str = "history.epoch";

/// The part of the configuration for history in JetStream.
#[derive(Debug, Clone, Copy)]
pub struct Keep<'c> {
    /// `[history]`, which is enabled.
    pub config: &'c history::Config,
    /// `[destinations]`
    pub prefixes: &'c Prefixes,
    /// `limits.outbox_bytes`
    pub outbox_bytes: ByteSize,
}

impl<'c> Keep<'c> {
    /// The history that `config` configures, if it is enabled.
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

    /// The live readers, to be run until the drain. Returned once.
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
        let mut outcomes = self.told(&[(envelope, key)], vec![Ok(stored)]).await;
        outcomes.pop().unwrap_or(Err(PublishError::Unknown))
    }

    /// Stores several kept notifications in their order, each separately.
    pub(super) async fn publish_all(
        &self,
        all: &[(&Envelope, Option<Key>)],
    ) -> Vec<Result<Published, PublishError>> {
        let with_ids: Vec<(&Envelope, String)> =
            all.iter().map(|(envelope, key)| (*envelope, id(*key))).collect();
        let stored = self.history.publish_all(with_ids).await;
        self.told(
            all,
            stored.into_iter().map(|stored| stored.map_err(refusal)).collect(),
        )
        .await
    }

    /// The kind of a batch that can be stored as a whole or not at all: all of it is kept, and of one kind.
    pub(super) fn kind_of(&self, batch: &[(Envelope, Option<Key>)]) -> Option<Kind> {
        let kind = batch.first().map(|(envelope, _)| Kind::of(&envelope.target))?;
        let fits =
            |(envelope, _): &(Envelope, Option<Key>)| self.history.keeps(&envelope.target) == Some(kind);
        (!self.history.refuses_batches(kind) && batch.iter().all(fits)).then_some(kind)
    }

    /// Stores a batch of `kind`, all or nothing, once for all repeats with the same keys.
    pub(super) async fn publish_atomic(
        &self,
        kind: Kind,
        batch: &[(Envelope, Option<Key>)],
    ) -> Result<Vec<Published>, PublishError> {
        let keys: Vec<Key> = batch.iter().filter_map(|(_, key)| *key).collect();
        // JetStream would refuse the whole batch without saying why.
        if keys.iter().collect::<HashSet<_>>().len() < keys.len() {
            return Err(PublishError::KeyReused);
        }
        let with_ids: Vec<(&Envelope, String)> =
            batch.iter().map(|(envelope, key)| (envelope, id(*key))).collect();
        let stored = self
            .history
            .publish_atomic(kind, &with_ids)
            .await
            .map_err(refusal)?;
        let all: Vec<_> = batch.iter().map(|(envelope, key)| (envelope, *key)).collect();
        let outcomes = self.told(&all, stored.into_iter().map(Ok).collect()).await;
        outcomes.into_iter().collect()
    }

    /// Translates the results of `all` for the publisher. If JetStream recognized a publisher's key, the notification
    /// is compared with the stored one. One that no longer exists cannot be compared, and one that cannot be read now
    /// counts as stored.
    async fn told(
        &self,
        all: &[(&Envelope, Option<Key>)],
        stored: Vec<Result<Stored, PublishError>>,
    ) -> Vec<Result<Published, PublishError>> {
        let mut first = HashMap::new();
        for kind in Kind::ALL {
            let known: Vec<Position> = all
                .iter()
                .zip(&stored)
                .filter(|((envelope, key), _)| key.is_some() && Kind::of(&envelope.target) == kind)
                .filter_map(|(_, stored)| stored.as_ref().ok().filter(|stored| stored.is_known))
                .map(|stored| stored.position)
                .collect();
            if !known.is_empty() {
                first.extend(self.history.stored_at(kind, known).await);
            }
        }
        let told = |((envelope, key), stored): (&(&Envelope, Option<Key>), Result<Stored, PublishError>)| {
            let stored = stored?;
            let first = key
                .and_then(|_| first.get(&stored.position))
                .filter(|_| stored.is_known);
            if first.is_some_and(|first| Content::of(first) != Content::of(envelope)) {
                return Err(PublishError::KeyReused);
            }
            match stored.is_misplaced {
                true => Err(PublishError::OrderChanged {
                    position: stored.position,
                }),
                false => Ok(Published {
                    position: Some(stored.position),
                    duplicate: stored.is_duplicate,
                }),
            }
        };
        all.iter().zip(stored).map(told).collect()
    }

    /// The messages that the reader of `kind` passes on. Taken once.
    pub(super) fn incoming(&self, kind: Kind) -> Option<BoxStream<Incoming>> {
        let feed = self.history.feed(kind)?;
        Some(Box::pin(feed.map(move |fed| match fed {
            Fed::Notification(envelope) => Incoming::Notification(envelope),
            Fed::Passed(position) | Fed::CaughtUp(position) => Incoming::Passed(kind, position),
            Fed::Broken(broken) => Incoming::Broken(kind, broken.base),
        })))
    }

    /// Another instance says that a stream's epoch has changed.
    pub(super) fn look(&self, payload: &[u8]) {
        #[derive(Deserialize)]
        struct Told {
            kind: String,
        }
        // It is checked in any case; a newer version may send it for a kind that is unknown here.
        let told = serde_json::from_slice::<Told>(payload);
        for kind in Kind::ALL {
            if told.as_ref().is_ok_and(|told| told.kind == kind.as_str()) {
                self.history.look(kind);
            }
        }
    }

    /// What keeps this instance from being ready.
    pub(super) fn trouble(&self) -> Vec<String> {
        self.history.trouble()
    }

    /// The limits of streams that differ from the configuration.
    pub(super) fn drift(&self) -> Vec<String> {
        self.history.drift()
    }

    /// Problems that do not, but are worth reporting.
    pub(super) fn silence(&self) -> Vec<String> {
        self.history.silence()
    }

    /// `stats`, with the counts kept here.
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
                stored_bytes: of_kind.stored_bytes,
                stored_bytes_max: of_kind.stored_bytes_max,
                indexed: of_kind.indexed,
                index_bytes: of_kind.index_bytes as u64,
            };
        }
        stats.publish_repeats = self.history.publishes().1;
        stats.resume_reads = self.history.resume_reads();
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

    /// Unknown until the stream has been read.
    fn base(&self, _kind: Kind) -> Position {
        Position::default()
    }

    fn info(&self, kind: Kind) -> BoxFuture<'_, Option<StreamInfo>> {
        Box::pin(self.history.info(kind))
    }

    fn settled(&self, kind: Kind) -> BoxFuture<'_, Option<u64>> {
        Box::pin(self.history.settled(kind))
    }

    fn replay(&self, request: Request<Target>) -> BoxFuture<'_, Outcome<Arc<Envelope>>> {
        Box::pin(self.history.replay(request))
    }
}

/// The id by which JetStream recognizes a repeat. Not the notification's own id: a publisher may set that, and may use
/// it twice.
fn id(key: Option<Key>) -> String {
    key.map_or_else(|| Ulid::new().to_string(), |key| key.to_string())
}

/// Translates it for the publisher.
fn refusal(error: StoreError) -> PublishError {
    match error {
        StoreError::Unavailable => PublishError::Unavailable,
        StoreError::Unknown => PublishError::Unknown,
        StoreError::Duplicate => PublishError::KeyReused,
        StoreError::Full => PublishError::Full,
        StoreError::TooLarge { size, limit, which } => PublishError::TooLarge { size, limit, which },
    }
}
