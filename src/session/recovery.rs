//! The steps of a resume, from a SUBSCRIBE with `last-message-id` to its release. Pure: the driver executes
//! [`Recovery::step`] within a time limit and reports the result. Knows no HTTP, no NATS, no socket, no clock and no runtime.
//!
//! | Step | The driver | then |
//! |---|---|---|
//! | [`Step::AwaitHead`] | waits at most 2 s for the head of the kind to move | [`Recovery::head_moved`] each time, or [`Recovery::gave_up`] |
//! | [`Step::AskInfo`] | asks the stream's bounds | [`Recovery::info`] |
//! | [`Step::TakeRoom`] | takes room in the outbox for a piece of the replay, as long as the client makes some | [`Recovery::room`] |
//! | [`Step::Hold`] | announces, reads `begun`, waits for it, sends Hold | [`Recovery::held`] with the shard's answer |
//! | [`Step::Replay`] | reads a piece (≤ 5 s), sends it to the shard, which gives the room back | [`Recovery::wrote`] with the shard's answer |
//! | [`Step::Subscribe`] | sends a plain Subscribe, whose RECEIPT has `recovered:false` and the reason | the end |
//! | [`Step::TooSlow`] | closes the session as a slow consumer | the end |
//! | [`Step::Done`] | nothing: the subscription is live, or its session ends | the end |
//!
//! **Pieces.** No more of a replay is in memory than what fits into the room that the client's reading has made. What comes live
//! meanwhile is held within a bound; beyond it, it is dropped, and read from history as well
//! ([`crate::delivery::held`] says when). Once the RECEIPT has said `recovered:true`, a piece that cannot be had ends the session
//! (1013): it resumes behind the last MESSAGE that it got, and is told why that cannot be.
//!
//! If the session ends at any step, Leave is all that is needed. The position of the client has not moved before it reads
//! the RECEIPT.

use crate::bus::history::StreamInfo;
use crate::delivery::heads::Head;
use crate::delivery::held::Next;
use crate::envelope::{Position, Unrecovered};

/// What the driver does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// Wait: this instance is behind the one that gave the position.
    AwaitHead,
    /// Ask whether the position exists.
    AskInfo,
    /// Take room.
    TakeRoom,
    /// Hold the subscription.
    Hold,
    /// Replay what is behind `after`, up to `until`.
    Replay {
        /// The client's position.
        after: Position,
        /// Where the subscription's live part begins.
        until: Position,
        /// Whether earlier pieces were written.
        goes_on: bool,
    },
    /// Subscribe without a replay, for this reason.
    Subscribe(Unrecovered),
    /// Close the session.
    TooSlow,
    /// Nothing any more.
    Done,
}

/// One resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Recovery {
    after: Position,
    /// Where the live part begins, once the shard holds the subscription.
    until: Option<Position>,
    step: Step,
}

impl Recovery {
    /// Begins. `last_message_id` is the header's text, `is_kept` whether history keeps the destination, `head` how far its
    /// kind has come.
    pub(crate) fn begin(last_message_id: &str, is_kept: bool, head: Head) -> Self {
        let refused = |reason| Self {
            after: Position::default(),
            until: None,
            step: Step::Subscribe(reason),
        };
        match Position::parse(last_message_id) {
            _ if !is_kept => refused(Unrecovered::HistoryOff),
            Ok(after) => Self::behind(after, head),
            Err(_) => refused(Unrecovered::EpochChanged),
        }
    }

    /// Begins behind the position `after`, of a destination that is kept.
    pub(crate) fn behind(after: Position, head: Head) -> Self {
        let mut recovery = Self {
            after,
            until: None,
            step: Step::AwaitHead,
        };
        recovery.head_moved(head);
        recovery
    }

    /// What to do.
    pub(crate) fn step(&self) -> Step {
        self.step
    }

    /// The head of the kind has moved.
    pub(crate) fn head_moved(&mut self, head: Head) {
        if self.step != Step::AwaitHead {
            return;
        }
        if head.begun.epoch != self.after.epoch {
            self.step = Step::Subscribe(Unrecovered::EpochChanged);
        } else if head.done.has_reached(self.after) {
            self.step = Step::TakeRoom;
        }
    }

    /// The head did not move in time.
    pub(crate) fn gave_up(&mut self) {
        if self.step == Step::AwaitHead {
            self.step = Step::AskInfo;
        }
    }

    /// The stream's bounds, or `None` if they cannot be read. A position that the stream does not have is the client's
    /// mistake, or of a life that was rolled back: nobody else is told.
    pub(crate) fn info(&mut self, info: Option<StreamInfo>) {
        if self.step != Step::AskInfo {
            return;
        }
        let is_unknown = |info: StreamInfo| info.epoch != self.after.epoch || info.last < self.after.sequence;
        self.step = Step::Subscribe(match info {
            Some(info) if info.is_leaders && is_unknown(info) => Unrecovered::EpochChanged,
            _ => Unrecovered::Unavailable,
        });
    }

    /// There is room, or there was none in time.
    pub(crate) fn room(&mut self, is_taken: bool) {
        if self.step == Step::TakeRoom {
            self.step = match (is_taken, self.until) {
                (true, None) => Step::Hold,
                (true, Some(until)) => Step::Replay {
                    after: self.after,
                    until,
                    goes_on: true,
                },
                (false, _) => Step::TooSlow,
            };
        }
    }

    /// The shard holds the subscription, whose live part begins behind `begins`.
    pub(crate) fn held(&mut self, begins: Position) {
        if self.step == Step::Hold {
            self.until = Some(begins);
            self.step = Step::Replay {
                after: self.after,
                until: begins,
                goes_on: false,
            };
        }
    }

    /// The shard has written a piece.
    pub(crate) fn wrote(&mut self, next: Next) {
        if !matches!(self.step, Step::Replay { .. }) {
            return;
        }
        self.step = match next {
            Next::Live | Next::Lost(_) => Step::Done,
            Next::Read { after, until } => {
                self.after = after;
                self.until = Some(until);
                Step::TakeRoom
            }
        };
    }
}

#[cfg(test)]
mod tests;
