//! What the parts of history have in common: the interface of a bus with history ([`History`]), a stored message as
//! [`super::tail`] and [`super::replay`] see it, what a stream reports about itself, how a replay ends. Knows no NATS,
//! no session, no clock and no runtime.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, LazyLock};

use crate::destination::Target;
use crate::envelope::{CollapseKey, Envelope, Kept};

use super::BoxFuture;

pub use super::replay::Request;
pub use crate::envelope::{Kind, Position, Unrecovered};

pub mod config;

pub use config::Config;

/// A bus that keeps what it carries. Positions of different [`Kind`]s have nothing to do with each other.
pub trait History: Send + Sync {
    /// Which targets are kept.
    fn kept(&self) -> Kept;

    /// How much one replay may send.
    fn caps(&self) -> Caps;

    /// The position in front of the first message of `kind` that [`Bus::incoming`](super::Bus::incoming) will give. For the
    /// start: asked before anything is read there.
    fn base(&self, kind: Kind) -> Position;

    /// What the stream of `kind` says about itself. `None`: it cannot be read now.
    fn info(&self, kind: Kind) -> BoxFuture<'_, Option<StreamInfo>>;

    /// Waits while there is reason to believe that the history is another than it was: nobody is told a position of an epoch
    /// that may be over. The epoch then; `None`: there was no reason.
    fn settled(&self, _kind: Kind) -> BoxFuture<'_, Option<u64>> {
        Box::pin(std::future::ready(None))
    }

    /// What a subscription missed, or why that cannot be said. Complete at this moment: a later piece may be refused, because
    /// the history does not reach back so far any more.
    fn replay(&self, request: Request<Target>) -> BoxFuture<'_, Outcome<Arc<Envelope>>>;
}

/// What one kind's newest notifications take in an instance's memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TailStats {
    /// How many are held.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How one kind's stream is read, and what that came to since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// The last sequence that was read.
    pub head: u64,
    /// How many messages the stream has yet to send.
    pub lag: u64,
    /// How often a consumer was given up: for a gap, for its silence, for a lost connection.
    pub resets: [u64; 3],
    /// Reads without a consumer.
    pub polled: u64,
    /// Gaps in the stream's sequences, until it was known whether anything is lost.
    pub holes: u64,
    /// How often something was lost for good, or the stream was another.
    pub broken: u64,
    /// Whether the stream has other limits than the configuration says.
    pub has_drift: bool,
    /// The bytes that the stream holds.
    pub stored_bytes: u64,
    /// The most that it may hold; 0: no bound, or not known yet.
    pub stored_bytes_max: u64,
    /// Of how many messages in front of those in memory it is known whose they are, and what that takes.
    pub indexed: u64,
    /// The bytes of that.
    pub index_bytes: u64,
}

/// A message that a stream keeps. In the program `Arc<Envelope>`; tests have a smaller one.
pub(crate) trait Stored: Clone {
    /// What a newer message has to share with this one to replace it, besides the target.
    type Key: Eq + Hash;

    /// What a subscription names.
    type Target: Clone + Eq + Hash + fmt::Debug;

    /// Where the message goes.
    fn target(&self) -> &Self::Target;

    /// The bytes that the message takes in memory.
    fn weight(&self) -> usize;

    /// Whether the message is stale at `now_ms` (Unix ms), and is not sent any more.
    fn is_stale(&self, now_ms: u64) -> bool;

    /// The collapse key: of the messages of one target with the same key, only the newest is sent.
    fn collapse(&self) -> Option<&Self::Key>;

    /// What is remembered of a target for longer than its messages. Others may have the same, but nobody can choose names so
    /// that they have.
    fn mark(target: &Self::Target) -> u32;
}

/// The key of all marks.
static MARKS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl Stored for Arc<Envelope> {
    type Key = CollapseKey;
    type Target = Target;

    fn target(&self) -> &Target {
        &self.target
    }

    fn weight(&self) -> usize {
        Envelope::weight(self)
    }

    fn is_stale(&self, now_ms: u64) -> bool {
        self.is_expired(now_ms)
    }

    fn collapse(&self) -> Option<&CollapseKey> {
        self.collapse.as_ref()
    }

    fn mark(target: &Target) -> u32 {
        // Half of the hash: as good as the whole.
        MARKS.hash_one(target) as u32
    }
}

/// What a stream says about itself (`STREAM.INFO`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamInfo {
    /// The stream's life: its creation and generation in one number.
    pub epoch: u64,
    /// The first sequence that it has. `last + 1` if it is empty.
    pub first: u64,
    /// The last sequence that it ever had. 0 if it never had one.
    pub last: u64,
    /// NATS's time stamp of the message at `last`, in ns since 1970, if it is known.
    pub last_stamp: Option<u64>,
    /// Whether the stream's leader says so. Without clusters always `true`.
    pub is_leaders: bool,
}

/// How much a replay may send.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Caps {
    /// `history.replay_messages`.
    pub messages: usize,
    /// `history.replay_bytes`. One message always fits.
    pub bytes: usize,
}

impl Caps {
    /// The most messages that are looked at for one replay, those included that are stale or replaced by newer ones.
    pub fn messages_read(self) -> usize {
        self.messages.saturating_mul(4)
    }
}

/// What was missed and is still to be sent: its first piece, and how much stands behind that.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Missed<M> {
    /// The piece, oldest first. Empty only if nothing was missed.
    pub messages: Vec<M>,
    /// How many stand behind it. They are asked for next, behind the position of the piece's last message. Of a replay that
    /// goes on ([`Request::goes_on`]) they are not counted: it is none only if there are none.
    pub behind: usize,
    /// How many of the piece were read of the stream, the others being in memory.
    pub from_stream: usize,
}

impl<M> Missed<M> {
    /// How many were missed.
    pub fn count(&self) -> usize {
        self.messages.len().saturating_add(self.behind)
    }

    /// How far a client is that has the piece, of a replay up to `until`.
    pub(crate) fn reaches(
        &self,
        until: Position,
        position_of: impl Fn(&M) -> Option<Position>,
    ) -> Option<Position> {
        match self.behind {
            0 => Some(until),
            _ => self.messages.last().and_then(position_of),
        }
    }
}

/// How a replay ends: with what was missed, all of which can be had, or with the reason why not. Never a part.
pub type Outcome<M> = Result<Missed<M>, Unrecovered>;
