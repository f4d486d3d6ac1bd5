//! The orders to trace one user's or one session's notifications for some minutes, sent to every instance. Knows the
//! tracer, no HTTP.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ask::tell;
use super::desk::Desk;
use super::question::{Refused, Statement, operator};
use crate::bus::{Bus, PublishError};
use crate::principal::UserName;
use crate::telemetry::audit::Audit;
use crate::telemetry::audit::event::{Event, What};
use crate::telemetry::trace::Tracer;
use crate::telemetry::trace::decide::{DEBUG_MINUTES_MAX, Debugged, session_id};

/// To every instance: trace this user's notifications. It carries a time to go, not a point in time, since the clocks of
/// instances are not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TraceUser {
    user: UserName,
    /// 0 ends it.
    minutes: u32,
    /// The operator who asked for it.
    #[serde(deserialize_with = "operator")]
    by: String,
}

impl Statement for TraceUser {
    const KIND: &'static str = "tracing.user";
}

/// To every instance: trace this session's notifications. A kind of its own, since an older instance would take it for an
/// order about the whole user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TraceSession {
    /// Whose the session is; whoever only ends the order need not know.
    #[serde(default)]
    user: Option<UserName>,
    session: String,
    minutes: u32,
    #[serde(deserialize_with = "operator")]
    by: String,
}

impl Statement for TraceSession {
    const KIND: &'static str = "tracing.session";
}

/// Tells every instance to trace `who` for `minutes`, 0 to end it; `by` names the operator.
///
/// # Errors
/// The bus did not take it.
pub(crate) async fn tell_all(
    bus: &dyn Bus,
    who: Debugged,
    minutes: u32,
    by: String,
) -> Result<(), PublishError> {
    match who {
        Debugged::User(user) => tell(bus, &TraceUser { user, minutes, by }).await,
        Debugged::Session { id, user } => {
            let session = id.into();
            let order = TraceSession {
                user,
                session,
                minutes,
                by,
            };
            tell(bus, &order).await
        }
    }
}

/// Obeys both orders, which `audit` is told.
pub(crate) fn register(desk: &mut Desk, tracer: &Tracer, audit: &Audit) {
    let users = (tracer.clone(), audit.clone());
    desk.listen(move |TraceUser { user, minutes, by }| {
        trace(&users, Debugged::User(user), minutes, &by);
        std::future::ready(Ok(()))
    });
    let sessions = (tracer.clone(), audit.clone());
    desk.listen(move |order: TraceSession| {
        let traced = session_id(&order.session).ok_or(Refused::Malformed).map(|id| {
            let who = Debugged::Session { id, user: order.user };
            trace(&sessions, who, order.minutes, &order.by);
        });
        std::future::ready(traced)
    });
}

/// Longer than an hour is an hour.
fn trace((tracer, audit): &(Tracer, Audit), who: Debugged, minutes: u32, by: &str) {
    let minutes = minutes.min(DEBUG_MINUTES_MAX);
    let lasting = Duration::from_secs(u64::from(minutes) * 60);
    audit.done(Event::DebugSampling, by, &what(&who, minutes));
    tracer.debug(who, lasting);
}

/// The order, as the audit tells of it.
pub(crate) fn what(who: &Debugged, minutes: u32) -> What {
    let mut what = match who {
        Debugged::User(user) => What::user(user.as_str()),
        Debugged::Session { id, user } => What {
            user: user.as_ref().map(|user| user.as_str().into()),
            session: Some(id.clone()),
            ..What::default()
        },
    };
    what.for_seconds = Some(u64::from(minutes) * 60);
    what
}
