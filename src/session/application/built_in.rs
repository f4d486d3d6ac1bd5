//! What the configuration's built-in routes do. Knows no backend.

use super::answer::{Problem, answer, report};
use super::{Accepted, Route, Sender, publish};
use crate::chat_message::{self, chat_message};
use crate::destination::{Path, Target};
use crate::envelope::Envelope;
use crate::session::action::Send;
use crate::session::context::Context;
use crate::telemetry::trace::Upstream;

/// Serves a SEND to `route`.
pub(super) async fn serve(
    context: &Context,
    sender: Sender<'_>,
    upstream: &Upstream,
    send: &Send,
    route: &Route,
) -> Accepted {
    match route {
        Route::Broadcast { destination, .. } => {
            match broadcast(context, sender, upstream, send, destination).await {
                Ok(()) => Accepted::Yes,
                Err(problem) => report(context, sender, send, problem).await,
            }
        }
        Route::Users { reply, .. } => {
            answer(sender, send, reply, context.presence.list()).await;
            Accepted::Yes
        }
        Route::Recent {
            destination,
            count,
            reply,
            ..
        } => {
            let bodies = context.application.recent.as_json_array(destination, *count);
            answer(sender, send, reply, bodies).await;
            Accepted::Yes
        }
    }
}

async fn broadcast(
    context: &Context,
    sender: Sender<'_>,
    upstream: &Upstream,
    send: &Send,
    destination: &Path,
) -> Result<(), Problem> {
    let message = std::str::from_utf8(&send.body).map_err(|_| Problem {
        code: "bad_request",
        message: "the body must be UTF-8 text".into(),
    })?;
    let now = jiff::Timestamp::now().to_zoned(context.application.time_zone.clone());
    let body = chat_message(message, sender.user.as_str(), &now);
    let mut envelope = Envelope::new(Target::Broadcast(destination.clone()), body)
        .with_content_type(chat_message::CONTENT_TYPE);
    let published = publish(context, upstream, sender, &mut envelope).await;
    published.map_err(|error| Problem::of_publish(&error))
}
