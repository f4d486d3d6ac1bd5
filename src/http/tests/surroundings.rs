//! The promise: base path, ports, scopes, health and errors outside the handlers are as docs/rest.md says.

use super::*;
use crate::control::question::Statement;
use crate::control::sessions::Disconnect;
use crate::http::config::TraceUrl;
use crate::http::page::Choice;

#[tokio::test]
async fn scopes_guard_their_routes() {
    let fixture = Fixture::new(Access::Keys, &Config::default());
    let check = async |method: &str, path: &str, key: &str, expected: u16| {
        let mut request = Request::builder().method(method).uri(path);
        if !key.is_empty() {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let answer = fixture.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, expected, "{method} {path} {key}");
        if expected == 401 {
            let challenges: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
            assert!(challenges.len() == 2 && challenges[0].to_str().unwrap().starts_with("Bearer"));
        }
    };
    for (method, path, allowed, success) in [
        ("POST", "/api/v1/broadcast/queue/x", "publish", 202),
        ("POST", "/api/v1/users/u/queue/x", "publish", 202),
        ("POST", "/api/v1/users/u/sessions", "publish", 202),
        ("GET", "/api/v1/users", "read", 200),
        ("GET", "/api/v1/users/u", "read", 200),
        ("GET", "/metrics", "read", 200),
        ("GET", "/api/v1/tap?seconds=1", "admin", 200),
        ("DELETE", "/api/v1/users/u/sessions", "admin", 202),
    ] {
        check(method, path, "", 401).await;
        check(method, path, "wrong", 401).await;
        for key in ["publish", "read", "admin"] {
            let may = key == allowed || key == "admin";
            check(method, path, key, if may { success } else { 403 }).await;
        }
    }
    for path in ["/livez", "/readyz", "/manage/health", "/api/openapi.json"] {
        check("GET", path, "", 200).await;
    }
    let said: Vec<_> = fixture.bus.said.lock().clone();
    let [(kind, order)] = &said[..] else {
        panic!("{said:?}")
    };
    let mut order: Value = serde_json::from_slice(order).unwrap();
    assert!(order["from"].is_string(), "who has done it already");
    order["from"].take();
    assert_eq!(kind, Disconnect::KIND);
    assert_eq!(order, json!({"user": "u", "by": "key:admin", "from": null}));
}

#[tokio::test]
async fn whoever_proves_who_it_is_is_told_what_it_may() {
    for access in [Access::Keys, Access::Open] {
        let fixture = Fixture::new(access, &Config::default());
        for (key, scopes) in [
            ("publish", &["publish"][..]),
            ("read", &["read", "metrics"]),
            ("admin", &["publish", "read", "metrics", "admin"]),
        ] {
            let answer = fixture.get("/api/v1/me", key).await;
            assert_eq!(answer.status, 200, "{key}");
            let mut scopes = scopes.to_vec();
            if access == Access::Open && key == "read" {
                scopes.insert(0, "publish");
            }
            assert_eq!(
                answer.json(),
                json!({"kind": "key", "name": key, "scopes": scopes})
            );
        }
        // Also where anyone may publish: nobody in particular is not told.
        for key in ["", "wrong"] {
            let answer = fixture.get("/api/v1/me", key).await;
            assert_eq!(answer.status, 401, "{key}");
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(
                detail.starts_with("credentials are missing or wrong: "),
                "{detail}"
            );
        }
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let fixture = Fixture::open();
    for (method, path, expected, allow) in [
        ("GET", "/nothing", 404, ""),
        ("POST", "/api/v1/nothing", 404, ""),
        ("GET", "/api/v1/broadcast/", 404, ""),
        ("GET", "/api/v1/message", 405, "POST"),
        ("PUT", "/api/v1/users", 405, "GET,HEAD"),
        ("PUT", "/api/v1/users/u", 405, "GET,HEAD,POST"),
        ("GET", "/api/v1/broadcast", 405, "POST"),
        ("GET", "/api/v1/users/u/sessions", 405, "DELETE,POST"),
        ("POST", "/livez", 405, "GET,HEAD"),
        ("DELETE", "/api/openapi.json", 405, "GET,HEAD"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::empty())
            .unwrap();
        let answer = fixture.send(request).await;
        assert_eq!(answer.status, expected, "{method} {path}");
        assert_eq!(
            answer.header("content-type"),
            "application/problem+json",
            "{method} {path}"
        );
        assert_eq!(answer.json()["status"], expected, "{method} {path}");
        let mut methods: Vec<_> = answer.header("allow").split(',').collect();
        methods.sort_unstable();
        assert_eq!(methods.join(","), allow, "{method} {path}");
        if expected == 405 {
            let takes = match methods.split_last() {
                Some((one, [])) => format!("this path takes {one}"),
                Some((last, rest)) => format!("this path takes {} and {last}", rest.join(", ")),
                None => panic!("{method} {path} names no method"),
            };
            assert_eq!(answer.json()["detail"], *takes, "{method} {path}");
        }
        assert_eq!(answer.header("cache-control"), "no-store", "{method} {path}");
    }
}

#[tokio::test]
async fn the_base_path_prefixes_every_route() {
    let config = Config {
        base_path: "/backend".parse().unwrap(),
        ..Config::default()
    };
    let fixture = Fixture::new(Access::Open, &config);
    for (path, status) in [
        ("/ws", 418),
        ("/livez", 200),
        ("/manage/health", 200),
        ("/api/openapi.json", 200),
        ("/", 200),
    ] {
        assert_eq!(
            fixture.get(&format!("/backend{path}"), "").await.status,
            status,
            "{path}"
        );
        assert_eq!(
            fixture.get(path, "").await.status,
            404,
            "{path} without the base path"
        );
    }
    let redirect = fixture.get("/backend", "").await;
    assert_eq!(
        (redirect.status.as_u16(), redirect.header("location")),
        (308, "/backend/")
    );
    let posted = fixture.post("/backend/api/v1/broadcast/queue/x", "x").await;
    assert_eq!(posted.status, 202);
}

#[tokio::test]
async fn an_admin_port_takes_metrics_and_health_with_it() {
    let config = Config {
        base_path: "/backend".parse().unwrap(),
        admin_listen: Some("127.0.0.1:0".parse().unwrap()),
        ..Config::default()
    };
    let fixture = Fixture::new(Access::Keys, &config);
    let admin = fixture.admin.clone().unwrap();
    for path in ["/livez", "/readyz", "/metrics", "/manage/health"] {
        for base in ["", "/backend"] {
            let path = format!("{base}{path}");
            let request = Request::get(&path).body(Body::empty()).unwrap();
            assert_eq!(answer(&admin, request).await.status, 200, "{path}");
            assert_eq!(fixture.get(&path, "admin").await.status, 404, "{path}");
        }
    }
    let publish = Request::post("/api/v1/broadcast/queue/x")
        .body(Body::empty())
        .unwrap();
    assert_eq!(answer(&admin, publish).await.status, 404);
}

#[tokio::test]
async fn readiness_follows_bus_and_phase_and_liveness_neither() {
    let fixture = Fixture::open();
    let check = async |expected: u16, status: &str| {
        for path in ["/readyz", "/manage/health"] {
            let answer = fixture.get(path, "").await;
            assert_eq!(
                (answer.status.as_u16(), answer.json()["status"].as_str()),
                (expected, Some(status)),
                "{path}"
            );
        }
        assert_eq!(fixture.get("/livez", "").await.status, 200);
    };
    check(200, "UP").await;
    for phase in [Phase::Starting, Phase::NotReady, Phase::Draining] {
        fixture.phase.send_replace(phase);
        check(503, "DOWN").await;
    }
    fixture.phase.send_replace(Phase::Running);
    check(200, "UP").await;
    fixture.bus.disconnect();
    check(503, "DOWN").await;
}

#[tokio::test]
async fn readiness_names_what_the_bus_complains_of() {
    let fixture = Fixture::open();
    let components = async || fixture.get("/readyz", "").await.json()["components"].clone();
    assert_eq!(components().await.get("trouble"), None);
    let complaint = "NATS does not permit this user to subscribe to herald.user.>";
    fixture.bus.trouble.lock().push(complaint.into());
    assert_eq!(components().await["trouble"], serde_json::json!([complaint]));
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let fixture = Fixture::open();
    fixture.post("/api/v1/broadcast/queue/x", "x").await;
    fixture.post("/api/v1/message", "x").await;
    fixture.get("/api/v1/message", "").await;
    fixture.get("/nothing", "").await;
    let answer = fixture.get("/metrics", "read").await;
    assert!(
        answer
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    for line in [
        "herald_notifications_published_total{source=\"rest\"} 1",
        "herald_publish_refused_total{reason=\"malformed_body\",source=\"rest\"} 1",
        "herald_http_request_duration_seconds_count{method=\"POST\",route=\"/api/v1/broadcast/{*destination}\",status=\"202\"} 1",
        "herald_http_request_duration_seconds_count{method=\"GET\",route=\"/api/v1/message\",status=\"405\"} 1",
        "herald_http_request_duration_seconds_count{method=\"GET\",route=\"none\",status=\"404\"} 1",
        "herald_bus_connected 1",
    ] {
        assert!(
            answer.text.lines().any(|got| got == line),
            "{line} is not in\n{}",
            answer.text
        );
    }
}

/// A page of which `http.page` is `choice`.
fn with_page(choice: Choice) -> Fixture {
    let config = Config {
        page: choice,
        trace_url: "https://jaeger.example/trace/{trace_id}".parse().unwrap(),
        ..Config::default()
    };
    Fixture::new(Access::Open, &config)
}

/// What the page links to, by `attribute`.
fn links<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let parts = page.split(attribute).skip(1);
    let values = parts.filter_map(|rest| rest.split('"').next());
    values.filter(|value| !value.starts_with("data:")).collect()
}

#[tokio::test]
async fn the_page_is_closed_to_everything_foreign() {
    for choice in [Choice::Full, Choice::Small] {
        let fixture = with_page(choice);
        let page = fixture.get("/", "").await;
        assert_eq!(page.status, 200);
        assert_eq!(page.header("cache-control"), "no-cache");
        let policy = page.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert!(!page.text.contains("{{"), "a placeholder is left");
        // Built without the page: `http/page` tests what it says then.
        if page.header("content-type").starts_with("text/plain") {
            continue;
        }
        assert!(page.text.contains("data-ws-path=\"/ws\""));
        for forbidden in ["<style", "style=\"", "onclick", "http://"] {
            assert!(!page.text.contains(forbidden), "{forbidden}");
        }
        assert_eq!(page.text.matches("<script").count(), 1);
        let links = [links(&page.text, "src=\""), links(&page.text, "href=\"")].concat();
        for link in links {
            let path = format!("/{}", link.trim_start_matches("./"));
            let kind = if link.ends_with(".js") {
                "text/javascript"
            } else {
                "text/css"
            };
            let asset = fixture.get(&path, "").await;
            assert!(
                asset.status == 200 && asset.header("content-type").starts_with(kind),
                "{path}"
            );
            assert!(asset.header("cache-control").contains("immutable"), "{path}");
            assert_eq!(asset.header("x-content-type-options"), "nosniff");
        }
    }
}

#[tokio::test]
async fn the_rest_interface_has_a_page_that_talks_to_herald_alone() {
    let config = Config {
        page_oidc: toml::from_str("issuer = 'https://id.example'\nclient_id = 'page'").unwrap(),
        ..Config::default()
    };
    let fixture = Fixture::new(Access::Keys, &config);
    let docs = fixture.get("/docs", "").await;
    assert_eq!(docs.status, 200);
    assert!(docs.header("content-type").starts_with("text/html"));
    let policy = docs.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
    assert!(!policy.contains("id.example"), "{policy}");
    assert!(docs.text.contains("href=\"api/openapi.json\""), "{}", docs.text);
    for link in [links(&docs.text, "src=\""), links(&docs.text, "href=\"")].concat() {
        let path = format!("/{}", link.trim_start_matches("./"));
        assert_eq!(fixture.get(&path, "").await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn assets_go_out_compressed_to_those_who_take_that() {
    let fixture = with_page(Choice::Full);
    let page = fixture.get("/", "").await.text;
    // A program without the page links to nothing.
    for link in links(&page, "src=\"") {
        let ask = async |accept: &str| {
            let request = Request::get(format!("/{}", link.trim_start_matches("./")));
            let request = request.header("accept-encoding", accept);
            fixture.send(request.body(Body::empty()).unwrap()).await
        };
        let (plain, brotli) = (ask("gzip").await, ask("gzip, br").await);
        assert!(plain.headers.get("content-encoding").is_none());
        assert_eq!(brotli.header("content-encoding"), "br");
        for answer in [plain, brotli] {
            assert_eq!(answer.header("vary"), "accept-encoding");
        }
    }
}

#[tokio::test]
async fn there_is_no_page_where_none_is_wanted() {
    let fixture = with_page(Choice::None);
    for path in ["/", "/docs", "/app.js", "/style.css"] {
        assert_eq!(fixture.get(path, "").await.status, 404, "{path}");
    }
    assert_eq!(fixture.get("/livez", "").await.status, 200);
}

#[test]
fn a_link_to_a_trace_is_a_web_address_with_the_id_once() {
    for (url, sound) in [
        ("", true),
        ("https://jaeger.example/trace/{trace_id}", true),
        ("http://127.0.0.1:16686/trace/{trace_id}?x=1", true),
        ("javascript:alert({trace_id})", false),
        ("https://jaeger.example/trace/", false),
        ("https://u:p@jaeger.example/trace/{trace_id}", false),
        ("https://{trace_id}/{trace_id}", false),
        ("https://jaeger.example/ {trace_id}", false),
    ] {
        assert_eq!(url.parse::<TraceUrl>().is_ok(), sound, "{url}");
    }
}
