//! Notifications between a bus and the only reader of [`Bus::incoming`](super::Bus::incoming), bounded by messages and
//! by bytes. Does not know where they come from; the caller of `push` decides what a full queue means.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::Incoming;
use crate::envelope::{Envelope, Kind, unix_ms};

/// The bus's end. Cheap to clone.
#[derive(Clone)]
pub(super) struct QueueSender {
    items: mpsc::Sender<Item>,
    free_bytes: Arc<Semaphore>,
    capacity_bytes: u32,
}

/// The reader's end: drops what has become stale, and frees the bytes of what it yields.
pub(super) struct QueueStream {
    items: mpsc::Receiver<Item>,
    expired: Arc<AtomicU64>,
}

struct Item {
    envelope: Arc<Envelope>,
    _bytes: OwnedSemaphorePermit,
}

/// Room in a queue, for one notification.
pub(super) struct Room<'a> {
    place: mpsc::Permit<'a, Item>,
    bytes: OwnedSemaphorePermit,
}

/// Room in a queue, for several notifications.
pub(super) struct Rooms<'a> {
    places: mpsc::PermitIterator<'a, Item>,
    bytes: OwnedSemaphorePermit,
    capacity_bytes: u32,
}

/// Why a notification was not queued.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotQueued {
    /// Full by messages or by bytes.
    Full,
    /// The reader is gone.
    Closed,
}

/// A queue of at most `messages` and about `bytes`. One notification always fits into an empty queue. It ends, once
/// read, when every sender is gone.
pub(super) fn queue(messages: usize, bytes: usize) -> (QueueSender, QueueStream) {
    let (sender, receiver) = mpsc::channel(messages.clamp(1, Semaphore::MAX_PERMITS));
    let capacity_bytes = u32::try_from(bytes.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
    let sender = QueueSender {
        items: sender,
        free_bytes: Arc::new(Semaphore::new(capacity_bytes as usize)),
        capacity_bytes,
    };
    let stream = QueueStream {
        items: receiver,
        expired: Arc::new(AtomicU64::new(0)),
    };
    (sender, stream)
}

impl QueueSender {
    /// Queues `envelope` unless the queue is full.
    pub(super) fn try_push(&self, envelope: Envelope) -> Result<(), NotQueued> {
        self.try_room(envelope.weight())?.put(Arc::new(envelope));
        Ok(())
    }

    /// Room for a notification of `weight` bytes, unless the queue is full.
    pub(super) fn try_room(&self, weight: usize) -> Result<Room<'_>, NotQueued> {
        let bytes = self.free_bytes.clone().try_acquire_many_owned(self.cost(weight));
        let bytes = bytes.map_err(|_| NotQueued::Full)?;
        match self.items.try_reserve() {
            Ok(place) => Ok(Room { place, bytes }),
            Err(mpsc::error::TrySendError::Full(())) => Err(NotQueued::Full),
            Err(mpsc::error::TrySendError::Closed(())) => Err(NotQueued::Closed),
        }
    }

    /// The same, waiting while the queue is full.
    ///
    /// # Cancel safety
    /// If dropped before it is ready, it has taken nothing.
    pub(super) async fn room(&self, weight: usize) -> Result<Room<'_>, NotQueued> {
        let bytes = self
            .free_bytes
            .clone()
            .acquire_many_owned(self.cost(weight))
            .await;
        let bytes = bytes.map_err(|_| NotQueued::Closed)?;
        let place = self.items.reserve().await.map_err(|_| NotQueued::Closed)?;
        Ok(Room { place, bytes })
    }

    /// Whether the empty queue has room for so many notifications of so many bytes.
    pub(super) fn holds(&self, number: usize, bytes: usize) -> bool {
        number <= self.items.max_capacity() && bytes <= self.capacity_bytes as usize
    }

    /// Room for as many at once, which the queue [holds](Self::holds), waiting while it is full.
    ///
    /// # Cancel safety
    /// If dropped before it is ready, it has taken nothing.
    pub(super) async fn rooms(&self, number: usize, bytes: usize) -> Result<Rooms<'_>, NotQueued> {
        let capacity_bytes = self.capacity_bytes;
        let bytes = self.free_bytes.clone().acquire_many_owned(self.cost(bytes)).await;
        let bytes = bytes.map_err(|_| NotQueued::Closed)?;
        let places = self.items.reserve_many(number).await;
        let places = places.map_err(|_| NotQueued::Closed)?;
        Ok(Rooms {
            places,
            bytes,
            capacity_bytes,
        })
    }

    /// The same, if there is room now.
    pub(super) fn try_rooms(&self, number: usize, bytes: usize) -> Result<Rooms<'_>, NotQueued> {
        let free = self.free_bytes.clone();
        let bytes = free.try_acquire_many_owned(self.cost(bytes));
        let bytes = bytes.map_err(|_| NotQueued::Full)?;
        match self.items.try_reserve_many(number) {
            Ok(places) => Ok(Rooms {
                places,
                bytes,
                capacity_bytes: self.capacity_bytes,
            }),
            Err(mpsc::error::TrySendError::Full(())) => Err(NotQueued::Full),
            Err(mpsc::error::TrySendError::Closed(())) => Err(NotQueued::Closed),
        }
    }

    fn cost(&self, weight: usize) -> u32 {
        cost(weight, self.capacity_bytes)
    }
}

fn cost(weight: usize, capacity_bytes: u32) -> u32 {
    u32::try_from(weight).unwrap_or(u32::MAX).min(capacity_bytes)
}

impl Rooms<'_> {
    /// Queues `envelope`, as [`Room::put`] does. Called once for each weight that room was asked for.
    pub(super) fn put(&mut self, envelope: Arc<Envelope>) {
        let cost = cost(envelope.weight(), self.capacity_bytes) as usize;
        if let (Some(place), Some(_bytes)) = (self.places.next(), self.bytes.split(cost)) {
            place.send(Item { envelope, _bytes });
        }
    }
}

impl Room<'_> {
    /// Queues `envelope`, whose weight the room was asked for. The order of the queue is the order of these calls.
    pub(super) fn put(self, envelope: Arc<Envelope>) {
        let _bytes = self.bytes;
        self.place.send(Item { envelope, _bytes });
    }
}

impl QueueStream {
    /// Counts the notifications that were stale when the reader reached them.
    pub(super) fn expired(&self) -> Arc<AtomicU64> {
        self.expired.clone()
    }
}

impl Stream for QueueStream {
    type Item = Incoming;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        loop {
            let Some(Item { envelope, .. }) = std::task::ready!(self.items.poll_recv(cx)) else {
                return Poll::Ready(None);
            };
            if envelope.expires_at_ms.is_none() || !envelope.is_expired(unix_ms()) {
                return Poll::Ready(Some(Incoming::Notification(envelope)));
            }
            self.expired.fetch_add(1, Ordering::Relaxed);
            // Whoever subscribes behind it must not wait for it.
            if let Some(position) = envelope.position {
                let kind = Kind::of(&envelope.target);
                return Poll::Ready(Some(Incoming::Passed(kind, position)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;
    use crate::destination::{Path, Target};
    use crate::envelope::Position;

    fn envelope(body_bytes: usize) -> Envelope {
        Envelope::new(
            Target::Broadcast(Path::parse("/queue/x").unwrap()),
            vec![0; body_bytes],
        )
    }

    #[tokio::test]
    async fn bounded_by_messages_and_by_bytes() {
        let (sender, mut stream) = queue(2, 10_000);
        assert_eq!(sender.try_push(envelope(0)), Ok(()));
        assert_eq!(sender.try_push(envelope(0)), Ok(()));
        assert_eq!(sender.try_push(envelope(0)), Err(NotQueued::Full));
        stream.next().await.unwrap();
        stream.next().await.unwrap();
        // Larger than the whole queue: fits an empty one, and nothing beside it.
        assert_eq!(sender.try_push(envelope(20_000)), Ok(()));
        assert_eq!(sender.try_push(envelope(0)), Err(NotQueued::Full));
        let weight = envelope(0).weight();
        assert!(sender.room(weight).now_or_never().is_none());
        stream.next().await.unwrap();
        sender.room(weight).await.ok().unwrap().put(Arc::new(envelope(0)));
        drop(stream);
        assert_eq!(sender.room(weight).await.err(), Some(NotQueued::Closed));
    }

    #[tokio::test]
    async fn stale_notifications_are_dropped_and_counted() {
        let (sender, mut stream) = queue(8, 10_000);
        let expired = stream.expired();
        let mut stale = envelope(1);
        stale.expires_at_ms = Some(1);
        let fresh = envelope(2);
        sender.try_push(stale.clone()).unwrap();
        sender.try_push(fresh.clone()).unwrap();
        assert_eq!(stream.next().await, Some(Incoming::Notification(fresh.into())));
        assert_eq!(expired.load(Ordering::Relaxed), 1);
        // What has a position is not passed over in silence.
        let position = Position {
            epoch: 1,
            sequence: 2,
        };
        stale.position = Some(position);
        sender.try_push(stale).unwrap();
        assert_eq!(
            stream.next().await,
            Some(Incoming::Passed(Kind::Broadcast, position))
        );
        drop(sender);
        assert_eq!(stream.next().await, None);
    }
}
