//! The queue in front of `auth.revoked_file`: whoever revokes waits until it is written, what others tell is written as it comes,
//! and several at once are written together, off the runtime's threads. Knows the file by its handle, and the set.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::file::RevokedFile;
use crate::auth::Config;
use crate::auth::revoked::Revoked;
use crate::auth::revoked::entry::Revocation;

/// How many jobs may wait.
const QUEUE: usize = 256;
/// How long an operator waits for the disk.
const WAIT: Duration = Duration::from_secs(5);

/// A revocation that is not in the file.
#[derive(Debug)]
pub(super) struct NotKept;

/// Something to be written.
struct Job {
    revocations: Vec<Revocation>,
    /// Who waits until it is, if anybody does.
    waits: Option<oneshot::Sender<()>>,
}

/// Writes revocations into the file.
pub(crate) struct Keeper {
    revoked: Arc<Revoked>,
    jobs: mpsc::Sender<Job>,
    /// Until [`Keeper::run`] takes it.
    work: Mutex<Option<(mpsc::Receiver<Job>, RevokedFile)>>,
    /// Whether some of the set may not be in the file.
    lacks: AtomicBool,
}

impl Keeper {
    /// Puts what the file has in force. `None` if no file is configured. Blocks on the file system.
    ///
    /// # Errors
    /// In words: the file cannot be used.
    pub(crate) fn open(config: &Config, revoked: &Arc<Revoked>) -> Result<Option<Self>, String> {
        let Some(path) = &config.revoked_file else {
            return Ok(None);
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
        let (jobs, taken) = mpsc::channel(QUEUE);
        Ok(Some(Self {
            revoked: revoked.clone(),
            jobs,
            work: Mutex::new(Some((taken, file))),
            lacks: AtomicBool::new(false),
        }))
    }

    /// Whether all revocations in force are in the file, as far as this instance knows.
    pub(super) fn has_all(&self) -> bool {
        !self.lacks.load(Ordering::Acquire)
    }

    /// Writes `revocation`, which is on the disk when this returns.
    ///
    /// # Errors
    /// It is not written, or not in time.
    pub(super) async fn keep(&self, revocation: Revocation) -> Result<(), NotKept> {
        let (done, written) = oneshot::channel();
        let job = Job {
            revocations: vec![revocation],
            waits: Some(done),
        };
        if self.jobs.try_send(job).is_err() {
            tracing::error!("auth.revoked_file: too many wait to be written, so a revocation is refused");
            return Err(NotKept);
        }
        match timeout(WAIT, written).await {
            Ok(written) => written.map_err(|_| NotKept),
            Err(_) => {
                tracing::error!("auth.revoked_file: the disk does not answer, so a revocation is refused");
                Err(NotKept)
            }
        }
    }

    /// Has `new` written, without waiting for it.
    pub(super) fn note(&self, new: Vec<Revocation>) {
        let job = Job {
            revocations: new,
            waits: None,
        };
        // It is in the set by now, from which everything is written again.
        if self.jobs.try_send(job).is_err() {
            self.lacks.store(true, Ordering::Release);
        }
    }

    /// Tries again what has failed.
    pub(super) fn make_up(&self) {
        if !self.has_all() {
            self.note(Vec::new());
        }
    }

    /// Writes until `shutdown`, and then what still waits. Run it once.
    pub(super) async fn run(&self, shutdown: &CancellationToken) {
        let Some((mut taken, mut file)) = self.work.lock().take() else {
            return shutdown.cancelled().await;
        };
        let mut waiting = Vec::new();
        loop {
            let count = tokio::select! {
                biased;
                () = shutdown.cancelled(), if !taken.is_closed() => {
                    taken.close();
                    continue;
                }
                count = taken.recv_many(&mut waiting, QUEUE) => count,
            };
            if count == 0 {
                return;
            }
            let Some(back) = self.write(file, &mut waiting).await else {
                return;
            };
            file = back;
        }
    }

    /// Writes what waits, and gives the file back. `None`: the runtime ends.
    async fn write(&self, mut file: RevokedFile, waiting: &mut Vec<Job>) -> Option<RevokedFile> {
        let mut new = Vec::new();
        for job in waiting.iter_mut() {
            new.append(&mut job.revocations);
        }
        if self.lacks.swap(false, Ordering::AcqRel) {
            file.distrust();
        }
        let revoked = self.revoked.clone();
        let writing = spawn_blocking(move || {
            let written = file.write(&new, || revoked.page(None, usize::MAX, |_| true).0);
            (file, written)
        });
        let (file, written) = match writing.await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return None,
            },
        };
        match written {
            Ok(()) => {
                for done in waiting.drain(..).filter_map(|job| job.waits) {
                    // Who waits no more was told that it is not written.
                    let _ = done.send(());
                }
            }
            Err(error) => {
                tracing::error!(%error, "auth.revoked_file cannot be written: revocations are refused");
                self.lacks.store(true, Ordering::Release);
                waiting.clear();
            }
        }
        Some(file)
    }
}
