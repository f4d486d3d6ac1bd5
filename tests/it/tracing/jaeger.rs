//! The promise in a real Jaeger: it returns the whole tree through its own API.

use serde_json::Value;

use super::{PARENT, TRACE_ID, TRACEPARENT, publish};
use crate::support::cluster::{Cluster, until};
use crate::support::cluster_client::Browser;
use crate::support::jaeger::Jaeger;

/// Name, instance and parent's name of each span, by name. The parent of the trace's first span is the publisher's
/// own.
fn tree(trace: &Value) -> Vec<(String, String, String)> {
    let spans = trace["spans"].as_array().expect("spans");
    let named = |id: &Value| {
        let found = spans.iter().find(|span| span["spanID"] == *id);
        found.map_or(id.clone(), |span| span["operationName"].clone())
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut told: Vec<_> = spans
        .iter()
        .map(|span| {
            let process = &trace["processes"][text(&span["processID"])];
            assert_eq!(process["serviceName"], "herald");
            let tags = process["tags"].as_array().expect("tags");
            let instance = tags.iter().find(|tag| tag["key"] == "herald.instance.name");
            let references = span["references"].as_array().expect("references");
            let parent = references.iter().find(|other| other["refType"] == "CHILD_OF");
            (
                text(&span["operationName"]),
                instance.map_or(String::new(), |tag| text(&tag["value"])),
                parent.map_or(String::new(), |parent| text(&named(&parent["spanID"]))),
            )
        })
        .collect();
    told.sort();
    told
}

#[tokio::test]
async fn jaeger_shows_the_whole_way_over_two_instances() {
    let jaeger = Jaeger::start().await;
    let endpoint = jaeger.endpoint();
    let settings = [
        ("HERALD_TRACING__ENDPOINT", endpoint.as_str()),
        ("HERALD_TRACING__PROTOCOL", "grpc"),
        ("HERALD_TRACING__INTERVAL", "50ms"),
    ];
    let cluster = Cluster::start_with(2, &settings).await;
    let mut browser = Browser::connect(cluster.instances[1].address, "test2").await;
    let own = "/user/queue/x";
    let subscription = [("id", own), ("destination", own), ("ack", "client")];
    browser.with_receipt("SUBSCRIBE", &subscription, b"").await;
    let body = r#"{"destination":"/queue/x","user":"test2","payload":1}"#;
    publish(&cluster.instances[0], TRACEPARENT, body).await;
    let message = browser.next().await;
    let ack = [("id", message.header("ack").unwrap())];
    browser.with_receipt("ACK", &ack, b"").await;

    let mut trace = Value::Null;
    until("jaeger has all spans", async || {
        let answer = jaeger.get(&format!("/api/traces/{TRACE_ID}")).await;
        if answer.status == 200 {
            trace = answer.json()["data"][0].clone();
        }
        trace["spans"].as_array().is_some_and(|spans| spans.len() == 5)
    })
    .await;
    let expected = [
        ("POST /api/v1/notifications", "i0", PARENT),
        ("ack", "i1", "send /user/queue/x"),
        ("deliver /user/queue/x", "i1", "publish /user/queue/x"),
        ("publish /user/queue/x", "i0", "POST /api/v1/notifications"),
        ("send /user/queue/x", "i1", "deliver /user/queue/x"),
    ];
    let expected = expected.map(|(name, instance, parent)| (name.into(), instance.into(), parent.into()));
    assert_eq!(tree(&trace), expected);
}
