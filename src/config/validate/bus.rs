//! `[bus]`: how to reach NATS. No finding repeats the URL, which may hold a password, or a secret.

use super::Findings;
use crate::bus::Config;

const CAPACITY_MAX: usize = 1 << 20;

pub(super) fn check(config: &Config, findings: &mut Findings) {
    if let Some(url) = &config.url
        && !url.split(',').all(|server| is_server(server.trim()))
    {
        findings.error(
            "bus.url",
            "expected nats://host:port or tls://host:port, several by commas (the value is not shown)",
        );
    }
    if !is_token(&config.prefix) {
        findings.error(
            "bus.prefix",
            format!(
                "expected one NATS token: 1 to 64 letters, digits, - or _, got {:?}",
                config.prefix
            ),
        );
    }
    one_of_two(
        "password",
        config.password.is_some(),
        config.password_file.is_some(),
        findings,
    );
    one_of_two(
        "token",
        config.token.is_some(),
        config.token_file.is_some(),
        findings,
    );
    one_of_two(
        "nkey",
        config.nkey.is_some(),
        config.nkey_file.is_some(),
        findings,
    );
    // The key that is set is the one to name: what is not set has no place where it stands.
    let either = |key, is_set, file_key, file_is_set: bool| {
        if is_set {
            Some(key)
        } else {
            file_is_set.then_some(file_key)
        }
    };
    let password = either(
        "bus.password",
        config.password.is_some(),
        "bus.password_file",
        config.password_file.is_some(),
    );
    match (&config.user, password) {
        (Some(_), None) => findings.error("bus.user", "expected bus.password or bus.password_file too"),
        (None, Some(key)) => findings.error(key, "expected bus.user too"),
        _ => {}
    }

    let ways: Vec<&str> = [
        config.user.is_some().then_some("bus.user"),
        either(
            "bus.token",
            config.token.is_some(),
            "bus.token_file",
            config.token_file.is_some(),
        ),
        config
            .credentials_file
            .is_some()
            .then_some("bus.credentials_file"),
        either(
            "bus.nkey",
            config.nkey.is_some(),
            "bus.nkey_file",
            config.nkey_file.is_some(),
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    if let [first, _, ..] = ways[..] {
        findings.error(
            first,
            format!("expected one way to authenticate, got {}", ways.join(" and ")),
        );
    }
    if config.url.is_none() {
        for key in ways
            .into_iter()
            .chain(config.ca_file.as_ref().map(|_| "bus.ca_file"))
        {
            findings.warn(
                key,
                "has no effect: bus.url is not set, so the bus is the embedded one",
            );
        }
    }

    findings.positive("bus.request_timeout", config.request_timeout);
    findings.positive("bus.reconnect_delay", config.reconnect_delay);
    findings.positive("bus.ping_interval", config.ping_interval);
    findings.within(
        "bus.subscription_capacity",
        config.subscription_capacity,
        1,
        CAPACITY_MAX,
    );
    findings.within("bus.embedded_capacity", config.embedded_capacity, 1, CAPACITY_MAX);
}

fn one_of_two(name: &str, value: bool, file: bool, findings: &mut Findings) {
    if value && file {
        findings.error(
            format!("bus.{name}"),
            format!("expected this or bus.{name}_file, got both"),
        );
    }
}

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
        // A user or a password that holds a slash has to escape it (RFC 3986 section 3.2.1).
        && !authority.contains(|c: char| c.is_whitespace() || c == '/')
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// A subject token that needs no escape (docs/nats.md).
fn is_token(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
