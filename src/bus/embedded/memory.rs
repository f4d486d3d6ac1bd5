//! History of the embedded bus in memory: the tails of both kinds are the store. Knows no session and no reader of the bus.
//!
//! **Order.** Under one lock of its kind a notification gets its sequence, stands in the tail and is queued: the order of the
//! positions is the order in which the relay gets them.
//!
//! **Epoch.** One a process's start: whoever comes with a position of an earlier one is told so, since nothing of it is left.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::bus::queue::Room;
use crate::bus::replay::{Replay, Storage, begin};
use crate::bus::tail::Tail;
use crate::bus::{BoxFuture, History, TailStats, history};
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
    /// The bytes for both kinds together; each has half.
    pub bytes: usize,
    /// How much one resume may replay.
    pub caps: Caps,
}

impl Keeping {
    /// What `[history]` asks for, if it is on; `outbox_bytes` is `limits.outbox_bytes`.
    pub fn of(config: &history::Config, prefixes: &Prefixes, outbox_bytes: ByteSize) -> Option<Self> {
        config.is_enabled(false).then(|| Self {
            kept: config.kept(prefixes),
            bytes: config.tail_bytes().0,
            caps: Caps {
                messages: config.replay_messages,
                bytes: config.replay_bytes(outbox_bytes).0,
            },
        })
    }
}

/// The store.
pub(super) struct Memory {
    keeping: Keeping,
    broadcast: Mutex<Tail<Arc<Envelope>>>,
    user: Mutex<Tail<Arc<Envelope>>>,
}

impl Memory {
    /// An empty store.
    pub(super) fn new(keeping: Keeping) -> Self {
        let epoch = unix_ms().saturating_mul(EPOCHS_PER_MS);
        let tail = |epoch| Mutex::new(Tail::new(Position { epoch, sequence: 0 }, keeping.bytes / 2));
        Self {
            broadcast: tail(epoch),
            user: tail(epoch + EPOCHS_PER_MS / 2),
            keeping,
        }
    }

    /// Whether what goes to `target` is kept.
    pub(super) fn keeps(&self, target: &Target) -> bool {
        self.keeping.kept.holds(target)
    }

    /// Keeps `envelope` and queues it. Returns where it stands.
    pub(super) fn put(&self, mut envelope: Envelope, room: Room<'_>) -> Position {
        // A body may be a small part of a large request, which would stay in memory with it, uncounted.
        envelope.body = Bytes::copy_from_slice(&envelope.body);
        let mut tail = self.tail(Kind::of(&envelope.target)).lock();
        let position = Position {
            epoch: tail.epoch(),
            sequence: tail.last() + 1,
        };
        envelope.position = Some(position);
        let envelope = Arc::new(envelope);
        tail.push(position.sequence, envelope.clone());
        room.put(envelope);
        position
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
