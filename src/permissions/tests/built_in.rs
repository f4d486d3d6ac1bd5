//! The promise: a built-in route needs the right that its effect needs.

use super::*;

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
