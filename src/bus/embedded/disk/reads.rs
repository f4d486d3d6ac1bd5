//! Reads of the file: what the memory does not hold, on threads that may block, and what fills the memory at a start.
//! One read sees the whole database, including its bounds, at one moment: nothing can be removed between two pages.
//! Bounded: `history.reads` at the same time, the others wait. Knows no writer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::failure::Failure;
use super::record::{self, target_id};
use super::store::{self, Shared, begin_read, bounds_of, of_target};
use crate::bus::history::{Outcome, Position, StreamInfo, Unrecovered};
use crate::bus::replay::{Ask, Page, Reading};
use crate::bus::tail::Tail;
use crate::envelope::{Envelope, Kind};

/// How many records one page has.
const PAGE: usize = 256;
/// How many reads may wait for their turn.
const WAITING_MAX: usize = 4_096;
/// For one replay, its wait for a turn included.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The turns.
pub(super) struct Reads {
    turns: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Reads {
    /// `reads` at once.
    pub(super) fn new(reads: usize) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(reads.clamp(1, Semaphore::MAX_PERMITS))),
            waiting: Semaphore::new(WAITING_MAX),
        }
    }

    /// Does what `reading` asks for, until it has its outcome.
    pub(super) async fn read(
        &self,
        database: Shared,
        kind: Kind,
        epoch: u64,
        reading: Box<Reading<Arc<Envelope>>>,
    ) -> Outcome<Arc<Envelope>> {
        let whole = async {
            let turn = {
                let _waits = self.waiting.try_acquire().ok()?;
                self.turns.clone().acquire_owned().await.ok()?
            };
            let read = tokio::task::spawn_blocking(move || {
                // A disk that stands still holds up so many threads and no more.
                let _turn = turn;
                read(&database, kind, epoch, reading)
            });
            read.await.ok()
        };
        match tokio::time::timeout(TIMEOUT, whole).await {
            Ok(Some(Ok(outcome))) => outcome,
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, "history.path cannot be read");
                Err(Unrecovered::Unavailable)
            }
            Ok(None) | Err(_) => Err(Unrecovered::Unavailable),
        }
    }
}

fn read(
    database: &Shared,
    kind: Kind,
    epoch: u64,
    mut reading: Box<Reading<Arc<Envelope>>>,
) -> Result<Outcome<Arc<Envelope>>, Failure> {
    let read = begin_read(database)?;
    loop {
        let outcome = match reading.ask() {
            Ask::Page { target, from } => {
                let found = of_target(&read, kind, target_id(target), from, PAGE)?;
                let is_last = found.len() < PAGE;
                let messages = found.into_iter().map(|(sequence, record)| {
                    let envelope = record::decode(&record, Position { epoch, sequence });
                    let envelope = envelope.filter(|envelope| envelope.target == *target);
                    (sequence, envelope.map(Arc::new))
                });
                let messages = messages.collect();
                reading.page(Page { messages, is_last })
            }
            Ask::Info => {
                let bounds = bounds_of(&read, kind)?;
                reading.info(StreamInfo {
                    epoch,
                    first: bounds.first,
                    last: bounds.last,
                    last_stamp: None,
                    is_leaders: true,
                })
            }
            // There are no replicas, and its tail has no index.
            Ask::Listed { .. } | Ask::Back { .. } => Some(Err(Unrecovered::Unavailable)),
        };
        if let Some(outcome) = outcome {
            return Ok(outcome);
        }
    }
}

/// A tail with the newest records of `kind`, at most `bytes` of them.
pub(super) fn newest(
    database: &Shared,
    kind: Kind,
    epoch: u64,
    bytes: usize,
) -> Result<Tail<Arc<Envelope>>, Failure> {
    let read = begin_read(database)?;
    let (mut found, mut total) = (Vec::new(), 0);
    store::newest_first(&read, kind, 0, |sequence, record| {
        let envelope = record::decode(record, Position { epoch, sequence });
        total += envelope.as_ref().map_or(0, Envelope::weight);
        found.push((sequence, envelope));
        total < bytes
    })?;
    let last = bounds_of(&read, kind)?.last;
    let first = found.last().map_or(last + 1, |(sequence, _)| *sequence);
    let sequence = first.saturating_sub(1);
    let mut tail = Tail::new(Position { epoch, sequence }, bytes);
    for (sequence, envelope) in found.into_iter().rev() {
        match envelope {
            Some(envelope) => tail.push(sequence, Arc::new(envelope)),
            None => tail.pass(sequence),
        }
    }
    Ok(tail)
}
