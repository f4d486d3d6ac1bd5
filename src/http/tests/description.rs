//! The promise: the OpenAPI document and the routes agree.

use super::*;
use crate::origins::Origins;

/// docs/rest.md, as OpenAPI writes paths.
pub(super) const ROUTES: [(&str, &str); 29] = [
    ("get", "/api/v1/me"),
    ("post", "/api/v1/message"),
    ("post", "/api/v1/notifications"),
    ("post", "/api/v1/broadcast/{destination}"),
    ("post", "/api/v1/broadcast"),
    ("post", "/api/v1/users/{user}"),
    ("post", "/api/v1/users/{user}/sessions"),
    ("post", "/api/v1/users/{user}/{destination}"),
    ("get", "/api/v1/users"),
    ("get", "/api/v1/users/{user}"),
    ("delete", "/api/v1/users/{user}/sessions"),
    ("get", "/api/v1/tap"),
    ("get", "/api/v1/explain"),
    ("get", "/api/v1/explain/permission"),
    ("get", "/api/v1/instances"),
    ("get", "/api/v1/senders"),
    ("post", "/api/v1/instances/{id}/shed"),
    ("post", "/api/v1/revocations"),
    ("get", "/api/v1/revocations"),
    ("delete", "/api/v1/revocations/{id}"),
    ("get", "/api/v1/debug/log"),
    ("put", "/api/v1/debug/log"),
    ("get", "/api/v1/debug/log/lines"),
    ("put", "/api/v1/debug/users/{user}"),
    ("put", "/api/v1/debug/sessions/{session}"),
    ("get", "/livez"),
    ("get", "/readyz"),
    ("get", "/metrics"),
    ("get", "/manage/health"),
];

async fn document(fixture: &Fixture, base: &str) -> Value {
    let answer = fixture.get(&format!("{base}/api/openapi.json"), "").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (StatusCode::OK, "application/json")
    );
    answer.json()
}

#[tokio::test]
async fn every_route_is_documented_and_every_documented_route_answers() {
    let fixture = Fixture::open();
    let document = document(&fixture, "").await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut documented = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            documented.push((method.clone(), path.clone()));
            assert!(operation["security"].is_array(), "{method} {path}");
            let responses = operation["responses"].as_object().unwrap();
            for (status, response) in responses {
                // OpenAPI 3.1 wants one of every response.
                let words = response["description"].as_str();
                assert!(
                    words.is_some_and(|words| !words.is_empty()),
                    "{method} {path} {status}"
                );
            }
            let request = Request::builder()
                .method(method.to_uppercase().as_str())
                .uri(path.replace(['{', '}'], ""))
                .header("authorization", "Bearer admin");
            let status = fixture.send(request.body(Body::empty()).unwrap()).await.status;
            assert!(
                !matches!(status.as_u16(), 401..=403 | 405 | 500),
                "{method} {path}: {status}"
            );
            assert!(
                operation["responses"].get(status.as_str()).is_some(),
                "{method} {path}: {status} is not documented"
            );
        }
    }
    documented.sort();
    let mut expected: Vec<_> = ROUTES
        .map(|(method, path)| (method.to_owned(), path.to_owned()))
        .into();
    expected.sort();
    assert_eq!(documented, expected);
}

#[tokio::test]
async fn no_route_but_health_does_anything_without_credentials() {
    for list in [&[][..], &["https://app.example"]] {
        let config = Config {
            cors_origins: Origins::parse(list).unwrap(),
            ..Config::default()
        };
        let fixture = Fixture::new(Access::Keys, &config);
        for (method, path) in ROUTES {
            let request = Request::builder()
                .method(method.to_uppercase().as_str())
                .uri(path.replace(['{', '}'], ""));
            let status = fixture.send(request.body(Body::empty()).unwrap()).await.status;
            let open = ["/livez", "/readyz", "/manage/health"].contains(&path);
            assert_eq!(
                status == StatusCode::UNAUTHORIZED,
                !open,
                "{method} {path}: {status}"
            );
        }
    }
}

#[tokio::test]
async fn schemes_schemas_and_references_are_whole() {
    let document = document(&Fixture::open(), "").await;
    let components = &document["components"];
    assert_eq!(components["securitySchemes"]["key"]["scheme"], "bearer");
    assert_eq!(components["securitySchemes"]["user"]["scheme"], "basic");
    let text = document.to_string();
    for reference in text
        .split("\"$ref\":\"#")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
    {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    let problem = &components["schemas"]["Problem"];
    for member in ["type", "title", "status", "detail", "pointer"] {
        assert!(problem["properties"][member].is_object(), "{member}");
    }
    // What Herald leaves out is not `null`, and a `null` user is refused.
    let text = serde_json::json!("string");
    assert_eq!(problem["properties"]["pointer"]["type"], text);
    assert!(components["schemas"]["User"]["pattern"].is_string());
    let body = &document["paths"]["/api/v1/broadcast/{destination}"]["post"]["requestBody"];
    assert!(body["content"]["*/*"].is_object() && body["required"] != true);
    for (name, strict) in [
        ("BroadcastNotification", true),
        ("DebugRequest", true),
        ("LogLevelRequest", true),
        ("TokenRevocation", true),
        ("ChatMessageRequest", false),
    ] {
        let schema = &components["schemas"][name];
        assert_eq!(
            schema["additionalProperties"] == false,
            strict,
            "{name}: {schema}"
        );
    }
    let body = &document["paths"]["/api/v1/notifications"]["post"]["requestBody"]["content"];
    let body = body["application/json"]["schema"]["$ref"].as_str().unwrap();
    let kinds = &document.pointer(&body[1..]).unwrap()["oneOf"];
    let several = document
        .pointer(&kinds[1]["$ref"].as_str().unwrap()[1..])
        .unwrap();
    assert_eq!(kinds[0], several["items"]);
    assert_eq!(several["maxItems"], 1_000);
    let properties = &components["schemas"]["UsersNotification"]["properties"];
    let described: Vec<_> = properties.as_object().unwrap().keys().collect();
    assert_eq!(described.len(), 7, "{described:?}");
    assert_eq!(properties["users"]["items"]["$ref"], "#/components/schemas/User");
    assert_eq!(
        components["schemas"]["LogLevelRequest"]["properties"]["for"]["default"],
        "10m"
    );
}

#[tokio::test]
async fn what_is_tried_out_begins_with_what_herald_takes() {
    let fixture = Fixture::open();
    let answer = fixture.get("/api/openapi.json", "").await;
    let (document, mut tried) = (answer.json(), 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let content = &operation["requestBody"]["content"];
            if content["*/*"].is_object() {
                assert!(content["text/plain"]["example"].is_string(), "{method} {path}");
            }
            for (name, example) in content["application/json"]["examples"]
                .as_object()
                .into_iter()
                .flatten()
            {
                let request = Request::builder()
                    .method(method.to_uppercase().as_str())
                    .uri(path)
                    .header("authorization", "Bearer admin")
                    .header("content-type", "application/json");
                let body = example["value"].to_string();
                let answer = fixture.send(request.body(body.into()).unwrap()).await;
                // This fixture has no issuer.
                let no_issuer = path.ends_with("/revocations") && answer.text.contains("auth.issuers");
                assert!(
                    answer.status == 202 || no_issuer,
                    "{path} {name}: {}",
                    answer.text
                );
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 7);
    // Swagger UI preselects the first.
    let text = answer.text.find("\"text/plain\"").unwrap();
    assert!(text < answer.text.find("\"*/*\"").unwrap());
}

#[tokio::test]
async fn the_base_path_is_the_server() {
    let config = Config {
        base_path: "/backend".parse().unwrap(),
        ..Config::default()
    };
    let fixture = Fixture::new(Access::Open, &config);
    let document = document(&fixture, "/backend").await;
    assert_eq!(document["servers"][0]["url"], "/backend");
    assert!(document["paths"]["/api/v1/message"].is_object());
}
