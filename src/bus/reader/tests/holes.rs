//! The promise: no gap in a stream is silent: what was lost, or expired unread, is said once.

use super::*;

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
fn a_heartbeat_shows_what_was_lost_on_its_way() {
    for last in [0, 2] {
        let mut f = Fixture::following();
        f.message(1, 11);
        assert_eq!(f.reader.heartbeat(1, f.now), Said::Nothing);
        assert_eq!(f.reader.heartbeat(last, f.now), Said::Reset(Cause::Gap));
        assert_eq!(f.reader.heartbeat(last, f.now), Said::Nothing);
    }
}
