//! The promise: only Herald writes below `/user/queue/herald/`, and only Herald answers below `/app/herald/`: 400 over
//! REST, ERROR and 1008 over STOMP, undeliverable from NATS.

use serde_json::{Value, json};

use crate::support::app::{ANNA, App};

#[tokio::test]
async fn a_publisher_is_refused_over_rest() {
    let app = App::start().await;
    let json = [("Content-Type", "application/json")];
    let own = |destination: &str| json!({"destination": destination, "user": "test1", "payload": 1});
    for destination in ["/queue/herald/auth", "/user/queue/herald/x"] {
        let body = own(destination).to_string();
        let answer = app
            .request("POST", "/api/v1/notifications", &json, body.as_bytes())
            .await;
        let problem: Value = answer.json();
        assert_eq!(
            (answer.status, &problem["pointer"]),
            (400, &json!("/destination")),
            "{problem}"
        );
        assert!(
            problem["detail"].as_str().unwrap().contains("is Herald's own"),
            "{problem}"
        );
    }
    let raw = app
        .request("POST", "/api/v1/users/test1/queue/herald/auth", &json, b"1")
        .await;
    assert_eq!(raw.status, 400, "{}", raw.text());
    let array = json!([own("/queue/herald/auth"), own("/queue/heralds")]).to_string();
    let mixed = app
        .request("POST", "/api/v1/notifications", &json, array.as_bytes())
        .await;
    assert_eq!(
        mixed.status,
        207,
        "as any other destination that cannot be: {}",
        mixed.text()
    );
    // A broadcast of this name is nobody's own.
    let answer = app
        .request("POST", "/api/v1/broadcast/queue/herald/auth", &json, b"1")
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
}

#[tokio::test]
async fn a_client_is_refused_over_stomp() {
    let app = App::start().await;
    for (frame, error) in [
        (
            "SEND\ndestination:/user/queue/herald/auth",
            "SEND\\c /user/queue/herald/auth\\c a destination below /queue/herald/ of a user, or /herald/ of an application, is Herald's own",
        ),
        (
            "SEND\ndestination:/app/herald/other",
            "SEND\\c /app/herald/other\\c a destination below /queue/herald/ of a user, or /herald/ of an application, is Herald's own",
        ),
        (
            "SEND\ndestination:/app/x\nreply-to:/user/queue/herald/auth",
            "SEND\\c header reply-to must be one of the sender's own destinations below /user/",
        ),
    ] {
        let mut anna = app.session_of(ANNA, "1.2").await;
        anna.say(format!("{frame}\nreceipt:r\n\nx\0")).await;
        anna.expect_error(&format!("message:{error}\nreceipt-id:r"), 1008)
            .await;
    }
    // To listen there is everybody's right.
    let mut anna = app.session_of(ANNA, "1.2").await;
    anna.say("SUBSCRIBE\nid:1\ndestination:/user/queue/herald/auth\nreceipt:1\n\n\0")
        .await;
    anna.expect_receipt("1").await;
}
