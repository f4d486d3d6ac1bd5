//! The promise: unknown keys cost a server one fetch in 30 s, no matter who asks; failures back off; a set remains
//! until a new one replaces it.

use proptest::prelude::*;

use super::*;

const REFRESH: u64 = 600_000;
const STALE: u64 = 86_400_000;

fn state() -> State<u32> {
    State::new(REFRESH, STALE, 0)
}

fn set(set: u32) -> Answer<u32> {
    Answer::Set {
        set,
        max_age_ms: None,
    }
}

#[test]
fn a_fetch_is_due_at_once_and_then_by_the_schedule() {
    let mut state = state();
    assert_eq!(state.usable(0), None);
    assert!(state.on_tick(0));
    assert!(!state.on_tick(0), "one at a time");
    state.on_answer(set(1), 10, 0);
    assert_eq!((state.usable(10), state.due()), (Some(&1), 10 + 480_000));
    assert!(!state.on_tick(480_009) && state.on_tick(480_010));
    state.on_answer(set(2), 480_020, 240_000);
    assert_eq!(
        (state.usable(480_020), state.due()),
        (Some(&2), 480_020 + 720_000)
    );
}

#[test]
fn the_servers_max_age_counts_within_bounds() {
    for (asked, wait) in [
        (0, 60_000),
        (300_000, 300_000),
        (u64::MAX, 3_600_000),
        (59_999, 60_000),
    ] {
        let mut state = state();
        assert!(state.on_tick(0));
        let answer = Answer::Set {
            set: 1,
            max_age_ms: Some(asked),
        };
        state.on_answer(answer, 0, wait / 5);
        assert_eq!(state.due(), wait, "{asked}");
    }
}

#[test]
fn failures_back_off_and_the_set_serves_until_it_is_stale() {
    let mut state = state();
    assert!(state.on_tick(0));
    state.on_answer(set(1), 0, 0);
    let (mut now, mut waits) = (state.due(), Vec::new());
    for _ in 0..9 {
        assert!(state.on_tick(now));
        let least = (state.on_answer(Answer::Failed, now, 0), state.due() - now).1;
        waits.push(least * 5 / 4);
        now = state.due();
    }
    assert_eq!(
        waits,
        [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]
    );
    assert_eq!(state.usable(STALE - 1), Some(&1));
    assert_eq!((state.usable(STALE), state.age_ms(STALE)), (None, Some(STALE)));
    assert!(state.on_tick(STALE));
    state.on_answer(set(2), STALE, 0);
    assert_eq!((state.usable(STALE), state.age_ms(STALE)), (Some(&2), Some(0)));
}

#[test]
fn one_fetch_for_all_who_wait_and_then_the_name_is_known_to_be_unknown() {
    let mut state = state();
    assert!(state.on_tick(0));
    assert_eq!(state.on_unknown_kid(Some("new"), 0), OnUnknown::Wait);
    state.on_answer(set(1), 0, 0);
    assert_eq!(state.on_unknown_kid(Some("new"), 1_000), OnUnknown::Fetch);
    assert_eq!(state.on_unknown_kid(Some("new"), 1_000), OnUnknown::Wait);
    assert_eq!(state.on_unknown_kid(None, 1_000), OnUnknown::Wait);
    state.on_answer(set(2), 1_100, 0);
    state.still_unknown(Some("new"));
    assert_eq!(state.on_unknown_kid(Some("new"), 30_999), OnUnknown::Refuse);
    assert_eq!(
        state.on_unknown_kid(Some("other"), 30_999),
        OnUnknown::Later { in_ms: 1 }
    );
    assert!(!state.on_wrong_signature(30_999));
    // Its provider has published it by now: it waits for nothing but the time between two fetches.
    assert_eq!(state.on_unknown_kid(Some("new"), 31_000), OnUnknown::Fetch);
    assert_eq!(state.on_unknown_kid(Some("other"), 31_000), OnUnknown::Wait);
    assert!(!state.on_tick(u64::MAX), "one at a time");
}

#[test]
fn a_wrong_signature_asks_as_seldom() {
    let mut state = state();
    assert!(!{ state.on_tick(0) && state.on_wrong_signature(0) });
    state.on_answer(set(1), 0, 0);
    assert!(state.on_wrong_signature(5));
    state.on_answer(set(1), 6, 0);
    assert!(!state.on_wrong_signature(30_004));
    assert!(state.on_wrong_signature(30_005));
}

/// What can happen.
#[derive(Debug, Clone)]
enum Event {
    Tick,
    Unknown(Option<u8>),
    Wrong,
    Set(Option<u64>),
    Failed,
    StillUnknown(u8),
}

fn events() -> impl Strategy<Value = Vec<(u64, u64, Event)>> {
    let event = prop_oneof![
        Just(Event::Tick),
        any::<Option<u8>>().prop_map(Event::Unknown),
        Just(Event::Wrong),
        any::<Option<u64>>().prop_map(Event::Set),
        Just(Event::Failed),
        any::<u8>().prop_map(Event::StillUnknown),
    ];
    proptest::collection::vec((0..40_000u64, any::<u64>(), event), 1..200)
}

proptest! {
    #[test]
    fn whatever_happens_the_server_is_spared_and_the_set_stays(events in events()) {
        let mut state = State::new(REFRESH, u64::MAX, 0);
        let (mut now, mut number, mut under_way) = (0, 0, false);
        let (mut early, mut had): (Option<u64>, bool) = (None, false);
        for (passed, dice, event) in events {
            now += passed;
            let mut begins_early = false;
            let mut begins = false;
            match event {
                Event::Tick => begins = state.on_tick(now),
                Event::Unknown(kid) => {
                    let kid = kid.map(|kid| kid.to_string());
                    let asked = state.on_unknown_kid(kid.as_deref(), now);
                    begins_early = asked == OnUnknown::Fetch;
                    prop_assert!(asked != OnUnknown::Refuse || state.early_in_ms(now) > 0, "it could ask");
                }
                Event::Wrong => begins_early = state.on_wrong_signature(now),
                Event::Set(max_age_ms) if under_way => {
                    number += 1;
                    state.on_answer(Answer::Set { set: number, max_age_ms }, now, dice);
                    prop_assert!(state.due() >= now + 48_000, "too soon again");
                    (under_way, had) = (false, true);
                }
                Event::Failed if under_way => {
                    state.on_answer(Answer::Failed, now, dice);
                    prop_assert!(state.due() >= now + 800 && state.due() <= now + 72_000);
                    under_way = false;
                }
                Event::StillUnknown(kid) => state.still_unknown(Some(&kid.to_string())),
                Event::Set(_) | Event::Failed => {}
            }
            if begins_early {
                prop_assert!(early.is_none_or(|last| now - last >= UNKNOWN_MS), "too often");
                early = Some(now);
            }
            if begins || begins_early {
                prop_assert!(!under_way, "two at a time");
                under_way = true;
            }
            prop_assert_eq!(state.usable(now).copied(), had.then_some(number));
        }
    }
}
