//! Judges a recorded run: what was stored, what each subscription was told, and whether the two agree. Pure, so that it
//! can be shown to fail on wrong runs. Knows no sockets, no clock and nothing of Herald's code.
//!
//! A *chain* is what a subscription sees from a beginning (a RECEIPT without `recovered:true`) on, over any number of
//! connections, while the answers say `recovered:true`. In a chain each notification that is stored for the destination
//! after the beginning arrives once and in order.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::recorded::{Answer, Attempt, Event, Kind, Position, Recorded, Subscription};

mod batch;
mod walk;

#[cfg(test)]
mod tests;

/// The most violations of a sort that are kept in words; all are counted.
const MOST_KEPT: u64 = 5;

/// What the plan of a run lets Herald say instead of recovering.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowed {
    /// A history was lost: an instance with its history in memory was killed.
    pub epoch_changed: bool,
    /// The history is so small that positions expire.
    pub expired: bool,
    /// Sessions may miss more than is replayed.
    pub too_many: bool,
    /// The history could not be read for a while.
    pub unavailable: bool,
    /// Everything was repeated under its key until it was stored: no other outcome is one.
    pub every_outcome_is_known: bool,
}

impl Allowed {
    fn reason(self, reason: &str) -> bool {
        match reason {
            "epoch-changed" => self.epoch_changed,
            "position-expired" => self.expired,
            "too-many" => self.too_many,
            "unavailable" => self.unavailable,
            _ => false,
        }
    }
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wrong {
    /// Stored, and never came on a chain that must have it.
    Lost,
    /// Missing from what a RECEIPT said was recovered.
    FalselyRecovered,
    /// Came twice on one chain, or is stored twice.
    Doubled,
    /// Came behind one that is stored behind it.
    OutOfOrder,
    /// `recovered:false` where the plan has no reason for it.
    FalseGap,
    /// Refused for certain, and delivered.
    RefusedButDelivered,
    /// Delivered to somebody else, or two notifications at one position.
    Misplaced,
    /// A batch that is stored in part, or with something in between.
    Torn,
    /// Stale or replaced when it was replayed.
    Stale,
    /// Not live again by the end.
    StoodStill,
    /// An answer or a frame that has no place in the run.
    Unexpected,
}

impl Wrong {
    /// All, in the order of the report.
    pub const ALL: [Self; 11] = [
        Self::Lost,
        Self::FalselyRecovered,
        Self::Doubled,
        Self::OutOfOrder,
        Self::FalseGap,
        Self::RefusedButDelivered,
        Self::Misplaced,
        Self::Torn,
        Self::Stale,
        Self::StoodStill,
        Self::Unexpected,
    ];

    /// In the report's words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::FalselyRecovered => "falsely recovered",
            Self::Doubled => "doubled",
            Self::OutOfOrder => "out of order",
            Self::FalseGap => "gaps without a reason",
            Self::RefusedButDelivered => "refused but delivered",
            Self::Misplaced => "misplaced",
            Self::Torn => "batches torn",
            Self::Stale => "replayed though stale or replaced",
            Self::StoodStill => "stood still",
            Self::Unexpected => "unexpected answers",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub struct Violation {
    /// What.
    pub wrong: Wrong,
    /// In words, with the frames around it.
    pub words: String,
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Attempts answered 202.
    pub stored: u64,
    /// Attempts refused for certain.
    pub refused: u64,
    /// Attempts whose outcome nobody was told.
    pub unknown: u64,
    /// Of those: delivered all the same.
    pub unknown_but_stored: u64,
    /// MESSAGE frames.
    pub delivered: u64,
    /// Resumes that recovered.
    pub recovered: u64,
    /// What the RECEIPTs say was replayed.
    pub replayed: u64,
    /// Subscriptions whose connection ended before the run did.
    pub cut_off: u64,
    /// `recovered:false`, by reason.
    pub gaps: BTreeMap<String, u64>,
    /// Stored, and rightly not sent: stale by then, or replaced by a newer one.
    pub left_out: u64,
    /// Batches that are stored.
    pub batches: u64,
    /// Answered 202 with a position of the history before, while it was being replaced.
    pub told_of_before: u64,
    /// Gaps in which nothing was stored for that destination.
    pub gaps_of_nothing: u64,
    /// How many of each.
    pub wrong: BTreeMap<Wrong, u64>,
    /// The first of them.
    pub violations: Vec<Violation>,
}

impl Verdict {
    fn violation(&mut self, wrong: Wrong, words: impl FnOnce() -> String) {
        let count = self.wrong.entry(wrong).or_default();
        *count += 1;
        if *count <= MOST_KEPT {
            let words = words();
            self.violations.push(Violation { wrong, words });
        }
    }

    /// Whether nothing is wrong.
    pub fn holds(&self) -> bool {
        self.wrong.is_empty()
    }
}

/// What the histories must contain.
struct Stored {
    /// By target, in order.
    by_target: Vec<Vec<Position>>,
    /// Which attempt is there.
    at: HashMap<(Kind, Position), u32>,
    /// Nobody has seen these: they have to be there because another one of their batch is.
    inferred: HashSet<(Kind, Position)>,
}

/// Judges a run.
pub fn judge(run: &Recorded, allowed: Allowed) -> Verdict {
    let mut verdict = Verdict::default();
    for complaint in &run.complaints {
        verdict.violation(Wrong::Unexpected, || complaint.clone());
    }
    count_attempts(run, allowed, &mut verdict);
    let stored = place(run, &mut verdict);
    publishers_order(run, &mut verdict);
    for subscription in &run.subscriptions {
        walk::walk(run, subscription, &stored, allowed, &mut verdict);
    }
    verdict
}

/// Whether the history was being replaced when the attempt was answered: the position may be of the one before, from which
/// nobody resumes.
fn in_doubt(run: &Recorded, attempt: &Attempt) -> bool {
    let mut ends = run.ends_of_history.iter();
    attempt
        .stored_ms
        .is_some_and(|stored_ms| ends.any(|end| (end.began_ms..end.in_doubt_until_ms).contains(&stored_ms)))
}

fn count_attempts(run: &Recorded, allowed: Allowed, verdict: &mut Verdict) {
    for (attempt, id) in run.attempts.iter().zip(0_u32..) {
        let is_stored = matches!(attempt.answer, Answer::Stored(_));
        if allowed.every_outcome_is_known && !is_stored {
            let at_ms = attempt.at_ms;
            verdict.violation(Wrong::Unexpected, || {
                format!("attempt {id}, sent at {at_ms} ms, was repeated under its key and never answered 202")
            });
        }
        match attempt.answer {
            Answer::Stored(_) => verdict.stored += 1,
            Answer::Refused => verdict.refused += 1,
            Answer::Unknown => verdict.unknown += 1,
        }
    }
}

/// Finds where each attempt is stored: as its publisher was told, or as whoever got it was. What one has received was
/// stored for all, whatever its publisher knows.
fn place(run: &Recorded, verdict: &mut Verdict) -> Stored {
    let mut places: Vec<Option<Position>> = vec![None; run.attempts.len()];
    let mut at: HashMap<(Kind, Position), u32> = HashMap::with_capacity(run.attempts.len());
    let told = run.attempts.iter().zip(0_u32..);
    let told = told.filter_map(|(attempt, id)| match attempt.answer {
        Answer::Stored(position) => Some((id, position)),
        Answer::Refused | Answer::Unknown => None,
    });
    let seen = run.subscriptions.iter().flat_map(|subscription| {
        let entries = subscription.entries.iter();
        entries.filter_map(move |entry| match entry.event {
            Event::Message { position, attempt } => Some((attempt, position, subscription)),
            _ => None,
        })
    });
    let seen = seen.filter(|(attempt, _, subscription)| {
        let known = run.attempts.get(*attempt as usize);
        known.is_some_and(|known| known.target == subscription.target)
    });
    let seen = seen.map(|(attempt, position, _)| (attempt, position, false));
    for (id, position, is_told) in seen.chain(told.map(|(id, position)| (id, position, true))) {
        let (Some(attempt), Some(place)) = (run.attempts.get(id as usize), places.get_mut(id as usize))
        else {
            continue;
        };
        match *place {
            Some(first) if first == position => continue,
            Some(first) if is_told && in_doubt(run, attempt) && position.epoch < first.epoch => {
                verdict.told_of_before += 1;
                continue;
            }
            None if is_told && in_doubt(run, attempt) => {
                // Nobody has seen it: where it is, nobody knows.
                verdict.told_of_before += 1;
                continue;
            }
            Some(first) => {
                verdict.violation(Wrong::Doubled, || {
                    format!("attempt {id} is stored at {first} and at {position}")
                });
            }
            None => {
                *place = Some(position);
                match attempt.answer {
                    Answer::Stored(_) => {}
                    Answer::Unknown => verdict.unknown_but_stored += 1,
                    Answer::Refused => verdict.violation(Wrong::RefusedButDelivered, || {
                        format!(
                            "attempt {id}, sent at {} ms, was refused and is at {position}",
                            attempt.at_ms
                        )
                    }),
                }
            }
        }
        let Some(kind) = run
            .targets
            .get(attempt.target as usize)
            .map(super::recorded::Target::kind)
        else {
            continue;
        };
        let other = *at.entry((kind, position)).or_insert(id);
        if other != id {
            verdict.violation(Wrong::Misplaced, || {
                format!("attempts {other} and {id} are both at {position}")
            });
        }
    }
    let inferred = batch::check(run, &mut places, &mut at, verdict);
    let mut by_target = vec![Vec::new(); run.targets.len()];
    for ((_, position), id) in &at {
        let target = run
            .attempts
            .get(*id as usize)
            .map(|attempt| attempt.target as usize);
        if let Some(positions) = target.and_then(|target| by_target.get_mut(target)) {
            positions.push(*position);
        }
    }
    for positions in &mut by_target {
        positions.sort_unstable();
    }
    Stored {
        by_target,
        at,
        inferred,
    }
}

/// Of two publishes of one publisher, the second sent after the first was answered, the first is stored first.
fn publishers_order(run: &Recorded, verdict: &mut Verdict) {
    let mut last: HashMap<(u32, Kind), (u32, Position)> = HashMap::new();
    for (attempt, id) in run.attempts.iter().zip(0_u32..) {
        let (Answer::Stored(position), Some(target)) =
            (attempt.answer, run.targets.get(attempt.target as usize))
        else {
            continue;
        };
        let before = last.insert((attempt.publisher, target.kind()), (id, position));
        if let Some((first, before)) = before
            && !in_doubt(run, attempt)
            && before.epoch == position.epoch
            && before >= position
        {
            verdict.violation(Wrong::OutOfOrder, || {
                format!(
                    "publisher {} sent attempt {first} before {id}, and they are stored at {before} and {position}",
                    attempt.publisher
                )
            });
        }
    }
}

/// What a subscription has seen around one entry, and the faults before it, one a line.
fn context(run: &Recorded, subscription: &Subscription, entry: usize) -> String {
    let (first, last) = (entry.saturating_sub(6), entry + 3);
    let mut text = String::new();
    let around = subscription.entries.iter().enumerate();
    for (number, entry_there) in around.skip(first).take(last - first) {
        let mark = if number == entry { '>' } else { ' ' };
        text.push_str(&format!(
            "\n  {mark} {:>7} ms  {:?}",
            entry_there.at_ms, entry_there.event
        ));
    }
    let until = subscription
        .entries
        .get(entry)
        .map_or(u32::MAX, |entry| entry.at_ms);
    let faults = run.faults.iter().filter(|(at_ms, _)| *at_ms <= until);
    let faults: Vec<_> = faults.collect();
    for (at_ms, fault) in faults.iter().rev().take(3).rev() {
        text.push_str(&format!("\n  fault {at_ms:>5} ms  {fault}"));
    }
    text
}
