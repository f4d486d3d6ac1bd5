//! The promise: `SEND /app/herald/auth` renews a session in place: same user only, every subscription is judged again,
//! the RECEIPT comes last and says how long the session lives now. A refused renewal changes nothing, and is reported.

use herald::permissions::Rule;
use herald::setting::HumanDuration;
use serde_json::{Value, json};

use crate::support::app::{ANNA, App, BEN, User, connect};
use crate::support::client::Client;

const ERRORS: &str = "SUBSCRIBE\nid:errors\ndestination:/user/queue/errors\nreceipt:errors\n\n\0";

/// A SEND that presents `user` and `password`, with a receipt.
fn renewal(user: &str, password: &str) -> String {
    format!("SEND\ndestination:/app/herald/auth\nlogin:{user}\npasscode:{password}\nreceipt:renewed\n\n\0")
}

/// The body of a MESSAGE on the errors destination.
fn reported(message: &str) -> Value {
    assert!(message.starts_with("MESSAGE\nsubscription:errors\n"), "{message}");
    let body = message.split("\n\n").nth(1).unwrap().trim_end_matches('\0');
    serde_json::from_str(body).unwrap()
}

async fn hearing_errors(app: &App, user: User) -> Client {
    let mut client = app.session_of(user, "1.2").await;
    client.say(ERRORS).await;
    client.expect_receipt("errors").await;
    client
}

async fn renewals(app: &App, result: &str) -> f64 {
    app.metric(&format!("herald_renewals_total{{result=\"{result}\"}}"))
        .await
}

#[tokio::test]
async fn a_session_that_renews_lives_on() {
    let app = App::with(|config| config.auth.password_session = Some(HumanDuration::secs(4))).await;
    let mut anna = app.open().await;
    anna.say(connect(ANNA, "1.2", "")).await;
    anna.expect("CONNECTED\n…").await;
    anna.say("SUBSCRIBE\nid:1\ndestination:/user/queue/herald/auth\nreceipt:1\n\n\0")
        .await;
    anna.expect_receipt("1").await;
    for _ in 0..4 {
        // Driven by the reminder, as clients do it.
        let reminder = anna.text().await;
        assert!(reminder.contains("\"event\":\"expiring\""), "{reminder}");
        anna.say(renewal("test1", "test")).await;
        anna.expect("RECEIPT\nreceipt-id:renewed\nexpires-in:*\n\n\0")
            .await;
    }
    assert_eq!(renewals(&app, "ok").await, 4.0);
    // Whoever does not renew ends as it would have ended at first.
    let reminder = anna.text().await;
    assert!(reminder.contains("\"event\":\"expiring\""), "{reminder}");
    anna.expect_error("message:token expired\nherald-reason:token-expired", 4401)
        .await;
}

#[tokio::test]
async fn every_place_of_a_credential_renews_and_without_an_end_none_is_said() {
    let app = App::start().await;
    let mut anna = app.session("1.2").await;
    for place in [
        "X-Authorization:Basic dGVzdDE6dGVzdA==",
        "X-Authorization:dGVzdDE6dGVzdA==",
        "Authorization:Basic dGVzdDE6dGVzdA==",
        "login:test1\npasscode:test",
    ] {
        anna.say(format!(
            "SEND\ndestination:/app/herald/auth\n{place}\nreceipt:r\n\n\0"
        ))
        .await;
        anna.expect_receipt("r").await;
    }
    // Without a receipt, nothing is said; prefixes of applications are aliases.
    anna.say("SEND\ndestination:/chat/herald/auth\nlogin:test1\npasscode:test\n\n\0")
        .await;
    anna.expect_nothing().await;
    assert_eq!(renewals(&app, "ok").await, 5.0);
}

#[tokio::test]
async fn what_is_refused_changes_nothing_and_is_told() {
    let app = App::start().await;
    let mut anna = hearing_errors(&app, ANNA).await;
    for (frame, _) in [
        (renewal("test1", "wrong"), "a wrong password"),
        (
            "SEND\ndestination:/app/herald/auth\nreceipt:renewed\n\n\0".to_owned(),
            "nothing",
        ),
        (
            "SEND\ndestination:/app/herald/auth\nAuthorization:Bearer x\nreceipt:renewed\n\n\0".to_owned(),
            "rubbish",
        ),
    ] {
        anna.say(frame).await;
        let body = reported(&anna.text().await);
        assert_eq!(
            (&body["code"], &body["message"]),
            (&json!("token_refused"), &json!("refused"))
        );
    }
    assert_eq!(renewals(&app, "refused").await, 3.0);
    anna.expect_nothing().await;
}

#[tokio::test]
async fn nobody_renews_for_somebody_else() {
    let app = App::start().await;
    let mut anna = hearing_errors(&app, ANNA).await;
    anna.say(renewal(BEN.0, "test")).await;
    anna.expect_error(
        "message:SEND\\c the token is another user's\nreceipt-id:renewed\nherald-reason:token-of-another-user",
        4401,
    )
    .await;
    assert_eq!(renewals(&app, "another_user").await, 1.0);
}

#[tokio::test]
async fn it_is_not_part_of_a_transaction_and_not_too_often() {
    let app = App::with(|config| config.limits.renewals_per_session = "1/m burst 2".parse().unwrap()).await;
    let mut anna = app.session("1.2").await;
    anna.say("BEGIN\ntransaction:t\n\n\0SEND\ndestination:/app/herald/auth\ntransaction:t\nreceipt:r\n\n\0")
        .await;
    anna.expect_error(
        "message:SEND\\c /app/herald/auth is not part of a transaction\nreceipt-id:r",
        1002,
    )
    .await;
    let mut ben = app.session_of(BEN, "1.2").await;
    for _ in 0..2 {
        ben.say(renewal("test2", "test")).await;
        ben.expect_receipt("renewed").await;
    }
    ben.say(renewal("test2", "test")).await;
    ben.expect_error(
        "message:SEND\\c renewals\\c more than 1/m burst 2 (limits.renewals_per_session)\nreceipt-id:renewed",
        1008,
    )
    .await;
}

/// Permissions do not stand in its way, whatever they say.
#[tokio::test]
async fn a_closed_default_does_not_forbid_it() {
    let app = App::with(|config| {
        let read: herald::config::Config = toml::from_str("permissions.default = 'closed'").unwrap();
        config.permissions = read.permissions;
        config.permissions.send =
            vec![Rule::new("/app/**".parse().unwrap()).for_roles(vec!["ROLE_ADMIN".parse().unwrap()])];
    })
    .await;
    let mut anna = app.session("1.2").await;
    anna.say(renewal("test1", "test")).await;
    anna.expect_receipt("renewed").await;
    anna.say("SEND\ndestination:/app/x\n\n\0").await;
    anna.expect("ERROR\nmessage:SEND to /app/x is not permitted…")
        .await;
}
