//! History over NATS, as the bus uses it: for each kind that is kept, a stream, its live reader, publishes into it and
//! reads from it. The only part of `bus/nats` that knows all of these; none of them knows it. Knows no session.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;

use super::api::Api;
use super::decode::Decoder;
use super::direct::Direct;
use super::kept::EPOCH_KIND;
use super::link::Connection;
use super::live::Live;
use super::store::{Item, Store, StoreError};
use super::streams::{Plan, Version};
use crate::bus::feed::{Feed, feed};
use crate::bus::history::config::{Config, Replicas};
use crate::bus::history::{Kind, Position};
use crate::bus::reader::Cause;
use crate::bus::subject::{Prefix, Subjects};
use crate::bus::tail::Tail;
use crate::bus::{Limits, headers};
use crate::destination::{Path, Target};
use crate::envelope::Envelope;

mod kept;
mod reads;
mod stored;

use kept::KeptKind;

/// The parts of a bus with history.
pub(super) struct NatsHistory {
    api: Api,
    store: Store,
    direct: Direct,
    decoder: Decoder,
    kept_prefixes: Vec<Path>,
    is_replicated: bool,
    kinds: Vec<KeptKind>,
}

/// Where a publish is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) position: Position,
    /// Whether it had been stored before: by an earlier publish with the same id, or by an earlier attempt of this one.
    pub(super) is_known: bool,
    /// Whether an earlier publish with the same id stored it.
    pub(super) is_duplicate: bool,
    /// Whether it is stored out of the order of its array.
    pub(super) is_misplaced: bool,
}

/// Counts of one kind since the start, and the position of its reader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct KindStats {
    pub(super) head: u64,
    pub(super) pending: u64,
    pub(super) resets_by_gap: u64,
    pub(super) resets_by_silence: u64,
    pub(super) resets_by_connection: u64,
    pub(super) polled: u64,
    pub(super) holes: u64,
    pub(super) broken: u64,
    pub(super) expired: u64,
    pub(super) tail_bytes: usize,
    pub(super) tail_messages: usize,
    pub(super) has_drift: bool,
    pub(super) stored_bytes: u64,
    pub(super) stored_bytes_max: u64,
    pub(super) indexed: u64,
    pub(super) index_bytes: usize,
}

/// What a bus provides to create one of these.
pub(super) struct Setup<'s> {
    pub(super) connection: Connection,
    pub(super) prefix: &'s Prefix,
    pub(super) subjects: &'s Subjects,
    pub(super) limits: Limits,
    pub(super) config: &'s Config,
    /// The prefixes whose broadcasts are kept.
    pub(super) kept: &'s [Path],
    /// `bus.incoming_bytes`, for each kind.
    pub(super) incoming_bytes: usize,
}

impl NatsHistory {
    /// Nothing runs yet: see [`NatsHistory::readers`].
    pub(super) fn new(setup: Setup<'_>) -> Self {
        let Setup {
            connection,
            prefix,
            subjects,
            limits,
            config,
            kept,
            incoming_bytes,
        } = setup;
        let api = Api::new(connection.clone(), config.domain.as_ref());
        let tail_bytes = config.tail_bytes(true).0 / 2;
        let kinds = Plan::all(config, kept, prefix, subjects).into_iter().map(|plan| {
            let (sender, receiver) = feed(incoming_bytes);
            KeptKind {
                plan: Arc::new(plan),
                state: Arc::default(),
                tail: Arc::new(Mutex::new(Tail::with_index(
                    Position::default(),
                    tail_bytes,
                    config.index_bytes.0 / 2,
                ))),
                tail_bytes,
                stale: receiver.expired(),
                feed: Mutex::new((Some(sender), Some(receiver))),
                epoch_subject: subjects.control_all(EPOCH_KIND),
            }
        });
        Self {
            kinds: kinds.collect(),
            store: Store::new(connection.clone(), config.publishes, config.publish_timeout.0),
            direct: Direct::new(api.clone(), config.reads),
            decoder: Decoder {
                subjects: subjects.clone(),
                limits,
                link: connection.link,
            },
            kept_prefixes: kept.to_vec(),
            is_replicated: config.replicas > Replicas::default(),
            api,
        }
    }

    /// The live readers with their names, to be run until the drain. Returned once; later calls return none.
    pub(super) fn readers(&self) -> Vec<(&'static str, BoxFuture<'static, ()>)> {
        let readers = self.kinds.iter().filter_map(|kept| {
            let live = Live {
                feed: kept.feed.lock().0.take()?,
                plan: kept.plan.clone(),
                api: self.api.clone(),
                direct: self.direct.clone(),
                decoder: self.decoder.clone(),
                tail: kept.tail.clone(),
                tail_bytes: kept.tail_bytes,
                state: kept.state.clone(),
                epoch_subject: kept.epoch_subject.clone(),
            };
            let name = match kept.plan.kind {
                Kind::Broadcast => "bus history of broadcasts",
                Kind::User => "bus history of users",
            };
            let reader: BoxFuture<'static, ()> = Box::pin(live.run());
            Some((name, reader))
        });
        readers.collect()
    }

    /// The messages that the reader of `kind` passes on. Taken once; `None` also if nothing of the kind is kept.
    pub(super) fn feed(&self, kind: Kind) -> Option<Feed> {
        self.kept(kind)?.feed.lock().1.take()
    }

    /// The kind of the stream that keeps messages to `target`, if one does.
    pub(super) fn keeps(&self, target: &Target) -> Option<Kind> {
        let kind = Kind::of(target);
        let is_kept = match target {
            Target::Broadcast(path) => self
                .kept_prefixes
                .iter()
                .any(|prefix| path.after(prefix).is_some()),
            Target::User { .. } => true,
        };
        (is_kept && self.kept(kind).is_some()).then_some(kind)
    }

    /// Publishes a message that a stream keeps ([`NatsHistory::keeps`]). JetStream recognizes a repeat by `id`, which
    /// consists of ASCII graphic characters.
    ///
    /// # Errors
    /// See [`StoreError`]; within `history.publish_timeout`.
    pub(super) async fn publish(&self, envelope: &Envelope, id: String) -> Result<Published, StoreError> {
        let kept = self
            .known(Kind::of(&envelope.target))
            .ok_or(StoreError::Unavailable)?;
        let item = self.item(kept, envelope, id);
        let stored = self.store.publish(&kept.state, item).await?;
        Ok(kept.published(stored))
    }

    /// Publishes several notifications in their order, each with its id, all of them kept. Those of one kind are stored
    /// in that order; one that is not says so ([`Published::is_misplaced`]).
    pub(super) async fn publish_all(
        &self,
        all: Vec<(&Envelope, String)>,
    ) -> Vec<Result<Published, StoreError>> {
        let mut outcomes: Vec<Result<Published, StoreError>> =
            all.iter().map(|_| Err(StoreError::Unavailable)).collect();
        let known = self.kinds.iter().filter(|kept| kept.is_known());
        let mut of_kinds: Vec<_> = known.map(|kept| (kept, Vec::new(), Vec::new())).collect();
        for (index, (envelope, id)) in all.into_iter().enumerate() {
            let kind = Kind::of(&envelope.target);
            let of_kind = of_kinds.iter_mut().find(|(kept, ..)| kept.plan.kind == kind);
            if let Some((kept, places, items)) = of_kind {
                places.push(index);
                items.push(self.item(kept, envelope, id));
            }
        }
        let stored = of_kinds.into_iter().map(async |(kept, places, items)| {
            let stored = self.store.publish_all(&kept.state, items).await;
            let published = move |stored: Result<_, _>| stored.map(|stored| kept.published(stored));
            places.into_iter().zip(stored.into_iter().map(published))
        });
        for (index, published) in join_all(stored).await.into_iter().flatten() {
            if let Some(outcome) = outcomes.get_mut(index) {
                *outcome = published;
            }
        }
        outcomes
    }

    /// Publishes several notifications of one kind, all or none, in their order and with no others in between.
    ///
    /// # Errors
    /// See [`StoreError`]; [`StoreError::Unavailable`] also if NATS has no atomic batches, which
    /// [`NatsHistory::is_atomic`] says beforehand.
    pub(super) async fn publish_atomic(
        &self,
        kind: Kind,
        all: &[(&Envelope, String)],
    ) -> Result<Vec<Published>, StoreError> {
        // A server without batches would store each message separately.
        let kept = self
            .known(kind)
            .filter(|_| self.is_atomic(kind))
            .ok_or(StoreError::Unavailable)?;
        if all.iter().any(|(envelope, _)| Kind::of(&envelope.target) != kind) {
            return Err(StoreError::Unavailable);
        }
        let items = all
            .iter()
            .map(|(envelope, id)| self.item(kept, envelope, id.clone()))
            .collect();
        let stored = self.store.publish_atomic(&kept.plan, &kept.state, items).await?;
        Ok(stored.into_iter().map(|stored| kept.published(stored)).collect())
    }

    /// Whether the stream of `kind` accepts atomic batches.
    pub(super) fn is_atomic(&self, kind: Kind) -> bool {
        let stream = self.kept(kind).and_then(|kept| kept.state.stream());
        self.api.version() >= Version::ATOMIC
            && stream.is_some_and(|stream| {
                stream
                    .config
                    .get("allow_atomic")
                    .is_some_and(|allowed| *allowed == true)
            })
    }

    /// Whether the stream of `kind` is known and does not accept atomic batches. While it is not known, a batch is
    /// [`StoreError::Unavailable`], which is temporary.
    pub(super) fn refuses_batches(&self, kind: Kind) -> bool {
        let is_known = self.kept(kind).is_none_or(|kept| kept.state.stream().is_some());
        is_known && !self.is_atomic(kind)
    }

    /// Makes the reader of `kind` look at its stream now: another instance says that its epoch has changed
    /// (`history.epoch`).
    pub(super) fn look(&self, kind: Kind) {
        if let Some(kept) = self.kept(kind) {
            kept.state.look.notify_one();
        }
    }

    /// What keeps this instance from being ready, for `/readyz`.
    pub(super) fn trouble(&self) -> Vec<String> {
        self.kinds.iter().flat_map(|kept| kept.state.trouble()).collect()
    }

    /// Streams for which no server answers, although this instance can continue without them for a while.
    pub(super) fn silence(&self) -> Vec<String> {
        self.kinds
            .iter()
            .filter_map(|kept| kept.state.silence())
            .collect()
    }

    /// The limits of streams that differ from the configuration, for people.
    pub(super) fn drift(&self) -> Vec<String> {
        self.kinds.iter().flat_map(|kept| kept.state.drift()).collect()
    }

    /// Waits until every reader has caught up.
    #[cfg(test)]
    pub(super) async fn caught_up(&self) {
        for kept in &self.kinds {
            let mut caught_up = kept.state.is_caught_up();
            // An error: the reader has ended, which is monitored elsewhere.
            let _ = caught_up.wait_for(|is_caught_up| *is_caught_up).await;
        }
    }

    /// How many publishes wait, and how many were repeated since the start.
    pub(super) fn publishes(&self) -> (usize, u64) {
        (self.store.waiting(), self.store.repeated())
    }

    /// How many resumes read a stream: with the index alone, with the index in vain and then by searching, and by
    /// searching.
    pub(super) fn resume_reads(&self) -> [u64; 3] {
        self.direct.counts.all()
    }

    /// The counts of `kind`.
    pub(super) fn stats(&self, kind: Kind) -> Option<KindStats> {
        let KeptKind {
            state, tail, stale, ..
        } = self.kept(kind)?;
        let (tail_bytes, tail_messages, indexed, index_bytes) = {
            let tail = tail.lock();
            let indexed = tail.first().saturating_sub(tail.known_from());
            (tail.bytes(), tail.len(), indexed, tail.index_bytes())
        };
        let (stored_bytes, stored_bytes_max) = state.filling();
        Some(KindStats {
            head: state.head.load(Ordering::Relaxed),
            pending: state.pending.load(Ordering::Relaxed),
            resets_by_gap: state.resets(Cause::Gap),
            resets_by_silence: state.resets(Cause::Silent),
            resets_by_connection: state.resets(Cause::Disconnected),
            polled: state.polled.load(Ordering::Relaxed),
            holes: state.holes.load(Ordering::Relaxed),
            broken: state.broken.load(Ordering::Relaxed),
            expired: state.expired.load(Ordering::Relaxed) + stale.load(Ordering::Relaxed),
            tail_bytes,
            tail_messages,
            has_drift: !state.drift().is_empty(),
            stored_bytes,
            stored_bytes_max,
            indexed,
            index_bytes,
        })
    }

    fn kept(&self, kind: Kind) -> Option<&KeptKind> {
        self.kinds.iter().find(|kept| kept.plan.kind == kind)
    }

    /// The same, once its stream has been seen.
    fn known(&self, kind: Kind) -> Option<&KeptKind> {
        self.kept(kind).filter(|kept| kept.is_known())
    }

    fn item(&self, kept: &KeptKind, envelope: &Envelope, id: String) -> Item {
        Item {
            subject: self.decoder.subjects.target(&envelope.target).into(),
            headers: headers::encode_stored(envelope, &kept.plan.name, &id),
            payload: envelope.body.clone(),
            id,
        }
    }
}

#[cfg(test)]
mod tests;
