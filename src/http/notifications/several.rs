//! Publishes several notifications, or one to several users: in their order, in parts that bound their cost, each with
//! its own result. Knows no JSON and no answer of a request.

use std::time::Duration;

use super::Accepted;
use super::publish::envelope;
use super::request::Notification;
use crate::bus::{Key, PublishError, Published};
use crate::envelope::Envelope;
use crate::http::api::Api;
use crate::http::error::ApiError;
use crate::http::trace::FromPublisher;
use crate::publish::Publishing;

/// The most targets that are handed to the bus at once.
const PART_MAX: usize = 1_000;

/// A notification with the JSON pointer to it, or why it is none.
pub(super) type Parsed = (String, Result<Notification, ApiError>);

/// A notification, and what is known of its targets so far, in their order.
struct Going<'a> {
    at: String,
    /// As it goes to its first target.
    envelope: Envelope,
    targets: usize,
    outcomes: Vec<Result<Published, PublishError>>,
    /// Until all outcomes are known, with how long they took.
    publishing: Option<(Publishing<'a>, Duration)>,
}

/// What is next to be handed to the bus.
type Part = Vec<(Envelope, Option<Key>)>;

/// Publishes all in their order. Once the bus refuses or does not say what became of one, the parts behind it are not tried,
/// so that the answer comes in time.
pub(super) async fn publish_each(
    api: &Api,
    parsed: Vec<Parsed>,
    publisher: &FromPublisher,
) -> Vec<Result<Accepted, ApiError>> {
    let is_alone = parsed.len() == 1;
    let mut all: Vec<Result<Going<'_>, ApiError>> = Vec::with_capacity(parsed.len());
    let mut part = Part::new();
    let mut is_over = false;
    for (item, (at, parsed)) in parsed.into_iter().enumerate() {
        let begun = parsed.and_then(|notification| {
            let going = Going::begin(api, &notification, publisher, item, at)?;
            Ok((going, notification.targets, publisher.once()?))
        });
        let (going, targets, once) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                all.push(Err(error));
                continue;
            }
        };
        let envelope = going.envelope.clone();
        all.push(Ok(going));
        for target in targets {
            if is_over {
                break;
            }
            let key = once.map(|once| once.key(item, &target));
            part.push((
                Envelope {
                    target,
                    ..envelope.clone()
                },
                key,
            ));
            if part.len() == PART_MAX {
                is_over = hand_over(api, &mut part, &mut all).await;
            }
        }
    }
    if !part.is_empty() {
        hand_over(api, &mut part, &mut all).await;
    }
    all.into_iter().map(|going| going?.end(is_alone)).collect()
}

/// Hands `part` to the bus and empties it. Whether that was the last that makes sense.
async fn hand_over(api: &Api, part: &mut Part, all: &mut [Result<Going<'_>, ApiError>]) -> bool {
    let (outcomes, lasted) = api.state.publisher.hand_over_each(part).await;
    part.clear();
    let is_over =
        |outcome: &Result<_, _>| matches!(outcome, Err(PublishError::Unavailable | PublishError::Unknown));
    let is_over = outcomes.iter().any(is_over);
    let mut outcomes = outcomes.into_iter();
    for going in all.iter_mut().flatten() {
        going.take(&mut outcomes, lasted);
    }
    is_over
}

impl<'a> Going<'a> {
    fn begin(
        api: &'a Api,
        notification: &Notification,
        publisher: &FromPublisher,
        item: usize,
        at: String,
    ) -> Result<Self, ApiError> {
        let mut envelope = envelope(api, notification, publisher, item, &at)?;
        let publishing = api.begin(publisher, &notification.targets, &mut envelope);
        Ok(Self {
            at,
            envelope,
            targets: notification.targets.len(),
            outcomes: Vec::new(),
            publishing: Some((publishing, Duration::ZERO)),
        })
    }

    /// Takes the outcomes that are its own.
    fn take(
        &mut self,
        outcomes: &mut impl Iterator<Item = Result<Published, PublishError>>,
        lasted: Duration,
    ) {
        if let Some((_, in_all)) = &mut self.publishing {
            *in_all += lasted;
            let left = self.targets - self.outcomes.len();
            self.outcomes.extend(outcomes.take(left));
            if self.outcomes.len() == self.targets {
                self.noted();
            }
        }
    }

    /// Ends its span.
    fn noted(&mut self) {
        if let Some((mut publishing, lasted)) = self.publishing.take() {
            let error = self.outcomes.iter().find_map(|outcome| outcome.as_ref().err());
            publishing.note(lasted, &self.envelope, error);
        }
    }

    /// What it came to. Where the request has only this one, the order of its users is nobody's.
    fn end(mut self, is_alone: bool) -> Result<Accepted, ApiError> {
        // What was not tried.
        self.outcomes
            .resize_with(self.targets, || Err(PublishError::Unavailable));
        self.noted();
        let mut published = Vec::with_capacity(self.targets);
        let (mut failed, mut is_misplaced) = (None, false);
        for outcome in self.outcomes {
            match outcome {
                Ok(one) => published.push(one),
                Err(PublishError::OrderChanged { position }) => {
                    is_misplaced = true;
                    published.push(Published {
                        position: Some(position),
                        duplicate: false,
                    });
                }
                // Perhaps published: that must not be hidden by what surely was not.
                Err(PublishError::Unknown) => failed = Some(PublishError::Unknown),
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        if let Some(error) = failed {
            let error = ApiError::from_publish(error, Some(format!("{}/payload", self.at)));
            return Err(error.beside(published.len()));
        }
        if is_misplaced && !is_alone {
            let positions = published.iter().filter_map(|one| one.position);
            return Err(ApiError::OrderChanged(
                positions.map(|position| position.to_string()).collect(),
            ));
        }
        Ok(Accepted::of(&self.envelope, &published))
    }
}
