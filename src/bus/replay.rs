//! What a subscription missed: all messages to one target behind the client's position `after`, up to the position `until`
//! at which its live part begins; complete, or a reason. Of what is complete, the first piece is given ([`Request::piece`]); who
//! has it asks again from its last message on, so that nobody holds a whole replay. Whoever goes on so ([`Request::goes_on`]) reads
//! no more than the piece. Knows no NATS, no clock, no runtime and no session; the shell (`bus/nats/direct`) asks the server.
//!
//! **How to drive it.** Call [`begin`] under the tail's lock: it answers at once if the tail reaches back to `after`. Else
//! do what [`Reading::ask`] says, one question at a time, and hand the answer to [`Reading::listed`], [`Reading::back`],
//! [`Reading::page`] or [`Reading::info`], until one of them returns the outcome. A question that failed may be asked again; when the time is
//! over (5 s) the outcome is [`Unrecovered::Unavailable`].
//!
//! **What proves that it is complete.**
//! * From the tail's first sequence T₀ on: the tail, taken when the replay begins. What it evicts later is not missing.
//! * From `after` to T₀ − 1, where the tail's index reaches back to `after`: it lists every sequence that may be the target's, so if
//!   the messages of all of them come back, nothing is missing, whichever server each came from and whatever else has expired.
//!   The `STREAM.INFO` behind them says that they are of this epoch. If one does not come, it proves nothing, and the stream is read as
//!   if there were no index ([`listed`]).
//! * From `after` to T₀ − 1, one server: pages, and one `STREAM.INFO` *asked after the last page came*: it names the same
//!   epoch, a last sequence at or behind `until`, and a first sequence at or in front of `after + 1`.
//! * With replicas, each page may come from another server, which may lag (`back`) and may have expired more than the
//!   leader (`front`). Back: one read of one replica names the last message L of the target, and the last of the target of
//!   the tail's oldest message; if that is at or behind the tail's oldest, the replica had all of the gap, and pages count as
//!   complete once they meet L or something behind the gap. Front: the first page begins *at* `after`, and each further one
//!   at the last message that came; if `after` is a message of the target and comes back, nothing behind it was missing
//!   there. If it does not come back, the client's position was no message of the target, or it expired: then the leader's
//!   first sequence has to be in front of `after` by `slack` sequences. A later page that does not begin as asked means that
//!   the position expired.
//! * A later piece that is full before the gap ends needs the front alone: a replica that lags lacks the end of the stream and
//!   nothing in between, so what a page has up to its last message is complete. A message with a collapse key makes the
//!   exception: only who reads the whole gap knows whether it is replaced.

use listed::List;
use settle::{from_tail, settle};

use super::history::{Caps, Outcome, Position, Stored, StreamInfo, Unrecovered};
use super::tail::Tail;

pub(crate) use listed::Listed;

mod listed;
mod settle;

/// What is to be replayed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Request<T> {
    /// The target subscribed to.
    pub target: T,
    /// The client's position: it has everything up to here.
    pub after: Position,
    /// Where the live part of the subscription begins: the replay includes this position. At or behind `after`.
    pub until: Position,
    /// How much may be missed.
    pub caps: Caps,
    /// The most bytes of the piece that is given. One message always fits.
    pub piece: usize,
    /// Whether earlier pieces of this replay were given, up to `after`: what is missed was counted then.
    pub goes_on: bool,
    /// The time, in Unix ms: what is stale is not sent.
    pub now_ms: u64,
}

/// How the stream is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Storage {
    /// On one server.
    Single,
    /// On several servers.
    Replicated {
        /// How many sequences one server's first may be ahead of another's: what the stream dropped in the last 30 s.
        slack: u64,
    },
}

/// The next question of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask<'a, T> {
    /// The messages at these sequences, of whatever server: [`Reading::listed`].
    Listed {
        /// The sequences, in order; at least one.
        sequences: &'a [u64],
    },
    /// The last sequences of both targets, by one read of one replica (`multi_last`): [`Reading::back`].
    Back {
        /// The target subscribed to.
        target: &'a T,
        /// The target of the tail's oldest message.
        witness: &'a T,
    },
    /// Messages to the target from this sequence on (`next_by_subj`), in a page of any size: [`Reading::page`].
    Page {
        /// The target.
        target: &'a T,
        /// The first sequence wanted.
        from: u64,
    },
    /// `STREAM.INFO`, asked from now on: one that is under way does not count. [`Reading::info`].
    Info,
}

/// A page of messages to the target.
#[derive(Debug, Clone)]
pub(crate) struct Page<M> {
    /// The messages by their sequences, in order; `None` for what cannot be decoded.
    pub messages: Vec<(u64, Option<M>)>,
    /// Whether the server says that nothing is behind the page (nothing found, or `Nats-Num-Pending: 0`).
    pub is_last: bool,
}

/// How a replay begins.
#[derive(Debug)]
pub(crate) enum Replay<M: Stored> {
    /// It has ended already.
    Done(Outcome<M>),
    /// The stream has to be read.
    Reading(Box<Reading<M>>),
}

/// Begins a replay. Call it under the lock of `tail`.
pub(crate) fn begin<M: Stored>(tail: &Tail<M>, request: Request<M::Target>, storage: Storage) -> Replay<M> {
    let Request { after, until, .. } = request;
    if after.epoch != until.epoch || tail.epoch() != until.epoch {
        return Replay::Done(Err(Unrecovered::EpochChanged));
    }
    if after.sequence.saturating_add(1) >= tail.first() {
        let found = from_tail(tail, &request);
        return Replay::Done(settle(found, 0, &request));
    }
    let mut reading = Reading::new(tail, request, storage);
    match reading.list(tail) {
        Some(reason) => Replay::Done(Err(reason)),
        None => Replay::Reading(Box::new(reading)),
    }
}

/// A replay that reads the stream.
#[derive(Debug, Clone, Hash)]
pub(crate) struct Reading<M: Stored> {
    request: Request<M::Target>,
    storage: Storage,
    /// The last sequence that pages have to reach: the tail or the live part begins behind it.
    to: u64,
    /// What the tail had when the replay began, oldest first.
    tail: Vec<M>,
    /// The tail's oldest message: its sequence and target.
    witness: Option<(u64, M::Target)>,
    /// What is to be read by its sequence.
    list: List,
    /// What pages brought, or the list, oldest first.
    found: Vec<M>,
    /// How many messages pages brought, and their bytes.
    read: usize,
    bytes: usize,
    /// How many of those are to be sent, as far as they tell themselves, and their bytes.
    fresh: usize,
    fresh_bytes: usize,
    /// Whether one of these has a collapse key: a newer one may replace it.
    has_key: bool,
    /// Whether the piece was full before the gap ended.
    is_part: bool,
    /// The last sequence that pages brought. Never in front of `after`.
    last: Option<u64>,
    /// Whether nothing behind `after` has expired: it came back as a message of the target, or all that is listed came.
    is_met: bool,
    stage: Stage,
}

/// What a reading waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    /// What the tail's index lists.
    Listed,
    /// The proof that a replica has all of the gap.
    Back,
    /// Pages, until they meet this sequence or one behind the gap; `None`: until the server has no more.
    Pages(Option<u64>),
    /// Pages of a replica that has proven nothing, until the piece is full or they meet something behind the gap.
    Piece,
    /// The stream's bounds, after the last page.
    Info,
    /// The same, although no replica has proven yet that it has all of the gap: perhaps the gap has expired.
    Unproven,
}

impl Stage {
    /// What is asked first where nothing is listed.
    fn first(storage: Storage, has_witness: bool, goes_on: bool) -> Self {
        match storage {
            Storage::Single => Self::Pages(None),
            Storage::Replicated { .. } if goes_on => Self::Piece,
            Storage::Replicated { .. } if has_witness => Self::Back,
            Storage::Replicated { .. } => Self::Unproven,
        }
    }
}

impl<M: Stored> Reading<M> {
    fn new(tail: &Tail<M>, request: Request<M::Target>, storage: Storage) -> Self {
        let witness = tail
            .oldest()
            .map(|(sequence, message)| (sequence, message.target().clone()));
        let stage = Stage::first(storage, witness.is_some(), request.goes_on);
        Self {
            to: request.until.sequence.min(tail.first().saturating_sub(1)),
            tail: from_tail(tail, &request),
            request,
            storage,
            witness,
            list: List::default(),
            found: Vec::new(),
            read: 0,
            bytes: 0,
            fresh: 0,
            fresh_bytes: 0,
            has_key: false,
            is_part: false,
            last: None,
            is_met: false,
            stage,
        }
    }

    /// What to ask next.
    pub(crate) fn ask(&self) -> Ask<'_, M::Target> {
        let target = &self.request.target;
        match (self.stage, &self.witness) {
            (Stage::Listed, _) => Ask::Listed {
                sequences: self.list.next(),
            },
            (Stage::Back, Some((_, witness))) => Ask::Back { target, witness },
            (Stage::Pages(_) | Stage::Piece, _) => Ask::Page {
                target,
                from: self.from(),
            },
            _ => Ask::Info,
        }
    }

    /// Takes the last sequences of the target and of the witness, as one replica has them. If that proves nothing, because
    /// the replica lags or the witness itself has expired, the stream's bounds tell which, and the same is asked again:
    /// pause a little before that.
    pub(crate) fn back(&mut self, target: Option<u64>, witness: Option<u64>) {
        let is_proven = self
            .witness
            .as_ref()
            .is_some_and(|(sequence, _)| witness.is_some_and(|last| last >= *sequence));
        if self.stage != Stage::Back {
            return;
        }
        if !is_proven {
            self.stage = Stage::Unproven;
            return;
        }
        let had = self.last.unwrap_or(self.request.after.sequence);
        self.stage = match target {
            Some(last) if last > had => Stage::Pages(Some(last)),
            _ => Stage::Info,
        };
        // Messages expire in order: only while what came last is still there, nothing behind it has expired.
        self.is_met &= target >= Some(had);
    }

    /// Takes a page. Returns the outcome if that ends the replay.
    pub(crate) fn page(&mut self, page: Page<M>) -> Option<Outcome<M>> {
        let meet = match self.stage {
            Stage::Pages(meet) => meet,
            Stage::Piece => None,
            Stage::Listed | Stage::Back | Stage::Info | Stage::Unproven => return None,
        };
        let after = self.request.after.sequence;
        let mut messages = page.messages.into_iter().peekable();
        if self.storage != Storage::Single
            && let Some((first, _)) = messages.peek()
        {
            match self.last {
                Some(last) if *first != last => return Some(Err(Unrecovered::PositionExpired)),
                None if self.is_met && *first != after => return Some(Err(Unrecovered::PositionExpired)),
                None => self.is_met = *first == after,
                Some(_) => {}
            }
        }
        let had = self.last.unwrap_or(after);
        let mut has_met = false;
        for (sequence, message) in messages.skip_while(|(sequence, _)| *sequence <= had) {
            has_met |= sequence > self.to || meet.is_some_and(|meet| sequence >= meet);
            if sequence > self.to {
                break;
            }
            self.last = Some(sequence);
            self.read += 1;
            if let Some(message) = message {
                self.take(message);
            }
            if self.is_full() {
                self.is_part = true;
                break;
            }
            if self.is_too_much() {
                return Some(Err(Unrecovered::TooMany));
            }
        }
        self.stage = match (meet, page.is_last) {
            _ if has_met || self.is_part => Stage::Info,
            (None, true) if self.stage == Stage::Piece => match self.witness {
                Some(_) => Stage::Back,
                None => Stage::Unproven,
            },
            (None, true) => Stage::Info,
            // This replica lags, or what is to be met has expired meanwhile: a new proof tells.
            (Some(_), true) => Stage::Back,
            (_, false) => self.stage,
        };
        None
    }

    /// Takes the stream's bounds, asked after the last page came. Returns the outcome.
    pub(crate) fn info(&mut self, info: StreamInfo) -> Option<Outcome<M>> {
        if !matches!(self.stage, Stage::Info | Stage::Unproven) {
            return None;
        }
        let (after, until) = (self.request.after, self.request.until);
        if !info.is_leaders {
            return Some(Err(Unrecovered::Unavailable));
        }
        if info.epoch != after.epoch || info.last < until.sequence {
            return Some(Err(Unrecovered::EpochChanged));
        }
        if self.stage == Stage::Unproven {
            return self.unproven(info);
        }
        let slack = match self.storage {
            Storage::Single => 0,
            Storage::Replicated { slack } => slack,
        };
        let reaches_back = info.first.saturating_add(slack) <= after.sequence.saturating_add(1);
        if !self.is_met && !reaches_back {
            return Some(Err(Unrecovered::PositionExpired));
        }
        let mut messages = std::mem::take(&mut self.found);
        let of_pages = messages.len();
        if !self.is_part {
            messages.append(&mut self.tail);
        }
        Some(settle(messages, of_pages, &self.request))
    }

    /// No replica has proven that it has all of the gap. Where the leader does not have it, it has expired.
    fn unproven(&mut self, info: StreamInfo) -> Option<Outcome<M>> {
        if info.first > self.request.after.sequence.saturating_add(1) {
            return Some(Err(Unrecovered::PositionExpired));
        }
        if self.witness.is_none() {
            return Some(Err(Unrecovered::Unavailable));
        }
        self.stage = Stage::Back;
        None
    }

    /// Where the next page begins. With replicas, at what is known already, which has to come back.
    fn from(&self) -> u64 {
        let had = self.last.unwrap_or(self.request.after.sequence);
        match self.storage {
            Storage::Single => had.saturating_add(1),
            Storage::Replicated { .. } => had.max(1),
        }
    }

    fn take(&mut self, message: M) {
        let weight = message.weight();
        self.bytes = self.bytes.saturating_add(weight);
        if !message.is_stale(self.request.now_ms) {
            self.fresh += 1;
            self.fresh_bytes = self.fresh_bytes.saturating_add(weight);
            self.has_key |= message.collapse().is_some();
        }
        self.found.push(message);
    }

    /// Whether pages brought the whole piece, and one more, so that it is not the last.
    fn is_full(&self) -> bool {
        let is_more = self.fresh > 1 && self.fresh_bytes > self.request.piece;
        self.request.goes_on && is_more && !self.has_key
    }

    fn is_too_much(&self) -> bool {
        let caps = self.request.caps;
        self.read > caps.messages_read() || (self.bytes > caps.bytes.saturating_mul(4) && self.read > 1)
    }
}

#[cfg(test)]
pub(crate) mod tests;
