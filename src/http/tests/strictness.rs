//! The promise: for each route, the OpenAPI document and docs/rest.md say what Herald does: what it accepts, how it
//! refuses, and what a caller needs.

use std::collections::BTreeSet;

use super::*;

const REST_MD: &str = include_str!("../../../docs/rest.md");

/// The document, where anyone may publish or not.
async fn document(access: Access) -> Value {
    let fixture = Fixture::new(access, &Config::default());
    fixture.get("/api/openapi.json", "").await.json()
}

/// Method, path and description of every operation.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &'static str)| (item.to_uppercase(), path.clone());
    paths
        .iter()
        .flat_map(|(path, item)| {
            ["get", "put", "post", "delete"]
                .into_iter()
                .filter_map(move |method| {
                    let (name, path) = of((path, method));
                    Some((name, path, item.get(method)?))
                })
        })
        .collect()
}

#[tokio::test]
async fn rest_md_lists_every_route_and_no_other() {
    let document = document(Access::Keys).await;
    let described: BTreeSet<_> = operations(&document)
        .into_iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    let rows = REST_MD.lines().filter(|line| line.starts_with("| `"));
    let spans = rows.flat_map(|row| row.split(" | ").next().unwrap_or_default().split('`'));
    let listed: BTreeSet<_> = spans
        .filter_map(|span| {
            let (method, path) = span.split_once(' ')?;
            let is_method = matches!(method, "GET" | "PUT" | "POST" | "DELETE");
            let path = path.split(['?', ' ']).next()?.replace('…', "");
            // The page and the description do not describe themselves.
            (is_method && !["/", "/docs", "/api/openapi.json"].contains(&path.as_str()))
                .then(|| format!("{method} {path}"))
        })
        .collect();
    let missing: Vec<_> = described.difference(&listed).collect();
    let surplus: Vec<_> = listed.difference(&described).collect();
    assert!(missing.is_empty(), "not in docs/rest.md: {missing:?}");
    assert!(surplus.is_empty(), "only in docs/rest.md: {surplus:?}");
}

/// The words in back-quotes of `text`.
fn quoted(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[tokio::test]
async fn every_refusal_has_its_kind_in_the_document_and_in_rest_md() {
    let document = document(Access::Keys).await;
    let rows: Vec<(&str, BTreeSet<&str>)> = REST_MD
        .lines()
        .filter(|line| line.starts_with("| 4") || line.starts_with("| 5"))
        .map(|line| {
            let mut cells = line.trim_start_matches("| ").split(" | ");
            (cells.next().unwrap(), quoted(cells.next().unwrap_or_default()))
        })
        .collect();
    let explained = |status: &str, kind: &str| {
        rows.iter()
            .any(|(statuses, kinds)| statuses.contains(status) && kinds.contains(kind))
    };
    let mut seen = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let is_health = status == "503" && path.starts_with("/readyz") || path.starts_with("/manage");
            if status.starts_with(['2', '3']) || is_health {
                continue;
            }
            let content = response["content"].as_object().unwrap();
            let types: Vec<_> = content.keys().collect();
            assert_eq!(types, ["application/problem+json"], "{method} {path} {status}");
            let words = response["description"].as_str().unwrap();
            let (kinds, _) = words.split_once(": ").unwrap_or_default();
            assert!(!quoted(kinds).is_empty(), "{method} {path} {status}: {words}");
            for kind in quoted(kinds) {
                assert!(
                    explained(status, kind),
                    "docs/rest.md does not explain {status} {kind}"
                );
                seen.insert(kind.to_owned());
            }
        }
    }
    // Of every route, and not said at each of them.
    let everywhere = ["method-not-allowed", "about:blank"];
    for kind in rows.iter().flat_map(|(_, kinds)| kinds) {
        assert!(
            seen.contains(*kind) || everywhere.contains(kind),
            "no route is described to answer {kind}"
        );
    }
}

#[tokio::test]
async fn who_may_is_said_for_each_route() {
    for (access, anyone) in [(Access::Keys, false), (Access::Open, true)] {
        let document = document(access).await;
        for (method, path, operation) in operations(&document) {
            let security = operation["security"].as_array().unwrap();
            let free = security.iter().any(|one| one.as_object().unwrap().is_empty());
            let is_open = !path.starts_with("/api/v1") && path != "/metrics";
            let publishes = operation["tags"][0] == "publish";
            assert_eq!(free, is_open || (publishes && anyone), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_refusal_says_what_is_needed_and_in_what_form() {
    let fixture = Fixture::new(Access::Keys, &Config::default());
    for (path, scope, roles) in [
        ("/api/v1/users", "read", "ROLE_ADMIN"),
        ("/metrics", "metrics", "ROLE_ADMIN"),
        ("/api/v1/instances", "admin", "ROLE_ADMIN"),
    ] {
        for key in ["", "SECRET"] {
            let answer = fixture.get(path, key).await;
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert_eq!(answer.status, 401, "{path}");
            for part in [
                &format!("this requires the scope {scope}:"),
                "\"Authorization: Bearer KEY\"",
                "\"Authorization: Basic …\"",
                roles,
            ] {
                assert!(detail.contains(part), "{path}: {detail}");
            }
            assert!(!answer.text.contains("SECRET"));
        }
        let answer = fixture.get(path, "publish").await;
        assert_eq!(answer.status, 403, "{path}");
        assert_eq!(
            answer.json()["detail"],
            format!("this requires the scope {scope}, which the key does not have")
        );
    }
    let answer = fixture.post("/api/v1/broadcast/queue/x", "x").await;
    assert!(
        answer.text.contains("ROLE_PUBLISHER or ROLE_ADMIN"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn a_notification_is_one_of_three_things() {
    let document = document(Access::Keys).await;
    let schemas = &document["components"]["schemas"];
    for (name, kinds) in [
        (
            "NotificationRequest",
            &[
                ("BroadcastNotification", "destination payload", "user users"),
                ("UserNotification", "destination payload user", "users"),
                ("UsersNotification", "destination payload users", "user"),
            ][..],
        ),
        (
            "RevocationRequest",
            &[
                ("UserTokensRevocation", "user", "token_id"),
                ("IssuerTokensRevocation", "issuer", "user token_id"),
                ("TokenRevocation", "issuer token_id", "user issued_before"),
                ("UserBlock", "user block", "issuer token_id issued_before"),
            ],
        ),
    ] {
        let references = kinds
            .iter()
            .map(|(kind, _, _)| json!({"$ref": format!("#/components/schemas/{kind}")}));
        assert_eq!(schemas[name]["oneOf"], Value::from_iter(references), "{name}");
        for (kind, required, absent) in kinds {
            let schema = &schemas[kind];
            let wanted: Vec<_> = required.split(' ').collect();
            assert_eq!(schema["required"], json!(wanted), "{kind}");
            assert_eq!(schema["additionalProperties"], false, "{kind}");
            for member in absent.split(' ') {
                assert!(schema["properties"].get(member).is_none(), "{kind}.{member}");
            }
        }
    }
    let pattern = |of: &str| {
        schemas[of]["properties"]["destination"]["pattern"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(pattern("BroadcastNotification").starts_with("^/(?:queue|topic)(?:/"));
    assert!(!pattern("UserNotification").contains("queue"));
    let limits = &schemas["BroadcastNotification"]["properties"]["headers"];
    assert_eq!(limits["maxProperties"], 4, "limits.headers of this fixture");
}

#[tokio::test]
async fn no_user_is_named_by_what_could_look_like_another() {
    let fixture = Fixture::open();
    let document = fixture.get("/api/openapi.json", "").await.json();
    let mut patterns = vec![document["components"]["schemas"]["User"]["pattern"].clone()];
    for (_, path, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let is_text = parameter["schema"]["$ref"].is_null();
            if parameter["name"] == "user" && parameter["in"] == "path" && is_text {
                patterns.push(parameter["schema"]["pattern"].clone());
            }
            assert!(
                parameter["name"] != "user" || path.starts_with("/api/v1/"),
                "{path}"
            );
        }
    }
    assert!(patterns.len() > 3, "{patterns:?}");
    // A bidirectional one, an invisible one, and one of control.
    for pattern in patterns {
        let pattern = pattern.as_str().unwrap();
        for character in ["\\u0000-\\u001f", "\\u2028-\\u202f", "\\ufeff"] {
            assert!(pattern.contains(character), "{pattern}");
        }
    }
    for name in ["a%E2%80%AEb", "a%EF%BB%BF", "a%0A"] {
        let answer = fixture.post(&format!("/api/v1/users/{name}/queue/x"), "x").await;
        assert_eq!(answer.status, 400, "{name}");
    }
}

/// Two readers of one notification must not find two values for a header.
#[tokio::test]
async fn a_header_of_a_notification_is_given_once() {
    let fixture = Fixture::open();
    for (headers, status) in [
        (r#"{"a":"1","b":"1"}"#, 202),
        (r#"{"a":"1","a":"2"}"#, 400),
        (r#"{"a":"1","\u0061":"1"}"#, 400),
    ] {
        let body = format!(r#"{{"destination":"/queue/x","payload":1,"headers":{headers}}}"#);
        let answer = fixture.post("/api/v1/notifications", body).await;
        assert_eq!(answer.status, status, "{headers}");
        let request = Request::post("/api/v1/broadcast/queue/x").header("herald-headers", headers);
        let raw = fixture.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(raw.status, status, "{headers}");
    }
}

#[tokio::test]
async fn a_whole_number_may_be_written_as_a_float() {
    let fixture = Fixture::open();
    for (ttl, status) in [
        ("23", 202),
        ("23.0", 202),
        ("2.3e1", 202),
        ("23.5", 400),
        ("0.0", 400),
        ("-1.0", 400),
    ] {
        let body = format!(r#"{{"destination":"/queue/x","payload":1,"ttl_ms":{ttl}}}"#);
        assert_eq!(
            fixture.post("/api/v1/notifications", body).await.status,
            status,
            "{ttl}"
        );
        let request = Request::post("/api/v1/broadcast/queue/x").header("herald-ttl-ms", ttl);
        let raw = fixture.send(request.body(Body::empty()).unwrap()).await.status;
        assert_eq!(raw == 202, status == 202 && !ttl.contains('e'), "{ttl}: {raw}");
    }
    for (query, status) in [
        ("limit=2.0", 200),
        ("limit=2.5", 400),
        ("user=%0A", 400),
        ("user=anna", 200),
    ] {
        let answer = fixture
            .get(&format!("/api/v1/revocations?{query}"), "admin")
            .await;
        assert_eq!(answer.status, status, "{query}");
    }
}
