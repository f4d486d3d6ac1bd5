//! The promise: every RECEIPT of a SUBSCRIBE to a kept destination says where the subscription begins, so that one that
//! has received nothing can resume; a MESSAGE and the publisher's answer name the same position. Without history
//! nothing changes.

use serde_json::json;

use super::{NEWS, ORDERS, app, app_with, message, news, post, publish, quoted, subscribe};
use crate::support::app::{ANNA, App, BEN};

#[tokio::test]
async fn an_idle_subscription_resumes_by_its_receipt() {
    let app = app().await;
    let mut client = app.session("1.2").await;
    for (id, destination) in [("0", NEWS), ("1", ORDERS)] {
        let receipt = subscribe(&mut client, id, destination, None, "").await;
        assert!(receipt.get("position").ends_with("-0"), "{receipt:?}");
        assert_eq!(receipt.outcome(), (None, None));
        drop(std::mem::replace(&mut client, app.session("1.2").await));
        let user = (destination == ORDERS).then_some(ANNA);
        let path = destination.strip_prefix("/user").unwrap_or(destination);
        publish(&app, path, user, "missed", json!({})).await;
        let receipt = subscribe(&mut client, id, destination, Some(receipt.get("position")), "").await;
        assert_eq!(receipt.outcome(), (Some("true"), Some("1")));
        assert_eq!(message(&mut client).await.body, quoted(["missed"])[0]);
    }
}

#[tokio::test]
async fn message_receipt_and_answer_name_one_position() {
    let app = app().await;
    let mut client = app.session("1.2").await;
    let begin = subscribe(&mut client, "0", NEWS, None, "").await;
    let answer = publish(&app, NEWS, None, "a", json!({"id": "order-7"})).await;
    let heard = message(&mut client).await;
    assert_eq!(heard.get("message-id"), answer["position"]);
    assert_eq!(heard.get("herald-id"), "order-7");
    let mut second = app.session("1.2").await;
    let now = subscribe(&mut second, "0", NEWS, None, "").await;
    assert_eq!(now.get("position"), heard.get("message-id"));
    // In front of a replay the RECEIPT names what the client sent, else where live begins.
    for (after, expected) in [
        (begin.get("position"), begin.get("position")),
        (now.get("position"), now.get("position")),
    ] {
        let mut client = app.session("1.2").await;
        let receipt = subscribe(&mut client, "0", NEWS, Some(after), "").await;
        assert_eq!(receipt.get("position"), expected);
        assert_eq!(receipt.get("recovered"), "true");
    }
}

#[tokio::test]
async fn several_users_have_a_position_each() {
    let app = app().await;
    let answer = post(
        &app,
        &json!({"destination": "/queue/orders", "users": [ANNA.0, BEN.0], "payload": 1}),
    )
    .await;
    let positions: Vec<&str> = answer["positions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|position| position.as_str().unwrap())
        .collect();
    assert!(answer.get("position").is_none());
    let (first, second) = (positions[0], positions[1]);
    assert!(first.ends_with("-1") && second.ends_with("-2"), "{answer}");
    for (user, position) in [(ANNA, first), (BEN, second)] {
        let mut client = app.session_of(user, "1.2").await;
        let from_the_start = first.replace("-1", "-0");
        let receipt = subscribe(&mut client, "0", ORDERS, Some(&from_the_start), "").await;
        assert_eq!(receipt.outcome(), (Some("true"), Some("1")));
        assert_eq!(message(&mut client).await.get("message-id"), position);
    }
}

#[tokio::test]
async fn what_is_not_kept_is_as_without_history() {
    let path = |text| herald::destination::Path::parse(text).unwrap();
    let only_topics = app_with(|config| {
        config.history.broadcast = Some(vec![path("/topic")]);
        config.history.user = false;
    });
    let off = app_with(|config| config.history.enabled = Some(false));
    for app in [only_topics.await, off.await, App::start().await] {
        let mut client = app.session("1.2").await;
        let receipt = subscribe(&mut client, "0", NEWS, None, "").await;
        assert_eq!(receipt.headers.len(), 1, "{receipt:?}");
        let answer = publish(&app, NEWS, None, "a", json!({"id": "order-7"})).await;
        assert!(answer.get("position").is_none());
        let heard = message(&mut client).await;
        assert_eq!(heard.get("message-id"), "order-7");
        assert!(heard.find("herald-id").is_none());
        for (id, destination) in [("1", NEWS), ("2", ORDERS)] {
            let receipt = subscribe(&mut client, id, destination, Some("1-1"), "").await;
            assert_eq!(receipt.outcome(), (Some("false"), Some("history-off")));
            assert!(receipt.find("position").is_none());
        }
    }
    let app = app_with(|config| config.history.broadcast = Some(vec![path("/queue")])).await;
    assert!(news(&app, "kept").await.ends_with("-1"));
}
