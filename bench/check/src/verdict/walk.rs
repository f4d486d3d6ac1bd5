//! Follows one subscription through its chains. Knows what [`super`] knows.

use std::collections::BTreeMap;

use super::{Allowed, Stored, Verdict, Wrong, context};
use crate::recorded::{Attempt, Event, Kind, Position, Recorded, Subscription, Target};

/// Clocks are read a little before and behind what they time.
const SLACK_MS: u32 = 100;

/// From one beginning on, while the answers say `recovered:true`.
struct Chain {
    /// Where it began.
    start: Position,
    /// How far it has come.
    at: Position,
    /// The last position that a frame said; behind `at` only where something is wrong.
    said: Position,
    /// What the last RECEIPT said is replayed; `None`: not resumed yet.
    replay: Option<Replay>,
    /// Stored and passed over, by position, with the entry that passed them.
    missing: BTreeMap<Position, Missing>,
}

/// What follows a RECEIPT. A run keeps replays so small that each goes as one piece: nothing gets stale on its way.
struct Replay {
    /// How many messages it says are replayed.
    replayed: u32,
    /// How many came since.
    came: u32,
    /// When it was asked for.
    asked_ms: u32,
    /// The `collapse` keys that came.
    keys: Vec<u8>,
}

impl Replay {
    /// Takes the next message. Says why it should not have been replayed.
    fn takes(&mut self, attempt: &Attempt) -> Option<&'static str> {
        self.came += 1;
        if self.came > self.replayed {
            return None;
        }
        let stale_ms = attempt.stored_ms.zip(attempt.terms.ttl_ms);
        let stale_ms = stale_ms.map(|(stored, ttl)| stored.saturating_add(ttl));
        if stale_ms.is_some_and(|stale_ms| stale_ms.saturating_add(SLACK_MS) < self.asked_ms) {
            return Some("was stale when it was asked for");
        }
        let key = attempt.terms.collapse?;
        if self.keys.contains(&key) {
            return Some("has the key of an earlier one of the same replay");
        }
        self.keys.push(key);
        None
    }
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
    /// Which order it belongs to.
    kind: Kind,
    /// What is stored for its destination, in order.
    expected: &'a [Position],
    stored: &'a Stored,
    /// How many histories have ended for it.
    epochs: usize,
    allowed: Allowed,
    verdict: &'a mut Verdict,
    chain: Option<Chain>,
}

/// Follows `subscription`.
pub(super) fn walk(
    run: &Recorded,
    subscription: &Subscription,
    stored: &Stored,
    allowed: Allowed,
    verdict: &mut Verdict,
) {
    let expected = stored.by_target.get(subscription.target as usize);
    let target = run.targets.get(subscription.target as usize);
    let mut walk = Walk {
        run,
        subscription,
        kind: target.map_or(Kind::Broadcast, Target::kind),
        expected: expected.map(Vec::as_slice).unwrap_or_default(),
        stored,
        epochs: 0,
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
                asked_ms,
            } => {
                self.verdict.recovered += 1;
                self.verdict.replayed += u64::from(*replayed);
                let replay = Replay {
                    replayed: *replayed,
                    came: 0,
                    asked_ms: *asked_ms,
                    keys: Vec::new(),
                };
                self.resumed(number, *from, *position, replay);
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

    fn resumed(&mut self, number: usize, from: Position, position: Position, replay: Replay) {
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
            chain.replay = Some(replay);
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
        if reason == "epoch-changed" && self.allowed.epoch_changed {
            self.epochs += 1;
            let at_ms = self
                .subscription
                .entries
                .get(number)
                .map_or(0, |entry| entry.at_ms);
            let ends = &self.run.ends_of_history;
            let ended = ends.iter().filter(|end| end.began_ms <= at_ms).count();
            // Instances learn of it at different times, and each says what it knows.
            if ends
                .iter()
                .any(|end| (end.began_ms..end.in_doubt_until_ms).contains(&at_ms))
            {
                self.epochs = self.epochs.min(ended);
            }
            if self.epochs > ended {
                self.wrong(
                    Wrong::FalseGap,
                    number,
                    "was told that its history had ended more often than one did",
                );
            }
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
        let in_replay = chain
            .replay
            .as_ref()
            .is_some_and(|replay| replay.came <= replay.replayed);
        let stale = chain
            .replay
            .as_mut()
            .zip(self.run.attempts.get(attempt as usize))
            .and_then(|(replay, attempt)| replay.takes(attempt));
        if let Some(why) = stale {
            self.wrong(
                Wrong::Stale,
                number,
                &format!("was sent attempt {attempt}, which {why}"),
            );
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
        let Some(Chain { missing, at, .. }) = self.chain.take() else {
            return;
        };
        for (position, Missing { entry, wrong }) in missing {
            if self.is_left_out(position, entry, at) {
                self.verdict.left_out += 1;
                continue;
            }
            let is_inferred = self.stored.inferred.contains(&(self.kind, position));
            let wrong = if is_inferred { Wrong::Torn } else { wrong };
            self.wrong(wrong, entry, &format!("never got {position}"));
        }
    }

    /// Whether what is at `position` need not have come, passed over at `entry` by a chain that came to `at`: it was stale by
    /// then, or a newer one has its key.
    fn is_left_out(&self, position: Position, entry: usize, at: Position) -> bool {
        let attempt_at = |position: Position| {
            let id = self.stored.at.get(&(self.kind, position))?;
            self.run.attempts.get(*id as usize)
        };
        let Some(attempt) = attempt_at(position) else {
            return false;
        };
        let passed_ms = self
            .subscription
            .entries
            .get(entry)
            .map_or(u32::MAX, |entry| entry.at_ms);
        if let Some(ttl) = attempt.terms.ttl_ms
            && attempt.at_ms.saturating_add(ttl) <= passed_ms
        {
            return true;
        }
        let key = attempt.terms.collapse;
        let behind = self.expected.partition_point(|stored| *stored <= position);
        let mut newer = self.expected.iter().skip(behind);
        key.is_some()
            && newer
                .by_ref()
                .take_while(|newer| **newer <= at)
                .any(|newer| attempt_at(*newer).is_some_and(|newer| newer.terms.collapse == key))
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
