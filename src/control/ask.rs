//! The asking side of the control channel: one instance, many at once, or a statement to all. Knows the bus by its trait and
//! no kind by name.

use std::fmt;
use std::time::Duration;

use futures_util::future::join_all;

use super::question::{Payload, Question, Refused, Statement, read};
use crate::bus::{Bus, PublishError, RequestError};
use crate::instance::InstanceId;

/// Most instances that [`ask_all`] asks: as many as presence knows at most.
pub(crate) const ASKED_MAX: usize = 1_024;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The bus did not bring one.
    Bus(RequestError),
    /// The answer cannot be read.
    Unreadable(Refused),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bus(error) => error.fmt(f),
            Self::Unreadable(refused) => write!(f, "the answer cannot be read: {refused}"),
        }
    }
}

impl std::error::Error for NoAnswer {}

/// Asks one instance and waits at most `timeout`.
///
/// # Errors
/// [`NoAnswer`].
pub(crate) async fn ask<Q: Question>(
    bus: &dyn Bus,
    instance: InstanceId,
    ask: &Q::Ask,
    timeout: Duration,
) -> Result<Q::Answer, NoAnswer> {
    let asked = bus.control_request(instance, Q::KIND, ask.to_payload(), timeout);
    // The bus keeps the time too. This bound holds even where a bus does not.
    let answer = tokio::time::timeout(timeout, asked)
        .await
        .unwrap_or(Err(RequestError::Timeout))
        .map_err(NoAnswer::Bus)?;
    read(&answer, Q::MAX_BYTES).map_err(NoAnswer::Unreadable)
}

/// Asks up to [`ASKED_MAX`] instances at the same time and waits at most `timeout` for all of them. Each instance comes with
/// whatever the caller wants back beside its answer.
pub(crate) async fn ask_all<Q: Question, T>(
    bus: &dyn Bus,
    instances: impl IntoIterator<Item = (InstanceId, T)>,
    question: &Q::Ask,
    timeout: Duration,
) -> Vec<(T, Result<Q::Answer, NoAnswer>)>
where
    Q::Ask: Sync,
{
    let asks = instances.into_iter().take(ASKED_MAX).map(async |(id, instance)| {
        let answer = ask::<Q>(bus, id, question, timeout).await;
        (instance, answer)
    });
    join_all(asks).await
}

/// Tells every instance, this one included.
///
/// # Errors
/// The bus did not take it.
pub(crate) async fn tell<S: Statement + Sync>(bus: &dyn Bus, statement: &S) -> Result<(), PublishError> {
    bus.control_publish(S::KIND, statement.to_payload()).await
}

/// Whether the bus surely has what `telling` tells, within this time: "given to the bus's client" is not.
///
/// # Errors
/// It may not have it.
pub(crate) async fn confirmed(
    bus: &dyn Bus,
    within: Duration,
    telling: impl Future<Output = Result<(), PublishError>>,
) -> Result<(), PublishError> {
    let confirming = async {
        let before = bus.stats();
        telling.await?;
        let has_it = bus.flush(within).await;
        let after = bus.stats();
        // What was on its way on a connection that is lost may be lost with it.
        let is_same =
            (before.reconnects, before.refused_publishes) == (after.reconnects, after.refused_publishes);
        match has_it && is_same {
            true => Ok(()),
            false => Err(PublishError::Unknown),
        }
    };
    let confirmed = tokio::time::timeout(within, confirming).await;
    confirmed.unwrap_or(Err(PublishError::Unavailable))
}
