//! The queue in front of the set and `auth.revoked_file`: operators' revocations wait here to take effect
//! ([`super::put`]), those of other instances to be written; and the disk behind it, off the runtime's threads. Knows
//! the file by its handle, and the set.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::file::{Failed, RevokedFile};
use super::{NotPut, Put};
use crate::auth::Config;
use crate::auth::revoked::Revoked;
use crate::auth::revoked::entry::Revocation;

/// How many jobs may wait.
pub(super) const QUEUE: usize = 256;
/// How long an operator waits for the disk and the bus, and how long the disk may take before that is said.
const WAIT: Duration = Duration::from_secs(5);

/// What waits.
pub(super) enum Job {
    /// An operator's revocation is to be put in force, whether or not its operator still waits.
    Put(Revocation, oneshot::Sender<Result<Put, NotPut>>),
    /// What is in force already is to be written.
    Note(Vec<Revocation>),
}

/// The one who takes what waits has this.
pub(super) struct Work {
    pub(super) jobs: mpsc::Receiver<Job>,
    file: Option<RevokedFile>,
    /// Operators' revocations that the disk may have, since it failed in the middle. They are in force nowhere, and are written
    /// and put in force with whatever is written next.
    pub(super) unsure: Vec<Revocation>,
}

/// What became of a write.
pub(super) enum Written {
    /// It is on the disk, if there is a file.
    Yes,
    /// It is not.
    No,
    /// It may be.
    Perhaps,
}

/// Keeps revocations, in a file if there is one.
pub(crate) struct Keeper {
    revoked: Arc<Revoked>,
    jobs: mpsc::Sender<Job>,
    /// Until it is taken.
    work: Mutex<Option<Work>>,
    has_file: bool,
    /// Whether some of the set may not be in the file.
    lacks: AtomicBool,
    /// Since when the disk has owed an answer.
    writing: Mutex<Option<Instant>>,
}

impl Keeper {
    /// Puts what the file has in force, if one is configured. Blocks on the file system.
    ///
    /// # Errors
    /// In words: the file cannot be used.
    pub(crate) fn open(config: &Config, revoked: &Arc<Revoked>) -> Result<Self, String> {
        let Some(path) = &config.revoked_file else {
            return Ok(Self::with(revoked, None));
        };
        let (file, kept) = RevokedFile::open(Path::new(path), config.revocations)?;
        let count = kept.len();
        let accepted = revoked.accept(kept);
        if accepted.refused > 0 {
            return Err(format!(
                "{path}: expected fewer revocations than auth.revocations"
            ));
        }
        tracing::info!(file = path, count, "auth.revoked_file is read");
        Ok(Self::with(revoked, Some(file)))
    }

    /// One without a file.
    #[cfg(test)]
    pub(crate) fn without_file(revoked: &Arc<Revoked>) -> Self {
        Self::with(revoked, None)
    }

    pub(super) fn with(revoked: &Arc<Revoked>, file: Option<RevokedFile>) -> Self {
        let (jobs, taken) = mpsc::channel(QUEUE);
        Self {
            revoked: revoked.clone(),
            jobs,
            has_file: file.is_some(),
            work: Mutex::new(Some(Work {
                jobs: taken,
                file,
                unsure: Vec::new(),
            })),
            lacks: AtomicBool::new(false),
            writing: Mutex::default(),
        }
    }

    /// Whether all revocations in force are in the file, as far as this instance knows.
    pub(super) fn has_all(&self) -> bool {
        !self.lacks.load(Ordering::Acquire)
    }

    /// Whether the disk has owed an answer for longer than an operator waits.
    pub(super) fn hangs(&self) -> bool {
        self.writing.lock().is_some_and(|since| since.elapsed() >= WAIT)
    }

    /// Whether what is in force outlives this instance.
    pub(super) fn has_file(&self) -> bool {
        self.has_file
    }

    /// Has `revocation` put in force, and waits for the word on it.
    ///
    /// # Errors
    /// [`NotPut`].
    ///
    /// # Cancel safety
    /// If dropped before it is ready, the revocation comes into force all the same.
    pub(super) async fn put(&self, revocation: Revocation) -> Result<Put, NotPut> {
        let (done, word) = oneshot::channel();
        if self.jobs.try_send(Job::Put(revocation, done)).is_err() {
            return Err(NotPut::TooMany);
        }
        match timeout(WAIT, word).await {
            Ok(Ok(word)) => word,
            Ok(Err(_)) => Err(NotPut::Unknown),
            Err(_) => {
                tracing::error!(
                    "it is not known whether a revocation is in force: the disk of auth.revoked_file, or NATS, did not answer within {} s",
                    WAIT.as_secs()
                );
                Err(NotPut::Unknown)
            }
        }
    }

    /// Has `new`, which is in force, written, without waiting for it.
    pub(super) fn note(&self, new: Vec<Revocation>) {
        // It is in the set, from which everything is written again.
        if self.has_file && self.jobs.try_send(Job::Note(new)).is_err() {
            self.lacks.store(true, Ordering::Release);
        }
    }

    /// Tries again what has failed.
    pub(super) fn make_up(&self) {
        if !self.has_all() {
            self.note(Vec::new());
        }
    }

    /// What there is to do. Once.
    pub(super) fn take(&self) -> Option<Work> {
        self.work.lock().take()
    }

    /// Writes `new`, and puts what else it finds in the file in force. `None`: the runtime ends.
    pub(super) async fn write(&self, work: &mut Work, new: Vec<Revocation>) -> Option<Written> {
        let Some(mut file) = work.file.take() else {
            return Some(Written::Yes);
        };
        if self.lacks.swap(false, Ordering::AcqRel) {
            file.distrust();
        }
        let revoked = self.revoked.clone();
        *self.writing.lock() = Some(Instant::now());
        let mut writing = spawn_blocking(move || {
            let written = file.write(&new, || revoked.page(None, usize::MAX, |_| true).0);
            let written = written.map(|found| revoked.accept(found).refused);
            (file, written)
        });
        let in_time = timeout(WAIT, &mut writing).await;
        let done = match in_time {
            Ok(done) => done,
            Err(_) => {
                tracing::error!(
                    "the disk of auth.revoked_file does not answer: what operators revoke comes into force when it does"
                );
                let done = writing.await;
                tracing::info!("the disk of auth.revoked_file answers again");
                done
            }
        };
        *self.writing.lock() = None;
        let (file, written) = match done {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return None,
            },
        };
        work.file = Some(file);
        let (written, error) = match written {
            Ok(_) => return Some(Written::Yes),
            Err(Failed::Not(error)) => (Written::No, error),
            Err(Failed::Perhaps(error)) => (Written::Perhaps, error),
        };
        tracing::error!(%error, "auth.revoked_file cannot be written: revocations are refused");
        self.lacks.store(true, Ordering::Release);
        Some(written)
    }
}
