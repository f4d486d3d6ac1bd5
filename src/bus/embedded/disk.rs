//! History of the embedded bus in a file (`history.path`): a notification with a position is synced, and survives a
//! killed process and a power failure. The tails in memory hold the newest ones, as without a file; older ones are read
//! from the file. Knows no session. Only this module uses redb.
//!
//! **Order.** One thread stores ([`writer`]): it takes the waiting notifications, assigns the next positions, syncs
//! them in one transaction, and then pushes them into the tail and the relay's queue, in this order, and answers. So
//! nobody learns of a notification that a crash could take back, and file, tail and queue have the same order.
//!
//! **What a disk may do.** If it is slow, publishers wait, and beyond their limits they are refused with the limit's
//! name. If it does not respond, then after `history.publish_timeout` a publish that still waits is told that it is not
//! stored, and one that was being stored is told that its outcome is unknown. If it is full: 507. If it fails: 503, and
//! `/readyz` reports it; the file is tried again every second. Sessions, resumes from memory and notifications that are
//! not kept continue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use super::keys::Keys;
use super::memory::{Keeping, standalone};
use crate::bus::history::config::PUBLISHES_BYTES;
use crate::bus::history::{Caps, Outcome, Request, StreamInfo, StreamStats, TailStats};
use crate::bus::queue::QueueSender;
use crate::bus::replay::{Replay, Storage, begin};
use crate::bus::tail::Tail;
use crate::bus::{BoxFuture, Content, History, Key, PublishError, Published};
use crate::destination::Target;
use crate::envelope::{Envelope, Kept, Kind, Position, unix_ms};
use crate::limit::Limit;
use crate::task::{Task, caught_now};

mod failure;
mod life;
mod medium;
mod reads;
mod record;
mod setting;
mod store;
mod writer;

pub use setting::{OnDisk, check};

use life::Life;
use medium::{Medium, OnFile};
use reads::Reads;
use store::{Bounds, Entry, Store};
use writer::{Job, Writer};

/// How long the drain waits for what was accepted.
const DRAIN: Duration = Duration::from_secs(2);

/// How the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    /// The disk has no room.
    Full,
    /// It cannot be written.
    Broken,
}

/// What the writer shares with everybody else.
struct Shared {
    database: store::Shared,
    epochs: [u64; 2],
    tails: [Mutex<Tail<Arc<Envelope>>>; 2],
    bounds: Mutex<[Bounds; 2]>,
    file_bytes: AtomicU64,
    state: Mutex<State>,
    /// Since when the writer waits for the disk.
    busy: Mutex<Option<Instant>>,
}

impl Shared {
    fn tail(&self, kind: Kind) -> &Mutex<Tail<Arc<Envelope>>> {
        &self.tails[kind as usize]
    }
}

/// The store.
pub(super) struct Disk {
    keeping: Keeping,
    shared: Arc<Shared>,
    /// The position in front of the first notification that is published from now on.
    base: [Position; 2],
    /// `None` once it drains.
    jobs: Mutex<Option<SyncSender<Box<Job>>>>,
    free: Arc<Semaphore>,
    free_bytes: Arc<Semaphore>,
    publishes: usize,
    publish_timeout: Duration,
    /// The most bytes of each kind.
    bytes_max: [u64; 2],
    reads: Reads,
    /// Cancelled when the writer has ended.
    ended: CancellationToken,
}

impl Disk {
    /// Opens the file and starts its writer. Blocks on the disk, for as long as it takes to go through a file that was not
    /// closed. Inside a tokio runtime.
    ///
    /// # Errors
    /// The file cannot be used; in words.
    pub(super) fn open(on_disk: &OnDisk, keeping: Keeping, queue: QueueSender) -> Result<Self, String> {
        let medium = Box::new(OnFile(on_disk.path.clone()));
        // redb panics on some pages that are none.
        let opened = caught_now(|| Self::on(medium, on_disk, keeping, queue));
        opened.unwrap_or_else(|_| Err(medium::corrupted(&on_disk.path, "it cannot be read")))
    }

    /// The same on any medium.
    fn on(
        medium: Box<dyn Medium>,
        on_disk: &OnDisk,
        keeping: Keeping,
        queue: QueueSender,
    ) -> Result<Self, String> {
        let shown = on_disk.path.display();
        let failed = |error: failure::Failure| format!("{shown}: {error}");
        let database = medium.open()?;
        let life = life::begin(&database, medium.identity(), unix_ms());
        let life = life.map_err(|words| format!("{shown}: {words}"))?;
        let database: store::Shared = Arc::new(RwLock::new(Some(database)));
        let store = Store::new(database.clone(), on_disk.retention).map_err(failed)?;
        let (epochs, bounds) = (life.epochs(), store.bounds());
        let tail = |kind| reads::newest(&database, kind, epochs[kind as usize], keeping.bytes / 2);
        let [broadcast, user] = Kind::ALL.map(tail);
        let mut keys = Keys::new(keeping.duplicate_window, keeping.keys);
        writer::learn(&mut keys, &store, epochs).map_err(failed)?;
        let shared = Arc::new(Shared {
            database,
            epochs,
            tails: [broadcast.map_err(failed)?, user.map_err(failed)?].map(Mutex::new),
            bounds: Mutex::new(bounds),
            file_bytes: AtomicU64::new(medium.bytes()),
            state: Mutex::new(State::Good),
            busy: Mutex::new(None),
        });
        let kept = bounds.map(|bounds| bounds.last + 1 - bounds.first);
        match life {
            Life::New(_) => tracing::info!(file = %shown, "a new history begins"),
            Life::Continued(_) => {
                tracing::info!(file = %shown, broadcasts = kept[0], to_users = kept[1], "history goes on")
            }
            Life::Copied(_) => tracing::warn!(
                file = %shown, broadcasts = kept[0], to_users = kept[1],
                "history.path is a copy of the file that it was: clients are told that it is another history"
            ),
        }
        let (jobs, waiting) = sync_channel(on_disk.publishes);
        let ended = CancellationToken::new();
        let writer = Writer::new(waiting, store, keys, shared.clone(), medium);
        let (has_ended, runtime) = (ended.clone().drop_guard(), Handle::current());
        let thread = std::thread::Builder::new().name("herald-history".into());
        let started = thread.spawn(move || {
            let _has_ended = has_ended;
            writer.run(&queue, &runtime);
        });
        started.map_err(|error| format!("{shown}: no thread to write it: {error}"))?;
        let bytes = PUBLISHES_BYTES.0.min(Semaphore::MAX_PERMITS);
        Ok(Self {
            shared,
            base: Kind::ALL.map(|kind| Position {
                epoch: epochs[kind as usize],
                sequence: bounds[kind as usize].last,
            }),
            jobs: Mutex::new(Some(jobs)),
            free: Arc::new(Semaphore::new(on_disk.publishes)),
            free_bytes: Arc::new(Semaphore::new(bytes)),
            publishes: on_disk.publishes,
            publish_timeout: on_disk.publish_timeout,
            bytes_max: on_disk.retention.map(|retention| retention.bytes),
            reads: Reads::new(on_disk.reads),
            ended,
            keeping,
        })
    }

    /// Whether what goes to `target` is kept.
    pub(super) fn keeps(&self, target: &Target) -> bool {
        self.keeping.kept.holds(target)
    }

    /// Stores all of `batch`, which are of one kind, or none of them. Where all are known by their keys, they are duplicates.
    ///
    /// # Errors
    /// See [`PublishError`]; within `history.publish_timeout`, or at once where too many wait.
    pub(super) fn publish(
        &self,
        batch: Vec<(Envelope, Option<Key>)>,
    ) -> BoxFuture<'static, Result<Vec<Published>, PublishError>> {
        let handed_over = self.hand_over(batch);
        // From now on: of an array the last one is handed over long before it is awaited.
        let deadline = tokio::time::Instant::now() + self.publish_timeout;
        Box::pin(async move {
            let (answer, claim) = handed_over?;
            match tokio::time::timeout_at(deadline, answer).await {
                Ok(Ok(outcome)) => outcome,
                // Whoever claims it first: the writer does when it begins to store it.
                Ok(Err(_)) | Err(_) if !claim.swap(true, Ordering::AcqRel) => Err(PublishError::Unavailable),
                Ok(Err(_)) | Err(_) => Err(PublishError::Unknown),
            }
        })
    }

    /// How many of one array may be under way: others have to get through as well.
    pub(super) fn together(&self) -> usize {
        (self.publishes / 4).max(1)
    }

    #[expect(clippy::type_complexity, reason = "of this type alone")]
    fn hand_over(
        &self,
        batch: Vec<(Envelope, Option<Key>)>,
    ) -> Result<
        (
            oneshot::Receiver<Result<Vec<Published>, PublishError>>,
            Arc<AtomicBool>,
        ),
        PublishError,
    > {
        let weight = batch.iter().map(|(envelope, _)| envelope.weight()).sum();
        let places = self.places(weight).ok_or(PublishError::TooMany {
            limit: Limit::HistoryPublishes,
        })?;
        let (mut envelopes, mut entries) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        for (envelope, key) in batch {
            entries.push(Entry {
                kind: Kind::of(&envelope.target),
                record: record::encode(&envelope),
                known_by: key.map(|key| (key, Content::of(&envelope))),
            });
            envelopes.push(standalone(envelope));
        }
        let claim = Arc::new(AtomicBool::new(false));
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Job {
            envelopes,
            entries,
            weight,
            claim: claim.clone(),
            answer,
            _places: places,
        });
        match self.jobs.lock().as_ref().map(|jobs| jobs.try_send(job)) {
            Some(Ok(())) => Ok((answered, claim)),
            Some(Err(TrySendError::Full(_))) => Err(PublishError::TooMany {
                limit: Limit::HistoryPublishes,
            }),
            Some(Err(TrySendError::Disconnected(_))) | None => Err(PublishError::Unavailable),
        }
    }

    /// A place among `history.publishes`, and room for `weight` bytes; what is larger than all of it takes all of it.
    fn places(&self, weight: usize) -> Option<[OwnedSemaphorePermit; 2]> {
        let bytes = u32::try_from(weight.min(PUBLISHES_BYTES.0)).unwrap_or(u32::MAX);
        let place = self.free.clone().try_acquire_owned().ok()?;
        let bytes = self.free_bytes.clone().try_acquire_many_owned(bytes).ok()?;
        Some([place, bytes])
    }

    /// Whether it can store.
    pub(super) fn is_ready(&self) -> bool {
        *self.shared.state.lock() != State::Broken && !self.is_stuck() && !self.ended.is_cancelled()
    }

    fn is_stuck(&self) -> bool {
        let busy = *self.shared.busy.lock();
        busy.is_some_and(|since| since.elapsed() > self.publish_timeout)
    }

    /// What is wrong with it, for `/readyz`.
    pub(super) fn trouble(&self) -> Vec<String> {
        let state = *self.shared.state.lock();
        let words = match state {
            _ if self.ended.is_cancelled() => "history.path: nobody writes it any more",
            State::Broken => "history.path: the file cannot be used",
            _ if self.is_stuck() => "history.path: the disk does not answer",
            State::Full => "history.path: the disk is full",
            State::Good => return Vec::new(),
        };
        vec![words.into()]
    }

    /// What is held in memory.
    pub(super) fn tails(&self) -> [TailStats; 2] {
        Kind::ALL.map(|kind| {
            let tail = self.shared.tail(kind).lock();
            TailStats {
                messages: tail.len() as u64,
                bytes: tail.bytes() as u64,
            }
        })
    }

    /// Where each kind is, and what it takes in the file.
    pub(super) fn streams(&self) -> [StreamStats; 2] {
        let bounds = *self.shared.bounds.lock();
        Kind::ALL.map(|kind| StreamStats {
            head: bounds[kind as usize].last,
            stored_bytes: bounds[kind as usize].bytes,
            stored_bytes_max: self.bytes_max[kind as usize],
            ..StreamStats::default()
        })
    }

    /// The bytes that the file takes.
    pub(super) fn file_bytes(&self) -> u64 {
        self.shared.file_bytes.load(Ordering::Relaxed)
    }

    /// Ends when the writer does.
    pub(super) fn task(&self) -> Task {
        let ended = self.ended.clone();
        Task::essential("history writer", async move { ended.cancelled().await })
    }

    /// Takes no more, and waits until what was accepted is stored and the file is closed, at most two seconds.
    pub(super) async fn drain(&self) {
        self.jobs.lock().take();
        if tokio::time::timeout(DRAIN, self.ended.cancelled()).await.is_err() {
            tracing::warn!("history.path: not all that was accepted is stored yet");
        }
    }
}

impl History for Disk {
    fn kept(&self) -> Kept {
        self.keeping.kept.clone()
    }

    fn caps(&self) -> Caps {
        self.keeping.caps
    }

    fn base(&self, kind: Kind) -> Position {
        self.base[kind as usize]
    }

    fn info(&self, kind: Kind) -> BoxFuture<'_, Option<StreamInfo>> {
        let Bounds { first, last, .. } = self.shared.bounds.lock()[kind as usize];
        let info = StreamInfo {
            epoch: self.shared.epochs[kind as usize],
            first,
            last,
            last_stamp: None,
            is_leaders: true,
        };
        Box::pin(std::future::ready(Some(info)))
    }

    fn replay(&self, request: Request<Target>) -> BoxFuture<'_, Outcome<Arc<Envelope>>> {
        let kind = Kind::of(&request.target);
        let begun = begin(&self.shared.tail(kind).lock(), request, Storage::Single);
        match begun {
            Replay::Done(outcome) => Box::pin(std::future::ready(outcome)),
            Replay::Reading(reading) => {
                let epoch = self.shared.epochs[kind as usize];
                Box::pin(
                    self.reads
                        .read(self.shared.database.clone(), kind, epoch, reading),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
