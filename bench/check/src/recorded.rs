//! The record of a run: every attempt to publish with its answer, and every frame that says something about a
//! subscription's place in the history. Knows neither sockets nor Herald's code; [`crate::verdict`] judges it.

use std::fmt;

/// A place in Herald's history: `<epoch>-<sequence>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Which history.
    pub epoch: u64,
    /// The place in it.
    pub sequence: u64,
}

impl Position {
    /// Reads what a `message-id`, a RECEIPT or a REST answer says.
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, sequence) = text.split_once('-')?;
        Some(Self {
            epoch: epoch.parse().ok()?,
            sequence: sequence.parse().ok()?,
        })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.sequence)
    }
}

/// Broadcasts and notifications to users each have an order of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// For everyone who subscribed.
    Broadcast,
    /// For one user's sessions.
    User,
}

/// Where a notification goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The user's name; `None` for a broadcast.
    pub user: Option<String>,
    /// The path.
    pub destination: String,
}

impl Target {
    /// Which order it belongs to.
    pub fn kind(&self) -> Kind {
        match self.user {
            Some(_) => Kind::User,
            None => Kind::Broadcast,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user {
            Some(user) => write!(f, "{} of {user}", self.destination),
            None => write!(f, "{} (broadcast)", self.destination),
        }
    }
}

/// What the publisher of an attempt was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 202: it is in the history, there.
    Stored(Position),
    /// A definite refusal: it is not in the history.
    Refused,
    /// No answer, or one that leaves it open.
    Unknown,
}

/// One attempt to publish. A repeat is another attempt, with another id.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// Index into [`Recorded::targets`].
    pub target: u32,
    /// Who published, one after the other.
    pub publisher: u32,
    /// When it was sent, in milliseconds since the start of the run.
    pub at_ms: u32,
    /// What became of it.
    pub answer: Answer,
    /// It was sent before, under the same key.
    pub repeated: bool,
    /// When its publisher was told that it is stored.
    pub stored_ms: Option<u32>,
    /// What it was sent with.
    pub terms: Terms,
}

/// What a publisher asks for besides the place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// Stale after so many milliseconds.
    pub ttl_ms: Option<u32>,
    /// A newer one with this key, to the same target, may take its place.
    pub collapse: Option<u8>,
    /// All of a batch is stored or nothing, one behind the other.
    pub batch: Option<Batch>,
}

/// A place in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// The attempt that is the first of it.
    pub first: u32,
    /// How many of it are in front of this one.
    pub index: u32,
}

/// What a frame, or the end of a connection, says of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// RECEIPT of a SUBSCRIBE without `last-message-id`.
    Began {
        /// Live from there on.
        position: Position,
    },
    /// RECEIPT with `recovered:true`.
    Resumed {
        /// The `last-message-id` that was sent.
        from: Position,
        /// In front of the replay.
        position: Position,
        /// How many messages it says are replayed.
        replayed: u32,
        /// When the SUBSCRIBE was sent, in milliseconds since the start of the run.
        asked_ms: u32,
    },
    /// RECEIPT with `recovered:false`.
    Gap {
        /// The `last-message-id` that was sent.
        from: Position,
        /// Live from there on.
        position: Option<Position>,
        /// Why.
        reason: String,
    },
    /// MESSAGE.
    Message {
        /// Its `message-id`.
        position: Position,
        /// Which attempt it is, as its `herald-id` says.
        attempt: u32,
    },
    /// The connection is gone.
    Lost {
        /// How it ended.
        how: String,
    },
}

/// An event and when it was seen.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Milliseconds since the start of the run.
    pub at_ms: u32,
    /// What was seen.
    pub event: Event,
}

/// All that one session has seen of one destination, over all its connections.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Which session.
    pub session: u32,
    /// Index into [`Recorded::targets`].
    pub target: u32,
    /// What it has seen.
    pub entries: Vec<Entry>,
    /// Whether it was connected, and live, when the run ended.
    pub live: bool,
}

/// A fault that takes a history away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndOfHistory {
    /// When it began, in milliseconds since the start of the run.
    pub began_ms: u32,
    /// Until then a 202 may name a position of the history before.
    pub in_doubt_until_ms: u32,
}

/// A whole run.
#[derive(Debug, Default)]
pub struct Recorded {
    /// Every destination.
    pub targets: Vec<Target>,
    /// Every attempt; the index is its id.
    pub attempts: Vec<Attempt>,
    /// Every subscription.
    pub subscriptions: Vec<Subscription>,
    /// Faults, with the milliseconds of their beginning.
    pub faults: Vec<(u32, String)>,
    /// Faults that take histories away.
    pub ends_of_history: Vec<EndOfHistory>,
    /// What must not happen and no position shows: an answer, an ERROR or a frame that has no place in this run.
    pub complaints: Vec<String>,
}
