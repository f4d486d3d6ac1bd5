//! Promise: RFC 6455 section 4.2.1, header by header.

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
    )
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
        let outcome = check(&method, Version::HTTP_11, &headers, &origins);
        assert_eq!(outcome, Err(Refused::Method));
    }
    let outcome = check(&Method::GET, Version::HTTP_10, &headers, &origins);
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
        let counts = outcome.map(|agreed| agreed.authorization == Some(Secret::new("Basic eA==")));
        assert_eq!(counts, expected, "{origin} {list}");
    }
    let two = [("origin", "https://a.example"), ("origin", "https://a.example")];
    assert_eq!(ask(&two, &["https://a.example"]), Err(Refused::Origin));
    let two = [basic, ("authorization", "Basic eQ==")];
    assert_eq!(ask(&two, &["*"]).unwrap().authorization, None);
}
