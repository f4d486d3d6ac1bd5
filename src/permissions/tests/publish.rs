//! The promise: `permissions.publish` holds for publishers over REST, and nothing else does.

use super::*;

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
        check(config, Who::Certificate(&own), "/queue/orders/1", Ok(()));
        let other = Err("it is not among the destinations of the certificate");
        check(config, Who::Certificate(&own), "/queue/staff/x", other);
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
