//! Orders to disconnect a user that the bus has not confirmed: they are said again when it is back, for a minute, and with their age,
//! so that they end no session that is newer than they are. Knows the bus by its trait, and no HTTP.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::bus::{Bus, Health};
use crate::close_reason::CloseReason;
use crate::control::ask::{confirmed, tell};
use crate::control::desk::Desk;
use crate::control::question::{Refused, Statement, operator};
use crate::delivery::registry::Registry;
use crate::envelope::unix_ms;
use crate::instance::InstanceId;
use crate::principal::UserName;
use crate::telemetry::audit::Audit;
use crate::telemetry::audit::event::{Event, What};

/// For how long an order is said again.
const SAID_FOR: Duration = Duration::from_secs(60);
/// How many orders may wait. Beyond that, the oldest is forgotten.
const WAITING_MAX: usize = 1_024;
/// How often the bus is looked at while an order waits.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often a confirmed order is said again: other instances may come back to NATS later than this one.
const REPEAT_INTERVAL: Duration = Duration::from_secs(5);
/// How long the bus may take to confirm.
const CONFIRM: Duration = Duration::from_secs(1);
/// By how much longer ago an order may be than it is said for: what it spends on its way does not count.
const AGO_MAX_MS: u64 = 2 * SAID_FOR.as_millis() as u64;

/// To every instance: close this user's sessions with 4403 that are at least as old as this order. A kind of its own, since instances
/// that know no age would end newer sessions too. They ignore it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DisconnectAgain {
    /// The user.
    pub user: UserName,
    /// The operator who asked for it, for the logs of the instances that do it.
    #[serde(deserialize_with = "operator")]
    pub by: String,
    /// The instance that tells it, which has done it already.
    pub from: InstanceId,
    /// How long ago it was asked for, in ms: clocks are not compared.
    pub ago_ms: u64,
}

impl Statement for DisconnectAgain {
    const KIND: &'static str = "sessions.disconnect.again";
}

/// Obeys [`DisconnectAgain`], and tells `audit` if there is something to do, unless it comes from `own`.
pub(super) fn register(desk: &mut Desk, registry: &Registry, audit: &Audit, own: InstanceId) {
    let (registry, audit) = (registry.clone(), audit.clone());
    desk.listen(move |order: DisconnectAgain| {
        let (registry, audit) = (registry.clone(), audit.clone());
        async move {
            if order.ago_ms > AGO_MAX_MS {
                return Err(Refused::Bound("an order to disconnect that is too old"));
            }
            if order.from != own {
                order.obey(&registry, &audit).await;
            }
            Ok(())
        }
    });
}

impl DisconnectAgain {
    async fn obey(&self, registry: &Registry, audit: &Audit) {
        let since_ms = unix_ms().saturating_sub(self.ago_ms);
        let sessions = registry.sessions_of(&self.user).await;
        // Most instances have done it when it was said first.
        if sessions.iter().any(|session| session.since_ms <= since_ms) {
            audit.done(Event::DisconnectUser, &self.by, &What::user(self.user.as_str()));
            registry
                .close_user_since(&self.user, since_ms, CloseReason::Disconnected)
                .await;
        }
    }
}

/// The orders that wait. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Unconfirmed(Arc<Inner>);

#[derive(Default)]
struct Inner {
    orders: Mutex<VecDeque<Order>>,
    woken: Notify,
}

#[derive(Clone)]
struct Order {
    user: UserName,
    by: String,
    began: Instant,
    /// When the bus last confirmed it.
    told: Option<Instant>,
}

impl Order {
    fn is_due(&self) -> bool {
        self.told.is_none_or(|told| told.elapsed() >= REPEAT_INTERVAL)
    }

    fn statement(&self, own: InstanceId) -> DisconnectAgain {
        DisconnectAgain {
            user: self.user.clone(),
            by: self.by.clone(),
            from: own,
            ago_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Unconfirmed {
    /// Has it said again to the other instances that `user` is to be disconnected, as was asked at `began`.
    pub(crate) fn add(&self, user: UserName, by: String, began: Instant) {
        let forgotten = {
            let mut orders = self.0.orders.lock();
            // The newer one ends whatever the older one would.
            orders.retain(|order| order.user != user);
            let forgotten = match orders.len() >= WAITING_MAX {
                true => orders.pop_front(),
                false => None,
            };
            orders.push_back(Order {
                user,
                by,
                began,
                told: None,
            });
            forgotten
        };
        forgotten.iter().for_each(say_forgotten);
        self.0.woken.notify_one();
    }

    /// Says them until `shutdown`. Run it once.
    pub(crate) async fn run(self, bus: Arc<dyn Bus>, own: InstanceId, shutdown: CancellationToken) {
        let saying = async {
            loop {
                while self.0.orders.lock().is_empty() {
                    self.0.woken.notified().await;
                }
                self.forget_old();
                self.say(&*bus, own).await;
                sleep(LOOK_INTERVAL).await;
            }
        };
        shutdown.run_until_cancelled(saying).await;
        self.0.orders.lock().iter().for_each(say_forgotten);
    }

    fn forget_old(&self) {
        let mut old = Vec::new();
        let mut orders = self.0.orders.lock();
        while let Some(order) = orders.pop_front_if(|order| order.began.elapsed() >= SAID_FOR) {
            old.push(order);
        }
        drop(orders);
        old.iter().for_each(say_forgotten);
    }

    async fn say(&self, bus: &dyn Bus, own: InstanceId) {
        let orders = self.0.orders.lock().clone();
        let due: Vec<_> = orders.into_iter().filter(Order::is_due).collect();
        // Nothing is given to a connection that carries nothing.
        let is_there = *bus.health().borrow() == Health::Connected;
        if due.is_empty() || !is_there || !bus.flush(CONFIRM).await {
            return;
        }
        let telling = async {
            for order in &due {
                tell(bus, &order.statement(own)).await?;
            }
            Ok(())
        };
        if let Err(error) = confirmed(bus, CONFIRM, telling).await {
            tracing::debug!(%error, "the other instances may still not know whom to disconnect");
            return;
        }
        let now = Instant::now();
        for order in self.0.orders.lock().iter_mut() {
            let is_said = |said: &&Order| said.user == order.user && said.began == order.began;
            if due.iter().any(|said| is_said(&said)) {
                order.told = Some(now);
            }
        }
        let first = due.iter().filter(|order| order.told.is_none()).count();
        if first > 0 {
            tracing::info!(
                users = first,
                "the other instances are told again whom to disconnect"
            );
        }
    }
}

fn say_forgotten(order: &Order) {
    if order.told.is_none() {
        tracing::warn!(
            user = order.user.as_str(),
            "the other instances were not told to disconnect a user, who may still have sessions there: disconnect the user again"
        );
    }
}

#[cfg(test)]
mod tests;
