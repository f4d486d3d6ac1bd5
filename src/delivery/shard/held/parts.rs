//! The inputs and outputs of [`super::Holding`]. Knows no bus, no socket, no session and no frame.

use crate::envelope::{Position, Unrecovered};

/// How much may be held back for one subscription.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Bound {
    /// The most messages.
    pub messages: usize,
    /// The most bytes of them.
    pub bytes: usize,
}

/// What is held back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Waiting<M> {
    /// A notification, which has its own position.
    Notification(M),
    /// What the instance made itself, with the position that its `message-id` begins with.
    Local(Position, M),
}

/// What a RECEIPT says of a resumed subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Resumed {
    /// The position in front of the replay, or where live begins if nothing is replayed.
    pub position: Position,
    /// How many messages are replayed, or why nothing is (`recovered:false`).
    pub outcome: Result<usize, Unrecovered>,
}

/// A piece of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece<M> {
    /// Its messages, oldest first.
    pub messages: Vec<M>,
    /// How many stand behind them, up to where the replay was to go.
    pub behind: usize,
    /// How far a client has come that has them.
    pub reaches: Position,
    /// How many of the messages were read of the stream, the others being in memory.
    pub from_stream: usize,
}

/// What is to be written of a subscription that resumes, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written<M> {
    /// The RECEIPT, with the first piece.
    pub receipt: Option<Resumed>,
    /// The piece of the replay.
    pub replay: Vec<M>,
    /// How many of these were read of the stream.
    pub from_stream: usize,
    /// What came meanwhile; empty before the last piece.
    pub held: Vec<Waiting<M>>,
    /// The bytes that were held back and are not any more.
    pub freed: usize,
    /// How it goes on.
    pub next: Next,
}

/// How a subscription that resumes goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Next {
    /// It joins its group.
    Live,
    /// There is more of the replay: what is behind `after`, up to `until`.
    Read {
        /// How far the client has come.
        after: Position,
        /// Where the subscription's live part begins by now.
        until: Position,
    },
    /// Its session ends: what was promised to the client cannot be had any more.
    Lost(Unrecovered),
}

/// What became of a message that the instance made itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    /// It waits.
    Waits,
    /// The subscription does not wait: the message is to be written at once.
    AtOnce,
    /// More waits than may: the session is too slow.
    TooMuch,
}

/// Where room is taken for what is held back.
pub(crate) trait Rooms<K> {
    /// Takes room for `bytes`, if there is as much.
    fn take(&mut self, key: K, bytes: usize) -> bool;

    /// Gives it back.
    fn free(&mut self, key: K, bytes: usize);
}
