//! The promise: `herald token` creates tokens that an instance accepts, says of any token what an instance does with
//! it, and shows no signature.

use std::io::Write;

use crate::support::process::{Herald, Launch};
use crate::support::tokens::{log_in, refused};

async fn mint(arguments: &[&str]) -> String {
    let (code, text) = Launch::new(&[&["token", "mint"], arguments].concat()).run().await;
    assert_eq!(code, Some(0), "{text}");
    text.trim().to_owned()
}

async fn inspect(token: &str, more: &[&str]) -> (Option<i32>, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(token.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    let said = Launch::new(&[&["token", "inspect", path], more].concat())
        .run()
        .await;
    let signature = token.rsplit('.').next().unwrap();
    assert!(signature.len() < 10 || !said.1.contains(signature), "{}", said.1);
    said
}

#[tokio::test]
async fn the_demo_takes_what_is_minted_for_it() {
    let herald = Herald::start("minting", &Launch::demo()).await;
    let token = mint(&["--demo", "--user", "alice"]).await;
    log_in(herald.address, &token, "alice").await;
    refused(
        herald.address,
        &mint(&["--demo", "--user", "alice", "--audience", "other"]).await,
    )
    .await;
}

#[tokio::test]
async fn a_token_is_explained_check_by_check() {
    let token = mint(&[
        "--demo",
        "--user",
        "alice",
        "--role",
        "admin",
        "--claim",
        "tenant=acme",
    ])
    .await;
    let (code, text) = inspect(&token, &["--demo"]).await;
    assert_eq!(code, Some(0), "{text}");
    for line in [
        "✓ signature",
        "taken: user alice",
        "  roles ROLE_USER ROLE_ADMIN",
        "  attributes {\"tenant\":[\"acme\"]}",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    let (code, text) = inspect(&token, &["--demo", "--at", "1000000000"]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("✗ already valid (not_yet)\n- lifetime: not checked")
            && text.contains("is a clock wrong?"),
        "{text}"
    );
    let (code, text) = inspect(&token, &["--demo", "--at", "4000000000"]).await;
    assert!(
        code == Some(1) && text.contains("✗ not expired (expired)") && text.contains("✓ signature"),
        "{text}"
    );
    let (code, text) = inspect("nonsense", &["--demo"]).await;
    assert!(
        code == Some(1) && text.contains("✗ well-formed (malformed)\n- algorithm: not checked"),
        "{text}"
    );
    // Without an issuer nothing is taken.
    let (code, text) = inspect(&token, &[]).await;
    assert!(code == Some(1) && text.contains("✗ issuer"), "{text}");
}

#[tokio::test]
async fn keys_are_shown_by_issuer() {
    let (code, text) = Launch::new(&["token", "keys", "--demo"]).run().await;
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("herald-demo") && text.contains("(no kid)") && text.contains("HS256"),
        "{text}"
    );
    let (code, text) = Launch::new(&["token", "keys", "--demo", "--issuer", "other"])
        .run()
        .await;
    assert!(code == Some(1) && text.contains("no such issuer"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_minted_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let private = folder.path().join("private.pem");
    std::fs::write(
        &private,
        "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    let private = private.to_str().unwrap();
    for (arguments, words) in [
        (
            &["--user", "a", "--issuer", "i", "--secret-file", private][..],
            "a private key belongs in --key-file",
        ),
        (&["--demo"], "--user"),
        (&["--user", "a"], "--secret-file"),
        (
            &["--user", "a", "--demo", "--secret-file", "x"],
            "cannot be used with",
        ),
        (
            &["--user", "a", "--issuer", "i", "--secret-file", "/nowhere"],
            "/nowhere: No such file",
        ),
        (&["--user", "a", "--demo", "--for", "soon"], "--for: expected"),
        (&["--user", "a", "--demo", "--claim", "x"], "expected NAME=VALUE"),
    ] {
        let (code, text) = Launch::new(&[&["token", "mint"], arguments].concat()).run().await;
        assert!(code == Some(64) && text.contains(words), "{arguments:?}: {text}");
    }
}

#[tokio::test]
async fn what_a_token_may_is_explained_by_its_claims_and_what_it_permits_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let rules = r#"
        [permissions]
        default = "closed"
        [[permissions.subscribe]]
        name = "tenant"
        destination = "/queue/tenant/{claim.tenant}/**"
        [[permissions.subscribe]]
        name = "own"
        destination = "/queue/**"
        granted = true
        [[auth.issuers]]
        issuer = "id"
        audience = ["herald"]
        user_prefix = "id:"
        attributes = ["tenant"]
        permissions_claim = "may"
        [[auth.issuers.keys]]
    "#;
    std::fs::write(path("secret"), "a secret of at least 32 bytes for HS256").unwrap();
    let config = format!("{rules}\nsecret_file = \"{}\"\n", path("secret"));
    std::fs::write(path("herald.toml"), config).unwrap();
    let key =
        herald::auth::token::mint::SigningKey::secret(b"a secret of at least 32 bytes for HS256").unwrap();
    let now = crate::support::tokens::now();
    let token = |ends: u64| {
        let claims = serde_json::json!({"iss": "id", "aud": "herald", "sub": "alice", "iat": now - 600, "exp": ends,
            "tenant": "acme", "may": {"subscribe": ["/queue/x/**"]}});
        let token = key.sign(None, claims.as_object().unwrap()).unwrap();
        std::fs::write(path("token"), token.expose()).unwrap();
    };
    let explain = async |destination: &str| {
        let (config, token) = (path("herald.toml"), path("token"));
        let who = [
            "--config",
            &config,
            "--token-file",
            &token,
            "--subscribe",
            destination,
        ];
        Launch::new(&[&["explain", "permission"], &who[..]].concat())
            .run()
            .await
    };
    token(now + 600);
    for (destination, code, line) in [
        (
            "/queue/tenant/acme/1",
            0,
            "  ✓ segment 3 (\"acme\") is in claim tenant: \"acme\"",
        ),
        (
            "/queue/tenant/other/1",
            1,
            "  ✗ segment 3 (\"other\") is in claim tenant: \"acme\"",
        ),
        (
            "/queue/x/1",
            0,
            "  ✓ /queue/x/1 is among what the token permits: \"/queue/x/**\"",
        ),
        (
            "/queue/y",
            1,
            "  ✗ /queue/y is among what the token permits: \"/queue/x/**\"",
        ),
    ] {
        let (found, text) = explain(destination).await;
        assert_eq!(found, Some(code), "{destination}: {text}");
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    token(now - 300);
    let (code, text) = explain("/queue/x/1").await;
    assert!(
        code == Some(1) && text.contains("the token is not taken: expired"),
        "{text}"
    );
}
