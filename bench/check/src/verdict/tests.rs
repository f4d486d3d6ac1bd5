//! The promise: the checker can fail. A correct run passes, and each kind of violation is detected and named.

use super::*;
use crate::recorded::{Attempt, EndOfHistory, Entry, Target, Terms};

mod terms;

const HISTORY: u64 = 7_000;

fn at(sequence: u64) -> Position {
    Position {
        epoch: HISTORY,
        sequence,
    }
}

fn stored(target: u32, sequence: u64) -> Attempt {
    Attempt {
        target,
        publisher: 0,
        at_ms: 0,
        answer: Answer::Stored(at(sequence)),
        repeated: false,
        stored_ms: None,
        terms: Terms::default(),
    }
}

fn message(attempt: u32, sequence: u64) -> Event {
    Event::Message {
        position: at(sequence),
        attempt,
    }
}

fn resumed(from: u64, replayed: u32) -> Event {
    Event::Resumed {
        from: at(from),
        position: at(from),
        replayed,
        asked_ms: 0,
    }
}

fn lost() -> Event {
    Event::Lost { how: "cut".into() }
}

fn began(sequence: u64) -> Event {
    Event::Began {
        position: at(sequence),
    }
}

/// A run in which attempts 0 to 4 are stored at 1, 2, 4, 5 and 7 for alice, and one for bob at 3.
fn run(events: Vec<Event>) -> Recorded {
    let user = |name: &str| Target {
        user: Some(name.into()),
        destination: "/queue/check".into(),
    };
    let mut attempts: Vec<_> = [1, 2, 4, 5, 7].map(|sequence| stored(0, sequence)).into();
    attempts.push(Attempt {
        publisher: 1,
        ..stored(1, 3)
    });
    let entries = events.into_iter().zip(0..);
    Recorded {
        targets: vec![user("alice"), user("bob")],
        attempts,
        subscriptions: vec![Subscription {
            session: 0,
            target: 0,
            entries: entries.map(|(event, at_ms)| Entry { at_ms, event }).collect(),
            live: true,
        }],
        ..Recorded::default()
    }
}

/// Connected, cut after two, resumed, and all there.
fn right() -> Vec<Event> {
    vec![
        began(0),
        message(0, 1),
        message(1, 2),
        lost(),
        resumed(2, 2),
        message(2, 4),
        message(3, 5),
        message(4, 7),
    ]
}

#[track_caller]
fn found(run: &Recorded, wrong: &[Wrong]) {
    let verdict = judge(run, Allowed::default());
    let found: Vec<_> = verdict.wrong.keys().copied().collect();
    assert_eq!(found, wrong, "{:#?}", verdict.violations);
}

#[test]
fn a_right_run_holds() {
    let verdict = judge(&run(right()), Allowed::default());
    assert!(verdict.holds(), "{:#?}", verdict.violations);
    assert_eq!(
        (verdict.delivered, verdict.recovered, verdict.replayed),
        (5, 1, 2)
    );
}

#[test]
fn what_is_lost_while_connected_is_found() {
    let mut events = right();
    events.remove(1);
    found(&run(events), &[Wrong::Lost]);
}

#[test]
fn what_is_lost_at_the_very_end_is_found() {
    let mut events = right();
    events.pop();
    found(&run(events.clone()), &[Wrong::Lost]);
    let mut unfinished = run(events);
    unfinished.subscriptions[0].live = false;
    found(&unfinished, &[Wrong::StoodStill]);
}

#[test]
fn what_is_missing_from_a_replay_is_falsely_recovered() {
    for missing in [5, 6] {
        let mut events = right();
        events.remove(missing);
        events[4] = resumed(2, 1);
        found(&run(events), &[Wrong::FalselyRecovered]);
    }
    // The whole of it.
    let mut events = right();
    events.drain(5..7);
    events[4] = resumed(2, 0);
    found(&run(events), &[Wrong::FalselyRecovered]);
}

#[test]
fn a_receipt_that_skips_is_falsely_recovered() {
    let mut events = right();
    events.remove(5);
    events[4] = Event::Resumed {
        from: at(2),
        position: at(4),
        replayed: 1,
        asked_ms: 0,
    };
    found(&run(events), &[Wrong::FalselyRecovered]);
}

#[test]
fn a_double_is_found() {
    for (place, event) in [(2, message(0, 1)), (7, message(1, 2)), (8, message(4, 7))] {
        let mut events = right();
        events.insert(place, event);
        found(&run(events), &[Wrong::Doubled]);
    }
}

#[test]
fn who_asks_again_because_it_was_sent_an_old_one_is_not_doubled_again() {
    let mut events = right();
    // 1 comes once more, and is the last that a frame said when the connection is cut.
    events.insert(3, message(0, 1));
    events[5] = resumed(1, 3);
    events.insert(6, message(1, 2));
    let verdict = judge(&run(events), Allowed::default());
    assert_eq!(
        verdict.wrong.get(&Wrong::Doubled),
        Some(&1),
        "{:#?}",
        verdict.violations
    );
    assert_eq!(verdict.wrong.len(), 1, "{:#?}", verdict.violations);
}

#[test]
fn an_attempt_that_is_stored_twice_is_found() {
    let mut events = right();
    events.push(message(4, 8));
    found(&run(events), &[Wrong::Doubled]);
}

#[test]
fn a_change_of_order_is_found() {
    let mut events = right();
    events.swap(5, 6);
    found(&run(events), &[Wrong::OutOfOrder]);
    let mut events = right();
    events.swap(1, 2);
    events[4] = resumed(1, 3);
    events.insert(5, message(1, 2));
    found(&run(events), &[Wrong::OutOfOrder]);
}

#[test]
fn a_publisher_whose_second_is_stored_first_is_found() {
    let mut run = run(right());
    // Sent before attempt 0 by the same publisher, and stored behind it.
    run.attempts[5].publisher = 2;
    run.attempts.push(Attempt {
        publisher: 2,
        ..stored(1, 2)
    });
    // Bob's at 2 would share a position with alice's.
    run.attempts[6].answer = Answer::Stored(at(0));
    found(&run, &[Wrong::OutOfOrder]);
}

#[test]
fn a_refused_one_that_is_delivered_and_anothers_are_found() {
    let mut refused = run(right());
    refused.attempts[2].answer = Answer::Refused;
    found(&refused, &[Wrong::RefusedButDelivered]);

    let mut events = right();
    events.insert(3, message(5, 3));
    found(&run(events), &[Wrong::Misplaced]);

    let mut two = run(right());
    two.attempts[5].answer = Answer::Stored(at(4));
    found(&two, &[Wrong::Misplaced]);
}

#[test]
fn an_unknown_outcome_may_be_stored_or_not() {
    for sequence in [4, 7] {
        let mut events = right();
        let mut run = run(Vec::new());
        let place = events
            .iter()
            .position(|event| matches!(event, Event::Message { position, .. } if *position == at(sequence)));
        run.attempts[if sequence == 4 { 2 } else { 4 }].answer = Answer::Unknown;
        let with: Vec<_> = events.clone();
        events.remove(place.unwrap());
        events[4] = resumed(2, if sequence == 4 { 1 } else { 2 });
        for events in [with, events] {
            let entries = events.into_iter().map(|event| Entry { at_ms: 0, event });
            run.subscriptions[0].entries = entries.collect();
            found(&run, &[]);
        }
    }
}

#[test]
fn what_one_session_got_is_missing_for_the_other_whatever_the_publisher_knows() {
    let mut run = run(right());
    run.attempts[2].answer = Answer::Unknown;
    let mut other = run.subscriptions[0].clone();
    other.session = 1;
    other.entries.remove(5);
    run.subscriptions.push(other);
    found(&run, &[Wrong::FalselyRecovered]);
}

#[test]
fn a_gap_ends_a_chain_and_wants_a_reason() {
    let gap = |reason: &str, position| Event::Gap {
        from: at(2),
        position: Some(position),
        reason: reason.into(),
    };
    let mut events = right();
    events.drain(5..7);
    events[4] = gap("position-expired", at(5));
    let expired = run(events.clone());
    found(&expired, &[Wrong::FalseGap]);
    let allowed = Allowed {
        expired: true,
        ..Allowed::default()
    };
    let verdict = judge(&expired, allowed);
    assert!(verdict.holds(), "{:#?}", verdict.violations);
    assert_eq!(
        (verdict.gaps["position-expired"], verdict.gaps_of_nothing),
        (1, 0)
    );

    // A replay in spite of the gap is partial.
    events.insert(5, message(3, 5));
    assert_eq!(judge(&run(events.clone()), allowed).wrong[&Wrong::Doubled], 1);

    // A history that says it is another one, and is the same.
    events.remove(5);
    events[4] = gap("epoch-changed", at(5));
    let allowed = Allowed {
        epoch_changed: true,
        ..Allowed::default()
    };
    let mut same = run(events);
    same.ends_of_history = vec![EndOfHistory {
        began_ms: 0,
        in_doubt_until_ms: 0,
    }];
    assert_eq!(judge(&same, allowed).wrong[&Wrong::FalseGap], 1);
}

#[test]
fn another_history_without_a_word_is_found() {
    let mut events = right();
    events.push(Event::Message {
        position: Position {
            epoch: HISTORY + 1,
            sequence: 1,
        },
        attempt: 6,
    });
    let mut run = run(events);
    let mut attempt = stored(0, 1);
    attempt.publisher = 3;
    attempt.answer = Answer::Unknown;
    run.attempts.push(attempt);
    found(&run, &[Wrong::FalselyRecovered]);
}

#[test]
fn a_violation_shows_the_frames_and_faults_around_it() {
    let mut events = right();
    events.remove(5);
    let mut run = run(events);
    run.faults.push((3, "cut 1".into()));
    let verdict = judge(&run, Allowed::default());
    let words = &verdict.violations[0].words;
    for part in ["/queue/check of alice", "never got 7000-4", "Resumed", "cut 1"] {
        assert!(words.contains(part), "{part}: {words}");
    }
}
