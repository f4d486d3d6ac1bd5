//! Several notifications in one call: those that a file keeps are passed on together, in their order, so that few syncs
//! store them; all others are published one after the other. Knows no store.

use std::collections::VecDeque;

use super::disk::Disk;
use super::{Bus, EmbeddedBus};
use crate::bus::{Key, PublishError, Published};
use crate::envelope::Envelope;

/// Publishes `all`, each with its outcome. Once one is unavailable or unknown no further one is tried, so that the answer
/// comes in time.
pub(super) async fn publish_all(
    bus: &EmbeddedBus,
    all: &[(Envelope, Option<Key>)],
) -> Vec<Result<Published, PublishError>> {
    let (mut outcomes, mut under_way) = (Vec::with_capacity(all.len()), VecDeque::new());
    let mut is_over = false;
    for (envelope, key) in all {
        // Many on a bus that is always ready must not keep the thread to themselves.
        tokio::task::coop::consume_budget().await;
        let on_disk = bus.disk.as_ref().filter(|disk| disk.keeps(&envelope.target));
        let together = on_disk.map_or(0, Disk::together);
        // Handed over by this call if a file keeps it, else not before it is awaited.
        under_way.push_back(bus.publish_once(envelope, *key));
        while under_way.len() > together
            && let Some(first) = under_way.pop_front()
        {
            let outcome = first.await;
            is_over |= matches!(outcome, Err(PublishError::Unavailable | PublishError::Unknown));
            outcomes.push(outcome);
        }
        if is_over {
            break;
        }
    }
    for rest in under_way {
        outcomes.push(rest.await);
    }
    outcomes.resize_with(all.len(), || Err(PublishError::Unavailable));
    outcomes
}
