//! Measures the round trip of a question to an instance over the bus, so that nobody has to compare clocks. Every ten
//! seconds it asks this instance and some others. Knows the bus and presence; `relay` answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::bus::Bus;
use crate::instance::InstanceId;
use crate::presence::Presence;
use crate::telemetry::metrics::{Metrics, Peer};

/// The question. Its answer is empty: that it arrives is the answer.
pub const PROBE: &str = "probe.echo";

const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(2);
/// The number of other instances asked each time, picked at random. The cost of a probe must not grow with the square
/// of the cluster's size.
const OTHERS_MAX: usize = 8;

/// Asks until `shutdown`.
pub async fn probe(
    bus: Arc<dyn Bus>,
    presence: Arc<Presence>,
    own: InstanceId,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let mut asked: Vec<InstanceId> = presence
            .instances()
            .into_iter()
            .map(|instance| instance.id)
            .filter(|id| *id != own)
            .collect();
        fastrand::shuffle(&mut asked);
        asked.truncate(OTHERS_MAX);
        asked.push(own);
        let asks = asked.into_iter().map(|id| ask(&*bus, id));
        for (id, took) in join_all(asks).await {
            let peer = if id == own { Peer::Own } else { Peer::Other };
            metrics.probed(peer, took);
            if took.is_none() {
                tracing::debug!(instance = %id, "no answer to a probe over the bus");
            }
        }
    }
}

async fn ask(bus: &dyn Bus, id: InstanceId) -> (InstanceId, Option<Duration>) {
    let begun = Instant::now();
    let answer = bus.control_request(id, PROBE, Bytes::new(), TIMEOUT).await;
    (id, answer.is_ok().then(|| begun.elapsed()))
}
