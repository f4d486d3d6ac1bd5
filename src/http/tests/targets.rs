//! The promise: a request beyond a limit on targets publishes nothing, and names the limit; other callers are not
//! affected.

use super::*;

const NOTIFICATIONS: &str = "/api/v1/notifications";

fn notification(users: usize) -> String {
    let users: Vec<String> = (0..users).map(|number| format!("\"u{number}\"")).collect();
    format!(
        r#"{{"destination":"/queue/x","users":[{}],"payload":1}}"#,
        users.join(",")
    )
}

fn published(fixture: &Fixture) -> usize {
    std::mem::take(&mut *fixture.bus.published.lock()).len()
}

#[tokio::test]
async fn a_request_has_a_bound() {
    let api = ApiConfig {
        access: Access::Open,
        targets_per_request: 5,
        ..ApiConfig::default()
    };
    let fixture = Fixture::with(api, &Config::default());
    let array = |items: &[usize]| {
        let items: Vec<String> = items.iter().map(|users| notification(*users)).collect();
        format!("[{}]", items.join(","))
    };
    for (body, targets) in [
        (notification(6), 6),
        (array(&[3, 3]), 6),
        (array(&[1, 1, 1, 1, 1, 1]), 6),
    ] {
        let answer = fixture.post(NOTIFICATIONS, body.clone()).await;
        assert_eq!(answer.status, 413, "{body}: {}", answer.text);
        let problem = answer.json();
        assert_eq!(problem["type"], "urn:herald:problem:too-many-targets");
        assert_eq!(problem["limit"], "api.targets_per_request");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.starts_with(&format!("{targets} targets given, at most 5")),
            "{detail}"
        );
        assert_eq!(published(&fixture), 0, "{body}");
    }
    for body in [notification(5), array(&[2, 3])] {
        let answer = fixture.post(NOTIFICATIONS, body.clone()).await;
        assert_eq!(answer.status, 202, "{body}: {}", answer.text);
        assert_eq!(published(&fixture), 5, "{body}");
    }
}

/// `dryrun` for `dry_run` must not publish.
#[tokio::test]
async fn a_query_that_is_not_known_publishes_nothing() {
    let fixture = Fixture::open();
    for query in ["dryrun=true", "dry_run=yes", "dry_run=true&atomic=true", "x"] {
        let answer = fixture
            .post(&format!("{NOTIFICATIONS}?{query}"), notification(1))
            .await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text);
        assert_eq!(published(&fixture), 0, "{query}");
    }
}

#[tokio::test]
async fn a_caller_has_a_rate_on_every_route() {
    let api = ApiConfig {
        access: Access::Open,
        targets_per_caller: "1/m burst 6".parse().unwrap(),
        ..ApiConfig::default()
    };
    let fixture = Fixture::with(api, &Config::default());
    let raw = |key: Option<&str>| {
        let mut request = Request::post("/api/v1/broadcast/queue/x");
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        request.body(Body::from("x")).unwrap()
    };
    assert_eq!(fixture.post(NOTIFICATIONS, notification(4)).await.status, 202);
    assert_eq!(fixture.send(raw(None)).await.status, 202);
    let chat = r#"{"message":"m","user":"u"}"#;
    assert_eq!(fixture.post("/api/v1/message", chat).await.status, 202);
    assert_eq!(published(&fixture), 6);
    for answer in [
        fixture.send(raw(None)).await,
        fixture.post("/api/v1/message", chat).await,
        fixture.post(NOTIFICATIONS, notification(1)).await,
        fixture
            .post(NOTIFICATIONS, format!("[{}]", notification(1)))
            .await,
    ] {
        assert_eq!(answer.status, 429, "{}", answer.text);
        assert_eq!(answer.json()["limit"], "api.targets_per_caller");
        let wait: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
    }
    assert_eq!(published(&fixture), 0);
    assert_eq!(
        fixture.send(raw(Some("publish"))).await.status,
        202,
        "a key pays for itself"
    );
}
