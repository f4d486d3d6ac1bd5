//! The promise: a rule with `granted = true` permits only what the token itself names, and a token widens nothing.

use super::*;
use crate::destination::{Destination, Target};
use crate::principal::{Attributes, Granted, Origin, Principal, UserName};

const RULES: &str = r#"
    default = "closed"
    subscribe = [
        { destination = "/queue/open/**" },
        { name = "own", destination = "/queue/**", granted = true },
    ]
    send = [
        { destination = "/app/**", granted = true },
        { destination = "/queue/**", granted = true },
        { destination = "/user/**", granted = true, roles = ["ROLE_X"] },
    ]
    publish = [{ destination = "/user/**", granted = true }]
"#;

fn with(granted: Option<Granted>) -> Principal {
    let user = UserName::parse("id:alice").unwrap();
    let origin = Origin::Issuer("https://id.example".into());
    Principal::of(origin, user, ["ROLE_USER"], Attributes::default()).granting(granted)
}

fn permissions() -> Permissions {
    let config = toml::from_str(RULES).unwrap();
    let mut findings = Findings::default();
    let permissions = Permissions::new(&config, &Prefixes::default(), &mut findings);
    assert_eq!(
        findings.into_result().map_err(|finding| finding.to_string()),
        Ok(())
    );
    permissions
}

#[test]
fn only_what_the_token_names_is_let_in_and_nothing_is_widened() {
    let permissions = permissions();
    let granted = Granted::new(
        &["/queue/x/**", "/queue/*/y", "/topic/x", "/queue/open"],
        &["/app/x", "/queue/s", "/user/queue/s"],
        &["/user/queue/p/**"],
    );
    let (alice, bare) = (with(Some(granted.unwrap())), with(None));
    let check = |action: Action, text: &str, expected: bool, without: bool| {
        for (who, expected) in [(&alice, expected), (&bare, without)] {
            let destination = match action {
                Action::Publish => Destination::Target(Target::User {
                    user: UserName::parse("bob").unwrap(),
                    path: Path::parse(text.strip_prefix("/user").unwrap()).unwrap(),
                }),
                _ => Prefixes::default().for_client(text, who.user()).unwrap(),
            };
            let decided = permissions.decide(action, Who::User(who), (&destination).into());
            assert_eq!(decided.is_ok(), expected, "{action:?} {text} of {who:?}");
            let explained = permissions.explain(action, Who::User(who), (&destination).into());
            assert_eq!(explained.permitted, expected, "{explained:?}");
        }
    };
    check(Action::Subscribe, "/queue/x", true, false);
    check(Action::Subscribe, "/queue/x/y/z", true, false);
    check(Action::Subscribe, "/queue/a/y", true, false);
    check(Action::Subscribe, "/queue/a/z", false, false);
    check(Action::Subscribe, "/queue/xy", false, false);
    // No rule is for it, whatever the token says; and a rule that does not ask is not asked.
    check(Action::Subscribe, "/topic/x", false, false);
    check(Action::Subscribe, "/queue/open/z", true, true);
    // Prefixes of applications mean the same, a user's own begin with their own, and each action has its list.
    check(Action::Send, "/app/x", true, false);
    check(Action::Send, "/chat/x", true, false);
    check(Action::Send, "/app/y", false, false);
    check(Action::Send, "/queue/s", true, false);
    check(Action::Send, "/queue/x", false, false);
    check(Action::Send, "/user/queue/s", false, false);
    check(Action::Publish, "/user/queue/p/q", true, false);
    check(Action::Publish, "/user/queue/s", false, false);
}

#[test]
fn a_refusal_and_an_explanation_name_what_the_token_has() {
    let permissions = permissions();
    let alice = with(Some(Granted::new(&["/queue/x/**"], &[], &[]).unwrap()));
    let target = Target::Broadcast(Path::parse("/queue/y").unwrap());
    let refusal = permissions.decide(Action::Subscribe, Who::User(&alice), (&target).into());
    assert_eq!(
        refusal.unwrap_err().to_string(),
        "rule own allows only what your token itself permits"
    );
    let explained = permissions.explain(Action::Subscribe, Who::User(&alice), (&target).into());
    let conditions = &explained.looked_at[1].conditions;
    assert_eq!(conditions.len(), 1);
    assert_eq!(
        (&*conditions[0].condition, conditions[0].holds),
        ("/queue/y is among what the token permits: \"/queue/x/**\"", false)
    );
}
