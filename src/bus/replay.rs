//! What a subscription missed: all messages to one target behind the client's position `after`, up to the position `until`
//! at which its live part begins; complete, or a reason. Of what is complete, the first piece is given ([`Request::piece`]); who
//! has it asks again from its last message on, so that nobody holds a whole replay. Whoever goes on so ([`Request::goes_on`]) reads
//! no more than the piece. Knows no NATS, no clock, no runtime and no session; the shell (`bus/nats/direct`) asks the server.
//!
//! **How to drive it.** Call [`begin`] under the tail's lock: it answers at once if the tail reaches back to `after`. Else
//! do what [`Reading::ask`] says, one question at a time, and hand the answer to [`Reading::back`], [`Reading::page`] or
//! [`Reading::info`], until one of them returns the outcome. A question that failed may be asked again; when the time is
//! over (5 s) the outcome is [`Unrecovered::Unavailable`].
//!
//! **What proves that it is complete.**
//! * From the tail's first sequence T₀ on: the tail, taken when the replay begins. What it evicts later is not missing.
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

use std::collections::HashSet;

use super::history::{Caps, Missed, Outcome, Position, Stored, StreamInfo, Unrecovered};
use super::tail::Tail;

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
    Replay::Reading(Box::new(Reading::new(tail, request, storage)))
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
    /// What pages brought, oldest first.
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
    /// Whether `after` came back as a message of the target.
    is_met: bool,
    stage: Stage,
}

/// What a reading waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
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

impl<M: Stored> Reading<M> {
    fn new(tail: &Tail<M>, request: Request<M::Target>, storage: Storage) -> Self {
        let witness = tail
            .oldest()
            .map(|(sequence, message)| (sequence, message.target().clone()));
        let stage = match (storage, &witness) {
            (Storage::Single, _) => Stage::Pages(None),
            (Storage::Replicated { .. }, _) if request.goes_on => Stage::Piece,
            (Storage::Replicated { .. }, Some(_)) => Stage::Back,
            (Storage::Replicated { .. }, None) => Stage::Unproven,
        };
        Self {
            to: request.until.sequence.min(tail.first().saturating_sub(1)),
            tail: from_tail(tail, &request),
            request,
            storage,
            witness,
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
            Stage::Back | Stage::Info | Stage::Unproven => return None,
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

/// What the tail has of the gap, oldest first; one message more than may be read if there are more.
fn from_tail<M: Stored>(tail: &Tail<M>, request: &Request<M::Target>) -> Vec<M> {
    let found = tail.newest_first(&request.target, request.after.sequence, request.until.sequence);
    let most = request.caps.messages_read().saturating_add(1);
    let mut messages: Vec<M> = found.map(|(_, message)| message.clone()).take(most).collect();
    messages.reverse();
    messages
}

/// Leaves out what is stale and what a newer message with the same collapse key replaces, counts the rest against the caps,
/// and gives its first piece. The first `of_pages` of the messages were read of the stream.
fn settle<M: Stored>(messages: Vec<M>, of_pages: usize, request: &Request<M::Target>) -> Outcome<M> {
    let caps = request.caps;
    if messages.len() > caps.messages_read() {
        return Err(Unrecovered::TooMany);
    }
    let mut keys = HashSet::new();
    let mut kept = Vec::new();
    let mut bytes: usize = 0;
    for (index, message) in messages.iter().enumerate().rev() {
        let is_replaced = message.collapse().is_some_and(|key| !keys.insert(key));
        if is_replaced || message.is_stale(request.now_ms) {
            continue;
        }
        bytes = bytes.saturating_add(message.weight());
        kept.push((index, message));
        if kept.len() > caps.messages || (bytes > caps.bytes && kept.len() > 1) {
            return Err(Unrecovered::TooMany);
        }
    }
    let count = kept.len();
    let mut piece = 0_usize;
    let fits = kept.iter().rev().enumerate().take_while(|(nth, (_, message))| {
        piece = piece.saturating_add(message.weight());
        *nth == 0 || piece <= request.piece
    });
    let fits: Vec<&(usize, &M)> = fits.map(|(_, kept)| kept).collect();
    Ok(Missed {
        behind: count - fits.len(),
        from_stream: fits.iter().filter(|(index, _)| *index < of_pages).count(),
        messages: fits.iter().map(|(_, message)| (*message).clone()).collect(),
    })
}

#[cfg(test)]
pub(crate) mod tests;
