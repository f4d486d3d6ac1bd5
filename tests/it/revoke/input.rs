//! The promise: an invalid revocation is refused with the place of the error and what was expected, and there are at
//! most `auth.revocations`.

use serde_json::{Value, json};

use super::{lift, listed, post, revoke, taking};
use crate::support::app::App;
use crate::support::tokens::ISSUER;

#[tokio::test]
async fn bad_input_is_told_where_and_why() {
    let taking = taking().await;
    let app = &taking.app;
    let check = async |body: Value, pointer: &str, words: &str| {
        let answer = post(app, &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        let problem = answer.json();
        assert_eq!(problem["pointer"], json!(pointer), "{body}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{body}: {detail}");
    };
    check(json!({}), "", "user, issuer").await;
    check(json!({"for": "1h"}), "", "whom to shut out").await;
    check(json!({"block": true}), "/user", "required").await;
    check(json!({"block": true, "issuer": ISSUER}), "/user", "required").await;
    check(
        json!({"block": true, "user": "a", "token_id": "t"}),
        "/block",
        "alone",
    )
    .await;
    check(
        json!({"block": true, "user": "a", "issued_before": 7}),
        "/block",
        "alone",
    )
    .await;
    check(json!({"token_id": "t"}), "/issuer", "required").await;
    check(json!({"token_id": "t", "user": "a"}), "/issuer", "required").await;
    check(
        json!({"token_id": "t", "issuer": ISSUER, "user": "a"}),
        "/token_id",
        "alone",
    )
    .await;
    check(json!({"token_id": "", "issuer": ISSUER}), "/token_id", "255").await;
    check(
        json!({"token_id": "t".repeat(256), "issuer": ISSUER}),
        "/token_id",
        "255",
    )
    .await;
    check(
        json!({"issuer": "https://other.example"}),
        "/issuer",
        "auth.issuers",
    )
    .await;
    check(json!({"issuer": ""}), "/issuer", "auth.issuers").await;
    check(json!({"user": ""}), "/user", "empty").await;
    check(json!({"user": "a\u{202e}"}), "/user", "control").await;
    check(json!({"user": null}), "/user", "").await;
    check(
        json!({"user": "a", "issued_before": "yesterday"}),
        "/issued_before",
        "",
    )
    .await;
    check(json!({"user": "a", "issued_before": -1}), "/issued_before", "").await;
    check(
        json!({"user": "a", "issued_before": 253_402_300_800_u64}),
        "/issued_before",
        "seconds",
    )
    .await;
    for lasts in ["-1s", "8761h", "99999999999999999999h", "soon", ""] {
        check(json!({"user": "a", "for": lasts}), "/for", "8760h").await;
    }
    check(json!({"user": "a", "for": 7}), "/for", "duration").await;
    check(json!({"user": "a", "for": "0s"}), "/for", "longer").await;
    check(json!({"user": "a", "reason": "x".repeat(301)}), "/reason", "300").await;
    check(json!({"usr": "a"}), "/usr", "user").await;
    assert!(listed(app, "").await.is_empty());
    for query in ["?limit=0", "?limit=1001", "?after=x", "?usr=a"] {
        assert_eq!(
            app.get(&format!("{}{query}", super::PATH)).await.status,
            400,
            "{query}"
        );
    }
    for id in ["x", "01JDEXAMPRE0000000000000AA"] {
        assert_eq!(lift(app, id).await, 404, "{id}");
    }
}

#[tokio::test]
async fn there_are_not_more_than_the_setting_says() {
    let app = App::with(|config| config.auth.revocations = 3).await;
    let block = |user: usize| json!({"user": format!("u{user}"), "block": true, "for": "1h"});
    let mut ids = Vec::new();
    for user in 0..3 {
        ids.push(revoke(&app, block(user)).await);
    }
    let full = post(&app, &block(3)).await;
    assert_eq!(full.status, 503, "{}", full.text());
    assert!(full.text().contains("auth.revocations"), "{}", full.text());
    assert_eq!(
        app.metric("herald_limit_hits_total{limit=\"auth.revocations\"}")
            .await,
        1.0
    );
    let page = listed(&app, "?limit=2").await;
    let of =
        |all: &[Value]| -> Vec<String> { all.iter().map(|one| one["id"].as_str().unwrap().into()).collect() };
    ids.sort();
    assert_eq!(of(&page), ids[..2]);
    assert_eq!(of(&listed(&app, &format!("?after={}", ids[1])).await), ids[2..]);
    // There is always room to lift one, which is kept until its end.
    assert_eq!(lift(&app, &ids[0]).await, 202);
    assert_eq!(listed(&app, "").await.len(), 2);
    assert_eq!(post(&app, &block(3)).await.status, 503);
}
