//! Operators' requests, told to the audit: every route that requires `admin` has an event, and every request that such a
//! route takes gets one line, whatever came of it. Knows no route.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use parking_lot::Mutex;

use super::access::Scope;
use super::caller::Caller;
use super::error::Refused;
use crate::envelope::TraceContext;
use crate::telemetry::audit::event::{Event, Outcome, What};
use crate::telemetry::audit::{Audit, Entry};

/// Who may use a route. An operator's cannot be made without what the audit calls it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Guard {
    /// Anyone.
    Open,
    /// Publishers.
    Publish,
    /// Whoever may read.
    Read,
    /// Operators.
    Admin(Event),
}

impl Guard {
    /// What a caller must have.
    pub(super) fn scope(self) -> Option<Scope> {
        match self {
            Self::Open => None,
            Self::Publish => Some(Scope::Publish),
            Self::Read => Some(Scope::Read),
            Self::Admin(_) => Some(Scope::Admin),
        }
    }
}

/// What an operator's request is about: its handler says so as soon as it has read it. An extension of the request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deed(Arc<Mutex<What>>);

impl Deed {
    /// It is about `what`.
    pub(crate) fn is(&self, what: What) {
        *self.0.lock() = what;
    }
}

/// The line of a request, written when this is dropped: with the request, whoever gave up on it.
struct Pending<'a> {
    audit: &'a Audit,
    event: Event,
    who: String,
    address: IpAddr,
    deed: Deed,
    trace: TraceContext,
    answered: Option<(Outcome, Option<&'static str>)>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let (outcome, reason) = self.answered.unwrap_or((Outcome::Unanswered, None));
        self.audit.note(&Entry {
            event: self.event,
            who: &self.who,
            address: Some(self.address),
            what: &self.deed.0.lock(),
            outcome,
            reason,
            trace_id: self.trace.trace_id(),
        });
    }
}

/// Answers an operator's request, and tells `audit` of it.
pub(super) async fn told(
    audit: &Audit,
    event: Event,
    caller: &Caller,
    address: IpAddr,
    mut request: Request,
    next: Next,
) -> Response {
    let traceparent = request.headers().get("traceparent");
    let traceparent = traceparent.and_then(|value| value.to_str().ok());
    let mut pending = Pending {
        audit,
        event,
        who: caller.to_string(),
        address,
        deed: Deed::default(),
        trace: TraceContext::from_headers(traceparent, None),
        answered: None,
    };
    request.extensions_mut().insert(caller.clone());
    request.extensions_mut().insert(pending.deed.clone());
    let response = next.run(request).await;
    let reason = response
        .extensions()
        .get::<Refused>()
        .map(|Refused(reason)| *reason);
    let outcome = match response.status().is_success() {
        true => Outcome::Accepted,
        false => Outcome::Refused,
    };
    pending.answered = Some((outcome, reason));
    response
}
