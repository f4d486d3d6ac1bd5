//! The promise: every route treats paths and queries as docs/rest.md says: slashes, escaped or at the end, unknown and
//! repeated parameters, and the destination in a query.

use super::description::ROUTES;
use super::*;
use crate::destination::Target;

/// The targets of what was published.
fn published(fixture: &Fixture) -> Vec<String> {
    let published = std::mem::take(&mut *fixture.bus.published.lock());
    let name = |target: &Target| match target {
        Target::Broadcast(path) => path.to_string(),
        Target::User { user, path } => format!("{user} {path}"),
    };
    published.iter().map(|envelope| name(&envelope.target)).collect()
}

/// An empty request as the bearer of the key `admin`.
async fn request(fixture: &Fixture, method: &str, uri: &str) -> Answer {
    let request = as_admin(method, uri);
    fixture.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_destination_may_be_written_in_every_way_that_clients_write_it() {
    let fixture = Fixture::open();
    for (path, expected) in [
        ("broadcast/queue/orders", "/queue/orders"),
        // By hand, and as encodeURIComponent and Python's quote(…, safe='') write it.
        ("broadcast//queue/orders", "/queue/orders"),
        ("broadcast/%2Fqueue%2Forders", "/queue/orders"),
        ("broadcast/queue%2forders", "/queue/orders"),
        ("broadcast/%2Ftopic%2Fa%20b%2F%C3%A4%25", "/topic/a b/ä%"),
        ("broadcast?destination=/queue/orders", "/queue/orders"),
        ("broadcast?destination=%2Fqueue%2Fa+b%2B", "/queue/a b+"),
        (
            "broadcast/queue/orders?destination=%2Fqueue%2Forders",
            "/queue/orders",
        ),
        ("users/anna/queue/orders", "anna /queue/orders"),
        ("users/anna/%2Fqueue%2Forders", "anna /queue/orders"),
        ("users/a%2Fb/%2Fuser%2Fqueue%2Forders", "a/b /queue/orders"),
        ("users/a%2Fb?destination=/queue/orders", "a/b /queue/orders"),
        (
            "users/anna/queue/orders?destination=/user/queue/orders",
            "anna /queue/orders",
        ),
        ("users/anna/sessions?destination=/sessions", "anna /sessions"),
    ] {
        let answer = fixture.post(&format!("/api/v1/{path}"), "x").await;
        assert_eq!(answer.status, 202, "{path}: {}", answer.text);
        assert_eq!(published(&fixture), [expected], "{path}");
    }
}

#[tokio::test]
async fn a_destination_that_is_missing_twofold_or_none_is_refused() {
    let fixture = Fixture::open();
    for (path, words) in [
        ("broadcast", "the destination is missing"),
        ("broadcast?destination=", "a destination begins with '/'"),
        ("broadcast?destination=queue/x", "a destination begins with '/'"),
        ("broadcast?destination=/queue/%FF", "the query is not UTF-8"),
        ("broadcast?destination=/queue/x/", "no empty segments"),
        ("broadcast/queue/x?destination=/queue/y", "different destinations"),
        ("broadcast/%2F%2Fqueue%2Fx", "no empty segments"),
        ("broadcast/queue%2F", "no empty segments"),
        ("broadcast/queue%2F..%2Fx", "no segment '.' or '..'"),
        ("broadcast/nowhere%2Fx", "begins with one of"),
        ("broadcast/queue/*", "there are no wildcards"),
        ("broadcast/app/x", "what clients SEND"),
        (
            "broadcast/user/queue/x",
            "names the user: POST /api/v1/users/{user}/queue/orders names one",
        ),
        (
            "broadcast?destination=/user/anna/queue/x",
            "names the user: POST /api/v1/users/{user}/queue/orders names one",
        ),
        ("users/anna", "the destination is missing"),
        (
            "users/anna/queue/x?destination=/queue/y",
            "different destinations",
        ),
        ("users/%0A?destination=/queue/x", "name"),
        ("users/anna/%2Fuser%2Fqueue%2Fherald%2Fauth", "Herald's own"),
    ] {
        let answer = fixture.post(&format!("/api/v1/{path}"), "x").await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(words), "{path}: {detail}");
    }
    assert!(published(&fixture).is_empty());
}

#[tokio::test]
async fn every_route_refuses_a_query_that_it_does_not_know() {
    for base in ["", "/backend"] {
        let fixture = Fixture::below(base);
        for (method, path) in ROUTES {
            let path = format!("{base}{}", filled(path));
            for query in ["surplus=SECRET", "a%zz", "%FF=1"] {
                let answer = request(&fixture, method, &format!("{path}?{query}")).await;
                let refused =
                    answer.status == 400 && answer.json()["detail"].as_str().unwrap().contains("query");
                assert_eq!(
                    refused,
                    !is_free(&path),
                    "{method} {path}?{query}: {}",
                    answer.text
                );
                assert!(!answer.text.contains("SECRET"), "{}", answer.text);
            }
        }
        // By their parameters, which the document names.
        for (method, uri) in [
            ("get", "/api/v1/tap?seconds=1&seconds=2"),
            ("post", "/api/v1/notifications?atomic=true&atomic=true"),
            (
                "post",
                "/api/v1/broadcast/queue/x?destination=/queue/x&destination=/queue/x",
            ),
            (
                "post",
                "/api/v1/users/u/sessions?destination=/sessions&destination=/sessions",
            ),
            ("delete", "/api/v1/users/u/sessions?revoke=false&revoke=false"),
        ] {
            let answer = request(&fixture, method, &format!("{base}{uri}")).await;
            let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
            assert_eq!(answer.status, 400, "{uri}");
            assert!(detail.ends_with("is given twice"), "{uri}: {detail}");
        }
        assert!(published(&fixture).is_empty(), "what was refused was published");
        for uri in ["/", "/ws", "/api/openapi.json", "/livez", "/metrics"] {
            let status = request(&fixture, "get", &format!("{base}{uri}?surplus=1"))
                .await
                .status;
            assert!(matches!(status.as_u16(), 200 | 418), "{uri}: {status}");
        }
    }
}

#[tokio::test]
async fn a_mistaken_parameter_publishes_nothing_and_says_what_was_meant() {
    let fixture = Fixture::open();
    let body = r#"{"destination":"/queue/x","payload":1}"#;
    let answer = fixture.post("/api/v1/notifications?dryrun=true", body).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.json()["detail"],
        "unknown query parameter \"dryrun\"; did you mean dry_run? known are dry_run, atomic; nothing was done"
    );
    // The replaced service published with any query.
    let message = r#"{"message":"hi","user":"x"}"#;
    assert_eq!(
        fixture
            .post("/api/v1/message?dryrun=true&a&a", message)
            .await
            .status,
        202
    );
    assert_eq!(published(&fixture), ["/queue/message"]);
}

#[tokio::test]
async fn a_parameter_of_the_wrong_kind_is_named_with_what_it_must_be() {
    let fixture = Fixture::open();
    for (method, uri, expected) in [
        ("post", "notifications?dry_run=1", "dry_run must be true or false"),
        ("post", "notifications?atomic=yes", "atomic must be true or false"),
        ("post", "notifications?atomic", "atomic must be true or false"),
        (
            "delete",
            "users/u/sessions?revoke=1",
            "revoke must be true or false",
        ),
        (
            "get",
            "tap?seconds=SECRET",
            "seconds must be a whole number from 1 to 30",
        ),
        (
            "get",
            "tap?seconds=31",
            "seconds must be a whole number from 1 to 30",
        ),
        (
            "post",
            "instances/x/shed?share=20%25",
            "share must be a whole number from 1 to 100",
        ),
        (
            "get",
            "revocations?limit=0",
            "limit must be a whole number from 1 to 1000",
        ),
        (
            "get",
            "explain/permission?action=read&destination=/queue/x&user=u",
            "action must be subscribe or send or publish",
        ),
    ] {
        let answer = request(&fixture, method, &format!("/api/v1/{uri}")).await;
        assert_eq!(answer.status, 400, "{uri}");
        assert_eq!(
            answer.json()["detail"],
            format!("the query parameter {expected}; nothing was done"),
            "{uri}"
        );
    }
    assert!(published(&fixture).is_empty());
}

#[tokio::test]
async fn no_route_stands_with_a_slash_at_its_end() {
    let fixture = Fixture::open();
    for (method, path) in ROUTES {
        for slashes in ["/", "//"] {
            let path = format!("{}{slashes}", filled(path));
            let answer = request(&fixture, method, &path).await;
            assert_eq!(answer.status, 404, "{method} {path}");
            assert_eq!(
                answer.json()["detail"],
                "no such path: remove the slash at its end",
                "{method} {path}"
            );
        }
    }
    assert!(published(&fixture).is_empty());
}

#[tokio::test]
async fn a_slash_too_many_and_a_base_path_too_few_are_said() {
    for base in ["", "/backend"] {
        let fixture = Fixture::below(base);
        for (method, path) in ROUTES {
            let path = filled(path);
            let inside = path.replacen("/", "//", 3);
            for uri in [
                format!("/{base}{path}"),
                format!("{base}/{path}"),
                format!("{base}{inside}/"),
            ] {
                let answer = request(&fixture, method, &uri).await;
                assert_eq!(answer.status, 404, "{method} {uri}");
                assert_eq!(
                    answer.json()["detail"],
                    "no such path: it has // where / is expected",
                    "{method} {uri}"
                );
            }
            if !base.is_empty() {
                let answer = request(&fixture, method, &path).await;
                assert_eq!(answer.status, 404, "{method} {path}");
                assert_eq!(
                    answer.json()["detail"],
                    "no such path: it is below /backend (http.base_path)",
                    "{method} {path}"
                );
            }
        }
        assert!(published(&fixture).is_empty());
        for uri in ["//nothing", "/nothing//else", "/nothing"] {
            let answer = request(&fixture, "get", uri).await;
            assert_eq!(
                answer.json()["detail"],
                format!("no such path; {base}/api/openapi.json lists them"),
                "{uri}"
            );
        }
    }
}

#[tokio::test]
async fn the_docs_stand_without_a_slash_and_one_leads_there() {
    for base in ["", "/backend"] {
        let fixture = Fixture::below(base);
        let answer = fixture.get(&format!("{base}/docs/"), "").await;
        // Relative: a proxy in front may have taken a prefix off.
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (308, "../docs"),
            "{base}"
        );
        assert_eq!(fixture.get(&format!("{base}/docs"), "").await.status, 200);
    }
}

#[tokio::test]
async fn what_stands_on_the_other_port_is_said_to() {
    for base in ["", "/backend"] {
        let config = Config {
            base_path: base.parse().unwrap(),
            admin_listen: Some("127.0.0.1:0".parse().unwrap()),
            ..Config::default()
        };
        let fixture = Fixture::new(Access::Open, &config);
        let admin = fixture.admin.clone().unwrap();
        for (method, path) in ROUTES {
            let uri = format!("{base}{}", filled(path));
            let to_admin = Request::builder()
                .method(method.to_uppercase().as_str())
                .uri(&uri);
            let of_operators = !path.starts_with("/api/v1") || path.starts_with("/api/v1/debug/");
            let (other, answer) = match of_operators {
                true => ("http.admin_listen", request(&fixture, method, &uri).await),
                false => (
                    "http.listen",
                    answer(&admin, to_admin.body(Body::empty()).unwrap()).await,
                ),
            };
            assert_eq!(answer.status, 404, "{method} {uri}");
            assert_eq!(
                answer.json()["detail"],
                format!("no such path on this port: it is on {other}"),
                "{method} {uri}"
            );
        }
        // Its queries are looked at there.
        let log = format!("{base}/api/v1/debug/log?surplus=1");
        let log = Request::get(log).header("authorization", "Bearer admin");
        assert_eq!(answer(&admin, log.body(Body::empty()).unwrap()).await.status, 400);
        let nothing = fixture.get(&format!("{base}/api/v1/nothing"), "admin").await;
        assert!(nothing.text.contains("/api/openapi.json lists them"));
    }
}
