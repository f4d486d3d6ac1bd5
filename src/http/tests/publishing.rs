//! The promise: a publisher's notifications reach the bus unchanged and in order, and the answer is true.

use super::*;
use crate::bus::PublishError;
use crate::destination::Target;
use crate::envelope::{Envelope, Position};
use serde_json::json;

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn place(target: &Target) -> String {
    match target {
        Target::Broadcast(path) => path.to_string(),
        Target::User { user, path } => format!("{user}:{path}"),
    }
}

fn places(fixture: &Fixture) -> Vec<String> {
    fixture
        .bus
        .published
        .lock()
        .iter()
        .map(|envelope| place(&envelope.target))
        .collect()
}

fn only(fixture: &Fixture) -> Envelope {
    let published = fixture.bus.published.lock();
    assert_eq!(published.len(), 1);
    published[0].clone()
}

#[tokio::test]
async fn a_chat_message_is_broadcast_as_the_drop_in_promises() {
    let fixture = Fixture::open();
    let body = r#"{"message":"hi","user":"x","unknown":{"a":[]}}"#;
    assert_eq!(fixture.post("/api/v1/message", body).await.status, 202);
    let envelope = only(&fixture);
    assert_eq!(place(&envelope.target), "/queue/message");
    assert_eq!(envelope.content_type.as_deref(), Some("application/json"));
    let body: Value = serde_json::from_slice(&envelope.body).unwrap();
    assert_eq!((&body["message"], &body["user"]), (&"hi".into(), &"x".into()));
    let time = body["time"].as_str().unwrap();
    assert!(
        time.parse::<jiff::civil::DateTime>().is_ok() && time.len() == 29,
        "{time}"
    );
}

#[tokio::test]
async fn a_payload_keeps_its_bytes() {
    let fixture = Fixture::open();
    let payload = "{ \"b\":1.0, \"a\" : [ 1e2,\"\\u00e4\" ,{\"a\":1,\"a\":2}]}";
    let body = format!(
        "\n{{\"id\":\"my.id\",\"ttl_ms\":1000,\"collapse\":\"k\",\"headers\":{{\"b\":\"2\",\"Cookie\":\"c\",\"a\":\"1\"}},\
         \"destination\":\"/topic/x\",\"payload\": {payload} }}\n"
    );
    let answer = fixture.post("/api/v1/notifications", body).await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (StatusCode::ACCEPTED, r#"{"id":"my.id"}"#)
    );
    let envelope = only(&fixture);
    assert_eq!(envelope.body, payload);
    assert_eq!(envelope.content_type.as_deref(), Some("application/json"));
    assert_eq!(
        envelope.headers.iter().collect::<Vec<_>>(),
        [("a", "1"), ("b", "2")]
    );
    assert_eq!(envelope.expires_at_ms, Some(envelope.timestamp_ms + 1_000));
    assert_eq!(envelope.collapse, crate::envelope::CollapseKey::of_backend("k"));
}

#[tokio::test]
async fn users_each_get_it_once_under_one_id() {
    let fixture = Fixture::open();
    let body = r#"{"destination":"/user/queue/x","users":["b","a","b"],"payload":null}"#;
    let answer = fixture.post("/api/v1/notifications", body).await;
    assert_eq!(places(&fixture), ["b:/queue/x", "a:/queue/x"]);
    for envelope in fixture.bus.published.lock().iter() {
        assert_eq!(answer.json()["id"], envelope.id.as_str());
        assert_eq!(envelope.body, "null");
    }
}

#[tokio::test]
async fn an_array_keeps_its_order_and_tells_of_each_item() {
    let fixture = Fixture::open();
    let good = |id: usize| format!(r#"{{"id":"{id}","destination":"/queue/{id}","payload":{id}}}"#);
    let body = format!("[{},{},{}]", good(0), good(1), good(2));
    let answer = fixture.post("/api/v1/notifications", body).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json()[2], serde_json::json!({"status": 202, "id": "2"}));
    assert_eq!(places(&fixture), ["/queue/0", "/queue/1", "/queue/2"]);

    let bad = r#"{"destination":"/queue/x","users":[""],"payload":1}"#;
    let large = format!(
        r#"{{"destination":"/queue/x","payload":"{}"}}"#,
        "x".repeat(1_000)
    );
    let body = format!("[{},{bad},7,{large},{}]", good(3), good(4));
    let answer = fixture.post("/api/v1/notifications", body).await;
    assert_eq!(answer.status, 207);
    let items = answer.json();
    let statuses: Vec<_> = items
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [202, 400, 400, 413, 202]);
    assert_eq!(items[1]["pointer"], "/1/users/0");
    assert_eq!(items[2]["pointer"], "/2");
    assert_eq!(items[3]["pointer"], "/3/payload");
    assert_eq!(places(&fixture)[3..], ["/queue/3", "/queue/4"]);

    let answer = fixture.post("/api/v1/notifications", "[]").await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (StatusCode::ACCEPTED, "[]")
    );
}

#[tokio::test]
async fn a_raw_body_is_passed_on_as_it_is() {
    let fixture = Fixture::open();
    for (path, expected) in [
        ("/api/v1/broadcast/queue/a%20b", "/queue/a b"),
        ("/api/v1/users/a%2Fb/queue/x", "a/b:/queue/x"),
        ("/api/v1/users/u/user/queue/x", "u:/queue/x"),
        ("/api/v1/users/u/sessions", "u:/sessions"),
        ("/api/v1/users/u/sessions/x", "u:/sessions/x"),
    ] {
        let request = Request::post(path).header("content-type", "image/x; q=1");
        let answer = fixture
            .send(request.body(Body::from(&b"\0\xff"[..])).unwrap())
            .await;
        assert_eq!(answer.status, 202, "{path}: {}", answer.text);
        let envelope = fixture.bus.published.lock().pop().unwrap();
        assert_eq!(place(&envelope.target), expected);
        assert_eq!(&envelope.body[..], b"\0\xff");
        assert_eq!(envelope.content_type.as_deref(), Some("image/x; q=1"));
        assert_eq!(answer.json()["id"], envelope.id.as_str());
    }
    for path in [
        "/api/v1/broadcast/queue//x",
        "/api/v1/broadcast/user/x",
        "/api/v1/broadcast/queue/%FF",
        "/api/v1/users/%E2%80%8B/queue/x",
        "/api/v1/users/u/queue/%00",
    ] {
        assert_eq!(fixture.post(path, "x").await.status, 400, "{path}");
    }
    assert!(fixture.bus.published.lock().is_empty());
    let without = Request::post("/api/v1/broadcast/queue/x")
        .body(Body::empty())
        .unwrap();
    assert_eq!(fixture.send(without).await.status, 202);
    assert_eq!(only(&fixture).content_type, None);
}

#[tokio::test]
async fn the_trace_travels_on_and_is_told_when_sampled() {
    let fixture = Fixture::open();
    let unsampled = TRACEPARENT.replace("-01", "-00");
    for (parent, trace_id) in [
        (TRACEPARENT, Some("4bf92f3577b34da6a3ce929d0e0e4736")),
        (unsampled.as_str(), None),
        ("garbage", None),
    ] {
        for path in [
            "/api/v1/message",
            "/api/v1/notifications",
            "/api/v1/broadcast/queue/x",
        ] {
            let request = Request::post(path)
                .header("content-type", "application/json")
                .header("traceparent", parent)
                .header("tracestate", "a=1")
                .header("tracestate", "b=2");
            let body = match path.ends_with("notifications") {
                true => r#"{"destination":"/queue/x","payload":1}"#,
                false => r#"{"message":"m","user":"u"}"#,
            };
            let answer = fixture.send(request.body(body.into()).unwrap()).await;
            assert_eq!(answer.json()["trace_id"].as_str(), trace_id, "{path} {parent}");
            let trace = fixture.bus.published.lock().pop().unwrap().trace;
            if parent == "garbage" {
                assert_eq!(trace, Default::default());
            } else {
                assert_eq!(trace.traceparent.as_deref(), Some(parent));
                assert_eq!(trace.tracestate.as_deref(), Some("a=1,b=2"));
            }
        }
    }
}

#[tokio::test]
async fn without_the_bus_nothing_is_taken_and_the_publisher_may_come_back() {
    let fixture = Fixture::open();
    fixture.bus.disconnect();
    for (path, body) in [
        ("/api/v1/message", r#"{"message":"m","user":"u"}"#),
        (
            "/api/v1/notifications",
            r#"{"destination":"/queue/x","payload":1}"#,
        ),
        (
            "/api/v1/notifications",
            r#"[{"destination":"/queue/x","payload":1}]"#,
        ),
        ("/api/v1/broadcast/queue/x", "x"),
        ("/api/v1/users/u/queue/x", "x"),
    ] {
        let answer = fixture.post(path, body).await;
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.header("retry-after"), "1", "{path}");
    }
    assert!(fixture.bus.published.lock().is_empty());
}

#[tokio::test]
async fn a_bus_lost_midway_is_told_exactly() {
    let one = r#"{"destination":"/queue/x","payload":1}"#;
    let check = async |after: usize, body: &str, status: u16, statuses: &[u64]| {
        let fixture = Fixture::open();
        *fixture.bus.fails_after.lock() = Some(after);
        let answer = fixture.post("/api/v1/notifications", body.to_owned()).await;
        assert_eq!(answer.status, status, "{body}");
        let items = answer.json();
        let got: Vec<_> = items
            .as_array()
            .into_iter()
            .flatten()
            .map(|item| item["status"].as_u64().unwrap())
            .collect();
        assert_eq!(got, statuses, "{body}");
        answer
    };
    check(1, &format!("[{one},{one},{one}]"), 207, &[202, 503, 503]).await;
    check(0, &format!("[{one},{one}]"), 503, &[]).await;
    check(0, one, 503, &[]).await;
    let users = r#"{"destination":"/queue/x","users":["a","b","c"],"payload":1}"#;
    assert_eq!(check(2, users, 503, &[]).await.json()["published"], 2);
}

#[tokio::test]
async fn what_history_cannot_do_is_told_apart() {
    let one = r#"{"destination":"/queue/x","payload":1}"#;
    let users = r#"{"destination":"/queue/x","users":["a","b"],"payload":1}"#;
    for (error, status, kind, retry_after) in [
        (PublishError::Unavailable, 503, "bus-unavailable", "1"),
        (PublishError::Unknown, 503, "outcome-unknown", "1"),
        (PublishError::Full, 507, "history-full", ""),
        (PublishError::KeyReused, 422, "idempotency-key-reused", ""),
        (
            PublishError::TooMany {
                limit: crate::limit::Limit::HistoryKeys,
            },
            503,
            "overloaded",
            "1",
        ),
    ] {
        let fixture = Fixture::open();
        *fixture.bus.fails_with.lock() = error;
        *fixture.bus.fails_after.lock() = Some(0);
        let answer = fixture.post("/api/v1/notifications", one).await;
        assert_eq!(answer.status, status, "{kind}");
        assert_eq!(answer.json()["type"], format!("urn:herald:problem:{kind}"));
        assert_eq!(answer.header("retry-after"), retry_after, "{kind}");
        // Which part differs is not known: the whole body is meant.
        if kind == "idempotency-key-reused" {
            assert_eq!(answer.json()["pointer"], "");
        }
        // Of an array it is said where it stands. Behind an unknown outcome nothing is tried.
        *fixture.bus.fails_after.lock() = Some(1);
        let answer = fixture
            .post("/api/v1/notifications", format!("[{one},{one}]"))
            .await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()[0]["status"]),
            (207, &202.into()),
            "{kind}"
        );
        assert_eq!(answer.json()[1]["status"], status, "{kind}");
        fixture.bus.published.lock().clear();
        let answer = fixture.post("/api/v1/notifications", users).await;
        assert_eq!(answer.json()["published"], 1, "{kind}");
        assert_eq!(answer.header("retry-after"), retry_after, "{kind}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("published for 1 of its users"), "{detail}");
    }
}

#[tokio::test]
async fn what_is_stored_out_of_order_says_where() {
    let fixture = Fixture::open();
    let position = Position {
        epoch: 7,
        sequence: 9,
    };
    *fixture.bus.fails_with.lock() = PublishError::OrderChanged { position };
    *fixture.bus.fails_after.lock() = Some(1);
    let one = r#"{"destination":"/queue/x","payload":1}"#;
    let answer = fixture
        .post("/api/v1/notifications", format!("[{one},{one},{one}]"))
        .await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()[0]["status"]),
        (207, &202.into())
    );
    for item in [1, 2] {
        let item = answer.json()[item].clone();
        assert_eq!(
            (&item["status"], &item["positions"]),
            (&409.into(), &json!(["7-9"]))
        );
        assert_eq!(item["type"], "urn:herald:problem:order-changed");
    }
    // The users of a single notification are in no order.
    fixture.bus.published.lock().clear();
    let users = r#"{"destination":"/queue/x","users":["a","b"],"payload":1}"#;
    let answer = fixture.post("/api/v1/notifications", users).await;
    assert_eq!(answer.status, 202, "{}", answer.json());
}

#[tokio::test]
async fn what_perhaps_went_is_never_told_as_nothing() {
    let one = r#"{"destination":"/queue/x","payload":1}"#;
    let fixture = Fixture::open();
    *fixture.bus.fails_with.lock() = PublishError::Unknown;
    *fixture.bus.fails_after.lock() = Some(0);
    let answer = fixture
        .post("/api/v1/notifications", format!("[{one},{one}]"))
        .await;
    assert_eq!(answer.status, 207, "{}", answer.text);
    let kinds = [0, 1].map(|item| answer.json()[item]["type"].clone());
    assert_eq!(
        kinds,
        [
            "urn:herald:problem:outcome-unknown",
            "urn:herald:problem:bus-unavailable"
        ]
    );
}

#[tokio::test]
async fn what_is_said_of_a_raw_body_stands_in_headers() {
    let given = [
        ("herald-collapse", "k"),
        ("herald-id", "order-7"),
        ("herald-ttl-ms", "60000"),
        ("herald-headers", r#"{"kind":"o","login":"secret"}"#),
    ];
    let post = async |given: &[(&str, &str)]| {
        let fixture = Fixture::open();
        let mut request = Request::post("/api/v1/broadcast/queue/x");
        for (name, value) in given {
            request = request.header(*name, *value);
        }
        (fixture.send(request.body("x".into()).unwrap()).await, fixture)
    };
    let (answer, fixture) = post(&given).await;
    assert_eq!(
        (answer.status, answer.json()["id"].as_str()),
        (StatusCode::ACCEPTED, Some("order-7"))
    );
    let envelope = only(&fixture);
    assert_eq!(envelope.collapse, crate::envelope::CollapseKey::of_backend("k"));
    let left_ms = envelope.expires_at_ms.unwrap() - envelope.timestamp_ms;
    assert!((59_000..=61_000).contains(&left_ms), "{left_ms}");
    let headers: Vec<_> = envelope.headers.iter().collect();
    assert_eq!(headers, [("kind", "o")]);

    let long = "k".repeat(129);
    for (name, value) in [
        ("herald-collapse", long.as_str()),
        ("herald-id", "a b"),
        ("herald-ttl-ms", "0"),
        ("herald-ttl-ms", "soon"),
        ("herald-headers", r#"{"kind":7}"#),
        ("herald-headers", "hush"),
        ("herald-headers", r#"{"a":"","b":"","c":"","d":"","e":""}"#),
    ] {
        let (answer, _) = post(&[(name, value)]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}: {value}");
        assert_eq!(answer.json()["type"], "urn:herald:problem:bad-request");
        assert!(!answer.text.contains("hush"), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_sample_is_bounded_in_number_and_time() {
    let fixture = Fixture::open();
    for query in ["?seconds=0", "?seconds=31", "?seconds=x", "?seconds=-1"] {
        let answer = fixture.get(&format!("/api/v1/tap{query}"), "admin").await;
        assert_eq!(answer.status, 400, "{query}");
    }
    let slow = fixture.get("/api/v1/tap?seconds=30", "admin");
    let others = async {
        tokio::task::yield_now().await;
        let answer = fixture.get("/api/v1/tap?seconds=1", "admin").await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
        assert!(answer.text.contains("api.taps"), "{}", answer.text);
        // An instance that drains waits for no sample.
        fixture.phase.send_replace(Phase::Draining);
    };
    let (answer, ()) = tokio::join!(slow, others);
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["instance"]),
        (200, &"test".into())
    );
}
