//! The promise of the reader: each event, with a clock that the test advances. The model covers how events interleave
//! (`session/recovery/tests/model`).

use super::*;

mod holes;
mod life;
pub(crate) mod mutants;

const EPOCH: u64 = 7;

fn mark(sequence: u64) -> Mark {
    Mark {
        sequence,
        stamp: 1_000 + sequence,
    }
}

fn stream(first: u64, last: u64) -> StreamInfo {
    StreamInfo {
        epoch: EPOCH,
        first,
        last,
        last_stamp: Some(1_000 + last),
        is_leaders: true,
    }
}

/// A reader and a time that passes as the test says.
struct Fixture {
    reader: Reader,
    now: Instant,
}

impl Fixture {
    /// Begins behind the sequence 10.
    fn new() -> Self {
        let now = Instant::now();
        Self {
            reader: Reader::start(stream(1, 10), 11, now),
            now,
        }
    }

    fn pass(&mut self, ms: u64) -> Wants {
        self.now += Duration::from_millis(ms);
        self.reader.wants(self.now)
    }

    fn create(&mut self) {
        let create = self.pass(100).create.expect("a consumer is wanted");
        self.reader.created(create, self.now);
    }

    /// Follows a consumer that may count.
    fn following() -> Self {
        let mut fixture = Self::new();
        fixture.create();
        assert_eq!(fixture.info(stream(1, 10)), Said::Nothing);
        fixture
    }

    fn info(&mut self, info: StreamInfo) -> Said {
        let asked = self.reader.ask();
        self.reader.info(asked, info, self.now)
    }

    fn message(&mut self, number: u64, sequence: u64) -> Verdict {
        self.reader.message(number, mark(sequence), self.now)
    }
}

fn broken(sequence: u64, lost: u64) -> Said {
    Said::Broken(Broken {
        base: Position {
            epoch: EPOCH,
            sequence,
        },
        lost: Some(lost),
    })
}

#[test]
fn messages_are_taken_one_behind_the_other() {
    let mut f = Fixture::following();
    assert_eq!(f.message(1, 10), Verdict::Known);
    assert_eq!(f.message(2, 11), Verdict::Take);
    assert_eq!(f.message(3, 12), Verdict::Take);
    assert_eq!(f.reader.position().sequence, 12);
    assert_eq!(
        f.pass(50),
        Wants {
            info: false,
            create: None,
            poll: None,
            raise_generation: false
        }
    );
    // One of the consumer's own is missing.
    assert_eq!(f.message(5, 13), Verdict::Reset);
    assert_eq!(f.message(6, 14), Verdict::Known);
    assert!(!f.reader.is_following());
    let create = f.pass(100).create.unwrap();
    assert_eq!((create.from, create.overlap), (12, Some(mark(12))));
}

#[test]
fn a_consumer_counts_once_an_info_asked_after_its_create_names_the_epoch() {
    let mut f = Fixture::new();
    let early = f.reader.ask();
    f.create();
    assert_eq!(f.message(1, 11), Verdict::Wait);
    assert_eq!(f.reader.info(early, stream(1, 11), f.now), Said::Nothing);
    assert_eq!(f.message(1, 11), Verdict::Wait);
    assert!(f.pass(0).info);
    let not_the_leaders = StreamInfo {
        is_leaders: false,
        ..stream(1, 11)
    };
    f.info(not_the_leaders);
    assert_eq!(f.message(1, 11), Verdict::Wait);
    f.info(stream(1, 11));
    assert!(!f.pass(0).info);
    assert_eq!(f.message(1, 11), Verdict::Take);
}

#[test]
fn a_poll_counts_once_an_info_asked_after_its_answer_names_the_epoch() {
    let mut f = Fixture::new();
    let poll = f.pass(100).poll.unwrap();
    assert_eq!(poll.from, 10);
    let early = f.reader.ask();
    assert!(f.reader.poll_answered(poll));
    assert!(f.pass(0).poll.is_none() && f.pass(0).info);
    f.reader.info(early, stream(1, 14), f.now);
    assert_eq!(f.reader.polled(mark(10)), Verdict::Wait);
    f.info(stream(1, 14));
    assert_eq!(f.reader.polled(mark(10)), Verdict::Known);
    assert_eq!(f.reader.polled(mark(11)), Verdict::Take);
    assert_eq!(f.reader.polled(mark(14)), Verdict::Wait);
    assert_eq!(f.info(stream(1, 14)), broken(13, 2));
    assert_eq!(f.reader.polled(mark(14)), Verdict::Take);
    assert_eq!(f.reader.poll_done(poll, true, f.now), Said::Nothing);
    assert!(f.pass(99).poll.is_none() && f.pass(1).poll.is_some());
}

#[test]
fn a_silent_consumer_is_given_up_but_not_while_its_messages_are_kept() {
    let mut f = Fixture::following();
    f.pass(1_199);
    assert_eq!(f.reader.tick(f.now), Said::Nothing);
    assert_eq!(f.reader.heartbeat(0, f.now), Said::Nothing);
    f.pass(1_199);
    assert_eq!(f.reader.tick(f.now), Said::Nothing);
    f.pass(1);
    assert_eq!(f.reader.tick(f.now), Said::Reset(Cause::Silent));
    assert_eq!(f.reader.tick(f.now), Said::Nothing);

    let mut f = Fixture::following();
    f.message(1, 14);
    f.pass(9_000);
    assert_eq!(f.reader.tick(f.now), Said::Nothing);
    f.info(stream(1, 14));
    assert_eq!(f.reader.tick(f.now), Said::Nothing);
}

#[test]
fn a_lost_connection_gives_the_consumer_up_and_what_is_kept_of_it() {
    let mut f = Fixture::following();
    assert_eq!(f.message(1, 14), Verdict::Wait);
    let said = f.reader.reset(Cause::Disconnected);
    assert_eq!(said, Said::Reset(Cause::Disconnected));
    assert!(!f.reader.is_waiting() && !f.pass(0).info);
    assert_eq!(f.reader.reset(Cause::Disconnected), Said::Nothing);
    assert_eq!(f.pass(100).create.unwrap().from, 10);
}

#[test]
fn an_own_message_that_does_not_come_is_polled_for() {
    let mut f = Fixture::following();
    f.reader.acked(9, f.now);
    assert!(f.pass(500).poll.is_none());
    f.reader.acked(11, f.now);
    assert!(f.pass(149).poll.is_none());
    f.reader.acked(12, f.now);
    let poll = f.pass(1).poll.expect("the first one is overdue");
    assert!(f.reader.poll_answered(poll));
    // What the consumer brings meanwhile has to wait its turn.
    assert_eq!(f.message(1, 11), Verdict::Wait);
    f.info(stream(1, 12));
    assert_eq!(f.reader.polled(mark(11)), Verdict::Take);
    assert_eq!(f.reader.polled(mark(12)), Verdict::Take);
    f.reader.poll_done(poll, true, f.now);
    assert!(f.pass(500).poll.is_none());
    assert_eq!(f.message(1, 11), Verdict::Known);
}

#[test]
fn a_consumer_that_cannot_be_created_is_wanted_again_and_polls_go_on() {
    let mut f = Fixture::new();
    assert!(f.pass(100).create.is_some());
    f.reader.create_failed(f.now);
    assert!(f.pass(99).create.is_none());
    let wants = f.pass(1);
    assert!(wants.create.is_some() && wants.poll.is_some() && !wants.info);
    assert!(f.pass(10_000).info, "now and then");
}

#[test]
fn the_reader_is_caught_up_behind_what_the_stream_had() {
    let mut f = Fixture::new();
    assert!(f.reader.is_caught_up());
    f.reader = Reader::start(stream(4, 6), 1, f.now);
    assert_eq!(
        (f.reader.position().sequence, f.reader.is_caught_up()),
        (3, false)
    );
    f.create();
    f.info(stream(4, 6));
    for (number, sequence) in [(1, 4), (2, 5), (3, 6)] {
        assert!(!f.reader.is_caught_up());
        assert_eq!(f.message(number, sequence), Verdict::Take);
    }
    assert!(f.reader.is_caught_up());
    // A stream that never had anything.
    let empty = Reader::start(
        StreamInfo {
            last_stamp: None,
            ..stream(1, 0)
        },
        1,
        f.now,
    );
    assert_eq!((empty.position().sequence, empty.is_caught_up()), (0, true));
}
