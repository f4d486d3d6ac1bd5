//! How an instance comes to have what the others have: at its start, after each reconnect, and whenever a digest says that
//! somebody has something else. Knows the other instances by their digests.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::wire::{After, Behind};
use super::{Revocations, Unequal};
use crate::bus::Health;
use crate::control::ask::ask;
use crate::instance::InstanceId;
use crate::telemetry::audit::event::{Event, What};

/// How often revocations that have ended are forgotten, and the digest is told.
const INTERVAL: Duration = Duration::from_secs(30);
/// How often a new connection of the bus is looked for.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a new instance waits for the first other one to speak. If none does, there is none.
const ALONE: Duration = Duration::from_millis(500);
/// How long it waits for the others after the first.
const SETTLE: Duration = Duration::from_millis(50);
/// How long a new instance tries to learn from the others before it serves without.
const LEARN: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(2);
/// The most answers that are read of one instance.
const PAGES_MAX: usize = 10_000;

impl Revocations {
    /// Learns and tells until `shutdown`. Run it once.
    pub(crate) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let living = async {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.live() => {}
            }
        };
        tokio::join!(living, self.put_all(&shutdown));
    }

    async fn live(&self) {
        let is_shared = self.parts.bus.is_shared();
        if is_shared {
            self.begin().await;
        }
        self.ready.store(true, Ordering::Release);
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
                        self.announce(false).await;
                    }
                }
                _ = looks.tick() => {
                    let now = self.parts.bus.stats().reconnects;
                    if now != connection && self.announce(true).await {
                        connection = now;
                    }
                    if self.untold.load(Ordering::Acquire) && self.announce(false).await {
                        self.untold.store(false, Ordering::Release);
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
        loop {
            let told = self.announce(true).await;
            let woken = timeout(ALONE, self.until_heard()).await.is_ok();
            if woken {
                sleep(SETTLE).await;
                if self.pull().await {
                    return;
                }
            } else if told && self.parts.presence.others().is_empty() {
                return;
            }
            if begun.elapsed() > LEARN {
                tracing::warn!("no other instance has said which revocations it has: this one may lack some");
                return;
            }
        }
    }

    async fn until_heard(&self) {
        loop {
            let woken = self.woken.notified();
            if self.heard.lock().any {
                return;
            }
            woken.await;
        }
    }

    /// Asks everybody who has something else; whether all have answered.
    async fn pull(&self) -> bool {
        let unequal = std::mem::take(&mut self.heard.lock().unequal);
        let (mut all, mut learned) = (true, 0);
        for Unequal { instance, digests } in unequal {
            match self.ask(instance).await {
                Some(0) => self.heard.lock().was_vain(instance, digests),
                Some(new) => learned += new,
                None => all = false,
            }
        }
        // Whoever lacks what is here hears so, and asks.
        if learned > 0 {
            self.announce(false).await;
        }
        all
    }

    /// Learns everything that `instance` has; how much of it was new. `None`: it has not answered to the end.
    async fn ask(&self, instance: InstanceId) -> Option<usize> {
        let mut learned = 0;
        let all = self.ask_page_by_page(instance, &mut learned).await;
        if learned > 0 {
            let what = What {
                count: Some(learned),
                ..What::default()
            };
            self.parts
                .audit
                .done(Event::LearnRevocations, &instance.to_string(), &what);
        }
        all.then_some(learned)
    }

    async fn ask_page_by_page(&self, instance: InstanceId, learned: &mut usize) -> bool {
        let mut after = None;
        for _ in 0..PAGES_MAX {
            let asked = ask::<Behind>(&*self.parts.bus, instance, &After { after }, TIMEOUT).await;
            let answered = match asked {
                Ok(answered) => answered,
                Err(error) => {
                    tracing::debug!(%instance, %error, "an instance has not said which revocations it has");
                    return false;
                }
            };
            *learned += self.accept(answered.revocations.0).len();
            match answered.next {
                Some(next) if Some(next) > after => after = Some(next),
                _ => return true,
            }
        }
        false
    }
}
