//! Publishing into a stream: a publish is done once JetStream says where it stored it. An attempt without an answer is
//! repeated under the same id, which JetStream recognizes, until `history.publish_timeout` is over; [`repeats`] alone
//! decides what the answers mean. An answer counts only in the life of the stream in which the attempt was made
//! (`live/life`): otherwise it is ignored, and the repeat finds under its id what is stored in the current life. Knows
//! no HTTP and no reader.
//!
//! Bounded by `history.publishes` and 64 MiB that wait for their answers; beyond that, a publish is refused before it
//! costs anything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::message::OutboundMessage;
use async_nats::{HeaderMap, Message, Subject};
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::api::Refusal;
use super::link::Connection;
use super::live::{Life, State};
use crate::bus::history::config::PUBLISHES_BYTES;
use crate::bus::requests::Waiting;
use crate::bus::{PublishError, RequestError};

mod array;
mod atomic;
mod repeats;

pub(super) use repeats::StoreError;
use repeats::{Answer, Next, Repeats};

/// Publishes into streams and waits until they are stored.
pub(super) struct Store {
    connection: Connection,
    timeout: Duration,
    /// Publishes that may wait, and their bytes.
    publishes: usize,
    places: Semaphore,
    bytes: Semaphore,
    repeated: AtomicU64,
}

/// A message to be stored.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) subject: Subject,
    /// Shared by all attempts. The id and the stream's name are among them.
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
    /// The id by which JetStream recognizes a repeat: ASCII graphic characters.
    pub(super) id: String,
}

/// Where a message is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// The stream's epoch.
    pub(super) epoch: u64,
    /// The sequence.
    pub(super) sequence: u64,
    /// Whether JetStream recognized its id: it had been stored before, by an earlier publish or by an earlier attempt
    /// of this one.
    pub(super) is_known: bool,
    /// Whether an earlier publish stored it. `false` if an attempt of this one was not answered, since most likely that
    /// attempt stored it.
    pub(super) is_duplicate: bool,
    /// Whether its place differs from that in the array: a later item is stored before it, or an earlier one after it.
    pub(super) is_misplaced: bool,
}

/// JetStream's answer to a publish: where it is stored, or why not.
#[derive(Debug, Deserialize)]
struct PubAck {
    seq: Option<u64>,
    #[serde(default)]
    duplicate: bool,
    error: Option<Refusal>,
}

/// What is known about the stream before an attempt.
#[derive(Debug, Clone, Copy)]
struct Asked {
    /// Its life.
    life: Life,
    /// The last sequence that this instance has read in it.
    read: u64,
    since: Instant,
}

/// A publish's share of what may wait.
struct Room<'s>(#[expect(dead_code, reason = "held")] [SemaphorePermit<'s>; 2]);

impl Store {
    /// A store that uses this connection: `publishes` may wait for at most `timeout`.
    pub(super) fn new(connection: Connection, publishes: usize, timeout: Duration) -> Self {
        let publishes = publishes.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            connection,
            timeout,
            publishes,
            places: Semaphore::new(publishes),
            bytes: Semaphore::new(PUBLISHES_BYTES.0),
            repeated: AtomicU64::new(0),
        }
    }

    /// How many publishes were repeated since the start.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// How many publishes wait for their answers.
    pub(super) fn waiting(&self) -> usize {
        self.publishes - self.places.available_permits().min(self.publishes)
    }

    /// Stores one message. `state` is that of the stream's reader, which is notified if the stream may not exist.
    ///
    /// # Cancel safety
    /// If dropped before it is ready, the message may be stored or not.
    pub(super) async fn publish(&self, state: &State, item: Item) -> Result<Stored, StoreError> {
        let _room = self.room(1, item.weight())?;
        let mut repeats = Repeats::new(Instant::now(), self.timeout);
        loop {
            let answer = match self.asked(state, &repeats).await {
                Ok(asked) => {
                    let answer = match self.send(&item).await {
                        Ok(waiting) => {
                            let reply = waiting.wait(repeats.patience(Instant::now())).await;
                            self.judged(&item, asked.since, heard(reply))
                        }
                        Err(error) => self.not_sent(error),
                    };
                    self.in_life(state, asked, &item, answer)
                }
                Err(answer) => answer,
            };
            match repeats.answered(answer, Instant::now()) {
                Next::Done(outcome) => return outcome,
                Next::Again { after } => self.before_repeat(after, &repeats, state).await,
            }
        }
    }

    async fn before_repeat(&self, after: Duration, repeats: &Repeats, state: &State) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
        if repeats.may_be_missing() {
            state.look.notify_one();
        }
        tokio::time::sleep(after).await;
    }

    /// What is known about the stream before an attempt; or the result of this attempt, if it cannot be made.
    async fn asked(&self, state: &State, repeats: &Repeats) -> Result<Asked, Answer> {
        if !self.connection.is_live() {
            return Err(Answer::NotSent);
        }
        let patience = repeats.patience(Instant::now());
        let life = state.lives.proven(&self.connection, patience).await;
        Ok(Asked {
            life: life.ok_or(Answer::Stalled)?,
            read: state.head.load(Ordering::Relaxed),
            since: Instant::now(),
        })
    }

    /// Whether answers since then belong to the same life.
    fn is_still(&self, state: &State, asked: &Asked) -> bool {
        state.lives.is_still(asked.life, &self.connection)
    }

    /// What the answer to an attempt means in the life of the stream in which it was made.
    fn in_life(&self, state: &State, asked: Asked, item: &Item, answer: Answer) -> Answer {
        let Answer::Stored(stored) = answer else {
            return answer;
        };
        if !self.is_still(state, &asked) {
            return Answer::None;
        }
        if !stored.is_known && stored.sequence <= asked.read {
            state.lives.contradict(asked.life);
            state.look.notify_one();
            return Answer::None;
        }
        // The reader has to reach it first.
        state.acked(asked.life.epoch, stored.sequence, &item.id);
        Answer::Stored(Stored {
            epoch: asked.life.epoch,
            ..stored
        })
    }

    /// Takes room for this many publishes, or refuses.
    fn room(&self, publishes: usize, bytes: usize) -> Result<Room<'_>, StoreError> {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        // A single one always fits.
        let bytes = number(bytes.min(PUBLISHES_BYTES.0));
        let places = self.places.try_acquire_many(number(publishes));
        let bytes = self.bytes.try_acquire_many(bytes);
        match (places, bytes) {
            (Ok(places), Ok(bytes)) => Ok(Room([places, bytes])),
            _ => Err(StoreError::Unavailable),
        }
    }

    /// What it means that the connection did not accept a message.
    fn not_sent(&self, error: PublishError) -> Answer {
        match error {
            PublishError::TooLarge { size, limit, which } => Answer::TooLarge { size, limit, which },
            _ if self.connection.is_live() => Answer::Stalled,
            _ => Answer::NotSent,
        }
    }

    /// What it means that the message, which was sent after `since`, has no answer.
    fn judged(&self, item: &Item, since: Instant, answer: Answer) -> Answer {
        let refused = &self.connection.link.refused_publishes;
        match answer {
            Answer::None if refused.is_refused_since(&item.subject, since) => Answer::Forbidden,
            answer => answer,
        }
    }

    /// Passes the message to the connection; the answer is awaited separately.
    async fn send(&self, item: &Item) -> Result<Waiting, PublishError> {
        let waiting = self
            .connection
            .link
            .requests
            .open()
            .ok_or(PublishError::Unavailable)?;
        self.connection
            .send(OutboundMessage {
                subject: item.subject.clone(),
                reply: Some(waiting.subject().into()),
                payload: item.payload.clone(),
                headers: Some(item.headers.clone()),
            })
            .await?;
        Ok(waiting)
    }
}

impl Item {
    fn weight(&self) -> usize {
        let headers = self.headers.wire_len();
        crate::envelope::OVERHEAD_BYTES + self.subject.len() + self.payload.len() + headers
    }
}

/// What arrived as an answer.
fn heard(reply: Result<Message, RequestError>) -> Answer {
    match reply {
        Err(RequestError::NoResponders) => Answer::NoResponders,
        Err(RequestError::Timeout | RequestError::Unavailable) => Answer::None,
        Ok(message) => match serde_json::from_slice(&message.payload) {
            Ok(PubAck {
                error: Some(refusal), ..
            }) => Answer::Refused(refusal),
            Ok(PubAck {
                seq: Some(sequence),
                duplicate,
                ..
            }) => Answer::Stored(Stored {
                epoch: 0,
                sequence,
                is_known: duplicate,
                is_duplicate: duplicate,
                is_misplaced: false,
            }),
            _ => Answer::None,
        },
    }
}
