//! The promise: a stream that is another one, or was rolled back, is noticed, and nothing of another life counts.

use super::*;

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
