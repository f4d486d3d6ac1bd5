//! How an instance gets the revocations of the others: at its start, after each reconnect, and whenever a digest shows
//! a difference. Knows the other instances by their digests.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::standing;
use super::wire::{After, Behind};
use super::{ANSWER_MAX, Compared, ONE_MAX_BYTES, Revocations, Unequal};
use crate::bus::{Health, Listening};
use crate::control::ask::ask;
use crate::instance::InstanceId;
use crate::telemetry::audit::event::{Event, What};

/// How often revocations that have ended are forgotten, and the digest is told.
const INTERVAL: Duration = Duration::from_secs(30);
/// How often a new connection of the bus is looked for, and an instance that lacks something asks again.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often a new instance asks the others what they have.
const ASK_INTERVAL: Duration = Duration::from_millis(500);
/// How long a new instance waits for one that is whole before it serves without.
const LEARN: Duration = Duration::from_secs(5);
/// How long it may learn in all, where somebody answers until then.
const LEARN_ALL: Duration = Duration::from_secs(10);
/// How many instances are asked at the same time, and the most that a new instance asks before it looks again.
pub(super) const ASKED_AT_ONCE: usize = 8;
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long all that are asked at once may take in all, whatever they answer: nothing else is done meanwhile.
const PULL: Duration = Duration::from_secs(20);

impl Revocations {
    /// Learns and tells until `shutdown`, and puts in force what operators revoke. Run it once.
    pub(crate) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let living = async {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.live() => {}
            }
        };
        tokio::join!(living, self.put_all(&shutdown));
        self.say_untold();
    }

    async fn live(&self) {
        let is_shared = self.parts.bus.is_shared();
        match is_shared {
            true => self.begin().await,
            false => self.standing.lock().hear(standing::Heard::Nobody),
        }
        let (mut ticks, mut looks) = (interval(INTERVAL), interval(LOOK_INTERVAL));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut connection = self.parts.bus.stats().reconnects;
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    self.here().expire();
                    self.parts.keeper.make_up();
                    if is_shared {
                        self.announce(Compared::WhatLasts, false).await;
                    }
                }
                _ = looks.tick(), if is_shared => {
                    let now = self.parts.bus.stats().reconnects;
                    if now != connection && self.announce(Compared::Everything, true).await {
                        connection = now;
                    }
                    self.make_up().await;
                    if !self.is_whole() {
                        self.look_for_one().await;
                    }
                }
                () = self.woken.notified() => {
                    self.pull().await;
                }
            }
        }
    }

    /// Learns what the others have, as far as there are any.
    async fn begin(&self) {
        let mut health = self.parts.bus.health();
        // An error means that the bus is gone; the instance ends by itself then.
        let _ = health.wait_for(|health| *health == Health::Connected).await;
        let begun = Instant::now();
        let learning = async {
            let mut next = begun;
            while begun.elapsed() < LEARN {
                // Not as often as somebody says something: everybody answers each question.
                if Instant::now() >= next {
                    self.look_for_one().await;
                    next = Instant::now() + ASK_INTERVAL;
                }
                // Nothing is lost if nobody says anything: it asks again.
                let _ = timeout_at(next, self.woken.notified()).await;
                self.pull().await;
                if self.is_whole() {
                    return;
                }
            }
        };
        let _ = timeout(LEARN_ALL, learning).await;
        if !self.is_whole() {
            tracing::warn!(
                "no other instance has said all that is revoked: this one serves, and may lack some"
            );
        }
        self.standing.lock().hear(standing::Heard::Late);
    }

    /// Asks everybody for a digest, unless there is nobody to wait for.
    async fn look_for_one(&self) {
        let found = self.parts.bus.who_listens().await;
        let is_nobody = self.standing.lock().finds(found);
        if is_nobody {
            if found == Some(Listening::Listener) {
                tracing::info!(
                    "somebody listens to all subjects of NATS, and no instance answers: nobody has more revocations"
                );
            }
            self.hear_of_others(standing::Heard::Nobody).await;
        } else if !self.announce(Compared::Everything, true).await {
            self.standing.lock().not_asked();
        }
    }

    async fn hear_of_others(&self, heard: standing::Heard) {
        let is_whole = {
            let mut standing = self.standing.lock();
            standing.hear(heard);
            standing.is_whole()
        };
        if is_whole && !self.is_found.swap(true, Ordering::AcqRel) {
            self.parts.bus.be_found().await;
        }
    }

    /// Asks everybody who has something else, some at once: those who do not answer hold up nobody who does.
    pub(super) async fn pull(&self) {
        let (unequal, is_equal_to_whole) = {
            let mut heard = self.heard.lock();
            (
                std::mem::take(&mut heard.unequal),
                std::mem::take(&mut heard.is_equal_to_whole),
            )
        };
        if is_equal_to_whole {
            self.hear_of_others(standing::Heard::All { is_whole: true }).await;
        }
        let learned = Learned::by(self);
        if timeout(PULL, self.ask_some(unequal, &learned)).await.is_err() {
            tracing::warn!(
                "other instances have not said in time which revocations they have: they are asked again"
            );
        }
        // Whoever lacks what is here hears so, and asks.
        if learned.has_some() {
            self.announce(Compared::Everything, false).await;
        }
    }

    async fn ask_some(&self, unequal: Vec<Unequal>, learned: &Learned<'_>) {
        let is_new = !self.is_ready();
        let asking = self.choose(unequal, is_new).into_iter().map(async |one| {
            let answered = self.ask_page_by_page(one.instance, learned).await;
            (one, answered)
        });
        let mut asking = pin!(stream::iter(asking).buffer_unordered(ASKED_AT_ONCE));
        while let Some((one, answered)) = asking.next().await {
            let Some(Answers { new, refused }) = answered else {
                continue;
            };
            if new == 0 {
                self.heard.lock().was_vain(one.instance, one.digests);
            }
            // What found no room here is not here: nobody else may learn from this instance that it has all.
            let is_whole = one.is_whole && refused == 0;
            self.hear_of_others(standing::Heard::All { is_whole }).await;
            if is_new && self.is_whole() {
                return;
            }
        }
    }

    /// Whom to ask, in this order. Without a control key anybody can pass for any number of instances, so a new instance asks few, and
    /// where presence knows others, nobody else: the others say again what they have when it asks next.
    fn choose(&self, mut unequal: Vec<Unequal>, is_new: bool) -> Vec<Unequal> {
        if unequal.is_empty() {
            return unequal;
        }
        let known = (self.parts.known)();
        let is_known = |one: &Unequal| known.contains(&one.instance);
        unequal.sort_by_key(|one| (!is_known(one), !one.is_whole));
        if is_new {
            if !known.is_empty() {
                unequal.retain(is_known);
            }
            unequal.truncate(ASKED_AT_ONCE);
        }
        unequal
    }

    /// The most answers that one instance can need for all that there is room for, however few of them one carries.
    fn pages_max(&self) -> usize {
        let least = (self.page_bytes() / ONE_MAX_BYTES).clamp(1, ANSWER_MAX);
        self.here().room().div_ceil(least)
    }

    /// Learns everything that `instance` has. `None`: it has not answered to the end.
    async fn ask_page_by_page(&self, instance: InstanceId, learned: &Learned<'_>) -> Option<Answers> {
        let (mut answers, mut after) = (Answers::default(), None);
        for _ in 0..self.pages_max() {
            let asked = ask::<Behind>(&*self.parts.bus, instance, &After { after }, TIMEOUT).await;
            let answered = match asked {
                Ok(answered) => answered,
                Err(error) => {
                    tracing::debug!(%instance, %error, "an instance has not said which revocations it has");
                    return None;
                }
            };
            let accepted = self.accept(answered.revocations.0);
            learned.add(accepted.new.len());
            answers.new += accepted.new.len();
            answers.refused += accepted.refused;
            match answered.next {
                Some(next) if Some(next) > after => after = Some(next),
                _ => return Some(answers),
            }
        }
        None
    }
}

/// What came of one instance's revocations.
#[derive(Debug, Clone, Copy, Default)]
struct Answers {
    new: usize,
    /// They found no room.
    refused: usize,
}

/// How many revocations were new. The audit is told when this is dropped, wherever the asking was left.
struct Learned<'a> {
    by: &'a Revocations,
    new: AtomicUsize,
}

impl<'a> Learned<'a> {
    fn by(by: &'a Revocations) -> Self {
        let new = AtomicUsize::new(0);
        Self { by, new }
    }

    fn add(&self, new: usize) {
        self.new.fetch_add(new, Ordering::Relaxed);
    }

    fn has_some(&self) -> bool {
        self.new.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Learned<'_> {
    fn drop(&mut self) {
        if self.has_some() {
            let what = What {
                count: Some(self.new.load(Ordering::Relaxed)),
                ..What::default()
            };
            self.by.parts.audit.done(Event::LearnRevocations, "herald", &what);
        }
    }
}
