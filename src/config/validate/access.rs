//! `[api]`, `[auth]` and `[login]`: keys and users. No finding repeats a hash.

use std::collections::HashSet;
use std::net::SocketAddr;

use super::Findings;
use crate::config::Config;
use crate::http::access::Access;
use crate::principal::{ROLE_ADMIN, ROLE_PUBLISHER, UserName};

pub(super) fn check(config: &Config, demo: bool, findings: &mut Findings) {
    keys(config, findings);
    users(config, findings);
    let login = &config.login;
    if let Some(permits) = login.permits {
        findings.within("login.permits", permits, 1, 1_024);
    }
    findings.within("login.queue", login.queue, 0, 1 << 20);
    findings.positive("login.queue_timeout", login.queue_timeout);
    findings.within("login.delayed", login.delayed, 0, 1_000_000);
    findings.positive("login.failures_half_life", login.failures_half_life);
    findings.within("api.taps", config.api.taps, 0, 64);
    findings.within("api.tap_destinations", config.api.tap_destinations, 1, 100_000);
    if login.delay_max < login.delay {
        findings.error(
            "login.delay_max",
            format!(
                "expected at least login.delay ({}), got {}",
                login.delay, login.delay_max
            ),
        );
    }

    let auth = &config.auth;
    if auth.users.is_empty() && auth.users_file.is_none() && !demo {
        findings.warn(
            "auth.users_file",
            "nobody can log in: neither this nor auth.users is set",
        );
    }
    let may_publish = |roles: &Vec<String>| {
        roles
            .iter()
            .any(|role| role == ROLE_PUBLISHER || role == ROLE_ADMIN)
    };
    match config.api.access {
        // Who is in the users file is not known here.
        Access::Keys => {
            if config.api.keys.is_empty()
                && auth.users_file.is_none()
                && !auth.users.iter().any(|user| may_publish(&user.roles))
            {
                findings.warn(
                    "api.access",
                    "nobody can publish over REST: there is no key in api.keys and no user with ROLE_PUBLISHER",
                );
            }
        }
        Access::Open => {
            let address: Option<SocketAddr> = config.http.listen.parse().ok();
            if address.is_some_and(|address| !address.ip().is_loopback()) {
                findings.warn(
                    "api.access",
                    format!("open: whoever reaches {} may publish", config.http.listen),
                );
            }
        }
    }
}

fn keys(config: &Config, findings: &mut Findings) {
    let (mut names, mut hashes) = (HashSet::new(), HashSet::new());
    for (index, key) in config.api.keys.iter().enumerate() {
        let at = |field: &str| format!("api.keys[{index}].{field}");
        if key.name.is_empty() || key.name.len() > 128 || key.name.chars().any(char::is_control) {
            findings.error(at("name"), "expected 1 to 128 bytes without control characters");
        }
        if !names.insert(&key.name) {
            findings.error(at("name"), format!("{:?} is another key's name too", key.name));
        }
        if key.sha256.len() != 64 || !key.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            findings.error(
                at("sha256"),
                format!(
                    "expected the 64 hexadecimal digits of the key's SHA-256, got {} characters",
                    key.sha256.chars().count()
                ),
            );
        }
        if !hashes.insert(key.sha256.to_ascii_lowercase()) {
            findings.error(at("sha256"), "is another key's too: each key has one name");
        }
        if key.scopes.is_empty() {
            findings.error(at("scopes"), "expected at least one of publish, read and admin");
        }
    }
}

fn users(config: &Config, findings: &mut Findings) {
    let mut names = HashSet::new();
    for (index, user) in config.auth.users.iter().enumerate() {
        let at = |field: &str| format!("auth.users[{index}].{field}");
        if let Err(error) = UserName::parse(&user.name) {
            findings.error(at("name"), error.to_string());
        }
        if !names.insert(&user.name) {
            findings.error(at("name"), format!("{:?} is there twice", user.name));
        }
        if !user.password.expose().starts_with("$argon2id$") {
            findings.error(
                at("password"),
                "expected an argon2id hash as `herald hash-password` prints it (the value is not shown)",
            );
        }
        if user.roles.iter().any(|role| !role.starts_with("ROLE_")) {
            findings.warn(at("roles"), "role names are full, such as ROLE_USER");
        }
    }
}
