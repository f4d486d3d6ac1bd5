//! The promise: what a token itself permits (`permissions_claim`) has to name the destination if a rule requires it,
//! widens nothing, and is judged again at a renewal; a claim that is not such a table refuses the token.

use serde_json::{Value, json};

use super::Taking;
use crate::support::tokens::{claims, log_in, refused};

const RULES: &str = r#"
    [permissions]
    default = "closed"
    [[permissions.subscribe]]
    name = "own"
    destination = "/queue/**"
    granted = true
"#;

async fn start() -> Taking {
    Taking::with(|config| {
        let read: herald::config::Config = toml::from_str(RULES).unwrap();
        config.permissions = read.permissions;
        config.auth.issuers[0].permissions_claim = Some("herald.may".into());
    })
    .await
}

fn token(taking: &Taking, may: Value) -> String {
    taking.key.sign(&claims("alice", json!({"herald": {"may": may}})))
}

#[tokio::test]
async fn a_token_has_only_what_it_names_and_a_renewal_is_judged_by_the_new_one() {
    let taking = start().await;
    let both = token(
        &taking,
        json!({"subscribe": ["/queue/x/**", "/queue/*/y", "/topic/t"]}),
    );
    let mut alice = log_in(taking.app.address, &both, "id:alice").await;
    alice
        .say("SUBSCRIBE\nid:e\ndestination:/user/queue/errors\nreceipt:e\n\n\0")
        .await;
    alice.expect_receipt("e").await;
    for (id, destination) in [("1", "/queue/x/1"), ("2", "/queue/a/y")] {
        alice
            .say(format!(
                "SUBSCRIBE\nid:{id}\ndestination:{destination}\nreceipt:{id}\n\n\0"
            ))
            .await;
        alice.expect_receipt(id).await;
    }
    let less = token(&taking, json!({"subscribe": ["/queue/x/**"]}));
    alice
        .say(format!(
            "SEND\ndestination:/app/herald/auth\nAuthorization:Bearer {less}\nreceipt:renewed\n\n\0"
        ))
        .await;
    let lost = alice.text().await;
    assert!(
        lost.contains("not_permitted_any_more")
            && lost.contains("/queue/a/y")
            && !lost.contains("/queue/x/1"),
        "{lost}"
    );
    alice
        .expect("RECEIPT\nreceipt-id:renewed\nexpires-in:*\n\n\0")
        .await;
    alice.say("SUBSCRIBE\nid:3\ndestination:/queue/a/y\n\n\0").await;
    alice
        .expect_error(
            "message:SUBSCRIBE to /queue/a/y is not permitted\\c rule own allows only what your token itself permits",
            1008,
        )
        .await;
    // No rule is for it, whatever the token says.
    let mut alice = log_in(taking.app.address, &both, "id:alice").await;
    alice.say("SUBSCRIBE\nid:1\ndestination:/topic/t\n\n\0").await;
    let said = alice.text().await;
    assert!(
        said.starts_with("ERROR\nmessage:SUBSCRIBE to /topic/t is not permitted"),
        "{said}"
    );
}

#[tokio::test]
async fn a_claim_that_is_no_table_of_destinations_refuses_the_token() {
    let taking = start().await;
    let many = vec!["/queue/x"; 65];
    let long = format!("/queue/{}", "x".repeat(2_048));
    for wrong in [
        json!("/queue/x"),
        json!(["/queue/x"]),
        json!({"subscribe": "/queue/x"}),
        json!({"subscribe": [1]}),
        json!({"subscribe": ["queue/x"]}),
        json!({"send": ["/queue/a*"]}),
        json!({"subscribe": many}),
        json!({"subscribe": [long]}),
    ] {
        refused(taking.app.address, &token(&taking, wrong)).await;
    }
    for fine in [json!({}), json!(null), json!({"subscribe": [], "more": 1})] {
        log_in(taking.app.address, &token(&taking, fine), "id:alice").await;
    }
}
