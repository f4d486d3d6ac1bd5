//! The promise: only trusted proxies report who a client is, and a client cannot do so through them.

use axum::http::HeaderValue;

use super::*;

fn proxies(header: ForwardedHeader) -> Proxies {
    let networks = ["10.0.0.0/8", "192.0.2.7", "fd00::/8"].map(|text| text.parse().unwrap());
    Proxies::new(&networks, header)
}

#[track_caller]
fn check(header: ForwardedHeader, peer: &str, lines: &[(&str, &str)], expected: &str) {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        headers.append(HeaderName::from_str(name).unwrap(), value);
    }
    let client = proxies(header).client(peer.parse().unwrap(), &headers);
    assert_eq!(client, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
}

#[test]
fn a_network_may_be_written_as_ipv6() {
    let check = |network: &str, peer: &str, trusted: bool| {
        let proxies = Proxies::new(&[network.parse().unwrap()], ForwardedHeader::XForwardedFor);
        assert_eq!(proxies.trust(peer.parse().unwrap()), trusted, "{network} {peer}");
    };
    for network in ["::ffff:10.0.0.0/104", "::ffff:10.1.2.3/104", "10.0.0.0/8"] {
        check(network, "10.255.0.1", true);
        check(network, "::ffff:10.255.0.1", true);
        check(network, "11.0.0.1", false);
    }
    check("::ffff:192.0.2.7", "192.0.2.7", true);
    check("::ffff:192.0.2.7", "192.0.2.8", false);
    check("::ffff:0:0/96", "192.0.2.7", true);
    // It holds IPv6 addresses as well, and is none of IPv4.
    check("::/0", "2001:db8::1", true);
    check("::/0", "192.0.2.7", false);
}

#[test]
fn x_forwarded_for() {
    let check = |peer: &str, lines: &[&str], expected: &str| {
        let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        check(ForwardedHeader::XForwardedFor, peer, &lines, expected);
    };
    check("10.0.0.1", &[], "10.0.0.1");
    check("10.0.0.1", &["203.0.113.5"], "203.0.113.5");
    check("::ffff:10.0.0.1", &["203.0.113.5"], "203.0.113.5");
    check("192.0.2.7", &["203.0.113.5"], "203.0.113.5");
    // Nobody else is believed.
    check("192.0.2.8", &["203.0.113.5"], "192.0.2.8");
    check("203.0.113.9", &["10.0.0.1, 203.0.113.5"], "203.0.113.9");
    // The rightmost that is no proxy; what the client wrote itself stands further left.
    check("10.0.0.1", &["1.1.1.1, 203.0.113.5"], "203.0.113.5");
    check("10.0.0.1", &["1.1.1.1", "203.0.113.5, 10.0.0.2"], "203.0.113.5");
    check("10.0.0.1", &["nonsense, 203.0.113.5, fd00::2"], "203.0.113.5");
    check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
    // Forms that proxies write.
    check("10.0.0.1", &["203.0.113.5:4711"], "203.0.113.5");
    check("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1");
    check("10.0.0.1", &["2001:db8::1"], "2001:db8::1");
    check("10.0.0.1", &["::ffff:203.0.113.5"], "203.0.113.5");
    // Not readable: the proxy that reported it.
    for line in [
        "",
        "unknown",
        "203.0.113",
        "203.0.113.5 x",
        "\"203.0.113.5",
        "é",
        ",",
        "203.0.113.5,",
    ] {
        check("10.0.0.1", &[line], "10.0.0.1");
    }
    check("10.0.0.1", &["203.0.113.5, unknown, 10.0.0.2"], "10.0.0.2");
    let long = vec!["10.0.0.2"; 1_000].join(",");
    check("10.0.0.1", &[&format!("203.0.113.5,{long}")], "10.0.0.2");
}

#[test]
fn forwarded() {
    let check = |lines: &[&str], expected: &str| {
        let lines: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
        check(ForwardedHeader::Forwarded, "10.0.0.1", &lines, expected);
    };
    check(&["for=203.0.113.5"], "203.0.113.5");
    check(&["For=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17");
    check(
        &["for=1.1.1.1, for=203.0.113.5;proto=https;by=10.0.0.1"],
        "203.0.113.5",
    );
    check(
        &["for=1.1.1.1", "proto=http; for=\"203.0.113.5:80\" , for=10.0.0.2"],
        "203.0.113.5",
    );
    // An open quote of the client's does not swallow what the proxy wrote behind it.
    check(&["for=\"x, for=203.0.113.5"], "203.0.113.5");
    check(&["for=\"1.1.1.1,2.2.2.2\", for=203.0.113.5"], "203.0.113.5");
    for line in [
        "",
        "for=",
        "for=unknown",
        "for=_hidden",
        "for=\"203.0.113.5",
        "by=203.0.113.5",
        "203.0.113.5",
    ] {
        check(&[line], "10.0.0.1");
    }
    check(&["for=1.1.1.1, for=203.0.113.5;by=\"a,b\""], "203.0.113.5");
    check(&["for=203.0.113.5;for=203.0.113.6"], "10.0.0.1");
}

#[test]
fn only_the_configured_header_counts() {
    let lines = [("forwarded", "for=1.1.1.1"), ("x-forwarded-for", "203.0.113.5")];
    check(ForwardedHeader::XForwardedFor, "10.0.0.1", &lines, "203.0.113.5");
    check(ForwardedHeader::Forwarded, "10.0.0.1", &lines, "1.1.1.1");
}

#[test]
fn networks_are_read() {
    let check = |text: &str, shown: Option<&str>| {
        let network = text.parse::<Network>().ok().map(String::from);
        assert_eq!(network.as_deref(), shown, "{text}");
    };
    check("10.0.0.0/8", Some("10.0.0.0/8"));
    check("10.1.2.3/8", Some("10.0.0.0/8"));
    check("192.0.2.7", Some("192.0.2.7/32"));
    check("fd00::/8", Some("fd00::/8"));
    check("::1", Some("::1/128"));
    check("10.0.0.0/33", None);
    check("proxy.local", None);
}
