//! The handle to the shards, through which all other modules use `delivery/`. It is the only part that waits, because a
//! full mailbox makes its sender wait. Cheap to clone. Knows no session's state and no session's socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, oneshot};

use super::command::{Command, Delivery, SessionKey, Whom};
use super::counters::{Counters, Stats};
use super::explain::Explained;
use super::heads::Head;
use super::interest::{Interest, SHARDS_MAX};
use super::ledger::Ledger;
use super::mailbox::Mailbox;
use super::outbox::{Outbox, TryWrite};
use super::sent::users::{UserSent, sum};
use super::sent::{By, keep_first};
use super::shard::{Setting, Shard};
use super::trail::Trail;
use crate::close_reason::CloseReason;
use crate::destination::{Path, Target};
use crate::envelope::{Envelope, Kept, Kind, Position, unix_ms};
use crate::limit::Limit;
use crate::principal::{Principal, UserName};

pub use super::command::{SenderView, SessionView};
pub use super::mailbox::Sending;
pub use session::SessionHandle;

use clock::start_clock;
use progress::Progress;

mod clock;
mod closing;
mod progress;
mod session;

/// What the registry takes from sections of the configuration other than its own [`super::Config`].
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
    /// `auth.token.remind`
    pub remind: Duration,
    /// `destinations.user_prefix`
    pub user_prefix: Path,
    /// The targets that history keeps. Call [`Registry::passed`] for both kinds before the first subscription.
    pub kept: Kept,
}

/// Sends commands to the shards and reads their counters.
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
    kept: Kept,
    progress: Progress,
    /// Notified when sessions have lost a subscription through a cut.
    cut: Notify,
}

impl Registry {
    /// Starts the threads of the shards and of the clock, which end when the last handle is dropped. `trail` observes
    /// deliveries.
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
                kept: settings.kept.clone(),
                grace_ticks: super::heartbeat::ticks_of(settings.hidden_tab_grace.as_millis() as u64),
                remind_ms: settings.remind.as_millis() as u64,
                unix_ms,
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
            kept: settings.kept,
            progress: Progress::default(),
            cut: Notify::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Delivers a notification to every shard that has a match; waits while a shard's mailbox is full or
    /// `limits.delivery_bytes` are in flight. Returns whether any session here may want it.
    ///
    /// Order: if a second call starts after the first has returned, every session gets its notification second. Each
    /// shard's mailbox keeps that order. Kept notifications come from one task for each kind, in the order of their
    /// positions.
    pub async fn deliver(&self, envelope: impl Into<Arc<Envelope>>) -> bool {
        self.hand_over(envelope.into(), false).await
    }

    /// Like `deliver`, for a notification that is not followed by another at once: it may be delivered when this returns.
    pub async fn deliver_alone(&self, envelope: impl Into<Arc<Envelope>>) -> bool {
        self.hand_over(envelope.into(), true).await
    }

    async fn hand_over(&self, mut envelope: Arc<Envelope>, alone: bool) -> bool {
        let inner = &*self.inner;
        // Starts before the index is asked for interest, and finishes when the last mailbox has it: see `heads`.
        let handing_over = envelope.stored_at();
        if let Some((kind, position)) = handing_over {
            inner.progress.begin(kind, position);
        }
        let shards = inner.interest.shards(&envelope.target);
        let is_wanted = !shards.is_empty();
        if is_wanted {
            inner.counters.matched.fetch_add(1, Ordering::Relaxed);
            let trail = match inner.records {
                true => inner.trail.notification(&mut envelope),
                false => None,
            };
            let bytes = u32::try_from(envelope.weight())
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
        } else {
            inner.counters.unmatched.fetch_add(1, Ordering::Relaxed);
        }
        if let Some((kind, position)) = handing_over {
            inner.progress.finish(kind, position);
        }
        is_wanted
    }

    /// There is nothing to deliver at `position`, or this instance starts after it.
    pub fn passed(&self, kind: Kind, position: Position) {
        self.inner.progress.begin(kind, position);
        self.inner.progress.finish(kind, position);
    }

    /// This instance has lost everything before `base`: every subscription of `kind` ends, and
    /// [`Registry::close_cut`] has to close its session.
    pub async fn cut(&self, kind: Kind, base: Position) {
        self.inner.progress.begin(kind, base);
        for shard in self.shards() {
            self.send(shard, Command::Cut(kind, base)).await;
        }
        // Only now, so that every shard has seen the new epoch before anybody reads it as delivered.
        self.inner.progress.finish(kind, base);
        self.inner.cut.notify_one();
    }

    /// Waits until [`Registry::cut`] has ended subscriptions. Only one task may wait.
    pub async fn was_cut(&self) {
        self.inner.cut.notified().await;
    }

    /// Closes about `count` of the sessions that lost a subscription by [`Registry::cut`]. Returns how many are left.
    pub async fn close_cut(&self, count: usize) -> usize {
        let each = count.div_ceil(self.inner.shards.len());
        let mut left = 0;
        for shard in self.shards() {
            let (sender, receiver) = oneshot::channel();
            let whom = Whom::Cut(each, sender);
            self.send(shard, Command::End(whom, CloseReason::HistoryGap))
                .await;
            left += receiver.await.unwrap_or(0);
        }
        left
    }

    /// Whether the start of a subscription to `target` is known. Always, if history does not keep `target`.
    pub(crate) fn has_begun(&self, target: &Target) -> bool {
        !self.inner.kept.holds(target) || self.head(Kind::of(target)).has_begun()
    }

    /// This instance's progress in `kind`.
    pub(crate) fn head(&self, kind: Kind) -> Head {
        self.inner.progress.head(kind)
    }

    /// Passes this instance's progress in `kind` to `is_enough`, now and after each change, until it returns `true`.
    pub(crate) async fn head_until(&self, kind: Kind, is_enough: impl FnMut(Head) -> bool) {
        self.inner.progress.until(kind, is_enough).await;
    }

    /// Whether a session of this instance may want it.
    pub fn is_wanted(&self, envelope: &Envelope) -> bool {
        !self.inner.interest.shards(&envelope.target).is_empty()
    }

    /// The sessions of `user` on this instance.
    pub async fn sessions_of(&self, user: &UserName) -> Vec<SessionView> {
        let mut views = Vec::new();
        for shard in self.inner.interest.shards_of_user(user).iter() {
            let user = user.clone();
            views.extend(self.ask(shard, move |shard| shard.sessions_of(&user)).await);
        }
        views
    }

    /// The sessions of this instance that have sent most, at most `most` of them. Walks every session, so use it rarely.
    pub async fn senders(&self, by: By, most: usize) -> Vec<SenderView> {
        let mut senders = Vec::new();
        for shard in self.shards() {
            senders.extend(self.ask(shard, move |shard| shard.senders(by, most)).await);
        }
        keep_first(&mut senders, by, most, |sender| sender.sent);
        senders
    }

    /// The users who have sent most on this instance, likewise: in open sessions and in those that ended lately.
    pub async fn sending_users(&self, by: By, most: usize) -> Vec<UserSent> {
        // A user's sessions are on several shards: who comes first on none of them may come first in all.
        let each = most.saturating_mul(10);
        let mut users = Vec::new();
        for shard in self.shards() {
            users.extend(self.ask(shard, move |shard| shard.sending_users(by, each)).await);
        }
        sum(users, by, most)
    }

    /// The user of the session with this id, if it is on this instance. Walks every session, so use it rarely.
    pub async fn user_of(&self, session: &str) -> Option<UserName> {
        let principal = self.principal_of(session).await?;
        Some(principal.user().clone())
    }

    /// The principal of the session with this id, likewise.
    pub async fn principal_of(&self, session: &str) -> Option<Principal> {
        for shard in self.shards() {
            let session: Box<str> = session.into();
            let found = self.ask(shard, move |shard| shard.principal_of(&session)).await;
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Which of this instance's sessions would get a notification to `target`, and why the others would not; at most `max`
    /// in each list. For a broadcast it walks every session, so use it rarely.
    pub async fn explain(&self, target: &Target, max: usize) -> Explained {
        let mut explained = Explained::default();
        for shard in self.shards() {
            let target = target.clone();
            let answer = self.ask(shard, move |shard| shard.explain(&target, max)).await;
            explained.add(answer, max);
        }
        explained
    }

    /// How long the oldest frame in any outbox has been waiting; zero if none waits. Walks every session.
    pub async fn oldest_waiting(&self) -> Duration {
        let mut oldest = Duration::ZERO;
        for shard in self.shards() {
            oldest = oldest.max(self.ask(shard, Shard::oldest_waiting).await);
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

    /// An outbox over `socket` for a connection that has not logged in yet.
    pub fn outbox(&self, socket: Arc<dyn TryWrite>) -> Arc<Outbox> {
        Arc::new(Outbox::new(
            socket,
            self.inner.outbox_bytes,
            self.inner.ledger.clone(),
        ))
    }

    /// A key for a connection that has not logged in yet. It determines the shard of the session.
    pub fn session(&self) -> SessionHandle {
        let key = self.inner.keys.fetch_add(1, Ordering::Relaxed);
        SessionHandle::new(self.clone(), SessionKey(key))
    }

    /// Completes when a shard has ended, which only an internal error causes.
    pub async fn failed(&self) {
        let ends = self.inner.shards.iter().map(|shard| Box::pin(shard.closed()));
        futures_util::future::select_all(ends).await;
    }

    fn shards(&self) -> std::ops::Range<usize> {
        0..self.inner.shards.len()
    }

    /// Asks one shard. The question is processed after everything already in its mailbox. If the shard has ended, the
    /// answer is the default.
    async fn ask<T: Default + Send + 'static>(
        &self,
        shard: usize,
        question: impl FnOnce(&Shard) -> T + Send + 'static,
    ) -> T {
        let (sender, receiver) = oneshot::channel();
        let ask = Box::new(move |shard: &Shard| {
            // It is not an error if nobody waits for the answer.
            let _ = sender.send(question(shard));
        });
        self.send(shard, Command::Ask(ask)).await;
        receiver.await.unwrap_or_default()
    }

    fn send(&self, shard: usize, command: Command) -> Sending {
        self.inner.shards[shard].send(command)
    }
}

#[cfg(test)]
mod tests;
