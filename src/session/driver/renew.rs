//! A SEND that renews its session: asks the interceptors, gives the shard the new principal, tells the client what it
//! has lost, and answers last. Knows no credential: [`crate::session::renew`] interprets the interceptors' answer.
//!
//! Meanwhile the driver handles no further frames, as during a login: no longer than the queue of logins lets a login
//! wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::info;

use super::act::{Reading, Source, sender, tell_denied};
use crate::close_reason::CloseReason;
use crate::delivery::command::Judge;
use crate::delivery::outbox::Outbox;
use crate::delivery::wire;
use crate::destination::{Destination, Target};
use crate::envelope::unix_ms;
use crate::interceptor::{Denied, Reject, Upgrade};
use crate::principal::Principal;
use crate::session::action::Note;
use crate::session::application;
use crate::session::context::Context;
use crate::session::end::{End, close_end, error_end, gone};
use crate::session::handshake::{self, EXPIRES_IN};
use crate::session::input::{Input, Inputs};
use crate::session::renew::{Outcome, outcome};
use crate::session::state::Session;
use crate::stomp::Frame;
use crate::task;
use crate::ws::close::pong_frame;

/// Renews the session by what `frame` presents. Returns the session's end, if it comes to that.
pub(super) async fn renew(
    context: &Arc<Context>,
    session: &mut Session,
    source: Source<'_>,
    outbox: &Outbox,
    reading: Reading<'_, '_>,
    frame: Frame,
    receipt: Option<Box<str>>,
) -> Option<End> {
    let version = session.version();
    if let Err(refusal) = reading.inputs.renewal() {
        return Some(error_end(
            refusal.with_receipt(receipt.as_deref()),
            version,
            &context.metrics,
        ));
    }
    // Not in the session: most have no use for it. `None`: the session has ended, and its writing half says how.
    let address = source.key.address().await?;
    let attempt = handshake::presented(&frame, address, Upgrade::default());
    // It holds a credential: it is dropped before anything else waits.
    drop(frame);
    let liveness = outbox.liveness();
    // While Herald itself delays reading, the silence is not the client's.
    liveness.paused.store(true, Ordering::Relaxed);
    let judged = tokio::select! {
        biased;
        judged = context.rules.chain.renew(session.principal(), &attempt) => judged,
        // Nobody waits for the hash of a client that has gone.
        end = departure(context, session, source, outbox, reading.inputs) => return Some(end),
    };
    liveness.heard.store(source.key.now(), Ordering::Relaxed);
    liveness.paused.store(false, Ordering::Relaxed);
    drop(attempt);
    let (outcome, result) = outcome(session.principal(), judged);
    context.metrics.renewals.with_label_values(&[result]).inc();
    let user = session.principal().user();
    info!(%user, session = %source.session_id, result, "renewal");
    let refused = (!matches!(outcome, Outcome::Renewed(_))).then_some(result);
    context
        .audit
        .renewal(session.principal(), source.session_id, address, refused);
    match outcome {
        Outcome::Renewed(principal) => accept(context, session, source, principal, receipt).await,
        Outcome::Stays(note) => {
            application::note(context, sender(session, source), note).await;
            None
        }
        Outcome::Ends(refusal) => {
            let refusal = refusal.with_receipt(receipt.as_deref());
            Some(error_end(refusal, version, &context.metrics))
        }
    }
}

/// The session is `principal`'s from now on: first the shard judges what it has subscribed to, then its client is told what that has
/// cost, and last comes the RECEIPT.
async fn accept(
    context: &Arc<Context>,
    session: &mut Session,
    source: Source<'_>,
    principal: Principal,
    receipt: Option<Box<str>>,
) -> Option<End> {
    let judge = judge(context, &principal);
    // `None`: the session has ended.
    let lost = source.key.renew(principal.clone(), judge).await?;
    session.renewed(principal, lost.iter().map(|lost| lost.number));
    // What was withdrawn while the credential was judged found the principal of before.
    if let Err(reject) = context.rules.chain.joined(session.principal()) {
        return Some(error_end(reject.into(), session.version(), &context.metrics));
    }
    for lost in lost {
        let (message, denied) = why(context, session.principal(), &lost.destination);
        if let Some(denied) = denied {
            tell_denied(context, session, source, &denied).await;
        }
        let note = Note {
            code: "not_permitted_any_more",
            message,
            destination: Some(lost.destination),
        };
        application::note(context, sender(session, source), note).await;
    }
    if let Some(receipt) = receipt {
        let expires_in = handshake::expires_in(session.principal(), unix_ms());
        let headers: Vec<(&str, &str)> = expires_in.iter().map(|ms| (EXPIRES_IN, &**ms)).collect();
        source
            .key
            .say(wire::receipt(&receipt, &headers, session.version()))
            .await;
    }
    None
}

/// What the shard asks about each subscription.
fn judge(context: &Arc<Context>, principal: &Principal) -> Judge {
    let (context, principal) = (context.clone(), principal.clone());
    Arc::new(move |target: &Target| {
        let destination = Destination::Target(target.clone());
        // It runs on the shard's thread, which must survive it.
        task::caught_now(|| context.rules.chain.subscribe(&principal, &destination, ""))
            .is_ok_and(|judged| judged.is_ok())
    })
}

/// Why `text`, which the session had subscribed to, is lost.
fn why(context: &Context, principal: &Principal, text: &str) -> (String, Option<Box<Denied>>) {
    let destination = context.rules.prefixes.for_client(text, principal.user());
    let judged = destination.map(|destination| context.rules.chain.subscribe(principal, &destination, text));
    match judged {
        Ok(Err(Reject { message, denied, .. })) => (message, denied),
        _ => (format!("SUBSCRIBE to {text} is not permitted any more"), None),
    }
}

/// Waits until the client ends the connection. Pings are answered meanwhile; no frame is read.
async fn departure(
    context: &Context,
    session: &Session,
    source: Source<'_>,
    outbox: &Outbox,
    inputs: &mut Inputs<'_>,
) -> End {
    loop {
        match inputs.next_but_frames().await {
            Ok(Input::Ping(payload)) => source.key.say(pong_frame(&payload)).await,
            Ok(Input::Pong) => outbox.liveness().pong.store(source.key.now(), Ordering::Relaxed),
            Ok(Input::Frame(_) | Input::Empty) => {}
            Ok(Input::Close) => return close_end(CloseReason::Normal),
            Ok(Input::Gone) => return gone(),
            Err(refusal) => return error_end(refusal, session.version(), &context.metrics),
        }
    }
}
