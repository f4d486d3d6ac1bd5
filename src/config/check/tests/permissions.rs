//! The promise: the rules of `[permissions]`: a rule has to have an effect, and the one that it seems to have.

use super::{check, found, refused, taken, user, warns};

/// A rule for an attribute that nobody can have lets in nobody: most often it is mistyped.
#[test]
fn rules_ask_for_attributes_that_somebody_can_have() {
    let issuer = "[[auth.issuers]]\nissuer = 'https://a/'\naudience = ['a']\nuser_prefix = 'a:'\njwks_uri = 'https://a/'\n\
                  attributes = ['tenant', 'plan=https://a/plan']\n";
    let rule = |destination: &str, more: &str| {
        format!("[[permissions.subscribe]]\ndestination = '{destination}'\n{more}\n")
    };
    let meant = |text: &str| {
        let (errors, mut warnings) = found(text, false);
        assert_eq!(errors, [""; 0], "{text}");
        warnings.retain(|key| key.starts_with("permissions"));
        warnings
    };
    let typo = rule("/queue/{claim.tennant}/**", "");
    let found = meant(&format!("{typo}{issuer}"));
    assert_eq!(found, ["permissions.subscribe[0].destination"]);
    let claims = rule("/queue/x", "claims = { plan = ['a'], region = ['b'] }");
    let found = meant(&format!("{claims}{issuer}"));
    assert_eq!(found, ["permissions.subscribe[0].claims"]);
    for text in [
        format!("{}{issuer}", rule("/queue/{claim.tenant}/{claim.plan}", "")),
        format!("[auth]\nusers_file = '/nowhere'\n{typo}{issuer}"),
        format!(
            "[auth]\norder = ['token', 'callout']\n{typo}{issuer}[auth.callout]\ntarget = 'https://a/'\nuser_prefix = 'b:'\n"
        ),
    ] {
        assert_eq!(meant(&text), [""; 0], "{text}");
    }
}

#[test]
fn permissions_are_for_what_there_is() {
    let rule = |list, destination, roles| {
        format!("[[permissions.{list}]]\ndestination = '{destination}'\nroles = [{roles}]")
    };
    check(&rule("send", "/queue/**", "'ROLE_USER'"), &[]);
    for (list, destination) in [
        ("send", "/nowhere/x"),
        ("send", "/queue/**/x"),
        ("subscribe", "/user/queue/x"),
        ("subscribe", "/chat/x"),
    ] {
        let key = format!("permissions.{list}[0].destination");
        check(&rule(list, destination, ""), &[&key]);
    }
    check(
        &rule("send", "/queue/x", "'ROLE_A', 'PUBLISHER'"),
        &["permissions.send[0].roles[1]"],
    );
}

#[test]
fn rules_say_what_they_seem_to_say() {
    let text = |list: &str, destination: &str, roles: &str| {
        format!(
            "{}[[permissions.{list}]]\ndestination = '{destination}'\nroles = [{roles}]",
            user("a", "'ROLE_USER', 'ROLE_PUBLISHER'")
        )
    };
    // The default routes: broadcast to /queue/message, users of /queue/users, recent of /queue/message.
    for (list, destination, roles, expected) in [
        ("subscribe", "/queue/message", "", &[2][..]),
        ("subscribe", "/queue/users", "", &[1]),
        ("subscribe", "/queue/**", "", &[1, 2]),
        ("subscribe", "/queue/**", "'ROLE_ADMIN'", &[]),
        ("send", "/queue/*", "", &[0]),
        ("send", "/queue/*", "'ROLE_ADMIN'", &[]),
        ("send", "/topic/*", "", &[]),
    ] {
        let expected: Vec<String> = expected
            .iter()
            .map(|index| format!("application.routes[{index}].path"))
            .collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        warns(&text(list, destination, roles), false, &expected);
    }
    // With open publishing the rules for SEND keep nobody out.
    for (destination, roles, expected) in [
        ("/queue/x", "'ROLE_ADMIN'", &["permissions.send[0]"][..]),
        ("/queue/x", "'ROLE_ADMIN', 'ROLE_USER'", &[]),
        ("/app/x", "'ROLE_ADMIN'", &[]),
        ("/user/queue/x", "'ROLE_ADMIN'", &[]),
    ] {
        let rule = text("send", destination, roles);
        warns(&format!("api.access = 'open'\n{rule}"), false, expected);
        warns(&rule, true, expected);
        warns(&rule, false, &[]);
    }
}

#[test]
fn rules_let_in_anonymous_sessions_where_there_are_any() {
    let rule = |list: &str, more: &str| {
        format!("[[permissions.{list}]]\ndestination = '/topic/x'\nanonymous = true\n{more}\n")
    };
    let enabled = "auth.anonymous.enabled = true\n";
    check(&rule("publish", ""), &["permissions.publish[0].anonymous"]);
    warns(&rule("subscribe", ""), true, &[]);
    warns(&format!("{enabled}{}", rule("send", "")), true, &[]);
    let theirs = "roles = ['ROLE_USER', 'ROLE_ANONYMOUS']";
    warns(&rule("subscribe", theirs), true, &[]);
    warns(
        &rule("subscribe", "roles = ['ROLE_USER']"),
        true,
        &["permissions.subscribe[0].anonymous"],
    );
    warns(
        &rule("subscribe", "users = ['a']"),
        true,
        &["permissions.subscribe[0].anonymous"],
    );
    warns(enabled, true, &["auth.anonymous.enabled"]);
    check("limits.anonymous_sessions = 0", &["limits.anonymous_sessions"]);
}

#[test]
fn routes_lead_somewhere() {
    refused("application.time_zone", &["Mars/Olympus"]);
    taken("application.time_zone", &["Europe/Berlin"]);
    check(
        "[[application.routes]]\naction = 'broadcast'\npath = '/m'\ndestination = '/user/x'",
        &["application.routes[0].destination"],
    );
    check(
        "[[application.routes]]\naction = 'recent'\npath = '/m'\ndestination = '/queue/x'\ncount = 0\n\
         reply = '/queue/r'",
        &["application.routes[0].count"],
    );
    check(
        &"[[application.routes]]\naction = 'users'\npath = '/m'\nreply = '/q'\n".repeat(2),
        &["application.routes[1].path"],
    );
}
