//! Names of this server: `http.hosts`, and what a `Host` or an `Origin` says about one. A name that a stranger owns can
//! be pointed here (DNS rebinding), and the stranger's pages then look like pages of "the host itself"; an address
//! cannot, and neither can `localhost`. Pure; knows no request.

use std::fmt;
use std::str::FromStr;

use axum::http::uri::Authority;
use url::{Host, Url};

use crate::setting::as_text;

/// One of `http.hosts`: a name, `*.example.com` for every name below a domain, or an address; without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    host: Host,
    below: bool,
}

impl HostPattern {
    fn matches(&self, host: &Host) -> bool {
        match (&self.host, host) {
            (Host::Domain(domain), Host::Domain(name)) if self.below => name
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            (ours, host) => !self.below && ours == host,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "*." } else { "" }, self.host)
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix("*.");
        let host = Host::parse(name.unwrap_or(text)).ok();
        let host = host.filter(|host| match host {
            Host::Domain(domain) => {
                !domain.starts_with('.') && !domain.ends_with('.') && !domain.contains('*')
            }
            Host::Ipv4(_) | Host::Ipv6(_) => name.is_none(),
        });
        // Only what is spelled as it is read: `http://a` and `127.1` are mistakes.
        host.filter(|host| host.to_string() == name.unwrap_or(text).to_ascii_lowercase())
            .map(|host| Self {
                host,
                below: name.is_some(),
            })
            .ok_or_else(|| {
                format!(
                    "expected a host such as chat.example.com, *.example.com, 10.0.0.7 or [::1], without a port, got {text:?}"
                )
            })
    }
}

as_text!(HostPattern);

/// Whether `header`, a `Host`, names one of `hosts`. Ports are not compared, and a dot at the end says nothing.
pub(super) fn lists(hosts: &[HostPattern], header: &str) -> bool {
    let host = header.parse::<Authority>().ok().and_then(|authority| {
        let host = authority.host();
        let named = authority.as_str().len() - authority.port().map_or(0, |port| port.as_str().len() + 1);
        // Without a name and password before it.
        (named == host.len()).then(|| Host::parse(host.strip_suffix('.').unwrap_or(host)).ok())?
    });
    host.is_some_and(|host| hosts.iter().any(|pattern| pattern.matches(&host)))
}

/// The port in `origin`, if it is that of a page that came over plain HTTP from a *name*: only such a page may owe to a
/// stranger's DNS that it is of this host. A name below `localhost` is always this machine (RFC 6761 section 6.3).
pub(super) fn rebindable(origin: &str) -> Option<u16> {
    let url = Url::parse(origin).ok().filter(|url| url.scheme() == "http")?;
    match url.host()? {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            let local = name == "localhost" || name.ends_with(".localhost");
            url.port_or_known_default().filter(|_| !local)
        }
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

/// The name in `origin`, as `http.hosts` takes it.
pub(super) fn name_of(origin: &str) -> Option<String> {
    let url = Url::parse(origin).ok()?;
    let name = url.host()?.to_string();
    Some(name.strip_suffix('.').unwrap_or(&name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_listed_by_its_name_alone() {
        let list = ["chat.example.com", "*.corp", "10.0.0.7", "[::1]", "LOCALHOST"];
        let list: Vec<HostPattern> = list.iter().map(|text| text.parse().unwrap()).collect();
        for host in [
            "chat.example.com",
            "Chat.Example.com:8443",
            "chat.example.com.",
            "chat.example.com.:80",
            "a.corp",
            "a.b.corp:1",
            "10.0.0.7:8080",
            "[::1]:8080",
            "[0:0:0:0:0:0:0:1]",
            "localhost:8080",
        ] {
            assert!(lists(&list, host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "a.chat.example.com",
            "chat.example.com.evil.example",
            "corp",
            ".corp",
            "evilcorp",
            "10.0.0.8",
            "::1",
            "[::2]",
            "u@chat.example.com",
            "chat.example.com@evil.example",
            "chat.example.com, evil.example",
        ] {
            assert!(!lists(&list, host), "{host}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            "*.10.0.0.7",
            "a.*.b",
            "http://a",
            "a:80",
            "a/",
            "127.1",
            "::1",
            "a.",
            ".a",
            "u@a",
            "a b",
            "bücher.example",
        ] {
            let error = text.parse::<HostPattern>().unwrap_err();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
        for text in [
            "a_b.example",
            "*.example.com",
            "[2001:db8::1]",
            "xn--bcher-kva.example",
        ] {
            assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn only_a_name_over_plain_http_can_be_rebound() {
        for (origin, expected) in [
            ("http://evil.example", Some(80)),
            ("http://evil.example.:8080", Some(8080)),
            ("http://localhost.evil.example", Some(80)),
            ("http://evillocalhost:1", Some(1)),
            ("https://evil.example", None),
            ("http://localhost:8080", None),
            ("http://a.localhost.:8080", None),
            ("http://10.0.0.7:8080", None),
            ("http://[::1]:8080", None),
            ("capacitor://localhost", None),
            ("null", None),
        ] {
            assert_eq!(rebindable(origin), expected, "{origin}");
        }
    }
}
