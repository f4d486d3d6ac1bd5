//! The queue from the reader of one kept stream to the relay, in the stream's order: notifications, and the signals
//! that belong between them. Bounded by bytes. Knows no NATS and no session.
//!
//! The reader asks for room first, and decides itself what to do if there is none: nothing is ever dropped here.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::bus::history::Position;
use crate::bus::reader::Broken;
use crate::envelope::{Envelope, OVERHEAD_BYTES, unix_ms};

/// Words without bytes of their own that fit in addition.
const WORDS: usize = 64;

/// One step of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fed {
    /// A notification, with its position.
    Notification(Arc<Envelope>),
    /// What is stored here is not delivered: it cannot be decoded, or is stale. No loss.
    Passed(Position),
    /// Everything that the stream had when this instance began to read is in the tail: from here on subscriptions may be
    /// answered. Comes once, and first.
    CaughtUp(Position),
    /// What lies in front of this is lost for this instance, or the epoch changed: every subscription of the kind is cut.
    Broken(Broken),
}

/// The reader's end.
pub(crate) struct FeedSender {
    items: mpsc::Sender<Item>,
    free: Arc<Semaphore>,
    capacity: u32,
}

/// The relay's end. Ends, once read, when the sender is gone.
pub(crate) struct Feed {
    items: mpsc::Receiver<Item>,
    expired: Arc<AtomicU64>,
}

/// Room for one notification.
pub(crate) struct Room(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

struct Item {
    fed: Fed,
    _room: Option<Room>,
}

/// The relay is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

/// A feed of about `bytes`. One notification always fits into an empty one.
pub(crate) fn feed(bytes: usize) -> (FeedSender, Feed) {
    let capacity = u32::try_from(bytes.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
    // Every notification weighs more than this, so that its place is there where its bytes are.
    let places = (capacity as usize / OVERHEAD_BYTES).saturating_add(WORDS);
    let (sender, items) = mpsc::channel(places.min(Semaphore::MAX_PERMITS));
    let sender = FeedSender {
        items: sender,
        free: Arc::new(Semaphore::new(capacity as usize)),
        capacity,
    };
    let feed = Feed {
        items,
        expired: Arc::new(AtomicU64::new(0)),
    };
    (sender, feed)
}

impl FeedSender {
    /// Room for `bytes`, if there is now.
    pub(crate) fn room(&self, bytes: usize) -> Option<Room> {
        let permit = self.free.clone().try_acquire_many_owned(self.cost(bytes));
        permit.ok().map(Room)
    }

    /// Waits until there is room for `bytes`. Only one may wait, and who waits is the only one to take room.
    ///
    /// # Cancel safety
    /// Takes nothing.
    pub(crate) async fn has_room(&self, bytes: usize) {
        // Never closed.
        let _ = self.free.acquire_many(self.cost(bytes)).await;
    }

    /// Half of what fits, in bytes.
    pub(crate) fn half(&self) -> usize {
        self.capacity as usize / 2
    }

    /// Whether less than half is in use.
    pub(crate) fn is_under_half(&self) -> bool {
        self.free.available_permits() >= self.half().max(1)
    }

    /// Adds a step; a notification has room, a word needs none.
    pub(crate) async fn push(&self, fed: Fed, room: Option<Room>) -> Result<(), Closed> {
        let item = Item { fed, _room: room };
        self.items.send(item).await.map_err(|_| Closed)
    }

    fn cost(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.max(OVERHEAD_BYTES))
            .unwrap_or(u32::MAX)
            .min(self.capacity)
    }
}

impl Feed {
    /// Counts the notifications that were stale when the relay reached them.
    pub(crate) fn expired(&self) -> Arc<AtomicU64> {
        self.expired.clone()
    }
}

impl Stream for Feed {
    type Item = Fed;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Fed>> {
        let item = std::task::ready!(self.items.poll_recv(cx));
        Poll::Ready(item.map(|item| match item.fed {
            Fed::Notification(envelope) if envelope.is_expired(unix_ms()) => {
                self.expired.fetch_add(1, Ordering::Relaxed);
                Fed::Passed(envelope.position.unwrap_or_default())
            }
            fed => fed,
        }))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;
    use crate::destination::{Path, Target};

    fn notification(sequence: u64, expires_at_ms: Option<u64>) -> Fed {
        let mut envelope = Envelope::new(Target::Broadcast(Path::parse("/queue/x").unwrap()), "");
        envelope.position = Some(Position { epoch: 1, sequence });
        envelope.expires_at_ms = expires_at_ms;
        Fed::Notification(Arc::new(envelope))
    }

    #[tokio::test]
    async fn it_is_bounded_by_bytes_and_says_when_it_is_under_half() {
        let (sender, mut feed) = feed(10_000);
        assert!(sender.is_under_half());
        let large = sender.room(6_000).unwrap();
        assert!(!sender.is_under_half() && sender.room(6_000).is_none());
        let first = notification(1, None);
        sender.push(first.clone(), Some(large)).await.unwrap();
        assert!(sender.has_room(6_000).now_or_never().is_none());
        assert_eq!(feed.next().await, Some(first));
        assert!(sender.has_room(6_000).now_or_never().is_some() && sender.is_under_half());
        // Larger than the whole: fits an empty one, and nothing beside it.
        let huge = sender.room(20_000).unwrap();
        assert!(sender.room(0).is_none());
        drop(huge);
        drop(feed);
        assert_eq!(
            sender.push(Fed::Passed(Position::default()), None).await,
            Err(Closed)
        );
    }

    #[tokio::test]
    async fn what_is_stale_is_passed_and_the_order_stays() {
        let (sender, mut feed) = feed(10_000);
        let expired = feed.expired();
        for fed in [
            Fed::CaughtUp(Position {
                epoch: 1,
                sequence: 0,
            }),
            notification(1, Some(1)),
            Fed::Passed(Position {
                epoch: 1,
                sequence: 2,
            }),
        ] {
            sender.push(fed, sender.room(0)).await.unwrap();
        }
        drop(sender);
        let all: Vec<Fed> = feed.by_ref().collect().await;
        let passed = |sequence| Fed::Passed(Position { epoch: 1, sequence });
        assert_eq!(
            all,
            [
                Fed::CaughtUp(Position {
                    epoch: 1,
                    sequence: 0
                }),
                passed(1),
                passed(2)
            ]
        );
        assert_eq!(expired.load(Ordering::Relaxed), 1);
    }
}
