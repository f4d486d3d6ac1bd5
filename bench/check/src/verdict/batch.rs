//! Judges batches: each is stored completely or not at all, without gaps and in its order. Knows what [`super`] knows.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Verdict, Wrong};
use crate::recorded::{Answer, Kind, Position, Recorded, Target};

/// One attempt of a batch: its index there, and its id.
type Member = (u32, u32);

/// Finds batches that are torn. Where one of a batch is stored all are: those that nobody has seen are given their places,
/// which are returned.
pub(super) fn check(
    run: &Recorded,
    places: &mut [Option<Position>],
    at: &mut HashMap<(Kind, Position), u32>,
    verdict: &mut Verdict,
) -> HashSet<(Kind, Position)> {
    let mut batches: BTreeMap<u32, Vec<Member>> = BTreeMap::new();
    for (attempt, id) in run.attempts.iter().zip(0_u32..) {
        if let Some(batch) = attempt.terms.batch {
            batches.entry(batch.first).or_default().push((batch.index, id));
        }
    }
    let mut inferred = HashSet::new();
    for (first, members) in batches {
        if let Err(words) = one(run, &members, places, at, &mut inferred, verdict) {
            verdict.violation(Wrong::Torn, || format!("the batch of attempt {first}: {words}"));
        }
    }
    inferred
}

fn one(
    run: &Recorded,
    members: &[Member],
    places: &mut [Option<Position>],
    at: &mut HashMap<(Kind, Position), u32>,
    inferred: &mut HashSet<(Kind, Position)>,
    verdict: &mut Verdict,
) -> Result<(), String> {
    let place_of = |places: &[Option<Position>], id: u32| places.get(id as usize).copied().flatten();
    let placed = |(index, id): &Member| Some((*index, *id, place_of(places, *id)?));
    let Some((index, seen, there)) = members.iter().find_map(placed) else {
        return Ok(());
    };
    verdict.batches += 1;
    let begin = there.sequence.checked_sub(u64::from(index));
    let begin = begin.ok_or_else(|| format!("attempt {seen} is at {there}, in front of its batch"))?;
    for (index, id) in members {
        let position = Position {
            sequence: begin + u64::from(*index),
            ..there
        };
        let attempt = run.attempts.get(*id as usize).ok_or("it is not known")?;
        let kind = run.targets.get(attempt.target as usize).map(Target::kind);
        let kind = kind.ok_or("its target is not known")?;
        match place_of(places, *id) {
            Some(place) if place == position => {}
            Some(place) => {
                return Err(format!(
                    "attempt {seen} is at {there} and attempt {id} at {place} instead of {position}"
                ));
            }
            None if attempt.answer == Answer::Refused => {
                return Err(format!(
                    "attempt {seen} is at {there} and attempt {id} was refused"
                ));
            }
            None => {
                let other = *at.entry((kind, position)).or_insert(*id);
                if other != *id {
                    return Err(format!(
                        "attempt {seen} is at {there}, and {position} has attempt {other} instead of {id}"
                    ));
                }
                if let Some(place) = places.get_mut(*id as usize) {
                    *place = Some(position);
                }
                inferred.insert((kind, position));
            }
        }
    }
    Ok(())
}
