//! The promise: every request of an operator is reported to the audit in one line, with who, what and the result, and
//! no other request is.

use std::collections::BTreeSet;

use super::*;
use crate::telemetry::audit::event::Event;

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// What operators asked for, once there are so many lines of it.
fn asked_for(fixture: &Fixture, count: usize) -> Vec<Value> {
    let begun = std::time::Instant::now();
    let events = Event::OF_OPERATORS.map(|event| json!(event));
    loop {
        let mut lines = fixture.audited.lines(0);
        // What an instance does that everyone is told to do has no address.
        lines.retain(|line| events.contains(&line["event"]) && line["address"].is_string());
        if lines.len() >= count {
            return lines;
        }
        assert!(begun.elapsed().as_secs() < 10, "{}", fixture.audited.text());
        std::thread::yield_now();
    }
}

fn request(method: &str, path: &str, key: &str, body: &'static str) -> Request<Body> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .header("traceparent", TRACEPARENT);
    request.body(Body::from(body)).unwrap()
}

#[tokio::test]
async fn every_request_to_a_route_of_operators_is_one_line() {
    let fixture = Fixture::new(Access::Keys, &Config::default());
    let rows: [(&str, &str, &str, u16, Value); 25] = [
        (
            "DELETE",
            "/api/v1/users/%C3%A4%20b/sessions",
            "",
            202,
            json!({"event": "disconnect-user", "what": {"user": "ä b"}, "outcome": "accepted"}),
        ),
        (
            "DELETE",
            "/api/v1/users/a%0Ab/sessions",
            "",
            400,
            json!({"event": "disconnect-user", "outcome": "refused", "reason": "bad-request"}),
        ),
        (
            "GET",
            "/api/v1/tap?seconds=1",
            "",
            200,
            json!({"event": "tap", "what": {"for_seconds": 1}, "outcome": "accepted"}),
        ),
        (
            "GET",
            "/api/v1/tap?seconds=99",
            "",
            400,
            json!({"event": "tap", "outcome": "refused", "reason": "bad-request"}),
        ),
        (
            "GET",
            "/api/v1/explain?destination=/queue/x&user=u",
            "",
            200,
            json!({"event": "explain", "what": {"user": "u", "destination": "/queue/x"}, "outcome": "accepted"}),
        ),
        (
            "GET",
            "/api/v1/explain/permission?action=publish&destination=/queue/x&key=publish",
            "",
            200,
            json!({"event": "explain", "what": {"destination": "/queue/x"}, "outcome": "accepted"}),
        ),
        (
            "POST",
            "/api/v1/notifications?dry_run=true",
            r#"{"destination":"/queue/x","user":"u","payload":1}"#,
            200,
            json!({"event": "explain", "what": {"user": "u", "destination": "/queue/x"}, "outcome": "accepted"}),
        ),
        (
            "POST",
            "/api/v1/notifications?dry_run=true",
            "[]",
            400,
            json!({"event": "explain", "outcome": "refused", "reason": "invalid-value"}),
        ),
        (
            "POST",
            "/api/v1/notifications?dry_run=true",
            r#"{"destination":"nowhere","payload":1}"#,
            400,
            json!({"event": "explain", "outcome": "refused", "reason": "invalid-value"}),
        ),
        (
            "GET",
            "/api/v1/instances",
            "",
            200,
            json!({"event": "list-instances", "outcome": "accepted"}),
        ),
        (
            "GET",
            "/api/v1/senders?top=100&by=bytes",
            "",
            200,
            json!({"event": "list-senders", "outcome": "accepted"}),
        ),
        (
            "GET",
            "/api/v1/senders?top=101",
            "",
            400,
            json!({"event": "list-senders", "outcome": "refused", "reason": "bad-request"}),
        ),
        (
            "POST",
            "/api/v1/instances/01JDEXAMPRE0000000000000AA/shed?share=20",
            "",
            404,
            json!({"event": "shed-sessions", "outcome": "refused", "reason": "not-found"}),
        ),
        (
            "POST",
            "/api/v1/instances/01JDEXAMPRE0000000000000AA/shed?share=0",
            "",
            400,
            json!({"event": "shed-sessions", "outcome": "refused", "reason": "bad-request"}),
        ),
        (
            "GET",
            "/api/v1/debug/log",
            "",
            404,
            json!({"event": "get-log-level", "outcome": "refused", "reason": "not-found"}),
        ),
        (
            "GET",
            "/api/v1/debug/log/lines",
            "",
            404,
            json!({"event": "get-log-lines", "outcome": "refused", "reason": "not-found"}),
        ),
        (
            "PUT",
            "/api/v1/debug/log",
            r#"{"level":"debug","for":"90s","instances":"all"}"#,
            202,
            json!({"event": "set-log-level", "what": {"level": "debug", "for_seconds": 90, "instances": "all"},
                "outcome": "accepted"}),
        ),
        (
            "PUT",
            "/api/v1/debug/log",
            r#"{"level":"inof"}"#,
            400,
            json!({"event": "set-log-level", "outcome": "refused", "reason": "invalid-value"}),
        ),
        (
            "PUT",
            "/api/v1/debug/users/u",
            r#"{"minutes":5}"#,
            404,
            json!({"event": "debug-sampling", "outcome": "refused", "reason": "not-found"}),
        ),
        (
            "POST",
            "/api/v1/revocations",
            r#"{"user":"u","block":true,"for":"1h"}"#,
            202,
            json!({"event": "revoke", "what": {"user": "u", "block": true, "for_seconds": 3_600}, "outcome": "accepted"}),
        ),
        (
            "POST",
            "/api/v1/revocations",
            "{}",
            400,
            json!({"event": "revoke", "outcome": "refused", "reason": "invalid-value"}),
        ),
        (
            "GET",
            "/api/v1/revocations",
            "",
            200,
            json!({"event": "list-revocations", "outcome": "accepted"}),
        ),
        (
            "DELETE",
            "/api/v1/revocations/x",
            "",
            404,
            json!({"event": "unrevoke", "outcome": "refused", "reason": "not-found"}),
        ),
        (
            "DELETE",
            "/api/v1/users/u/sessions?revoke=true",
            "",
            202,
            json!({"event": "disconnect-user", "what": {"user": "u"}, "outcome": "accepted"}),
        ),
        (
            "PUT",
            "/api/v1/debug/sessions/x",
            r#"{"minutes":5}"#,
            400,
            json!({"event": "debug-sampling", "outcome": "refused", "reason": "bad-request"}),
        ),
    ];
    let mut events = BTreeSet::new();
    for (number, (method, path, body, status, expected)) in rows.into_iter().enumerate() {
        let answer = fixture.send(request(method, path, "admin", body)).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        let lines = asked_for(&fixture, number + 1);
        assert_eq!(lines.len(), number + 1);
        let mut line = lines.last().unwrap().clone();
        if let Some(what) = line.get_mut("what").and_then(Value::as_object_mut) {
            // It is new each time.
            what.remove("revocation");
        }
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&line[name], value, "{method} {path}");
        }
        assert_eq!(
            (
                &line["who"],
                &line["address"],
                &line["trace_id"],
                &line["instance"]
            ),
            (
                &json!("key:admin"),
                &json!("0.0.0.0"),
                &json!("4bf92f3577b34da6a3ce929d0e0e4736"),
                &json!("test")
            )
        );
        let members = line.as_object_mut().unwrap();
        for name in [
            "time", "event", "who", "address", "outcome", "trace_id", "instance", "target",
        ] {
            assert!(members.remove(name).is_some(), "{name}");
        }
        assert!(
            members.keys().all(|name| expected.get(name).is_some()),
            "{members:?}"
        );
        events.insert(expected["event"].as_str().unwrap().to_owned());
    }
    let all = Event::OF_OPERATORS.map(|event| json!(event).as_str().unwrap().to_owned());
    assert_eq!(events, all.into_iter().collect(), "no event without a route");
    // The document knows no other route of operators: each of its paths was asked for above.
    let document = fixture.get("/api/openapi.json", "admin").await.json();
    let paths = document["paths"].as_object().unwrap();
    let of_operators = paths.values().flat_map(|path| path.as_object().unwrap().values());
    let count = of_operators
        .filter(|route| route["security"][0]["key"] == json!(["admin"]))
        .count();
    assert_eq!(count, 15);
    // Nobody else's: no publisher's, no reader's, and no stranger's.
    let lines = asked_for(&fixture, 0).len();
    for (method, path, key) in [
        ("POST", "/api/v1/broadcast/queue/x", "publish"),
        ("GET", "/api/v1/users", "read"),
        ("GET", "/metrics", "read"),
        ("DELETE", "/api/v1/users/u/sessions", "read"),
        ("DELETE", "/api/v1/users/u/sessions", "wrong"),
        ("POST", "/api/v1/notifications?dry_run=true", "publish"),
        ("POST", "/api/v1/notifications?dry_run=false", "admin"),
    ] {
        fixture.send(request(method, path, key, "x")).await;
    }
    fixture
        .send(request("GET", "/api/v1/instances", "admin", ""))
        .await;
    // But whoever has proven itself and is no operator has one a minute, of what it asked for.
    let told_of = asked_for(&fixture, lines + 3);
    assert_eq!(told_of.len(), lines + 3);
    let refused = &told_of[lines];
    let said = ["event", "who", "outcome", "reason"].map(|member| &refused[member]);
    assert_eq!(said, ["disconnect-user", "key:read", "refused", "no-scope"]);
    // Each key that was used has a line in an hour, and the one that is none was refused.
    let all = fixture.audited.lines(0);
    let told = |event: &str| {
        all.iter()
            .filter(|line| line["event"] == event)
            .map(|line| &line["who"])
            .collect::<Vec<_>>()
    };
    assert_eq!(told("key-used"), ["key:admin", "key:publish", "key:read"]);
    assert_eq!(told("login-refused"), [&Value::Null]);
    fixture
        .send(request("POST", "/api/v1/broadcast/queue/x", "read", "x"))
        .await;
    let begun = std::time::Instant::now();
    let refused = loop {
        let mut lines = fixture.audited.lines(0);
        lines.retain(|line| line["event"] == "permission-refused");
        if let Some(line) = lines.pop() {
            break line;
        }
        assert!(begun.elapsed().as_secs() < 10);
        std::thread::yield_now();
    };
    let said = ["who", "outcome", "reason"].map(|member| &refused[member]);
    assert_eq!(said, ["key:read", "refused", "no-scope"]);
    assert_eq!(refused["what"], json!({"action": "publishing"}));
}

#[tokio::test]
async fn where_anyone_may_publish_a_dry_run_is_told_of_its_operator() {
    let fixture = Fixture::open();
    let dry_run = |key| {
        request(
            "POST",
            "/api/v1/notifications?dry_run=true",
            key,
            r#"{"destination":"/queue/x","payload":1}"#,
        )
    };
    for key in ["", "wrong"] {
        assert_eq!(fixture.send(dry_run(key)).await.status, 401);
    }
    assert_eq!(fixture.send(dry_run("read")).await.status, 403);
    assert_eq!(fixture.send(dry_run("admin")).await.status, 200);
    let lines = asked_for(&fixture, 2);
    let said = lines
        .iter()
        .map(|line| ["who", "event", "outcome"].map(|member| line[member].as_str().unwrap()));
    assert_eq!(
        said.collect::<Vec<_>>(),
        [
            ["key:read", "explain", "refused"],
            ["key:admin", "explain", "accepted"]
        ]
    );
}

#[tokio::test]
async fn an_operator_who_leaves_before_the_answer_is_told_of() {
    let fixture = Fixture::new(Access::Keys, &Config::default());
    let asked = fixture.send(request("GET", "/api/v1/tap?seconds=30", "admin", ""));
    let gone = tokio::time::timeout(std::time::Duration::from_millis(50), asked).await;
    assert!(gone.is_err());
    let line = &asked_for(&fixture, 1)[0];
    assert_eq!(
        (&line["event"], &line["what"], &line["outcome"]),
        (&json!("tap"), &json!({"for_seconds": 30}), &json!("unanswered"))
    );
}
