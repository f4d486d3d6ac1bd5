//! History of the embedded bus in memory: the tails of both kinds are the store. Knows no session and no reader of the
//! bus.
//!
//! **Order.** Under one lock per kind a notification gets its sequence, enters the tail and is queued: the order of the
//! positions is the order in which the relay gets them. Keys are looked up and recorded under a second lock, which is
//! taken first and held until the notification is stored: of two repeats at the same time one is stored.
//!
//! **Epoch.** Each start of the process begins a new one: a client with a position from before is told so, since
//! nothing of that history is left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use super::disk::OnDisk;
use super::keys::{Keys, KnownBy};
use crate::bus::queue::{Room, Rooms};
use crate::bus::replay::{Replay, Storage, begin};
use crate::bus::tail::Tail;
use crate::bus::{BoxFuture, Content, History, Key, PublishError, Published, TailStats, history};
use crate::destination::{Prefixes, Target};
use crate::envelope::{Envelope, Kept, Kind, Position, Unrecovered, unix_ms};
use crate::setting::ByteSize;
use history::{Caps, Outcome, Request, StreamInfo};

/// Epochs in one millisecond of Unix time: users' count from the middle.
const EPOCHS_PER_MS: u64 = 1_000;

/// What the embedded bus keeps.
#[derive(Debug, Clone)]
pub struct Keeping {
    /// Which targets.
    pub kept: Kept,
    /// The bytes in memory for both kinds together; each has half.
    pub bytes: usize,
    /// How much one resume may replay.
    pub caps: Caps,
    /// For how long keys are known.
    pub duplicate_window: Duration,
    /// How many keys are known at most.
    pub keys: usize,
    /// The file, if it is not memory alone.
    pub on_disk: Option<OnDisk>,
}

impl Keeping {
    /// What `[history]` asks for, if it is on; `outbox_bytes` is `limits.outbox_bytes`.
    pub fn of(config: &history::Config, prefixes: &Prefixes, outbox_bytes: ByteSize) -> Option<Self> {
        config.is_enabled(false).then(|| Self {
            kept: config.kept(prefixes),
            bytes: config.tail_bytes(false).0,
            caps: Caps {
                messages: config.replay_messages,
                bytes: config.replay_bytes(outbox_bytes).0,
            },
            duplicate_window: config.duplicate_window.0,
            keys: config.keys,
            on_disk: OnDisk::of(config),
        })
    }
}

/// The store.
pub(super) struct Memory {
    keeping: Keeping,
    broadcast: Mutex<Tail<Arc<Envelope>>>,
    user: Mutex<Tail<Arc<Envelope>>>,
    keys: Mutex<Keys>,
}

impl Memory {
    /// An empty store.
    pub(super) fn new(keeping: Keeping) -> Self {
        let epoch = unix_ms().saturating_mul(EPOCHS_PER_MS);
        let tail = |epoch| Mutex::new(Tail::new(Position { epoch, sequence: 0 }, keeping.bytes / 2));
        Self {
            broadcast: tail(epoch),
            user: tail(epoch + EPOCHS_PER_MS / 2),
            keys: Mutex::new(Keys::new(keeping.duplicate_window, keeping.keys)),
            keeping,
        }
    }

    /// Whether what goes to `target` is kept.
    pub(super) fn keeps(&self, target: &Target) -> bool {
        self.keeping.kept.holds(target)
    }

    /// Keeps `envelope` and queues it. Returns where it stands.
    pub(super) fn put(&self, envelope: Envelope, room: Room<'_>) -> Position {
        let envelope = standalone(envelope);
        let mut tail = self.tail(Kind::of(&envelope.target)).lock();
        push(&mut tail, envelope, |envelope| room.put(envelope))
    }

    /// The same, unless it was published with this key before.
    pub(super) fn put_once(
        &self,
        key: Key,
        envelope: Envelope,
        room: Room<'_>,
    ) -> Result<Published, PublishError> {
        let (known_by, now) = ((key, Content::of(&envelope)), Instant::now());
        let mut keys = self.keys.lock();
        keys.forget(usize::MAX, now);
        if let Some(first) = keys.admit(&[Some(known_by)], 0, now)? {
            return Ok(first.first().copied().unwrap_or_default());
        }
        let position = self.put(envelope, room);
        keys.note(known_by, position, now);
        Ok(Published {
            position: Some(position),
            duplicate: false,
        })
    }

    /// Keeps and queues all of `batch`, which are of `kind`, or none of them. Where all are known by their keys, they are
    /// duplicates.
    pub(super) fn put_all(
        &self,
        kind: Kind,
        batch: Vec<(Envelope, Option<Key>)>,
        mut rooms: Rooms<'_>,
    ) -> Result<Vec<Published>, PublishError> {
        let now = Instant::now();
        let known_by = |(envelope, key): &(Envelope, Option<Key>)| Some(((*key)?, Content::of(envelope)));
        let known_by: Vec<KnownBy> = batch.iter().map(known_by).collect();
        let mut keys = self.keys.lock();
        keys.forget(usize::MAX, now);
        if let Some(found) = keys.admit(&known_by, 0, now)? {
            return Ok(found);
        }
        let batch: Vec<_> = batch
            .into_iter()
            .map(|(envelope, _)| standalone(envelope))
            .collect();
        let mut tail = self.tail(kind).lock();
        let published = batch.into_iter().zip(known_by).map(|(envelope, known_by)| {
            let position = push(&mut tail, envelope, |envelope| rooms.put(envelope));
            if let Some(known_by) = known_by {
                keys.note(known_by, position, now);
            }
            Published {
                position: Some(position),
                duplicate: false,
            }
        });
        Ok(published.collect())
    }

    /// What is held.
    pub(super) fn tails(&self) -> [TailStats; 2] {
        Kind::ALL.map(|kind| {
            let tail = self.tail(kind).lock();
            TailStats {
                messages: tail.len() as u64,
                bytes: tail.bytes() as u64,
            }
        })
    }

    fn tail(&self, kind: Kind) -> &Mutex<Tail<Arc<Envelope>>> {
        match kind {
            Kind::Broadcast => &self.broadcast,
            Kind::User => &self.user,
        }
    }
}

/// A body may be a small part of a large request, which would stay in memory with it, uncounted.
pub(super) fn standalone(mut envelope: Envelope) -> Envelope {
    envelope.body = Bytes::copy_from_slice(&envelope.body);
    envelope
}

/// Gives `envelope` the next position of `tail`, keeps it there and queues it.
fn push(
    tail: &mut Tail<Arc<Envelope>>,
    mut envelope: Envelope,
    queue: impl FnOnce(Arc<Envelope>),
) -> Position {
    let position = Position {
        epoch: tail.epoch(),
        sequence: tail.last() + 1,
    };
    envelope.position = Some(position);
    let envelope = Arc::new(envelope);
    tail.push(position.sequence, envelope.clone());
    queue(envelope);
    position
}

impl History for Memory {
    fn kept(&self) -> Kept {
        self.keeping.kept.clone()
    }

    fn caps(&self) -> Caps {
        self.keeping.caps
    }

    fn base(&self, kind: Kind) -> Position {
        Position {
            epoch: self.tail(kind).lock().epoch(),
            sequence: 0,
        }
    }

    fn info(&self, kind: Kind) -> BoxFuture<'_, Option<StreamInfo>> {
        let tail = self.tail(kind).lock();
        let info = StreamInfo {
            epoch: tail.epoch(),
            first: tail.first(),
            last: tail.last(),
            last_stamp: None,
            is_leaders: true,
        };
        Box::pin(std::future::ready(Some(info)))
    }

    /// What is not in memory is nowhere.
    fn replay(&self, request: Request<Target>) -> BoxFuture<'_, Outcome<Arc<Envelope>>> {
        let tail = self.tail(Kind::of(&request.target)).lock();
        let outcome = match begin(&tail, request, Storage::Single) {
            Replay::Done(outcome) => outcome,
            Replay::Reading(_) => Err(Unrecovered::PositionExpired),
        };
        Box::pin(std::future::ready(outcome))
    }
}
