//! The SENDs of a transaction as one batch, if the bus supports it: all of them are published or none. Does not know
//! how a single SEND is published.

use super::{Sender, Step, envelope, upstream};
use crate::bus::PublishError;
use crate::destination::Destination;
use crate::publish::{Publishing, Source, words};
use crate::session::context::Context;

/// The most SENDs that go as one batch: as many as JetStream takes.
const SENDS_MAX: usize = 1_000;

/// Publishes the SENDs among `steps` as one batch, and gives the steps that are left to be executed: all of them where the
/// bus cannot publish these as one, or where it makes no difference.
///
/// # Errors
/// The bus took none of them.
pub(super) async fn publish(
    context: &Context,
    sender: Sender<'_>,
    steps: Vec<Step>,
) -> Result<Vec<Step>, PublishError> {
    let sends = steps.iter().filter_map(|step| match step {
        Step::Send(send) => Some(&send.destination),
        Step::Acknowledge(_) => None,
    });
    let is_target = |destination: &Destination| matches!(destination, Destination::Target(_));
    let are_targets = sends.clone().all(is_target);
    if !are_targets || !(2..=SENDS_MAX).contains(&sends.count()) || context.bus.history().is_none() {
        return Ok(steps);
    }
    let publisher = &context.publisher;
    let mut publishings: Vec<(Publishing<'_>, usize)> = Vec::new();
    let mut batch = Vec::new();
    for step in &steps {
        if let Step::Send(send) = step
            && let Destination::Target(target) = &send.destination
        {
            let mut send = send.clone();
            let upstream = upstream(context, sender, &mut send);
            let mut envelope = envelope(target.clone(), send);
            let targets = [target.clone()];
            publishings.push((
                publisher.begin(Source::Stomp, &upstream, &targets, &mut envelope),
                1,
            ));
            batch.push((envelope, None));
        }
    }
    match publisher.hand_over_all(&mut publishings, &batch).await {
        None => Ok(steps),
        Some(outcome) => {
            let refused = outcome.as_ref().err().map(|error| words(error).reason);
            for _ in &batch {
                publisher.count(Source::Stomp, refused);
            }
            if let Some(reason) = refused {
                tracing::info!(reason, sends = batch.len(), "a transaction was refused");
            }
            outcome?;
            let is_left = |step: &Step| matches!(step, Step::Acknowledge(_));
            Ok(steps.into_iter().filter(is_left).collect())
        }
    }
}
