//! The way into a shard: a bounded queue of commands, which the shard's thread executes. There is one
//! exception: if a notification comes alone, for a user with few sessions, and nobody else uses the shard, the sender
//! delivers it itself, because waking the thread costs more than such a delivery (docs/performance.md). Knows no bus
//! and no runtime.
//!
//! **Order.** Commands leave the queue only under the shard's lock, the oldest first, and each is completed before
//! the lock is released. Only the shard's thread waits for that lock.
//!
//! **No command is left behind.** A sender that queues a command and does not see the queue empty afterwards, under
//! the lock, wakes the thread; the thread works until it sees the queue empty.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::Thread;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};

use super::command::{Command, Delivery};
use super::shard::{BATCH_MAX, Shard};

/// The most bytes of bodies taken out of the mailbox together.
const BATCH_MAX_BYTES: usize = 1 << 20;

/// A command on its way: already sent unless the mailbox was full, and then waiting for room. Two words, since an
/// idle session keeps the memory of every future that it may ever wait for.
#[must_use = "a full mailbox makes its sender wait"]
pub struct Sending(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Future for Sending {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            None => Poll::Ready(()),
            Some(waiting) => waiting.as_mut().poll(cx),
        }
    }
}

/// The senders' end. When the last one is dropped, the shard ends, and its thread with it.
pub(super) struct Mailbox {
    entrance: Entrance,
    shard: Arc<Mutex<Attended>>,
}

#[derive(Clone)]
struct Entrance {
    /// Dropped before `wake`, so that the thread sees that it was the last one.
    queue: mpsc::Sender<Command>,
    wake: Wake,
}

impl Entrance {
    /// Queues `command` once there is room. The thread is woken afterwards, when `self` is dropped, even if the
    /// sender gave up waiting.
    async fn send(self, command: Command) {
        // If a shard is gone, `closed` ends the process.
        let _ = self.queue.send(command).await;
    }
}

/// Wakes the shard's thread when it is dropped.
#[derive(Clone)]
struct Wake(Thread);

impl Drop for Wake {
    fn drop(&mut self) {
        self.0.unpark();
    }
}

/// The clock's end, which does not keep the shard alive.
pub(super) struct TickSender {
    queue: mpsc::WeakSender<Command>,
    thread: Thread,
}

/// A shard and the receiving end of its queue.
struct Attended {
    shard: Shard,
    queue: mpsc::Receiver<Command>,
    /// A command taken out of the queue and not begun yet.
    next: Option<Command>,
    batch: Vec<Arc<Delivery>>,
}

impl Mailbox {
    /// Starts the thread `name`, which serves `shard`. At most `capacity` commands wait for it.
    pub(super) fn start(shard: Shard, capacity: usize, name: String) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        let shard = Arc::new(Mutex::new(Attended {
            shard,
            queue: receiver,
            next: None,
            batch: Vec::with_capacity(BATCH_MAX),
        }));
        let own = shard.clone();
        let serve = move || {
            loop {
                let is_open = own.lock().work_off();
                if !is_open {
                    return;
                }
                std::thread::park();
            }
        };
        let thread = std::thread::Builder::new().name(name).spawn(serve)?;
        let entrance = Entrance {
            queue: sender,
            wake: Wake(thread.thread().clone()),
        };
        Ok(Self { entrance, shard })
    }

    /// Queues `command`; waits if the mailbox is full.
    pub(super) fn send(&self, command: Command) -> Sending {
        let sending = self.queue(command);
        self.entrance.wake.0.unpark();
        sending
    }

    /// The same for a notification that nothing follows at once: delivers it here if that is little work and nobody
    /// else is at the shard.
    pub(super) fn send_alone(&self, delivery: Arc<Delivery>) -> Sending {
        let sending = self.queue(Command::Deliver(delivery));
        let is_done = self
            .shard
            .try_lock()
            .is_some_and(|mut attended| attended.deliver_one());
        if !is_done {
            self.entrance.wake.0.unpark();
        }
        sending
    }

    fn queue(&self, command: Command) -> Sending {
        match self.entrance.queue.try_send(command) {
            Err(TrySendError::Full(command)) => Sending(Some(Box::pin(self.entrance.clone().send(command)))),
            Ok(()) | Err(TrySendError::Closed(_)) => Sending(None),
        }
    }

    /// Completes when the shard is gone.
    pub(super) async fn closed(&self) {
        self.entrance.queue.closed().await;
    }

    /// The clock's end.
    pub(super) fn tick_sender(&self) -> TickSender {
        TickSender {
            queue: self.entrance.queue.downgrade(),
            thread: self.entrance.wake.0.clone(),
        }
    }
}

impl TickSender {
    /// Tells the shard the time. Returns `false` if nobody else can reach it any more.
    pub(super) fn tick(&self, now: u32) -> bool {
        let Some(queue) = self.queue.upgrade() else {
            return false;
        };
        // If it is full, the next tick carries a later number and makes up for this one.
        let _ = queue.try_send(Command::Tick(now));
        drop(queue);
        self.thread.unpark();
        true
    }
}

impl Attended {
    /// Executes everything that waits. Returns `false` if every sender is gone.
    fn work_off(&mut self) -> bool {
        let guarded = CloseOnPanic(self);
        let Self {
            shard,
            queue,
            next,
            batch,
        } = &mut *guarded.0;
        loop {
            let command = match next.take().map_or_else(|| queue.try_recv(), Ok) {
                Ok(command) => command,
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            };
            if let Command::Deliver(delivery) = command {
                // Neighbours in the mailbox reach each session by one system call.
                let mut bytes = delivery.envelope.body.len();
                batch.push(delivery);
                while batch.len() < BATCH_MAX && bytes < BATCH_MAX_BYTES {
                    match queue.try_recv() {
                        Ok(Command::Deliver(delivery)) => {
                            bytes += delivery.envelope.body.len();
                            batch.push(delivery);
                        }
                        Ok(other) => {
                            *next = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                shard.deliver(batch);
                batch.clear();
            } else {
                shard.handle(command);
            }
            shard.end_doomed();
        }
    }

    /// Executes the oldest command if it is a small delivery. Returns `true` if nothing is left to do.
    fn deliver_one(&mut self) -> bool {
        let guarded = CloseOnPanic(self);
        let Self {
            shard, queue, next, ..
        } = &mut *guarded.0;
        if next.is_some() {
            return false;
        }
        match queue.try_recv() {
            Ok(Command::Deliver(delivery)) if shard.is_little(&delivery.envelope.target) => {
                shard.deliver(&[delivery]);
                shard.end_doomed();
            }
            Ok(other) => {
                *next = Some(other);
                return false;
            }
            Err(_) => {}
        }
        queue.is_empty()
    }
}

/// A shard that panicked must not be served any further: its senders see it closed, and the process ends.
struct CloseOnPanic<'a>(&'a mut Attended);

impl Drop for CloseOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.queue.close();
        }
    }
}
