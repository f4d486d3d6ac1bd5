//! The promise: a rule's variables and other conditions are compared with the client, and all of them must hold.

use super::*;

const TENANTS: &str = r#"
    [[subscribe]]
    name = "tenant"
    destination = "/queue/tenant/{claim.tenant}/**"
    [[subscribe]]
    destination = "/queue/of/{user}"
    [[subscribe]]
    name = "gold"
    destination = "/topic/gold/*"
    claims = { plan = ["gold", "platinum"], region = "eu" }
    [[subscribe]]
    destination = "/topic/team"
    users = ["alice", "bob"]
    [[subscribe]]
    destination = "/topic/all"
    [[subscribe]]
    destination = "/queue/**"
    roles = ["ROLE_ADMIN"]
"#;

fn subscribe(config: &str, who: &Principal, text: &str) -> Result<(), String> {
    let destination = Prefixes::default().for_client(text, who.user()).unwrap();
    decided(
        &sound(config),
        Action::Subscribe,
        Who::User(who),
        (&destination).into(),
    )
}

#[test]
fn a_variable_is_compared_with_who_asks() {
    let alice = user("alice", "tenant = [\"acme\", \"globex\"]");
    let check = |who: &Principal, text: &str, expected: Result<(), &str>| {
        let found = subscribe(TENANTS, who, text);
        assert_eq!(found, expected.map_err(str::to_owned), "{text}");
    };
    check(&alice, "/queue/tenant/acme", Ok(()));
    check(&alice, "/queue/tenant/globex/x/y", Ok(()));
    let claim = "rule tenant requires a value of your claim tenant for {claim.tenant}";
    check(&alice, "/queue/tenant/initech/x", Err(claim));
    check(&user("bob", ""), "/queue/tenant/acme", Err(claim));
    check(&alice, "/queue/of/alice", Ok(()));
    let own = "it requires your own user name for {user}";
    check(&alice, "/queue/of/bob", Err(own));
    // A value is no pattern, and no path.
    let trick = user("*", "tenant = [\"*\", \"**\", \"acme/x\"]");
    check(&trick, "/queue/tenant/acme/x", Err(claim));
    check(&trick, "/queue/of/alice", Err(own));
}

#[test]
fn who_fails_a_condition_does_not_fall_through_to_a_wider_rule() {
    let admin = Principal::new(UserName::parse("root").unwrap(), ["ROLE_ADMIN"]);
    // The last rule would let an administrator in; the first that fits by its shape decides.
    assert!(subscribe(TENANTS, &admin, "/queue/x").is_ok());
    for text in ["/queue/tenant/acme/x", "/queue/of/alice"] {
        assert!(subscribe(TENANTS, &admin, text).is_err(), "{text}");
    }
}

#[test]
fn all_conditions_of_a_rule_must_hold() {
    let check = |attributes: &str, expected: Result<(), &str>| {
        let found = subscribe(TENANTS, &user("alice", attributes), "/topic/gold/x");
        assert_eq!(found, expected.map_err(str::to_owned), "{attributes}");
    };
    check("plan = \"gold\"\nregion = \"eu\"", Ok(()));
    check(
        "plan = [\"silver\", \"platinum\"]\nregion = [\"us\", \"eu\"]",
        Ok(()),
    );
    check(
        "plan = \"gold\"",
        Err("rule gold requires another value of claim region"),
    );
    check(
        "region = \"eu\"",
        Err("rule gold requires another value of claim plan"),
    );
    assert!(subscribe(TENANTS, &user("bob", ""), "/topic/team").is_ok());
    let other = subscribe(TENANTS, &user("eve", ""), "/topic/team");
    assert_eq!(other.unwrap_err(), "it is for other users");
    assert!(
        subscribe(TENANTS, &user("eve", ""), "/topic/all").is_ok(),
        "no condition"
    );
}

#[test]
fn an_explanation_names_each_rule_and_what_was_compared() {
    let alice = user("alice", "tenant = \"acme\"");
    let path = Path::parse("/queue/tenant/initech/x").unwrap();
    let permissions = sound(TENANTS);
    let explained = permissions.explain(Action::Subscribe, Who::User(&alice), Ask::Broadcast(&path));
    assert_eq!(
        serde_json::to_value(explained).unwrap(),
        serde_json::json!({
            "permitted": false,
            "action": "SUBSCRIBE",
            "destination": "/queue/tenant/initech/x",
            "by": "permissions.subscribe[0]",
            "looked_at": [{
                "rule": "permissions.subscribe[0]",
                "name": "tenant",
                "destination": "/queue/tenant/{claim.tenant}/**",
                "fits": true,
                "conditions": [{"condition": "segment 3 (\"initech\") is in claim tenant: \"acme\"", "holds": false}],
            }],
        })
    );
    let path = Path::parse("/topic/x").unwrap();
    let explained = permissions.explain(Action::Subscribe, Who::User(&alice), Ask::Broadcast(&path));
    assert!(explained.permitted);
    assert_eq!(explained.looked_at.len(), 6);
    assert!(explained.looked_at.iter().all(|rule| !rule.fits));
    assert_eq!(
        explained.by,
        "without a rule any user may SUBSCRIBE to broadcasts"
    );
}
