//! Executes a SEND: a broadcast if permitted, a built-in route from the configuration, or a request to a backend. Answers
//! only go to the sender's session; a failure becomes a MESSAGE on the sender's `/user/queue/errors`.

use std::sync::Arc;

use tracing::info;

use super::action::{Refusal, Send, Step};
use super::context::Context;
use crate::bus::PublishError;
use crate::delivery::acks::Acks;
use crate::delivery::command::Acknowledgement;
use crate::delivery::registry::SessionHandle;
use crate::destination::{Destination, Path, Target};
use crate::envelope::{BrowserBaggage, Envelope};
use crate::principal::UserName;
use crate::publish::{Source, limit_of, words};
use crate::recent::Recent;
use crate::telemetry::trace::{Upstream, tracing_span};

mod answer;
mod batch;
mod built_in;
mod request;
mod routes;

pub(crate) use answer::note;
pub(crate) use request::InFlight;
pub(crate) use routes::{Config, Route};

/// The routes, ready to be served.
pub(crate) struct Application {
    /// `application.routes`
    pub routes: Vec<Route>,
    /// `application.errors`
    pub errors: Path,
    /// `application.time_zone`
    pub time_zone: jiff::tz::TimeZone,
    /// What of a reply's `baggage` the sender gets.
    pub baggage: BrowserBaggage,
    /// The newest bodies.
    pub recent: Arc<Recent>,
}

/// The sender.
#[derive(Clone, Copy)]
pub(crate) struct Sender<'a> {
    /// The session's user.
    pub user: &'a UserName,
    /// The session's id.
    pub session: &'a str,
    /// Whether its client may force a trace to be recorded (`tracing.trust`).
    pub trusted: bool,
    /// The session's link to its shard.
    pub key: &'a SessionHandle,
}

/// Whether the bus has accepted what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It has: a receipt may be sent.
    Yes,
    /// It has not, and a MESSAGE on the errors destination says so: no receipt.
    Reported,
}

/// Executes the steps of a transaction, in order. Where the bus can publish its SENDs as one batch, they go before the rest
/// and as a whole; else `Err`, an ERROR, says how many were executed.
pub(crate) async fn commit(
    context: &Arc<Context>,
    sender: Sender<'_>,
    acks: &Acks,
    steps: Vec<Step>,
    requests: &mut InFlight,
) -> Result<Accepted, Refusal> {
    let all = steps.len();
    let steps = match batch::publish(context, sender, steps).await {
        Ok(steps) => steps,
        Err(error) => {
            let message = match error {
                PublishError::Unknown => format!("COMMIT: {error}"),
                _ => format!("COMMIT: none of {all} frames went: {error}"),
            };
            return Err(Refusal::new(words(&error).close, message));
        }
    };
    let mut accepted = Accepted::Yes;
    let first = all - steps.len();
    for (gone, step) in (first..).zip(steps) {
        match step {
            Step::Acknowledge(ack) => acknowledge(sender.key, acks, ack).await,
            Step::Send(sent) => match send(context, sender, sent, requests).await {
                Ok(Accepted::Yes) => {}
                Ok(Accepted::Reported) => accepted = Accepted::Reported,
                Err(mut refusal) => {
                    refusal.message =
                        format!("COMMIT: {gone} of {all} frames went, then: {}", refusal.message);
                    return Err(refusal);
                }
            },
        }
    }
    Ok(accepted)
}

/// Executes an ACK or NACK. While no MESSAGE waits for one it does not reach the shard.
pub(crate) async fn acknowledge(key: &SessionHandle, acks: &Acks, ack: Acknowledgement) {
    match acks.can_settle() {
        true => key.acknowledge(ack).await,
        false => acks.miss(1),
    }
}

/// Executes one SEND. `Err`: an ERROR.
pub(crate) async fn send(
    context: &Arc<Context>,
    sender: Sender<'_>,
    mut send: Send,
    requests: &mut InFlight,
) -> Result<Accepted, Refusal> {
    let upstream = upstream(context, sender, &mut send);
    match &send.destination {
        Destination::Target(target) => {
            let mut envelope = envelope(target.clone(), send);
            let published = publish(context, &upstream, sender, &mut envelope).await;
            published.map_err(|error| Refusal::new(words(&error).close, format!("SEND: {error}")))?;
            Ok(Accepted::Yes)
        }
        Destination::Application(path) => {
            let path = path.clone();
            send.trace.clone_from(&upstream.context);
            let route = context
                .application
                .routes
                .iter()
                .find(|route| *route.path() == path);
            Ok(match route {
                Some(route) => built_in::serve(context, sender, &upstream, &send, route).await,
                None => request::request(context, sender, &upstream, send, path, requests).await,
            })
        }
    }
}

/// The decision about the trace of a SEND.
fn upstream(context: &Context, sender: Sender<'_>, send: &mut Send) -> Upstream {
    let trace = std::mem::take(&mut send.trace);
    context
        .tracer
        .decide(trace, sender.trusted, Some((sender.user, sender.session)))
}

/// What a SEND to `target` publishes.
fn envelope(target: Target, send: Send) -> Envelope {
    let mut envelope = Envelope::new(target, send.body);
    envelope.content_type = send.content_type;
    envelope.headers = send.headers;
    envelope.collapse = send.collapse;
    envelope
}

/// Publishes what a client sent, with its trace and counts.
async fn publish(
    context: &Context,
    upstream: &Upstream,
    sender: Sender<'_>,
    envelope: &mut Envelope,
) -> Result<(), PublishError> {
    let publisher = &context.publisher;
    let targets = [envelope.target.clone()];
    let mut publishing = publisher.begin(Source::Stomp, upstream, &targets, envelope);
    let outcome = publishing.hand_over(envelope, None).await;
    let refused = outcome.as_ref().err().map(|error| words(error).reason);
    if let Some(reason) = refused {
        let span = publishing.span();
        // If the SEND is not recorded here, the client's own trace is the one to look for.
        let trace_id = envelope.trace.trace_id().filter(|_| span.is_none());
        let limit = outcome.as_ref().err().and_then(limit_of);
        if let Some(left_out) = context.refused_frames.pass() {
            // Boxed, or the future of every SEND would have its size.
            let address = Box::pin(sender.key.address()).await.map(tracing::field::display);
            let (user, session) = (sender.user, sender.session);
            let (id, destination) = (&envelope.id, envelope.target.path().as_str());
            tracing_span(publishing.span()).in_scope(|| {
                info!(%user, address, session, destination, reason, limit, %id, trace_id, left_out, "a SEND was refused");
            });
        }
    }
    publisher.count(Source::Stomp, refused);
    outcome.map(drop)
}
