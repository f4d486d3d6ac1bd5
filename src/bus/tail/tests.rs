//! The promise of the tail: chosen cases, and a comparison with a plain list.

use std::hash::{Hash, Hasher};

use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

use super::*;

impl<M: Stored + Hash> Hash for Tail<M>
where
    M::Target: Ord,
{
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut newest: Vec<_> = self.newest.iter().collect();
        newest.sort();
        (self.epoch, self.first, &self.entries, newest, &self.index).hash(state);
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Word(char, usize);

impl Stored for Word {
    type Key = &'static str;
    type Target = char;

    fn target(&self) -> &char {
        &self.0
    }

    fn weight(&self) -> usize {
        self.1
    }

    fn is_stale(&self, _: u64) -> bool {
        false
    }

    /// 'a' and 'A' share one.
    fn mark(target: &char) -> u32 {
        target.to_ascii_lowercase().into()
    }

    fn collapse(&self) -> Option<&&'static str> {
        None
    }
}

impl<M: Stored> Tail<M> {
    /// Begins behind `base` as if what lies in between were known, and nobody's: for the model.
    pub(crate) fn begin_with_its_index(&mut self, base: Position) {
        while !self.entries.is_empty() {
            self.evict();
        }
        let mut index = self.index.clone();
        (self.first..=base.sequence).for_each(|_| index.push(None));
        self.begin(base);
        self.index = index;
    }
}

const BASE: Position = Position {
    epoch: 7,
    sequence: 3,
};

fn filled(text: &str, entries: usize) -> Tail<Word> {
    let mut tail = Tail::new(BASE, entries * (ENTRY_BYTES + 10));
    for (letter, sequence) in text.chars().zip(4..) {
        match letter {
            '.' => tail.pass(sequence),
            letter => tail.push(sequence, Word(letter, 10)),
        }
    }
    tail
}

fn found(tail: &Tail<Word>, target: char, after: u64, until: u64) -> Vec<u64> {
    tail.newest_first(&target, after, until)
        .map(|(sequence, _)| sequence)
        .collect()
}

#[test]
fn a_target_is_read_newest_first_between_two_positions() {
    let tail = filled("abab.ba", 9);
    assert_eq!((tail.first(), tail.last(), tail.len()), (4, 10, 7));
    assert_eq!(found(&tail, 'a', 3, 10), [10, 6, 4]);
    assert_eq!(found(&tail, 'a', 4, 9), [6]);
    assert_eq!(found(&tail, 'b', 0, u64::MAX), [9, 7, 5]);
    assert!(found(&tail, 'c', 0, u64::MAX).is_empty() && found(&tail, 'b', 9, 10).is_empty());
}

#[test]
fn the_oldest_go_when_bytes_run_out_and_leave_nothing_in_the_map() {
    let mut tail = filled("abcbb", 3);
    assert_eq!((tail.first(), tail.last()), (6, 8));
    assert_eq!(tail.newest.len(), 2);
    assert_eq!(found(&tail, 'b', 0, 9), [8, 7]);
    assert!(found(&tail, 'a', 0, 9).is_empty());
    // One that is larger than everything still is the tail.
    tail.push(9, Word('x', 10_000));
    assert_eq!(
        (tail.first(), tail.last(), tail.len(), tail.newest.len()),
        (9, 9, 1, 1)
    );
    tail.push(10, Word('y', 0));
    assert_eq!((tail.first(), tail.bytes()), (10, ENTRY_BYTES));
}

#[test]
fn what_does_not_continue_the_tail_empties_it() {
    for (sequence, is_pass) in [(7, false), (5, false), (7, true)] {
        let mut tail = filled("ab", 9);
        match is_pass {
            true => tail.pass(sequence),
            false => tail.push(sequence, Word('a', 1)),
        }
        assert_eq!((tail.first(), tail.last(), tail.len()), (sequence, sequence, 1));
    }
    let mut tail = filled("ab", 9);
    tail.begin(Position {
        epoch: 8,
        sequence: 1,
    });
    assert_eq!(
        (tail.epoch(), tail.first(), tail.last(), tail.bytes()),
        (8, 2, 1, 0)
    );
    assert!(tail.newest.is_empty());
}

#[test]
fn a_purge_cuts_the_tail_where_the_stream_begins() {
    let mut tail = filled("aba", 9);
    tail.cut(6);
    assert_eq!((tail.first(), tail.last()), (6, 6));
    assert_eq!(found(&tail, 'a', 0, 9), [6]);
    assert!(found(&tail, 'b', 0, 9).is_empty());
    tail.cut(7);
    assert_eq!((tail.first(), tail.last(), tail.newest.len()), (7, 6, 0));
    tail.push(7, Word('b', 1));
    assert_eq!((tail.first(), tail.last()), (7, 7));
}

#[test]
fn the_oldest_message_is_named_behind_what_was_passed() {
    assert_eq!(filled("..ab", 9).oldest(), Some((6, &Word('a', 10))));
    assert_eq!(filled("..", 9).oldest(), None);
}

/// A tail of `entries` messages with an index of `index` sequences.
fn indexed(text: &str, entries: usize, index: usize) -> Tail<Word> {
    let mut tail = Tail::with_index(BASE, entries * (ENTRY_BYTES + 10), index * size_of::<u32>());
    for (letter, sequence) in text.chars().zip(4..) {
        match letter {
            '.' => tail.pass(sequence),
            letter => tail.push(sequence, Word(letter, 10)),
        }
    }
    tail
}

fn listed(tail: &Tail<Word>, target: char, after: u64) -> Vec<u64> {
    tail.listed(&target, after).collect()
}

#[test]
fn what_is_evicted_is_listed_by_its_target() {
    // In the tail: 12 to 14.
    let tail = indexed("abab.bAabaa", 3, 99);
    assert_eq!((tail.known_from(), tail.first()), (4, 12));
    assert_eq!(listed(&tail, 'b', 0), [5, 7, 9]);
    assert_eq!(listed(&tail, 'b', 5), [7, 9]);
    assert_eq!(
        listed(&tail, 'a', 3),
        [4, 6, 10, 11],
        "another one has the same mark"
    );
    assert!(listed(&tail, 'c', 0).is_empty() && listed(&tail, 'b', 9).is_empty());
    assert!(listed(&tail, 'b', u64::MAX).is_empty());
    // The oldest go.
    let tail = indexed("abab.bAabaa", 3, 4);
    assert_eq!((tail.known_from(), tail.first()), (8, 12));
    assert_eq!(listed(&tail, 'a', 0), [10, 11]);
    assert!(tail.index_bytes() <= 4 * size_of::<u32>());
    // Without one.
    let tail = filled("ababab", 3);
    assert_eq!((tail.known_from(), tail.index_bytes()), (tail.first(), 0));
}

#[test]
fn an_index_ends_with_its_tail() {
    let before = indexed("abababab", 2, 99);
    assert_eq!((before.known_from(), before.first(), before.last()), (4, 10, 11));
    let mut tail = before.clone();
    tail.push(13, Word('a', 10));
    assert_eq!((tail.known_from(), tail.first()), (13, 13), "a gap");
    let mut tail = before.clone();
    tail.begin(Position {
        epoch: 8,
        sequence: 11,
    });
    assert_eq!((tail.known_from(), tail.first()), (12, 12), "another life");
    assert!(listed(&tail, 'a', 0).is_empty());
    // A purge, within the index, within the tail and behind it.
    for (cut, known, first) in [(4, 4, 10), (6, 6, 10), (11, 11, 11), (12, 12, 12), (40, 40, 40)] {
        let mut tail = before.clone();
        tail.cut(cut);
        assert_eq!((tail.known_from(), tail.first()), (known, first), "{cut}");
        assert!(listed(&tail, 'a', 0).iter().all(|sequence| *sequence >= cut));
    }
}

#[test]
fn names_that_nobody_has_twice_take_no_more_of_an_index() {
    let mut tail = Tail::with_index(BASE, ENTRY_BYTES, 4_000);
    for sequence in 4..100_000 {
        let name = char::from_u32(sequence).unwrap_or('x');
        tail.push(sequence.into(), Word(name, 0));
        assert!(tail.index_bytes() <= 4_000 && tail.newest.len() <= 1);
    }
    assert_eq!(tail.first() - tail.known_from(), 1_000);
}

proptest! {
    /// Against a plain list, over the seam of the ring.
    #[test]
    fn an_index_lists_what_a_list_would(
        letters in proptest::collection::vec("[abA.]", 0..3_000),
        index in 1_usize..2_000,
        after in 0_u64..3_000,
    ) {
        let text = letters.concat();
        let tail = indexed(&text, 2, index);
        let stored: Vec<(u64, char)> = (4..).zip(text.chars()).collect();
        let kept = (stored.len() - tail.len()).min(index);
        prop_assert_eq!(tail.first() - tail.known_from(), kept as u64);
        prop_assert!(tail.index_bytes() <= index * size_of::<u32>());
        for target in ['a', 'b'] {
            let is_listed = |(sequence, letter): &&(u64, char)| {
                let is_known = *sequence >= tail.known_from() && *sequence < tail.first();
                letter.to_ascii_lowercase() == target && *sequence > after && is_known
            };
            let expected: Vec<u64> = stored.iter().filter(is_listed).map(|(sequence, _)| *sequence).collect();
            prop_assert_eq!(listed(&tail, target, after), expected);
        }
    }

    /// Against a plain list of everything that was pushed.
    #[test]
    fn a_tail_finds_what_a_list_would(
        letters in proptest::collection::vec("[abc.]", 0..60),
        entries in 1_usize..12,
        (after, until) in (0_u64..70, 0_u64..70),
    ) {
        let text = letters.concat();
        let tail = filled(&text, entries);
        let stored: Vec<(u64, char)> = (4..).zip(text.chars()).collect();
        let kept = stored.len().min(entries);
        let has_passed = text.contains('.');
        // Sequences without a message are smaller, so more of them may be kept.
        prop_assert!(has_passed || tail.len() == kept);
        prop_assert!(tail.len() >= kept);
        prop_assert_eq!(tail.last(), 3 + stored.len() as u64);
        for target in ['a', 'b', 'c'] {
            let found = |(sequence, letter): &&(u64, char)| {
                *letter == target && *sequence > after && *sequence <= until && *sequence >= tail.first()
            };
            let expected: Vec<u64> = stored.iter().rev().filter(found).map(|(sequence, _)| *sequence).collect();
            prop_assert_eq!(self::found(&tail, target, after, until), expected);
        }
        let held: Vec<char> = stored.iter().filter(|(at, _)| *at >= tail.first()).map(|(_, to)| *to).collect();
        let targets: std::collections::HashSet<char> = held.into_iter().filter(|letter| *letter != '.').collect();
        prop_assert_eq!(tail.newest.len(), targets.len(), "nothing is left of what is evicted");
    }
}
