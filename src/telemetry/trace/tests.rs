//! The promise: an unsampled notification leaves no spans; a sampled one's spans have the right parents, and say what
//! happened to it.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{SpanId, SpanKind};
use opentelemetry_sdk::trace::SpanData;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::delivery::ledger::Ledger;
use crate::delivery::outbox::{Outbox, Outgoing, TryWrite, Written};
use crate::delivery::trail::{Counts, MessageTrail as _, NotificationTrail as _, Trail};
use crate::envelope::Envelope;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::decide::Trusted;

const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn tracer(ratio: f64, trust: &[&str]) -> Tracer {
    let trust: Vec<Trusted> = trust.iter().map(|text| text.parse().unwrap()).collect();
    let queue = Arc::new(Queue::new(64, Metrics::new().unwrap()));
    let sampler = Sampler {
        parent_based: true,
        ratio,
    };
    let prefix = Path::parse("/user").unwrap();
    Tracer::new(queue, sampler, Trust::new(&trust), true, prefix)
}

/// A subscriber with the layer, for this thread and this test.
fn listen() -> DefaultGuard {
    tracing::subscriber::set_default(tracing_subscriber::registry().with(layer()))
}

fn ended(tracer: &Tracer) -> Vec<SpanData> {
    tracer.0.as_ref().unwrap().queue.take(usize::MAX)
}

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

fn to_anna() -> Envelope {
    let path = Path::parse("/queue/x").unwrap();
    Envelope::new(
        Target::User {
            user: user("anna"),
            path,
        },
        "body",
    )
}

fn given(traceparent: &str) -> TraceContext {
    TraceContext::from_headers(Some(traceparent), Some("v=1"))
}

fn counts(written: u64, queued: u64) -> Counts {
    Counts {
        written,
        queued,
        dropped: 0,
    }
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|held| held.key.as_str() == name);
    found.map(|held| held.value.to_string())
}

impl Tracer {
    fn delivers(&self, envelope: &mut Envelope) -> Option<delivery::DeliverSpan> {
        let mut shared = Arc::new(envelope.clone());
        let span = self.deliver(&mut shared);
        *envelope = Envelope::clone(&shared);
        span
    }
}

#[test]
fn off_changes_nothing() {
    let tracer = Tracer::default();
    let upstream = tracer.decide(given(SAMPLED), true, Some((&user("anna"), "s")));
    assert_eq!((upstream.sampled, upstream.context.decided), (false, false));
    let mut envelope = to_anna();
    assert!(tracer.publish(&upstream, &[], &mut envelope).is_none());
    assert!(tracer.delivers(&mut envelope).is_none());
    assert!(tracer.send(&envelope, "s", false).is_none());
    assert_eq!(envelope.trace, given(SAMPLED));
}

#[test]
fn an_unsampled_context_passes_on_unchanged_and_makes_no_span() {
    let tracer = tracer(1.0, &[]);
    let unsampled = SAMPLED.replace("-01", "-00");
    let upstream = tracer.decide(given(&unsampled), false, None);
    let mut envelope = to_anna();
    assert!(tracer.publish(&upstream, &[], &mut envelope).is_none());
    assert_eq!(envelope.trace.traceparent.as_deref(), Some(&*unsampled));
    assert_eq!(envelope.trace.tracestate.as_deref(), Some("v=1"));
    assert!(tracer.delivers(&mut envelope).is_none());
    assert!(ended(&tracer).is_empty());
}

#[test]
fn who_is_not_trusted_forces_nothing() {
    let tracer = tracer(0.0, &["10.0.0.0/8", "key:orders"]);
    let check = |trusted, expected| {
        let upstream = tracer.decide(given(SAMPLED), trusted, None);
        assert_eq!(
            (upstream.sampled, upstream.context.is_sampled()),
            (expected, expected)
        );
    };
    check(tracer.trusts_address("10.1.1.1".parse().unwrap()), true);
    check(tracer.trusts_address("11.1.1.1".parse().unwrap()), false);
    check(tracer.trusts_key("orders"), true);
    check(tracer.trusts_key("other"), false);
}

#[test]
fn a_decision_is_made_once() {
    let everything = tracer(1.0, &[]);
    // Published by an instance that decided against it, without a context: the bus says that much.
    let mut envelope = to_anna();
    envelope.trace.decided = true;
    assert!(everything.delivers(&mut envelope).is_none());
    // Published straight to NATS.
    let mut envelope = to_anna();
    let span = everything.delivers(&mut envelope).unwrap();
    assert!(envelope.trace.is_sampled());
    span.add(counts(1, 0));
    drop(span);
    let spans = ended(&everything);
    assert_eq!(spans[0].parent_span_id, SpanId::INVALID);
    let mut envelope = to_anna();
    assert!(tracer(0.0, &[]).delivers(&mut envelope).is_none());
    envelope.trace = given(SAMPLED);
    assert!(tracer(0.0, &["nats"]).delivers(&mut envelope).is_some());
}

#[test]
fn a_decision_to_record_is_believed_from_instances_alone() {
    let _listening = listen();
    let publisher = tracer(0.0, &["::1"]);
    let upstream = publisher.decide(given(SAMPLED), true, None);
    let mut published = to_anna();
    let targets = [published.target.clone()];
    assert!(publisher.publish(&upstream, &targets, &mut published).is_some());
    let mut direct = to_anna();
    direct.trace = given(SAMPLED);
    let mut dated = direct.clone();
    dated.trace.decided = true;
    let mut marked = dated.clone();
    marked.trace.mark = Some(Mark::random());

    let other = tracer(0.0, &[]);
    for envelope in [&published, &direct, &dated, &marked] {
        let mut envelope = envelope.clone();
        assert!(other.delivers(&mut envelope).is_none());
        // It goes on as what it is: not recorded.
        assert!(!envelope.trace.is_sampled() && envelope.trace.trace_id() == Some(TRACE_ID));
    }
    other.heard_mark(publisher.own_mark().unwrap());
    assert!(other.delivers(&mut published.clone()).is_some());
    assert!(publisher.delivers(&mut published.clone()).is_some());
    for envelope in [&direct, &dated, &marked] {
        assert!(other.delivers(&mut envelope.clone()).is_none());
        // Whoever is trusted forges nothing.
        assert!(tracer(0.0, &["nats"]).delivers(&mut envelope.clone()).is_some());
        // The ratio decides about the others.
        assert!(tracer(1.0, &[]).delivers(&mut envelope.clone()).is_some());
    }
    // Nobody may take another's mark for what is not recorded, and nobody has to.
    let mut refused = published;
    refused.trace = refused.trace.unsampled();
    assert!(tracer(1.0, &["nats"]).delivers(&mut refused).is_none());
}

#[test]
fn a_user_under_debug_sampling_is_traced_whatever_the_ratio() {
    let _listening = listen();
    let tracer = tracer(0.0, &[]);
    let sampled = |name: &str, session: &str| {
        let sender = user(name);
        let decided = tracer.decide(TraceContext::default(), false, Some((&sender, session)));
        decided.sampled
    };
    let session = Debugged::Session {
        id: "one".into(),
        user: Some(user("ben")),
    };
    tracer.debug(session, Duration::from_secs(60));
    assert!(sampled("ben", "one") && !sampled("ben", "two"));
    tracer.debug(Debugged::User(user("anna")), Duration::from_secs(60));
    assert!(sampled("anna", "three") && !sampled("carl", "four"));
    let upstream = tracer.decide(given(&SAMPLED.replace("-01", "-00")), false, None);
    let mut envelope = to_anna();
    let targets = [envelope.target.clone()];
    assert!(tracer.publish(&upstream, &targets, &mut envelope).is_some());
    assert_eq!(envelope.trace.trace_id(), Some(TRACE_ID));
    assert!(envelope.trace.is_sampled());
    let mut direct = to_anna();
    assert!(tracer.delivers(&mut direct).is_some());
    tracer.debug(Debugged::User(user("anna")), Duration::ZERO);
    assert!(tracer.delivers(&mut to_anna()).is_none());
}

#[test]
fn a_notification_to_a_user_is_one_tree() {
    let _listening = listen();
    let tracer = tracer(0.0, &["::1"]);
    let mut upstream = tracer.decide(given(SAMPLED), true, None);
    let request = Request {
        method: "POST",
        route: "/api/v1/notifications",
        path: "/api/v1/notifications",
        host: Some("herald.example:8080"),
        user_agent: None,
        caller: "key:orders",
        address: "::1".parse().unwrap(),
    };
    let server = tracer.server(&mut upstream, SystemTime::now(), request).unwrap();
    let mut envelope = to_anna();
    let targets = [envelope.target.clone()];
    let publish = tracer.publish(&upstream, &targets, &mut envelope).unwrap();
    let deliver = tracer.delivers(&mut envelope).unwrap();
    let send = tracer.send(&envelope, "session-1", true).unwrap();
    assert!(
        send.own_traceparent()
            .unwrap()
            .starts_with(&format!("00-{TRACE_ID}-"))
    );
    send.written();
    send.acknowledged(
        true,
        &given(&SAMPLED.replace("00f067aa0ba902b7", "00000000000000aa")),
    );
    drop(send);
    deliver.add(counts(1, 2));
    drop((deliver, publish));
    server.answered(202);
    drop(server);
    let spans = ended(&tracer);
    let names: Vec<&str> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(
        names,
        [
            "send /user/queue/x",
            "ack",
            "deliver /user/queue/x",
            "publish /user/queue/x",
            "POST /api/v1/notifications"
        ]
    );
    let [send, ack, deliver, publish, server] = &spans[..] else {
        panic!()
    };
    let id = |span: &SpanData| span.span_context.span_id();
    assert_eq!(server.parent_span_id.to_string(), "00f067aa0ba902b7");
    assert!(server.parent_span_is_remote && !send.parent_span_is_remote);
    assert_eq!(publish.parent_span_id, id(server));
    assert_eq!(deliver.parent_span_id, id(publish));
    assert_eq!(send.parent_span_id, id(deliver));
    assert_eq!(ack.parent_span_id, id(send));
    assert_eq!(
        ack.start_time, send.end_time,
        "the browser's time begins with the bytes"
    );
    assert_eq!(
        ack.links[0].span_context.span_id().to_string(),
        "00000000000000aa"
    );
    assert!(
        spans
            .iter()
            .all(|span| span.span_context.trace_id().to_string() == TRACE_ID)
    );
    assert_eq!(attribute(send, "herald.replayed").as_deref(), Some("true"));
    assert_eq!(attribute(deliver, "herald.deliver.matched").as_deref(), Some("3"));
    assert_eq!(attribute(server, "server.port").as_deref(), Some("8080"));
    assert_eq!(
        attribute(server, "http.response.status_code").as_deref(),
        Some("202")
    );
    assert!(!publish.name.contains("anna"));
}

#[test]
fn what_goes_wrong_is_said() {
    let tracer = tracer(1.0, &[]);
    let mut envelope = to_anna();
    let deliver = tracer.delivers(&mut envelope).unwrap();
    let lost = tracer.send(&envelope, "s", false).unwrap();
    let silent = tracer.send(&envelope, "s", false).unwrap();
    let refused = tracer.send(&envelope, "s", false).unwrap();
    silent.written();
    refused.written();
    drop(lost);
    silent.unacknowledged();
    silent.unacknowledged();
    refused.acknowledged(false, &TraceContext::default());
    // Nobody subscribed after all.
    drop(deliver);
    let failed: Vec<(String, String)> = ended(&tracer)
        .iter()
        .filter_map(|span| Some((span.name.to_string(), attribute(span, "error.type")?)))
        .collect();
    let expected = [
        ("send /user/queue/x", "dropped"),
        ("ack", "unacknowledged"),
        ("ack", "nack"),
    ];
    assert_eq!(
        failed,
        expected.map(|(name, kind)| (name.to_owned(), kind.to_owned()))
    );
}

/// Keeps the trace of what waited.
#[derive(Default)]
struct Waited(parking_lot::Mutex<Vec<Option<String>>>);

impl Trail for Waited {
    fn waited(&self, _: Duration, trace: Option<&TraceContext>) {
        let trace = trace.and_then(TraceContext::recorded_id).map(Into::into);
        self.0.lock().push(trace);
    }
}

#[test]
fn ordinary_spans_say_what_hand_made_ones_said() {
    let _listening = listen();
    let tracer = tracer(1.0, &[]);
    let start = SystemTime::now() - Duration::from_secs(1);
    let mut upstream = tracer.decide(TraceContext::default(), false, None);
    let request = Request {
        method: "POST",
        route: "/api/v1/notifications",
        path: "/api/v1/notifications",
        host: Some("[::1]"),
        user_agent: Some("curl"),
        caller: "anyone",
        address: "::1".parse().unwrap(),
    };
    let server = tracer.server(&mut upstream, start, request).unwrap();
    let mut envelope = to_anna();
    let targets = [envelope.target.clone()];
    let mut publish = tracer.publish(&upstream, &targets, &mut envelope).unwrap();
    publish.fail("too_large", "too large");
    server.answered(503);
    drop((publish, server));
    let spans = ended(&tracer);
    let [publish, server] = &spans[..] else {
        panic!("{spans:?}")
    };
    assert_eq!(server.start_time, start, "the login is part of it");
    assert_eq!(
        (&server.span_kind, &publish.span_kind),
        (&SpanKind::Server, &SpanKind::Producer)
    );
    assert_eq!(server.parent_span_id, SpanId::INVALID);
    assert!(server.events.events.is_empty() && server.links.links.is_empty());
    assert_eq!(server.status, Status::error(""));
    assert_eq!(publish.status, Status::error("too large"));
    let said = |span: &SpanData| -> Vec<(String, String)> {
        let mut pairs: Vec<_> = span
            .attributes
            .iter()
            .map(|held| (held.key.to_string(), held.value.to_string()))
            .collect();
        pairs.sort();
        pairs
    };
    let expected = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    assert_eq!(
        said(server),
        expected(&[
            ("client.address", "::1"),
            ("error.type", "503"),
            ("herald.caller", "anyone"),
            ("http.request.method", "POST"),
            ("http.response.status_code", "503"),
            ("http.route", "/api/v1/notifications"),
            ("network.protocol.version", "1.1"),
            ("server.address", "[::1]"),
            ("url.path", "/api/v1/notifications"),
            ("url.scheme", "http"),
            ("user_agent.original", "curl"),
        ])
    );
    assert_eq!(
        said(publish),
        expected(&[
            ("error.type", "too_large"),
            ("messaging.destination.name", "/user/queue/x"),
            ("messaging.message.body.size", "4"),
            ("messaging.message.id", envelope.id.as_str()),
            ("messaging.operation.name", "publish"),
            ("messaging.operation.type", "send"),
            ("messaging.system", "herald"),
            ("user.name", "anna"),
        ])
    );
    let size = |span: &SpanData| {
        let held = span
            .attributes
            .iter()
            .find(|held| held.key.as_str() == "messaging.message.body.size");
        held.map(|held| held.value.clone())
    };
    assert_eq!(size(publish), Some(Value::I64(4)), "a number");
}

#[test]
fn a_login_is_a_tree_of_its_own_and_its_hash_is_below_it() {
    let _listening = listen();
    assert!(hash().is_none(), "nobody is traced");
    let tracer = tracer(1.0, &[]);
    let upstream = tracer.decide(TraceContext::default(), false, None);
    let mut connect = tracer.connect(&upstream, "::1".parse().unwrap(), "1.2").unwrap();
    connect.tracing().in_scope(|| drop(hash()));
    connect.fail("not_authenticated", "wrong password");
    drop(connect);
    let spans = ended(&tracer);
    let told: Vec<_> = spans.iter().map(|span| (&*span.name, &span.span_kind)).collect();
    assert_eq!(
        told,
        [("hash", &SpanKind::Internal), ("CONNECT", &SpanKind::Server)]
    );
    assert_eq!(spans[0].parent_span_id, spans[1].span_context.span_id());
    assert_eq!(
        attribute(&spans[1], "error.type").as_deref(),
        Some("not_authenticated")
    );
}

#[test]
fn each_instance_of_a_process_has_spans_of_its_own() {
    let _listening = listen();
    let (one, other) = (tracer(1.0, &[]), tracer(1.0, &[]));
    let publish = |tracer: &Tracer| {
        let upstream = tracer.decide(TraceContext::default(), false, None);
        tracer.publish(&upstream, &[], &mut to_anna()).unwrap()
    };
    let outer = publish(&one);
    outer.tracing().in_scope(|| drop(publish(&other)));
    assert_eq!((ended(&one).len(), ended(&other).len()), (0, 1));
    drop(outer);
    assert_eq!((ended(&one).len(), ended(&other).len()), (1, 0));
}

#[test]
fn without_the_layer_deliveries_alone_are_recorded() {
    let tracer = tracer(1.0, &[]);
    let upstream = tracer.decide(given(SAMPLED), true, None);
    let mut envelope = to_anna();
    assert!(tracer.publish(&upstream, &[], &mut envelope).is_none());
    assert_eq!(envelope.trace.traceparent.as_deref(), Some(SAMPLED));
    drop(tracer.send(&envelope, "s", false));
    assert_eq!(ended(&tracer).len(), 1);
}

#[test]
fn nothing_but_the_target_becomes_a_span() {
    let _listening = listen();
    let tracer = tracer(1.0, &[]);
    let upstream = tracer.decide(TraceContext::default(), false, None);
    let publish = tracer.publish(&upstream, &[], &mut to_anna()).unwrap();
    publish.tracing().in_scope(|| {
        let _of_a_library = tracing::info_span!(target: "hyper::client", "send").entered();
        let _of_ours = tracing::info_span!("request").entered();
        tracing::error!(target: TARGET, "an event");
    });
    drop(publish);
    let spans = ended(&tracer);
    assert_eq!(spans.len(), 1);
    assert!(spans[0].events.events.is_empty() && spans[0].status == Status::Unset);
}

/// Takes whatever it is given.
struct Open;

impl TryWrite for Open {
    fn try_write(&self, chunks: &[std::io::IoSlice<'_>]) -> std::io::Result<Written> {
        Ok(Written::taken(chunks.iter().map(|chunk| chunk.len()).sum()))
    }
}

#[test]
fn what_waited_is_measured_with_its_trace_and_a_broadcasts_mark_makes_no_span() {
    let tracer = tracer(0.0, &[]);
    let mut broadcast = Envelope::new(Target::Broadcast(Path::parse("/queue/x").unwrap()), "");
    assert!(tracer.mark(&broadcast).is_none(), "not recorded");
    broadcast.trace = given(SAMPLED);
    let mark = Arc::new(tracer.mark(&broadcast).unwrap());
    assert_eq!(mark.own_traceparent(), None, "all sessions get the same bytes");
    let trail = Arc::new(Waited::default());
    let ledger = Arc::new(Ledger::new(1_000, trail.clone()));
    let outbox = Outbox::new(Arc::new(Open), 1_000, ledger);
    let mut recorded = Outgoing::plain("a".into());
    recorded.trail = Some(mark.clone());
    outbox.push_blocked([recorded, Outgoing::plain("b".into())], 0);
    outbox.write_waiting().unwrap();
    assert_eq!(*trail.0.lock(), [Some(TRACE_ID.to_owned()), None]);
    mark.written();
    mark.acknowledged(true, &TraceContext::default());
    mark.unacknowledged();
    drop(mark);
    assert!(ended(&tracer).is_empty());
}
