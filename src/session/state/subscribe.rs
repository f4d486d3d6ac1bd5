//! SUBSCRIBE and UNSUBSCRIBE. Pure, like the rest of [`super`].

use std::sync::Arc;

use super::{Open, Rules, Session, check_id, malformed, required};
use crate::close_reason::CloseReason;
use crate::delivery::command::Subscription;
use crate::delivery::wire::AckMode;
use crate::destination::{Destination, Target};
use crate::limit::Limit;
use crate::session::action::{Action, Note, Refusal};
use crate::stomp::{Frame, Version};

impl Session {
    pub(super) fn subscribe(
        &mut self,
        frame: &Frame,
        rules: &Rules,
        receipt: Option<Box<str>>,
    ) -> Result<Action, Refusal> {
        let text = required(frame, "destination")?;
        let id: Option<Arc<str>> = match (frame.headers.get("id"), self.version) {
            (Some(id), _) => Some(id.into()),
            (None, Version::V1_0) => None,
            (None, _) => return Err(malformed("SUBSCRIBE: header id is missing")),
        };
        if let Some(id) = &id {
            check_id("SUBSCRIBE", "id", id, rules.limits.id_bytes)?;
        }
        let taken = |open: &&Open| match &id {
            Some(id) => open.id.as_ref() == Some(id),
            None => open.id.is_none() && open.destination.as_deref() == Some(text),
        };
        let of_id = self.subscriptions.iter().position(|open| taken(&open));
        if let Some(index) = of_id.filter(|index| self.subscriptions[*index].lost) {
            self.subscriptions.remove(index);
        } else if of_id.is_some() {
            let what = if id.is_some() {
                "header id names"
            } else {
                "header destination is that of"
            };
            return Err(malformed(format!("SUBSCRIBE: {what} a live subscription")));
        }
        let after: Option<Box<str>> = frame.headers.get("last-message-id").map(Into::into);
        if after.is_some() && receipt.is_none() {
            return Err(malformed(
                "SUBSCRIBE: header last-message-id needs a header receipt: the RECEIPT says whether the gap was closed",
            ));
        }
        let ack = ack_mode(frame, self.version)?;
        let prefetch = prefetch(frame, rules.limits.unacknowledged)?;
        let destination = self.destination("SUBSCRIBE", text, rules)?;
        rules
            .chain
            .subscribe(&self.principal, &destination, text)
            .map_err(Refusal::from)?;
        let Destination::Target(target) = destination else {
            return Err(Refusal::new(
                CloseReason::Forbidden,
                format!("SUBSCRIBE: {text} is an application destination, which accepts only SEND"),
            ));
        };
        if self.subscriptions.len() >= rules.limits.subscriptions {
            return Err(Refusal::new(
                CloseReason::Limit,
                format!(
                    "SUBSCRIBE: at most {} subscriptions a session (limits.subscriptions)",
                    rules.limits.subscriptions
                ),
            )
            .at(Limit::Subscriptions));
        }
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        let note = self.own_name(&target, text, rules);
        let destination = (self.version == Version::V1_0).then(|| text.into());
        crate::delivery::reserve_one(&mut self.subscriptions);
        self.subscriptions.push(Open {
            number,
            id: id.clone(),
            destination,
            to_be_noted: ack != AckMode::Auto,
            lost: false,
        });
        let action = Action::Subscribe {
            subscription: Box::new(Subscription {
                number,
                id,
                target,
                ack,
                prefetch,
            }),
            receipt,
            after,
        };
        Ok(match note {
            None => action,
            Some(note) => Action::Noted {
                action: Box::new(action),
                note,
            },
        })
    }

    /// `/user/<own name>/queue/x`, which is `/queue/x` of that user with some brokers, is `/<own name>/queue/x` here.
    fn own_name(&self, target: &Target, text: &str, rules: &Rules) -> Option<Note> {
        let Target::User { user, path } = target else {
            return None;
        };
        let rest = path.as_str().strip_prefix('/')?.strip_prefix(user.as_str())?;
        let rest = rest.strip_prefix('/')?;
        let prefix = &rules.prefixes.user_prefix;
        Some(Note {
            code: "own_name",
            message: format!(
                "SUBSCRIBE: {prefix}/ is always your own: what is sent to you on /{rest} comes on {prefix}/{rest}, and \
                 this subscription gets what is sent to you on {path}"
            ),
            destination: Some(text.into()),
        })
    }

    pub(super) fn unsubscribe(
        &mut self,
        frame: &Frame,
        receipt: Option<Box<str>>,
    ) -> Result<Action, Refusal> {
        let index = match (frame.headers.get("id"), frame.headers.get("destination")) {
            (Some(id), _) => self
                .subscriptions
                .iter()
                .position(|open| open.id.as_deref() == Some(id)),
            (None, Some(text)) if self.version == Version::V1_0 => self
                .subscriptions
                .iter()
                .position(|open| open.destination.as_deref() == Some(text)),
            (None, _) => return Err(malformed("UNSUBSCRIBE: header id is missing")),
        };
        let Some(index) = index else {
            let header = frame.headers.get("id").map_or("destination", |_| "id");
            let message = format!("UNSUBSCRIBE: header {header} names no live subscription");
            return Err(malformed(message));
        };
        let number = self.subscriptions.remove(index).number;
        Ok(Action::Unsubscribe { number, receipt })
    }
}

fn ack_mode(frame: &Frame, version: Version) -> Result<AckMode, Refusal> {
    match (frame.headers.get("ack"), version) {
        (None | Some("auto"), _) => Ok(AckMode::Auto),
        (Some("client"), _) => Ok(AckMode::Client),
        (Some("client-individual"), Version::V1_1 | Version::V1_2) => Ok(AckMode::ClientIndividual),
        (Some(_), _) => Err(malformed(
            "SUBSCRIBE: header ack must be auto, client or client-individual",
        )),
    }
}

/// How many MESSAGEs may be unacknowledged: what the client asks for, at most `most`.
fn prefetch(frame: &Frame, most: usize) -> Result<usize, Refusal> {
    match frame.headers.get("prefetch").map(str::parse::<usize>) {
        None => Ok(most),
        Some(Ok(wanted)) if wanted > 0 => Ok(wanted.min(most)),
        Some(_) => Err(malformed(
            "SUBSCRIBE: header prefetch must be a whole number of at least 1",
        )),
    }
}
