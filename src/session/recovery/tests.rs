//! Tests of the steps of a resume, and the model of all of it.

use super::*;

mod model;

fn at(epoch: u64, sequence: u64) -> Position {
    Position { epoch, sequence }
}

fn head(sequence: u64) -> Head {
    Head {
        begun: at(7, sequence),
        done: at(7, sequence),
    }
}

fn stream(epoch: u64, last: u64) -> StreamInfo {
    StreamInfo {
        epoch,
        first: 1,
        last,
        last_stamp: None,
        is_leaders: true,
    }
}

#[test]
fn a_position_that_is_known_is_replayed() {
    for text in ["7-4", "7-4.12", "7-0", "7-9"] {
        let mut recovery = Recovery::begin(text, true, head(9));
        assert_eq!(recovery.step(), Step::TakeRoom, "{text}");
        recovery.room(true);
        assert_eq!(recovery.step(), Step::Hold);
        recovery.held(at(7, 10));
        let after = Position::parse(text).unwrap();
        assert_eq!(
            recovery.step(),
            Step::Replay {
                after,
                until: at(7, 10),
                goes_on: false
            }
        );
        // What comes too late changes nothing.
        let before = recovery;
        recovery.held(at(7, 12));
        recovery.gave_up();
        recovery.room(false);
        recovery.info(None);
        recovery.head_moved(head(11));
        assert_eq!(recovery, before);
    }
}

#[test]
fn a_position_that_is_none_or_of_another_epoch_is_refused() {
    for text in ["", "x", "6-4", "8-4", "7-4.", "7-4-5", &"7".repeat(8 << 10)] {
        let recovery = Recovery::begin(text, true, head(9));
        assert_eq!(
            recovery.step(),
            Step::Subscribe(Unrecovered::EpochChanged),
            "{text:.20}"
        );
    }
    for text in ["7-4", "x"] {
        let recovery = Recovery::begin(text, false, head(9));
        assert_eq!(recovery.step(), Step::Subscribe(Unrecovered::HistoryOff));
    }
}

#[test]
fn a_position_ahead_is_waited_for() {
    let mut recovery = Recovery::begin("7-12", true, head(9));
    assert_eq!(recovery.step(), Step::AwaitHead);
    recovery.head_moved(head(11));
    assert_eq!(recovery.step(), Step::AwaitHead);
    let begun = Head {
        begun: at(7, 12),
        done: at(7, 11),
    };
    recovery.head_moved(begun);
    assert_eq!(recovery.step(), Step::AwaitHead, "it is not in the mailboxes yet");
    recovery.head_moved(head(12));
    assert_eq!(recovery.step(), Step::TakeRoom);

    let mut recovery = Recovery::begin("7-12", true, head(9));
    let other = Head {
        begun: at(8, 1),
        done: at(7, 9),
    };
    recovery.head_moved(other);
    assert_eq!(recovery.step(), Step::Subscribe(Unrecovered::EpochChanged));
}

#[test]
fn a_position_that_does_not_come_is_looked_up() {
    let not_the_leaders = StreamInfo {
        is_leaders: false,
        ..stream(7, 11)
    };
    for (info, reason) in [
        (Some(stream(7, 11)), Unrecovered::EpochChanged),
        (Some(stream(8, 20)), Unrecovered::EpochChanged),
        (Some(stream(7, 12)), Unrecovered::Unavailable),
        (Some(not_the_leaders), Unrecovered::Unavailable),
        (None, Unrecovered::Unavailable),
    ] {
        let mut recovery = Recovery::begin("7-12", true, head(9));
        recovery.gave_up();
        assert_eq!(recovery.step(), Step::AskInfo);
        recovery.head_moved(head(12));
        recovery.info(info);
        assert_eq!(recovery.step(), Step::Subscribe(reason));
    }
}

#[test]
fn a_session_without_room_is_too_slow() {
    let mut recovery = Recovery::begin("7-4", true, head(9));
    recovery.room(false);
    assert_eq!(recovery.step(), Step::TooSlow);
}

#[test]
fn each_piece_waits_for_room_and_goes_on_where_the_last_one_ended() {
    let mut recovery = Recovery::begin("7-4", true, head(9));
    recovery.room(true);
    recovery.held(at(7, 9));
    let (after, until) = (at(7, 6), at(7, 12));
    recovery.wrote(Next::Read { after, until });
    assert_eq!(recovery.step(), Step::TakeRoom);
    let mut without = recovery;
    without.room(false);
    assert_eq!(without.step(), Step::TooSlow);
    recovery.room(true);
    let goes_on = true;
    assert_eq!(
        recovery.step(),
        Step::Replay {
            after,
            until,
            goes_on
        }
    );
    for next in [Next::Live, Next::Lost(Unrecovered::PositionExpired)] {
        let mut recovery = recovery;
        recovery.wrote(next);
        assert_eq!(recovery.step(), Step::Done);
    }
}
