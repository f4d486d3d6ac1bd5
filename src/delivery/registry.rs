//! The handle to the shards: every other module's way into `delivery/`, and all that waits in it: a full mailbox
//! makes its sender wait. Cheap to clone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, oneshot};

use super::command::{Acknowledgement, Command, Delivery, Join, SessionKey, Subscription, Which};
use super::counters::{Counters, Stats};
use super::explain::Explained;
use super::interest::{Interest, SHARDS_MAX};
use super::ledger::Ledger;
use super::mailbox::Mailbox;
use super::outbox::{Outbox, TryWrite};
use super::sending::Sending;
use super::shard::{Setting, Shard};
use super::trail::Trail;
use crate::close_reason::CloseReason;
use crate::destination::{Path, Target};
use crate::envelope::Envelope;
use crate::limit::Limit;
use crate::principal::UserName;

pub use super::command::SessionView;

use clock::start_clock;

mod clock;

/// What the registry takes from other sections of the configuration than its own [`super::Config`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// `limits.outbox_bytes`
    pub outbox_bytes: usize,
    /// `limits.outbox_total_bytes`
    pub outbox_total_bytes: usize,
    /// `limits.delivery_bytes`
    pub delivery_bytes: usize,
    /// `heartbeat.hidden_tab_grace`
    pub hidden_tab_grace: Duration,
    /// `destinations.user_prefix`
    pub user_prefix: Path,
}

/// Sends commands to the shards and reads what they count.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    shards: Vec<Mailbox>,
    interest: Arc<Interest>,
    counters: Arc<Counters>,
    ledger: Arc<Ledger>,
    clock: Arc<AtomicU32>,
    keys: AtomicU64,
    outbox_bytes: usize,
    trail: Arc<dyn Trail>,
    /// Whether `trail` records any notification.
    records: bool,
    delivery_bytes: u32,
    in_flight: Arc<Semaphore>,
}

impl Registry {
    /// Starts the shards' threads and the clock's, which end when the last handle is dropped. `trail` follows what is
    /// delivered.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(config: &super::Config, settings: Settings, trail: Arc<dyn Trail>) -> std::io::Result<Self> {
        let interest = Arc::new(Interest::default());
        let counters = Arc::new(Counters::default());
        let ledger = Arc::new(Ledger::new(settings.outbox_total_bytes, trail.clone()));
        // From 1, so that 0 is "before everything".
        let clock = Arc::new(AtomicU32::new(1));
        let mut shards = Vec::new();
        for index in 0..config.shards.clamp(1, SHARDS_MAX) {
            let shard = Shard::new(Setting {
                index,
                interest: interest.clone(),
                counters: counters.clone(),
                clock: clock.clone(),
                user_prefix: settings.user_prefix.clone(),
                grace_ticks: super::wheel::ticks_of(settings.hidden_tab_grace.as_millis() as u64),
                records: trail.records(),
                trail: trail.clone(),
            });
            let name = format!("herald-shard-{index}");
            shards.push(Mailbox::start(shard, config.mailbox, name)?);
        }
        start_clock(clock.clone(), shards.iter().map(Mailbox::tick_sender).collect())?;
        // A semaphore counts in u32; a limit above 4 GiB is no limit.
        let delivery_bytes = u32::try_from(settings.delivery_bytes)
            .unwrap_or(u32::MAX >> 4)
            .max(1);
        let inner = Inner {
            shards,
            interest,
            counters,
            ledger,
            clock,
            keys: AtomicU64::new(0),
            outbox_bytes: settings.outbox_bytes,
            records: trail.records(),
            trail,
            delivery_bytes,
            in_flight: Arc::new(Semaphore::new(delivery_bytes as usize)),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Hands a notification to every shard that has a match; waits where a shard's mailbox is full, or where
    /// `limits.delivery_bytes` are under way. Order: two calls, the second after the first returned, arrive in that
    /// order at every session (each shard's mailbox keeps it). Gives whether any session here may want it.
    pub async fn deliver(&self, envelope: Envelope) -> bool {
        self.hand_over(envelope, false).await
    }

    /// The same for a notification that no other follows at once: it may be delivered when this returns.
    pub async fn deliver_alone(&self, envelope: Envelope) -> bool {
        self.hand_over(envelope, true).await
    }

    async fn hand_over(&self, mut envelope: Envelope, alone: bool) -> bool {
        let inner = &*self.inner;
        let shards = inner.interest.shards(&envelope.target);
        if shards.is_empty() {
            inner.counters.unmatched.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        inner.counters.matched.fetch_add(1, Ordering::Relaxed);
        let trail = match inner.records {
            true => inner.trail.notification(&mut envelope),
            false => None,
        };
        let bytes = u32::try_from(envelope.body.len())
            .unwrap_or(u32::MAX)
            .clamp(1, inner.delivery_bytes);
        let room = inner.in_flight.clone();
        // The semaphore is never closed.
        let permit = match room.clone().try_acquire_many_owned(bytes) {
            Err(_) => {
                inner.trail.bound_reached(Limit::DeliveryBytes);
                room.acquire_many_owned(bytes).await.ok()
            }
            permit => permit.ok(),
        };
        let delivery = Arc::new(Delivery {
            envelope,
            trail,
            _permit: permit,
        });
        for shard in shards.iter() {
            match alone {
                true => inner.shards[shard].send_alone(delivery.clone()).await,
                false => self.send(shard, Command::Deliver(delivery.clone())).await,
            }
        }
        true
    }

    /// Whether a session here may want it.
    pub fn is_wanted(&self, envelope: &Envelope) -> bool {
        !self.inner.interest.shards(&envelope.target).is_empty()
    }

    /// Closes all sessions of `user` on this instance. Every shard is told: a session whose Join is still in a mailbox
    /// is in no index yet.
    pub async fn close_user(&self, user: &UserName, reason: CloseReason) {
        for shard in 0..self.inner.shards.len() {
            self.send(shard, Command::CloseUser(user.clone(), reason)).await;
        }
    }

    /// Closes all sessions on this instance whose principal `which` says yes to. Walks every session: for rare needs.
    pub async fn close_where(&self, which: Which, reason: CloseReason) {
        for shard in 0..self.inner.shards.len() {
            self.send(shard, Command::CloseWhere(which.clone(), reason)).await;
        }
    }

    /// Closes about `count` sessions, picked at random, with `reason`; gives how many are left.
    pub async fn close_some(&self, count: usize, reason: CloseReason) -> usize {
        let each = count.div_ceil(self.inner.shards.len());
        let mut left = 0;
        for shard in 0..self.inner.shards.len() {
            let (sender, receiver) = oneshot::channel();
            self.send(shard, Command::CloseSome(each, reason, sender)).await;
            left += receiver.await.unwrap_or(0);
        }
        left
    }

    /// The sessions of `user` on this instance.
    pub async fn sessions_of(&self, user: &UserName) -> Vec<SessionView> {
        let mut views = Vec::new();
        for shard in self.inner.interest.shards_of_user(user).iter() {
            let (sender, receiver) = oneshot::channel();
            self.send(shard, Command::Inspect(user.clone(), sender)).await;
            views.extend(receiver.await.unwrap_or_default());
        }
        views
    }

    /// Whose the session of this id is, if this instance holds it. Looks at every session: for rare needs.
    pub async fn user_of(&self, session: &str) -> Option<UserName> {
        for shard in 0..self.inner.shards.len() {
            let (sender, receiver) = oneshot::channel();
            self.send(shard, Command::UserOf(session.into(), sender)).await;
            if let Ok(Some(user)) = receiver.await {
                return Some(user);
            }
        }
        None
    }

    /// Who of this instance's sessions would get a notification to `target`, and why not the others; at most `max` in each
    /// list. Of a broadcast every session is looked at: for rare needs.
    pub async fn explain(&self, target: &Target, max: usize) -> Explained {
        let mut explained = Explained::default();
        for shard in 0..self.inner.shards.len() {
            let (sender, receiver) = oneshot::channel();
            let command = Command::Explain(target.clone(), max, sender);
            self.send(shard, command).await;
            explained.add(receiver.await.unwrap_or_default(), max);
        }
        explained
    }

    /// How long the oldest frame that waits in an outbox has waited; none waits: zero. Looks at every session that lags.
    pub async fn oldest_waiting(&self) -> Duration {
        let mut oldest = Duration::ZERO;
        for shard in 0..self.inner.shards.len() {
            let (sender, receiver) = oneshot::channel();
            self.send(shard, Command::OldestWaiting(sender)).await;
            oldest = oldest.max(receiver.await.unwrap_or_default());
        }
        oldest
    }

    /// How many subscriptions this instance has to a broadcast destination.
    pub fn subscribers(&self, path: &Path) -> usize {
        self.inner.interest.subscriptions(path)
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        Stats::of(&self.inner.counters, &self.inner.ledger)
    }

    /// An outbox over `socket` for a connection that has yet to log in.
    pub fn outbox(&self, socket: Arc<dyn TryWrite>) -> Arc<Outbox> {
        Arc::new(Outbox::new(
            socket,
            self.inner.outbox_bytes,
            self.inner.ledger.clone(),
        ))
    }

    /// A number for a connection that has yet to log in; its session will belong to the shard that this picks.
    pub fn session(&self) -> SessionHandle {
        let key = self.inner.keys.fetch_add(1, Ordering::Relaxed);
        SessionHandle {
            registry: self.clone(),
            key: SessionKey(key),
        }
    }

    /// Waits until a shard has ended, which only a fault of Herald's own brings about.
    pub async fn failed(&self) {
        let ends = self.inner.shards.iter().map(|shard| Box::pin(shard.closed()));
        futures_util::future::select_all(ends).await;
    }

    fn send(&self, shard: usize, command: Command) -> Sending {
        self.inner.shards[shard].send(command)
    }
}

/// One session's way to its shard. What it sends arrives in the order it was sent.
#[derive(Clone)]
pub struct SessionHandle {
    registry: Registry,
    key: SessionKey,
}

impl SessionHandle {
    /// Logs in: CONNECTED is written, and from here on the shard writes. What is published to the user from now on comes
    /// behind it.
    pub fn join(&self, join: Box<Join>) -> Sending {
        let interest = &self.registry.inner.interest;
        let coming = interest.announce_login(self.shard(), join.principal.user());
        self.send(Command::Join(self.key, join, Some(coming)))
    }

    /// Subscribes; `receipt` goes out before the first MESSAGE. What is published from now on reaches the subscription.
    pub fn subscribe(&self, subscription: Box<Subscription>, receipt: Option<Bytes>) -> Sending {
        let coming = match &subscription.target {
            Target::Broadcast(path) => Some(self.registry.inner.interest.announce(self.shard(), path)),
            // The session itself is in the index.
            Target::User { .. } => None,
        };
        self.send(Command::Subscribe(self.key, subscription, receipt, coming))
    }

    /// Ends the subscription `number`; `receipt` goes out after its last MESSAGE.
    pub fn unsubscribe(&self, number: u32, receipt: Option<Bytes>) -> Sending {
        self.send(Command::Unsubscribe(self.key, number, receipt))
    }

    /// Passes on an ACK or NACK.
    pub fn acknowledge(&self, ack: Acknowledgement) -> Sending {
        self.send(Command::Acknowledge(self.key, Box::new(ack)))
    }

    /// Writes whole WebSocket messages.
    pub fn say(&self, messages: Bytes) -> Sending {
        self.send(Command::Say(self.key, messages))
    }

    /// Delivers to this session alone what stands on its user's destination.
    pub fn deliver(&self, envelope: Envelope) -> Sending {
        self.send(Command::DeliverTo(self.key, Box::new(envelope)))
    }

    /// Hands the socket back: nothing waits any more.
    pub fn drained(&self) -> Sending {
        self.send(Command::Drained(self.key))
    }

    /// Ends the session behind its last messages.
    pub fn close(&self, reason: CloseReason, last_messages: Vec<Bytes>) -> Sending {
        self.send(Command::Close(self.key, reason, last_messages))
    }

    /// Says that the session's task is gone; no harm after a close.
    pub fn leave(&self) -> Sending {
        self.send(Command::Leave(self.key))
    }

    /// The registry's clock, in ticks, for [`super::ledger::Liveness`].
    pub fn now(&self) -> u32 {
        self.registry.inner.clock.load(Ordering::Relaxed)
    }

    fn shard(&self) -> usize {
        (self.key.0 % self.registry.inner.shards.len() as u64) as usize
    }

    fn send(&self, command: Command) -> Sending {
        self.registry.send(self.shard(), command)
    }
}

#[cfg(test)]
mod tests;
