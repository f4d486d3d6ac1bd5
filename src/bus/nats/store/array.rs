//! Stores several messages in a given order: all are in flight at the same time, and their order is kept.
//!
//! An item is repeated only while no later one is stored, since otherwise it would come after that one. If an item
//! cannot be repeated, its result is unknown if an attempt was not answered, and "not stored" otherwise. In the end,
//! the sequences have to grow in the order of the array. If one does not (a paused leader that stored an early attempt
//! late), its item says so: the order is never reversed silently. A long array is sent in parts; once an item is not
//! stored, later parts are not tried.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Answer, Item, Next, Repeats, Room, Store, StoreError, Stored, heard};
use crate::bus::RequestError;
use crate::bus::history::config::PUBLISHES_BYTES;
use crate::bus::nats::live::State;
use crate::bus::requests::Waiting;

/// An array uses at most this share of the publishes that may wait, so that it leaves room for others.
const SHARE: usize = 4;

/// One message of an array, and what is known about it.
struct Place {
    item: Item,
    repeats: Repeats,
    outcome: Option<Result<Stored, StoreError>>,
}

impl Store {
    /// Stores several messages of one stream in their order. Returns one result for each, in that order.
    ///
    /// # Cancel safety
    /// If dropped before it is ready, each message may be stored or not.
    pub(in crate::bus::nats) async fn publish_all(
        &self,
        state: &State,
        items: Vec<Item>,
    ) -> Vec<Result<Stored, StoreError>> {
        let began = Instant::now();
        let mut outcomes = Vec::with_capacity(items.len());
        let mut items = VecDeque::from(items);
        while let Some((part, _room)) = self.part(&mut items) {
            let outcome = self.publish_part(state, part, began).await;
            let is_over = |outcome: &Result<Stored, StoreError>| {
                matches!(outcome, Err(StoreError::Unavailable | StoreError::Unknown))
            };
            let is_over = outcome.iter().any(is_over) || began.elapsed() >= self.timeout;
            outcomes.extend(outcome);
            if is_over {
                break;
            }
        }
        // Not tried: there is no room, the rest failed, or the time is over.
        outcomes.extend(items.iter().map(|_| Err(StoreError::Unavailable)));
        in_order(&mut outcomes);
        outcomes
    }

    /// The next items that may wait for their answers at the same time, with the room that they take: at most a share
    /// of what may wait in all, and as many as there is room for beside the others. `None`: none is left, or there is
    /// no room at all.
    fn part(&self, items: &mut VecDeque<Item>) -> Option<(Vec<Item>, Room<'_>)> {
        let (most, most_bytes) = ((self.publishes / SHARE).max(1), PUBLISHES_BYTES.0 / SHARE);
        let mut sums = Vec::new();
        let mut bytes = 0_usize;
        for item in items.iter().take(most) {
            bytes += item.weight();
            if bytes > most_bytes && !sums.is_empty() {
                break;
            }
            sums.push(bytes);
        }
        let mut count = sums.len();
        while let Some(bytes) = count.checked_sub(1).and_then(|last| sums.get(last)) {
            if let Ok(room) = self.room(count, *bytes) {
                return Some((items.drain(..count).collect(), room));
            }
            count /= 2;
        }
        None
    }

    /// Stores the items that may wait for answers at the same time.
    async fn publish_part(
        &self,
        state: &State,
        items: Vec<Item>,
        began: Instant,
    ) -> Vec<Result<Stored, StoreError>> {
        let mut places: Vec<Place> = items
            .into_iter()
            .map(|item| Place {
                item,
                repeats: Repeats::new(began, self.timeout),
                outcome: None,
            })
            .collect();
        while places.iter().any(|place| place.outcome.is_none()) {
            self.round(&mut places, state).await;
        }
        places
            .into_iter()
            .map(|place| place.outcome.unwrap_or(Err(StoreError::Unknown)))
            .collect()
    }

    /// Sends all items without a result, in order, and then reads all answers.
    async fn round(&self, places: &mut [Place], state: &State) {
        let Some(first) = places.iter().find(|place| place.outcome.is_none()) else {
            return;
        };
        let asked = self.asked(state, &first.repeats).await;
        let mut sent = Vec::with_capacity(places.len());
        for (index, place) in places.iter().enumerate() {
            if place.outcome.is_some() {
                continue;
            }
            let waiting = match &asked {
                Ok(_) => self.send(&place.item).await.map_err(|error| self.not_sent(error)),
                Err(answer) => Err(answer.clone()),
            };
            let is_over = waiting.is_err();
            sent.push((index, waiting));
            if is_over {
                break;
            }
        }
        let mut pause = None;
        for (index, answer) in hear(sent, places).await {
            let Some(place) = places.get_mut(index) else {
                continue;
            };
            let answer = match asked {
                Ok(asked) => self.in_life(
                    state,
                    asked,
                    &place.item,
                    self.judged(&place.item, asked.since, answer),
                ),
                Err(_) => answer,
            };
            match place.repeats.answered(answer, Instant::now()) {
                Next::Done(outcome) => place.outcome = Some(outcome),
                Next::Again { after } => {
                    pause.get_or_insert((after, index));
                }
            }
        }
        // An item cannot be repeated if a later one is already stored.
        let last_stored = places
            .iter()
            .rposition(|place| matches!(place.outcome, Some(Ok(_))));
        for place in places.iter_mut().take(last_stored.unwrap_or(0)) {
            if place.outcome.is_none() {
                place.outcome = Some(Err(place.repeats.give_up()));
            }
        }
        if let Some((after, index)) = pause
            && let Some(place) = places.get(index)
            && places.iter().any(|place| place.outcome.is_none())
        {
            self.before_repeat(after, &place.repeats, state).await;
        }
    }
}

/// The answers to the sent items, by their places in the array.
///
/// There is one time-out for all of them: it is patient with a server that keeps answering, but not with each item of a
/// silent one. Answers arrive in order, so an item without an answer is checked once more when the others are answered:
/// if a later one is stored, it cannot be repeated.
async fn hear(mut sent: Vec<(usize, Result<Waiting, Answer>)>, places: &[Place]) -> Vec<(usize, Answer)> {
    let mut answers = Vec::with_capacity(sent.len());
    let mut late = Vec::new();
    let mut last_heard = Instant::now();
    for (number, (index, sent)) in sent.iter_mut().enumerate() {
        let answer = match sent {
            Ok(waiting) => match waiting.at_hand() {
                // Most arrive together with the one before.
                Some(reply) => heard(reply),
                None => {
                    let now = Instant::now();
                    let waited = now.saturating_duration_since(last_heard);
                    let patience = places
                        .get(*index)
                        .map_or(Duration::ZERO, |place| place.repeats.patience(now));
                    let reply = waiting.wait_on(patience.saturating_sub(waited)).await;
                    match reply {
                        Err(RequestError::Timeout) => late.push(number),
                        _ => last_heard = Instant::now(),
                    }
                    heard(reply)
                }
            },
            Err(answer) => answer.clone(),
        };
        answers.push((*index, answer));
    }
    for number in late {
        if let (Some((_, Ok(waiting))), Some((_, answer))) = (sent.get_mut(number), answers.get_mut(number)) {
            *answer = heard(waiting.wait_on(Duration::ZERO).await);
        }
    }
    answers
}

/// Marks items that are stored in another order than the array's. If an earlier publish stored a part of the array, the
/// rest is stored after all of that.
fn in_order(outcomes: &mut [Result<Stored, StoreError>]) {
    let mut highest = 0;
    for stored in outcomes.iter_mut().flatten() {
        stored.is_misplaced = stored.sequence <= highest;
        highest = highest.max(stored.sequence);
    }
    let mut lowest = u64::MAX;
    for stored in outcomes.iter_mut().flatten().rev() {
        if stored.is_duplicate {
            // It stays where it was stored first, whatever this array says; the new items beside it are in the wrong
            // place.
            stored.is_misplaced = false;
            lowest = lowest.min(stored.sequence);
        } else {
            stored.is_misplaced |= stored.sequence > lowest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of these sequences are reported as misplaced; negative ones were stored before.
    fn misplaced(sequences: &[i64]) -> Vec<i64> {
        let stored = |sequence: &i64| match sequence {
            0 => Err(StoreError::Unknown),
            _ => Ok(Stored {
                sequence: sequence.unsigned_abs(),
                is_duplicate: *sequence < 0,
                ..Stored::default()
            }),
        };
        let mut outcomes: Vec<_> = sequences.iter().map(stored).collect();
        in_order(&mut outcomes);
        let said = sequences.iter().zip(outcomes);
        said.filter(|(_, outcome)| outcome.as_ref().is_ok_and(|stored| stored.is_misplaced))
            .map(|(sequence, _)| *sequence)
            .collect()
    }

    #[test]
    fn what_is_stored_out_of_order_says_so() {
        for (sequences, expected) in [
            (&[][..], &[][..]),
            (&[5, 6, 0, 9], &[]),
            // A paused leader stored an early attempt late.
            (&[5, 9, 0, 8, 10], &[8]),
            // A repeat of the whole array, or of what was stored the first time, is in order.
            (&[-5, -6, -9], &[]),
            (&[-5, -6, 9, 10], &[]),
            // The missing items are stored after those stored before, and a publisher that was told of that order may
            // repeat them.
            (&[-5, 9, -6, 10], &[9]),
            (&[-5, -9, -6, -10], &[]),
            // Another publisher has repeated it at the same time.
            (&[-7, 6, 8], &[6]),
        ] {
            assert_eq!(misplaced(sequences), expected, "{sequences:?}");
        }
    }
}
