//! The promise of the reader: each event, with a clock that the test advances. The model covers how events interleave
//! (`session/recovery/tests/model`).

use super::*;

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
fn another_epoch_breaks_off_whether_its_number_is_higher_or_lower() {
    for epoch in [EPOCH - 1, EPOCH + 1] {
        let mut f = Fixture::following();
        let old = f.reader.ask();
        let base = Position { epoch, sequence: 3 };
        let said = f.info(StreamInfo {
            epoch,
            ..stream(2, 3)
        });
        assert_eq!(said, Said::Broken(Broken { base, lost: None }));
        assert!(!f.reader.is_following() && f.reader.is_caught_up());
        // What was asked before says nothing any more.
        assert_eq!(f.reader.info(old, stream(1, 20), f.now), Said::Nothing);
        assert_eq!(f.reader.position(), base);
        assert_eq!(f.pass(100).create.unwrap().overlap, Some(mark(3)));
    }
}

#[test]
fn a_hole_waits_for_an_info_asked_after_it_was_seen_and_is_said() {
    for (first, base) in [(1, 13), (13, 13), (14, 13), (20, 19)] {
        let mut f = Fixture::following();
        let early = f.reader.ask();
        assert_eq!(f.message(1, 14), Verdict::Wait);
        assert_eq!(
            f.reader.info(early, stream(first.min(11), 20), f.now),
            Said::Nothing
        );
        assert!(f.reader.is_waiting() && f.pass(0).info);
        assert_eq!(f.message(1, 14), Verdict::Wait);
        assert_eq!(f.info(stream(first, 20)), broken(base, base - 10));
        assert!(!f.reader.is_waiting() && f.reader.is_following());
        let verdict = if base == 13 { Verdict::Take } else { Verdict::Known };
        assert_eq!(f.message(1, 14), verdict);
    }
}

#[test]
fn what_expired_unread_is_said_once_nothing_is_under_way() {
    let mut f = Fixture::following();
    assert_eq!(f.info(stream(13, 12)), Said::Nothing);
    // It was under way after all.
    assert_eq!(f.message(1, 11), Verdict::Take);
    assert_eq!(f.message(2, 12), Verdict::Take);
    assert_eq!(f.reader.heartbeat(2, f.now), Said::Nothing);

    assert_eq!(f.info(stream(16, 15)), Said::Nothing);
    assert_eq!(f.message(3, 13), Verdict::Take);
    assert_eq!(f.reader.heartbeat(3, f.now), broken(15, 2));
    assert_eq!(f.message(4, 16), Verdict::Take);
}

#[test]
fn a_poll_says_what_expired_unread_if_it_was_asked_after_the_info() {
    let mut f = Fixture::new();
    let early = f.pass(100).poll.unwrap();
    f.info(stream(13, 12));
    assert!(f.reader.poll_answered(early));
    assert_eq!(f.reader.poll_done(early, true, f.now), Said::Nothing);
    let late = f.pass(100).poll.unwrap();
    assert_eq!(f.reader.poll_done(late, false, f.now), Said::Nothing, "it failed");
    assert!(f.reader.poll_answered(late));
    assert_eq!(f.reader.poll_done(late, true, f.now), broken(12, 2));
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
fn another_message_where_one_was_read_is_a_rollback() {
    let other = Mark {
        sequence: 10,
        stamp: 5,
    };
    let mut f = Fixture::following();
    assert_eq!(f.reader.message(1, other, f.now), Verdict::Wait);
    let wants = f.pass(2_000);
    assert!(wants.raise_generation && f.reader.is_waiting());
    // The same epoch still: nobody has raised the generation.
    assert_eq!(f.info(stream(1, 12)), Said::Nothing);
    assert!(f.pass(0).raise_generation);
    let said = f.info(StreamInfo {
        epoch: EPOCH + 1,
        ..stream(1, 12)
    });
    assert!(matches!(said, Said::Broken(Broken { lost: None, .. })));
    assert!(!f.pass(0).raise_generation);

    let mut f = Fixture::new();
    let poll = f.pass(100).poll.unwrap();
    assert!(f.reader.poll_answered(poll));
    f.info(stream(1, 12));
    assert_eq!(f.reader.polled(other), Verdict::Wait);
    assert!(f.pass(0).raise_generation);
}

#[test]
fn what_was_asked_of_another_life_does_not_count() {
    let mut f = Fixture::new();
    let wants = f.pass(100);
    let (create, poll) = (wants.create.unwrap(), wants.poll.unwrap());
    // Recreated meanwhile, and much shorter: the answers are of the stream before, or begin where it ended.
    let other = StreamInfo {
        epoch: EPOCH + 1,
        ..stream(1, 3)
    };
    assert!(matches!(f.info(other), Said::Broken(_)));
    f.reader.created(create, f.now);
    assert!(!f.reader.is_following(), "its consumer would begin at 10");
    assert!(!f.reader.poll_answered(poll));
    f.info(other);
    assert_eq!(f.reader.polled(mark(11)), Verdict::Known);
    assert_eq!(f.reader.position().sequence, 3);
    assert_eq!(f.pass(100).create.unwrap().from, 3);
}

#[test]
fn a_consumer_is_compared_with_what_was_read_when_it_was_wanted() {
    let mut f = Fixture::new();
    let create = f.pass(100).create.unwrap();
    let poll = f.pass(0).poll.unwrap();
    assert!(f.reader.poll_answered(poll));
    f.info(stream(1, 12));
    for sequence in 10..=12 {
        f.reader.polled(mark(sequence));
    }
    f.reader.poll_done(poll, true, f.now);
    f.reader.created(create, f.now);
    f.info(stream(1, 12));
    assert_eq!(
        f.reader.message(
            1,
            Mark {
                sequence: 10,
                stamp: 5
            },
            f.now
        ),
        Verdict::Wait
    );
    assert!(f.pass(0).raise_generation);
}

#[test]
fn a_stream_that_is_shorter_than_what_was_read_is_believed_the_second_time() {
    let mut f = Fixture::following();
    f.info(stream(1, 8));
    assert!(!f.pass(999).info, "not yet");
    f.info(stream(1, 8));
    assert!(!f.reader.wants(f.now).raise_generation, "too early to count");
    assert!(f.pass(1).info);
    f.info(StreamInfo {
        is_leaders: false,
        ..stream(1, 8)
    });
    assert!(!f.pass(0).raise_generation);
    f.info(stream(1, 8));
    assert!(f.pass(0).raise_generation);

    let mut f = Fixture::following();
    f.info(stream(1, 8));
    f.pass(1_000);
    f.info(stream(1, 10));
    f.pass(1_000);
    f.info(stream(1, 8));
    assert!(!f.pass(0).raise_generation, "it was long enough in between");
}

#[test]
fn an_info_is_compared_with_what_was_read_when_it_was_asked() {
    let mut f = Fixture::following();
    let asked = f.reader.ask();
    assert_eq!(f.message(1, 11), Verdict::Take);
    for _ in 0..2 {
        f.reader.info(asked, stream(1, 10), f.now);
        assert!(!f.pass(1_500).raise_generation);
    }
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
fn a_heartbeat_shows_what_was_lost_on_its_way() {
    for last in [0, 2] {
        let mut f = Fixture::following();
        f.message(1, 11);
        assert_eq!(f.reader.heartbeat(1, f.now), Said::Nothing);
        assert_eq!(f.reader.heartbeat(last, f.now), Said::Reset(Cause::Gap));
        assert_eq!(f.reader.heartbeat(last, f.now), Said::Nothing);
    }
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

#[test]
fn the_stream_is_proven_once_what_was_read_last_is_met_again() {
    let mut f = Fixture::new();
    assert!(f.reader.is_proven(), "nothing was read before");
    f.reader.reset(Cause::Disconnected);
    assert!(!f.reader.is_proven() && !f.reader.is_in_doubt());
    f.create();
    f.info(stream(1, 12));
    assert!(!f.reader.is_proven(), "a consumer that has brought nothing yet");
    assert_eq!(f.message(1, 10), Verdict::Known);
    assert!(f.reader.is_proven());
    // Nothing is behind it: its INFO names it.
    f.reader.reset(Cause::Silent);
    f.create();
    f.info(stream(1, 10));
    assert!(f.reader.is_proven());
    // It is not there any more.
    f.reader.reset(Cause::Silent);
    f.create();
    f.info(stream(12, 14));
    assert!(f.reader.is_proven());
    // It was removed by itself.
    let mut f = Fixture::new();
    f.reader.reset(Cause::Gap);
    f.create();
    f.info(stream(1, 14));
    for _ in 0..2 {
        f.reader.heartbeat(0, f.now);
        assert!(!f.reader.is_proven(), "it may have been sent before the INFO");
    }
    f.reader.heartbeat(0, f.now);
    assert!(f.reader.is_proven());
    // A poll finds it.
    f.reader.reset(Cause::Silent);
    let poll = f.pass(100).poll.unwrap();
    assert!(f.reader.poll_answered(poll));
    f.info(stream(1, 14));
    assert!(!f.reader.is_proven());
    assert_eq!(f.reader.polled(mark(10)), Verdict::Known);
    assert!(f.reader.is_proven());
}

#[test]
fn a_stream_that_may_be_another_is_in_doubt_and_not_proven() {
    let mut f = Fixture::following();
    assert!(f.reader.is_proven());
    f.info(stream(1, 9));
    assert!(f.reader.is_in_doubt() && !f.reader.is_proven());
    // A leader that had not applied all.
    f.info(stream(1, 10));
    assert!(!f.reader.is_in_doubt());
    // A publish was acknowledged, and then the connection was lost: what is behind it is not known to be the same stream.
    let mut f = Fixture::following();
    f.reader.acked(12, f.now);
    f.reader.reset(Cause::Disconnected);
    f.create();
    f.info(stream(1, 11));
    assert!(f.reader.is_in_doubt());
    f.info(stream(1, 12));
    for (number, sequence) in [(1, 10), (2, 11)] {
        f.message(number, sequence);
        assert!(!f.reader.is_proven(), "{sequence}");
    }
    assert_eq!((f.message(3, 12), f.reader.is_proven()), (Verdict::Take, true));
    // A publish was stored where this instance had read.
    let mut f = Fixture::following();
    f.reader.contradicted(EPOCH - 1);
    assert!(f.reader.is_proven());
    f.reader.contradicted(EPOCH);
    assert!(f.reader.is_in_doubt() && !f.reader.is_proven());
    let wants = f.pass(0);
    assert!(wants.raise_generation && wants.info);
    let next = StreamInfo {
        epoch: EPOCH + 1,
        ..stream(1, 4)
    };
    assert!(matches!(f.info(next), Said::Broken(_)));
    assert!(f.reader.is_proven(), "nothing of the new epoch was read before");
}
