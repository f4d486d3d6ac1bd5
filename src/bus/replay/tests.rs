//! The promise of a replay: what each answer leads to, and its bounds. The model covers how it meets a living stream
//! (`session/recovery/tests/model`).

use super::*;

mod listed;
pub(crate) mod mutants;
mod pieces;
mod replicas;

const EPOCH: u64 = 7;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Word {
    to: char,
    id: u64,
    bytes: usize,
    key: Option<&'static str>,
    expires: u64,
}

impl Stored for Word {
    type Key = &'static str;
    type Target = char;

    fn target(&self) -> &char {
        &self.to
    }

    fn weight(&self) -> usize {
        self.bytes
    }

    fn is_stale(&self, now_ms: u64) -> bool {
        self.expires <= now_ms
    }

    /// 'a' and 'A' share one.
    fn mark(target: &char) -> u32 {
        target.to_ascii_lowercase().into()
    }

    fn collapse(&self) -> Option<&&'static str> {
        self.key.as_ref()
    }
}

fn word(to: char, id: u64) -> Word {
    Word {
        to,
        id,
        bytes: 10,
        key: None,
        expires: u64::MAX,
    }
}

fn at(sequence: u64) -> Position {
    Position {
        epoch: EPOCH,
        sequence,
    }
}

const CAPS: Caps = Caps {
    messages: 3,
    bytes: 1_000,
};

fn request(after: u64, until: u64) -> Request<char> {
    Request {
        target: 'a',
        after: at(after),
        until: at(until),
        caps: CAPS,
        piece: usize::MAX,
        goes_on: false,
        now_ms: 100,
    }
}

/// A tail that begins behind `base` and holds these.
fn tail(base: u64, words: &[Word]) -> Tail<Word> {
    let mut tail = Tail::new(at(base), 1 << 20);
    for (word, sequence) in words.iter().zip(base + 1..) {
        tail.push(sequence, word.clone());
    }
    tail
}

fn done(replay: Replay<Word>) -> Result<Vec<u64>, Unrecovered> {
    match replay {
        Replay::Done(outcome) => ids(outcome),
        Replay::Reading(reading) => panic!("it asks {:?}", reading.ask()),
    }
}

fn ids(outcome: Outcome<Word>) -> Result<Vec<u64>, Unrecovered> {
    outcome.map(|missed| {
        assert_eq!(missed.behind, 0);
        missed.messages.iter().map(|word| word.id).collect()
    })
}

fn reading(tail: &Tail<Word>, request: Request<char>, storage: Storage) -> Box<Reading<Word>> {
    match begin(tail, request, storage) {
        Replay::Reading(reading) => reading,
        Replay::Done(outcome) => panic!("it is done: {outcome:?}"),
    }
}

fn page(sequences: &[u64], is_last: bool) -> Page<Word> {
    Page {
        messages: sequences
            .iter()
            .map(|sequence| (*sequence, Some(word('a', *sequence))))
            .collect(),
        is_last,
    }
}

fn stream(first: u64, last: u64) -> StreamInfo {
    StreamInfo {
        epoch: EPOCH,
        first,
        last,
        last_stamp: None,
        is_leaders: true,
    }
}

/// A reading up to `until` that asks about the stream ends well only by the leader's answer, of the same epoch, with all of it.
fn only_the_leader_proves_the_epoch(reading: &Reading<Word>, until: u64) {
    let ends = |info| ids(reading.clone().info(info).unwrap());
    let shorter = stream(1, until - 1);
    assert_eq!(
        ends(shorter),
        Err(Unrecovered::EpochChanged),
        "it was rolled back"
    );
    let other = StreamInfo {
        epoch: EPOCH + 1,
        ..stream(1, 20)
    };
    assert_eq!(ends(other), Err(Unrecovered::EpochChanged));
    let not_the_leaders = StreamInfo {
        is_leaders: false,
        ..stream(1, 20)
    };
    assert_eq!(ends(not_the_leaders), Err(Unrecovered::Unavailable));
}

/// What is behind `after`, of a replay that goes on in pieces of two words.
fn rest(after: u64) -> Request<char> {
    Request {
        piece: 20,
        goes_on: true,
        ..request(after, 11)
    }
}

/// The ids of a piece, how many stand behind it at least, and how many were read of the stream.
fn of_piece(outcome: Option<Outcome<Word>>) -> (Vec<u64>, usize, usize) {
    let missed = outcome.expect("it ends").expect("a piece");
    let ids = missed.messages.iter().map(|word| word.id).collect();
    (ids, missed.behind, missed.from_stream)
}

#[test]
fn the_tail_alone_answers_what_it_reaches_back_to() {
    let words: Vec<Word> = "abaa".chars().zip(11..).map(|(to, id)| word(to, id)).collect();
    let tail = tail(10, &words);
    assert_eq!(
        done(begin(&tail, request(10, 14), Storage::Single)),
        Ok(vec![11, 13, 14])
    );
    assert_eq!(done(begin(&tail, request(11, 13), Storage::Single)), Ok(vec![13]));
    assert_eq!(done(begin(&tail, request(14, 14), Storage::Single)), Ok(vec![]));
    let reading = reading(&tail, request(9, 14), Storage::Single);
    assert_eq!(
        reading.ask(),
        Ask::Page {
            target: &'a',
            from: 10
        }
    );
}

#[test]
fn positions_of_another_epoch_are_not_compared() {
    let tail = tail(10, &[]);
    let other = |sequence| Position {
        epoch: EPOCH + 1,
        sequence,
    };
    for (after, until) in [(other(10), at(10)), (at(10), other(10)), (other(10), other(10))] {
        let request = Request {
            after,
            until,
            ..request(0, 0)
        };
        assert_eq!(
            done(begin(&tail, request, Storage::Single)),
            Err(Unrecovered::EpochChanged)
        );
    }
}

#[test]
fn what_is_stale_or_replaced_is_not_sent_and_does_not_count() {
    let mut words: Vec<Word> = (1..=12).map(|id| word('a', id)).collect();
    for word in &mut words {
        word.expires = 100;
    }
    for id in [2, 5, 8] {
        words[id].expires = 101;
        words[id].key = Some("x");
    }
    for id in [0, 11] {
        words[id].expires = 101;
    }
    let found = done(begin(&tail(0, &words), request(0, 12), Storage::Single));
    assert_eq!(found, Ok(vec![1, 9, 12]));
    // One more is looked at than may be.
    words.push(word('a', 13));
    let found = done(begin(&tail(0, &words), request(0, 13), Storage::Single));
    assert_eq!(found, Err(Unrecovered::TooMany));
}

#[test]
fn more_than_a_cap_is_too_many_but_one_always_fits() {
    let words: Vec<Word> = (1..=4).map(|id| word('a', id)).collect();
    let found = |words: &[Word]| done(begin(&tail(0, words), request(0, 9), Storage::Single));
    assert_eq!(found(&words[..3]), Ok(vec![1, 2, 3]));
    assert_eq!(found(&words), Err(Unrecovered::TooMany));
    let large = Word {
        bytes: 991,
        ..word('a', 1)
    };
    assert_eq!(found(&[large.clone(), word('a', 2)]), Err(Unrecovered::TooMany));
    let huge = Word {
        bytes: 9_000,
        ..large
    };
    assert_eq!(found(&[huge]), Ok(vec![1]));
}

#[test]
fn pages_and_one_info_close_the_gap_in_front_of_the_tail() {
    let tail = tail(10, &[word('a', 11)]);
    let mut reading = reading(&tail, request(4, 11), Storage::Single);
    assert_eq!(reading.info(stream(1, 11)), None, "not asked yet");
    assert_eq!(reading.page(page(&[6], false)), None);
    assert_eq!(
        reading.ask(),
        Ask::Page {
            target: &'a',
            from: 7
        }
    );
    // What the tail has comes again.
    assert_eq!(reading.page(page(&[9, 11], false)), None);
    assert_eq!(reading.ask(), Ask::Info);
    let ends = |info| ids(reading.clone().info(info).unwrap());
    assert_eq!(ends(stream(5, 11)), Ok(vec![6, 9, 11]));
    assert_eq!(ends(stream(6, 11)), Err(Unrecovered::PositionExpired));
    only_the_leader_proves_the_epoch(&reading, 11);
}

#[test]
fn a_replay_ends_where_live_begins_even_in_front_of_the_tail() {
    let tail = tail(10, &[word('a', 11)]);
    let mut reading = reading(&tail, request(4, 8), Storage::Single);
    assert_eq!(reading.page(page(&[6, 8, 9], true)), None);
    assert_eq!(ids(reading.info(stream(1, 11)).unwrap()), Ok(vec![6, 8]));
}

#[test]
fn an_undecodable_message_is_passed_and_a_flood_is_cut_off() {
    let tail = tail(100, &[]);
    let mut reading = reading(&tail, request(4, 100), Storage::Single);
    let page = |from: u64, count: u64| Page {
        messages: (from..from + count).map(|sequence| (sequence, None)).collect(),
        is_last: false,
    };
    assert_eq!(reading.page(page(5, 12)), None);
    let outcome = reading.clone().page(page(17, 1));
    assert_eq!(outcome, Some(Err(Unrecovered::TooMany)));
    let heavy = |sequence| {
        (
            sequence,
            Some(Word {
                bytes: 2_001,
                ..word('a', sequence)
            }),
        )
    };
    let mut reading = self::reading(&tail, request(4, 100), Storage::Single);
    let page = Page {
        messages: vec![heavy(5), heavy(6)],
        is_last: false,
    };
    assert_eq!(reading.page(page), Some(Err(Unrecovered::TooMany)));
}

const REPLICATED: Storage = Storage::Replicated { slack: 2 };
