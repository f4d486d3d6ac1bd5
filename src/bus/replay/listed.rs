//! Reads the messages that the tail's index lists: the sequences that may be the target's, each message by its
//! sequence, which a server finds without a search. Proves that all of them arrived, or gives way to the reading that
//! needs no index. Knows no server.
//!
//! A list is used if it is short, or if its sequences are far apart: for pages a server skips everything in between,
//! but messages that are close together cost less in pages.

use super::{Reading, Stage};
use crate::bus::history::{Outcome, Stored, Unrecovered};
use crate::bus::tail::Tail;

/// How many messages are asked for at the same time.
const AT_ONCE: usize = 64;
/// About the most bytes of what is asked for at the same time, as far as can be known before.
const BYTES_AT_ONCE: usize = 256 << 10;
/// The longest list.
const LISTED_MAX: usize = 1_024;
/// A list that is longer than one question has to name one of so many sequences at most.
const SPARSE: u64 = 32;

/// What is listed.
#[derive(Debug, Clone, Default, Hash)]
pub(super) struct List {
    /// The sequences that are still to be asked for, newest first.
    rest: Vec<u64>,
    /// The same of what is asked for next, oldest first.
    next: Vec<u64>,
    /// Whether there is one.
    is_used: bool,
    /// Whether these are all up to where the tail or the live part begins.
    is_whole: bool,
    /// The bytes that a message is thought to have.
    each: usize,
}

/// What came of what was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Listed<M> {
    /// The messages by their sequences, in order, as far as they came one after the other; `None` for what cannot be decoded.
    pub messages: Vec<(u64, Option<M>)>,
    /// Whether the one behind these is not there, or did not come.
    pub is_missing: bool,
}

impl List {
    /// What is asked for next.
    pub(super) fn next(&self) -> &[u64] {
        &self.next
    }

    /// Makes the next question, if there is nothing left of the last one.
    fn go_on(&mut self) {
        if self.next.is_empty() {
            let fits = BYTES_AT_ONCE.checked_div(self.each).unwrap_or(AT_ONCE);
            let count = fits.clamp(1, AT_ONCE).min(self.rest.len());
            self.next = self.rest.split_off(self.rest.len() - count);
            self.next.reverse();
        }
    }
}

impl<M: Stored> Reading<M> {
    /// Takes what the index of `tail` lists, if that reaches back. Returns a reason if more is listed than may be missed.
    pub(super) fn list(&mut self, tail: &Tail<M>) -> Option<Unrecovered> {
        let after = self.request.after.sequence;
        if after.saturating_add(1) < tail.known_from() {
            return None;
        }
        let to = self.to;
        let most = self.request.caps.messages_read();
        let mut listed = tail
            .listed(&self.request.target, after)
            .take_while(|sequence| *sequence <= to);
        let mut sequences: Vec<u64> = listed.by_ref().take(LISTED_MAX).collect();
        let others = match self.request.goes_on {
            true => listed.take(1).count(),
            false => listed.take(most.saturating_add(1)).count(),
        };
        let beyond = others > 0;
        if !self.request.goes_on {
            // Targets share a mark by chance alone, and hardly ever.
            if sequences.len().saturating_add(others) > most {
                return Some(Unrecovered::TooMany);
            }
            if beyond {
                return None;
            }
        }
        let ends = if beyond {
            sequences.last().copied().unwrap_or(to)
        } else {
            to
        };
        let gap = ends.saturating_sub(after);
        if sequences.len() > AT_ONCE && gap < SPARSE.saturating_mul(sequences.len() as u64) {
            return None;
        }
        sequences.reverse();
        self.list = List {
            rest: sequences,
            next: Vec::new(),
            is_used: true,
            is_whole: !beyond,
            each: tail.average(),
        };
        self.stage = Stage::Listed;
        self.go_on_with_the_list();
        None
    }

    /// Takes messages that were asked for by their sequences. Returns the outcome if that ends the replay.
    pub(crate) fn listed(&mut self, listed: Listed<M>) -> Option<Outcome<M>> {
        if self.stage != Stage::Listed {
            return None;
        }
        let Listed { messages, is_missing } = listed;
        let asked = self.list.next.iter();
        let is_as_asked = messages.len() <= self.list.next.len()
            && messages.iter().zip(asked).all(|((came, _), asked)| came == asked);
        if is_missing || messages.is_empty() || !is_as_asked {
            self.step_aside();
            return None;
        }
        self.list.next.drain(..messages.len());
        for (_, message) in messages {
            match message {
                // Its target has the same mark.
                Some(message) if message.target() != &self.request.target => {}
                Some(message) => {
                    self.read += 1;
                    self.take(message);
                }
                None => self.read += 1,
            }
            if self.is_full() {
                self.is_part = true;
                break;
            }
            if self.is_too_much() {
                return Some(Err(Unrecovered::TooMany));
            }
        }
        if let Some(each) = self.bytes.checked_div(self.read) {
            self.list.each = each;
        }
        self.go_on_with_the_list();
        None
    }

    /// What is listed did not come: the stream is read as if there were no list.
    pub(crate) fn step_aside(&mut self) {
        self.list = List::default();
        self.found.clear();
        (self.read, self.bytes, self.fresh, self.fresh_bytes) = (0, 0, 0, 0);
        self.has_key = false;
        self.stage = Stage::first(self.storage, self.witness.is_some(), self.request.goes_on);
    }

    /// Whether it reads what is listed, or has read it.
    pub(crate) fn is_listed(&self) -> bool {
        self.list.is_used
    }

    fn go_on_with_the_list(&mut self) {
        self.list.go_on();
        match (self.list.next.is_empty(), self.is_part) {
            (_, true) => (self.is_met, self.stage) = (true, Stage::Info),
            (true, false) if self.list.is_whole => (self.is_met, self.stage) = (true, Stage::Info),
            (true, false) => self.step_aside(),
            (false, false) => {}
        }
    }
}
