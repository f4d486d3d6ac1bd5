//! The promises about revocation: one file each.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::client::Client;
use crate::support::process::Answer;
use crate::support::tokens::attempt;
use crate::token::Taking;

mod cluster;
mod gone;
mod input;
mod issued_before;
mod newcomer;
mod restart;
mod token;
mod untold;
mod user;

const PATH: &str = "/api/v1/revocations";

/// An instance that takes tokens, whose issuer's clock is its own.
async fn taking() -> Taking {
    Taking::with(|config| config.auth.issuers[0].leeway = "0s".parse().unwrap()).await
}

/// The answer to a POST of this.
async fn post(app: &App, body: &Value) -> Answer {
    let json = [("Content-Type", "application/json")];
    app.request("POST", PATH, &json, body.to_string().as_bytes())
        .await
}

/// Revokes, and gives the id.
async fn revoke(app: &App, body: Value) -> String {
    let answer = post(app, &body).await;
    assert_eq!(answer.status, 202, "{body}: {}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn lift(app: &App, id: &str) -> u16 {
    app.request("DELETE", &format!("{PATH}/{id}"), &[], b"")
        .await
        .status
}

/// The revocations in force.
async fn listed(app: &App, query: &str) -> Vec<Value> {
    let answer = app.get(&format!("{PATH}{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["revocations"].as_array().unwrap().clone()
}

/// The session ends as one that was revoked.
async fn ends(client: &mut Client) {
    client
        .expect_error("message:authentication failed\nherald-reason:revoked", 4401)
        .await;
}

/// A login by `token` is refused as revoked.
async fn is_out(app: &App, token: &str) {
    let mut client = attempt(app.address, &format!("Authorization:Bearer {token}\n")).await;
    ends(&mut client).await;
}

/// The session is alive, and has been told nothing.
async fn stays(client: &mut Client) {
    client
        .say("SUBSCRIBE\nid:still\ndestination:/queue/still\nreceipt:still\n\n\0")
        .await;
    client.expect_receipt("still").await;
    client.say("UNSUBSCRIBE\nid:still\n\n\0").await;
}

fn user(name: &str) -> Value {
    json!({ "user": name })
}
