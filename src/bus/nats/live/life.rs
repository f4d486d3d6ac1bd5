//! Which life of a stream this instance speaks of, for those who publish into it and read out of it. A stream that is put back to
//! an older state keeps its name, its `created` and its generation, and counts on from a smaller sequence: a position that
//! was given out is another message's then. Knows no message and no request.
//!
//! **The rule.** A stream can be put back only while its server is down, and then every connection to that server ends. So
//! what JetStream answers counts only if, from before it was asked until after it was answered, the connection was the same and
//! the reader had met on it, where it was, the message that it read last ([`Reader::is_proven`](crate::bus::reader::Reader)).
//! Who asks takes the life before, by [`Lives::proven`], and shows it again behind the answer, to [`Lives::is_still`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::bus::nats::link::Connection;
use crate::bus::reader::Reader;

/// What the reader knows of the stream's life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::bus::nats) struct Life {
    /// The stream's epoch, as the reader has it. 0: not known yet.
    pub(in crate::bus::nats) epoch: u64,
    /// The connection on which that was found, by its number.
    pub(in crate::bus::nats) connects: u64,
    /// Whether the stream there is known to be the one that was read.
    pub(in crate::bus::nats) is_proven: bool,
    /// Whether there is reason to believe that it is another.
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

/// The life of one stream, told by its reader.
#[derive(Debug, Default)]
pub(in crate::bus::nats) struct Lives {
    now: watch::Sender<Life>,
    /// The last epoch in which a publish was stored where something had been read before.
    contradicted: AtomicU64,
}

impl Lives {
    /// The reader's word.
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

    /// A publish was stored anew in this life, at a sequence that had been read in it before.
    pub(in crate::bus::nats) fn contradict(&self, life: Life) {
        self.contradicted.store(life.epoch, Ordering::Relaxed);
    }

    /// The life as it is known now.
    pub(in crate::bus::nats) fn now(&self) -> Life {
        *self.now.borrow()
    }

    /// Waits for a life that is proven on the connection that there is now. `None`: there is none within `patience`.
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
            // An error: the time is over, or the reader is gone.
            tokio::time::timeout_at(until, changes.changed())
                .await
                .ok()?
                .ok()?;
        }
    }

    /// Whether what was asked in this life, and is answered, is of it.
    pub(in crate::bus::nats) fn is_still(&self, life: Life, connection: &Connection) -> bool {
        self.now() == life && life.connects == connection.connects() && life.epoch != self.contradicted()
    }

    /// Waits until the life is another than this one, for at most `patience`.
    pub(in crate::bus::nats) async fn another(&self, life: Life, patience: Duration) {
        let mut changes = self.now.subscribe();
        // Else the time is over, or the bus is gone.
        let _ = tokio::time::timeout(patience, changes.wait_for(|now| *now != life)).await;
    }

    /// Waits while the stream is in doubt. The epoch then; `None`: it was not.
    pub(in crate::bus::nats) async fn settled(&self) -> Option<u64> {
        if !self.now().is_in_doubt {
            return None;
        }
        let mut changes = self.now.subscribe();
        let settled = changes.wait_for(|life| !life.is_in_doubt).await;
        // An error: the bus is gone.
        settled.ok().map(|life| life.epoch)
    }
}
