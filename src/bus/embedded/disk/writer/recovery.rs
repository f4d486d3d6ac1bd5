//! The writer's steps after the disk has failed: it opens the file again, finds out what happened to the last
//! transaction, answers truthfully, passes on what is stored but was not passed on yet, and refuses for a while. Knows
//! no session.

use std::time::Instant;

use tokio::runtime::Handle;

use super::{Job, Lost, Pause, TICK, Writer, learn};
use crate::bus::PublishError;
use crate::bus::embedded::disk::failure::Failure;
use crate::bus::embedded::disk::store::{Bounds, begin_read, newest_first};
use crate::bus::embedded::disk::{State, life, record};
use crate::bus::queue::QueueSender;
use crate::envelope::{Kind, Position, unix_ms};

impl Writer {
    /// After a transaction that failed: finds out what became of it, answers, and refuses for a while.
    pub(super) fn failed(
        &mut self,
        failure: &Failure,
        jobs: impl IntoIterator<Item = Box<Job>>,
        queue: &QueueSender,
        runtime: &Handle,
    ) -> Result<(), Lost> {
        self.has_more = false;
        let (state, refusal) = match failure {
            Failure::Full { .. } => (State::Full, PublishError::Full),
            Failure::Closed | Failure::Broken(_) => (State::Broken, PublishError::Unavailable),
        };
        if self.turn(state) {
            tracing::error!(%failure, "history.path cannot be written: what is kept is refused");
        }
        // Nothing was begun, so nothing has to be found out.
        let mut outcome = refusal.clone();
        if !matches!(failure, Failure::Full { has_begun: false }) {
            self.shared.database.write().take();
            outcome = match self.reopen(queue, runtime)? {
                Some(false) => refusal.clone(),
                // A disk that has failed to sync may say that it did.
                Some(true) | None => PublishError::Unknown,
            };
        }
        for job in jobs {
            let _ = job.answer.send(Err(outcome.clone()));
        }
        self.pause = Some(Pause {
            until: Instant::now() + TICK,
            refusal,
        });
        Ok(())
    }

    /// Ends a pause whose time is over, if the file can be written again.
    pub(super) fn revive(&mut self, queue: &QueueSender, runtime: &Handle) -> Result<(), Lost> {
        let now = Instant::now();
        let Some(pause) = self.pause.take_if(|pause| pause.until <= now) else {
            return Ok(());
        };
        let is_open = self.shared.database.read().is_some();
        if !is_open && self.reopen(queue, runtime)?.is_none() {
            self.pause = Some(Pause {
                until: Instant::now() + TICK,
                ..pause
            });
            return Ok(());
        }
        match self.commit(&mut [], now) {
            Ok(()) => Ok(()),
            Err(failure) => self.failed(&failure, [], queue, runtime),
        }
    }

    /// Opens the file again, and gives on what it has and nobody was told of. Returns whether there was something, or `None`
    /// if the file cannot be opened.
    fn reopen(&mut self, queue: &QueueSender, runtime: &Handle) -> Result<Option<bool>, Lost> {
        match self.medium.open() {
            Ok(database) => *self.shared.database.write() = Some(database),
            Err(words) => {
                tracing::debug!(words, "history.path cannot be opened again");
                return Ok(None);
            }
        }
        match self.catch_up(queue, runtime) {
            Ok(Some(has_grown)) => Ok(Some(has_grown)),
            Ok(None) => Err(self.lost()),
            Err(failure) => {
                tracing::debug!(%failure, "history.path cannot be read again");
                self.shared.database.write().take();
                Ok(None)
            }
        }
    }

    /// Whether there was something. `None`: the file is not as far as it was.
    fn catch_up(&mut self, queue: &QueueSender, runtime: &Handle) -> Result<Option<bool>, Failure> {
        let before = self.store.reopened()?;
        let after = self.store.bounds();
        if before
            .iter()
            .zip(&after)
            .any(|(before, after)| after.last < before.last)
        {
            return Ok(None);
        }
        self.keys.clear();
        learn(&mut self.keys, &self.store, self.shared.epochs)?;
        let mut has_grown = false;
        for (kind, Bounds { last, .. }) in Kind::ALL.into_iter().zip(before) {
            let read = begin_read(&self.shared.database)?;
            let epoch = self.shared.epochs[kind as usize];
            let mut found = Vec::new();
            newest_first(&read, kind, last + 1, |sequence, record| {
                found.push((sequence, record::decode(record, Position { epoch, sequence })));
                true
            })?;
            for (sequence, envelope) in found.into_iter().rev() {
                has_grown = true;
                let Some(envelope) = envelope else {
                    self.shared.tail(kind).lock().pass(sequence);
                    continue;
                };
                let mut rooms = runtime.block_on(queue.rooms(1, envelope.weight())).ok();
                self.give_on(&mut [sequence - 1; 2], envelope, rooms.as_mut());
            }
        }
        *self.shared.bounds.lock() = after;
        Ok(Some(has_grown))
    }

    /// The disk has lost what it had synced: positions that clients have would be given to others. A new history begins
    /// where the next start opens the file.
    fn lost(&mut self) -> Lost {
        tracing::error!(
            "history.path has lost what was synced: this instance ends, and the next start begins a new history"
        );
        if let Some(database) = self.shared.database.read().as_ref()
            && let Err(error) = life::renew(database, self.medium.identity(), unix_ms())
        {
            tracing::error!(%error, "history.path cannot be marked: move it away before the next start");
        }
        self.turn(State::Broken);
        Lost
    }
}
