//! The promise: one trace follows a notification from its publisher to every instance and to the acknowledgement, and
//! exporting it does no harm. Observed by a collector in the test's own process.

mod baggage;
mod decision;
mod jaeger;
mod tls;

use herald::bus::AppReply;
use herald::setting::HumanDuration;
use herald::telemetry::otlp::Protocol;
use serde_json::json;

use crate::support::app::{ANNA, App};
use crate::support::client::Message;
use crate::support::cluster::{ADMIN, Cluster, admin, admin_key, until};
use crate::support::cluster_client::{Browser, Frame};
use crate::support::collector::{Collector, Span, Speaks};
use crate::support::process::{self, Herald, Launch};
use crate::support::{nats, within};

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Two instances that export to `collector`.
async fn cluster(collector: &Collector, more: &[(&str, &str)]) -> Cluster {
    let url = collector.url();
    let own = [
        ("HERALD_TRACING__ENDPOINT", url.as_str()),
        ("HERALD_TRACING__PROTOCOL", collector.protocol()),
        ("HERALD_TRACING__INTERVAL", "50ms"),
    ];
    Cluster::start_with(2, &[&own, more].concat()).await
}

async fn publish(herald: &Herald, traceparent: &str, body: &str) -> String {
    let headers = [JSON, ("traceparent", traceparent), ("baggage", "shop=7")];
    let answer = herald
        .request("POST", "/api/v1/notifications", &headers, body.as_bytes())
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["trace_id"].as_str().unwrap_or_default().to_owned()
}

/// The span id in the `traceparent` of a MESSAGE.
fn span_of(message: &Frame) -> String {
    let text = message.header("traceparent").expect("a traceparent");
    assert!(text.starts_with("00-") && text.ends_with("-01"), "{text}");
    text.split('-').nth(2).expect("an id").to_owned()
}

fn names(spans: &[Span]) -> Vec<(&str, &str, &str)> {
    spans
        .iter()
        .map(|span| (span.name.as_str(), span.kind, span.instance.as_str()))
        .collect()
}

/// No parent is missing except the publisher's own spans.
fn no_orphan(spans: &[Span], outside: &[&str]) {
    for span in spans {
        assert!(
            outside.contains(&&*span.parent) || spans.iter().any(|other| other.id == span.parent),
            "{span:?} has no parent in {spans:#?}"
        );
    }
}

#[tokio::test]
async fn a_users_notification_is_followed_from_rest_over_nats_to_the_acknowledgement() {
    let collector = Collector::start(Speaks::Grpc);
    let cluster = cluster(&collector, &[]).await;
    let mut browser = Browser::connect(cluster.instances[1].address, "test2").await;
    let own = "/user/queue/x";
    let subscription = [("id", own), ("destination", own), ("ack", "client-individual")];
    browser.with_receipt("SUBSCRIBE", &subscription, b"").await;

    let body = r#"{"destination":"/queue/x","user":"test2","payload":1}"#;
    assert_eq!(publish(&cluster.instances[0], TRACEPARENT, body).await, TRACE_ID);
    let message = browser.next().await;
    assert_eq!(
        message.header("baggage"),
        None,
        "no browser gets what nobody listed"
    );
    let id = message.header("ack").unwrap().to_owned();
    let clients_own = format!("00-{TRACE_ID}-00000000000000aa-01");
    browser
        .with_receipt("ACK", &[("id", &id), ("traceparent", &clients_own)], b"")
        .await;

    let spans = collector.trace(TRACE_ID, 5).await;
    assert_eq!(
        names(&spans),
        [
            ("POST /api/v1/notifications", "server", "i0"),
            ("publish /user/queue/x", "producer", "i0"),
            ("deliver /user/queue/x", "consumer", "i1"),
            ("send /user/queue/x", "internal", "i1"),
            ("ack", "internal", "i1"),
        ]
    );
    let [server, publish, deliver, send, ack] = &spans[..] else {
        panic!()
    };
    let parents = [server, publish, deliver, send, ack].map(|span| span.parent.as_str());
    assert_eq!(parents, [PARENT, &server.id, &publish.id, &deliver.id, &send.id]);
    assert_eq!(
        span_of(&message),
        send.id,
        "MESSAGE carries its own session's span"
    );
    assert_eq!(ack.links, ["00000000000000aa"]);
    assert!(spans.iter().all(|span| span.program == "herald" && !span.failed));
    let told = [
        (server, "http.route", "/api/v1/notifications"),
        (server, "http.response.status_code", "202"),
        (server, "herald.caller", "anyone"),
        (publish, "messaging.destination.name", "/user/queue/x"),
        (publish, "user.name", "test2"),
        (publish, "messaging.message.body.size", "1"),
        (deliver, "messaging.operation.type", "process"),
        (deliver, "herald.deliver.matched", "1"),
        (deliver, "herald.deliver.written", "1"),
        (
            send,
            "messaging.client.id",
            browser.connected.header("session").unwrap(),
        ),
        (ack, "messaging.operation.type", "settle"),
    ];
    for (span, name, expected) in told {
        assert_eq!(span.attribute(name), expected, "{name} of {}", span.name);
    }
}

#[tokio::test]
async fn a_broadcast_is_delivered_once_an_instance_and_has_no_span_per_session() {
    let collector = Collector::start(Speaks::Http);
    let cluster = cluster(&collector, &[]).await;
    let mut browsers = Vec::new();
    for number in [0, 0, 1] {
        let mut browser = Browser::connect(cluster.instances[number].address, "test1").await;
        browser.subscribe("/queue/x").await;
        browsers.push(browser);
    }
    let body = r#"{"destination":"/queue/x","payload":1}"#;
    publish(&cluster.instances[0], TRACEPARENT, body).await;
    let mut seen = Vec::new();
    for browser in &mut browsers {
        seen.push(span_of(&browser.next().await));
    }
    let spans = collector.trace(TRACE_ID, 4).await;
    assert_eq!(
        names(&spans)[2..],
        [
            ("deliver /queue/x", "consumer", "i0"),
            ("deliver /queue/x", "consumer", "i1"),
        ]
    );
    let (publish, deliver) = (&spans[1], &spans[2..]);
    assert!(deliver.iter().all(|span| span.parent == publish.id));
    let matched: Vec<&str> = deliver
        .iter()
        .map(|span| span.attribute("herald.deliver.matched"))
        .collect();
    assert_eq!(matched, ["2", "1"]);
    assert_eq!(
        seen,
        [&deliver[0].id, &deliver[0].id, &deliver[1].id].map(String::clone)
    );
}

#[tokio::test]
async fn a_direct_publisher_and_a_client_begin_traces_too() {
    let collector = Collector::start(Speaks::Grpc);
    let cluster = cluster(&collector, &[]).await;
    let mut browser = Browser::connect(cluster.instances[1].address, "test1").await;
    browser.subscribe("/queue/message").await;
    let backend = async_nats::connect(cluster.nats.url()).await.unwrap();
    let headers = nats::headers(&[("traceparent", TRACEPARENT)]);
    let subject = "herald.broadcast.queue.message";
    backend
        .publish_with_headers(subject, headers, "known".into())
        .await
        .unwrap();
    let known = browser.next().await;
    backend.publish(subject, "plain".into()).await.unwrap();
    let plain = browser.next().await;
    assert_eq!(plain.text(), "plain");
    browser.send("/chat/message", &[], "hello").await;
    let chat = browser.next().await;

    let spans = collector.trace(TRACE_ID, 1).await;
    assert_eq!((&*spans[0].parent, &*spans[0].id), (PARENT, &*span_of(&known)));
    let of = |frame: &Frame| frame.header("traceparent").unwrap()[3..35].to_owned();
    let spans = collector.trace(&of(&plain), 1).await;
    assert_eq!(names(&spans), [("deliver /queue/message", "consumer", "i1")]);
    no_orphan(&spans, &[""]);
    let spans = collector.trace(&of(&chat), 2).await;
    assert_eq!(
        names(&spans),
        [
            ("publish /queue/message", "producer", "i1"),
            ("deliver /queue/message", "consumer", "i1"),
        ]
    );
    no_orphan(&spans, &[""]);
}

#[tokio::test]
async fn the_embedded_bus_gives_the_same_trace_and_backends_are_part_of_it() {
    let collector = Collector::start(Speaks::Http);
    let app = App::with(|config| {
        config.tracing.endpoint = Some(collector.url());
        config.tracing.protocol = Some(Protocol::Http);
        config.tracing.interval = HumanDuration::millis(20);
    })
    .await;
    app.backends.respond_to_requests(|request| {
        Box::pin(async move {
            let context = request.trace.traceparent.unwrap_or_default();
            let (head, _) = context.rsplit_once('-').unwrap();
            let (head, _) = head.rsplit_once('-').unwrap();
            Ok(AppReply {
                body: context.to_string().into(),
                trace: herald::envelope::TraceContext::from_headers(
                    Some(&format!("{head}-00000000000000bb-01")),
                    None,
                ),
                ..AppReply::default()
            })
        })
    });
    let mut client = app.session("1.2").await;
    client
        .say("SUBSCRIBE\nid:1\ndestination:/user/queue/orders\nack:client\nreceipt:r\n\n\0")
        .await;
    client.expect_receipt("r").await;
    client
        .say(format!(
            "SEND\ndestination:/app/orders\ntraceparent:{TRACEPARENT}\n\nhi\0"
        ))
        .await;
    let Message::Text(answer) = client.next().await else {
        panic!("no answer")
    };
    let answer = String::from_utf8(answer).unwrap();
    // Ends without an ACK.
    client.say("DISCONNECT\nreceipt:end\n\n\0").await;
    client.expect_receipt("end").await;
    let spans = collector.trace(TRACE_ID, 3).await;
    let told: Vec<(&str, &str, bool)> = spans
        .iter()
        .map(|span| (span.name.as_str(), span.parent.as_str(), span.failed))
        .collect();
    assert_eq!(
        told,
        [
            ("request /app/orders", PARENT, false),
            ("send /user/queue/orders", "00000000000000bb", false),
            ("ack", &*spans[1].id, true),
        ]
    );
    assert_eq!(spans[2].attribute("error.type"), "unacknowledged");
    let to_backend = format!("00-{TRACE_ID}-{}-01", spans[0].id);
    assert!(answer.contains(&to_backend), "{answer}");

    let mut client = app.session("1.2").await;
    client
        .say("SUBSCRIBE\nid:1\ndestination:/user/queue/x\nreceipt:r\n\n\0")
        .await;
    client.expect_receipt("r").await;
    let other = TRACEPARENT.replace("4bf9", "5bf9");
    let body = json!({"destination": "/queue/x", "users": [ANNA.0, "test2"], "payload": 1}).to_string();
    let headers = [JSON, ("traceparent", other.as_str())];
    let asked = process::request(
        app.address,
        "POST",
        "/api/v1/notifications",
        &headers,
        body.as_bytes(),
    );
    assert_eq!(within("an answer", asked).await.unwrap().status, 202);
    let spans = collector.trace(&other[3..35], 4).await;
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    let expected = [
        "POST /api/v1/notifications",
        "publish /user/queue/x",
        "deliver /user/queue/x",
        "send /user/queue/x",
    ];
    assert_eq!(names, expected);
    assert_eq!(spans[1].attribute("messaging.batch.message_count"), "2");
    no_orphan(&spans, &[PARENT]);
}

#[tokio::test]
async fn who_is_not_trusted_forces_no_trace_and_a_user_can_be_looked_at_everywhere() {
    let collector = Collector::start(Speaks::Grpc);
    let cluster = cluster(&collector, &[("HERALD_TRACING__RATIO", "0")]).await;
    let [first, second] = &cluster.instances[..] else {
        panic!()
    };
    let mut browser = Browser::connect(second.address, "test2").await;
    browser.subscribe("/user/queue/x").await;
    let body = r#"{"destination":"/queue/x","user":"test2","payload":1}"#;
    assert_eq!(publish(first, TRACEPARENT, body).await, "");
    assert_eq!(browser.next().await.header("traceparent"), None);

    let debug = async |minutes: u32| {
        let body = format!(r#"{{"minutes":{minutes}}}"#);
        let path = "/api/v1/debug/users/test2";
        let answer = second.request("PUT", path, &[JSON, ADMIN], body.as_bytes()).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    };
    debug(5).await;
    until("the other instance looks too", async || {
        publish(first, TRACEPARENT, body).await == TRACE_ID
    })
    .await;
    let spans = collector.trace(TRACE_ID, 3).await;
    assert_eq!(spans[0].name, "publish /user/queue/x");
    assert_eq!(spans[0].parent, PARENT);
    debug(0).await;
    until("it is over", async || {
        publish(first, TRACEPARENT, body).await.is_empty()
    })
    .await;

    let refused = async |body: &str, status| {
        let path = "/api/v1/debug/users/test2";
        let answer = first.request("PUT", path, &[JSON, ADMIN], body.as_bytes()).await;
        assert_eq!(answer.status, status, "{body}");
    };
    refused(r#"{"minutes":61}"#, 400).await;
    refused("{}", 400).await;
}

#[tokio::test]
async fn a_refused_requests_line_names_heralds_own_span() {
    let collector = Collector::start(Speaks::Grpc);
    let cluster = cluster(&collector, &[]).await;
    let refused = async |herald: &Herald, traceparent: &str, trace_id: &str| -> String {
        let headers = [JSON, ("traceparent", traceparent)];
        let answer = herald
            .request("POST", "/api/v1/notifications", &headers, b"{}")
            .await;
        assert_eq!(answer.status, 400);
        let line = || {
            let lines = herald.lines_with("a request was refused");
            lines.into_iter().find(|line| line.contains(trace_id))
        };
        until("its line", async || line().is_some()).await;
        line().unwrap()
    };
    let [first, second] = &cluster.instances[..] else {
        panic!()
    };
    let line = refused(first, TRACEPARENT, TRACE_ID).await;
    let own = collector.trace(TRACE_ID, 1).await.remove(0);
    assert_eq!(own.name, "POST /api/v1/notifications");
    assert!(line.contains(&own.id) && !line.contains(PARENT), "{line}");
    // Not recorded: the publisher's trace, and no span to look for here.
    let other = TRACEPARENT.replace("4bf9", "5bf9").replace("-01", "-00");
    let line = refused(second, &other, &other[3..35]).await;
    assert!(!line.contains(PARENT) && !line.contains("span_id"), "{line}");
}

#[tokio::test]
async fn a_login_is_a_trace_of_its_own_and_its_line_says_which() {
    let collector = Collector::start(Speaks::Grpc);
    let cluster = cluster(&collector, &[]).await;
    let herald = &cluster.instances[0];
    let browser = Browser::connect(herald.address, "test1").await;
    until("its spans", async || collector.spans().len() == 2).await;
    let spans = collector.spans();
    let find = |name: &str| spans.iter().find(|span| span.name == name).expect("a span");
    let (connect, hash) = (find("CONNECT"), find("hash"));
    assert_eq!((connect.kind, hash.kind), ("server", "internal"));
    assert_eq!((&*connect.parent, &hash.parent), ("", &connect.id));
    assert_eq!(connect.attribute("user.name"), "test1");
    let session = browser.connected.header("session").expect("an id");
    assert_eq!(connect.attribute("messaging.client.id"), session);
    let line = herald.logged("session connected").await;
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line["trace_id"], connect.trace_id.as_str());
    assert_eq!(line["span_id"], connect.id.as_str());
    assert_eq!(line["session"], session);
    assert!(
        line.get("span").is_none(),
        "what else the span says is for the collector: {line}"
    );
}

#[tokio::test]
async fn a_session_can_be_looked_at_wherever_it_is() {
    let collector = Collector::start(Speaks::Grpc);
    let cluster = cluster(&collector, &[("HERALD_TRACING__RATIO", "0")]).await;
    let [first, second] = &cluster.instances[..] else {
        panic!()
    };
    let mut looked_at = Browser::connect(second.address, "test2").await;
    let mut sibling = Browser::connect(second.address, "test2").await;
    for browser in [&mut looked_at, &mut sibling] {
        browser.subscribe("/user/queue/x").await;
        browser.subscribe("/queue/message").await;
    }
    let session = looked_at.connected.header("session").unwrap().to_owned();
    let debug = async |session: &str, minutes: u32, status: u16| {
        let (path, body) = (
            format!("/api/v1/debug/sessions/{session}"),
            format!(r#"{{"minutes":{minutes}}}"#),
        );
        let answer = first.request("PUT", &path, &[JSON, ADMIN], body.as_bytes()).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
    };
    debug("01JDEXAMPRE0000000000000AA", 5, 404).await;
    debug("x", 5, 400).await;
    debug(&session, 61, 400).await;
    // The instance that is asked does not hold the session.
    debug(&session, 5, 202).await;
    let body = r#"{"destination":"/queue/x","user":"test2","payload":1}"#;
    until("the instances have heard of it", async || {
        publish(first, TRACEPARENT, body).await == TRACE_ID
    })
    .await;
    let spans = collector.trace(TRACE_ID, 4).await;
    let sent: Vec<&Span> = spans
        .iter()
        .filter(|span| span.name.starts_with("send "))
        .collect();
    assert_eq!(sent.len(), 2, "both sessions of the user: {spans:#?}");
    assert!(
        sent.iter()
            .any(|span| span.attribute("messaging.client.id") == session)
    );
    let said = async |by: &mut Browser, text: &str| -> Frame {
        by.send("/chat/message", &[], text).await;
        loop {
            let message = by.next().await;
            if message.text().contains(text) {
                return message;
            }
        }
    };
    let own = said(&mut looked_at, "by the one").await;
    assert!(own.header("traceparent").is_some());
    let other = said(&mut sibling, "by the other").await;
    assert_eq!(other.header("traceparent"), None, "a SEND of another session");
    // It also ends when the session is gone.
    drop(looked_at);
    debug(&session, 0, 202).await;
    until("it is over", async || {
        publish(first, TRACEPARENT, body).await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_trusted_network_has_its_traces_recorded_and_an_unsampled_context_passes_on() {
    let collector = Collector::start(Speaks::Grpc);
    let settings = [
        ("HERALD_TRACING__RATIO", "0.0"),
        ("HERALD_TRACING__TRUST", "127.0.0.0/8"),
    ];
    let cluster = cluster(&collector, &settings).await;
    let herald = &cluster.instances[0];
    let backend = async_nats::connect(cluster.nats.url()).await.unwrap();
    let mut bus = backend.subscribe("herald.broadcast.>").await.unwrap();
    backend.flush().await.unwrap();
    let body = r#"{"destination":"/queue/x","payload":1}"#;
    let unsampled = TRACEPARENT.replace("-01", "-00");
    assert_eq!(publish(herald, &unsampled, body).await, "");
    use futures_util::StreamExt as _;
    let passed = within("the notification", bus.next()).await.unwrap();
    let passed = passed.headers.unwrap();
    assert_eq!(passed.get("traceparent").unwrap().as_str(), unsampled);
    assert_eq!(publish(herald, TRACEPARENT, body).await, TRACE_ID);
    let spans = collector.trace(TRACE_ID, 2).await;
    assert_eq!(spans[1].name, "publish /queue/x");
}

#[tokio::test]
async fn a_collector_that_dies_and_comes_back_costs_spans_and_no_notification() {
    let mut collector = Collector::start(Speaks::Grpc);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("herald.toml");
    std::fs::write(&file, admin_key()).unwrap();
    let launch = Launch::demo()
        .set("HERALD_TRACING__ENDPOINT", &collector.url())
        .set("HERALD_TRACING__PROTOCOL", "grpc")
        .set("HERALD_TRACING__INTERVAL", "20ms")
        .set("HERALD_TRACING__QUEUE", "64")
        .argument("--config")
        .argument(&file.to_string_lossy());
    let herald = Herald::start("alone", &launch).await;
    let mut browser = Browser::connect(herald.address, "test1").await;
    browser.subscribe("/queue/x").await;
    // The browser's: CONNECT, and the hash of its password below it.
    const LOGIN: u64 = 2;
    // Each: its request, its publish and its delivery.
    let mut published = 0_u64;
    let mut load = async |count: u64| {
        for number in 0..count {
            let body = number.to_string();
            let answer = herald
                .post("/api/v1/broadcast/queue/x", "text/plain", &body)
                .await;
            assert_eq!(answer.status, 202);
            assert_eq!(browser.next().await.text(), body);
        }
        published += count;
        published * 3 + LOGIN
    };
    let metric = async |name: &str| -> u64 {
        let answer = admin(&herald, "GET", "/metrics").await;
        let text = answer.text();
        let values = text
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
        values.map(|(_, value)| value.parse::<u64>().unwrap()).sum()
    };
    let (exported, lost) = (
        "herald_trace_spans_exported_total",
        "herald_trace_spans_lost_total",
    );
    let all = load(20).await;
    until("all spans of a quiet time", async || {
        metric(exported).await == all
    })
    .await;

    collector.kill();
    load(100).await;
    until("spans are lost", async || metric(lost).await > 0).await;
    collector.restart();
    let before = metric(exported).await;
    until("spans go out again", async || metric(exported).await > before).await;
    let all = load(10).await;
    until("every span is accounted for", async || {
        metric(exported).await + metric(lost).await == all
    })
    .await;
    println!("of {all} spans {} were lost", metric(lost).await);
    let complaints = herald.lines_with("the collector takes no spans");
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    herald.logged("(tracing.queue)").await;
    assert_eq!(herald.lines_with("(tracing.queue)").len(), 1);
    let got = collector.spans().len() as u64;
    assert_eq!(got, metric(exported).await);
}
