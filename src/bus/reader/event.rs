//! The inputs and outputs of a reader. Pure data.

use crate::bus::history::Position;

/// A message as the stream identifies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Mark {
    /// Its sequence.
    pub sequence: u64,
    /// NATS's time stamp, in ns since 1970.
    pub stamp: u64,
}

/// What the reader wants done now. Each stays wanted until it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wants {
    /// Ask for `STREAM.INFO`.
    pub info: bool,
    /// Create a consumer.
    pub create: Option<Create>,
    /// Read the next messages directly.
    pub poll: Option<Poll>,
    /// Ask for `STREAM.INFO`; if it still has the reader's epoch, update the stream with the next generation; then ask and
    /// hand in `STREAM.INFO` again.
    pub raise_generation: bool,
}

/// A consumer to be created. Hand it back with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Create {
    /// `opt_start_seq`.
    pub from: u64,
    /// The life of the stream that it was wanted of.
    pub(super) epoch: u64,
    /// What has been read there, if that is known.
    pub(super) overlap: Option<Mark>,
}

/// A poll. Hand it back with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Poll {
    /// The first sequence wanted.
    pub from: u64,
    /// The life of the stream that it was wanted of.
    pub(super) epoch: u64,
    pub(super) serial: u32,
}

/// What was known when an INFO was asked. Hand it back with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    pub(super) epoch: u64,
    pub(super) next: u64,
    pub(super) serial: u32,
}

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the next one: give it on.
    Take,
    /// It was read before, or comes of a consumer that was given up: drop it.
    Known,
    /// Keep it and all behind it, and offer it again once the reader does not wait any more.
    Wait,
    /// The consumer's sequence has a gap: it is given up, and what comes of it is dropped.
    Reset,
}

/// What an event means for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// Nothing.
    Nothing,
    /// The consumer is given up.
    Reset(Cause),
    /// Messages are lost for this instance, or the epoch changed.
    Broken(Broken),
}

/// Why a consumer was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Cause {
    /// A message or a heartbeat shows a gap in the consumer's own sequence.
    Gap,
    /// It was silent for too long.
    Silent,
    /// The connection is gone.
    Disconnected,
}

/// What lies between what was read and this position is lost for this instance, or the epoch is another one. Everything
/// begins anew behind `base`, and every subscription of the kind is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Broken {
    /// The reader continues behind this position.
    pub base: Position,
    /// How many sequences are lost. `None` if the epoch changed.
    pub lost: Option<u64>,
}
