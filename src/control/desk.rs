//! Where control messages arrive: modules register what they answer and what they listen to, and the desk finds the
//! kind, reads the payload, awaits the module and answers once. Knows no kind by name.
//!
//! **Order**: [`serve`] handles one message after the other, so that the messages of one instance are handled in the
//! order in which the bus delivers them.

use std::collections::HashMap;
use std::future::Future;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use tracing::error;

use super::complaints::Complaints;
use super::question::{ANSWER_MAX_BYTES, Payload, Question, Refused, Statement, read};
use crate::bus::{BoxStream, ControlMessage};
use crate::task;
use crate::telemetry::metrics::{Metrics, Poison};

type Handler = Box<dyn Fn(ControlMessage) -> BoxFuture<'static, Result<(), Refused>> + Send + Sync>;

/// The registered kinds.
#[derive(Default)]
pub(crate) struct Desk {
    kinds: HashMap<&'static str, Handler>,
    /// By the prefix of their kinds.
    families: Vec<(&'static str, Handler)>,
    complaints: Complaints,
}

impl Desk {
    /// Answers `Q` by `answer`. If that refuses, or gives more than [`ANSWER_MAX_BYTES`], or the question cannot be read, it stays
    /// unanswered, which is logged, and the asker counts this instance as silent. A second registration of a kind replaces the first.
    pub(crate) fn answer<Q, F>(&mut self, answer: impl Fn(Q::Ask) -> F + Send + Sync + 'static)
    where
        Q: Question,
        F: Future<Output = Result<Q::Answer, Refused>> + Send + 'static,
    {
        let handle = move |message: ControlMessage| -> BoxFuture<'static, Result<(), Refused>> {
            let asked = match message.responder {
                Some(responder) => {
                    read::<Q::Ask>(&message.payload, Q::MAX_BYTES).map(|ask| (answer(ask), responder))
                }
                None => Err(Refused::WrongForm),
            };
            Box::pin(async move {
                let (answer, responder) = asked?;
                let payload = answer.await?.to_payload();
                let (size, max) = (payload.len(), ANSWER_MAX_BYTES);
                if size > max {
                    return Err(Refused::AnswerTooLarge { size, max });
                }
                responder.respond(payload);
                Ok(())
            })
        };
        self.kinds.insert(Q::KIND, Box::new(handle));
    }

    /// Hands every `S` to `listen`. A second registration of a kind replaces the first.
    pub(crate) fn listen<S, F>(&mut self, listen: impl Fn(S) -> F + Send + Sync + 'static)
    where
        S: Statement,
        F: Future<Output = Result<(), Refused>> + Send + 'static,
    {
        let handle = move |message: ControlMessage| -> BoxFuture<'static, Result<(), Refused>> {
            let heard = read::<S>(&message.payload, S::MAX_BYTES).map(&listen);
            Box::pin(async move { heard?.await })
        };
        self.kinds.insert(S::KIND, Box::new(handle));
    }

    /// Hands every message whose kind begins with `prefix` to `handle`, unread: for a module that counts what it refuses
    /// itself.
    pub(crate) fn family<F>(
        &mut self,
        prefix: &'static str,
        handle: impl Fn(ControlMessage) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let handle = move |message| -> BoxFuture<'static, Result<(), Refused>> {
            let handled = handle(message);
            Box::pin(async move {
                handled.await;
                Ok(())
            })
        };
        self.families.push((prefix, Box::new(handle)));
    }

    /// Handles one message. What cannot be read is dropped and logged, at most once a second for its kind. An unknown kind is
    /// ignored: a newer instance may say what this one does not know yet.
    pub(crate) async fn handle(&self, message: ControlMessage) {
        let kind = message.kind.as_str();
        if let Some((kind, handler)) = self.kinds.get_key_value(kind) {
            if let Err(refused) = handler(message).await {
                self.complaints.refused(kind, refused);
            }
            return;
        }
        let family = self.families.iter().find(|(prefix, _)| kind.starts_with(prefix));
        if let Some((prefix, handler)) = family
            && let Err(refused) = handler(message).await
        {
            self.complaints.refused(prefix, refused);
        }
    }

    /// How many messages were dropped.
    #[cfg(test)]
    pub(crate) fn complaints(&self) -> u64 {
        self.complaints.total()
    }

    /// The kinds that are registered one by one, sorted.
    #[cfg(test)]
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        let mut kinds: Vec<_> = self.kinds.keys().copied().collect();
        kinds.sort_unstable();
        kinds
    }
}

/// Handles what other instances say and ask, in order; ends with the bus. A message that makes its handler panic is
/// dropped, counted in `metrics` and named in the log by its kind.
pub(crate) async fn serve(mut incoming: BoxStream<ControlMessage>, desk: Desk, metrics: Metrics) {
    while let Some(message) = incoming.next().await {
        let kind = message.kind.clone();
        let handling = async {
            #[cfg(test)]
            task::faults::trip(&message.kind);
            desk.handle(message).await;
        };
        if task::caught(handling).await.is_err() {
            metrics.poisoned(Poison::Control);
            error!(kind, "a control message was dropped: handling it panicked");
        }
    }
}
