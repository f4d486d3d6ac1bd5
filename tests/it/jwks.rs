//! The promises about keys on an issuer's server: one file each, each with a scripted server.

use herald::auth::token::config::IssuerConfig;
use serde_json::Value;

use crate::support::app::App;
use crate::support::tokens::{ISSUER, until};

mod doctor;
mod hostile;
mod https;
mod outage;
mod rotation;
mod stale;
mod unknown_kid;

/// An instance that takes the tokens of this issuer.
async fn taking(issuer: IssuerConfig) -> App {
    App::with(|config| config.auth.issuers = vec![issuer]).await
}

/// What `/readyz` says: its status, and the issuers that it waits for.
async fn readiness(app: &App) -> (u16, bool) {
    let answer = app.get("/readyz").await;
    let trouble = answer.json()["components"]["trouble"].clone();
    let waits = trouble.as_array().is_some_and(|lines| {
        lines
            .iter()
            .filter_map(Value::as_str)
            .any(|line| line.contains(ISSUER))
    });
    (answer.status, waits)
}

async fn until_ready(app: &App) {
    until("the instance to be ready", async || readiness(app).await.0 == 200).await;
}

/// How many fetches ended so.
async fn fetches(app: &App, result: &str) -> f64 {
    app.metric(&format!(
        "herald_jwks_fetches_total{{issuer=\"{ISSUER}\",result=\"{result}\"}}"
    ))
    .await
}
