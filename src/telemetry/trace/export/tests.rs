//! The promise: the queue is bounded, and ending a span never waits.

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::telemetry::trace::layer;

fn span() -> SpanData {
    SpanData {
        span_context: SpanContext::NONE,
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "x".into(),
        start_time: std::time::SystemTime::UNIX_EPOCH,
        end_time: std::time::SystemTime::UNIX_EPOCH,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: Default::default(),
    }
}

#[test]
fn what_does_not_fit_is_counted() {
    let metrics = Metrics::new().unwrap();
    let queue = Queue::new(2, metrics.clone());
    (0..5).for_each(|_| queue.push(span()));
    assert_eq!(metrics.spans_lost.with_label_values(&["queue"]).get(), 3);
    assert_eq!(queue.take(1).len(), 1);
    assert_eq!(queue.take(9).len(), 1);
    assert!(queue.take(9).is_empty());
}

#[tokio::test]
async fn after_a_panic_of_the_exporting_task_every_span_is_counted() {
    let metrics = Metrics::new().unwrap();
    let queue = std::sync::Arc::new(Queue::new(8, metrics.clone()));
    (0..3).for_each(|_| queue.push(span()));
    start::watch_a_panic(queue.clone()).await;
    (0..2).for_each(|_| queue.push(span()));
    assert_eq!(metrics.spans_lost.with_label_values(&["export"]).get(), 5);
    assert!(queue.take(9).is_empty());
}

#[tokio::test]
async fn at_the_end_nobody_waits_longer_than_the_bound() {
    let _listening = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer()));
    // Takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config {
        endpoint: Some(format!("http://{}", silent.local_addr().unwrap())),
        flush_timeout: HumanDuration::millis(100),
        interval: HumanDuration::millis(10),
        ..Config::default()
    };
    let metrics = Metrics::new().unwrap();
    let instance = crate::instance::Instance::new(&Default::default());
    let prefix = crate::destination::Path::parse("/user").unwrap();
    let plan = crate::telemetry::plan::plan(&config, &Default::default(), &|_| None);
    let (tracer, exporter) = start(&config, &plan, &instance, &prefix, &metrics).unwrap();
    let path = crate::destination::Path::parse("/queue/x").unwrap();
    let target = crate::destination::Target::Broadcast(path);
    let mut envelope = crate::envelope::Envelope::new(target, "");
    for _ in 0..3 {
        let upstream = tracer.decide(Default::default(), false, None);
        drop(tracer.publish(&upstream, &[], &mut envelope));
    }
    let begun = Instant::now();
    exporter.shutdown(begun + Duration::from_secs(5)).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let lost = |reason| metrics.spans_lost.with_label_values(&[reason]).get();
    assert_eq!(lost("export") + lost("shutdown"), 3);
}
