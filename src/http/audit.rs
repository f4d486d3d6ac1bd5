//! Reports operators' requests to the audit: every route, or part of one, that requires `admin` has an event, and every
//! admitted request there gets one line, whatever its result. Knows no route.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::HeaderMap;
use axum::response::Response;
use parking_lot::Mutex;

use super::access::Scope;
use super::caller::Caller;
use super::error::Refused;
use crate::envelope::TraceContext;
use crate::telemetry::audit::event::{Event, Outcome, What};
use crate::telemetry::audit::{Audit, Entry};

/// Who may use a route, or a part of one. An operator's cannot be named without what the audit calls it, and
/// [`super::caller::authorize`] takes nothing else: whoever is let in as an operator is told of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Guard {
    /// Anyone.
    Open,
    /// Whoever proves who it is, whatever it may do.
    Known,
    /// Publishers.
    Publish,
    /// Whoever may read.
    Read,
    /// Whoever may read metrics.
    Metrics,
    /// Operators.
    Admin(Event),
}

impl Guard {
    /// What a caller must have. `None`: it need not have any scope.
    pub(super) fn scope(self) -> Option<Scope> {
        match self {
            Self::Open | Self::Known => None,
            Self::Publish => Some(Scope::Publish),
            Self::Read => Some(Scope::Read),
            Self::Metrics => Some(Scope::Metrics),
            Self::Admin(_) => Some(Scope::Admin),
        }
    }

    /// Tells that `who` has proven itself, and `lacks` what it takes: `no-role` or `no-scope`.
    pub(super) fn refuses(self, audit: &Audit, who: &str, address: IpAddr, lacks: &'static str) {
        let action = match self {
            Self::Admin(event) => return audit.operator_refused(event, who, address, lacks),
            // They refuse nobody for what it may do.
            Self::Open | Self::Known => return,
            Self::Publish => "publishing",
            Self::Read => "reading",
            Self::Metrics => "reading metrics",
        };
        audit.lacks(who, address, action, lacks);
    }
}

/// What an operator's request is about: its handler says so as soon as it has read it. An extension of the request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deed(Arc<Mutex<What>>, Arc<AtomicBool>);

impl Deed {
    /// It is about `what`.
    pub(crate) fn is(&self, what: What) {
        *self.0.lock() = what;
    }

    /// It is done on this instance, and perhaps nowhere else: the bus has not confirmed that it tells the others.
    pub(crate) fn untold(&self) {
        self.1.store(true, Ordering::Relaxed);
    }
}

/// The duty to tell the audit of a request that was let in: none unless as an operator's. The line is written when this
/// is dropped: with the request, whoever gave up on it.
#[must_use = "dropping it writes the line, as of a request without an answer"]
pub(crate) struct Told<'a>(Option<Pending<'a>>);

/// What the line says.
struct Pending<'a> {
    audit: &'a Audit,
    event: Event,
    who: String,
    address: IpAddr,
    deed: Deed,
    trace: TraceContext,
    answered: Option<(Outcome, Option<&'static str>)>,
}

impl<'a> Told<'a> {
    /// Of a request with `headers` that `guard` has let in.
    pub(super) fn of(
        audit: &'a Audit,
        guard: Guard,
        caller: &Caller,
        address: IpAddr,
        headers: &HeaderMap,
    ) -> Self {
        let Guard::Admin(event) = guard else {
            return Self(None);
        };
        let traceparent = headers.get("traceparent");
        let traceparent = traceparent.and_then(|value| value.to_str().ok());
        Self(Some(Pending {
            audit,
            event,
            who: caller.to_string(),
            address,
            deed: Deed::default(),
            trace: TraceContext::from_headers(traceparent, None),
            answered: None,
        }))
    }

    /// Where its handler says what it is about. `None`: nobody will be told.
    pub(super) fn deed(&self) -> Option<Deed> {
        self.0.as_ref().map(|pending| pending.deed.clone())
    }

    /// Tells what the answer was.
    pub(super) fn answered(mut self, response: &Response) {
        if let Some(pending) = &mut self.0 {
            let reason = response.extensions().get::<Refused>();
            let outcome = match response.status().is_success() {
                true => Outcome::Accepted,
                false => Outcome::Refused,
            };
            pending.answered = Some((outcome, reason.map(|Refused(reason)| *reason)));
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let (outcome, mut reason) = self.answered.unwrap_or((Outcome::Unanswered, None));
        if outcome == Outcome::Accepted && self.deed.1.load(Ordering::Relaxed) {
            reason = Some("untold");
        }
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
