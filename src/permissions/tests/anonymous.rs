//! The promise: an anonymous session may do what a rule with `anonymous = true` permits, under either default, and
//! nothing that a built-in route would do for it.

use super::*;

const RULES: &str = r#"
    [[subscribe]]
    destination = "/topic/news/internal"
    [[subscribe]]
    destination = "/topic/news/**"
    anonymous = true
    [[subscribe]]
    destination = "/queue/of/{user}"
    anonymous = true
    [[subscribe]]
    destination = "/queue/users-only"
    roles = ["ROLE_USER"]
    anonymous = true
    [[send]]
    destination = "/app/feedback"
    anonymous = true
    [[send]]
    destination = "/app/news"
    anonymous = true
    [[send]]
    destination = "/app/message"
    anonymous = true
"#;

fn permissions(more: &str) -> Permissions {
    let built_in = |at: &str, effect| BuiltIn {
        path: Path::parse(at).unwrap(),
        effect,
    };
    let at = |text| Path::parse(text).unwrap();
    sound(&format!("{more}\n{RULES}")).with_built_in(vec![
        built_in("/news", Effect::Reads(at("/topic/news"))),
        built_in("/message", Effect::Publishes(at("/queue/message"))),
    ])
}

fn ask(permissions: &Permissions, who: &Principal, command: &str, text: &str) -> Result<(), String> {
    let destination = Prefixes::default().for_client(text, who.user()).unwrap();
    let action = match command {
        "SUBSCRIBE" => Action::Subscribe,
        _ => Action::Send,
    };
    decided(permissions, action, Who::User(who), (&destination).into())
}

#[test]
fn only_rules_that_say_so_let_it_in() {
    let who = Principal::anonymous("01").unwrap();
    for default in ["default = 'open'", "default = 'closed'"] {
        let permissions = permissions(default);
        let check = |command: &str, text: &str, expected: Result<(), &str>| {
            let found = ask(&permissions, &who, command, text);
            assert_eq!(
                found,
                expected.map_err(str::to_owned),
                "{default}: {command} {text}"
            );
        };
        check("SUBSCRIBE", "/topic/news", Ok(()));
        check("SUBSCRIBE", "/topic/news/sport", Ok(()));
        check("SUBSCRIBE", "/queue/of/anonymous:01", Ok(()));
        check("SEND", "/app/feedback", Ok(()));
        // Its own, which nobody else has.
        check("SUBSCRIBE", "/user/queue/errors", Ok(()));
        check("SEND", "/app/herald/auth", Ok(()));
        let logged_in = "it requires a user who has logged in";
        check("SUBSCRIBE", "/topic/news/internal", Err(logged_in));
        check("SUBSCRIBE", "/queue/users-only", Err("it requires ROLE_USER"));
        for (command, text) in [
            ("SUBSCRIBE", "/topic/other"),
            ("SUBSCRIBE", "/queue/users"),
            ("SEND", "/app/other"),
            ("SEND", "/queue/x"),
            ("SEND", "/user/queue/x"),
        ] {
            check(command, text, Err(ANONYMOUS));
        }
        // What a built-in route does needs a rule of its own.
        check("SEND", "/app/news", Ok(()));
        check(
            "SEND",
            "/app/message",
            Err("it needs SEND to /queue/message, which no rule permits"),
        );
    }
}

#[test]
fn nobody_publishes_as_an_anonymous_session() {
    let who = Principal::anonymous("01").unwrap();
    let at = Path::parse("/topic/news").unwrap();
    let refused = decided(
        &permissions(""),
        Action::Publish,
        Who::User(&who),
        Ask::Broadcast(&at),
    );
    assert_eq!(refused.unwrap_err(), "nobody is anonymous over REST");
}

/// Whatever `anonymous` says: for users it changes nothing.
#[test]
fn users_are_let_in_as_before() {
    let alice = Principal::new(UserName::parse("alice").unwrap(), ["ROLE_USER"]);
    let permissions = permissions("");
    for text in [
        "/topic/news",
        "/topic/news/internal",
        "/queue/users-only",
        "/topic/x",
    ] {
        assert_eq!(ask(&permissions, &alice, "SUBSCRIBE", text), Ok(()), "{text}");
    }
    assert_eq!(ask(&permissions, &alice, "SEND", "/app/message"), Ok(()));
}

#[test]
fn an_explanation_says_what_was_asked_of_it() {
    let permissions = permissions("");
    let explain = |who: &Principal| {
        let explained = permissions.explain_text(
            &Prefixes::default(),
            Action::Subscribe,
            Who::User(who),
            "/topic/news/internal",
        );
        let decision = explained.unwrap();
        let conditions = &decision.looked_at[0].conditions;
        let words: Vec<_> = conditions.iter().map(|held| held.condition.clone()).collect();
        (decision.permitted, words)
    };
    let alice = Principal::new(UserName::parse("alice").unwrap(), ["ROLE_USER"]);
    assert_eq!(explain(&alice), (true, vec![]));
    let words = "the user has logged in: \"anonymous:01\"".to_owned();
    assert_eq!(
        explain(&Principal::anonymous("01").unwrap()),
        (false, vec![words])
    );
}

#[test]
fn a_rule_may_let_in_in_vain() {
    let rule = |more: &str| {
        toml::from_str::<Rule>(&format!("destination = '/topic/{{claim.a}}'\n{more}"))
            .unwrap()
            .lets_in_anonymous_in_vain()
    };
    assert!(rule("anonymous = true") && !rule(""));
    for (more, vain) in [
        ("", false),
        ("roles = ['ROLE_ANONYMOUS']", false),
        ("roles = ['ROLE_USER']", true),
        ("users = ['a']", true),
        ("claims = { a = 'b' }", true),
    ] {
        let text = format!("destination = '/topic/{{user}}'\nanonymous = true\n{more}");
        let rule: Rule = toml::from_str(&text).unwrap();
        assert_eq!(rule.lets_in_anonymous_in_vain(), vain, "{more}");
    }
}
