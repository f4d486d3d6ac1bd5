//! The newest messages of a stream in this instance's memory, where nearly every resume finds what it missed. Knows no
//! NATS, no clock, no lock and no session; its owner locks it.
//!
//! **Contiguous.** The tail covers every sequence from [`Tail::first`] to [`Tail::last`] of one epoch: with a message,
//! or with the knowledge that there is none to be delivered ([`Tail::pass`]). A message that does not continue it
//! empties it. So a resume whose position is at `first − 1` or later needs nothing else.
//!
//! **The index.** An evicted message leaves a mark of its target, from [`Tail::known_from`] to [`Tail::first`] − 1
//! without a gap. The marks show which sequences a target may have there ([`Tail::listed`]), and a resume reads only
//! these. The index is emptied and cut with the tail.
//!
//! **Cost.** Each entry knows the sequence of the one before it with the same target, and a map knows the newest of
//! each target. Pushing and evicting are O(1); reading is O(what is found), newest first.

use std::collections::{HashMap, VecDeque};

use index::Index;

use super::history::{Position, Stored};

mod index;

/// What an entry costs besides its message: itself, and its share of the map.
pub(crate) const ENTRY_BYTES: usize = 96;

/// The newest messages of one stream.
#[derive(Debug, Clone)]
pub(crate) struct Tail<M: Stored> {
    epoch: u64,
    /// The sequence of the first entry; without entries the next sequence.
    first: u64,
    entries: VecDeque<Entry<M>>,
    /// The sequence of the newest entry of each target.
    newest: HashMap<M::Target, u64>,
    bytes: usize,
    bytes_max: usize,
    /// What was evicted, up to `first − 1`.
    index: Index,
    index_max: usize,
}

/// One sequence.
#[derive(Debug, Clone, Hash)]
struct Entry<M> {
    /// `None` for what cannot be delivered.
    message: Option<M>,
    /// The sequence of the newest entry before this one with the same target; 0 if there was none. It may be evicted.
    previous: u64,
    bytes: usize,
}

impl<M: Stored> Tail<M> {
    /// An empty tail behind `base`, which will hold at most `bytes_max` bytes, or one message, and has no index.
    pub(crate) fn new(base: Position, bytes_max: usize) -> Self {
        Self::with_index(base, bytes_max, 0)
    }

    /// The same with an index of at most `index_max` bytes.
    pub(crate) fn with_index(base: Position, bytes_max: usize, index_max: usize) -> Self {
        Self {
            epoch: base.epoch,
            first: base.sequence.saturating_add(1),
            entries: VecDeque::new(),
            newest: HashMap::new(),
            bytes: 0,
            bytes_max,
            index: Index::new(index_max),
            index_max,
        }
    }

    /// Empties the tail. It continues behind `base`: the instance lost what came before, or the epoch is new.
    pub(crate) fn begin(&mut self, base: Position) {
        *self = Self::with_index(base, self.bytes_max, self.index_max);
    }

    /// Adds the message stored at `sequence`.
    pub(crate) fn push(&mut self, sequence: u64, message: M) {
        let bytes = ENTRY_BYTES.saturating_add(message.weight());
        self.continue_at(sequence);
        let previous = self
            .newest
            .insert(message.target().clone(), sequence)
            .unwrap_or(0);
        self.add(Entry {
            message: Some(message),
            previous,
            bytes,
        });
    }

    /// Notes that nothing at `sequence` is to be delivered: what is stored there cannot be decoded, or was stale.
    pub(crate) fn pass(&mut self, sequence: u64) {
        self.continue_at(sequence);
        self.add(Entry {
            message: None,
            previous: 0,
            bytes: ENTRY_BYTES,
        });
    }

    /// Forgets everything below `sequence`: the stream was purged. Does not move [`Tail::last`] unless all of it goes.
    pub(crate) fn cut(&mut self, sequence: u64) {
        while self.first < sequence && !self.entries.is_empty() {
            self.evict();
        }
        if self.first < sequence {
            self.first = sequence;
            self.index.clear();
        }
        let gone = sequence.saturating_sub(self.known_from());
        self.index.forget(usize::try_from(gone).unwrap_or(usize::MAX));
    }

    /// The epoch of all that is held.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The first sequence held; the next one if nothing is held. A position at or behind `first − 1` finds all behind it
    /// here.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The last sequence held, or that in front of the next one if nothing is held.
    pub(crate) fn last(&self) -> u64 {
        self.first
            .saturating_add(self.entries.len() as u64)
            .saturating_sub(1)
    }

    /// The bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first sequence of which it is known to whom it went. [`Tail::first`] where the index is empty.
    pub(crate) fn known_from(&self) -> u64 {
        self.first.saturating_sub(self.index.len() as u64)
    }

    /// The average bytes of what is held; 0 if nothing is.
    pub(crate) fn average(&self) -> usize {
        self.bytes.checked_div(self.entries.len()).unwrap_or(0)
    }

    /// The bytes that the index takes.
    pub(crate) fn index_bytes(&self) -> usize {
        self.index.bytes()
    }

    /// The sequences behind `after` in front of [`Tail::first`] that may be `target`'s, oldest first: all of its own, and perhaps some
    /// of others. Those in front of [`Tail::known_from`] are missing.
    pub(crate) fn listed(&self, target: &M::Target, after: u64) -> impl Iterator<Item = u64> {
        let begins = self.known_from();
        let from = after.saturating_add(1).saturating_sub(begins);
        let places = self
            .index
            .places(M::mark(target), usize::try_from(from).unwrap_or(usize::MAX));
        places.map(move |place| begins.saturating_add(place as u64))
    }

    /// How many sequences are held.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The oldest message held and its sequence.
    pub(crate) fn oldest(&self) -> Option<(u64, &M)> {
        let messages = self.entries.iter().zip(self.first..);
        messages
            .filter_map(|(entry, sequence)| Some((sequence, entry.message.as_ref()?)))
            .next()
    }

    /// The messages to `target` behind `after`, up to `until` and it included, newest first. Those of `after` that are
    /// evicted are missing: compare with [`Tail::first`].
    pub(crate) fn newest_first(
        &self,
        target: &M::Target,
        after: u64,
        until: u64,
    ) -> impl Iterator<Item = (u64, &M)> {
        let mut at = self.newest.get(target).copied().unwrap_or(0);
        std::iter::from_fn(move || {
            loop {
                if at <= after {
                    return None;
                }
                let sequence = at;
                let entry = self
                    .entries
                    .get(usize::try_from(at.checked_sub(self.first)?).ok()?)?;
                at = entry.previous;
                if sequence <= until {
                    return Some((sequence, entry.message.as_ref()?));
                }
            }
        })
    }

    /// Empties the tail unless `sequence` is the next one.
    fn continue_at(&mut self, sequence: u64) {
        if sequence != self.last().saturating_add(1) {
            self.begin(Position {
                epoch: self.epoch,
                sequence: sequence.saturating_sub(1),
            });
        }
    }

    fn add(&mut self, entry: Entry<M>) {
        self.bytes = self.bytes.saturating_add(entry.bytes);
        self.entries.push_back(entry);
        while self.bytes > self.bytes_max && self.entries.len() > 1 {
            self.evict();
        }
    }

    fn evict(&mut self) {
        let Some(entry) = self.entries.pop_front() else {
            return;
        };
        if let Some(message) = &entry.message
            && self.newest.get(message.target()) == Some(&self.first)
        {
            self.newest.remove(message.target());
        }
        if self.index_max > 0 {
            let mark = entry.message.as_ref().map(|message| M::mark(message.target()));
            self.index.push(mark);
        }
        self.bytes -= entry.bytes;
        self.first += 1;
    }
}

#[cfg(test)]
mod tests;
