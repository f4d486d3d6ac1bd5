//! Measures the round trip of a question to an instance over the bus, so that nobody has to compare clocks. Every ten
//! seconds it asks this instance and some others. Knows the bus and presence.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::bus::Bus;
use crate::control::ask::ask;
use crate::control::desk::Desk;
use crate::control::question::{Nothing, Question};
use crate::instance::InstanceId;
use crate::presence::Presence;
use crate::telemetry::metrics::{Metrics, Peer};

/// Are you there? The answer is empty: that it arrives is the answer.
pub(crate) struct Probe;

impl Question for Probe {
    const KIND: &'static str = "probe.echo";
    type Ask = Nothing;
    type Answer = Nothing;
}

/// Answers [`Probe`].
pub(crate) fn register(desk: &mut Desk) {
    desk.answer::<Probe, _>(|Nothing| std::future::ready(Ok(Nothing)));
}

const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(2);
/// The number of other instances asked each time, picked at random. The cost of a probe must not grow with the square
/// of the cluster's size.
const OTHERS_MAX: usize = 8;

/// Asks until `shutdown`.
pub(crate) async fn probe(
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
        let others = presence.others().into_iter();
        let mut asked: Vec<InstanceId> = others.map(|instance| instance.id).collect();
        fastrand::shuffle(&mut asked);
        asked.truncate(OTHERS_MAX);
        asked.push(own);
        let asks = asked.into_iter().map(|id| time(&*bus, id));
        for (id, took) in join_all(asks).await {
            let peer = if id == own { Peer::Own } else { Peer::Other };
            metrics.probed(peer, took);
            if took.is_none() {
                tracing::debug!(instance = %id, "no answer to a probe over the bus");
            }
        }
    }
}

async fn time(bus: &dyn Bus, id: InstanceId) -> (InstanceId, Option<Duration>) {
    let begun = Instant::now();
    let answer = ask::<Probe>(bus, id, &Nothing, TIMEOUT).await;
    (id, answer.is_ok().then(|| begun.elapsed()))
}
