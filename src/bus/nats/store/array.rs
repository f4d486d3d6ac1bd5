//! Several messages in a given order: all are on their way at once, and their order stays.
//!
//! An item is repeated only while no later one is stored: then it would come behind it. What cannot be repeated is unknown if
//! an attempt of it was not answered, and not stored otherwise. In the end sequences have to grow as the array does; where one
//! does not (a paused leader that stored an early attempt late), its item says so: order is never turned round silently.

use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::{Answer, Item, Next, Repeats, Store, StoreError, Stored, heard};
use crate::bus::RequestError;
use crate::bus::headers::stream::for_stream;
use crate::bus::history::config::PUBLISHES_BYTES;
use crate::bus::nats::streams::Plan;
use crate::bus::requests::Waiting;

/// One message of an array, and what is known of it.
struct Place {
    item: Item,
    repeats: Repeats,
    outcome: Option<Result<Stored, StoreError>>,
}

impl Store {
    /// Stores several messages of one stream in their order. An outcome for each, in that order.
    ///
    /// # Cancel safety
    /// If dropped before it is ready, each message may be stored or not.
    pub(in crate::bus::nats) async fn publish_all(
        &self,
        plan: &Plan,
        look: &Notify,
        items: Vec<Item>,
    ) -> Vec<Result<Stored, StoreError>> {
        let began = Instant::now();
        let mut outcomes = Vec::with_capacity(items.len());
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            let (mut part, mut bytes) = (Vec::new(), 0_usize);
            while let Some(item) = items.next_if(|item| {
                part.is_empty() || (part.len() < self.publishes && bytes + item.weight() <= PUBLISHES_BYTES.0)
            }) {
                bytes += item.weight();
                part.push(item);
            }
            outcomes.extend(self.publish_part(plan, look, part, bytes, began).await);
        }
        in_order(&mut outcomes);
        outcomes
    }

    /// Stores what may wait for answers at once.
    async fn publish_part(
        &self,
        plan: &Plan,
        look: &Notify,
        items: Vec<Item>,
        bytes: usize,
        began: Instant,
    ) -> Vec<Result<Stored, StoreError>> {
        let _room = match self.room(items.len(), bytes) {
            Ok(room) => room,
            Err(error) => return items.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut places: Vec<Place> = items
            .into_iter()
            .map(|mut item| {
                for_stream(&mut item.headers, &plan.name, &item.id);
                Place {
                    item,
                    repeats: Repeats::new(began, self.timeout),
                    outcome: None,
                }
            })
            .collect();
        while places.iter().any(|place| place.outcome.is_none()) {
            self.round(&mut places, look).await;
        }
        places
            .into_iter()
            .map(|place| place.outcome.unwrap_or(Err(StoreError::Unknown)))
            .collect()
    }

    /// Sends all that has no outcome, in order, and then hears all.
    async fn round(&self, places: &mut [Place], look: &Notify) {
        let mut sent = Vec::new();
        for (index, place) in places.iter().enumerate() {
            if place.outcome.is_some() {
                continue;
            }
            match self.send(&place.item).await {
                Ok(waiting) => sent.push((index, Ok(waiting))),
                Err(error) => {
                    sent.push((index, Err(self.not_sent(error))));
                    break;
                }
            }
        }
        let mut pause = None;
        for (index, answer) in hear(sent, places).await {
            let Some(place) = places.get_mut(index) else {
                continue;
            };
            match place.repeats.answered(answer, Instant::now()) {
                Next::Done(outcome) => place.outcome = Some(outcome),
                Next::Again { after } => {
                    pause.get_or_insert((after, index));
                }
            }
        }
        // Whoever has a later one stored before it cannot be repeated.
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
            self.before_repeat(after, &place.repeats, look).await;
        }
    }
}

/// The answers to what was sent, by its places in the array.
///
/// One wait for all: it is patient with a server that goes on answering, and not with each item of a silent one. Answers come
/// in order, so who is not answered is looked at once more when the others are: a later one that is stored would make it one
/// that cannot be repeated.
async fn hear(mut sent: Vec<(usize, Result<Waiting, Answer>)>, places: &[Place]) -> Vec<(usize, Answer)> {
    let mut answers = Vec::with_capacity(sent.len());
    let mut late = Vec::new();
    let mut last_heard = Instant::now();
    for (number, (index, sent)) in sent.iter_mut().enumerate() {
        let answer = match sent {
            Ok(waiting) => {
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

/// Turns what is stored in front of what precedes it into an error that says so.
fn in_order(outcomes: &mut [Result<Stored, StoreError>]) {
    let mut highest = 0;
    for outcome in outcomes {
        // A duplicate stands where it was stored first, whatever this array says.
        let Ok(Stored {
            sequence,
            is_duplicate: false,
        }) = *outcome
        else {
            continue;
        };
        if sequence <= highest {
            *outcome = Err(StoreError::OrderChanged(sequence));
        }
        highest = highest.max(sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_out_of_order_says_so() {
        let at = |sequence| {
            Ok(Stored {
                sequence,
                is_duplicate: false,
            })
        };
        let mut outcomes = vec![
            at(5),
            at(9),
            Err(StoreError::Unknown),
            at(8),
            Ok(Stored {
                sequence: 2,
                is_duplicate: true,
            }),
            at(10),
        ];
        in_order(&mut outcomes);
        assert_eq!(outcomes[3], Err(StoreError::OrderChanged(8)));
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 4);
    }
}
