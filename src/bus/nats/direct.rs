//! Reads of a stream without a consumer: direct gets, in batches, by sequence and subject. Any server with a replica
//! answers, and it may lag; `bus/reader` and `bus/replay` decide what an answer proves. Knows no reader.
//!
//! An answer consists of messages, each of which names the one before it, and an end that names the last: no gap in
//! between can go unnoticed. Bounded: `history.reads` at the same time, [`WAITING_MAX`] that wait, a few seconds each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::message::OutboundMessage;
use async_nats::{Message, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::api::{Api, ApiFailure, QUESTION_TIMEOUT};
use super::decode::Raw;
use super::streams::{Plan, stamp};
use crate::bus::headers::stream::{StoredAt, end_of_batch, stored_at};
use crate::bus::reader::Mark;

mod listed;
mod resume;

/// JetStream's status after the last message of a batch.
const END_OF_BATCH: u16 = 204;
/// The maximum number of messages in one answer, and their bytes.
pub(super) const PAGE_MESSAGES: usize = 256;
const PAGE_BYTES: usize = 256 << 10;
/// How many reads may wait for their turn.
const WAITING_MAX: usize = 4_096;
/// How long a read may wait for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads of streams. Cheap to clone.
#[derive(Clone)]
pub(super) struct Direct {
    pub(super) api: Api,
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    pub(super) counts: Arc<Counts>,
}

/// How resumes were read, since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Only by the sequences that the tail's index lists.
    pub(super) listed: AtomicU64,
    /// The same, without success: some of them did not arrive.
    pub(super) aside: AtomicU64,
    /// Without an index.
    pub(super) searched: AtomicU64,
}

impl Counts {
    /// Listed, aside, searched.
    pub(super) fn all(&self) -> [u64; 3] {
        [&self.listed, &self.aside, &self.searched].map(|count| count.load(Ordering::Relaxed))
    }
}

/// One answer.
pub(super) struct Page {
    /// The messages, in the stream's order.
    pub(super) messages: Vec<(Mark, Raw)>,
    /// Whether the answering server has nothing after them.
    pub(super) is_last: bool,
}

impl Direct {
    /// Reads through `api`, `reads` at the same time.
    pub(super) fn new(api: Api, reads: usize) -> Self {
        Self {
            api,
            turns: Arc::new(Semaphore::new(reads.clamp(1, Semaphore::MAX_PERMITS))),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            counts: Arc::default(),
        }
    }

    /// Waits for a turn to read. `None`: too many wait, or it takes too long.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let _waits = self.waiting.try_acquire().ok()?;
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.turns.clone().acquire_owned()).await;
        turn.ok()?.ok()
    }

    /// The next messages from the sequence `from` on whose subject matches `subjects`, at most `most` of them.
    pub(super) async fn page(
        &self,
        plan: &Plan,
        from: u64,
        subjects: &str,
        most: usize,
    ) -> Result<Page, ApiFailure> {
        let most = most.clamp(1, PAGE_MESSAGES);
        let question =
            json!({"seq": from.max(1), "next_by_subj": subjects, "batch": most, "max_bytes": PAGE_BYTES});
        self.read(plan, &question, most).await
    }

    /// The last message of each of these subjects, as one replica has them.
    pub(super) async fn last_of(&self, plan: &Plan, subjects: &[&str]) -> Result<Page, ApiFailure> {
        self.read(plan, &json!({"multi_last": subjects}), subjects.len())
            .await
    }

    async fn read(&self, plan: &Plan, question: &Value, most: usize) -> Result<Page, ApiFailure> {
        let reading = self.read_all(plan, question, most);
        tokio::time::timeout(QUESTION_TIMEOUT, reading)
            .await
            .unwrap_or(Err(ApiFailure::Silent))
    }

    async fn read_all(&self, plan: &Plan, question: &Value, most: usize) -> Result<Page, ApiFailure> {
        let connection = &self.api.connection;
        // Includes the end.
        let waiting = connection.link.requests.open_for_many(most.saturating_add(1));
        let mut waiting = waiting.ok_or(ApiFailure::Unavailable)?;
        let question = OutboundMessage {
            subject: self.api.subject("DIRECT.GET", &plan.name).into(),
            reply: Some(waiting.subject().into()),
            payload: question.to_string().into(),
            headers: None,
        };
        let sent = connection.send(question).await;
        sent.map_err(|_| ApiFailure::Unavailable)?;
        let mut messages = Vec::new();
        let mut last = 0;
        loop {
            let message = waiting.next().await?;
            if let Some(at) = stored_at(&message) {
                // Out of order, or something in between got lost on the way.
                if !messages.is_empty() && (at.previous != last || at.sequence <= last) {
                    return Err(ApiFailure::Unreadable);
                }
                last = at.sequence;
                messages.push(found(at, message)?);
                continue;
            }
            return match message.status {
                Some(StatusCode::NOT_FOUND) if messages.is_empty() => Ok(Page {
                    messages,
                    is_last: true,
                }),
                Some(status) if status.as_u16() == END_OF_BATCH => match end_of_batch(&message) {
                    Some((pending, sent)) if messages.is_empty() || sent == last => Ok(Page {
                        messages,
                        is_last: pending == 0,
                    }),
                    _ => Err(ApiFailure::Unreadable),
                },
                // The subject has no leader and no replica, or JetStream is off.
                Some(StatusCode::NO_RESPONDERS) => Err(ApiFailure::NoResponders),
                // 408: JetStream cannot read the request; 413: too many results.
                _ => Err(ApiFailure::Unreadable),
            };
        }
    }
}

/// A message in the answer to a direct get.
fn found(at: StoredAt, message: Message) -> Result<(Mark, Raw), ApiFailure> {
    let mark = Mark {
        sequence: at.sequence,
        stamp: stamp(&at.time).ok_or(ApiFailure::Unreadable)?,
    };
    let raw = Raw {
        subject: at.subject.into(),
        headers: message.headers,
        status: match at.is_cut_off {
            true => Some(StatusCode::MALFORMED),
            false => message.status,
        },
        payload: message.payload,
    };
    Ok((mark, raw))
}
