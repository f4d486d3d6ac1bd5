//! Stores several messages as a whole or not at all, in order, with no others in between: JetStream's atomic batches.
//!
//! The last message commits the batch and is the only one whose answer counts. Without an answer the whole is repeated
//! as a new batch. If JetStream says that it recognizes one of the ids, nothing of the batch is stored; questions,
//! which cannot store anything either, then show which ids it knows: all of them, if an earlier attempt or an earlier
//! publish stored the whole.

use std::time::Instant;

use async_nats::message::OutboundMessage;
use bytes::Bytes;
use ulid::Ulid;

use super::{Answer, Asked, Item, Next, Repeats, Store, StoreError, Stored, heard};
use crate::bus::PublishError;
use crate::bus::headers::stream::{Batch, asking_for, in_batch};
use crate::bus::nats::live::State;
use crate::bus::nats::streams::Plan;
use crate::bus::requests::Waiting;

/// The maximum number of messages in a batch; JetStream's own limit.
pub(in crate::bus::nats) const BATCH_MAX: usize = 1_000;
/// JetStream's code for a batch that contains the id of a stored message.
const CONTAINS_DUPLICATE: u32 = 10_201;
/// Too many batches are open.
const TOO_MANY_BATCHES: u32 = 10_210;
/// A part of the batch did not arrive, or arrived too late.
const INCOMPLETE: u32 = 10_176;

impl Store {
    /// Stores all messages or none, at consecutive sequences. Returns where each is stored.
    ///
    /// # Cancel safety
    /// If dropped before it is ready, all may be stored or none.
    pub(in crate::bus::nats) async fn publish_atomic(
        &self,
        plan: &Plan,
        state: &State,
        items: Vec<Item>,
    ) -> Result<Vec<Stored>, StoreError> {
        if items.len() > BATCH_MAX {
            return Err(StoreError::TooLarge {
                size: items.len(),
                limit: BATCH_MAX,
                which: "messages of an atomic batch",
            });
        }
        let bytes = items.iter().map(Item::weight).fold(0, usize::saturating_add);
        let _room = self.room(items.len(), bytes)?;
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let mut repeats = Repeats::new(Instant::now(), self.timeout);
        loop {
            let asked = self.asked(state, &repeats).await;
            let answer = match &asked {
                Ok(asked) => self.attempt(state, *asked, &items, &repeats).await,
                Err(answer) => answer.clone(),
            };
            let answer = match answer {
                Answer::Refused(refusal) if refusal.err_code == CONTAINS_DUPLICATE => {
                    match self.known(plan, &items, &repeats).await {
                        Ok(sequences) if sequences.len() == items.len() => {
                            let is_duplicate = !repeats.is_unknown();
                            match asked.ok().filter(|asked| self.is_still(state, asked)) {
                                Some(asked) => {
                                    return Ok(known(asked.life.epoch, &sequences, is_duplicate));
                                }
                                None => Answer::None,
                            }
                        }
                        // The id was forgotten in between: the next batch may be stored.
                        Ok(sequences) if sequences.is_empty() => Answer::NoResponders,
                        Ok(_) if repeats.is_unknown() => return Err(StoreError::Unknown),
                        Ok(_) => return Err(StoreError::Duplicate),
                        Err(answer) => answer,
                    }
                }
                // Nothing of it is stored, and the next batch may be.
                Answer::Refused(refusal) if [TOO_MANY_BATCHES, INCOMPLETE].contains(&refusal.err_code) => {
                    Answer::NoResponders
                }
                answer => answer,
            };
            match repeats.answered(answer, Instant::now()) {
                Next::Done(Ok(stored)) => return Ok(sequences(stored, items.len())),
                Next::Done(Err(error)) => return Err(error),
                Next::Again { after } => self.before_repeat(after, &repeats, state).await,
            }
        }
    }

    /// Sends the whole batch and waits for its result.
    async fn attempt(&self, state: &State, asked: Asked, items: &[Item], repeats: &Repeats) -> Answer {
        // The last message commits the batch.
        let Some(last) = items.last() else {
            return Answer::NotSent;
        };
        let answer = match self.send_batch(items).await {
            Ok(waiting) => {
                let reply = heard(waiting.wait(repeats.patience(Instant::now())).await);
                self.judged(last, asked.since, reply)
            }
            Err(error) => self.not_sent(error),
        };
        self.in_life(state, asked, last, answer)
    }

    /// Sends the whole batch; the answer to its last message is awaited separately.
    async fn send_batch(&self, items: &[Item]) -> Result<Waiting, PublishError> {
        let id = Ulid::new().to_string();
        let link = &self.connection.link;
        let commit = link.requests.open().ok_or(PublishError::Unavailable)?;
        for (index, item) in items.iter().enumerate() {
            let is_last = index + 1 == items.len();
            let batch = Batch {
                id: &id,
                number: index + 1,
                is_last,
            };
            let message = OutboundMessage {
                subject: item.subject.clone(),
                reply: is_last.then(|| commit.subject().into()),
                payload: item.payload.clone(),
                headers: Some(in_batch(&item.headers, batch)),
            };
            self.connection.send(message).await?;
        }
        Ok(commit)
    }

    /// Asks which of the items are stored, by their ids; returns the sequences of those that are.
    async fn known(&self, plan: &Plan, items: &[Item], repeats: &Repeats) -> Result<Vec<u64>, Answer> {
        let mut asked = Vec::with_capacity(items.len());
        for item in items {
            let question = Item {
                subject: item.subject.clone(),
                headers: asking_for(&plan.name, &item.id),
                payload: Bytes::new(),
                id: item.id.clone(),
            };
            let waiting = self.send(&question).await;
            asked.push(waiting.map_err(|error| self.not_sent(error))?);
        }
        let mut sequences = Vec::with_capacity(items.len());
        for waiting in asked {
            match heard(waiting.wait(repeats.patience(Instant::now())).await) {
                Answer::Stored(stored) => sequences.push(stored.sequence),
                Answer::Refused(refusal) if refusal.code < 500 => {}
                answer => return Err(answer),
            }
        }
        Ok(sequences)
    }
}

#[cfg(test)]
impl Store {
    /// Where the message with this id is stored.
    pub(in crate::bus::nats) async fn stored_for_test(&self, plan: &Plan, id: &str) -> Option<u64> {
        let item = Item {
            subject: "herald.user.anna.x".into(),
            headers: async_nats::HeaderMap::new(),
            payload: Bytes::new(),
            id: id.into(),
        };
        let repeats = Repeats::new(Instant::now(), self.timeout);
        let known = self.known(plan, &[item], &repeats).await.unwrap();
        known.first().copied()
    }
}

/// What an earlier publish or attempt stored at these sequences.
fn known(epoch: u64, sequences: &[u64], is_duplicate: bool) -> Vec<Stored> {
    let stored = |sequence: &u64| Stored {
        epoch,
        sequence: *sequence,
        is_known: true,
        is_duplicate,
        is_misplaced: false,
    };
    sequences.iter().map(stored).collect()
}

/// The place of a batch whose last message is `last`.
fn sequences(last: Stored, count: usize) -> Vec<Stored> {
    let (epoch, last) = (last.epoch, last.sequence);
    let first = (last + 1).saturating_sub(count as u64);
    (first..=last)
        .map(|sequence| Stored {
            epoch,
            sequence,
            ..Stored::default()
        })
        .collect()
}
