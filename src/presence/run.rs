//! Gives the view the time and carries out its decisions: the only task that publishes for presence.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::Presence;
use super::protocol::{Snapshot, SnapshotReply};
use super::view::{Ask, Moment, Output};
use crate::bus::{Health, PublishError};
use crate::control::ask::{NoAnswer, ask, tell};
use crate::control::question::Question;
use crate::envelope::unix_ms;
use futures_util::future::BoxFuture;

/// How long another instance may take to answer with one page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long saying goodbye may take. What is not said by then the survivors learn from this instance's silence.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);
/// The shortest effective `presence.batch`.
const BATCH_MIN: Duration = Duration::from_millis(10);

type Answers<'a> = FuturesUnordered<BoxFuture<'a, (Ask, Option<SnapshotReply>)>>;

/// Runs until `shutdown`, then says goodbye.
pub(super) async fn drive(presence: &Presence, shutdown: CancellationToken) {
    let mut ticks = interval(presence.config.batch.0.max(BATCH_MIN));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut health = presence.bus.health();
    let mut health_ended = false;
    let mut unsent = VecDeque::new();
    let mut answers: Answers<'_> = FuturesUnordered::new();
    let mut others = 0;
    loop {
        let mut due = false;
        tokio::select! {
            () = shutdown.cancelled() => break,
            changed = health.changed(), if !health_ended => health_ended = changed.is_err(),
            Some((ask, reply)) = answers.next() => {
                let now = presence.now();
                presence.with_view(|view| view.answered(now, &ask, reply));
            }
            _ = ticks.tick() => due = true,
        }
        let connection = connection(presence, *health.borrow_and_update());
        let now = presence.now();
        presence.with_view(|view| view.connected(now, connection));
        if connection.is_none() {
            continue;
        }
        // What could not be sent goes first: the view says nothing new before all of it is out.
        if due && send(presence, &mut unsent).await {
            let at = moment(presence);
            unsent.extend(presence.with_view(|view| view.tick(at)));
            send(presence, &mut unsent).await;
        }
        let now = presence.now();
        for ask in presence.with_view(|view| view.asks(now)) {
            answers.push(Box::pin(fetch(presence, ask)));
        }
        presence.snapshots.lock().forget(now);
        let seen = presence.with_view(|view| view.others());
        if std::mem::replace(&mut others, seen) != seen {
            presence.bus.others(seen);
        }
    }
    drop(answers);
    leave(presence, unsent).await;
}

/// The number of the current bus connection. A connection lost and regained between two looks counts as another one.
fn connection(presence: &Presence, health: Health) -> Option<u64> {
    (health == Health::Connected).then(|| presence.bus.stats().reconnects)
}

fn moment(presence: &Presence) -> Moment {
    Moment {
        now: presence.now(),
        unix_ms: unix_ms(),
        page_bytes: presence.page_bytes(),
    }
}

async fn leave(presence: &Presence, mut unsent: VecDeque<Output>) {
    if *presence.bus.health().borrow() == Health::Disconnected {
        tracing::info!("no goodbye from presence: the bus is not connected");
        return;
    }
    let at = moment(presence);
    unsent.extend(presence.with_view(|view| view.leave(at)));
    let said = timeout(GOODBYE_TIMEOUT, async {
        while !send(presence, &mut unsent).await {
            tokio::time::sleep(presence.config.batch.0.max(BATCH_MIN)).await;
        }
    });
    if said.await.is_err() {
        tracing::warn!(
            unsaid = unsent.len(),
            "presence could not say goodbye; the others will notice the silence"
        );
    }
}

/// Sends from the front, and returns whether everything is sent. What the bus refuses for the moment stays in front.
async fn send(presence: &Presence, unsent: &mut VecDeque<Output>) -> bool {
    while let Some(output) = unsent.front() {
        match publish(presence, output).await {
            Ok(()) => {}
            Err(error @ PublishError::TooLarge { .. }) => {
                tracing::error!(%error, "the bus does not take a presence message");
            }
            Err(_) => return false,
        }
        unsent.pop_front();
    }
    true
}

async fn publish(presence: &Presence, output: &Output) -> Result<(), PublishError> {
    let bus = &*presence.bus;
    match output {
        Output::Event(event) => bus.publish_user_event(event).await,
        Output::Changes(changes) => tell(bus, changes).await,
        Output::Digest(digest) => tell(bus, digest).await,
        Output::Departed(departed) => tell(bus, departed).await,
        Output::Goodbye(goodbye) => tell(bus, goodbye).await,
    }
}

async fn fetch(presence: &Presence, fetched: Ask) -> (Ask, Option<SnapshotReply>) {
    let asked = ask::<Snapshot>(&*presence.bus, fetched.instance, &fetched.request, PAGE_TIMEOUT);
    let reply = asked.await.inspect_err(|error| match error {
        NoAnswer::Unreadable(refused) => {
            presence.complaints.refused(Snapshot::KIND, *refused);
        }
        NoAnswer::Bus(error) => {
            tracing::debug!(instance = %fetched.instance, %error, "no presence snapshot");
        }
    });
    (fetched, reply.ok())
}
