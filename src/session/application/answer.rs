//! MESSAGEs that Herald itself writes to the sender of a SEND: an answer on one of the sender's user destinations, and
//! the report of an error. They go only to the sender's session.

use bytes::Bytes;
use serde_json::json;

use super::{Accepted, Sender};
use crate::bus::PublishError;
use crate::destination::{Path, Target};
use crate::envelope::Envelope;
use crate::publish;
use crate::session::action::{Note, Send};
use crate::session::context::Context;

/// What became of a SEND that did not reach its goal (docs/stomp.md).
pub(super) struct Problem {
    /// The kind of problem, for programs.
    pub(super) code: &'static str,
    /// The same, for people.
    pub(super) message: String,
}

impl Problem {
    /// The bus refused it.
    pub(super) fn of_publish(error: &PublishError) -> Self {
        Self {
            code: publish::words(error).code,
            message: error.to_string(),
        }
    }
}

/// Sends a JSON answer: on `reply-to` if the SEND names one, else on `reply`.
pub(super) async fn answer(sender: Sender<'_>, send: &Send, reply: &Path, body: Bytes) {
    let path = send.reply_to.as_ref().unwrap_or(reply);
    answer_on(sender, send, path.clone(), body).await;
}

/// Tells the sender what became of its SEND.
pub(super) async fn report(context: &Context, sender: Sender<'_>, send: &Send, problem: Problem) -> Accepted {
    let body = json!({
        "code": problem.code,
        "message": problem.message,
        "destination": send.text,
        "correlation_id": send.correlation_id,
    });
    let errors = context.application.errors.clone();
    answer_on(sender, send, errors, body.to_string().into()).await;
    Accepted::Reported
}

/// Tells the sender what a frame does not do.
pub(crate) async fn note(context: &Context, sender: Sender<'_>, note: Note) {
    let body = json!({
        "code": note.code,
        "message": note.message,
        "destination": note.destination,
        "correlation_id": null,
    });
    let user = sender.user.clone();
    let path = context.application.errors.clone();
    let target = Target::User { user, path };
    let envelope = Envelope::new(target, body.to_string()).with_content_type("application/json");
    sender.key.deliver(envelope).await;
}

async fn answer_on(sender: Sender<'_>, send: &Send, path: Path, body: Bytes) {
    let user = sender.user.clone();
    let target = Target::User { user, path };
    let mut envelope = Envelope::new(target, body).with_content_type("application/json");
    envelope.trace = send.trace.clone();
    if let Some(id) = &send.correlation_id {
        envelope.headers = envelope.headers.with("correlation-id", id);
    }
    sender.key.deliver(envelope).await;
}
