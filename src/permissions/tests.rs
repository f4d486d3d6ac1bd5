//! The promise: who may SUBSCRIBE and SEND where: the defaults, and rules over them.

use super::*;
use crate::destination::Path;
use crate::principal::{Principal, UserName};

mod anonymous;
mod granted;

const CONFIG: &str = r#"
    [[subscribe]]
    destination = "/queue/admin/public"
    roles = ["ROLE_USER"]
    [[subscribe]]
    destination = "/queue/admin/**"
    roles = ["ROLE_ADMIN", "ROLE_AUDIT"]
    [[subscribe]]
    destination = "/topic/off"
    roles = []
    [[send]]
    destination = "/queue/chat/*"
    roles = ["ROLE_PUBLISHER"]
    [[send]]
    destination = "/chat/admin/**"
    roles = ["ROLE_ADMIN"]
    [[send]]
    destination = "/user/queue/echo"
    roles = ["ROLE_USER"]
"#;

fn sound(config: &str) -> Permissions {
    let mut findings = Findings::default();
    let config = toml::from_str(config).unwrap();
    let permissions = Permissions::new(&config, &Prefixes::default(), &mut findings);
    assert_eq!(findings, Findings::default());
    permissions
}

/// The words of the decision, which the explanation must share.
fn decided(permissions: &Permissions, action: Action, who: Who<'_>, ask: Ask<'_>) -> Result<(), String> {
    let decided = permissions.decide(action, who, ask);
    let explained = permissions.explain(action, who, ask);
    assert_eq!(decided.is_ok(), explained.permitted, "{explained:?}");
    decided.map_err(|refusal| refusal.to_string())
}

fn check(config: &str, command: &str, text: &str, roles: &str, expected: Result<(), &str>) {
    let prefixes = Prefixes::default();
    let permissions = sound(config);
    let alice = UserName::parse("alice").unwrap();
    let destination = prefixes.for_client(text, &alice).unwrap();
    let who = Principal::new(alice, roles.split(' '));
    let action = match command {
        "SUBSCRIBE" => Action::Subscribe,
        _ => Action::Send,
    };
    let found = decided(&permissions, action, Who::User(&who), (&destination).into());
    assert_eq!(found, expected.map_err(str::to_owned), "{command} {text} {roles}");
}

#[test]
fn without_rules_the_defaults_hold() {
    let check = |command: &str, text: &str, expected| check("", command, text, "ROLE_USER", expected);
    check("SUBSCRIBE", "/queue/x", Ok(()));
    check("SUBSCRIBE", "/topic/x/y", Ok(()));
    check("SUBSCRIBE", "/user/queue/x", Ok(()));
    check("SUBSCRIBE", "/user/chat/errors", Ok(()));
    check(
        "SUBSCRIBE",
        "/chat/x",
        Err("an application destination accepts only SEND"),
    );
    check("SEND", "/chat/message", Ok(()));
    check("SEND", "/app/x", Ok(()));
    let broadcast = "a client sends to broadcast destinations only where a rule in permissions.send lets it";
    check("SEND", "/queue/x", Err(broadcast));
    check("SEND", "/topic/x", Err(broadcast));
    let own = "a client sends to user destinations only where a rule in permissions.send lets it";
    check("SEND", "/user/queue/x", Err(own));
}

#[test]
fn the_first_fitting_rule_decides() {
    let check =
        |command: &str, text: &str, roles: &str, expected| check(CONFIG, command, text, roles, expected);
    let admin = "it requires one of ROLE_ADMIN, ROLE_AUDIT";
    check("SUBSCRIBE", "/queue/admin/x", "ROLE_USER", Err(admin));
    check("SUBSCRIBE", "/queue/admin", "ROLE_USER", Err(admin));
    check("SUBSCRIBE", "/queue/admin/x/y", "ROLE_USER ROLE_AUDIT", Ok(()));
    check("SUBSCRIBE", "/queue/admin/public", "ROLE_USER", Ok(()));
    check("SUBSCRIBE", "/queue/admins", "ROLE_USER", Ok(()));
    check(
        "SUBSCRIBE",
        "/topic/off",
        "ROLE_USER ROLE_ADMIN",
        Err("nobody may"),
    );
    check("SUBSCRIBE", "/user/queue/admin/x", "ROLE_USER", Ok(()));

    check("SEND", "/queue/chat/room", "ROLE_USER ROLE_PUBLISHER", Ok(()));
    check(
        "SEND",
        "/queue/chat/room",
        "ROLE_USER",
        Err("it requires ROLE_PUBLISHER"),
    );
    check("SEND", "/app/admin/x", "ROLE_USER", Err("it requires ROLE_ADMIN"));
    check("SEND", "/app/admin/x", "ROLE_ADMIN", Ok(()));
    check("SEND", "/app/message", "ROLE_USER", Ok(()));
    check("SEND", "/user/queue/echo", "ROLE_USER", Ok(()));
}

#[test]
fn a_built_in_route_needs_what_its_effect_needs() {
    const RULES: &str = r#"
        [[subscribe]]
        destination = "/queue/message"
        roles = ["ROLE_ADMIN"]
        [[subscribe]]
        destination = "/queue/users"
        roles = []
        [[send]]
        destination = "/queue/**"
        roles = ["ROLE_A", "ROLE_B"]
        [[send]]
        destination = "/app/strict"
        roles = ["ROLE_ADMIN"]
    "#;
    let path = |text: &str| Path::parse(text).unwrap();
    let built_in = |at: &str, effect| BuiltIn {
        path: path(at),
        effect,
    };
    let authorize = |rules: &str| {
        sound(rules).with_built_in(vec![
            built_in("/init/messages", Effect::Reads(path("/queue/message"))),
            built_in("/who", Effect::Reads(path("/queue/users"))),
            built_in("/strict", Effect::Publishes(path("/queue/message"))),
            built_in("/free", Effect::Publishes(path("/topic/message"))),
        ])
    };
    let alice = UserName::parse("alice").unwrap();
    let check = |rules: &str, text: &str, roles: &str, expected: Option<&str>| {
        let destination = Prefixes::default().for_client(text, &alice).unwrap();
        let who = Principal::new(alice.clone(), roles.split(' '));
        let permissions = authorize(rules);
        let found = decided(&permissions, Action::Send, Who::User(&who), (&destination).into());
        assert_eq!(found.err().as_deref(), expected, "{rules} {text} {roles}");
    };
    let admin = "it needs SUBSCRIBE to /queue/message, which requires ROLE_ADMIN";
    for text in ["/chat/init/messages", "/app/init/messages"] {
        check(RULES, text, "ROLE_USER", Some(admin));
        check(RULES, text, "ROLE_USER ROLE_ADMIN", None);
    }
    let nobody = "it needs SUBSCRIBE to /queue/users, which nobody may do";
    check(RULES, "/chat/who", "ROLE_USER ROLE_ADMIN", Some(nobody));
    // Both rules count: the one for the route itself first.
    check(RULES, "/chat/strict", "ROLE_A", Some("it requires ROLE_ADMIN"));
    let send = "it needs SEND to /queue/message, which requires one of ROLE_A, ROLE_B";
    check(RULES, "/chat/strict", "ROLE_ADMIN", Some(send));
    check(RULES, "/chat/strict", "ROLE_ADMIN ROLE_B", None);
    // Where no rule names the destination, and for what is no built-in route, nothing more is needed.
    check(RULES, "/chat/free", "ROLE_USER", None);
    check(RULES, "/chat/report", "ROLE_USER", None);
    for text in ["/chat/init/messages", "/chat/who", "/chat/strict", "/chat/free"] {
        check("", text, "ROLE_USER", None);
    }

    let closed = |effect| authorize(RULES).closed_to_everybody(&effect);
    assert_eq!(
        closed(Effect::Reads(path("/queue/users"))).as_deref(),
        Some("permissions.subscribe[1]")
    );
    assert_eq!(closed(Effect::Reads(path("/queue/message"))), None);
    assert_eq!(closed(Effect::Publishes(path("/topic/message"))), None);
}

#[test]
fn another_users_destination_is_refused_however_it_was_made() {
    let permissions = sound("");
    let alice = Principal::new(UserName::parse("alice").unwrap(), ["ROLE_USER"]);
    let (bob, path) = (UserName::parse("bob").unwrap(), Path::parse("/queue/x").unwrap());
    for action in [Action::Subscribe, Action::Send] {
        let refused = decided(&permissions, action, Who::User(&alice), Ask::User(&bob, &path));
        assert_eq!(refused.unwrap_err(), "it is another user's");
    }
}

/// Whatever the rules say.
#[test]
fn heralds_own_destinations_are_not_for_rules() {
    let permissions = sound(
        "default = 'closed'\n[[send]]\ndestination = '/app/**'\nroles = ['ROLE_ADMIN']\n[[send]]\ndestination = '/user/**'\n\
         [[publish]]\ndestination = '/user/**'",
    );
    let name = UserName::parse("alice").unwrap();
    let alice = Principal::new(name.clone(), ["ROLE_USER"]);
    let path = |text| Path::parse(text).unwrap();
    let decide = |action, ask: Ask<'_>| decided(&permissions, action, Who::User(&alice), ask).map(drop);
    assert_eq!(
        decide(Action::Send, Ask::Application(&path("/herald/auth"))),
        Ok(())
    );
    for refused in [
        decide(Action::Send, Ask::Application(&path("/herald/other"))),
        decide(Action::Send, Ask::User(&name, &path("/queue/herald/auth"))),
        decide(Action::Publish, Ask::SomeUser(&path("/queue/herald/auth"))),
    ] {
        assert_eq!(refused.unwrap_err(), "it is Herald's own");
    }
    assert_eq!(
        decide(Action::Subscribe, Ask::User(&name, &path("/queue/herald/auth"))),
        Ok(())
    );
    assert_eq!(decide(Action::Send, Ask::User(&name, &path("/queue/x"))), Ok(()));
}

#[test]
fn rules_without_effect_or_sense_are_errors() {
    let read = |list: &str, destination: &str, roles: &str| {
        let text = format!("[[{list}]]\ndestination = {destination:?}\nroles = [{roles}]");
        toml::from_str::<Config>(&text).map_err(|error| error.to_string())
    };
    let check = |list: &str, destination: &str, expected: &str| {
        let mut findings = Findings::default();
        Permissions::new(
            &read(list, destination, "").unwrap(),
            &Prefixes::default(),
            &mut findings,
        );
        let finding = findings.into_result().unwrap_err();
        assert_eq!(finding.key, format!("permissions.{list}[0].destination"));
        assert!(finding.message.contains(expected), "{finding}");
    };
    check("subscribe", "/user/queue/x", "always SUBSCRIBE");
    check("subscribe", "/chat/x", "nobody may SUBSCRIBE");
    check("send", "/nowhere/x", "begins with one of");
    let unread = |destination, roles, expected: &str| {
        let error = read("send", destination, roles).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    unread("/queue/**/x", "", "one whole segment");
    unread("/queue/x", "\"PUBLISHER\"", "full names such as ROLE_USER");
    check(
        "publish",
        "/app/x",
        "nothing is published to an application destination",
    );
    let many = "[[send]]\ndestination = \"/queue/x\"\n".repeat(1_001);
    let mut findings = Findings::default();
    Permissions::new(
        &toml::from_str(&many).unwrap(),
        &Prefixes::default(),
        &mut findings,
    );
    assert!(
        findings
            .into_result()
            .unwrap_err()
            .message
            .contains("at most 1000 rules, got 1001")
    );
    for name in ["", "a b", "ä"] {
        let text = format!("[[send]]\nname = {name:?}\ndestination = \"/queue/x\"");
        let error = toml::from_str::<Config>(&text).unwrap_err().to_string();
        assert!(error.contains("1 to 64 visible ASCII characters"), "{error}");
    }
}

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

fn user(name: &str, attributes: &str) -> Principal {
    let name = UserName::parse(name).unwrap();
    Principal::with_attributes(name, ["ROLE_USER"], toml::from_str(attributes).unwrap())
}

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
fn closed_refuses_what_no_rule_fits() {
    const CLOSED: &str = r#"
        default = "closed"
        [[subscribe]]
        destination = "/queue/news"
        [[send]]
        destination = "/app/**"
        [[publish]]
        destination = "/queue/news"
        roles = ["ROLE_PUBLISHER"]
    "#;
    let check = |command: &str, text: &str, expected| check(CLOSED, command, text, "ROLE_USER", expected);
    check("SUBSCRIBE", "/queue/news", Ok(()));
    let closed = "no rule in permissions.subscribe fits, and permissions.default is closed";
    check("SUBSCRIBE", "/topic/x", Err(closed));
    check("SUBSCRIBE", "/user/queue/x", Ok(()));
    check("SEND", "/chat/message", Ok(()));
    let route = BuiltIn {
        path: Path::parse("/message").unwrap(),
        effect: Effect::Publishes(Path::parse("/queue/message").unwrap()),
    };
    let permissions = sound(CLOSED).with_built_in(vec![route]);
    let (alice, path) = (user("alice", ""), Path::parse("/message").unwrap());
    let send = decided(
        &permissions,
        Action::Send,
        Who::User(&alice),
        Ask::Application(&path),
    );
    assert_eq!(
        send.unwrap_err(),
        "it needs SEND to /queue/message, which no rule permits"
    );
    let other = "default = \"closed\"";
    let send = decided(
        &sound(other),
        Action::Send,
        Who::User(&alice),
        Ask::Application(&path),
    );
    assert_eq!(
        send.unwrap_err(),
        "no rule in permissions.send fits, and permissions.default is closed"
    );
}

#[test]
fn publishers_have_rules_of_their_own() {
    const RULES: &str = r#"
        [[publish]]
        destination = "/queue/staff/**"
        roles = ["ROLE_PUBLISHER"]
        [[publish]]
        destination = "/user/queue/orders"
        claims = { tenant = "acme" }
    "#;
    let (prefixes, mut findings) = (Prefixes::default(), Findings::default());
    let own: Vec<Pattern> = ["/queue/orders/**", "/user/queue/orders"]
        .map(|text| text.parse().unwrap())
        .into();
    let own = Destinations::new("api.keys[0].destinations", Some(&own), &prefixes, &mut findings);
    let none = Destinations::new("api.keys[1].destinations", None, &prefixes, &mut findings);
    assert_eq!(findings, Findings::default());
    let publisher = Principal::new(UserName::parse("p").unwrap(), ["ROLE_PUBLISHER"]);
    let bob = UserName::parse("bob").unwrap();
    let check = |config: &str, who: Who<'_>, text: &str, expected: Result<(), &str>| {
        let target = match text.strip_prefix("/user") {
            Some(path) => prefixes.user(path, bob.clone()).unwrap(),
            None => prefixes.broadcast(text).unwrap(),
        };
        let found = decided(&sound(config), Action::Publish, who, (&target).into());
        assert_eq!(found, expected.map_err(str::to_owned), "{text}");
    };
    for who in [Who::User(&publisher), Who::Key(&none), Who::Anyone] {
        check("", who, "/queue/staff/x", Ok(()));
        check("", who, "/user/queue/x", Ok(()));
        check(RULES, who, "/topic/x", Ok(()));
        let closed = "no rule in permissions.publish fits, and permissions.default is closed";
        check("default = \"closed\"", who, "/topic/x", Err(closed));
    }
    check(RULES, Who::User(&publisher), "/queue/staff/x", Ok(()));
    for who in [Who::Key(&none), Who::Anyone] {
        check(RULES, who, "/queue/staff/x", Err("it requires ROLE_PUBLISHER"));
        check(
            RULES,
            who,
            "/user/queue/orders",
            Err("it requires another value of claim tenant"),
        );
    }
    check(
        RULES,
        Who::User(&user("u", "tenant = \"acme\"")),
        "/user/queue/orders",
        Ok(()),
    );
    // A key's own destinations count instead of the list, whatever that says.
    for config in ["", RULES, "default = \"closed\""] {
        check(config, Who::Key(&own), "/queue/orders/1", Ok(()));
        check(config, Who::Key(&own), "/user/queue/orders", Ok(()));
        let other = Err("it is not among the destinations of the key");
        check(config, Who::Key(&own), "/queue/staff/x", other);
        check(config, Who::Key(&own), "/user/queue/x", other);
    }
    Destinations::new(
        "api.keys[2].destinations",
        Some(&["/app/x".parse().unwrap()]),
        &prefixes,
        &mut findings,
    );
    let finding = findings.into_result().unwrap_err();
    assert_eq!(finding.key, "api.keys[2].destinations[0]");
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
