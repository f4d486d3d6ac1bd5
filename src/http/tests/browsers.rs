//! The promise: a foreign page changes nothing, and listed ones get their preflight requests answered.

use super::*;
use crate::origins::Origins;

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "herald.example");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from("x")).unwrap()
}

#[tokio::test]
async fn a_foreign_page_is_refused_before_anything_else() {
    let listing = Config {
        cors_origins: Origins::parse(["https://app.example"]).unwrap(),
        ..Config::default()
    };
    for config in [Config::default(), listing] {
        foreign_page_is_refused(&Fixture::new(Access::Keys, &config)).await;
    }
}

async fn foreign_page_is_refused(fixture: &Fixture) {
    let cross = [
        ("sec-fetch-site", "cross-site"),
        ("authorization", "Bearer admin"),
    ];
    for (method, path) in [
        ("POST", "/api/v1/message"),
        ("POST", "/api/v1/notifications"),
        ("POST", "/api/v1/broadcast/queue/x"),
        ("POST", "/api/v1/users/u/queue/x"),
        ("DELETE", "/api/v1/users/u/sessions"),
        // A method that the path does not have.
        ("POST", "/livez"),
    ] {
        let answer = fixture.send(request(method, path, &cross)).await;
        assert_eq!(answer.status, 403, "{method} {path}");
        assert_eq!(answer.json()["type"], "urn:herald:problem:cross-site");
    }
    assert!(fixture.bus.published.lock().is_empty() && fixture.bus.said.lock().is_empty());
    let read = fixture.send(request("GET", "/api/v1/users", &cross)).await;
    assert_eq!(read.status, 200);
}

#[tokio::test]
async fn preflights_are_answered_for_the_listed_alone() {
    let preflight = |origin: &str| {
        request(
            "OPTIONS",
            "/api/v1/notifications",
            &[("origin", origin), ("access-control-request-method", "POST")],
        )
    };
    let none = Fixture::open().send(preflight("https://app.example")).await;
    assert_eq!(none.header("access-control-allow-origin"), "");

    let config = Config {
        cors_origins: Origins::parse(["https://app.example"]).unwrap(),
        ..Config::default()
    };
    let fixture = Fixture::new(Access::Open, &config);
    let listed = fixture.send(preflight("https://app.example")).await;
    assert_eq!(
        (listed.status, listed.header("access-control-allow-origin")),
        (StatusCode::OK, "https://app.example")
    );
    assert!(listed.header("access-control-allow-methods").contains("POST"));
    // Every header that a request may say something by.
    let permitted = listed.header("access-control-allow-headers").to_ascii_lowercase();
    let permitted: Vec<&str> = permitted.split(',').map(str::trim).collect();
    for name in [
        "Authorization",
        "Content-Type",
        "Herald-Id",
        "Herald-Ttl-Ms",
        "Herald-Collapse",
        "Herald-Headers",
        "Idempotency-Key",
        "traceparent",
        "tracestate",
        "baggage",
    ] {
        assert!(
            permitted.contains(&&*name.to_ascii_lowercase()),
            "{name}: {permitted:?}"
        );
    }
    let other = fixture.send(preflight("https://evil.example")).await;
    assert_eq!(other.header("access-control-allow-origin"), "");

    let headers = [
        ("origin", "https://app.example"),
        ("sec-fetch-site", "cross-site"),
    ];
    let sent = fixture
        .send(request("POST", "/api/v1/broadcast/queue/x", &headers))
        .await;
    assert_eq!(
        (sent.status, sent.header("access-control-allow-origin")),
        (StatusCode::ACCEPTED, "https://app.example")
    );
}
