//! Proves, by walking every state that can be reached, that resume as DURABLE 3 to 5 describe it loses nothing, doubles
//! nothing, keeps the order, and says every loss. The steps are those of the real types: [`Reader`](crate::bus::reader::Reader),
//! [`Tail`](crate::bus::tail::Tail), [`replay`](crate::bus::replay), [`Head`](crate::delivery::heads::Head),
//! [`Holding`](crate::delivery::held::Holding) and [`Recovery`](crate::session::recovery::Recovery); the world around them (a stream that
//! evicts, is purged, recreated or rolled back, consumers that die or lose messages, instances that die, a client that
//! disconnects anywhere and comes back with what it read) is in [`world`], [`reading`], [`handing`] and [`steps`], the promises
//! are in [`promise`].
//!
//! Each rule has a wrong version that must be found out ([`cases`]). `HERALD_MODEL=<part of a name>` runs the cases of that
//! name, `HERALD_MODEL_STATES` bounds them, `HERALD_MODEL_TRACE=1` prints the shortest way to each fault, and `--nocapture`
//! shows states and times. Cases whose states are many run in `scripts/test-all` (`--ignored`).

use std::collections::{HashMap, hash_map::Entry};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::time::Instant;

use steps::{Act, is_tidy, steps};
use world::{Run, State};

mod cases;
mod driver;
mod few;
mod handing;
mod promise;
mod reading;
mod replaying;
mod run;
mod steps;
mod world;

use cases::{Case, Expect, Size, cases};

/// A hash of a state, used as the key itself.
#[derive(Default, Clone, Copy)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u128")
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

/// Two quick hashes at once: a state's print has 128 bits, so that no two states are taken for one.
struct Print(u64, u64);

impl Hasher for Print {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word) ^ (chunk.len() as u64) << 60);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        self.1 = (self.1.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (self.1 >> 29);
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte) | 0x100);
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }
}

fn print_of(state: &State) -> u128 {
    let mut print = Print(0x1234_5678, 0x9abc_def1);
    state.hash(&mut print);
    (u128::from(print.1) << 64) | u128::from(print.0 ^ (print.0 >> 31))
}

/// What a walk over all states found.
struct Report {
    states: usize,
    steps: u64,
    depth: u32,
    rests: u64,
    fault: Option<(String, Vec<Act>)>,
    is_cut_short: bool,
    secs: f64,
}

/// Walks every state of `run`, nearest first, up to `most` states.
fn search(run: &Run, most: usize) -> Report {
    let began = Instant::now();
    let mut seen: HashMap<u128, u32, BuildHasherDefault<Same>> = HashMap::default();
    let mut parents: Vec<(u32, Act)> = Vec::new();
    let first = cases::initial(run);
    seen.insert(print_of(&first), 0);
    parents.push((u32::MAX, Act::default()));
    let mut front = vec![(0_u32, print_of(&first), first)];
    let mut report = Report {
        states: 0,
        steps: 0,
        depth: 0,
        rests: 0,
        fault: None,
        is_cut_short: false,
        secs: 0.0,
    };
    let mut out = Vec::new();
    'walk: while !front.is_empty() {
        let mut next = Vec::new();
        for (at, print, state) in &front {
            out.clear();
            steps(state, run, &mut out);
            let mut goes_on = false;
            for (act, by_itself, result) in out.drain(..) {
                report.steps += 1;
                match result {
                    Err(fault) => {
                        let mut path = path(*at, &parents);
                        path.push(act);
                        report.fault = Some((fault, path));
                        break 'walk;
                    }
                    Ok(state) => {
                        assert!(is_tidy(&state), "{act:?} leaves a subscription held");
                        let other = print_of(&state);
                        goes_on |= by_itself && other != *print;
                        if let Entry::Vacant(place) = seen.entry(other) {
                            let id = parents.len() as u32;
                            place.insert(id);
                            parents.push((*at, act));
                            next.push((id, other, state));
                        }
                    }
                }
            }
            if !goes_on {
                report.rests += 1;
                if let Err(fault) = state.at_rest(run) {
                    report.fault = Some((fault, path(*at, &parents)));
                    break 'walk;
                }
            }
            if parents.len() > most {
                report.is_cut_short = true;
                break 'walk;
            }
        }
        front = next;
        report.depth += 1;
    }
    report.states = parents.len();
    report.secs = began.elapsed().as_secs_f64();
    report
}

fn path(mut at: u32, parents: &[(u32, Act)]) -> Vec<Act> {
    let mut path = Vec::new();
    while parents[at as usize].0 != u32::MAX {
        path.push(parents[at as usize].1);
        at = parents[at as usize].0;
    }
    path.reverse();
    path
}

/// Runs the cases that `is_wanted` selects, and compares with what they expect.
fn check(is_wanted: impl Fn(&Case) -> bool) {
    let named = std::env::var("HERALD_MODEL").unwrap_or_default();
    let most = std::env::var("HERALD_MODEL_STATES")
        .ok()
        .and_then(|most| most.parse().ok());
    let mut wrong = Vec::new();
    for case in cases()
        .iter()
        .filter(|case| is_wanted(case) && case.name.contains(&named))
    {
        let report = search(&case.run, most.unwrap_or(case.size.states()));
        let what = match &report.fault {
            Some((fault, path)) => format!("FAULT in {} steps: {fault}", path.len()),
            None if report.is_cut_short => "no fault up to here".into(),
            None => "holds".into(),
        };
        let is_expected = match (case.expect, &report.fault) {
            // Only what is marked so may end before all states are walked.
            (Expect::Holds, None) => !report.is_cut_short || case.size == Size::Vast || most.is_some(),
            (Expect::Fails(words), Some((fault, _))) => fault.starts_with(words),
            _ => false,
        };
        println!(
            "{:<44} {:>9} states {:>10} steps depth {:>3} rests {:>7} {:>6.1} s  {what}{}",
            case.name,
            report.states,
            report.steps,
            report.depth,
            report.rests,
            report.secs,
            if is_expected { "" } else { "  !! NOT AS EXPECTED" }
        );
        if let Some((_, path)) = &report.fault
            && (!is_expected || std::env::var("HERALD_MODEL_TRACE").is_ok())
        {
            path.iter().for_each(|act| println!("    {act:?}"));
        }
        if !is_expected {
            wrong.push(case.name);
        }
    }
    assert!(wrong.is_empty(), "not as expected: {wrong:?}");
}

#[test]
fn every_rule_holds_in_every_state() {
    check(|case| case.size == Size::Small && case.expect == Expect::Holds);
}

#[test]
fn each_wrong_version_is_found_out() {
    check(|case| case.size == Size::Small && case.expect != Expect::Holds);
}

#[test]
#[ignore = "takes minutes: scripts/test-all"]
fn larger_walks_of_one_instance() {
    check(|case| case.size != Size::Small && case.run.instances == 1);
}

#[test]
#[ignore = "takes minutes: scripts/test-all"]
fn larger_walks_of_two_instances() {
    check(|case| case.size != Size::Small && case.run.instances == 2);
}

#[test]
fn prints_tell_states_apart() {
    let [one, other] = [0_u64, 1].map(|n| BuildHasherDefault::<DefaultHasher>::default().hash_one(n));
    assert_ne!(one, other);
    let run = world::run();
    let state = cases::initial(&run);
    let mut out = Vec::new();
    steps(&state, &run, &mut out);
    let prints = out
        .iter()
        .filter_map(|(_, _, state)| state.as_ref().ok().map(print_of));
    let mut prints: Vec<u128> = prints.chain([print_of(&state)]).collect();
    let count = prints.len();
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), count);
}
