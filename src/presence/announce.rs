//! The list of online users for subscribers on this instance: created here, never sent over the bus. Knows the registry
//! by the two calls of [`Subscribers`].

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Config, Presence};
use crate::delivery::registry::Registry;
use crate::destination::{Path, Target};
use crate::envelope::Envelope;
use futures_util::future::BoxFuture;

/// The subscribers on this instance.
pub(super) trait Subscribers: Send + Sync {
    /// How many subscriptions `path` has.
    fn count(&self, path: &Path) -> usize;
    /// Delivers a notification to them.
    fn deliver(&self, envelope: Envelope) -> BoxFuture<'_, ()>;
}

impl Subscribers for Registry {
    fn count(&self, path: &Path) -> usize {
        self.subscribers(path)
    }

    fn deliver(&self, envelope: Envelope) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            Registry::deliver(self, envelope).await;
        })
    }
}

/// The pause after a list of `bytes` went to `subscribers`: `list_interval`, or longer if `list_bytes_per_second`
/// would otherwise be exceeded.
fn pause(config: &Config, bytes: usize, subscribers: usize) -> Duration {
    let sent = bytes as u64 as f64 * subscribers as u64 as f64;
    let rate = config.list_bytes_per_second.0.max(1) as f64;
    let paid = Duration::try_from_secs_f64(sent / rate).unwrap_or(Duration::MAX);
    paid.max(config.list_interval.0)
}

/// Sends the list to `path` after each change, the first at once, the next ones with pauses. What changes during a
/// pause is in the list at its end. Without subscribers nothing is made. Runs until it is dropped.
pub(super) async fn announce(presence: &Presence, path: &Path) {
    let mut changes = presence.changes();
    loop {
        if changes.changed().await.is_err() {
            return;
        }
        // Before the list is read: a later change wakes the loop again.
        changes.mark_unchanged();
        let subscribers = presence.subscribers.count(path);
        if subscribers == 0 {
            continue;
        }
        let list = presence.list();
        let bytes = list.len();
        let envelope =
            Envelope::new(Target::Broadcast(path.clone()), list).with_content_type("application/json");
        presence.subscribers.deliver(envelope).await;
        let pause = pause(&presence.config, bytes, subscribers);
        match Instant::now().checked_add(pause) {
            Some(end) => sleep_until(end).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_pays_for_the_bytes() {
        let config = Config::default();
        let check = |bytes, subscribers, expected| {
            assert_eq!(
                pause(&config, bytes, subscribers),
                expected,
                "{bytes} × {subscribers}"
            );
        };
        check(1_000, 10, Duration::from_secs(1));
        check(1 << 20, 8, Duration::from_secs(1));
        check(1 << 20, 80, Duration::from_secs(10));
        check(0, usize::MAX, Duration::from_secs(1));
        assert!(pause(&config, usize::MAX, usize::MAX) > Duration::from_secs(1 << 40));
    }
}
