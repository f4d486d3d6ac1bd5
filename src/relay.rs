//! From the bus into this instance: notifications to `delivery/`, control messages to whom they concern. Knows of
//! sessions only who counts them, no socket and no STOMP.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tracing::{info, warn};

use crate::bus::{BoxStream, Bus, ControlMessage};
use crate::control::{self, describe, explain, log_level, session_user};
use crate::delivery::registry::Registry;
use crate::destination::{Path, Target};
use crate::envelope::Envelope;
use crate::presence::Presence;
use crate::probe::PROBE;
use crate::recent::Recent;
use crate::session::per_user::{self, cluster::Cluster};
use crate::tap::Tap;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::Tracer;
use crate::telemetry::trace::decide::{DEBUG_SESSION, DEBUG_USER, read_order};

/// The control request that asks another instance for its newest bodies of one destination.
const RECENT_LIST: &str = "recent.list";
/// How long a new instance looks for another to learn the newest bodies from.
const LEARN_ATTEMPTS: u32 = 100;
/// An instance hears of the others within a digest's interval; it looks often, since looking costs nothing.
const LEARN_INTERVAL: Duration = Duration::from_millis(50);
const LEARN_TIMEOUT: Duration = Duration::from_millis(500);

/// Hands every notification to the sessions of this instance, in the bus's order; ends with the bus. A full shard makes
/// this wait, and with it the bus.
pub async fn relay_notifications(
    mut incoming: BoxStream<Envelope>,
    registry: Registry,
    recent: Arc<Recent>,
    tap: Tap,
    presence: Arc<Presence>,
    metrics: Metrics,
) {
    let mut ahead = None;
    loop {
        let next = match ahead.take() {
            Some(envelope) => Some(envelope),
            None => incoming.next().await,
        };
        let Some(envelope) = next else { return };
        // At its end the stream says so once more above.
        ahead = incoming.next().now_or_never().flatten();
        recent.record(&envelope);
        if tap.is_open() {
            tap.record(&envelope, registry.is_wanted(&envelope));
        }
        let user = match &envelope.target {
            Target::User { user, .. } => Some(user.clone()),
            Target::Broadcast(_) => None,
        };
        let is_wanted = match ahead {
            Some(_) => registry.deliver(envelope).await,
            None => registry.deliver_alone(envelope).await,
        };
        if !is_wanted && user.is_some_and(|user| presence.counts_as_offline(&user)) {
            metrics.offline.inc();
        }
    }
}

/// Handles what other instances say and ask, in order; ends with the bus.
pub async fn relay_control(
    mut incoming: BoxStream<ControlMessage>,
    presence: Arc<Presence>,
    registry: Registry,
    recent: Arc<Recent>,
    cluster: Arc<Cluster>,
    tracer: Tracer,
) {
    while let Some(message) = incoming.next().await {
        match message.kind.as_str() {
            kind if kind.starts_with("presence.") => presence.handle(message).await,
            control::SESSIONS_LIST => {
                let answer = control::answer_sessions_list(&registry, message.payload).await;
                if let Some(responder) = message.responder {
                    responder.respond(answer);
                }
            }
            explain::EXPLAIN => {
                let answer = explain::answer_explain(&registry, message.payload).await;
                if let Some(responder) = message.responder {
                    responder.respond(answer);
                }
            }
            describe::DESCRIBE => {
                if let Some(responder) = message.responder {
                    responder.respond(describe::answer_describe(&registry));
                }
            }
            log_level::SET_LEVEL => log_level::apply_set_level(&message.payload),
            control::DISCONNECT => control::apply_disconnect(&registry, message.payload).await,
            kind @ (DEBUG_USER | DEBUG_SESSION) => match read_order(kind, &message.payload) {
                Some((who, lasting, by)) => {
                    info!(target: "herald::audit", action = "debug-sampling", %by, ?who, ?lasting,
                        "tracing notifications of a user or a session on this instance");
                    tracer.debug(who, lasting);
                }
                None => warn!(kind, "a control message cannot be read"),
            },
            session_user::SESSION_USER => {
                let answer = session_user::answer_session_user(&registry, message.payload).await;
                if let Some(responder) = message.responder {
                    responder.respond(answer);
                }
            }
            per_user::SEATS => {
                if let (Some(answer), Some(responder)) =
                    (cluster.answer_seats(&message.payload), message.responder)
                {
                    responder.respond(answer);
                }
            }
            per_user::SUPERSEDE => {
                if let (Some(done), Some(responder)) =
                    (cluster.apply_supersede(&message.payload).await, message.responder)
                {
                    responder.respond(done);
                }
            }
            PROBE => {
                if let Some(responder) = message.responder {
                    responder.respond(Bytes::new());
                }
            }
            RECENT_LIST => {
                let path = std::str::from_utf8(&message.payload)
                    .ok()
                    .and_then(|text| Path::parse(text).ok());
                if let (Some(path), Some(responder)) = (path, message.responder) {
                    responder.respond(recent.tell(&path));
                }
            }
            // A newer instance may say what this one does not know yet.
            _ => {}
        }
    }
}

/// Asks one other instance for the newest bodies, once, soon after the start; none is there: nothing is missed.
pub async fn learn_recent(
    bus: Arc<dyn Bus>,
    presence: Arc<Presence>,
    recent: Arc<Recent>,
    own: crate::instance::InstanceId,
) {
    let mut missing: Vec<Path> = recent.paths().cloned().collect();
    for _ in 0..LEARN_ATTEMPTS {
        tokio::time::sleep(LEARN_INTERVAL).await;
        let Some(other) = presence
            .instances()
            .into_iter()
            .find(|instance| instance.id != own)
        else {
            continue;
        };
        let mut left = Vec::new();
        for path in missing {
            let payload = path.as_str().to_owned().into();
            match bus
                .control_request(other.id, RECENT_LIST, payload, LEARN_TIMEOUT)
                .await
            {
                Ok(told) => {
                    if let Err(error) = recent.learn(&path, &told) {
                        warn!(instance = %other.name, %error, "another instance's newest bodies are unreadable");
                    }
                }
                Err(_) => left.push(path),
            }
        }
        missing = left;
        if missing.is_empty() {
            return;
        }
    }
}
