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

mod decision;
mod layer;

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
