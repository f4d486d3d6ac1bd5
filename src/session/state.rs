//! What a logged-in session knows, as a pure function of its frames: what is open, what each frame means, whether it is
//! permitted. No I/O, no clock; the driver does what the [`Action`]s say.

use std::sync::Arc;

use super::action::{Action, Refusal, Send, Step};
use crate::close_reason::CloseReason;
use crate::delivery::command::{Acknowledgement, Subscription};
use crate::delivery::wire::AckMode;
use crate::destination::{Destination, Prefixes, Target};
use crate::envelope::{
    HeaderError, HeaderLimits, Headers, MessageId, TraceContext, collapse_key, is_content_type,
};
use crate::interceptor::Chain;
use crate::limit::Limit;
use crate::principal::Principal;
use crate::stomp::{Command, Frame, Version};

mod transaction;

use transaction::Transactions;

/// What all sessions are judged by.
pub struct Rules {
    /// What prefixes mean.
    pub prefixes: Prefixes,
    /// Who may what.
    pub chain: Chain,
    /// Bounds.
    pub limits: Limits,
}

/// The part of `[limits]` that a session's state keeps.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// `limits.subscriptions`
    pub subscriptions: usize,
    /// `limits.transactions`
    pub transactions: usize,
    /// `limits.transaction_actions`
    pub transaction_actions: usize,
    /// `limits.transaction_bytes`
    pub transaction_bytes: usize,
    /// `limits.body_bytes`
    pub body_bytes: usize,
    /// `limits.unacknowledged`
    pub unacknowledged: usize,
    /// `limits.headers`, `limits.header_bytes`
    pub headers: HeaderLimits,
}

pub(super) struct Open {
    number: u32,
    id: Option<Arc<str>>,
    /// Kept only where UNSUBSCRIBE may name it: in STOMP 1.0.
    destination: Option<Box<str>>,
}

/// A session after login. Made by [`super::handshake`], which is why its principal is never optional.
pub struct Session {
    principal: Principal,
    version: Version,
    subscriptions: Vec<Open>,
    next_number: u32,
    transactions: Transactions,
}

impl Session {
    /// A session of `principal` without subscriptions.
    pub(super) fn new(principal: Principal, version: Version) -> Self {
        let transactions = Transactions::default();
        Self {
            principal,
            version,
            subscriptions: Vec::new(),
            next_number: 0,
            transactions,
        }
    }

    /// Whose it is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The negotiated version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Takes one frame. `Err`: ERROR, then close; whatever was open is void.
    pub fn on_frame(&mut self, frame: Frame, rules: &Rules) -> Result<Action, Refusal> {
        // Of a CONNECT it means nothing (STOMP rule C10).
        let receipt: Option<Box<str>> = match frame.command.is_connect() {
            true => None,
            false => frame.headers.get("receipt").map(Into::into),
        };
        self.understand(frame, rules, receipt.clone())
            .map_err(|refusal| match refusal.receipt {
                Some(_) => refusal,
                None => refusal.with_receipt(receipt.as_deref()),
            })
    }

    fn understand(
        &mut self,
        frame: Frame,
        rules: &Rules,
        receipt: Option<Box<str>>,
    ) -> Result<Action, Refusal> {
        match frame.command {
            Command::Connect | Command::Stomp => Err(malformed("CONNECT: this session is connected already")),
            Command::Send => self.send(frame, rules, receipt),
            Command::Subscribe => self.subscribe(&frame, rules, receipt),
            Command::Unsubscribe => self.unsubscribe(&frame, receipt),
            Command::Ack | Command::Nack => self.acknowledge(&frame, rules, receipt),
            Command::Begin => {
                self.transactions
                    .begin(required(&frame, "transaction")?, &rules.limits)?;
                Ok(Action::Done { receipt })
            }
            Command::Commit => {
                let steps = self.transactions.commit(required(&frame, "transaction")?)?;
                Ok(Action::Commit { steps, receipt })
            }
            Command::Abort => {
                self.transactions.abort(required(&frame, "transaction")?)?;
                Ok(Action::Done { receipt })
            }
            Command::Disconnect => Ok(Action::Disconnect { receipt }),
        }
    }

    fn send(&mut self, frame: Frame, rules: &Rules, receipt: Option<Box<str>>) -> Result<Action, Refusal> {
        let text = required(&frame, "destination")?;
        let destination = self.destination("SEND", text, rules)?;
        rules
            .chain
            .send(&self.principal, &destination, text)
            .map_err(Refusal::from)?;
        if frame.body.len() > rules.limits.body_bytes {
            return Err(Refusal::new(
                CloseReason::TooLarge,
                format!(
                    "SEND: the body is over {} bytes (limits.body_bytes)",
                    rules.limits.body_bytes
                ),
            )
            .at(Limit::BodyBytes));
        }
        let content_type = frame.headers.get("content-type").filter(|text| !text.is_empty());
        if content_type.is_some_and(|text| !is_content_type(text)) {
            return Err(malformed("SEND: header content-type is no media type"));
        }
        let headers =
            Headers::from_publisher(frame.headers.iter(), rules.limits.headers).map_err(|error| {
                let reason = match error {
                    HeaderError::TooMany(_) => CloseReason::Limit,
                    HeaderError::TooLong(..) => CloseReason::TooLarge,
                    HeaderError::BadName(_) | HeaderError::BadValue(_) => CloseReason::Malformed,
                };
                let limit = error.limit();
                let refusal = Refusal::new(reason, format!("SEND: {error}"));
                Refusal { limit, ..refusal }
            })?;
        let reply_to = match frame.headers.get("reply-to") {
            None => None,
            Some(text) => match rules.prefixes.for_client(text, self.principal.user()) {
                Ok(Destination::Target(Target::User { path, .. })) => Some(path),
                _ => {
                    return Err(Refusal::new(
                        CloseReason::Forbidden,
                        format!(
                            "SEND: header reply-to must be one of the sender's own destinations below {}/",
                            rules.prefixes.user_prefix
                        ),
                    ));
                }
            },
        };
        let collapse = match frame.headers.get("herald-collapse") {
            None => None,
            Some(text) => Some(collapse_key(text).ok_or_else(|| {
                malformed("SEND: header herald-collapse must have 1 to 128 bytes without control characters")
            })?),
        };
        let send = Send {
            text: text.into(),
            content_type: content_type.map(Into::into),
            correlation_id: frame.headers.get("correlation-id").map(Into::into),
            collapse,
            reply_to,
            trace: TraceContext::from_lookup(|name| frame.headers.get(name)),
            destination,
            headers,
            body: frame.body.clone(),
        };
        match frame.headers.get("transaction") {
            None => Ok(Action::Send {
                send: Box::new(send),
                receipt,
            }),
            Some(transaction) => {
                self.transactions
                    .add(transaction, "SEND", Step::Send(send), &rules.limits)?;
                // Processed means: accepted into its transaction (STOMP rule T4).
                Ok(Action::Done { receipt })
            }
        }
    }

    fn subscribe(
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
        let taken = |open: &&Open| match &id {
            Some(id) => open.id.as_ref() == Some(id),
            None => open.id.is_none() && open.destination.as_deref() == Some(text),
        };
        if self.subscriptions.iter().find(taken).is_some() {
            let what = if id.is_some() {
                "header id names"
            } else {
                "header destination is that of"
            };
            return Err(malformed(format!("SUBSCRIBE: {what} a live subscription")));
        }
        let ack = match (frame.headers.get("ack"), self.version) {
            (None | Some("auto"), _) => AckMode::Auto,
            (Some("client"), _) => AckMode::Client,
            (Some("client-individual"), Version::V1_1 | Version::V1_2) => AckMode::ClientIndividual,
            (Some(_), _) => {
                return Err(malformed(
                    "SUBSCRIBE: header ack must be auto, client or client-individual",
                ));
            }
        };
        let prefetch = match frame.headers.get("prefetch") {
            None => rules.limits.unacknowledged,
            Some(text) => match text.parse::<usize>() {
                Ok(wanted) if wanted > 0 => wanted.min(rules.limits.unacknowledged),
                _ => {
                    return Err(malformed(
                        "SUBSCRIBE: header prefetch must be a whole number of at least 1",
                    ));
                }
            },
        };
        let destination = self.destination("SUBSCRIBE", text, rules)?;
        rules
            .chain
            .subscribe(&self.principal, &destination, text)
            .map_err(Refusal::from)?;
        let Destination::Target(target) = destination else {
            return Err(Refusal::new(
                CloseReason::Forbidden,
                format!("SUBSCRIBE: {text} is an application destination, which takes SEND only"),
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
        let destination = (self.version == Version::V1_0).then(|| text.into());
        crate::delivery::reserve_one(&mut self.subscriptions);
        self.subscriptions.push(Open {
            number,
            id: id.clone(),
            destination,
        });
        Ok(Action::Subscribe {
            subscription: Box::new(Subscription {
                number,
                id,
                target,
                ack,
                prefetch,
            }),
            receipt,
        })
    }

    fn unsubscribe(&mut self, frame: &Frame, receipt: Option<Box<str>>) -> Result<Action, Refusal> {
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

    /// ACK and NACK by the headers of each version (STOMP rule A1). An id that is not known, or not any more, is ignored,
    /// which A1 leaves open; nothing is redelivered: what is not acknowledged at a session's end counts as lost (A3).
    fn acknowledge(
        &mut self,
        frame: &Frame,
        rules: &Rules,
        receipt: Option<Box<str>>,
    ) -> Result<Action, Refusal> {
        let (message_id, subscription) = match (self.version, frame.command) {
            (Version::V1_0, Command::Nack) => return Err(malformed("NACK: no command of STOMP 1.0")),
            (Version::V1_0, _) => (required(frame, "message-id")?, frame.headers.get("subscription")),
            (Version::V1_1, _) => (
                required(frame, "message-id")?,
                Some(required(frame, "subscription")?),
            ),
            // MESSAGE's `ack` header: <message-id>;<subscription id>.
            (Version::V1_2, _) => match required(frame, "id")?.split_once(';') {
                Some((message_id, subscription)) => (message_id, Some(subscription)),
                None => ("", None),
            },
        };
        let open = subscription.map(|id| {
            self.subscriptions
                .iter()
                .find(|open| open.id.as_deref() == Some(id))
        });
        let ack = match (MessageId::parse(message_id), open) {
            (None, _) | (_, Some(None)) => None,
            (Some(message_id), open) => Some(Acknowledgement {
                subscription: open.flatten().map(|open| open.number),
                message_id,
                positive: frame.command == Command::Ack,
                trace: TraceContext::from_lookup(|name| frame.headers.get(name)),
            }),
        };
        match (frame.headers.get("transaction"), ack) {
            (Some(transaction), Some(ack)) => {
                let command = frame.command.as_str();
                self.transactions
                    .add(transaction, command, Step::Acknowledge(ack), &rules.limits)?;
                Ok(Action::Done { receipt })
            }
            (Some(transaction), None) => {
                self.transactions
                    .must_be_open(transaction, frame.command.as_str())?;
                Ok(Action::Done { receipt })
            }
            (None, Some(ack)) => Ok(Action::Acknowledge { ack, receipt }),
            (None, None) => Ok(Action::Done { receipt }),
        }
    }

    fn destination(&self, command: &str, text: &str, rules: &Rules) -> Result<Destination, Refusal> {
        rules
            .prefixes
            .for_client(text, self.principal.user())
            .map_err(|error| {
                let shown: String = text.chars().take(256).filter(|c| !c.is_control()).collect();
                Refusal::new(CloseReason::Forbidden, format!("{command}: {shown}: {error}"))
            })
    }
}

fn required<'a>(frame: &'a Frame, name: &str) -> Result<&'a str, Refusal> {
    match frame.headers.get(name) {
        Some(value) => Ok(value),
        None => Err(malformed(format!(
            "{}: header {name} is missing",
            frame.command.as_str()
        ))),
    }
}

fn malformed(message: impl Into<String>) -> Refusal {
    Refusal::new(CloseReason::Malformed, message)
}

#[cfg(test)]
mod tests;
