//! Follows one subscription through its chains. Knows what [`super`] knows.

use std::collections::BTreeMap;

use super::{Allowed, Verdict, Wrong, context};
use crate::recorded::{Event, Position, Recorded, Subscription};

/// From one beginning on, while the answers say `recovered:true`.
struct Chain {
    /// Where it began.
    start: Position,
    /// How far it has come.
    at: Position,
    /// The last position that a frame said; behind `at` only where something is wrong.
    said: Position,
    /// How many messages the last RECEIPT said are replayed, and how many came since; `None`: not resumed yet.
    replay: Option<(u32, u32)>,
    /// Stored and passed over, by position, with the entry that passed them.
    missing: BTreeMap<Position, Missing>,
}

struct Missing {
    entry: usize,
    wrong: Wrong,
}

impl Chain {
    fn new(start: Position) -> Self {
        Self {
            start,
            at: start,
            said: start,
            replay: None,
            missing: BTreeMap::new(),
        }
    }
}

struct Walk<'a> {
    run: &'a Recorded,
    subscription: &'a Subscription,
    /// What is stored for its destination, in order.
    expected: &'a [Position],
    allowed: Allowed,
    verdict: &'a mut Verdict,
    chain: Option<Chain>,
}

/// Follows `subscription`.
pub(super) fn walk(
    run: &Recorded,
    subscription: &Subscription,
    expected: &[Position],
    allowed: Allowed,
    verdict: &mut Verdict,
) {
    let mut walk = Walk {
        run,
        subscription,
        expected,
        allowed,
        verdict,
        chain: None,
    };
    for (number, entry) in subscription.entries.iter().enumerate() {
        walk.event(number, &entry.event);
    }
    let end = subscription.entries.len().saturating_sub(1);
    if subscription.live {
        // Everything that is stored has had its time to come.
        walk.pass_over(
            Position {
                epoch: u64::MAX,
                sequence: u64::MAX,
            },
            end,
            Wrong::Lost,
        );
    } else {
        walk.wrong(Wrong::StoodStill, end, "was not live again when the run ended");
    }
    walk.end_chain();
}

impl Walk<'_> {
    fn event(&mut self, number: usize, event: &Event) {
        match event {
            Event::Began { position } => {
                self.end_chain();
                self.chain = Some(Chain::new(*position));
            }
            Event::Resumed {
                from,
                position,
                replayed,
            } => {
                self.verdict.recovered += 1;
                self.verdict.replayed += u64::from(*replayed);
                self.resumed(number, *from, *position, *replayed);
            }
            Event::Gap {
                from,
                position,
                reason,
            } => self.gap(number, *from, *position, reason),
            Event::Message { position, attempt } => {
                self.verdict.delivered += 1;
                self.message(number, *position, *attempt);
            }
            Event::Lost { .. } => self.verdict.cut_off += 1,
        }
    }

    fn resumed(&mut self, number: usize, from: Position, position: Position, replayed: u32) {
        let said = self.chain.as_ref().map(|chain| chain.said);
        if said != Some(from) {
            self.wrong(
                Wrong::Unexpected,
                number,
                "resumed from where it was not: the checker's own fault",
            );
        }
        if position.epoch != from.epoch {
            self.wrong(
                Wrong::FalselyRecovered,
                number,
                "was told `recovered:true` by another history",
            );
        }
        if position < from {
            self.wrong(Wrong::OutOfOrder, number, "was put back by a RECEIPT");
        }
        if let Some(chain) = &mut self.chain {
            // What was sent out of order before is asked for again.
            chain.at = from;
        }
        self.pass_over_up_to(position, number, Wrong::FalselyRecovered);
        if let Some(chain) = &mut self.chain {
            (chain.at, chain.said) = (from.max(position), position);
            chain.replay = Some((replayed, 0));
        }
    }

    fn gap(&mut self, number: usize, from: Position, position: Option<Position>, reason: &str) {
        *self.verdict.gaps.entry(reason.to_owned()).or_default() += 1;
        let in_gap = self.expected.iter().filter(|stored| **stored > from);
        let in_gap = in_gap.filter(|stored| position.is_none_or(|position| **stored <= position));
        if in_gap.count() == 0 {
            self.verdict.gaps_of_nothing += 1;
        }
        let same_history = position.is_some_and(|position| position.epoch == from.epoch);
        if !self.allowed.reason(reason) || (reason == "epoch-changed" && same_history) {
            self.wrong(
                Wrong::FalseGap,
                number,
                &format!("was told of a gap ({reason}) that this run has no reason for"),
            );
        }
        self.end_chain();
        self.chain = position.map(Chain::new);
    }

    fn message(&mut self, number: usize, position: Position, attempt: u32) {
        let target = self
            .run
            .attempts
            .get(attempt as usize)
            .map(|attempt| attempt.target);
        if target != Some(self.subscription.target) {
            self.wrong(
                Wrong::Misplaced,
                number,
                &format!("was sent attempt {attempt}, which is not for it"),
            );
            return;
        }
        let Some(chain) = &mut self.chain else {
            self.wrong(Wrong::Unexpected, number, "was sent a message before its RECEIPT");
            return;
        };
        chain.said = position;
        if position <= chain.at {
            if chain.missing.remove(&position).is_some() {
                self.wrong(
                    Wrong::OutOfOrder,
                    number,
                    &format!("was sent attempt {attempt} behind a later one"),
                );
            } else if position > chain.start {
                self.wrong(
                    Wrong::Doubled,
                    number,
                    &format!("was sent attempt {attempt} twice"),
                );
            } else {
                let words = format!("was sent attempt {attempt} of before its beginning");
                self.wrong(Wrong::Doubled, number, &words);
            }
            return;
        }
        let other_history = position.epoch != chain.at.epoch;
        // What is missing in front of the first message behind a replay is missing from the replay.
        let in_replay = chain.replay.is_some_and(|(replayed, came)| came <= replayed);
        if let Some((_, came)) = &mut chain.replay {
            *came += 1;
        }
        if other_history {
            self.wrong(
                Wrong::FalselyRecovered,
                number,
                "was sent a message of another history without a word",
            );
        }
        let wrong = if in_replay {
            Wrong::FalselyRecovered
        } else {
            Wrong::Lost
        };
        self.pass_over(position, number, wrong);
        if let Some(chain) = &mut self.chain {
            chain.at = position;
        }
    }

    /// Everything stored behind the chain's place and in front of `position` is missing, unless it comes later.
    fn pass_over(&mut self, position: Position, entry: usize, wrong: Wrong) {
        let Some(chain) = &mut self.chain else { return };
        let next = self.expected.partition_point(|stored| *stored <= chain.at);
        let passed = self
            .expected
            .iter()
            .skip(next)
            .take_while(|stored| **stored < position);
        chain
            .missing
            .extend(passed.map(|stored| (*stored, Missing { entry, wrong })));
    }

    /// The same, with what is at `position`.
    fn pass_over_up_to(&mut self, position: Position, entry: usize, wrong: Wrong) {
        let behind = Position {
            sequence: position.sequence.saturating_add(1),
            ..position
        };
        self.pass_over(behind, entry, wrong);
    }

    /// What is missing now never comes.
    fn end_chain(&mut self) {
        let missing = self.chain.take().map(|chain| chain.missing).unwrap_or_default();
        for (position, Missing { entry, wrong }) in missing {
            self.wrong(wrong, entry, &format!("never got {position}"));
        }
    }

    fn wrong(&mut self, wrong: Wrong, entry: usize, words: &str) {
        let Self {
            run, subscription, ..
        } = *self;
        self.verdict.violation(wrong, || {
            let target = run.targets.get(subscription.target as usize);
            let target = target.map_or_else(|| "?".to_owned(), ToString::to_string);
            let context = context(run, subscription, entry);
            format!("session {}, {target}: {words}{context}", subscription.session)
        });
    }
}
