//! The promise: `[permissions]` decides alike over STOMP, REST and in explanations: variables are compared with the
//! client, a closed default refuses what no rule matches, keys are limited to their destinations and rates, and a
//! refusal names its rule.

use herald::config::Config;
use serde_json::{Value, json};

use crate::support::app::{ANNA, App, BEN};
use crate::support::process::{self, Answer};

/// SHA-256 of `shop`, `till`, `bulk` and `metrics`: the keys below are named after their tokens.
const KEYS: &str = r#"
    [[api.keys]]
    name = "shop"
    sha256 = ["SHOP", "TILL"]
    destinations = ["/queue/orders/**", "/user/queue/orders"]
    rate = "1/m burst 5"
    [[api.keys]]
    name = "bulk"
    sha256 = "BULK"
    bytes = "1KiB/s burst 2KiB"
    [[api.keys]]
    name = "scraper"
    sha256 = "METRICS"
    scopes = ["metrics"]
    [[api.keys]]
    name = "old"
    sha256 = "OLD"
    not_after = "2020-01-01T00:00:00Z"
    [[api.certificates]]
    name = "orders"
    dns = "orders.internal"
    destinations = ["/user/queue/orders"]
    [[api.certificates]]
    name = "reader"
    dns = "reader.internal"
    scopes = ["read"]
    [permissions]
    default = "closed"
    [[permissions.subscribe]]
    name = "own"
    destination = "/queue/of/{user}/**"
    [[permissions.subscribe]]
    destination = "/queue/message"
    [[permissions.send]]
    destination = "/app/message"
    [[permissions.publish]]
    name = "news"
    destination = "/queue/news"
    roles = ["ROLE_ADMIN"]
"#;

fn digest(token: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(token)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Where anyone who reaches the port may publish.
async fn start() -> App {
    let read = read();
    App::with(|config| set(config, read)).await
}

fn set(config: &mut Config, read: Config) {
    config.api.keys = read.api.keys;
    config.api.certificates = read.api.certificates;
    config.permissions = read.permissions;
}

fn read() -> Config {
    let mut text = KEYS.to_owned();
    for name in ["SHOP", "TILL", "BULK", "METRICS", "OLD"] {
        text = text.replace(name, &digest(&name.to_lowercase()));
    }
    toml::from_str(&text).unwrap()
}

async fn post(app: &App, token: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", &*bearer), ("Content-Type", "application/json")];
    let body = body.to_string();
    process::request(
        app.address,
        "POST",
        "/api/v1/notifications",
        &headers,
        body.as_bytes(),
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn a_closed_default_and_variables_hold_over_stomp() {
    let app = start().await;
    let mut anna = app.session_of(ANNA, "1.2").await;
    for destination in ["/queue/of/test1/x", "/queue/message", "/user/queue/x"] {
        anna.say(format!(
            "SUBSCRIBE\nid:{destination}\ndestination:{destination}\nreceipt:{destination}\n\n\0"
        ))
        .await;
        anna.expect_receipt(destination).await;
    }
    for (frame, error) in [
        (
            "SUBSCRIBE\nid:1\ndestination:/queue/of/test1/x",
            "SUBSCRIBE to /queue/of/test1/x is not permitted\\c rule own requires your own user name for {user}",
        ),
        (
            "SUBSCRIBE\nid:1\ndestination:/topic/x",
            "SUBSCRIBE to /topic/x is not permitted\\c no rule in permissions.subscribe fits, and permissions.default is closed",
        ),
        (
            "SEND\ndestination:/app/other",
            "SEND to /app/other is not permitted\\c no rule in permissions.send fits, and permissions.default is closed",
        ),
        (
            "SEND\ndestination:/app/message",
            "SEND to /app/message is not permitted\\c it needs SEND to /queue/message, which no rule permits",
        ),
    ] {
        let mut ben = app.session_of(BEN, "1.2").await;
        ben.say(format!("{frame}\nreceipt:r\n\n\0")).await;
        ben.expect_error(&format!("message:{error}\nreceipt-id:r"), 1008)
            .await;
    }
}

#[tokio::test]
async fn what_is_larger_than_a_burst_is_paid_whole() {
    let app = start().await;
    let body = json!({"destination": "/queue/news", "payload": "x".repeat(50_000)});
    let to_two =
        json!({"destination": "/queue/news", "users": ["test1", "test2"], "payload": "x".repeat(50_000)});
    // Nothing of it counts: `permissions.publish` refuses it.
    assert_eq!(post(&app, "bulk", &body).await.status, 403);
    let app = App::with(|config| {
        config.api.keys = read().api.keys;
    })
    .await;
    let passed = post(&app, "bulk", &to_two).await;
    assert_eq!(passed.status, 202, "{}", passed.text());
    // 100,000 bytes at 1 KiB a second, of which 2 KiB were there.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let refused = post(&app, "bulk", &json!({"destination": "/queue/news", "payload": 1})).await;
    let wait: u64 = refused
        .header("retry-after")
        .unwrap_or_default()
        .parse()
        .unwrap_or(0);
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!((85..=97).contains(&wait), "{wait}");
    let larger = post(&app, "bulk", &body).await;
    let whole: u64 = larger.header("retry-after").unwrap().parse().unwrap();
    assert!(
        (wait..=wait + 2).contains(&whole),
        "{whole}, for the burst is to be there"
    );
}

#[tokio::test]
async fn a_key_publishes_where_it_may_and_as_often_as_it_may() {
    let app = start().await;
    let to = |destination: &str| json!({"destination": destination, "payload": 1});
    let own = json!({"destination": "/queue/orders", "user": "test1", "payload": 1});
    // Both digests are the same key, and count together.
    for (token, body) in [("shop", &to("/queue/orders/1")), ("till", &own)] {
        let answer = post(&app, token, body).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    let refused = post(&app, "shop", &to("/queue/news")).await;
    let problem: Value = refused.json();
    assert_eq!(
        (refused.status, &problem["type"], &problem["pointer"]),
        (
            403,
            &json!("urn:herald:problem:forbidden"),
            &json!("/destination")
        )
    );
    let detail = "publishing there is not permitted: it is not among the destinations of the key";
    assert_eq!(problem["detail"], detail);
    // Of an array the other items go.
    let array = json!([to("/queue/orders/1"), to("/topic/x")]);
    let mixed = post(&app, "shop", &array).await;
    let items: Value = mixed.json();
    assert_eq!(
        (mixed.status, &items[0]["status"], &items[1]["status"]),
        (207, &json!(202), &json!(403))
    );
    assert_eq!(items[1]["pointer"], "/1/destination");
    // Three of five targets are gone.
    let array = json!([
        to("/queue/orders/1"),
        to("/queue/orders/1"),
        to("/queue/orders/1")
    ]);
    let limited = post(&app, "till", &array).await;
    let problem: Value = limited.json();
    assert_eq!(
        (limited.status, &problem["limit"]),
        (429, &json!("api.keys.rate")),
        "{problem}"
    );
    assert!(limited.header("retry-after").is_some());

    let raw = |path: &'static str| {
        let headers = [("Authorization", "Bearer shop"), ("Content-Type", "text/plain")];
        let address = app.address;
        async move {
            process::request(address, "POST", path, &headers, b"x")
                .await
                .unwrap()
                .status
        }
    };
    assert_eq!(raw("/api/v1/broadcast/queue/orders/2").await, 202);
    assert_eq!(raw("/api/v1/broadcast/queue/news").await, 403);
    assert_eq!(raw("/api/v1/users/test1/queue/other").await, 403);
    let message = json!({"message": "x", "user": "y"}).to_string();
    let headers = [
        ("Authorization", "Bearer shop"),
        ("Content-Type", "application/json"),
    ];
    let answer = process::request(
        app.address,
        "POST",
        "/api/v1/message",
        &headers,
        message.as_bytes(),
    )
    .await;
    assert_eq!(answer.unwrap().status, 403);
}

#[tokio::test]
async fn a_refusal_names_the_rule_and_a_key_ends() {
    let app = start().await;
    let news = json!({"destination": "/queue/news", "payload": 1});
    // With open access anyone may publish, but where a rule asks for a role.
    let anyone = post(&app, "nobody's", &news).await;
    let problem: Value = anyone.json();
    assert_eq!(
        (anyone.status, &problem["rule"]),
        (403, &json!("news")),
        "{problem}"
    );

    let metrics = |token: &str| {
        let bearer = format!("Bearer {token}");
        let address = app.address;
        async move {
            let headers = [("Authorization", &*bearer)];
            process::request(address, "GET", "/metrics", &headers, b"")
                .await
                .unwrap()
        }
    };
    assert_eq!(metrics("metrics").await.status, 200);
    assert_eq!(metrics("shop").await.status, 403);
    let ended = metrics("old").await;
    assert_eq!(ended.status, 401);
    assert!(
        ended.text().contains("no longer good (not_after)"),
        "{}",
        ended.text()
    );
}

#[tokio::test]
async fn an_explanation_is_the_decision() {
    let app = start().await;
    let explain = |query: &'static str| {
        let path = format!("/api/v1/explain/permission?{query}");
        let app = &app;
        async move { app.get(&path).await }
    };
    let decided: Value = explain("action=subscribe&destination=/queue/of/test2/x&user=test1")
        .await
        .json();
    assert_eq!(
        decided,
        json!({
            "permitted": false, "action": "SUBSCRIBE", "destination": "/queue/of/test2/x", "by": "permissions.subscribe[0]",
            "looked_at": [{"rule": "permissions.subscribe[0]", "name": "own", "destination": "/queue/of/{user}/**", "fits": true,
                "conditions": [{"condition": "segment 3 (\"test2\") is the user: \"test1\"", "holds": false}]}],
        })
    );
    for (query, permitted) in [
        ("action=subscribe&destination=/queue/of/test1/x&user=test1", true),
        ("action=send&destination=/app/message&user=test1", false),
        ("action=publish&destination=/queue/news&user=admin", true),
        ("action=publish&destination=/queue/news&user=test1", false),
        ("action=publish&destination=/user/queue/orders&key=shop", true),
        ("action=publish&destination=/queue/news&key=shop", false),
        (
            "action=publish&destination=/user/queue/orders&certificate=orders",
            true,
        ),
        ("action=publish&destination=/queue/news&certificate=orders", false),
    ] {
        let decided: Value = explain(query).await.json();
        assert_eq!(decided["permitted"], permitted, "{query} {decided}");
    }
    for (query, kind) in [
        ("action=publish&destination=/queue/news&key=shop", "key"),
        (
            "action=publish&destination=/queue/news&certificate=orders",
            "certificate",
        ),
    ] {
        let by = format!("it is not among the destinations of the {kind}");
        assert_eq!(explain(query).await.json()["by"], by, "{query}");
    }
    for (query, status) in [
        ("action=subscribe&destination=/queue/x&user=nobody", 404),
        ("action=publish&destination=/queue/x&key=nobody", 404),
        ("action=publish&destination=/queue/x&certificate=shop", 404),
        (
            "action=publish&destination=/queue/x&key=shop&certificate=orders",
            400,
        ),
        ("action=subscribe&destination=/queue/x&certificate=orders", 400),
        ("action=subscribe&destination=/queue/x&key=shop", 400),
        ("action=subscribe&destination=/nowhere&user=test1", 400),
        ("action=dance&destination=/queue/x&user=test1", 400),
        ("action=subscribe&destination=/queue/x&user=test1&key=shop", 400),
        ("action=subscribe&destination=/queue/x", 400),
        ("action=subscribe&destination=/queue/x&user=test1&for=me", 400),
    ] {
        assert_eq!(explain(query).await.status, status, "{query}");
    }
    let bearer = [("Authorization", "Bearer shop")];
    let path = "/api/v1/explain/permission?action=publish&destination=/queue/x&key=shop";
    let answer = process::request(app.address, "GET", path, &bearer, b"")
        .await
        .unwrap();
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn an_explanation_says_who_may_not_publish_at_all() {
    let read = read();
    let app = App::guarded(|config| set(config, read)).await;
    for (who, bar) in [
        ("key=scraper", "the key does not have the scope publish"),
        ("key=old", "the key has ended (not_after)"),
        (
            "certificate=reader",
            "the certificate does not have the scope publish",
        ),
        ("user=test1", "the user has neither ROLE_PUBLISHER nor ROLE_ADMIN"),
    ] {
        let path = format!("/api/v1/explain/permission?action=publish&destination=/user/queue/orders&{who}");
        let decided: Value = app.get(&path).await.json();
        assert_eq!(
            (&decided["permitted"], &decided["by"]),
            (&json!(false), &json!(bar))
        );
        assert_eq!(decided["destination"], "/user/queue/orders");
    }
}
