//! Reading a stream for resuming clients: its bounds, and the messages that they missed. Everything counts only in one
//! life of the stream (`bus/nats/live/life`). Knows no publisher and no session.

use std::sync::Arc;
use std::time::Duration;

use super::NatsHistory;
use crate::bus::history::{Kind, Outcome, StreamInfo, Unrecovered};
use crate::bus::replay::{self, Replay, Request, Storage};
use crate::destination::Target;
use crate::envelope::Envelope;

/// How long it may take to determine which life of a stream this is; the caller bounds the whole.
const LIFE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the reader may take to learn that the epoch has changed.
const ANOTHER_TIMEOUT: Duration = Duration::from_secs(1);

impl NatsHistory {
    /// What the stream of `kind` reports about itself. `None`: it cannot be queried now.
    pub(in crate::bus::nats) async fn info(&self, kind: Kind) -> Option<StreamInfo> {
        let kept = self.kept(kind)?;
        let lives = &kept.state.lives;
        loop {
            let life = lives.proven(&self.api.connection, LIFE_TIMEOUT).await?;
            let stream = self.api.stream(&kept.plan).await.ok()?;
            kept.state.noted(stream.info.first);
            if lives.is_still(life, &self.api.connection) {
                return Some(stream.info);
            }
        }
    }

    /// Waits while the stream of `kind` may have been rolled back; returns its epoch then. `None`: there is no reason
    /// to believe that it was.
    pub(in crate::bus::nats) async fn settled(&self, kind: Kind) -> Option<u64> {
        self.kept(kind)?.state.lives.settled().await
    }

    /// The messages stored for a target after one position up to and including another; or why they are not completely
    /// known.
    pub(in crate::bus::nats) async fn replay(&self, request: Request<Target>) -> Outcome<Arc<Envelope>> {
        let Some(kept) = self.keeps(&request.target).and_then(|kind| self.kept(kind)) else {
            return Err(Unrecovered::HistoryOff);
        };
        let until = request.until;
        let storage = match self.is_replicated {
            true => Storage::Replicated {
                slack: kept.state.slack(),
            },
            false => Storage::Single,
        };
        let (lives, connection) = (&kept.state.lives, &self.api.connection);
        loop {
            lives.settled().await;
            let life = lives.now();
            // Under the lock, and no longer.
            let begun = replay::begin(&kept.tail.lock(), request.clone(), storage);
            let reading = match begun {
                Replay::Done(outcome) => return outcome,
                Replay::Reading(reading) => reading,
            };
            // The messages read must belong to the same life as the tail.
            if !life.is_proven || !lives.is_still(life, connection) {
                lives
                    .proven(connection, LIFE_TIMEOUT)
                    .await
                    .ok_or(Unrecovered::Unavailable)?;
                continue;
            }
            let outcome = self
                .direct
                .resume(&kept.plan, until.epoch, reading, &self.decoder, |stream| {
                    kept.state.noted(stream.info.first)
                })
                .await;
            if !lives.is_still(life, connection) {
                continue;
            }
            if outcome == Err(Unrecovered::EpochChanged) {
                // The stream reports it, and its reader does not know yet.
                kept.state.look.notify_one();
                lives.another(life, ANOTHER_TIMEOUT).await;
            }
            return outcome;
        }
    }
}
