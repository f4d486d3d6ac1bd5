//! The state of a logged-in session, as a pure function of its frames: what is open, what each frame means, and whether it
//! is permitted. Knows no I/O and no clock; the driver executes the [`Action`]s.

use std::sync::Arc;

use super::action::{Action, Refusal};
use crate::close_reason::CloseReason;
use crate::destination::{Destination, DestinationError, Path, Prefixes, Target};
use crate::envelope::HeaderLimits;
use crate::interceptor::Chain;
use crate::limit::{Limit, Total};
use crate::principal::Principal;
use crate::stomp::{Command, Frame, Version};

mod acknowledge;
mod send;
mod subscribe;
mod transaction;

use transaction::Transactions;

/// The rules that apply to all sessions.
pub struct Rules {
    /// The prefixes of destinations.
    pub prefixes: Prefixes,
    /// The interceptors, which decide who may do what.
    pub chain: Chain,
    /// The limits.
    pub limits: Limits,
    /// Application destinations with their own limit for bodies: `application.routes.body_bytes`.
    pub routes: Box<[(Path, usize)]>,
}

/// The part of `[limits]` that a session's state enforces.
#[derive(Debug, Clone)]
pub struct Limits {
    /// `limits.id_bytes`
    pub id_bytes: usize,
    /// `limits.subscriptions`
    pub subscriptions: usize,
    /// `limits.transactions`
    pub transactions: usize,
    /// `limits.transaction_actions`
    pub transaction_actions: usize,
    /// `limits.transaction_bytes`
    pub transaction_bytes: usize,
    /// The bytes in the open transactions of all sessions (`limits.transaction_total_bytes`).
    pub(crate) transaction_total: Arc<Total>,
    /// `limits.body_bytes`
    pub body_bytes: usize,
    /// `limits.unacknowledged`
    pub unacknowledged: usize,
    /// `limits.headers`, `limits.header_bytes`
    pub headers: HeaderLimits,
}

/// A subscription as its client knows it.
pub(super) struct Open {
    number: u32,
    id: Option<Arc<str>>,
    /// Only stored in STOMP 1.0, where UNSUBSCRIBE may name it.
    destination: Option<Box<str>>,
    /// Whether to report an ACK with an unknown id: only with acknowledgements, and only once.
    to_be_noted: bool,
    /// A renewal has ended it. The client may not know yet, and may still unsubscribe or use the id again.
    lost: bool,
}

/// A session after login. Made by [`super::handshake`], so its principal is never optional.
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

    /// The session's principal.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Applies a renewal: from now on the session belongs to `principal`, and has lost the subscriptions with these numbers.
    pub(super) fn renewed(&mut self, principal: Principal, lost: impl Iterator<Item = u32>) {
        self.principal = principal;
        for number in lost {
            let mut open = self.subscriptions.iter_mut();
            if let Some(open) = open.find(|open| open.number == number) {
                open.lost = true;
            }
        }
    }

    /// The negotiated version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Handles one frame. `Err` means ERROR, then close; everything that was open is discarded.
    pub fn on_frame(&mut self, frame: Frame, rules: &Rules) -> Result<Action, Refusal> {
        // It has no meaning on CONNECT (STOMP rule C10).
        let receipt: Option<Box<str>> = match frame.command.is_connect() {
            true => None,
            false => frame.headers.get("receipt").map(Into::into),
        };
        self.understand(&frame, rules, receipt.clone())
            .map_err(|refusal| {
                let destination = match frame.command {
                    Command::Send | Command::Subscribe => frame.headers.get("destination").map(Into::into),
                    _ => None,
                };
                let receipt = refusal.receipt.or(receipt);
                Refusal {
                    receipt,
                    destination,
                    ..refusal
                }
            })
    }

    fn understand(
        &mut self,
        frame: &Frame,
        rules: &Rules,
        receipt: Option<Box<str>>,
    ) -> Result<Action, Refusal> {
        match frame.command {
            Command::Connect | Command::Stomp => Err(malformed("CONNECT: this session is connected already")),
            Command::Send => self.send(frame, rules, receipt),
            Command::Subscribe => self.subscribe(frame, rules, receipt),
            Command::Unsubscribe => self.unsubscribe(frame, receipt),
            Command::Ack | Command::Nack => self.acknowledge(frame, rules, receipt),
            Command::Begin => {
                self.transactions.begin(
                    required(frame, "transaction")?,
                    self.principal.user(),
                    &rules.limits,
                )?;
                Ok(Action::Done { receipt })
            }
            Command::Commit => {
                let steps = self.transactions.commit(required(frame, "transaction")?)?;
                Ok(Action::Commit { steps, receipt })
            }
            Command::Abort => {
                let frames = self.transactions.abort(required(frame, "transaction")?)?;
                Ok(Action::Idle { frames, receipt })
            }
            Command::Disconnect => Ok(Action::Disconnect { receipt }),
        }
    }

    /// The destination of a SEND. Refuses Herald's own destinations, except the one that renews a session.
    fn send_destination(&self, text: &str, rules: &Rules) -> Result<Destination, Refusal> {
        let destination = self.destination("SEND", text, rules)?;
        let is_own = match &destination {
            Destination::Application(path) => path.is_own_of_application() && path.as_str() != Path::RENEWAL,
            Destination::Target(Target::User { path, .. }) => path.is_own_of_users(),
            Destination::Target(Target::Broadcast(_)) => false,
        };
        match is_own {
            true => {
                let message = format!("SEND: {text}: {}", DestinationError::Reserved);
                Err(Refusal::new(CloseReason::Forbidden, message))
            }
            false => Ok(destination),
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

/// Checks the length of an id that the session stores. Other ids need no limit of their own: a `receipt` is not stored, and
/// a `correlation-id` counts as part of the frame that it belongs to.
fn check_id(command: &str, header: &str, id: &str, most: usize) -> Result<(), Refusal> {
    if id.len() <= most {
        return Ok(());
    }
    let message = format!("{command}: header {header} is over {most} bytes (limits.id_bytes)");
    Err(Refusal::new(CloseReason::TooLarge, message).at(Limit::IdBytes))
}

fn malformed(message: impl Into<String>) -> Refusal {
    Refusal::new(CloseReason::Malformed, message)
}

#[cfg(test)]
mod tests;
