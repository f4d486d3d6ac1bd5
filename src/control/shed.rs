//! Moves sessions off an instance for an operator: closes a share of them in waves, and their clients reconnect where
//! the balancer sends them. Knows the registry by its handle, and no HTTP.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::question::{Question, Refused, operator};
use crate::close_reason::CloseReason;
use crate::delivery::registry::Registry;
use crate::telemetry::audit::Audit;
use crate::telemetry::audit::event::{Event, What};

/// The time between two waves.
const WAVE_INTERVAL: Duration = Duration::from_millis(100);

/// The shares that may be asked for, in percent.
pub(crate) const SHARES: std::ops::RangeInclusive<u8> = 1..=100;

/// Close a share of your sessions.
pub(crate) struct ShedSessions;

impl Question for ShedSessions {
    const KIND: &'static str = "sessions.shed";
    type Ask = Share;
    type Answer = Shedding;
}

/// How many of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Share {
    /// In percent, one of [`SHARES`].
    pub share: u8,
    /// The operator who asked for it, for the audit of the instance that does it.
    #[serde(deserialize_with = "operator")]
    pub by: String,
}

/// The answer: the first wave goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shedding {
    /// How many sessions will be closed. `None`: none, since the instance is closing a share already.
    pub sessions: Option<u64>,
    /// The time over which they are closed.
    pub over_ms: u64,
}

/// Takes what operators ask for, one at a time.
#[derive(Clone)]
pub(crate) struct Shedder {
    registry: Registry,
    spread: Duration,
    /// Held while a share is being closed: a second one is refused.
    turn: Arc<Semaphore>,
    orders: mpsc::Sender<Order>,
}

/// So many sessions.
struct Order {
    sessions: usize,
    _turn: OwnedSemaphorePermit,
}

/// What [`Shedder`] has taken, to be done by [`Shedding::run`].
pub(crate) struct Orders {
    registry: Registry,
    spread: Duration,
    taken: mpsc::Receiver<Order>,
}

/// Closes of `registry`'s sessions, each share spread over `spread`.
pub(crate) fn shedder(registry: &Registry, spread: Duration) -> (Shedder, Orders) {
    let (orders, taken) = mpsc::channel(1);
    let shedder = Shedder {
        registry: registry.clone(),
        spread,
        turn: Arc::new(Semaphore::new(1)),
        orders,
    };
    let registry = registry.clone();
    let orders = Orders {
        registry,
        spread,
        taken,
    };
    (shedder, orders)
}

impl Shedder {
    /// Answers [`ShedSessions`], and tells `audit`.
    pub(crate) fn register(&self, desk: &mut Desk, audit: &Audit) {
        let (shedder, audit) = (self.clone(), audit.clone());
        desk.answer::<ShedSessions, _>(move |order| std::future::ready(shedder.take(&order, &audit)));
    }

    fn take(&self, order: &Share, audit: &Audit) -> Result<Shedding, Refused> {
        if !SHARES.contains(&order.share) {
            return Err(Refused::Bound("a share is 1 to 100 %"));
        }
        let over_ms = u64::try_from(self.spread.as_millis()).unwrap_or(u64::MAX);
        let held = usize::try_from(self.registry.stats().sessions).unwrap_or(usize::MAX);
        let sessions = held.saturating_mul(order.share.into()).div_ceil(100);
        let taken = self.turn.clone().try_acquire_owned().ok().and_then(|turn| {
            let order = Order {
                sessions,
                _turn: turn,
            };
            self.orders.try_send(order).ok()
        });
        if taken.is_none() {
            return Ok(Shedding {
                sessions: None,
                over_ms,
            });
        }
        let what = What {
            share: Some(order.share),
            count: Some(sessions),
            ..What::default()
        };
        audit.done(Event::ShedSessions, &order.by, &what);
        Ok(Shedding {
            sessions: Some(sessions as u64),
            over_ms,
        })
    }
}

impl Orders {
    /// Does what is taken, until `background` ends.
    pub(crate) async fn run(mut self, background: CancellationToken) {
        let done = background.run_until_cancelled(async {
            while let Some(order) = self.taken.recv().await {
                close(&self.registry, order.sessions, self.spread).await;
            }
        });
        done.await;
    }
}

/// Closes so many sessions, picked at random, in waves over `spread`, so that their clients come back spread as well.
async fn close(registry: &Registry, sessions: usize, spread: Duration) {
    let waves = (spread.as_millis() / WAVE_INTERVAL.as_millis()).max(1);
    let per_wave = sessions
        .div_ceil(usize::try_from(waves).unwrap_or(usize::MAX))
        .max(1);
    tracing::info!(sessions, per_wave, "closing a share of the sessions");
    let mut left = sessions;
    while left > 0 {
        let closed = registry
            .close_exactly(per_wave.min(left), CloseReason::Shed)
            .await;
        if closed == 0 {
            return;
        }
        left = left.saturating_sub(closed);
        tokio::time::sleep(WAVE_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::question::keeps_the_wire;
    use super::*;

    #[test]
    fn old_and_new_instances_understand_each_other() {
        keeps_the_wire::<Share>(r#"{"share":20,"by":"key:ops"}"#);
        keeps_the_wire::<Shedding>(r#"{"sessions":12,"over_ms":5000}"#);
        keeps_the_wire::<Shedding>(r#"{"sessions":null,"over_ms":5000}"#);
    }

    #[tokio::test]
    async fn one_share_at_a_time_and_no_more_than_all() {
        let (audit, _guard, kept) = Audit::kept();
        let registry = crate::http::tests::registry();
        let (shedder, orders) = shedder(&registry, Duration::from_secs(5));
        let ask = |share| Share {
            share,
            by: "key:ops".into(),
        };
        for share in [0, 101, 255] {
            assert!(shedder.take(&ask(share), &audit).is_err(), "{share}");
        }
        let taken = |sessions| {
            Ok(Shedding {
                sessions,
                over_ms: 5_000,
            })
        };
        assert_eq!(shedder.take(&ask(100), &audit), taken(Some(0)));
        assert_eq!(
            shedder.take(&ask(1), &audit),
            taken(None),
            "the first is not done yet"
        );
        let ending = CancellationToken::new();
        let (turn, end) = (shedder.turn.clone(), ending.clone());
        let done = async move {
            let _turn = turn.acquire_owned().await;
            end.cancel();
        };
        tokio::join!(orders.run(ending), done);
        assert_eq!(
            shedder.take(&ask(1), &audit),
            taken(None),
            "nobody is there to do it"
        );
        let lines = kept.lines(1);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["event"], "shed-sessions");
        assert_eq!(lines[0]["what"], serde_json::json!({"count": 0, "share": 100}));
    }
}
