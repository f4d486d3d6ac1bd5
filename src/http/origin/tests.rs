//! The promise: a page changes nothing unless its browser, or its origin, proves that it may.

use super::*;

/// `http.origins`, `http.cors_origins` and `http.hosts`.
fn pages(origins: &[&str], cors: &[&str], hosts: &[&str]) -> Pages {
    Pages {
        origins: Origins::parse(origins).unwrap(),
        cors_origins: Origins::parse(cors).unwrap(),
        hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
    }
}

fn headers(host: &str, site: Option<&str>, origin: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, host.parse().unwrap());
    if let Some(site) = site {
        headers.insert("sec-fetch-site", site.parse().unwrap());
    }
    if let Some(origin) = origin {
        headers.insert(header::ORIGIN, origin.parse().unwrap());
    }
    headers
}

#[test]
fn foreign_pages_change_nothing() {
    let check = |listed: &[&str], cors: &[&str], site: Option<&str>, origin: Option<&str>, passes: bool| {
        let headers = headers("herald.example", site, origin);
        let pages = pages(listed, cors, &[]);
        assert_eq!(
            pages.judge(&Method::POST, &headers).is_ok(),
            passes,
            "{listed:?} {cors:?} {site:?} {origin:?}"
        );
        assert!(pages.judge(&Method::GET, &headers).is_ok());
    };
    let (own, evil) = (Some("https://herald.example"), Some("https://evil.example"));
    check(&["*"], &[], None, None, true);
    check(&["*"], &[], Some("cross-site"), evil, false);
    check(&["*"], &[], Some("cross-site"), None, false);
    check(&["https://evil.example"], &[], Some("cross-site"), evil, false);
    check(&["*"], &[], Some("same-origin"), own, true);
    check(&["*"], &[], Some("same-site"), evil, true);
    check(&[], &[], Some("same-site"), evil, false);
    check(&["*"], &[], Some("none"), None, true);
    // What the browser does not say, the origin must.
    for site in [None, Some("of tomorrow")] {
        check(&["*"], &[], site, evil, false);
        check(&["https://evil.example"], &[], site, evil, true);
        check(&["https://*.example"], &[], site, evil, true);
        check(&[], &["https://evil.example"], site, evil, true);
        check(&[], &[], site, evil, false);
        for origins in [&["*"][..], &[]] {
            check(origins, &[], site, own, true);
            check(origins, &[], site, Some("http://HERALD.example"), true);
            check(origins, &[], site, Some("https://herald.example:443"), true);
            check(origins, &[], site, Some("https://herald.example:444"), false);
        }
    }
    // Nobody's, whatever the browser says of the site.
    for site in [None, Some("same-origin"), Some("same-site"), Some("cross-site")] {
        for (origins, cors) in [(&["*"][..], &[][..]), (&["*"], &["*"]), (&[], &[])] {
            check(origins, cors, site, Some("null"), false);
            check(origins, cors, site, Some(""), false);
            check(
                origins,
                cors,
                site,
                Some("https://herald.example, https://evil.example"),
                false,
            );
        }
    }
    check(&[], &["https://evil.example"], Some("cross-site"), evil, true);
    check(&["*"], &["*"], Some("cross-site"), evil, false);
    // Two of a header that no browser sends twice.
    let mut twice = headers("herald.example", None, own);
    twice.append(header::ORIGIN, "https://evil.example".parse().unwrap());
    assert!(pages(&["*"], &[], &[]).judge(&Method::POST, &twice).is_err());
    let mut twice = headers("herald.example", Some("same-site"), evil);
    twice.append("sec-fetch-site", "cross-site".parse().unwrap());
    assert!(pages(&["*"], &[], &[]).judge(&Method::POST, &twice).is_err());
}

#[test]
fn hosts_bind_pages_and_nobody_else() {
    let pages = pages(&["*"], &["https://app.example"], &["herald.example", "[::1]"]);
    let judge = |host: &str, site: Option<&str>, origin: Option<&str>| {
        pages.judge(&Method::POST, &headers(host, site, origin))
    };
    for host in ["herald.example", "Herald.example.:8080"] {
        assert_eq!(judge(host, Some("same-origin"), None), Ok(()));
        assert_eq!(judge(host, None, Some("https://app.example")), Ok(()));
    }
    assert_eq!(judge("[::1]:80", None, Some("http://[::1]")), Ok(()));
    assert_eq!(
        judge("herald.example", None, Some("http://evil.example")),
        Err(ApiError::CrossSite)
    );
    for host in ["evil.example", "localhost", "127.0.0.1", "[::2]"] {
        let own = format!("http://{host}");
        for (site, origin) in [
            (None, Some(own.as_str())),
            (Some("same-origin"), Some(own.as_str())),
            (Some("none"), None),
            (None, Some("https://app.example")),
        ] {
            assert!(
                matches!(judge(host, site, origin), Err(ApiError::Misdirected(_))),
                "{host} {site:?}"
            );
        }
        assert_eq!(judge(host, None, None), Ok(()));
    }
    let rebound = pages.is_rebound(
        &headers("a", None, Some("http://a:8080")),
        Some(8080),
        &Caller::Anyone,
    );
    assert!(!rebound, "said already");
}

#[test]
fn without_hosts_only_what_dns_may_have_brought_here_is_refused() {
    let check = |origins: &[&str], cors: &[&str], site, origin, port, caller: &Caller, refused| {
        let said = headers("unused", site, Some(origin));
        let rebound = pages(origins, cors, &[]).is_rebound(&said, port, caller);
        assert_eq!(rebound, refused, "{origins:?} {origin} {port:?} {caller}");
    };
    let any = &["*"][..];
    let key = Caller::key_named("ops");
    check(
        any,
        &[],
        None,
        "http://evil.example:8080",
        Some(8080),
        &Caller::Anyone,
        true,
    );
    check(
        any,
        &[],
        None,
        "http://evil.example",
        Some(80),
        &Caller::Anyone,
        true,
    );
    check(
        any,
        &[],
        None,
        "http://evil.example.:8080",
        Some(8080),
        &Caller::Anyone,
        true,
    );
    // A drop-in's pages: from a proxy's port, by TLS, or known by name.
    check(
        any,
        &[],
        None,
        "http://chat.example",
        Some(8080),
        &Caller::Anyone,
        false,
    );
    check(
        any,
        &[],
        None,
        "https://chat.example:8080",
        Some(8080),
        &Caller::Anyone,
        false,
    );
    check(
        any,
        &[],
        Some("same-origin"),
        "https://chat.example:8080",
        Some(8080),
        &Caller::Anyone,
        false,
    );
    check(
        any,
        &[],
        None,
        "http://chat.example:8080",
        None,
        &Caller::Anyone,
        false,
    );
    for (origins, cors) in [
        (&["http://*.example:8080"][..], &[][..]),
        (any, &["http://chat.example:8080"]),
    ] {
        check(
            origins,
            cors,
            None,
            "http://chat.example:8080",
            Some(8080),
            &Caller::Anyone,
            false,
        );
    }
    // What nobody's DNS can move, and what a key vouches for.
    for origin in [
        "http://localhost:8080",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
    ] {
        check(any, &[], None, origin, Some(8080), &Caller::Anyone, false);
    }
    check(
        any,
        &[],
        None,
        "http://chat.example:8080",
        Some(8080),
        &key,
        false,
    );
}
