//! The promise: RFC 6455 section 4.2.1, header by header.

use super::*;

const GOOD: [(&str, &str); 4] = [
    ("connection", "keep-alive, Upgrade"),
    ("upgrade", "WebSocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// The good request without the headers that `changes` names, and with those of its values that are not empty.
fn ask(changes: &[(&'static str, &str)], origins: &[&str]) -> Result<Agreed, Refused> {
    let mut headers = HeaderMap::new();
    for (name, value) in GOOD {
        if changes.iter().all(|(changed, _)| *changed != name) {
            headers.append(name, value.parse().unwrap());
        }
    }
    for (name, value) in changes.iter().filter(|(_, value)| !value.is_empty()) {
        headers.append(*name, value.parse().unwrap());
    }
    check(
        &Method::GET,
        Version::HTTP_11,
        &headers,
        &Origins::parse(origins).unwrap(),
        Some("token"),
        &["x-tenant".into(), "cookie".into()],
    )
}

#[test]
fn what_a_backend_may_know_is_kept() {
    let own = ("origin", "https://a.example");
    let long = "x".repeat(4_097);
    let upgrade = |changes: &[(&'static str, &str)]| ask(changes, &["*"]).unwrap().upgrade;
    let found = upgrade(&[own, ("x-tenant", "a"), ("x-tenant", "b"), ("x-other", "c")]);
    assert_eq!(found.origin.as_deref(), Some("https://a.example"));
    let kept: Vec<_> = found
        .headers
        .iter()
        .map(|(name, value)| (&**name, value.expose()))
        .collect();
    assert_eq!(kept, [("x-tenant", "a, b")]);
    let found = upgrade(&[("cookie", "a=b"), ("cookie", "c=d"), ("x-tenant", &long)]);
    let kept: Vec<_> = found
        .headers
        .iter()
        .map(|(name, value)| (&**name, value.expose()))
        .collect();
    assert_eq!(kept, [("cookie", "a=b; c=d")]);
    assert_eq!(found.origin, None);
    assert!(!format!("{found:?}").contains("c=d"));
}

fn refused(changes: &[(&'static str, &str)], expected: Refused) {
    assert_eq!(ask(changes, &["*"]), Err(expected), "{changes:?}");
}

#[test]
fn required_headers() {
    assert!(ask(&[], &["*"]).is_ok());
    refused(&[("upgrade", "")], Refused::NoUpgrade);
    refused(&[("upgrade", "h2c")], Refused::NoUpgrade);
    refused(&[("connection", "")], Refused::NoUpgrade);
    refused(&[("connection", "close")], Refused::NoUpgrade);
    refused(&[("sec-websocket-version", "")], Refused::Version);
    refused(&[("sec-websocket-version", "8")], Refused::Version);
    refused(
        &[("sec-websocket-version", "13"), ("sec-websocket-version", "13")],
        Refused::Version,
    );
    for key in [
        "",
        "short",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZXh4",
        "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==",
        "!GhlIHNhbXBsZSBub25jZQ==",
    ] {
        refused(&[("sec-websocket-key", key)], Refused::Key);
    }
    assert!(ask(&[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZR==")], &["*"]).is_ok());
    refused(&[("content-length", "5")], Refused::Body);
    refused(&[("transfer-encoding", "chunked")], Refused::Body);
    assert!(ask(&[("content-length", "0")], &["*"]).is_ok());
}

#[test]
fn method_and_http_version() {
    let origins = Origins::parse(["*"]).unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in GOOD {
        headers.append(name, value.parse().unwrap());
    }
    for method in [Method::POST, Method::HEAD, Method::OPTIONS] {
        let outcome = check(&method, Version::HTTP_11, &headers, &origins, None, &[]);
        assert_eq!(outcome, Err(Refused::Method));
    }
    let outcome = check(&Method::GET, Version::HTTP_10, &headers, &origins, None, &[]);
    assert_eq!(outcome, Err(Refused::NoUpgrade));
}

#[test]
fn subprotocols() {
    for (offers, expected) in [
        (&[""][..], None),
        (&["v10.stomp"], Some("v10.stomp")),
        (&["v10.stomp, v11.stomp,v12.stomp"], Some("v12.stomp")),
        (&["v10.stomp", "v11.stomp"], Some("v11.stomp")),
        (&["mqtt, v10.stomp"], Some("v10.stomp")),
        (&["mqtt"], None),
        (&["V12.STOMP"], None),
    ] {
        let changes: Vec<_> = offers
            .iter()
            .map(|offer| ("sec-websocket-protocol", *offer))
            .collect();
        let agreed = ask(&changes, &["*"]).unwrap();
        assert_eq!(agreed.subprotocol, expected, "{offers:?}");
    }
}

#[test]
fn origin_decides_on_authorization() {
    let basic = ("authorization", "Basic eA==");
    for (origin, list, expected) in [
        ("", "*", Ok(true)),
        ("", "https://a.example", Ok(true)),
        ("https://a.example", "*", Ok(false)),
        ("https://a.example", "https://a.example", Ok(true)),
        ("https://a.example", "https://*.example", Ok(true)),
        ("https://b.example", "https://a.example", Err(Refused::Origin)),
        ("null", "https://a.example", Err(Refused::Origin)),
        ("null", "*", Ok(false)),
        ("https://herald.example", "https://a.example", Ok(false)),
        (
            "https://herald.example:444",
            "https://a.example",
            Err(Refused::Origin),
        ),
    ] {
        let outcome = ask(&[basic, ("host", "herald.example"), ("origin", origin)], &[list]);
        let counts = outcome.map(|agreed| agreed.upgrade.authorization == Some(Secret::new("Basic eA==")));
        assert_eq!(counts, expected, "{origin} {list}");
    }
    let two = [("origin", "https://a.example"), ("origin", "https://a.example")];
    assert_eq!(ask(&two, &["https://a.example"]), Err(Refused::Origin));
    let two = [basic, ("authorization", "Basic eQ==")];
    assert_eq!(ask(&two, &["*"]).unwrap().upgrade.authorization, Some(unusable()));
}

#[test]
fn a_token_may_come_as_a_sub_protocol_or_from_a_known_page_as_a_cookie() {
    let own = ("origin", "https://app.example");
    let host = ("host", "app.example");
    let protocols = ("sec-websocket-protocol", "v12.stomp, herald.bearer.a.b.c");
    let cookie = ("cookie", "x=1; token=d.e.f; y=2");
    let check = |changes: &[(&'static str, &str)], origins: &[&str], expected: Option<&str>| {
        let agreed = ask(changes, origins).unwrap();
        assert_eq!(
            agreed.upgrade.authorization,
            expected.map(Secret::new),
            "{changes:?}"
        );
        agreed.subprotocol
    };
    // Never echoed, whatever else is offered.
    assert_eq!(
        check(&[protocols], &["*"], Some("Bearer a.b.c")),
        Some("v12.stomp")
    );
    let alone = ("sec-websocket-protocol", "herald.bearer.a.b.c");
    assert_eq!(check(&[alone], &["*"], Some("Bearer a.b.c")), None);
    let other = ("origin", "https://evil.example");
    check(&[protocols, other, host], &["*"], Some("Bearer a.b.c"));
    let twice = ("sec-websocket-protocol", "herald.bearer.x");
    check(&[protocols, twice, cookie, own, host], &["*"], Some("unusable"));
    // A header of the request's own comes first, and the cookie last.
    check(
        &[("authorization", "Bearer h"), protocols, cookie],
        &["*"],
        Some("Bearer h"),
    );
    check(&[protocols, cookie, own, host], &["*"], Some("Bearer a.b.c"));

    check(&[cookie, own, host], &["*"], Some("Bearer d.e.f"));
    check(&[cookie, own], &["https://app.example"], Some("Bearer d.e.f"));
    check(&[cookie, other, host], &["*"], None);
    check(&[cookie, host], &["*"], None);
    check(&[cookie, ("origin", "null"), host], &["*"], None);
    check(
        &[cookie, ("cookie", "token=g"), own, host],
        &["*"],
        Some("unusable"),
    );
    check(&[("cookie", "token=; xtoken=a"), own, host], &["*"], None);
}
