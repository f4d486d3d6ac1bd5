//! What a SEND does: broadcasts by permission, built-in routes of the configuration, requests to backends. Answers go
//! to the sender's session alone; what fails becomes a MESSAGE on the sender's `/user/queue/errors`.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::Semaphore;
use tracing::info;

use super::action::{Refusal, Send, Step};
use super::context::Context;
use crate::bus::{AppReply, AppRequest, PublishError, RequestError};
use crate::chat_message::{self, chat_message};
use crate::close_reason::CloseReason;
use crate::delivery::registry::SessionHandle;
use crate::destination::{Destination, Path, Target};
use crate::envelope::Envelope;
use crate::limit::Limit;
use crate::principal::UserName;
use crate::recent::Recent;
use crate::telemetry::trace::{Span, Upstream};

mod routes;

pub use routes::{Config, Route};

/// The routes, ready to serve.
pub struct Application {
    /// `application.routes`
    pub routes: Vec<Route>,
    /// `application.errors`
    pub errors: Path,
    /// `application.time_zone`
    pub time_zone: jiff::tz::TimeZone,
    /// The newest bodies.
    pub recent: Arc<Recent>,
}

/// Who sends.
#[derive(Clone, Copy)]
pub struct Sender<'a> {
    /// The session's user.
    pub user: &'a UserName,
    /// The session's id.
    pub session: &'a str,
    /// Whether its client may have a trace recorded (`tracing.trust`).
    pub trusted: bool,
    /// The session's way to its shard.
    pub key: &'a SessionHandle,
}

/// The session's requests that wait for their reply; made when the first is sent.
#[derive(Default)]
pub struct InFlight(Option<Arc<Semaphore>>);

/// Whether the bus has what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It has: a receipt may go out.
    Yes,
    /// It has not, and a MESSAGE on the errors destination says so: no receipt.
    Reported,
}

/// Does what a transaction held, in its order. `Err`: ERROR, which says how many went.
pub async fn commit(
    context: &Arc<Context>,
    sender: Sender<'_>,
    steps: Vec<Step>,
    requests: &mut InFlight,
) -> Result<Accepted, Refusal> {
    let all = steps.len();
    let mut accepted = Accepted::Yes;
    for (gone, step) in steps.into_iter().enumerate() {
        match step {
            Step::Acknowledge(ack) => sender.key.acknowledge(ack).await,
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

/// Sends one SEND. `Err`: ERROR.
pub async fn send(
    context: &Arc<Context>,
    sender: Sender<'_>,
    mut send: Send,
    requests: &mut InFlight,
) -> Result<Accepted, Refusal> {
    let trace = std::mem::take(&mut send.trace);
    let upstream = context
        .tracer
        .decide(trace, sender.trusted, Some((sender.user, sender.session)));
    match &send.destination {
        Destination::Target(target) => {
            let mut envelope = Envelope::new(target.clone(), send.body);
            envelope.content_type = send.content_type;
            envelope.headers = send.headers;
            envelope.collapse = send.collapse;
            publish(context, &upstream, &mut envelope)
                .await
                .map_err(|error| {
                    let reason = match error {
                        PublishError::Unavailable => CloseReason::BusUnavailable,
                        PublishError::TooLarge { .. } => CloseReason::TooLarge,
                    };
                    Refusal::new(reason, format!("SEND: {error}"))
                })?;
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
            match route {
                Some(route) => built_in(context, sender, &upstream, &send, route).await,
                None => request(context, sender, &upstream, send, path, requests).await,
            }
        }
    }
}

async fn built_in(
    context: &Arc<Context>,
    sender: Sender<'_>,
    upstream: &Upstream,
    send: &Send,
    route: &Route,
) -> Result<Accepted, Refusal> {
    match route {
        Route::Broadcast { destination, .. } => {
            let Ok(message) = std::str::from_utf8(&send.body) else {
                let problem = Problem {
                    code: "bad_request",
                    message: "the body must be UTF-8 text".into(),
                };
                return Ok(report(context, sender, send, problem).await);
            };
            let now = jiff::Timestamp::now().to_zoned(context.application.time_zone.clone());
            let body = chat_message(message, sender.user.as_str(), &now);
            let mut envelope = Envelope::new(Target::Broadcast(destination.clone()), body)
                .with_content_type(chat_message::CONTENT_TYPE);
            match publish(context, upstream, &mut envelope).await {
                Ok(()) => Ok(Accepted::Yes),
                Err(error) => Ok(report(context, sender, send, Problem::of_publish(&error)).await),
            }
        }
        Route::Users { reply, .. } => {
            answer(sender, send, reply, context.presence.list()).await;
            Ok(Accepted::Yes)
        }
        Route::Recent {
            destination,
            count,
            reply,
            ..
        } => {
            answer(
                sender,
                send,
                reply,
                context.application.recent.as_json_array(destination, *count),
            )
            .await;
            Ok(Accepted::Yes)
        }
    }
}

/// Publishes what a client sent, traces and counts it.
async fn publish(
    context: &Context,
    upstream: &Upstream,
    envelope: &mut Envelope,
) -> Result<(), PublishError> {
    let begun = Instant::now();
    let targets = [envelope.target.clone()];
    let mut span = context.tracer.publish(upstream, &targets, envelope);
    let outcome = context.bus.publish(envelope).await;
    match &outcome {
        Ok(()) => {
            context.metrics.published.with_label_values(&["stomp"]).inc();
            let trace = envelope.trace.recorded_id();
            context.metrics.publish_stomp.observe(begun.elapsed(), trace);
        }
        Err(error) => {
            let reason = match error {
                PublishError::Unavailable => "bus_unavailable",
                PublishError::TooLarge { .. } => "too_large",
            };
            fail(&mut span, reason, error.to_string());
            info!(reason, id = %envelope.id,
                trace_id = envelope.trace.trace_id(), span_id = envelope.trace.recorded_span_id(),
                "a SEND was refused");
            context
                .metrics
                .publish_refused
                .with_label_values(&["stomp", reason])
                .inc();
        }
    }
    outcome
}

/// A request to a backend. A few may be under way; then the session's reading waits, and with it the client's TCP.
async fn request(
    context: &Arc<Context>,
    sender: Sender<'_>,
    upstream: &Upstream,
    mut send: Send,
    path: Path,
    requests: &mut InFlight,
) -> Result<Accepted, Refusal> {
    let permits = requests
        .0
        .get_or_insert_with(|| Arc::new(Semaphore::new(context.limits.requests_in_flight.max(1))));
    // The semaphore is never closed.
    if permits.available_permits() == 0 {
        context.metrics.limit_hit(Limit::RequestsInFlight);
    }
    let permit = permits.clone().acquire_owned().await.ok();
    let (trace, mut span) = context
        .tracer
        .request(upstream, &send.text, sender.session, send.body.len());
    send.trace = trace;
    let request = AppRequest {
        path: path.clone(),
        user: sender.user.clone(),
        session: sender.session.into(),
        instance: (*context.instance.name).into(),
        content_type: send.content_type.clone(),
        headers: send.headers.clone(),
        trace: send.trace.clone(),
        body: send.body.clone(),
    };
    let pending = match context.bus.request(&request).await {
        Ok(pending) => pending,
        Err(error) => {
            context.metrics.requests.with_label_values(&["unavailable"]).inc();
            fail(&mut span, "unavailable", error.to_string());
            return Ok(report(context, sender, &send, Problem::of_publish(&error)).await);
        }
    };
    let (context, user, session, key) = (
        context.clone(),
        sender.user.clone(),
        Box::<str>::from(sender.session),
        sender.key.clone(),
    );
    // Bounded by `limits.requests_in_flight` a session and by `bus.request_timeout`.
    tokio::spawn(async move {
        let sender = Sender {
            user: &user,
            session: &session,
            trusted: false,
            key: &key,
        };
        let outcome = pending.reply().await;
        let label = match &outcome {
            Ok(AppReply { error: None, .. }) => "ok",
            Ok(_) => "error",
            Err(RequestError::NoResponders) => "no_responders",
            Err(RequestError::Timeout) => "timeout",
            Err(RequestError::Unavailable) => "unavailable",
        };
        context.metrics.requests.with_label_values(&[label]).inc();
        match &outcome {
            Ok(AppReply { error: None, .. }) => {}
            Ok(AppReply { .. }) => fail(&mut span, label, "refused by the backend"),
            Err(error) => fail(&mut span, label, error.to_string()),
        }
        // The request is over; what follows is below it.
        drop(span);
        match outcome {
            Ok(AppReply {
                error: Some(message), ..
            }) => {
                let problem = Problem {
                    code: "backend_error",
                    message: message.into(),
                };
                report(&context, sender, &send, problem).await;
            }
            Ok(reply) => {
                let to = send
                    .reply_to
                    .clone()
                    .or_else(|| Path::parse(&format!("/queue{path}")).ok());
                let Some(to) = to else { return };
                let target = Target::User {
                    user: user.clone(),
                    path: to,
                };
                let mut envelope = Envelope::new(target, reply.body);
                envelope.content_type = reply.content_type;
                envelope.headers = match &send.correlation_id {
                    Some(id) => reply.headers.with("correlation-id", id),
                    None => reply.headers,
                };
                envelope.trace = match reply.trace.trace_id() == send.trace.trace_id() {
                    true => reply.trace,
                    false => send.trace.clone(),
                };
                key.deliver(envelope).await;
            }
            Err(error) => {
                report(
                    &context,
                    sender,
                    &send,
                    Problem {
                        code: label,
                        message: error.to_string(),
                    },
                )
                .await;
            }
        }
        drop(permit);
    });
    Ok(Accepted::Yes)
}

fn fail(span: &mut Option<Span>, kind: &'static str, words: impl Into<std::borrow::Cow<'static, str>>) {
    if let Some(span) = span {
        span.fail(kind, words);
    }
}

/// A JSON answer on one of the sender's user destinations.
async fn answer(sender: Sender<'_>, send: &Send, reply: &Path, body: Bytes) {
    let path = send.reply_to.as_ref().unwrap_or(reply).clone();
    let mut envelope = Envelope::new(
        Target::User {
            user: sender.user.clone(),
            path,
        },
        body,
    )
    .with_content_type("application/json");
    envelope.trace = send.trace.clone();
    if let Some(id) = &send.correlation_id {
        envelope.headers = envelope.headers.with("correlation-id", id);
    }
    sender.key.deliver(envelope).await;
}

struct Problem {
    code: &'static str,
    message: String,
}

impl Problem {
    fn of_publish(error: &PublishError) -> Self {
        let code = match error {
            PublishError::Unavailable => "unavailable",
            PublishError::TooLarge { .. } => "too_large",
        };
        Self {
            code,
            message: error.to_string(),
        }
    }
}

/// Tells the sender what became of a SEND that did not reach its goal.
async fn report(context: &Context, sender: Sender<'_>, send: &Send, problem: Problem) -> Accepted {
    let body = json!({
        "code": problem.code,
        "message": problem.message,
        "destination": send.text,
        "correlation_id": send.correlation_id,
    });
    let errors = Send {
        reply_to: None,
        ..send.clone()
    };
    answer(
        sender,
        &errors,
        &context.application.errors,
        body.to_string().into(),
    )
    .await;
    Accepted::Reported
}
