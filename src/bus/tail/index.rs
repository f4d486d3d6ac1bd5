//! The targets of the messages before the tail: a mark of the target for each sequence, four bytes, and nothing of the
//! message. Knows no message, no target and no sequence; the tail says where the marks begin and end.
//!
//! Targets may share a mark, so a search finds a superset, and each message found must be checked. A mark is a hash
//! with a key of this process (`bus/history`): nobody outside can choose names that share one.
//!
//! **Cost.** Pushing is O(1), and the memory is bounded by its setting whatever the targets are. Finding compares every
//! mark of the gap, a million in about 0.1 ms.

use std::collections::VecDeque;

/// What an entry takes.
const MARK_BYTES: usize = size_of::<u32>();
/// The mark of a sequence that is nobody's.
const NOBODYS: u32 = 0;
/// So many marks are compared before one of them is looked for.
const CHUNK: usize = 256;
/// The first room that is made.
const LEAST: usize = 1_024;

/// The marks of consecutive sequences.
#[derive(Debug, Clone, Hash)]
pub(super) struct Index {
    marks: VecDeque<u32>,
    most: usize,
}

impl Index {
    /// An empty index that takes at most `bytes_max` bytes; 0: it remembers nothing.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            marks: VecDeque::new(),
            most: bytes_max / MARK_BYTES,
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.marks = VecDeque::new();
    }

    /// Adds the next sequence; `None` for what goes to nobody. The oldest goes where there is no more room.
    pub(super) fn push(&mut self, mark: Option<u32>) {
        if self.most == 0 {
            return;
        }
        if self.marks.len() >= self.most {
            self.marks.pop_front();
        } else if self.marks.len() == self.marks.capacity() {
            let more = self.marks.len().max(LEAST).min(self.most - self.marks.len());
            self.marks.reserve_exact(more);
        }
        self.marks.push_back(mark.map_or(NOBODYS, of_somebody));
    }

    /// Forgets the `count` oldest.
    pub(super) fn forget(&mut self, count: usize) {
        self.marks.drain(..count.min(self.marks.len()));
    }

    /// How many sequences are known.
    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    /// The bytes that are taken.
    pub(super) fn bytes(&self) -> usize {
        self.marks.capacity() * MARK_BYTES
    }

    /// The places of `mark` from the place `from` on, oldest first. The oldest place is 0.
    pub(super) fn places(&self, mark: u32, from: usize) -> impl Iterator<Item = usize> {
        let mark = of_somebody(mark);
        let (one, other) = self.marks.as_slices();
        let behind = |marks: &'_ [u32], begins: usize| {
            let skipped = from.saturating_sub(begins).min(marks.len());
            (begins + skipped, skipped)
        };
        let parts = [(one, 0), (other, one.len())].map(|(marks, begins)| {
            let (begins, skipped) = behind(marks, begins);
            (marks.get(skipped..).unwrap_or_default(), begins)
        });
        parts.into_iter().flat_map(move |(marks, begins)| {
            let chunks = marks.chunks(CHUNK).zip((begins..).step_by(CHUNK));
            let with = chunks.filter(move |(chunk, _)| chunk.contains(&mark));
            with.flat_map(move |(chunk, begins)| {
                let places = chunk.iter().zip(begins..);
                places
                    .filter(move |(found, _)| **found == mark)
                    .map(|(_, place)| place)
            })
        })
    }
}

/// A mark as it is kept.
fn of_somebody(mark: u32) -> u32 {
    mark.max(NOBODYS + 1)
}
