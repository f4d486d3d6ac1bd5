//! The promise: what is recorded is decided once, by those who may, and an unsampled notification leaves no spans.

use super::*;

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
