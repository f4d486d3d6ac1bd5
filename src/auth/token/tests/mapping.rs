//! The promise: names from different sources never collide, only the configuration creates roles, and a session holds
//! no more of a token than was configured.

use super::*;

fn mapped(config: IssuerConfig, changes: Value) -> Result<Verified, Refusal> {
    let text = sign(&rsa(), Some("k1"), &with(changes));
    verify(&issuers(&[config]), &rsa_set(), &text, NOW)
}

#[test]
fn roles_come_by_the_map_or_the_list_alone() {
    let mut config = config();
    config.roles_claim = Some("realm_access.roles".into());
    config
        .role_map
        .insert("herald-admin".into(), "ROLE_ADMIN".parse().unwrap());
    config
        .role_map
        .insert("ROLE_PUBLISHER".into(), "ROLE_OTHER".parse().unwrap());
    config.roles_allowed = vec!["ROLE_EDITOR".parse().unwrap()];
    let check = |changes: Value, expected: &[&str]| {
        let verified = mapped(config.clone(), changes.clone()).unwrap();
        let roles: Vec<&str> = verified.roles.iter().map(Role::as_str).collect();
        assert_eq!(roles, expected, "{changes}");
    };
    check(json!({}), &["ROLE_USER"]);
    let all = json!([
        "ROLE_ADMIN",
        "ROLE_PUBLISHER",
        "herald-admin",
        "ROLE_EDITOR",
        "ROLE_EDITOR",
        "x",
        7
    ]);
    check(
        json!({"realm_access": {"roles": all}}),
        &["ROLE_USER", "ROLE_OTHER", "ROLE_ADMIN", "ROLE_EDITOR"],
    );
    check(
        json!({"realm_access": {"roles": "ROLE_EDITOR  herald-admin"}}),
        &["ROLE_USER", "ROLE_EDITOR", "ROLE_ADMIN"],
    );
    check(
        json!({"roles": ["herald-admin"], "realm_access": "herald-admin"}),
        &["ROLE_USER"],
    );
    // A claim with the whole name takes precedence over a path.
    check(
        json!({"realm_access.roles": ["ROLE_EDITOR"], "realm_access": {"roles": ["herald-admin"]}}),
        &["ROLE_USER", "ROLE_EDITOR"],
    );
}

#[test]
fn names_have_the_prefix_of_their_issuer() {
    let name = |config: IssuerConfig, sub: &str| {
        mapped(config, json!({ "sub": sub })).map(|verified| verified.user.as_str().to_owned())
    };
    assert_eq!(name(config(), "auth0|7"), Ok("id:auth0|7".into()));
    assert_eq!(
        name(config(), "system:serviceaccount:a:b"),
        Ok("id:system:serviceaccount:a:b".into())
    );
    let mut bare = config();
    bare.user_prefix = String::new();
    assert_eq!(name(bare.clone(), "alice"), Ok("alice".into()));
    // It would be another issuer's alice.
    assert_eq!(name(bare, "id:alice"), Err(Refusal::Claim));
    let mut by_mail = config();
    by_mail.user_claim = "profile.mail".into();
    let verified = mapped(by_mail.clone(), json!({"profile": {"mail": "a@b.example"}})).unwrap();
    assert_eq!(verified.user.as_str(), "id:a@b.example");
    assert_eq!(mapped(by_mail, json!({})), Err(Refusal::Claim));
}

#[test]
fn attributes_are_those_asked_for_and_bounded() {
    let mut config = config();
    config.attributes = ["tenant", "plan", "org.id", "level=https://e.example/level"]
        .map(Into::into)
        .into();
    let check = |changes: Value, expected: &str| {
        let verified = mapped(config.clone(), changes).unwrap();
        assert_eq!(serde_json::to_string(&verified.attributes).unwrap(), expected);
    };
    check(json!({"other": "x"}), "{}");
    check(
        json!({"tenant": "acme", "plan": ["gold", 7, true], "org": {"id": 12}, "secret": "s",
            "https://e.example/level": "high"}),
        r#"{"level":["high"],"org.id":["12"],"plan":["gold","7","true"],"tenant":["acme"]}"#,
    );
    check(json!({"tenant": [], "plan": null}), "{}");
    for changes in [
        json!({"tenant": {"a": 1}}),
        json!({"tenant": [["a"]]}),
        json!({"tenant": ""}),
        json!({"tenant": "a\u{202e}"}),
        json!({"tenant": "x".repeat(129)}),
        json!({"tenant": vec!["x"; 17]}),
        json!({"tenant": (0..10).map(|n| n.to_string().repeat(128)).collect::<Vec<_>>()}),
    ] {
        assert_eq!(
            mapped(config.clone(), changes.clone()),
            Err(Refusal::Claim),
            "{changes}"
        );
    }
}
