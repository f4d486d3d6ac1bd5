//! `[http]`: addresses, paths and origins.

use std::net::SocketAddr;

use super::Findings;
use crate::http::Config;
use crate::http::page::Choice;
use crate::origins::Origins;

/// First segments that Herald's own routes take (docs/rest.md).
const RESERVED: [&str; 5] = ["api", "livez", "readyz", "metrics", "manage"];

pub(super) fn check(config: &Config, findings: &mut Findings) {
    let listen = address("http.listen", &config.listen, findings);
    if let Some(text) = &config.admin_listen {
        let admin = address("http.admin_listen", text, findings);
        if admin.is_some_and(|address| address.port() != 0) && admin == listen {
            findings.error(
                "http.admin_listen",
                "expected another address than that of http.listen",
            );
        }
    }
    if !config.base_path.is_empty() {
        path("http.base_path", &config.base_path, findings);
    }
    path("http.ws_path", &config.ws_path, findings);
    let first = config.ws_path.trim_start_matches('/').split('/').next();
    if first.is_some_and(|segment| RESERVED.contains(&segment)) {
        findings.error(
            "http.ws_path",
            format!(
                "expected a path of its own: these are taken: /{}",
                RESERVED.join(", /")
            ),
        );
    }
    for (key, origins) in [
        ("http.origins", &config.origins),
        ("http.cors_origins", &config.cors_origins),
    ] {
        for (index, text) in origins.iter().enumerate() {
            if let Err(error) = Origins::parse([text]) {
                findings.error(format!("{key}[{index}]"), error.to_string());
            }
        }
    }
    if config.proxy_protocol && config.trusted_proxies.is_empty() {
        findings.error(
            "http.proxy_protocol",
            "expected http.trusted_proxies to name the proxies that send it",
        );
    }
    if config.page == Choice::Small {
        findings.warn(
            "http.page",
            "there is one page now: \"small\" is read as \"full\"",
        );
    }
    findings.positive("http.header_timeout", config.header_timeout);
    findings.at_least("http.max_connections", config.max_connections, 1);
}

pub(super) fn address(key: &str, text: &str, findings: &mut Findings) -> Option<SocketAddr> {
    let parsed = text.parse().ok();
    if parsed.is_none() {
        findings.error(
            key,
            format!("expected an IP address and a port, such as 127.0.0.1:8080 or [::]:8080, got {text:?}"),
        );
    }
    parsed
}

/// `/a/b`: segments of unreserved characters (RFC 3986 section 2.3), so that no route needs escapes.
fn path(key: &str, text: &str, findings: &mut Findings) {
    let segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
    };
    if !text
        .strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(segment))
    {
        findings.error(
            key,
            format!(
                "expected a path such as /backend, with / in front and none at the end, of letters, digits and \
                 -._~, got {text:?}"
            ),
        );
    }
}
