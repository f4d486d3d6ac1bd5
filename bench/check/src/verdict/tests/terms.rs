//! Forged runs for the other options of publishers: batches, `ttl_ms`, `collapse`, keys; and for histories that end.

use super::*;
use crate::recorded::{Batch, EndOfHistory};

/// The right run, with attempts 2 and 3, stored at 4 and 5, as one batch.
fn batch(events: Vec<Event>) -> Recorded {
    let mut run = run(events);
    for index in 0..2 {
        let batch = Batch { first: 2, index };
        run.attempts[2 + index as usize].terms.batch = Some(batch);
    }
    run
}

#[test]
fn a_batch_is_stored_as_a_whole_and_in_its_order() {
    found(&batch(right()), &[]);
    assert_eq!(judge(&batch(right()), Allowed::default()).batches, 1);
    // Nobody was told what became of it: all of it, or nothing.
    let mut unknown = batch(right());
    unknown.attempts[2].answer = Answer::Unknown;
    unknown.attempts[3].answer = Answer::Unknown;
    found(&unknown, &[]);
    unknown.subscriptions[0].entries.drain(5..7);
    unknown.subscriptions[0].entries[4].event = resumed(2, 0);
    found(&unknown, &[]);
}

#[test]
fn a_batch_of_which_a_part_is_stored_is_torn() {
    // One that nobody was told of, and nobody got, although its neighbour came.
    for (gone, answer) in [
        (5, Answer::Unknown),
        (6, Answer::Unknown),
        (5, Answer::Refused),
        (6, Answer::Refused),
    ] {
        let mut events = right();
        events.remove(gone);
        events[4] = resumed(2, 1);
        let mut torn = batch(events);
        torn.attempts[gone - 3].answer = answer;
        found(&torn, &[Wrong::Torn]);
    }
}

#[test]
fn a_batch_with_something_in_between_or_turned_round_is_torn() {
    let mut apart = batch(right());
    apart.attempts[4].terms.batch = Some(Batch { first: 2, index: 2 });
    found(&apart, &[Wrong::Torn]);

    let mut turned = batch(right());
    for (place, index) in [(2, 1), (3, 0)] {
        turned.attempts[place].terms.batch = Some(Batch { first: 3, index });
    }
    found(&turned, &[Wrong::Torn]);

    // Where the one that nobody saw must be, there is another's.
    let mut other = batch(right());
    other.attempts.push(Attempt {
        answer: Answer::Unknown,
        ..stored(0, 6)
    });
    other.attempts[6].terms.batch = Some(Batch { first: 2, index: 3 });
    found(&other, &[Wrong::Torn]);
}

#[test]
fn what_is_stale_may_be_left_out_of_a_replay_and_must_be() {
    let with_ttl = |events: Vec<Event>, sent: u32, asked_ms: u32| {
        let mut run = run(events);
        (run.attempts[2].at_ms, run.attempts[2].stored_ms) = (sent, Some(sent));
        run.attempts[2].terms.ttl_ms = Some(2);
        let resume = &mut run.subscriptions[0].entries[4].event;
        let Event::Resumed { asked_ms: asked, .. } = resume else {
            panic!("{resume:?}");
        };
        *asked = asked_ms;
        run
    };
    let mut without = right();
    without.remove(5);
    without[4] = resumed(2, 1);
    // Passed over by the entry at 5 ms.
    let left_out = with_ttl(without.clone(), 3, 4);
    found(&left_out, &[]);
    assert_eq!(judge(&left_out, Allowed::default()).left_out, 1);
    found(&with_ttl(without, 4, 4), &[Wrong::FalselyRecovered]);

    found(&with_ttl(right(), 0, 102), &[]);
    found(&with_ttl(right(), 0, 103), &[Wrong::Stale]);
    // What is live may have become stale on its way.
    let mut run = with_ttl(right(), 0, 103);
    run.subscriptions[0].entries[4].event = Event::Resumed {
        from: at(2),
        position: at(2),
        replayed: 0,
        asked_ms: 103,
    };
    found(&run, &[]);
}

#[test]
fn the_newest_of_a_collapse_key_is_replayed_and_no_other() {
    let keyed = |events: Vec<Event>, keys: [u8; 2]| {
        let mut run = run(events);
        run.attempts[2].terms.collapse = Some(keys[0]);
        run.attempts[3].terms.collapse = Some(keys[1]);
        run
    };
    let without = |gone: usize| {
        let mut events = right();
        events.remove(gone);
        events[4] = resumed(2, 1);
        events
    };
    found(&keyed(without(5), [1, 1]), &[]);
    found(&keyed(without(5), [1, 2]), &[Wrong::FalselyRecovered]);
    found(&keyed(without(6), [1, 1]), &[Wrong::FalselyRecovered]);
    found(&keyed(right(), [1, 1]), &[Wrong::Stale]);
    found(&keyed(right(), [1, 2]), &[]);
    let mut live = right();
    live[4] = resumed(2, 1);
    found(&keyed(live, [1, 1]), &[]);
    // The newer one is for somebody else.
    let mut other = keyed(without(5), [1, 2]);
    other.attempts[5].answer = Answer::Stored(at(6));
    other.attempts[5].terms.collapse = Some(1);
    found(&other, &[Wrong::FalselyRecovered]);
}

#[test]
fn under_keys_every_outcome_becomes_known() {
    let allowed = Allowed {
        every_outcome_is_known: true,
        ..Allowed::default()
    };
    let mut run = run(right());
    assert!(judge(&run, allowed).holds());
    for answer in [Answer::Unknown, Answer::Refused] {
        run.attempts[5].answer = answer;
        assert_eq!(judge(&run, allowed).wrong[&Wrong::Unexpected], 1);
    }
    // A repeat that is stored again.
    run.attempts[5].answer = Answer::Stored(at(3));
    let entry = Entry {
        at_ms: 9,
        event: message(4, 8),
    };
    run.subscriptions[0].entries.push(entry);
    assert_eq!(judge(&run, allowed).wrong[&Wrong::Doubled], 1);
}

/// The right run, whose history was put back to 2 at 4 ms: 4 and 5 were stored behind that, and are gone; what is stored
/// next is at `next` of the same history or of another.
fn put_back(next: Position, resume: Event) -> Recorded {
    let mut events = right();
    events.truncate(7);
    events.remove(4);
    events.extend([
        lost(),
        resume,
        Event::Message {
            position: next,
            attempt: 4,
        },
    ]);
    let mut run = run(events);
    run.attempts[4].answer = Answer::Stored(next);
    run.ends_of_history = vec![end(4, 4)];
    run
}

fn end(began_ms: u32, in_doubt_until_ms: u32) -> EndOfHistory {
    EndOfHistory {
        began_ms,
        in_doubt_until_ms,
    }
}

const ENDED: Allowed = Allowed {
    epoch_changed: true,
    expired: false,
    too_many: false,
    unavailable: false,
    every_outcome_is_known: false,
};

fn other_history(sequence: u64) -> Position {
    Position {
        epoch: HISTORY + 1,
        sequence,
    }
}

fn told(from: u64) -> Event {
    Event::Gap {
        from: at(from),
        position: Some(other_history(2)),
        reason: "epoch-changed".into(),
    }
}

#[test]
fn a_history_that_is_put_back_has_to_be_told() {
    let told_of = put_back(other_history(3), told(5));
    let verdict = judge(&told_of, ENDED);
    assert!(verdict.holds(), "{:#?}", verdict.violations);

    // Without a word: the same positions again, the other history, or nothing more.
    for (silent, wrong) in [
        (put_back(at(4), resumed(5, 0)), Wrong::Misplaced),
        (put_back(other_history(3), resumed(5, 0)), Wrong::FalselyRecovered),
    ] {
        let verdict = judge(&silent, ENDED);
        assert!(verdict.wrong.contains_key(&wrong), "{:#?}", verdict.violations);
    }
    let mut stuck = put_back(other_history(3), resumed(5, 0));
    stuck.subscriptions[0].entries.pop();
    let verdict = judge(&stuck, ENDED);
    assert!(
        verdict.wrong.contains_key(&Wrong::Lost),
        "{:#?}",
        verdict.violations
    );
}

#[test]
fn a_history_ends_no_more_often_than_it_was_taken_away() {
    for ends in [vec![], vec![end(8, 8)]] {
        let mut early = put_back(other_history(3), told(5));
        early.ends_of_history = ends;
        assert_eq!(judge(&early, ENDED).wrong[&Wrong::FalseGap], 1);
    }
    let mut twice = put_back(other_history(3), told(5));
    let again = Event::Gap {
        from: other_history(3),
        position: Some(Position {
            epoch: HISTORY + 2,
            sequence: 3,
        }),
        reason: "epoch-changed".into(),
    };
    for event in [lost(), again] {
        twice.subscriptions[0].entries.push(Entry { at_ms: 10, event });
    }
    assert_eq!(judge(&twice, ENDED).wrong[&Wrong::FalseGap], 1);
    // While the first end is not known to all instances, and if there was a second one.
    for ends in [vec![end(4, 11)], vec![end(4, 4), end(9, 9)]] {
        twice.ends_of_history = ends;
        assert!(judge(&twice, ENDED).holds());
    }
}

#[test]
fn a_position_told_while_a_history_ends_may_be_of_the_one_before() {
    // Stored in the new history at 3, and told to be at 4 of the old one, where another was.
    let told_old = |stored_ms: u32| {
        let mut run = put_back(other_history(3), told(5));
        run.attempts[4].answer = Answer::Stored(at(4));
        run.attempts[4].stored_ms = Some(stored_ms);
        run.attempts[4].publisher = 9;
        run.ends_of_history = vec![end(4, 7)];
        judge(&run, ENDED)
    };
    for stored_ms in [4, 6] {
        let verdict = told_old(stored_ms);
        assert!(verdict.holds(), "{:#?}", verdict.violations);
        assert_eq!(verdict.told_of_before, 1);
    }
    for stored_ms in [3, 7] {
        assert_eq!(told_old(stored_ms).wrong[&Wrong::Doubled], 1, "{stored_ms}");
    }
}
