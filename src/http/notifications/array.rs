//! Several notifications in one request: in their order, each with its own result, or as a whole.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::value::RawValue;

use super::Accepted;
use super::publish::{AcceptedItem, Item, envelope};
use super::request::{Batch, Notification, parse};
use super::several::publish_each;
use crate::bus::Key;
use crate::envelope::Envelope;
use crate::http::api::Api;
use crate::http::error::ApiError;
use crate::http::trace::FromPublisher;
use crate::publish::Publishing;

/// The most targets of a request that goes as a whole: as many as JetStream takes in one batch.
const ATOMIC_TARGETS_MAX: usize = 1_000;

/// All are checked first and then handed to the bus together, which keeps their order; without a pause, so that neither the
/// relay nor a shard falls asleep between two of them.
pub(super) async fn publish_all(
    api: &Arc<Api>,
    items: &[&RawValue],
    publisher: &FromPublisher,
) -> Result<Response, ApiError> {
    let parse = |(index, raw): (usize, &&RawValue)| {
        let at = format!("/{index}");
        let parsed = parse(raw.get(), &at, api.rules(Some(publisher)));
        (at, parsed)
    };
    let parsed: Vec<_> = items.iter().enumerate().map(parse).collect();
    let sound = parsed.iter().filter_map(|(_, parsed)| parsed.as_ref().ok());
    if let Err(error) = api.admit(publisher, sound) {
        return api.counted(Err(error));
    }
    let outcomes = publish_each(api, parsed, publisher).await;
    let outcomes: Vec<_> = outcomes.into_iter().map(|outcome| api.counted(outcome)).collect();
    let is_gone = |outcome: &Result<_, ApiError>| matches!(outcome, Err(ApiError::BusUnavailable(_)));
    // Of the others nothing went, or perhaps.
    let went = |outcome: &Result<_, ApiError>| match outcome {
        Ok(_) => true,
        Err(error) => matches!(
            error,
            ApiError::OutcomeUnknown | ApiError::Partly { .. } | ApiError::OrderChanged(_)
        ),
    };
    if outcomes.iter().any(is_gone) && !outcomes.iter().any(went) {
        return Err(ApiError::BusUnavailable(None).because_of(&*api.state.bus));
    }
    let refused = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    if refused > 0 {
        // If the request is not recorded here, the publisher's trace is the one to look for.
        let trace = &publisher.upstream.context;
        let trace_id = trace.trace_id().filter(|_| !publisher.upstream.sampled);
        tracing::info!(
            refused,
            of = outcomes.len(),
            trace_id,
            "notifications of an array were refused"
        );
    }
    let status = if outcomes.iter().all(Result::is_ok) {
        StatusCode::ACCEPTED
    } else {
        StatusCode::MULTI_STATUS
    };
    Ok((
        status,
        Json(outcomes.into_iter().map(item_of).collect::<Vec<_>>()),
    )
        .into_response())
}

fn item_of(outcome: Result<Accepted, ApiError>) -> Item {
    match outcome {
        Ok(accepted) => Item::Accepted(AcceptedItem {
            status: StatusCode::ACCEPTED.as_u16(),
            accepted,
        }),
        Err(error) => Item::Refused(error.problem()),
    }
}

/// Publishes all of `batch` or nothing.
pub(super) async fn publish_atomic(
    api: &Api,
    batch: &Batch<'_>,
    publisher: &FromPublisher,
) -> Result<Response, ApiError> {
    let (outcome, items) = match batch {
        Batch::Many(items) if items.is_empty() => {
            return Ok((StatusCode::ACCEPTED, Json(items)).into_response());
        }
        Batch::One(text) => {
            let parsed = parse(text, "", api.rules(Some(publisher))).map(|one| vec![(String::new(), one)]);
            (all_or_nothing(api, parsed, publisher).await, 1)
        }
        Batch::Many(items) => {
            let parse = |(index, raw): (usize, &&RawValue)| {
                let at = format!("/{index}");
                let parsed = parse(raw.get(), &at, api.rules(Some(publisher)))?;
                Ok((at, parsed))
            };
            let parsed = items.iter().enumerate().map(parse).collect();
            (all_or_nothing(api, parsed, publisher).await, items.len())
        }
    };
    // Counted as so many notifications, whether they went or not.
    for _ in 1..items {
        let refused = outcome.as_ref().err().cloned();
        let _ = api.counted(refused.map_or(Ok(()), Err));
    }
    let mut accepted = api.counted(outcome)?;
    Ok(match batch {
        Batch::One(_) => accepted.pop().ok_or(ApiError::Internal)?.into_response(),
        Batch::Many(_) => {
            let items = accepted.into_iter().map(|accepted| item_of(Ok(accepted)));
            (StatusCode::ACCEPTED, Json(items.collect::<Vec<_>>())).into_response()
        }
    })
}

async fn all_or_nothing(
    api: &Api,
    parsed: Result<Vec<(String, Notification)>, ApiError>,
    publisher: &FromPublisher,
) -> Result<Vec<Accepted>, ApiError> {
    let parsed = parsed?;
    api.require_bus()?;
    let targets = parsed
        .iter()
        .map(|(_, notification)| notification.targets.len())
        .sum();
    if targets > ATOMIC_TARGETS_MAX {
        let detail = format!(
            "with atomic=true at most {ATOMIC_TARGETS_MAX} targets, {targets} given; nothing was published"
        );
        return Err(ApiError::invalid("", detail));
    }
    api.admit(publisher, parsed.iter().map(|(_, notification)| notification))?;
    let once = publisher.once()?;
    let mut publishings: Vec<(Publishing<'_>, usize)> = Vec::with_capacity(parsed.len());
    let mut batch: Vec<(Envelope, Option<Key>)> = Vec::with_capacity(targets);
    for (item, (at, notification)) in parsed.iter().enumerate() {
        api.check_size(notification.payload.len(), &format!("{at}/payload"))?;
        let mut first = envelope(api, notification, publisher, item, at)?;
        publishings.push((
            api.begin(publisher, &notification.targets, &mut first),
            notification.targets.len(),
        ));
        for target in &notification.targets {
            let key = once.map(|once| once.key(item, target));
            let target = target.clone();
            batch.push((
                Envelope {
                    target,
                    ..first.clone()
                },
                key,
            ));
        }
    }
    let published = api.state.publisher.hand_over_all(&mut publishings, &batch).await;
    let published = published.ok_or_else(|| {
        let detail = "atomic=true needs notifications that history keeps, all of them broadcasts or all of them to users, and \
                      a bus with atomic batches (NATS 2.12.1 or later); nothing was published";
        ApiError::invalid("", detail)
    })?;
    let published = published.map_err(|error| ApiError::from_publish(error, None))?;
    let mut rest = (&batch[..], &published[..]);
    let accepted = publishings.iter().map(|(_, targets)| {
        let (envelopes, published) = rest;
        let targets = (*targets).min(envelopes.len()).min(published.len());
        let (own, others) = published.split_at(targets);
        rest = (&envelopes[targets..], others);
        envelopes.first().map(|(envelope, _)| Accepted::of(envelope, own))
    });
    accepted.collect::<Option<Vec<_>>>().ok_or(ApiError::Internal)
}
