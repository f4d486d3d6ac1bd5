//! The bus of a single instance, in process: the same promises as over NATS, without a server. Knows no NATS.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, watch};

use super::queue::{NotQueued, QueueSender, QueueStream, Room, queue};
use super::{
    AppRequest, BoxFuture, BoxStream, Bus, Config, ControlMessage, Health, History, Incoming, Key, Limits,
    PendingReply, PublishError, Published, RequestError, Stats, UserEvent,
};
use crate::envelope::{Arrival, Envelope, Kind};
use crate::instance::InstanceId;
use crate::task::Task;

mod application;
mod array;
mod control;
pub mod disk;
mod keys;
mod memory;

pub use memory::Keeping;

use application::Handler;
use disk::Disk;
use memory::Memory;

/// How long a publisher waits for a slow reader. It must be answered within a second.
const PUBLISH_TIMEOUT: Duration = Duration::from_millis(800);

/// A [`Bus`] within this process. Its queue is bounded by `bus.embedded_capacity` and `bus.incoming_bytes`; while it is
/// full, publishers wait, and after 800 ms are refused as unavailable.
pub struct EmbeddedBus {
    instance: InstanceId,
    limits: Limits,
    request_timeout: Duration,
    /// What is kept in memory, if anything is.
    memory: Option<Memory>,
    /// What is kept in a file, if anything is.
    disk: Option<Disk>,
    /// `None` once drained, so that the readers' streams end.
    open: RwLock<Option<Open>>,
    incoming: Mutex<Option<QueueStream>>,
    expired: Arc<AtomicU64>,
    control: Mutex<Option<mpsc::Receiver<ControlMessage>>>,
    tasks: Mutex<Vec<Task>>,
    handler: RwLock<Option<Handler>>,
    health: watch::Sender<Health>,
}

/// The publishers' ends.
#[derive(Clone)]
struct Open {
    queue: QueueSender,
    control: mpsc::Sender<ControlMessage>,
}

impl EmbeddedBus {
    /// A bus for the instance `instance`, connected until it drains, without history.
    pub fn new(config: &Config, limits: Limits, instance: InstanceId) -> Arc<Self> {
        Self::make(config, limits, instance, |_| Ok((None, None)))
            .unwrap_or_else(|never: std::convert::Infallible| match never {})
    }

    /// The same, which keeps what `keeping` says, from now on; in memory, whatever it says of a file.
    pub fn with_history(
        config: &Config,
        limits: Limits,
        instance: InstanceId,
        keeping: Keeping,
    ) -> Arc<Self> {
        Self::make(config, limits, instance, |_| {
            Ok((Some(Memory::new(keeping)), None))
        })
        .unwrap_or_else(|never: std::convert::Infallible| match never {})
    }

    /// The same, in the file that `keeping` names, if it names one. Blocks on the disk, for as long as it takes to go through
    /// a file that was not closed. Inside a tokio runtime.
    ///
    /// # Errors
    /// The file cannot be used; in words.
    pub fn open(
        config: &Config,
        limits: Limits,
        instance: InstanceId,
        keeping: Keeping,
    ) -> Result<Arc<Self>, String> {
        match keeping.on_disk.clone() {
            None => Ok(Self::with_history(config, limits, instance, keeping)),
            Some(on_disk) => Self::make(config, limits, instance, |queue| {
                let disk = Disk::open(&on_disk, keeping, queue.clone())?;
                Ok((None, Some(disk)))
            }),
        }
    }

    fn make<E>(
        config: &Config,
        limits: Limits,
        instance: InstanceId,
        keeps: impl FnOnce(&QueueSender) -> Result<(Option<Memory>, Option<Disk>), E>,
    ) -> Result<Arc<Self>, E> {
        let (queue, incoming) = queue(config.embedded_capacity, config.incoming_bytes.0);
        let (control_queue, control) = mpsc::channel(control::CAPACITY);
        let (memory, disk) = keeps(&queue)?;
        Ok(Arc::new(Self {
            instance,
            limits,
            request_timeout: config.request_timeout.0,
            tasks: Mutex::new(disk.iter().map(Disk::task).collect()),
            memory,
            disk,
            open: RwLock::new(Some(Open {
                queue,
                control: control_queue,
            })),
            expired: incoming.expired(),
            incoming: Mutex::new(Some(incoming)),
            control: Mutex::new(Some(control)),
            handler: RwLock::new(None),
            health: watch::Sender::new(Health::Connected),
        }))
    }

    fn accept(&self, size: usize) -> Result<Open, PublishError> {
        super::check_size(size, self.limits.body_bytes.0, "limits.body_bytes")?;
        self.open.read().clone().ok_or(PublishError::Unavailable)
    }

    /// Takes `arrived` in, and keeps it if its target is kept.
    fn put(&self, arrived: Envelope, key: Option<Key>, room: Room<'_>) -> Result<Published, PublishError> {
        let kept = self
            .memory
            .as_ref()
            .filter(|memory| memory.keeps(&arrived.target));
        match (kept, key) {
            (Some(memory), Some(key)) => memory.put_once(key, arrived, room),
            (Some(memory), None) => Ok(Published {
                position: Some(memory.put(arrived, room)),
                duplicate: false,
            }),
            (None, _) => {
                room.put(Arc::new(arrived));
                Ok(Published::default())
            }
        }
    }

    /// The kind that all of `batch` are of, if it is one that is kept.
    fn kind_of(&self, batch: &[(Envelope, Option<Key>)]) -> Option<Kind> {
        let kind = Kind::of(&batch.first()?.0.target);
        let is_kept = |target| match (&self.memory, &self.disk) {
            (Some(memory), _) => memory.keeps(target),
            (None, Some(disk)) => disk.keeps(target),
            (None, None) => false,
        };
        let mut targets = batch.iter().map(|(envelope, _)| &envelope.target);
        targets
            .all(|target| is_kept(target) && Kind::of(target) == kind)
            .then_some(kind)
    }
}

impl Bus for EmbeddedBus {
    fn publish_once<'a>(
        &'a self,
        envelope: &'a Envelope,
        key: Option<Key>,
    ) -> BoxFuture<'a, Result<Published, PublishError>> {
        let Open { queue, .. } = match self.accept(envelope.body.len()) {
            Ok(open) => open,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let mut arrived = envelope.clone();
        // Including a wait for room, as on NATS it includes the wait in the queue.
        arrived.arrival = Arrival::now();
        if let Some(disk) = self.disk.as_ref().filter(|disk| disk.keeps(&arrived.target)) {
            let published = disk.publish(vec![(arrived, key)]);
            return Box::pin(async move { Ok(published.await?.pop().unwrap_or_default()) });
        }
        let weight = arrived.weight();
        // While there is room, neither a clock nor a place in a queue is needed. Nobody is overtaken: room that becomes
        // free goes to those that wait.
        match queue.try_room(weight) {
            Ok(room) => {
                let published = self.put(arrived, key, room);
                return Box::pin(std::future::ready(published));
            }
            Err(NotQueued::Closed) => return Box::pin(std::future::ready(Ok(Published::default()))),
            Err(NotQueued::Full) => {}
        }
        Box::pin(async move {
            match tokio::time::timeout(PUBLISH_TIMEOUT, queue.room(weight)).await {
                Ok(Ok(room)) => self.put(arrived, key, room),
                Ok(Err(NotQueued::Closed)) => Ok(Published::default()),
                Ok(Err(NotQueued::Full)) | Err(_) => Err(PublishError::Unavailable),
            }
        })
    }

    /// What a file keeps is handed over together, in its order, so that few syncs store it; all else one after the other.
    fn publish_all<'a>(
        &'a self,
        all: &'a [(Envelope, Option<Key>)],
    ) -> BoxFuture<'a, Vec<Result<Published, PublishError>>> {
        Box::pin(array::publish_all(self, all))
    }

    fn publish_atomic<'a>(
        &'a self,
        batch: &'a [(Envelope, Option<Key>)],
    ) -> Option<BoxFuture<'a, Result<Vec<Published>, PublishError>>> {
        let kind = self.kind_of(batch)?;
        let largest = batch.iter().map(|(envelope, _)| envelope.body.len()).max();
        let queue = match self.accept(largest.unwrap_or_default()) {
            Ok(Open { queue, .. }) => queue,
            Err(error) => return Some(Box::pin(std::future::ready(Err(error)))),
        };
        let weights = batch.iter().map(|(envelope, _)| envelope.weight());
        let bytes = weights.fold(0, usize::saturating_add);
        queue.holds(batch.len(), bytes).then(|| -> BoxFuture<'a, _> {
            let mut arrived = batch.to_vec();
            let now = Arrival::now();
            for (envelope, _) in &mut arrived {
                envelope.arrival = now;
            }
            if let Some(disk) = &self.disk {
                return disk.publish(arrived);
            }
            Box::pin(async move {
                let rooms = tokio::time::timeout(PUBLISH_TIMEOUT, queue.rooms(arrived.len(), bytes)).await;
                match (rooms, &self.memory) {
                    (Ok(Ok(rooms)), Some(memory)) => memory.put_all(kind, arrived, rooms),
                    _ => Err(PublishError::Unavailable),
                }
            })
        })
    }

    fn incoming(&self) -> Option<BoxStream<Incoming>> {
        let stream = self.incoming.lock().take()?;
        Some(Box::pin(stream))
    }

    fn history(&self) -> Option<&dyn History> {
        let memory = self.memory.as_ref().map(|memory| memory as &dyn History);
        memory.or(self.disk.as_ref().map(|disk| disk as _))
    }

    fn request<'a>(&'a self, request: &'a AppRequest) -> BoxFuture<'a, Result<PendingReply, PublishError>> {
        Box::pin(self.answer(request))
    }

    fn control_publish<'a>(
        &'a self,
        kind: &'a str,
        payload: Bytes,
    ) -> BoxFuture<'a, Result<(), PublishError>> {
        Box::pin(self.tell(kind, payload))
    }

    fn control_request<'a>(
        &'a self,
        instance: InstanceId,
        kind: &'a str,
        payload: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Bytes, RequestError>> {
        Box::pin(self.ask(instance, kind, payload, timeout))
    }

    fn control_incoming(&self) -> Option<BoxStream<ControlMessage>> {
        let receiver = self.control.lock().take()?;
        Some(super::receiver_stream(receiver))
    }

    /// No backend can listen here.
    fn publish_user_event<'a>(&'a self, _event: &'a UserEvent) -> BoxFuture<'a, Result<(), PublishError>> {
        Box::pin(std::future::ready(self.accept(0).map(drop)))
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    fn is_ready(&self) -> bool {
        *self.health.borrow() == Health::Connected && self.disk.as_ref().is_none_or(Disk::is_ready)
    }

    fn trouble(&self) -> Vec<String> {
        self.disk.as_ref().map(Disk::trouble).unwrap_or_default()
    }

    fn max_body_bytes(&self) -> usize {
        self.limits.body_bytes.0
    }

    fn stats(&self) -> Stats {
        let tails = self.memory.as_ref().map(Memory::tails);
        let tails = tails.or_else(|| self.disk.as_ref().map(Disk::tails));
        Stats {
            expired: self.expired.load(Ordering::Relaxed),
            tails: tails.unwrap_or_default(),
            streams: self.disk.as_ref().map(Disk::streams).unwrap_or_default(),
            history_file_bytes: self.disk.as_ref().map_or(0, Disk::file_bytes),
            ..Stats::default()
        }
    }

    /// The history's writer; all else works in its callers' tasks.
    fn tasks(&self) -> Vec<Task> {
        std::mem::take(&mut *self.tasks.lock())
    }

    /// What was accepted is already in the reader's queue, but for what the disk still has to store.
    fn drain(&self) -> BoxFuture<'_, ()> {
        *self.open.write() = None;
        self.health.send_replace(Health::Disconnected);
        Box::pin(async {
            if let Some(disk) = &self.disk {
                disk.drain().await;
            }
        })
    }
}

#[cfg(test)]
mod tests;
