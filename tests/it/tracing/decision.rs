//! The promise: an instance decides what is recorded: a backend's headers cannot force it beyond `tracing.trust`, and
//! all others follow the decision of one instance.

use super::{JSON, TRACE_ID, TRACEPARENT, cluster};
use crate::support::cluster::until;
use crate::support::cluster_client::Browser;
use crate::support::collector::{Collector, Speaks};
use crate::support::nats;

const SUBJECT: &str = "herald.broadcast.queue.x";

/// The trace ids in what a browser gets of messages that a backend publishes with a recorded `traceparent`: as it is, and
/// with every header that an instance would write.
async fn traced(trust: &str) -> Vec<Option<String>> {
    let collector = Collector::start(Speaks::Grpc);
    let settings = [("HERALD_TRACING__RATIO", "0.0"), ("HERALD_TRACING__TRUST", trust)];
    let cluster = cluster(&collector, &settings).await;
    let mut browser = Browser::connect(cluster.instances[1].address, "test1").await;
    browser.subscribe("/queue/x").await;

    // An instance's own decision: its client is trusted, and the other instance follows, once it knows the first.
    until("the other instance to follow", async || {
        let headers = [JSON, ("traceparent", TRACEPARENT)];
        let body = br#"{"destination":"/queue/x","payload":1}"#;
        let answer = cluster.instances[0]
            .request("POST", "/api/v1/notifications", &headers, body)
            .await;
        assert_eq!(answer.json()["trace_id"], TRACE_ID, "{}", answer.text());
        browser.next().await.header("traceparent").is_some()
    })
    .await;

    let backend = async_nats::connect(cluster.nats.url()).await.unwrap();
    let (time, mark) = (("Herald-Timestamp", "1"), ("Herald-Decided", "0123456789abcdef"));
    let mut found = Vec::new();
    for more in [&[][..], &[time], &[time, mark], &[mark]] {
        let headers = [&[("traceparent", TRACEPARENT)], more].concat();
        backend
            .publish_with_headers(SUBJECT, nats::headers(&headers), "direct".into())
            .await
            .unwrap();
        let message = browser.next().await;
        assert_eq!(message.text(), "direct");
        let id = message.header("traceparent").map(|text| text[3..35].to_owned());
        found.push(id);
    }
    found
}

#[tokio::test]
async fn a_backends_headers_force_no_recording() {
    assert_eq!(traced("127.0.0.0/8").await, [None, None, None, None]);
}

#[tokio::test]
async fn a_backend_that_is_trusted_continues_its_trace() {
    assert_eq!(
        traced("127.0.0.0/8,nats").await,
        vec![Some(TRACE_ID.to_owned()); 4]
    );
}
