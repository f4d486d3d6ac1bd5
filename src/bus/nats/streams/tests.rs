//! The promise: which streams fit, and what a stream reports about itself. Knows no server.

use super::*;
use crate::destination::Prefixes;
use crate::setting::HumanDuration;

fn plans(change: impl FnOnce(&mut Config)) -> Vec<Plan> {
    let mut config = Config::default();
    change(&mut config);
    let prefix: Prefix = "my-App".parse().unwrap();
    let kept = config.kept_prefixes(&Prefixes::default()).to_vec();
    Plan::all(&config, &kept, &prefix, &Subjects::new(&prefix))
}

const NEW: Version = Version::ATOMIC;

/// A stream as JetStream answers for Herald's own plan.
fn answered(plan: &Plan) -> Map<String, Value> {
    let mut config = plan.wanted(NEW);
    config.insert("metadata".into(), json!({"_nats.level": "1", GENERATION: "7"}));
    // JetStream leaves out what is off.
    config.retain(|_, value| *value != json!(false));
    config
}

#[test]
fn one_stream_a_kind_named_by_the_prefix() {
    let all = plans(|_| {});
    assert_eq!(&*all[0].name, "MY-APP_BROADCAST");
    assert_eq!(
        all[0].subjects,
        ["my-App.broadcast.queue.>", "my-App.broadcast.topic.>"]
    );
    assert_eq!(&*all[1].name, "MY-APP_USER");
    assert_eq!(all[1].subjects, ["my-App.user.>"]);
    assert_eq!(plans(|c| c.user = false).len(), 1);
    assert_eq!(plans(|c| c.broadcast = Some(Vec::new()))[0].kind, Kind::User);
    let deep = plans(|c| c.broadcast = Some(vec![Path::parse("/a.b/c d").unwrap()]));
    assert_eq!(deep[0].subjects, ["my-App.broadcast.a%2Eb.c%20d.>"]);
}

#[test]
fn what_herald_made_fits() {
    for plan in plans(|_| {}) {
        assert!(plan.compare(&answered(&plan), NEW).is_empty());
        // A server without atomic batches does not have the field.
        let mut old = answered(&plan);
        old.remove("allow_atomic");
        assert!(plan.compare(&old, Version::LEAST).is_empty());
        assert_eq!(plan.compare(&old, NEW).drift.len(), 1);
    }
}

/// A cluster gives a stream another `created`, and so another epoch, if it is asked twice to create the same one.
#[test]
fn no_two_requests_to_make_a_stream_are_equal() {
    for plan in plans(|_| {}) {
        let (first, second) = (plan.new_stream(NEW), plan.new_stream(NEW));
        assert_ne!(first, second);
        assert_eq!(plan.generation(&first), plan.generation(&second));
        assert!(plan.compare(&first, NEW).is_empty());
    }
}

#[test]
fn a_window_longer_than_the_age_is_cut_to_it_and_named_if_repeats_need_more() {
    let plan = &plans(|c| c.broadcast_age = HumanDuration::secs(60))[0];
    assert_eq!(plan.wanted(NEW)["duplicate_window"], json!(60_000_000_000_u64));
    assert!(plan.compare(&answered(plan), NEW).is_empty());
    let plan = &plans(|c| c.broadcast_age = HumanDuration::secs(10))[0];
    assert_eq!(plan.compare(&answered(plan), NEW).not_ready.len(), 1);
}

#[test]
fn what_breaks_a_promise_is_told_from_drift() {
    let plan = &plans(|_| {})[0];
    let second = 1_000_000_000_u64;
    let breaking = [
        (
            "subjects",
            json!(["my-App.broadcast.queue.>"]),
            "my-App.broadcast.topic.>",
        ),
        ("storage", json!("memory"), "storage"),
        ("retention", json!("workqueue"), "retention"),
        ("allow_direct", json!(false), "allow_direct"),
        ("max_msgs_per_subject", json!(1), "max_msgs_per_subject"),
        ("allow_rollup_hdrs", json!(true), "allow_rollup_hdrs"),
        ("allow_msg_ttl", json!(true), "allow_msg_ttl"),
        ("duplicate_window", json!(19 * second), "duplicate_window"),
        ("duplicate_window", Value::Null, "duplicate_window"),
        ("mirror", json!({"name": "X"}), "mirror"),
        ("sources", json!([{"name": "X"}]), "sources"),
        ("sealed", json!(true), "sealed"),
        ("no_ack", json!(true), "no_ack"),
        (
            "subject_transform",
            json!({"src": ">", "dest": "x.>"}),
            "subject_transform",
        ),
    ];
    for (field, value, word) in breaking {
        let mut found = answered(plan);
        found.insert(field.into(), value);
        let report = plan.compare(&found, NEW);
        assert_eq!(
            (report.not_ready.len(), report.drift.len()),
            (1, 0),
            "{field} {report:?}"
        );
        assert!(report.not_ready[0].contains(word) && report.not_ready[0].contains("MY-APP_BROADCAST"));
    }
    let drift = [
        ("discard", json!("new")),
        ("deny_delete", json!(false)),
        ("num_replicas", json!(3)),
        ("max_age", json!(0)),
        ("max_bytes", json!(-1)),
        ("max_msgs", json!(5)),
        ("max_msg_size", json!(1_024)),
        ("duplicate_window", json!(20 * second)),
        ("allow_atomic", json!(false)),
        (
            "subjects",
            json!([
                "my-App.broadcast.>",
                "my-App.broadcast.queue.>",
                "my-App.broadcast.topic.>"
            ]),
        ),
    ];
    for (field, value) in drift {
        let mut found = answered(plan);
        found.insert(field.into(), value);
        let report = plan.compare(&found, NEW);
        assert_eq!(
            (report.not_ready.len(), report.drift.len()),
            (0, 1),
            "{field} {report:?}"
        );
    }
    let mut same = answered(plan);
    same.insert("sources".into(), json!([]));
    same.insert("max_msgs".into(), json!(0));
    assert!(plan.compare(&same, NEW).is_empty());
}

fn info(json: Value) -> Result<Stream, ApiFailure> {
    Stream::read(serde_json::from_value(json).unwrap(), &plans(|_| {})[1])
}

#[test]
fn the_epoch_is_creation_and_generation() {
    let mut answer = json!({
        "config": {"metadata": {GENERATION: "503"}},
        "created": "2025-11-28T15:38:13.261987654Z",
        "state": {"messages": 2, "bytes": 200, "first_seq": 3, "last_seq": 4, "last_ts": "2025-11-28T15:39:00.000000001Z"},
    });
    let stream = info(answer.clone()).unwrap();
    assert_eq!(stream.info.epoch, 1_764_344_293_261_503);
    assert_eq!((stream.info.first, stream.info.last), (3, 4));
    assert_eq!(stream.info.last_stamp, Some(1_764_344_340_000_000_001));
    assert!(stream.info.is_leaders);
    // Created by somebody else, purged, clustered, and without a leader.
    answer["config"] = json!({});
    answer["state"] =
        json!({"messages": 0, "bytes": 0, "first_seq": 0, "last_seq": 4, "last_ts": "0001-01-01T00:00:00Z"});
    answer["cluster"] = json!({"name": "c"});
    let stream = info(answer.clone()).unwrap();
    assert_eq!(stream.info.epoch, 1_764_344_293_261_500);
    assert_eq!((stream.info.first, stream.info.last_stamp), (5, None));
    assert!(!stream.info.is_leaders);
    answer["cluster"]["leader"] = json!("n1");
    assert!(info(answer.clone()).unwrap().info.is_leaders);
    answer["created"] = json!("yesterday");
    assert_eq!(info(answer).unwrap_err(), ApiFailure::Unreadable);
}
