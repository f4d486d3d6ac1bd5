//! The promise: docs/rest.md, the OpenAPI document, preflight answers and the routes know the same headers, and a
//! header that only looks like one of Herald's is refused.

use std::collections::BTreeSet;

use super::description::ROUTES;
use super::*;
use crate::origins::Origins;

const REST_MD: &str = include_str!("../../../docs/rest.md");

/// What docs/rest.md names beside the document's: headers of HTTP, of browsers and of traces, which libraries write, and two that are
/// wrong.
const ELSEWHERE: [&str; 12] = [
    "Allow",
    "Authorization",
    "Content-Encoding",
    "Content-Type",
    "Herald-TTL",
    "Herald-User",
    "Host",
    "Origin",
    "Transfer-Encoding",
    "baggage",
    "traceparent",
    "tracestate",
];

/// Those of them that requests are read for, by pages too.
const READ: [&str; 5] = [
    "Authorization",
    "Content-Type",
    "baggage",
    "traceparent",
    "tracestate",
];

/// The names of headers in back-quotes: with a hyphen and capitals, or as listed above.
fn named_in_rest_md() -> BTreeSet<&'static str> {
    let spans = REST_MD
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_header = |span: &&str| {
        let is_compound = span.contains('-')
            && span.split('-').all(|part| {
                part.starts_with(|first: char| first.is_ascii_uppercase())
                    && part.chars().all(|one| one.is_ascii_alphabetic())
            });
        is_compound || ELSEWHERE.contains(span)
    };
    spans.filter(is_header).collect()
}

/// The headers of requests and of answers in the document.
async fn documented() -> (BTreeSet<String>, BTreeSet<String>) {
    let document = Fixture::open().get("/api/openapi.json", "").await.json();
    let (mut requests, mut answers) = (BTreeSet::new(), BTreeSet::new());
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                if parameter["in"] == "header" {
                    requests.insert(parameter["name"].as_str().unwrap().to_owned());
                }
            }
            for response in operation["responses"].as_object().unwrap().values() {
                let headers = response["headers"].as_object();
                answers.extend(headers.into_iter().flat_map(|headers| headers.keys().cloned()));
            }
        }
    }
    (requests, answers)
}

#[tokio::test]
async fn rest_md_and_the_document_name_the_same_headers() {
    let (requests, answers) = documented().await;
    let expected: BTreeSet<&str> = requests.iter().chain(&answers).map(String::as_str).collect();
    let named: BTreeSet<&str> = named_in_rest_md()
        .into_iter()
        .filter(|name| !ELSEWHERE.contains(name))
        .collect();
    assert_eq!(named, expected, "docs/rest.md, and the document");
    for name in ["Herald-Headers", "Idempotency-Key"] {
        assert!(requests.contains(name), "{requests:?}");
    }
    for name in ["Retry-After", "WWW-Authenticate"] {
        assert!(answers.contains(name), "{answers:?}");
    }
}

#[tokio::test]
async fn preflights_permit_what_the_document_names() {
    let config = Config {
        cors_origins: Origins::parse(["https://app.example"]).unwrap(),
        ..Config::default()
    };
    let fixture = Fixture::new(Access::Open, &config);
    let preflight = Request::options("/api/v1/broadcast/queue/x")
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST");
    let answer = fixture.send(preflight.body(Body::empty()).unwrap()).await;
    let permitted = answer.header("access-control-allow-headers").to_ascii_lowercase();
    let permitted: BTreeSet<&str> = permitted.split(',').map(str::trim).collect();
    let (requests, _) = documented().await;
    let expected: Vec<String> = requests
        .iter()
        .map(String::as_str)
        .chain(READ)
        .map(str::to_ascii_lowercase)
        .collect();
    assert_eq!(permitted, expected.iter().map(String::as_str).collect());
}

#[tokio::test]
async fn a_header_that_looks_like_heralds_and_is_none_is_refused() {
    for base in ["", "/backend"] {
        let fixture = Fixture::below(base);
        for (method, path) in ROUTES {
            let path = filled(path);
            let request = as_admin(method, &format!("{base}{path}")).header("Herald-TTL", "SECRET");
            let answer = fixture.send(request.body(Body::empty()).unwrap()).await;
            let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
            let refused = answer.status == 400 && detail.starts_with("unknown header herald-ttl; ");
            assert_eq!(refused, !is_free(&path), "{method} {path}: {}", answer.text);
            assert!(!answer.text.contains("SECRET"), "{}", answer.text);
        }
        assert!(fixture.bus.published.lock().is_empty());
    }
}

#[tokio::test]
async fn what_proxies_and_tracers_add_is_none_of_heralds() {
    let fixture = Fixture::open();
    let mut request = Request::post("/api/v1/broadcast/queue/x");
    for name in [
        "x-herald-id",
        "x-forwarded-for",
        "x-request-id",
        "forwarded",
        "via",
        "traceparent",
        "tracestate",
        "baggage",
        "b3",
        "x-b3-traceid",
        "uber-trace-id",
        "sec-fetch-site",
    ] {
        request = request.header(name, "none");
    }
    let answer = fixture.send(request.body("x".into()).unwrap()).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
}

#[tokio::test]
async fn a_mistaken_header_publishes_nothing_and_says_what_was_meant() {
    let fixture = Fixture::open();
    for (path, name, words) in [
        (
            "broadcast/queue/x",
            "Herald-TTL",
            "unknown header herald-ttl; did you mean Herald-Ttl-Ms? known are Herald-Id,",
        ),
        (
            "users/anna/queue/x",
            "Herald-User",
            "unknown header herald-user; no header names a user: the path or the body does; known are",
        ),
        (
            "notifications",
            "Herald-Id",
            "unknown header herald-id; this route takes none of Herald's own: a notification in JSON has the field \"id\"",
        ),
    ] {
        let request = Request::post(format!("/api/v1/{path}"))
            .header("content-type", "application/json")
            .header(name, "1");
        let body = r#"{"destination":"/queue/x","payload":1}"#;
        let answer = fixture.send(request.body(body.into()).unwrap()).await;
        assert_eq!(answer.status, 400, "{path}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with(words), "{path}: {detail}");
        assert!(detail.ends_with("; nothing was done"), "{path}: {detail}");
    }
    let twice = Request::post("/api/v1/broadcast/queue/x")
        .header("Herald-Id", "a")
        .header("Herald-Id", "b");
    let answer = fixture.send(twice.body("x".into()).unwrap()).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(fixture.bus.published.lock().is_empty());
}
