//! Notifications between a bus and the only reader of [`Bus::incoming`](super::Bus::incoming), bounded by messages
//! and by bytes. Does not know where they come from; whoever pushes decides what a full queue means.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::envelope::{Arrival, Envelope, unix_ms};

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
    envelope: Envelope,
    _bytes: OwnedSemaphorePermit,
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
        let cost = self.cost(&envelope);
        let permit = self.free_bytes.clone().try_acquire_many_owned(cost);
        let item = Item {
            envelope,
            _bytes: permit.map_err(|_| NotQueued::Full)?,
        };
        self.items.try_send(item).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotQueued::Full,
            mpsc::error::TrySendError::Closed(_) => NotQueued::Closed,
        })
    }

    /// Queues `envelope`, waiting while the queue is full.
    ///
    /// # Cancel safety
    /// If dropped before it is ready, it has queued nothing.
    pub(super) async fn push(&self, mut envelope: Envelope) -> Result<(), NotQueued> {
        let cost = self.cost(&envelope);
        // Including the wait for room, as on NATS it includes the wait in the queue.
        envelope.arrival = Arrival::now();
        let permit = self.free_bytes.clone().acquire_many_owned(cost).await;
        let item = Item {
            envelope,
            _bytes: permit.map_err(|_| NotQueued::Closed)?,
        };
        self.items.send(item).await.map_err(|_| NotQueued::Closed)
    }

    fn cost(&self, envelope: &Envelope) -> u32 {
        u32::try_from(envelope.weight())
            .unwrap_or(u32::MAX)
            .min(self.capacity_bytes)
    }
}

impl QueueStream {
    /// Counts the notifications that were stale when the reader reached them.
    pub(super) fn expired(&self) -> Arc<AtomicU64> {
        self.expired.clone()
    }
}

impl Stream for QueueStream {
    type Item = Envelope;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Envelope>> {
        loop {
            match std::task::ready!(self.items.poll_recv(cx)) {
                Some(item) if item.envelope.is_expired(unix_ms()) => {
                    self.expired.fetch_add(1, Ordering::Relaxed);
                }
                item => return Poll::Ready(item.map(|item| item.envelope)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;
    use crate::destination::{Path, Target};

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
        assert!(sender.push(envelope(0)).now_or_never().is_none());
        stream.next().await.unwrap();
        assert_eq!(sender.push(envelope(0)).await, Ok(()));
        drop(stream);
        assert_eq!(sender.push(envelope(0)).await, Err(NotQueued::Closed));
    }

    #[tokio::test]
    async fn stale_notifications_are_dropped_and_counted() {
        let (sender, mut stream) = queue(8, 10_000);
        let expired = stream.expired();
        let mut stale = envelope(1);
        stale.expires_at_ms = Some(1);
        let fresh = envelope(2);
        sender.try_push(stale).unwrap();
        sender.try_push(fresh.clone()).unwrap();
        assert_eq!(stream.next().await, Some(fresh));
        assert_eq!(expired.load(Ordering::Relaxed), 1);
        drop(sender);
        assert_eq!(stream.next().await, None);
    }
}
