//! ACK and NACK. Pure, like the rest of [`super`].

use super::{Rules, Session, malformed, required};
use crate::delivery::command::Acknowledgement;
use crate::envelope::{MessageId, TraceContext};
use crate::session::action::{Action, Note, Refusal, Step};
use crate::stomp::{Command, Frame, Version};

impl Session {
    /// ACK and NACK by the headers of each version (STOMP rule A1). An id that is not known, or not any more, is ignored,
    /// which A1 leaves open; nothing is redelivered: what is not acknowledged at a session's end counts as lost (A3).
    pub(super) fn acknowledge(
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
        let note = match (&ack, self.version, subscription) {
            (None, Version::V1_2, None) => self.id_without_subscription(frame),
            _ => None,
        };
        let action = match (frame.headers.get("transaction"), ack) {
            (Some(transaction), Some(ack)) => {
                let command = frame.command.as_str();
                self.transactions
                    .add(transaction, command, Step::Acknowledge(ack), &rules.limits)?;
                Action::Done { receipt }
            }
            (Some(transaction), None) => {
                self.transactions
                    .must_be_open(transaction, frame.command.as_str())?;
                Action::Idle { frames: 1, receipt }
            }
            (None, Some(ack)) => Action::Acknowledge { ack, receipt },
            (None, None) => Action::Idle { frames: 1, receipt },
        };
        Ok(match note {
            None => action,
            Some(note) => Action::Noted {
                action: Box::new(action),
                note,
            },
        })
    }

    /// An id that is a `message-id` acknowledges nothing: said once per subscription, before its window is full and
    /// nothing comes any more.
    fn id_without_subscription(&mut self, frame: &Frame) -> Option<Note> {
        MessageId::parse(frame.headers.get("id")?)?;
        let mut due = false;
        for open in &mut self.subscriptions {
            due |= std::mem::take(&mut open.to_be_noted);
        }
        let command = frame.command.as_str();
        due.then(|| Note {
            code: "unknown_ack",
            message: format!(
                "{command}: header id must be the MESSAGE's header ack, not its message-id: nothing is acknowledged"
            ),
            destination: None,
        })
    }
}
