//! The promise: the configuration decides what a token's user may do: its roles by the map or the list, its attributes
//! by name, and its own prefix, so that no user of an issuer is a user with a password.

use serde_json::{Value, json};

use super::Taking;
use crate::support::app::App;
use crate::support::client::Client;
use crate::support::tokens::{Signer, attempt, claims, log_in};

const RULES: &str = r#"
    [permissions]
    [[permissions.subscribe]]
    destination = "/queue/tenant/{claim.org.tenant}/**"
    [[permissions.subscribe]]
    destination = "/queue/editors"
    roles = ["ROLE_EDITOR"]
    [[permissions.subscribe]]
    destination = "/queue/of/{user}"
"#;

async fn start() -> Taking {
    Taking::with(|config| {
        let read: herald::config::Config = toml::from_str(RULES).unwrap();
        config.permissions = read.permissions;
        let issuer = &mut config.auth.issuers[0];
        issuer.attributes = vec!["org.tenant".into()];
        issuer.roles_claim = Some("realm_access.roles".into());
        issuer.roles_allowed = vec!["ROLE_EDITOR".parse().unwrap()];
    })
    .await
}

async fn session(app: &App, key: &Signer, changes: Value) -> Client {
    log_in(app.address, &key.sign(&claims("alice", changes)), "id:alice").await
}

async fn may(mut client: Client, destination: &str) {
    client
        .say(format!(
            "SUBSCRIBE\nid:1\nreceipt:r\ndestination:{destination}\n\n\0"
        ))
        .await;
    client.expect_receipt("r").await;
}

async fn may_not(mut client: Client, destination: &str) {
    client
        .say(format!("SUBSCRIBE\nid:1\ndestination:{destination}\n\n\0"))
        .await;
    client
        .expect(format!(
            "ERROR\nmessage:SUBSCRIBE to {destination} is not permitted…"
        ))
        .await;
    client.expect_end(1008).await;
}

#[tokio::test]
async fn claims_become_roles_and_attributes_and_no_more() {
    let Taking { app, key, _file } = start().await;
    let acme = json!({"org": {"tenant": "acme"}, "realm_access": {"roles": ["ROLE_EDITOR", "ROLE_ADMIN"]}});
    may(session(&app, &key, acme.clone()).await, "/queue/tenant/acme/x").await;
    may(session(&app, &key, acme.clone()).await, "/queue/editors").await;
    may_not(session(&app, &key, acme).await, "/queue/tenant/other/x").await;
    let other = json!({"tenant": "acme", "roles": ["ROLE_EDITOR"]});
    may_not(session(&app, &key, other.clone()).await, "/queue/tenant/acme/x").await;
    may_not(session(&app, &key, other).await, "/queue/editors").await;
}

#[tokio::test]
async fn a_name_is_that_of_one_source() {
    let Taking { app, key, _file } = start().await;
    may(session(&app, &key, json!({})).await, "/queue/of/id:alice").await;
    may_not(session(&app, &key, json!({})).await, "/queue/of/alice").await;
    // The user of the demo with a password, and the one of the issuer.
    let test1 = key.token("test1");
    may_not(log_in(app.address, &test1, "id:test1").await, "/queue/of/test1").await;
}

#[tokio::test]
async fn without_role_user_there_is_no_session() {
    let Taking { app, key, _file } = Taking::with(|config| {
        config.auth.issuers[0].roles = vec!["ROLE_OTHER".parse().unwrap()];
    })
    .await;
    let mut client = attempt(app.address, &format!("passcode:{}\n", key.token("alice"))).await;
    client.expect_error("message:authentication failed", 4401).await;
}
