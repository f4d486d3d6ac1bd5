//! The promise of reading an index's list: what it requests, what it proves, and when it gives way.

use super::*;
use crate::bus::tail::ENTRY_BYTES;

/// A tail behind these, of the last of them alone; the others stand in its index.
fn indexed(words: &[Word]) -> Tail<Word> {
    let mut tail = Tail::with_index(at(0), ENTRY_BYTES, 1 << 20);
    for (word, sequence) in words.iter().zip(1..) {
        tail.push(sequence, word.clone());
    }
    tail
}

fn words(targets: &str) -> Vec<Word> {
    targets.chars().zip(1..).map(|(to, id)| word(to, id)).collect()
}

/// What a server says that has these.
fn came(words: &[Word], sequences: &[u64]) -> Listed<Word> {
    let found = |sequence: &u64| Some((*sequence, words.get(*sequence as usize - 1).cloned()));
    Listed {
        messages: sequences.iter().filter_map(found).collect(),
        is_missing: false,
    }
}

fn lists<'a>(sequences: &'a [u64]) -> Ask<'a, char> {
    Ask::Listed { sequences }
}

fn page_from(from: u64) -> Ask<'static, char> {
    Ask::Page { target: &'a', from }
}

const BACK: Ask<'static, char> = Ask::Back {
    target: &'a',
    witness: &'b',
};

#[test]
fn what_is_listed_and_one_info_close_the_gap_whatever_has_expired() {
    let all = words("abaAbab");
    let tail = indexed(&all);
    for storage in [Storage::Single, REPLICATED] {
        let mut reading = reading(&tail, request(1, 7), storage);
        assert_eq!(reading.ask(), lists(&[3, 4, 6]));
        // A part of it, from one server, then the rest from another. What has the same mark is passed.
        assert_eq!(reading.listed(came(&all, &[3])), None);
        assert_eq!(reading.ask(), lists(&[4, 6]));
        assert_eq!(reading.listed(came(&all, &[4, 6])), None);
        assert_eq!(reading.ask(), Ask::Info);
        assert!(reading.is_listed());
        let ends = |info| ids(reading.clone().info(info).unwrap());
        assert_eq!(ends(stream(1, 7)), Ok(vec![3, 6]));
        // Nothing behind `after` is missing, though the stream begins behind it.
        assert_eq!(ends(stream(3, 7)), Ok(vec![3, 6]));
        only_the_leader_proves_the_epoch(&reading, 7);
    }
}

#[test]
fn where_nothing_is_listed_only_the_epoch_is_asked_for() {
    let tail = indexed(&words("abbbab"));
    let reading = reading(&tail, request(1, 4), REPLICATED);
    assert_eq!(reading.ask(), Ask::Info);
    assert_eq!(ids(reading.clone().info(stream(3, 6)).unwrap()), Ok(vec![]));
}

#[test]
fn an_index_that_does_not_reach_back_is_not_used() {
    let all = words("aaaaab");
    let mut tail = Tail::with_index(at(0), ENTRY_BYTES, 3 * size_of::<u32>());
    for (word, sequence) in all.iter().zip(1..) {
        tail.push(sequence, word.clone());
    }
    assert_eq!(tail.known_from(), 3);
    assert_eq!(reading(&tail, request(1, 6), Storage::Single).ask(), page_from(2));
    assert_eq!(
        reading(&tail, request(2, 6), Storage::Single).ask(),
        lists(&[3, 4, 5])
    );
}

#[test]
fn a_list_ends_where_the_live_part_begins() {
    let tail = indexed(&words("aaaab"));
    assert_eq!(
        reading(&tail, request(1, 3), Storage::Single).ask(),
        lists(&[2, 3])
    );
}

#[test]
fn what_does_not_come_as_asked_proves_nothing() {
    let all = words("aaaaab");
    let tail = indexed(&all);
    let missing = |sequences| Listed {
        is_missing: true,
        ..came(&all, sequences)
    };
    let wrong = [
        missing(&[][..]),
        missing(&[3]),
        came(&all, &[]),
        came(&all, &[4]),
        came(&all, &[3, 5]),
        came(&all, &[3, 4, 5, 6]),
    ];
    for listed in wrong {
        let mut one = reading(&tail, request(2, 6), Storage::Single);
        assert_eq!(one.listed(listed.clone()), None);
        assert!(!one.is_listed());
        assert_eq!(one.ask(), page_from(3), "all of it again");
        assert_eq!(one.page(page(&[3, 4, 5], true)), None);
        let ends = |info| ids(one.clone().info(info).unwrap());
        assert_eq!(ends(stream(3, 6)), Ok(vec![3, 4, 5]));
        assert_eq!(ends(stream(4, 6)), Err(Unrecovered::PositionExpired));
        let mut replicated = reading(&tail, request(2, 6), REPLICATED);
        assert_eq!(replicated.listed(listed), None);
        assert_eq!(replicated.ask(), BACK);
    }
    // In the middle of it.
    let mut one = reading(&tail, request(1, 6), Storage::Single);
    assert_eq!(one.listed(came(&all, &[2, 3])), None);
    assert_eq!(one.listed(missing(&[4])), None);
    assert_eq!(one.ask(), page_from(2));
}

#[test]
fn more_than_may_be_missed_is_not_even_asked_for() {
    let most = CAPS.messages_read();
    let tail = indexed(&words(&("a".repeat(most + 1) + "b")));
    let of = |after| begin(&tail, request(after, 99), Storage::Single);
    assert!(matches!(of(0), Replay::Done(Err(Unrecovered::TooMany))));
    assert!(matches!(of(1), Replay::Reading(_)));
}

#[test]
fn bytes_are_counted_as_they_come() {
    let mut all = words("aaab");
    (all[0].bytes, all[1].bytes) = (2_001, 2_001);
    let tail = indexed(&all);
    let mut reading = reading(&tail, request(0, 4), Storage::Single);
    assert_eq!(
        reading.listed(came(&all, &[1, 2, 3])),
        Some(Err(Unrecovered::TooMany))
    );
}

#[test]
fn a_later_piece_reads_no_more_of_the_list_than_itself() {
    let all = words("aaaaab");
    let tail = indexed(&all);
    let after_two = Request {
        until: at(6),
        ..rest(1)
    };
    let mut one = reading(&tail, after_two.clone(), REPLICATED);
    assert_eq!(one.ask(), lists(&[2, 3, 4, 5]));
    // Two words are a piece; the third one says that it is not the last.
    assert_eq!(one.listed(came(&all, &[2, 3])), None);
    assert_eq!(one.ask(), lists(&[4, 5]));
    assert_eq!(one.listed(came(&all, &[4])), None);
    assert_eq!(one.ask(), Ask::Info);
    assert_eq!(of_piece(one.info(stream(3, 6))), (vec![2, 3], 1, 2));
    // A message that may be replaced makes it read the whole gap.
    let mut keyed = all.clone();
    keyed[1].key = Some("x");
    let mut whole = reading(&tail, after_two, Storage::Single);
    assert_eq!(whole.listed(came(&keyed, &[2, 3, 4])), None);
    assert_eq!(whole.ask(), lists(&[5]));
}

#[test]
fn a_long_list_is_asked_for_in_parts_by_its_bytes() {
    let caps = Caps {
        messages: 1_000,
        bytes: 1 << 30,
    };
    // One of forty is for the target.
    let mut all = words(&("a".to_owned() + &"b".repeat(39)).repeat(200));
    all.push(word('b', 8_001));
    let wide = Request {
        caps,
        ..request(0, 8_001)
    };
    let tail = indexed(&all);
    let mut reading = reading(&tail, wide, Storage::Single);
    let asks = |reading: &Reading<Word>| match reading.ask() {
        Ask::Listed { sequences } => sequences.to_vec(),
        other => panic!("{other:?}"),
    };
    let first = asks(&reading);
    assert_eq!((first.len(), first[0], first[63]), (64, 1, 2_521));
    // They are larger than thought.
    for word in &mut all {
        word.bytes = 100 << 10;
    }
    assert_eq!(reading.listed(came(&all, &first)), None);
    let mut sizes = Vec::new();
    while let Ask::Listed { .. } = reading.ask() {
        let next = asks(&reading);
        sizes.push(next.len());
        assert_eq!(reading.listed(came(&all, &next)), None);
    }
    assert_eq!(sizes, [2; 68]);
    assert_eq!(ids(reading.info(stream(1, 8_001)).unwrap()).unwrap().len(), 200);
}

#[test]
fn what_lies_close_together_or_is_very_long_is_read_in_pages() {
    let caps = Caps {
        messages: 100_000,
        bytes: 1 << 30,
    };
    let asks = |targets: String, goes_on: bool| {
        let last = targets.len() as u64;
        let wide = Request {
            caps,
            goes_on,
            piece: 20,
            ..request(0, last)
        };
        match reading(&indexed(&words(&targets)), wide, Storage::Single).ask() {
            Ask::Listed { sequences } => sequences.len(),
            _ => 0,
        }
    };
    assert_eq!(asks("a".repeat(64) + "b", false), 64);
    assert_eq!(asks("a".repeat(65) + "b", false), 0);
    let sparse = "a".to_owned() + &"b".repeat(32);
    assert_eq!(asks(sparse.repeat(1_024), false), 64);
    assert_eq!(asks(sparse.repeat(1_025), false), 0);
    // A later piece may be among the first of them.
    assert_eq!(asks(sparse.repeat(1_025), true), 64);
}

#[test]
fn a_list_that_was_cut_off_proves_nothing_by_its_end() {
    let sparse = "a".to_owned() + &"b".repeat(32);
    let mut all = words(&sparse.repeat(1_025));
    for word in &mut all {
        // Nothing of it fills a piece.
        word.expires = 0;
    }
    let last = all.len() as u64;
    let long = Request {
        caps: Caps {
            messages: 100_000,
            bytes: 1 << 30,
        },
        goes_on: true,
        ..request(0, last)
    };
    let mut reading = reading(&indexed(&all), long, Storage::Single);
    while let Ask::Listed { sequences } = reading.ask() {
        let sequences = sequences.to_vec();
        assert_eq!(reading.listed(came(&all, &sequences)), None);
    }
    assert_eq!(reading.ask(), page_from(1));
}
