//! Where a bus with history has stored a notification, and why a gap could not be closed. Knows no bus, no STOMP and no
//! stream.

use std::fmt;
use std::str::FromStr;

use crate::destination::Target;

/// The longest text of a position with `.<n>`: three numbers of up to 20 digits, and two signs between them.
const TEXT_MAX_BYTES: usize = 62;

/// Where a bus that keeps history has stored a notification. Rendered `<epoch>-<sequence>` as `message-id`.
///
/// Positions are ordered as pairs. Only positions of one epoch say which came first: an epoch is made from a clock, and a
/// stream that was restored may have a lower one than the stream before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The life of the stream, which begins with its creation.
    pub epoch: u64,
    /// The stream's sequence number. 0 is in front of everything.
    pub sequence: u64,
}

impl Position {
    /// The position in `text`, as a client sends it back in `last-message-id`: `<epoch>-<sequence>`, or
    /// `<epoch>-<sequence>.<n>`, the id of what an instance made itself, whose `n` says nothing about the position.
    ///
    /// # Errors
    /// `text` is anything else: another form, a number above 64 bits or with leading zeros, or too long.
    pub fn parse(text: &str) -> Result<Self, NoPosition> {
        if text.len() > TEXT_MAX_BYTES {
            return Err(NoPosition);
        }
        match text.split_once('.') {
            Some((position, own)) => {
                number(own)?;
                position.parse()
            }
            None => text.parse(),
        }
    }

    /// Whether this position is at or behind `other`, of the same epoch.
    pub fn has_reached(self, other: Self) -> bool {
        self.epoch == other.epoch && self.sequence >= other.sequence
    }
}

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let (epoch, sequence) = text.split_once('-').ok_or(NoPosition)?;
        Ok(Self {
            epoch: number(epoch)?,
            sequence: number(sequence)?,
        })
    }
}

/// A number as [`fmt::Display`] writes it: digits alone, without leading zeros.
fn number(text: &str) -> Result<u64, NoPosition> {
    let is_canonical =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    match is_canonical {
        true => text.parse().map_err(|_| NoPosition),
        false => Err(NoPosition),
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.sequence)
    }
}

/// A text is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPosition;

impl fmt::Display for NoPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a position is <epoch>-<sequence>, two decimal numbers")
    }
}

impl std::error::Error for NoPosition {}

/// What a stream holds. There is one stream of each kind, with an epoch and sequence numbers of its own, so positions of
/// different kinds cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Broadcasts.
    Broadcast,
    /// Notifications to users.
    User,
}

impl Kind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Broadcast, Self::User];

    /// The kind that `target` belongs to.
    pub fn of(target: &Target) -> Self {
        match target {
            Target::Broadcast(_) => Self::Broadcast,
            Target::User { .. } => Self::User,
        }
    }

    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broadcast => "broadcast",
            Self::User => "user",
        }
    }
}

/// Why a subscription could not be resumed: the `reason` beside `recovered:false` (docs/stomp.md). Nothing of the gap is
/// sent then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unrecovered {
    /// The position is of another life of the stream, is ahead of it, or is no position at all.
    EpochChanged,
    /// The stream does not reach back to the position any more.
    PositionExpired,
    /// More was missed than `history.replay_messages` or `history.replay_bytes`.
    TooMany,
    /// The destination is not kept.
    HistoryOff,
    /// The stream cannot be read now.
    Unavailable,
}

impl Unrecovered {
    /// All reasons.
    pub const ALL: [Self; 5] = [
        Self::EpochChanged,
        Self::PositionExpired,
        Self::TooMany,
        Self::HistoryOff,
        Self::Unavailable,
    ];

    /// The value of the `reason` header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EpochChanged => "epoch-changed",
            Self::PositionExpired => "position-expired",
            Self::TooMany => "too-many",
            Self::HistoryOff => "history-off",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for Unrecovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, sequence: u64) -> Position {
        Position { epoch, sequence }
    }

    #[test]
    fn a_position_is_read_back_as_it_was_written() {
        for position in [at(0, 0), at(1_764_344_293_261_000, 4_711), at(u64::MAX, u64::MAX)] {
            let text = position.to_string();
            assert_eq!(text.parse(), Ok(position));
            assert_eq!(Position::parse(&text), Ok(position));
            assert_eq!(Position::parse(&format!("{text}.{}", u64::MAX)), Ok(position));
            assert_eq!(format!("{text}.1").parse::<Position>(), Err(NoPosition));
        }
    }

    #[test]
    fn hostile_texts_are_no_positions() {
        let long = "1".repeat(8 << 10);
        let bad = [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "1--1",
            "1-2-3",
            "+1-2",
            "1-+2",
            " 1-2",
            "1-2 ",
            "1-2\n",
            "01-2",
            "1-00",
            "1-2.",
            "1-2.x",
            "1-2.3.4",
            ".1-2",
            "1-.2",
            "1.2-3",
            "0x1-2",
            "1-2.-3",
            "١-٢",
            "1-2\0",
            "1e3-2",
            "18446744073709551616-1",
            "1-18446744073709551616",
            "1-2.18446744073709551616",
            "01J9ZQ5Y0X3V7T2M8K4N6P1R0S",
            &long,
        ];
        for text in bad {
            assert_eq!(Position::parse(text), Err(NoPosition), "{text:.70}");
        }
        for long in [format!("{long}-1"), format!("1-{long}"), format!("1-2.{long}")] {
            assert_eq!(Position::parse(&long), Err(NoPosition));
        }
    }

    #[test]
    fn positions_are_ordered_as_pairs_and_reached_within_one_epoch() {
        assert!(at(1, 9) < at(2, 0) && at(2, 0) < at(2, 1));
        assert!(at(2, 3).has_reached(at(2, 3)) && !at(2, 2).has_reached(at(2, 3)));
        assert!(!at(3, 9).has_reached(at(2, 3)));
    }
}
