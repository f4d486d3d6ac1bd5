//! The promise: who may SUBSCRIBE and SEND where: the defaults, and rules over them.

use super::*;
use crate::destination::Path;
use crate::principal::{Principal, UserName};

mod anonymous;
mod built_in;
mod conditions;
mod granted;
mod publish;

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

fn user(name: &str, attributes: &str) -> Principal {
    let name = UserName::parse(name).unwrap();
    Principal::with_attributes(name, ["ROLE_USER"], toml::from_str(attributes).unwrap())
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
