//! The promise: ordinary spans of `tracing` become spans of their instance, with the right parents, and nothing else does.

use super::*;

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
