//! From the bus into this instance: notifications to `delivery/`. Knows no session, no socket, no STOMP and no control
//! message.

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt};
use tracing::error;

use crate::bus::{BoxStream, Incoming};
use crate::delivery::registry::Registry;
use crate::destination::Target;
use crate::envelope::{BrowserBaggage, Envelope};
use crate::presence::Presence;
use crate::recent::Recent;
use crate::tap::Tap;
use crate::task;
use crate::telemetry::metrics::{Metrics, Poison};

/// Where notifications go on this instance.
pub(crate) struct Relay {
    /// Its sessions.
    pub registry: Registry,
    /// The newest bodies.
    pub recent: Arc<Recent>,
    /// Samples, while somebody takes one.
    pub tap: Tap,
    /// Who is online.
    pub presence: Arc<Presence>,
    /// What of `baggage` sessions get.
    pub baggage: BrowserBaggage,
    /// Counts what reaches nobody, and what made its handling panic.
    pub metrics: Metrics,
}

impl Relay {
    /// Hands every notification to the sessions of this instance, in the bus's order; ends with the bus. A full shard makes
    /// this wait, and with it the bus. A notification that makes its handling panic is dropped, counted and named in the
    /// log: every instance gets it, and it must not end them all.
    pub(crate) async fn run(self, mut incoming: BoxStream<Incoming>) {
        let mut ahead = None;
        loop {
            let next = match ahead.take() {
                Some(next) => Some(next),
                None => incoming.next().await,
            };
            let Some(next) = next else { return };
            // If the stream has ended, it says so once more above.
            ahead = incoming.next().now_or_never().flatten();
            let envelope = match next {
                Incoming::Notification(envelope) => envelope,
                Incoming::Passed(kind, position) => {
                    self.registry.passed(kind, position);
                    continue;
                }
                Incoming::Broken(kind, base) => {
                    self.registry.cut(kind, base).await;
                    continue;
                }
            };
            let (id, stored) = (envelope.id.clone(), envelope.stored_at());
            let handling = self.hand_on(envelope, ahead.is_none());
            if task::caught(handling).await.is_err() {
                self.metrics.poisoned(Poison::Notification);
                error!(%id, "a notification was dropped: handling it panicked");
                // Whoever subscribes waits for what was begun.
                if let Some((kind, position)) = stored {
                    self.registry.passed(kind, position);
                }
            }
        }
    }

    /// Handles one notification; `is_alone` if no other one waits behind it.
    async fn hand_on(&self, mut envelope: Arc<Envelope>, is_alone: bool) {
        #[cfg(test)]
        task::faults::trip(&envelope.body);
        self.baggage.filter_in(&mut envelope);
        self.recent.record(&envelope);
        if self.tap.is_open() {
            self.tap.record(&envelope, self.registry.is_wanted(&envelope));
        }
        let user = match &envelope.target {
            Target::User { user, .. } => Some(user.clone()),
            Target::Broadcast(_) => None,
        };
        let is_wanted = match is_alone {
            true => self.registry.deliver_alone(envelope).await,
            false => self.registry.deliver(envelope).await,
        };
        // Nobody knows which anonymous sessions there are elsewhere.
        let user = user.filter(|user| !user.is_anonymous());
        if !is_wanted && user.is_some_and(|user| self.presence.counts_as_offline(&user)) {
            self.metrics.offline.inc();
        }
    }
}
