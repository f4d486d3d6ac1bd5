//! The current life of a stream, for those that publish into it and read from it. A stream that is restored to an older
//! state keeps its name, its `created` and its generation, and continues from a smaller sequence: a position that was
//! given out then belongs to another message. Knows no message and no request.
//!
//! **The rule.** A stream can be restored only while its server is down, and then every connection to that server ends.
//! So an answer from JetStream counts only if, from before the request until after the answer, the connection was the
//! same and the reader had found on it the message that it read last, at its place
//! ([`Reader::is_proven`](crate::bus::reader::Reader)). The caller gets the life before its request, from
//! [`Lives::proven`], and checks it after the answer, with [`Lives::is_still`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::bus::nats::link::Connection;
use crate::bus::reader::Reader;

/// What the reader knows about the stream's life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::bus::nats) struct Life {
    /// The stream's epoch according to the reader. 0: not known yet.
    pub(in crate::bus::nats) epoch: u64,
    /// The connection on which that was determined, by its number.
    pub(in crate::bus::nats) connects: u64,
    /// Whether the stream there is known to be the one that was read.
    pub(in crate::bus::nats) is_proven: bool,
    /// Whether there is reason to believe that it is a different one.
    pub(in crate::bus::nats) is_in_doubt: bool,
}

impl Life {
    /// As the reader sees it on the connection with this number.
    pub(super) fn of(reader: &Reader, connects: u64) -> Self {
        Self {
            epoch: reader.position().epoch,
            connects,
            is_proven: reader.is_proven(),
            is_in_doubt: reader.is_in_doubt(),
        }
    }
}

/// The life of one stream, reported by its reader.
#[derive(Debug, Default)]
pub(in crate::bus::nats) struct Lives {
    now: watch::Sender<Life>,
    /// The last epoch in which a publish was stored at a place that had been read before.
    contradicted: AtomicU64,
}

impl Lives {
    /// The reader's report.
    pub(super) fn tell(&self, life: Life) {
        self.now.send_if_modified(|now| {
            let is_another = *now != life;
            *now = life;
            is_another
        });
    }

    /// The epoch that was contradicted last; 0: none.
    pub(super) fn contradicted(&self) -> u64 {
        self.contradicted.load(Ordering::Relaxed)
    }

    /// A publish was newly stored in this life, at a sequence that had been read in it before.
    pub(in crate::bus::nats) fn contradict(&self, life: Life) {
        self.contradicted.store(life.epoch, Ordering::Relaxed);
    }

    /// The life as known now.
    pub(in crate::bus::nats) fn now(&self) -> Life {
        *self.now.borrow()
    }

    /// Waits for a life that is proven on the current connection. `None`: there is none within `patience`.
    pub(in crate::bus::nats) async fn proven(
        &self,
        connection: &Connection,
        patience: Duration,
    ) -> Option<Life> {
        let until = Instant::now() + patience;
        let mut changes = self.now.subscribe();
        loop {
            let life = *changes.borrow_and_update();
            if life.is_proven && self.is_still(life, connection) {
                return Some(life);
            }
            // An error: the time is over, or the reader has ended.
            tokio::time::timeout_at(until, changes.changed())
                .await
                .ok()?
                .ok()?;
        }
    }

    /// Whether the answer to a request made in this life belongs to it.
    pub(in crate::bus::nats) fn is_still(&self, life: Life, connection: &Connection) -> bool {
        self.now() == life && life.connects == connection.connects() && life.epoch != self.contradicted()
    }

    /// Waits until the life differs from this one, for at most `patience`.
    pub(in crate::bus::nats) async fn another(&self, life: Life, patience: Duration) {
        let mut changes = self.now.subscribe();
        // Otherwise the time is over, or the bus has ended.
        let _ = tokio::time::timeout(patience, changes.wait_for(|now| *now != life)).await;
    }

    /// Waits while the stream is in doubt. Returns the epoch then; `None`: it was not in doubt.
    pub(in crate::bus::nats) async fn settled(&self) -> Option<u64> {
        if !self.now().is_in_doubt {
            return None;
        }
        let mut changes = self.now.subscribe();
        let settled = changes.wait_for(|life| !life.is_in_doubt).await;
        // An error: the bus has ended.
        settled.ok().map(|life| life.epoch)
    }
}
