//! The promise: `GET /api/v1/explain` says who would get a notification and why the others would not. A dry run says
//! the same of a notification and publishes nothing. Neither is open to callers who may only publish.

use serde_json::{Value, json};

use crate::support::app::{ANNA, App, BEN};
use crate::support::client::Client;

async fn subscribed(app: &App, user: crate::support::app::User, headers: &str) -> Client {
    let mut client = app.session_of(user, "1.2").await;
    client
        .say(format!("SUBSCRIBE\n{headers}\nreceipt:done\n\n\0"))
        .await;
    client.expect_receipt("done").await;
    client
}

async fn explain(app: &App, query: &str) -> Value {
    let answer = app.get(&format!("/api/v1/explain?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// `(user, subscription, way)` of the sessions reached, and `(user, why)` of those that are not.
fn summary(explanation: &Value) -> (Vec<Value>, Vec<Value>) {
    let pick = |list: &str, keys: &[&str]| {
        let items = explanation[list].as_array().unwrap().iter();
        items
            .map(|item| keys.iter().map(|key| item[*key].clone()).collect())
            .collect()
    };
    (
        pick("reached", &["user", "subscription", "way"]),
        pick("missed", &["user", "why"]),
    )
}

#[tokio::test]
async fn a_broadcast_reaches_its_subscribers_and_the_others_are_told_why_not() {
    let app = App::start().await;
    let _anna = subscribed(&app, ANNA, "id:a\ndestination:/queue/a").await;
    let _ben = subscribed(&app, BEN, "id:b\ndestination:/user/queue/a").await;
    let explanation = explain(&app, "destination=/queue/a").await;
    let (reached, missed) = summary(&explanation);
    assert_eq!(reached, [json!(["test1", "a", "at_once"])]);
    let why = "subscribed to the user destination of this name; this is a broadcast";
    assert_eq!(missed, [json!(["test2", why])]);
    assert_eq!(
        explanation["missed"][0]["subscriptions"],
        json!(["/user/queue/a"])
    );
    assert_eq!(explanation["destination"], "/queue/a");
    assert_eq!(
        (&explanation["reached_count"], &explanation["missed_count"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        (&explanation["silent"], &explanation["bus_connected"]),
        (&json!([]), &json!(true))
    );
    let (reached, missed) = summary(&explain(&app, "destination=/topic/nobody").await);
    assert_eq!(reached, [] as [Value; 0]);
    assert_eq!(missed.len(), 2);
}

#[tokio::test]
async fn a_users_notification_is_explained_by_that_users_sessions_alone() {
    let app = App::start().await;
    let _one = subscribed(&app, ANNA, "id:1\ndestination:/user/queue/orders").await;
    let _two = subscribed(&app, ANNA, "id:2\ndestination:/queue/orders").await;
    let _ben = subscribed(&app, BEN, "id:3\ndestination:/user/queue/orders").await;
    // With and without the user prefix, as in a notification.
    for destination in ["/queue/orders", "/user/queue/orders"] {
        let explanation = explain(&app, &format!("destination={destination}&user=test1")).await;
        let (reached, missed) = summary(&explanation);
        assert_eq!(reached, [json!(["test1", "1", "at_once"])]);
        let why = "subscribed to the broadcast of this name; this is for the user alone";
        assert_eq!(missed, [json!(["test1", why])]);
        assert_eq!(explanation["destination"], "/user/queue/orders");
        assert_eq!(explanation["online"], true);
    }
    let explanation = explain(&app, "destination=/queue/orders&user=nobody").await;
    assert_eq!(summary(&explanation), (vec![], vec![]));
    assert_eq!(explanation["online"], false);
}

#[tokio::test]
async fn a_full_window_is_seen() {
    let app = App::start().await;
    let mut anna = subscribed(&app, ANNA, "id:a\ndestination:/queue/a\nack:client\nprefetch:1").await;
    anna.say("SEND\ndestination:/queue/a\n\nx\0").await;
    anna.expect("MESSAGE\n…").await;
    let explanation = explain(&app, "destination=/queue/a").await;
    let (reached, _) = summary(&explanation);
    assert_eq!(reached, [json!(["test1", "a", "held"])]);
    assert_eq!(explanation["reached"][0]["unacknowledged"], 1);
}

#[tokio::test]
async fn a_dry_run_explains_validates_and_publishes_nothing() {
    const PATH: &str = "/api/v1/notifications?dry_run=true";
    const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];
    let app = App::start().await;
    let mut anna = subscribed(&app, ANNA, "id:a\ndestination:/queue/a").await;
    let published = app
        .metric("herald_notifications_published_total{source=\"rest\"}")
        .await;
    let run = async |body: &str| app.request("POST", PATH, &JSON, body.as_bytes()).await;
    let answer = run(r#"{"destination":"/queue/a","payload":1}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json(), explain(&app, "destination=/queue/a").await);
    let answer = run(r#"{"destination":"/queue/a","user":"test1","payload":1}"#).await;
    assert_eq!(
        answer.json(),
        explain(&app, "destination=/queue/a&user=test1").await
    );
    for (body, pointer) in [
        (r#"{"destination":"nowhere","payload":1}"#, "/destination"),
        (
            r#"{"destination":"/queue/a","users":["a","b"],"payload":1}"#,
            "/users",
        ),
        (r#"[{"destination":"/queue/a","payload":1}]"#, ""),
    ] {
        let answer = run(body).await;
        assert_eq!(
            (answer.status, &answer.json()["pointer"]),
            (400, &json!(pointer)),
            "{body}"
        );
    }
    let large = format!(
        "{{\"destination\":\"/queue/a\",\"payload\":\"{}\"}}",
        "x".repeat(1_100_000)
    );
    assert_eq!(run(&large).await.status, 413);
    assert_eq!(
        app.request("POST", "/api/v1/notifications?dry_run=x", &JSON, b"{}")
            .await
            .status,
        400
    );
    anna.expect_nothing().await;
    assert_eq!(
        app.metric("herald_notifications_published_total{source=\"rest\"}")
            .await,
        published
    );
}

#[tokio::test]
async fn only_an_administrator_is_told() {
    let app = App::start().await;
    for (method, path) in [
        ("GET", "/api/v1/explain?destination=/queue/a"),
        ("GET", "/api/v1/instances"),
        ("GET", "/api/v1/debug/log"),
        ("PUT", "/api/v1/debug/log"),
        ("GET", "/api/v1/debug/log/lines"),
        // Publishing is open to anyone here; which sessions exist is not.
        ("POST", "/api/v1/notifications?dry_run=true"),
    ] {
        let json = [("Content-Type", "application/json")];
        let body = br#"{"destination":"/queue/a","payload":1}"#;
        let asked = crate::support::process::request(app.address, method, path, &json, body);
        assert_eq!(asked.await.unwrap().status, 401, "{path}");
    }
    for query in [
        "",
        "destination=",
        "destination=nowhere",
        "destination=/queue/a&user=a%E2%80%8Bb",
        "user=a",
    ] {
        let answer = app.get(&format!("/api/v1/explain?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
    }
}
