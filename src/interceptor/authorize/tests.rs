//! Who may SUBSCRIBE and SEND where: the defaults, and rules over them.

use super::*;
use crate::principal::UserName;

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

fn sound(config: &Config) -> Authorize {
    let mut findings = Findings::default();
    let authorize = Authorize::new(config, &Prefixes::default(), &mut findings);
    assert_eq!(findings, Findings::default());
    authorize
}

fn check(config: &str, command: &str, text: &str, roles: &str, expected: Result<(), &str>) {
    let prefixes = Prefixes::default();
    let authorize = sound(&toml::from_str(config).unwrap());
    let alice = UserName::parse("alice").unwrap();
    let destination = prefixes.for_client(text, &alice).unwrap();
    let who = Principal::new(alice, roles.split(' '));
    let found = match command {
        "SUBSCRIBE" => authorize.subscribe(&who, &destination, text),
        _ => authorize.send(&who, &destination, text, 0),
    };
    let expected = expected.map_err(|why| {
        let message = format!("{command} to {text} is not permitted: {why}");
        Reject::new(CloseReason::Forbidden, message)
    });
    assert_eq!(found, expected, "{command} {text} {roles}");
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
        Err("an application destination takes SEND only"),
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
    let admin = "it takes one of ROLE_ADMIN, ROLE_AUDIT";
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
        Err("it takes ROLE_PUBLISHER"),
    );
    check("SEND", "/app/admin/x", "ROLE_USER", Err("it takes ROLE_ADMIN"));
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
        sound(&toml::from_str(rules).unwrap()).with_built_in(vec![
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
        let refused = authorize(rules).send(&who, &destination, text, 0).err();
        let expected = expected.map(|why| format!("SEND to {text} is not permitted: {why}"));
        assert_eq!(refused.map(|reject| reject.message), expected, "{text} {roles}");
    };
    let admin = "it needs SUBSCRIBE to /queue/message, which requires ROLE_ADMIN";
    for text in ["/chat/init/messages", "/app/init/messages"] {
        check(RULES, text, "ROLE_USER", Some(admin));
        check(RULES, text, "ROLE_USER ROLE_ADMIN", None);
    }
    let nobody = "it needs SUBSCRIBE to /queue/users, which nobody may do";
    check(RULES, "/chat/who", "ROLE_USER ROLE_ADMIN", Some(nobody));
    // Both rules count: the one for the route itself first.
    check(RULES, "/chat/strict", "ROLE_A", Some("it takes ROLE_ADMIN"));
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
    let authorize = sound(&Config::default());
    let alice = Principal::new(UserName::parse("alice").unwrap(), ["ROLE_USER"]);
    let bobs = Destination::Target(Target::User {
        user: UserName::parse("bob").unwrap(),
        path: Path::parse("/queue/x").unwrap(),
    });
    for result in [
        authorize.subscribe(&alice, &bobs, "/user/queue/x"),
        authorize.send(&alice, &bobs, "/user/queue/x", 0),
    ] {
        assert!(result.unwrap_err().message.ends_with("it is another user's"));
    }
}

#[test]
fn rules_without_effect_or_sense_are_errors() {
    let read = |list: &str, destination: &str, roles: &str| {
        let text = format!("[[{list}]]\ndestination = {destination:?}\nroles = [{roles}]");
        toml::from_str::<Config>(&text).map_err(|error| error.to_string())
    };
    let check = |list: &str, destination: &str, expected: &str| {
        let mut findings = Findings::default();
        Authorize::new(
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
    // Without roles it is not clear whether all or nobody is meant.
    assert!(toml::from_str::<Config>("[[send]]\ndestination = \"/queue/x\"").is_err());
}
