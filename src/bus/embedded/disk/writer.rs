//! The thread that writes the file: groups the waiting notifications, stores them, and passes them on in the order in
//! which it stored them. Everything that it does is bounded, or waits for the disk or for the relay; then publishers
//! wait too. Knows no session.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::failure::Failure;
use super::medium::Medium;
use super::store::{Entry, FORGOTTEN_MAX, Store};
use super::{Shared, State};
use crate::bus::embedded::keys::{Keys, KnownBy};
use crate::bus::queue::{NotQueued, QueueSender, Rooms};
use crate::bus::{Key, PublishError, Published};
use crate::envelope::{Envelope, Kind, Position, unix_ms};

mod recovery;

/// The most notifications that one transaction stores, and their bytes; one batch always fits.
const GROUP: usize = 512;
const GROUP_BYTES: usize = 4 << 20;
/// How often what is too old goes where nobody publishes, and a file that failed is tried again.
const TICK: Duration = match cfg!(test) {
    true => Duration::from_millis(50),
    false => Duration::from_secs(1),
};
/// What has to be free on the disk, besides what is to be stored. redb takes no more writes after an error, and has to go
/// through the whole file then: it is better not to run into it.
const RESERVE_BYTES: u64 = 16 << 20;

/// What one publisher wants to be stored, whole or not at all.
pub(super) struct Job {
    pub(super) envelopes: Vec<Envelope>,
    pub(super) entries: Vec<Entry>,
    /// Of all envelopes.
    pub(super) weight: usize,
    /// Whoever sets it first decides: the writer stores it, or the publisher has gone.
    pub(super) claim: Arc<AtomicBool>,
    pub(super) answer: oneshot::Sender<Result<Vec<Published>, PublishError>>,
    pub(super) _places: [OwnedSemaphorePermit; 2],
}

impl Job {
    /// Whether it is the writer's now, since its publisher still waits.
    fn claim(&self) -> bool {
        !self.claim.swap(true, Ordering::AcqRel)
    }

    fn answer(self, outcome: Result<Vec<Published>, PublishError>) {
        if self.claim() {
            let _ = self.answer.send(outcome);
        }
    }
}

/// A claimed job, with its room in the relay's queue. `None`: nobody reads that any more.
type Taken<'q> = (Box<Job>, Option<Rooms<'q>>);

/// A time in which everything is refused.
struct Pause {
    until: Instant,
    refusal: PublishError,
}

/// The writer.
pub(super) struct Writer {
    jobs: Receiver<Box<Job>>,
    /// Received, and left for the next group.
    next: Option<Box<Job>>,
    store: Store,
    keys: Keys,
    /// Forgotten, and still in the file.
    forgotten: Vec<Key>,
    shared: Arc<Shared>,
    medium: Box<dyn Medium>,
    pause: Option<Pause>,
    /// Whether more has to go than one transaction removes.
    has_more: bool,
}

/// The file has lost what was synced.
struct Lost;

/// Takes over the keys that the file has.
pub(super) fn learn(keys: &mut Keys, store: &Store, epochs: [u64; 2]) -> Result<(), Failure> {
    let (now, now_ms) = (Instant::now(), unix_ms());
    for (key, content, kind, sequence, noted_ms) in store.keys()? {
        let ago = Duration::from_millis(now_ms.saturating_sub(noted_ms));
        let epoch = epochs[kind as usize];
        keys.note(
            (key, content),
            Position { epoch, sequence },
            now.checked_sub(ago).unwrap_or(now),
        );
    }
    Ok(())
}

impl Writer {
    pub(super) fn new(
        jobs: Receiver<Box<Job>>,
        store: Store,
        keys: Keys,
        shared: Arc<Shared>,
        medium: Box<dyn Medium>,
    ) -> Self {
        Self {
            jobs,
            next: None,
            store,
            keys,
            forgotten: Vec::new(),
            shared,
            medium,
            pause: None,
            has_more: false,
        }
    }

    /// Stores until nobody can publish any more, and closes the file.
    pub(super) fn run(mut self, queue: &QueueSender, runtime: &Handle) {
        loop {
            let wait = if self.has_more { Duration::ZERO } else { TICK };
            let next = self.next.take().map_or_else(|| self.jobs.recv_timeout(wait), Ok);
            let done = match next {
                Ok(job) => self.handle(job, queue, runtime),
                Err(RecvTimeoutError::Timeout) => self.tidy(queue, runtime),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Err(Lost) = done {
                return;
            }
        }
        if let Some(database) = self.shared.database.write().take()
            && let Err(error) = database.close()
        {
            tracing::warn!(%error, "history.path was not closed in order");
        }
    }

    fn handle(&mut self, job: Box<Job>, queue: &QueueSender, runtime: &Handle) -> Result<(), Lost> {
        self.revive(queue, runtime)?;
        match &self.pause {
            Some(pause) => {
                let known_by: Vec<KnownBy> = job.entries.iter().map(|entry| entry.known_by).collect();
                // What is stored already wants no disk.
                match self.keys.admit(&known_by, 0, Instant::now()) {
                    Ok(Some(found)) => job.answer(Ok(found)),
                    Err(PublishError::KeyReused) => job.answer(Err(PublishError::KeyReused)),
                    _ => job.answer(Err(pause.refusal.clone())),
                }
            }
            None => {
                let group = self.gather(job, queue, runtime);
                self.store(group, queue, runtime)?;
            }
        }
        Ok(())
    }

    /// `first` and what waits behind it, as far as it fits and the relay's queue has room. Waits for the room of the first.
    fn gather<'q>(&mut self, first: Box<Job>, queue: &'q QueueSender, runtime: &Handle) -> Vec<Taken<'q>> {
        let (mut group, mut number, mut bytes) = (Vec::new(), 0, 0);
        let mut keys: HashSet<Key> = HashSet::new();
        let mut next = Some(first);
        while let Some(job) = next {
            number += job.envelopes.len();
            bytes += job.weight;
            // Of two with the same key the second has to find the first one stored.
            let own = job.entries.iter().filter_map(|entry| entry.known_by);
            let is_fresh = own.map(|(key, _)| key).filter(|key| !keys.insert(*key)).count() == 0;
            let fits = number <= GROUP && bytes <= GROUP_BYTES && is_fresh;
            if !group.is_empty() && !fits {
                self.next = Some(job);
                break;
            }
            let rooms = match group.is_empty() {
                true => runtime.block_on(queue.rooms(job.envelopes.len(), job.weight)),
                false => queue.try_rooms(job.envelopes.len(), job.weight),
            };
            let rooms = match rooms {
                Ok(rooms) => Some(rooms),
                Err(NotQueued::Closed) => None,
                Err(NotQueued::Full) => {
                    self.next = Some(job);
                    break;
                }
            };
            if job.claim() {
                group.push((job, rooms));
            }
            next = self.jobs.try_recv().ok();
        }
        group
    }

    fn store(&mut self, group: Vec<Taken<'_>>, queue: &QueueSender, runtime: &Handle) -> Result<(), Lost> {
        let now = Instant::now();
        let (mut storing, mut entries, mut keyed) = (Vec::new(), Vec::new(), 0);
        for (mut job, rooms) in group {
            let known_by: Vec<KnownBy> = job.entries.iter().map(|entry| entry.known_by).collect();
            match self.keys.admit(&known_by, keyed, now) {
                Ok(None) => {
                    keyed += known_by.iter().flatten().count();
                    entries.append(&mut job.entries);
                    storing.push((job, rooms, known_by));
                }
                Ok(Some(found)) => drop(job.answer.send(Ok(found))),
                Err(error) => drop(job.answer.send(Err(error))),
            }
        }
        if storing.is_empty() {
            return Ok(());
        }
        let before = self.store.bounds();
        if let Err(failure) = self.commit(&mut entries, now) {
            // Their room is given back: what turns out to be stored needs it.
            let jobs: Vec<_> = storing.into_iter().map(|(job, ..)| job).collect();
            return self.failed(&failure, jobs, queue, runtime);
        }
        let mut sequences = before.map(|bounds| bounds.last);
        for (job, mut rooms, known_by) in storing {
            let mut published = Vec::with_capacity(job.envelopes.len());
            for (envelope, known_by) in job.envelopes.into_iter().zip(known_by) {
                let position = self.give_on(&mut sequences, envelope, rooms.as_mut());
                if let Some(known_by) = known_by {
                    self.keys.note(known_by, position, now);
                }
                published.push(Published {
                    position: Some(position),
                    duplicate: false,
                });
            }
            let _ = job.answer.send(Ok(published));
        }
        self.cut_tails();
        Ok(())
    }

    /// One transaction, with `entries`. Removes what has to go in any case.
    fn commit(&mut self, entries: &mut [Entry], now: Instant) -> Result<(), Failure> {
        let more = FORGOTTEN_MAX.saturating_sub(self.forgotten.len());
        self.forgotten.extend(self.keys.forget(more, now));
        let bytes: usize = entries.iter().map(|entry| entry.record.len()).sum();
        let wanted = RESERVE_BYTES.saturating_add(bytes as u64);
        if self.medium.free_bytes().is_some_and(|free| free < wanted) {
            return Err(Failure::Full { has_begun: false });
        }
        *self.shared.busy.lock() = Some(now);
        let committed = self.store.commit(entries, &self.forgotten, unix_ms());
        *self.shared.busy.lock() = None;
        self.has_more = committed?;
        self.forgotten.clear();
        *self.shared.bounds.lock() = self.store.bounds();
        self.shared
            .file_bytes
            .store(self.medium.bytes(), Ordering::Relaxed);
        self.turn(State::Good);
        Ok(())
    }

    /// Into the tail, then to the relay.
    fn give_on(
        &self,
        sequences: &mut [u64; 2],
        mut envelope: Envelope,
        rooms: Option<&mut Rooms<'_>>,
    ) -> Position {
        let kind = Kind::of(&envelope.target);
        let sequence = &mut sequences[kind as usize];
        *sequence += 1;
        let position = Position {
            epoch: self.shared.epochs[kind as usize],
            sequence: *sequence,
        };
        envelope.position = Some(position);
        let envelope = Arc::new(envelope);
        self.shared
            .tail(kind)
            .lock()
            .push(position.sequence, envelope.clone());
        if let Some(rooms) = rooms {
            rooms.put(envelope);
        }
        position
    }

    /// What retention took out of the file nobody gets from the memory either.
    fn cut_tails(&self) {
        for (kind, bounds) in Kind::ALL.into_iter().zip(self.store.bounds()) {
            self.shared.tail(kind).lock().cut(bounds.first);
        }
    }

    /// What has to be done where nobody publishes.
    fn tidy(&mut self, queue: &QueueSender, runtime: &Handle) -> Result<(), Lost> {
        self.revive(queue, runtime)?;
        if self.pause.is_some() {
            return Ok(());
        }
        let now = Instant::now();
        let more = FORGOTTEN_MAX.saturating_sub(self.forgotten.len());
        self.forgotten.extend(self.keys.forget(more, now));
        if self.forgotten.is_empty() && !self.store.has_to_remove(unix_ms()) {
            self.has_more = false;
            return Ok(());
        }
        match self.commit(&mut [], now) {
            Ok(()) => self.cut_tails(),
            Err(failure) => self.failed(&failure, [], queue, runtime)?,
        }
        Ok(())
    }

    /// Whether that is news.
    fn turn(&self, state: State) -> bool {
        let mut held = self.shared.state.lock();
        let before = std::mem::replace(&mut *held, state);
        if state == State::Good && before != State::Good {
            tracing::info!("history.path is written again");
        }
        before != state
    }
}
