//! The addresses in `bus.url`. No error repeats the text, which may contain a password by mistake.

use std::fmt;
use std::str::FromStr;

use async_nats::ServerAddr;

use crate::setting::as_text;

/// One address or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    text: Box<str>,
    addresses: Vec<ServerAddr>,
}

impl Servers {
    /// At least one; only `nats` and `tls`, without credentials.
    pub fn addresses(&self) -> &[ServerAddr] {
        &self.addresses
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Servers {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let servers = || text.split(',').map(str::trim);
        let addresses: Option<Vec<ServerAddr>> = servers()
            .map(|server| server.parse().ok().filter(|_| is_server(server)))
            .collect();
        match addresses {
            None => Err(
                "expected nats://host:port or tls://host:port, several by commas (the value is not shown)",
            ),
            // The client would ignore them, and write them to its log.
            Some(_) if servers().any(|server| server.contains('@')) => Err(
                "holds a user name or password; set bus.user and bus.password_file instead (the value is not shown)",
            ),
            Some(addresses) => Ok(Self {
                text: text.into(),
                addresses,
            }),
        }
    }
}

as_text!(Servers);

/// Stricter than the client, which accepts any URL.
fn is_server(server: &str) -> bool {
    let authority = match server.split_once("://") {
        Some(("nats" | "tls", rest)) => rest,
        Some(_) => return false,
        None => server,
    };
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    !name.is_empty()
        && !authority.contains(|c: char| c.is_whitespace() || c == '/')
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_list_without_secrets() {
        let check = |text: &str, expected: Result<usize, &str>| match (text.parse::<Servers>(), expected) {
            (Ok(servers), Ok(count)) => assert_eq!(servers.addresses().len(), count, "{text}"),
            (Err(error), Err(words)) => assert!(error.contains(words), "{text}: {error}"),
            (found, _) => panic!("{text}: {found:?}"),
        };
        check("nats://a", Ok(1));
        check("nats://a:4222,nats://b:4222", Ok(2));
        check("a:4222", Ok(1));
        check("a, b", Ok(2));
        check("nats://[::1]:4222", Ok(1));
        check("tls://a:4222", Ok(1));
        for text in [
            "",
            "http://a",
            "ws://a",
            "nats://",
            "nats://a:b",
            "nats://a,",
            "nats://a b",
            "nats://a:1/x",
            "nats://u:p/q@a",
            "x://u:p@a, nats://b",
        ] {
            check(text, Err("expected nats://host:port"));
        }
        for text in ["nats://u:s3cret@a", "tls://b, u:s3cret@a:4222", "nats://token@a"] {
            check(text, Err("bus.password_file"));
        }
    }
}
