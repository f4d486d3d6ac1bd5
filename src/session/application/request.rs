//! A SEND to a backend: the request is sent in the session's order, and its reply goes to the sender's session when
//! it arrives. Knows the bus by its trait.
//!
//! **Bounds**: `limits.requests_in_flight` requests per session, each held by a permit until the reply is delivered.
//! Beyond it the session stops reading, and with it the client's TCP. `bus.request_timeout` ends each.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument as _;

use super::answer::{Problem, report};
use super::{Accepted, Sender};
use crate::bus::{AppReply, AppRequest, PendingReply, RequestError};
use crate::delivery::registry::SessionHandle;
use crate::destination::{Path, Target};
use crate::envelope::Envelope;
use crate::limit::Limit;
use crate::principal::UserName;
use crate::session::action::Send;
use crate::session::context::Context;
use crate::telemetry::trace::{Span, Upstream, tracing_span};

/// The session's requests that wait for their reply. Made when the first is sent.
#[derive(Default)]
pub(crate) struct InFlight(Option<Arc<Semaphore>>);

impl InFlight {
    /// Waits until the session may have another request in flight. The semaphore is never closed, so there is always
    /// a permit.
    async fn permit(&mut self, context: &Context) -> Option<OwnedSemaphorePermit> {
        let most = context.limits.requests_in_flight.max(1);
        let permits = self.0.get_or_insert_with(|| Arc::new(Semaphore::new(most)));
        if permits.available_permits() == 0 {
            context.metrics.limit_hit(Limit::RequestsInFlight);
        }
        permits.clone().acquire_owned().await.ok()
    }
}

/// Sends the request. Returns as soon as the bus has it.
pub(super) async fn request(
    context: &Arc<Context>,
    sender: Sender<'_>,
    upstream: &Upstream,
    mut send: Send,
    path: Path,
    in_flight: &mut InFlight,
) -> Accepted {
    let permit = in_flight.permit(context).await;
    let (trace, mut span) = context
        .tracer
        .request(upstream, &send.text, sender.session, send.body.len());
    send.trace = trace;
    // What waits for the reply keeps the ids that the answer repeats, and neither body nor headers.
    let request = AppRequest {
        path: path.clone(),
        user: sender.user.clone(),
        session: sender.session.into(),
        instance: (*context.instance.name).into(),
        content_type: send.content_type.take(),
        headers: std::mem::take(&mut send.headers),
        trace: send.trace.clone(),
        body: std::mem::take(&mut send.body),
    };
    let within = tracing_span(span.as_ref());
    match context.bus.request(&request).instrument(within).await {
        Ok(pending) => {
            let waiting = Waiting {
                context: context.clone(),
                user: sender.user.clone(),
                session: sender.session.into(),
                key: sender.key.clone(),
                send,
                path,
                span,
                _permit: permit,
            };
            #[expect(
                clippy::disallowed_methods,
                reason = "one request, bounded in number and in time"
            )]
            tokio::spawn(waiting.finish(pending));
            Accepted::Yes
        }
        Err(error) => {
            context.metrics.requests.with_label_values(&["unavailable"]).inc();
            fail(&mut span, "unavailable", error.to_string());
            report(context, sender, &send, Problem::of_publish(&error)).await
        }
    }
}

/// A request that the bus has, and everything that its reply needs. The session may end before it.
struct Waiting {
    context: Arc<Context>,
    user: UserName,
    session: Box<str>,
    key: SessionHandle,
    send: Send,
    path: Path,
    span: Option<Span>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Waiting {
    async fn finish(mut self, pending: PendingReply) {
        let within = tracing_span(self.span.as_ref());
        let outcome = pending.reply().instrument(within).await;
        let label = label(&outcome);
        self.context.metrics.requests.with_label_values(&[label]).inc();
        match &outcome {
            Ok(AppReply { error: None, .. }) => {}
            Ok(_) => fail(&mut self.span, label, "refused by the backend"),
            Err(error) => fail(&mut self.span, label, error.to_string()),
        }
        // The request is over; what follows is below it.
        self.span = None;
        match outcome {
            Ok(AppReply {
                error: Some(message), ..
            }) => self.report("backend_error", message.into()).await,
            Ok(reply) => self.deliver(reply).await,
            Err(error) => self.report(label, error.to_string()).await,
        }
    }

    /// Delivers the reply as a MESSAGE: on `reply-to`, or on the user destination of the request's own path.
    async fn deliver(self, reply: AppReply) {
        let Self { send, user, key, .. } = &self;
        let own = || Path::parse(&format!("/queue{}", self.path)).ok();
        let Some(path) = send.reply_to.clone().or_else(own) else {
            return;
        };
        let user = user.clone();
        let mut envelope = Envelope::new(Target::User { user, path }, reply.body);
        envelope.content_type = reply.content_type;
        let headers = self.context.application.baggage.filter(reply.headers);
        envelope.headers = match &send.correlation_id {
            Some(id) => headers.with("correlation-id", id),
            None => headers,
        };
        // A backend may end the recording of its request, and not begin one.
        let goes_on = send.trace.is_sampled() && reply.trace.trace_id() == send.trace.trace_id();
        envelope.trace = match goes_on {
            true => reply.trace,
            false => send.trace.clone(),
        };
        key.deliver(envelope).await;
    }

    async fn report(self, code: &'static str, message: String) {
        let sender = Sender {
            user: &self.user,
            session: &self.session,
            trusted: false,
            key: &self.key,
        };
        report(&self.context, sender, &self.send, Problem { code, message }).await;
    }
}

/// The metrics' label `outcome`, which is also the problem's code if there is no reply.
fn label(outcome: &Result<AppReply, RequestError>) -> &'static str {
    match outcome {
        Ok(AppReply { error: None, .. }) => "ok",
        Ok(_) => "error",
        Err(RequestError::NoResponders) => "no_responders",
        Err(RequestError::Timeout) => "timeout",
        Err(RequestError::Unavailable) => "unavailable",
    }
}

fn fail(span: &mut Option<Span>, kind: &'static str, words: impl Into<Cow<'static, str>>) {
    if let Some(span) = span {
        span.fail(kind, words);
    }
}
