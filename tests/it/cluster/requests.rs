//! The promise: a SEND to an application destination is a request that one backend of a queue group answers. Every
//! failure becomes a MESSAGE on the sender's `/user/queue/errors`, and a client that asks faster than backends answer
//! has to wait.

use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use serde_json::json;

use crate::support::cluster::Cluster;
use crate::support::cluster_client::Browser;
use crate::support::nats::headers;
use crate::support::within;

/// Two backends in one group. Each answers as its request demands, and says which of the two it is.
async fn backends(cluster: &Cluster) {
    for number in ["1", "2"] {
        let client = async_nats::connect(cluster.nats.url()).await.unwrap();
        let mut requests = client
            .queue_subscribe("herald.app.orders.>", "orders".into())
            .await
            .unwrap();
        client.flush().await.unwrap();
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let answers = match &*request.payload {
                    b"be silent" => continue,
                    b"fail" => ("Herald-Error", "out of stock"),
                    _ => ("Content-Type", "application/json"),
                };
                let sent = |name| request.headers.as_ref()?.get(name).map(ToString::to_string);
                let seen = json!({
                    "subject": request.subject.as_str(), "body": String::from_utf8_lossy(&request.payload),
                    "user": sent("Herald-User"), "session": sent("Herald-Session"), "instance": sent("Herald-Instance"),
                    "type": sent("Content-Type"), "own": sent("own"), "secret": sent("passcode"),
                });
                let reply = request.reply.unwrap();
                client
                    .publish_with_headers(
                        reply,
                        headers(&[answers, ("backend", number)]),
                        seen.to_string().into(),
                    )
                    .await
                    .unwrap();
            }
        });
    }
}

/// A session of `user` that receives replies and errors.
async fn asking(cluster: &Cluster, user: &str) -> Browser {
    let mut browser = Browser::connect(cluster.instances[0].address, user).await;
    for destination in [
        "/user/queue/orders/place",
        "/user/queue/elsewhere",
        "/user/queue/errors",
    ] {
        browser.subscribe(destination).await;
    }
    browser
}

#[tokio::test]
async fn one_backend_answers_the_sender_alone() {
    let cluster = Cluster::start(2).await;
    backends(&cluster).await;
    let mut browser = asking(&cluster, "test1").await;
    let mut twin = asking(&cluster, "test1").await;
    let session = browser.connected.header("session").unwrap().to_owned();
    let headers = [
        ("correlation-id", "c:1"),
        ("own", "größer"),
        ("passcode", "hidden"),
        ("content-type", "text/x-order"),
    ];
    // Every application prefix means the same.
    for prefix in ["/app", "/chat"] {
        browser
            .send(&format!("{prefix}/orders/place"), &headers, "two")
            .await;
        let reply = browser.next().await;
        let expected = json!({
            "subject": "herald.app.orders.place", "body": "two", "user": "test1", "session": session,
            "instance": "i0", "type": "text/x-order", "own": "größer", "secret": null,
        });
        assert_eq!(reply.json(), expected);
        assert_eq!(reply.header("destination"), Some("/user/queue/orders/place"));
        assert_eq!(reply.header("correlation-id"), Some("c:1"));
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert!(reply.header("backend").is_some());
    }
    let elsewhere = [("reply-to", "/user/queue/elsewhere")];
    browser.send("/app/orders/place", &elsewhere, "two").await;
    let reply = browser.next().await;
    assert_eq!(reply.header("destination"), Some("/user/queue/elsewhere"));
    assert_eq!(reply.header("correlation-id"), None);
    // The other session receives only what is for the user as a whole.
    let to_all = "/api/v1/users/test1/queue/elsewhere";
    cluster.instances[1].post(to_all, "text/plain", "last").await;
    for browser in [&mut browser, &mut twin] {
        assert_eq!(browser.next().await.text(), "last");
        assert_eq!(browser.waiting(), []);
    }
}

#[tokio::test]
async fn failures_are_told_on_the_errors_destination() {
    let cluster = Cluster::start_with(1, &[("HERALD_BUS__REQUEST_TIMEOUT", "500ms")]).await;
    backends(&cluster).await;
    let mut browser = asking(&cluster, "test1").await;
    let mut check = async |destination: &str, body: &str, code: &str, words: &str| {
        browser.send(destination, &[("correlation-id", "c1")], body).await;
        let error = browser.next().await;
        assert_eq!(error.header("destination"), Some("/user/queue/errors"));
        assert_eq!(error.header("correlation-id"), Some("c1"));
        let told = error.json();
        assert_eq!(told["code"], code, "{told}");
        assert_eq!(told["destination"], destination, "{told}");
        assert_eq!(told["correlation_id"], "c1", "{told}");
        let message = told["message"].as_str().unwrap();
        assert!(message.contains(words), "{told}");
    };
    check("/app/orders/place", "fail", "backend_error", "out of stock").await;
    check("/app/orders/place", "be silent", "timeout", "").await;
    check("/app/nobody/here", "hello?", "no_responders", "").await;
    // None of them ended the session.
    browser.send("/app/orders/place", &[], "two").await;
    assert_eq!(browser.next().await.json()["body"], "two");
}

async fn next(requests: &mut Subscriber) -> Message {
    within("a request", requests.next()).await.unwrap()
}

#[tokio::test]
async fn who_asks_too_fast_waits() {
    let cluster = Cluster::start_with(1, &[("HERALD_LIMITS__REQUESTS_IN_FLIGHT", "2")]).await;
    let backend = async_nats::connect(cluster.nats.url()).await.unwrap();
    let mut requests = backend.subscribe("herald.app.orders.place").await.unwrap();
    backend.flush().await.unwrap();
    let mut browser = asking(&cluster, "test1").await;
    for number in 0..5 {
        browser.send("/app/orders/place", &[], number.to_string()).await;
    }
    let mut held = vec![next(&mut requests).await, next(&mut requests).await];
    for number in 2..5 {
        let more = tokio::time::timeout(Duration::from_millis(200), requests.next()).await;
        assert!(
            more.is_err(),
            "a request more than limits.requests_in_flight: {more:?}"
        );
        let answered = held.remove(0);
        backend
            .publish(answered.reply.unwrap(), answered.payload)
            .await
            .unwrap();
        let request = next(&mut requests).await;
        assert_eq!(request.payload, number.to_string());
        held.push(request);
        assert_eq!(browser.next().await.text(), (number - 2).to_string());
    }
    // Meanwhile another session is not delayed, and neither are notifications to this one.
    let mut other = asking(&cluster, "test1").await;
    other.send("/app/orders/place", &[], "other").await;
    assert_eq!(next(&mut requests).await.payload, "other");
    let herald = &cluster.instances[0];
    herald
        .post("/api/v1/users/test1/queue/elsewhere", "text/plain", "news")
        .await;
    assert_eq!(browser.next().await.text(), "news");
}
