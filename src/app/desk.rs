//! Receives everything that arrives over the bus: the relay takes notifications, the desk takes questions of other
//! instances. Knows the modules only by their `register`.

use std::sync::Arc;

use super::Core;
use crate::auth::Authenticator;
use crate::bus::Bus;
use crate::control::desk::Desk;
use crate::control::shed::Shedder;
use crate::control::{
    debug_sampling, describe, explain, log_level, senders, session_user, sessions, trace_marks,
};
use crate::delivery::registry::Registry;
use crate::http::permission::session::Explainer;
use crate::instance::{Instance, InstanceId};
use crate::presence::Presence;
use crate::probe;
use crate::recent::{self, Recent};
use crate::relay::Relay;
use crate::revocation::keep::Keeper;
use crate::revocation::{Parts, Revocations};
use crate::session::per_user::cluster::Cluster;
use crate::telemetry::audit::Audit;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::Tracer;

impl Core {
    /// What notifications are handed to.
    pub(super) fn relay(&self) -> Relay {
        Relay {
            registry: self.registry.clone(),
            recent: self.recent.clone(),
            baggage: self.baggage.clone(),
            tap: self.tap.clone(),
            presence: self.presence.clone(),
            metrics: self.metrics.clone(),
        }
    }

    /// What other instances' messages are handed to.
    pub(super) fn desk(&self, shedder: &Shedder) -> Desk {
        desk(&Answering {
            registry: &self.registry,
            presence: &self.presence,
            cluster: &self.cluster,
            recent: &self.recent,
            tracer: &self.tracer,
            audit: &self.audit,
            explainer: &self.explainer,
            revocations: &self.revocations,
            shedder,
            own: self.instance.id,
        })
    }
}

/// The modules that answer other instances.
struct Answering<'a> {
    registry: &'a Registry,
    presence: &'a Arc<Presence>,
    cluster: &'a Arc<Cluster>,
    recent: &'a Arc<Recent>,
    tracer: &'a Tracer,
    audit: &'a Audit,
    explainer: &'a Explainer,
    revocations: &'a Arc<Revocations>,
    shedder: &'a Shedder,
    own: InstanceId,
}

/// The revocations of the cluster that this instance is in.
pub(super) fn revocations(
    authenticator: &Arc<Authenticator>,
    bus: &Arc<dyn Bus>,
    instance: &Instance,
    metrics: &Metrics,
    audit: &Audit,
    presence: &Arc<Presence>,
    keeper: Keeper,
) -> Arc<Revocations> {
    let presence = presence.clone();
    Arc::new(Revocations::new(Parts {
        authenticator: authenticator.clone(),
        bus: bus.clone(),
        own: instance.id,
        metrics: metrics.clone(),
        audit: audit.clone(),
        keeper,
        known: Box::new(move || presence.others().into_iter().map(|other| other.id).collect()),
    }))
}

/// The desk with every kind that this version knows.
fn desk(modules: &Answering<'_>) -> Desk {
    let Answering {
        registry,
        tracer,
        audit,
        ..
    } = *modules;
    let mut desk = Desk::default();
    modules.presence.register(&mut desk);
    sessions::register(&mut desk, registry, audit, modules.own);
    session_user::register(&mut desk, registry);
    senders::register(&mut desk, registry);
    modules.shedder.register(&mut desk, audit);
    explain::register(&mut desk, registry);
    modules.explainer.register(&mut desk);
    describe::register(&mut desk, registry);
    log_level::register(&mut desk, audit);
    debug_sampling::register(&mut desk, tracer, audit);
    trace_marks::register(&mut desk, tracer);
    modules.cluster.register(&mut desk);
    recent::share::register(&mut desk, modules.recent);
    probe::register(&mut desk);
    modules.revocations.register(&mut desk);
    desk
}

#[cfg(test)]
mod tests {
    //! Promise: an instance answers an older one word for word as that one expects, and survives any bytes.

    use bytes::Bytes;
    use tokio::sync::oneshot;

    use super::*;
    use crate::bus::embedded::EmbeddedBus;
    use crate::bus::{self, ControlMessage, Responder};
    use crate::control::question::PAYLOAD_MAX_BYTES;
    use crate::destination::Prefixes;
    use crate::destination::{Path, Target};
    use crate::envelope::{Envelope, HeaderLimits, MessageId};
    use crate::http::access::Policy;
    use crate::permissions::Permissions;
    use crate::session::per_user::PerUser;
    use crate::setting::{ByteSize, Findings, Limits};

    fn made() -> Desk {
        let (audit, _guard, _) = Audit::kept();
        made_with(&audit)
    }

    fn made_with(audit: &Audit) -> Desk {
        let registry = crate::http::tests::registry();
        let instance = Instance::new(&crate::instance::Config::default());
        let limits = bus::Limits {
            body_bytes: ByteSize::mib(1),
            headers: HeaderLimits { count: 4, bytes: 64 },
        };
        let bus: Arc<dyn Bus> = EmbeddedBus::new(&bus::Config::default(), limits, instance.id);
        let presence = Arc::new(Presence::new(
            instance.clone(),
            bus.clone(),
            registry.clone(),
            crate::presence::Config::default(),
        ));
        let cluster = Cluster::new(
            PerUser::new(&Limits::default()),
            bus.clone(),
            presence.clone(),
            instance.id,
            Metrics::new().unwrap(),
        );
        let path = Path::parse("/queue/message").unwrap();
        let recent = Recent::new([(path.clone(), 3)]);
        let mut envelope = Envelope::new(Target::Broadcast(path), "hi");
        envelope.id = MessageId::parse("one").unwrap();
        envelope.timestamp_ms = 5;
        recent.record(&envelope);
        let (cluster, recent) = (Arc::new(cluster), Arc::new(recent));
        let (prefixes, mut findings) = (Prefixes::default(), Findings::default());
        let explainer = Explainer {
            registry: registry.clone(),
            permissions: Arc::new(Permissions::new(&Default::default(), &prefixes, &mut findings)),
            policy: Policy::new(&Default::default(), &prefixes, &mut findings),
            prefixes: Arc::new(prefixes),
        };
        let authenticator = crate::http::tests::authenticator();
        let metrics = Metrics::new().unwrap();
        let keeper = Keeper::without_file(authenticator.revoked());
        let revocations = revocations(
            &authenticator,
            &bus,
            &instance,
            &metrics,
            audit,
            &presence,
            keeper,
        );
        // Nobody closes what it takes.
        let (shedder, _) = crate::control::shed::shedder(&registry, std::time::Duration::from_secs(5));
        desk(&Answering {
            registry: &registry,
            presence: &presence,
            cluster: &cluster,
            recent: &recent,
            tracer: &Tracer::default(),
            audit,
            explainer: &explainer,
            revocations: &revocations,
            shedder: &shedder,
            own: instance.id,
        })
    }

    async fn ask(desk: &Desk, kind: &str, payload: impl Into<Bytes>) -> Option<Bytes> {
        let (responder, answer) = oneshot::channel();
        desk.handle(ControlMessage {
            kind: kind.into(),
            payload: payload.into(),
            responder: Some(Responder(responder)),
        })
        .await;
        answer.await.ok()
    }

    #[tokio::test]
    async fn questions_of_an_older_instance_are_answered_as_it_expects() {
        let desk = made();
        let described = format!(
            r#"{{"version":"{}","sessions":0,"subscriptions":0,"outbox_bytes":0}}"#,
            env!("CARGO_PKG_VERSION")
        );
        for (kind, question, answer) in [
            (
                "sessions.list",
                r#"{"user":"anna"}"#,
                r#"{"sessions":[],"truncated":false}"#,
            ),
            (
                "sessions.explain",
                r#"{"path":"/queue/x","user":null}"#,
                r#"{"reached":[],"reached_count":0,"missed":[],"missed_count":0}"#,
            ),
            ("instance.describe", "", &described),
            (
                "sessions.senders",
                r#"{"top":20,"by":"recent"}"#,
                r#"{"senders":[]}"#,
            ),
            (
                "sessions.user",
                r#"{"session":"01JDEXAMPRE0000000000000AA"}"#,
                r#"{"user":null}"#,
            ),
            (
                "permissions.explain",
                r#"{"session":"01JDEXAMPRE0000000000000AA","action":"send","destination":"/app/x"}"#,
                r#"{"user":null,"decision":null,"unexplained":null}"#,
            ),
            (
                "sessions.seats",
                r#"{"users":["anna","ben"]}"#,
                r#"{"seats":[[],[]]}"#,
            ),
            (
                "sessions.supersede",
                r#"{"users":[{"user":"anna","seats":[1]}]}"#,
                "{}",
            ),
            (
                "sessions.shed",
                r#"{"share":20,"by":"key:ops"}"#,
                r#"{"sessions":null,"over_ms":5000}"#,
            ),
            ("probe.echo", "", ""),
            (
                "recent.list",
                "/queue/message",
                r#"[{"id":"one","timestamp_ms":5,"body":"aGk="}]"#,
            ),
            ("recent.list", "/queue/other", "[]"),
            (
                "tokens.revocations",
                r#"{"after":null}"#,
                r#"{"revocations":[],"next":null}"#,
            ),
            (
                "presence.snapshot",
                r#"{"at_least":0}"#,
                r#"{"page":{"number":0,"users":0,"hash":"0000000000000000","offset":0,"names":[],"more":false}}"#,
            ),
        ] {
            let answered = ask(&desk, kind, question).await;
            assert_eq!(answered.as_deref(), Some(answer.as_bytes()), "{kind} {question}");
        }
    }

    #[tokio::test]
    async fn what_instances_are_told_for_an_operator_is_audited_and_forges_no_line() {
        let (audit, _guard, kept) = Audit::kept();
        let desk = made_with(&audit);
        let forged = "key:x\n{\"event\":\"tap\",\"who\":\"key:y\"}\r\u{1b}[2K\u{202e}\u{2028}";
        let by = serde_json::to_string(forged).unwrap();
        for (number, (kind, order, event, what)) in [
            (
                "sessions.disconnect",
                r#""user":"anna""#,
                "disconnect-user",
                r#"{"user":"anna"}"#,
            ),
            (
                "tracing.user",
                r#""user":"anna","minutes":5"#,
                "debug-sampling",
                r#"{"user":"anna","for_seconds":300}"#,
            ),
            (
                "tracing.session",
                r#""session":"01JDEXAMPRE0000000000000AA","minutes":0"#,
                "debug-sampling",
                r#"{"session":"01JDEXAMPRE0000000000000AA","for_seconds":0}"#,
            ),
        ]
        .into_iter()
        .enumerate()
        {
            ask(&desk, kind, format!(r#"{{{order},"by":{by}}}"#)).await;
            let lines = kept.lines(number + 1);
            assert_eq!(lines.len(), number + 1, "{lines:?}");
            let line = &lines[number];
            assert_eq!(
                (&line["event"], &line["outcome"]),
                (&event.into(), &"done".into())
            );
            let what: serde_json::Value = serde_json::from_str(what).unwrap();
            assert_eq!(line["what"], what);
            assert!(line["who"].as_str().unwrap().starts_with("key:x{"), "{line}");
        }
        assert!(
            !kept
                .text()
                .lines()
                .any(|line| line.chars().any(crate::deceptive::is_deceptive))
        );
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_not_answered_and_what_is_unknown_is_ignored() {
        let desk = made();
        let known = [
            "instance.describe",
            "log.level",
            "permissions.explain",
            "probe.echo",
            "recent.list",
            "sessions.disconnect",
            "sessions.disconnect.again",
            "sessions.explain",
            "sessions.list",
            "sessions.seats",
            "sessions.senders",
            "sessions.shed",
            "sessions.supersede",
            "sessions.user",
            "tokens.digest",
            "tokens.revocations",
            "tokens.revoked",
            "tracing.mark",
            "tracing.session",
            "tracing.user",
        ];
        assert_eq!(desk.kinds(), known);
        let brackets = "[".repeat(100_000);
        let large = format!(r#"{{"user":"anna","more":"{}"}}"#, "x".repeat(2 << 20));
        let many = format!(r#"{{"users":["a"{}]}}"#, r#","a""#.repeat(256));
        for hostile in [
            &b""[..],
            b"{}",
            b"\xff",
            br#"{"user":"a\u200bb"}"#,
            br#"{"session":"x"}"#,
            br#"{"path":"x"}"#,
            brackets.as_bytes(),
            large.as_bytes(),
            many.as_bytes(),
        ] {
            for kind in known.into_iter().chain(["presence.snapshot", "a.new.kind"]) {
                let answered = ask(&desk, kind, hostile.to_vec()).await;
                let empty_question =
                    matches!(kind, "instance.describe" | "probe.echo") && hostile.len() <= PAYLOAD_MAX_BYTES;
                let bytes = hostile.get(..20.min(hostile.len()));
                assert_eq!(answered.is_some(), empty_question, "{kind} {bytes:?}");
            }
        }
    }
}
