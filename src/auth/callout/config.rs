//! `auth.order` and `[auth.callout]`: who decides about a credential, and the limits on asking a backend.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::auth::token::config::{check_names, is_safe, prefix_problem};
use crate::principal::{ROLE_ADMIN, ROLE_PUBLISHER, Role};
use crate::setting::{Findings, HumanDuration, as_text};

/// The maximum number of `auth.callout.headers`.
const HEADERS_MAX: usize = 8;

/// Who decides about credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The issuers of `auth.issuers`, about their tokens.
    Token,
    /// Herald, about its own users' passwords.
    Password,
    /// A backend, about everything else.
    Callout,
}

/// `auth.callout.target`: the backend to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A responder on NATS.
    Nats,
    /// An HTTP server.
    Http(Box<str>),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nats => "nats",
            Self::Http(uri) => uri,
        })
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "nats" => Ok(Self::Nats),
            uri => match is_safe(uri) {
                Ok(()) => Ok(Self::Http(uri.into())),
                // Without the text, which may contain a password.
                Err(words) => Err(format!(
                    "expected nats; or {}",
                    words.trim_start_matches("expected ")
                )),
            },
        }
    }
}

as_text!(Target);

/// The name of a header of the upgrade: lower-case letters, digits and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HeaderName(Box<str>);

impl HeaderName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for HeaderName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        match (1..=64).contains(&text.len()) && text.bytes().all(legal) {
            true => Ok(Self(text.into())),
            false => Err("expected a header's name in lower-case letters, such as cookie".into()),
        }
    }
}

as_text!(HeaderName);

/// `[auth.callout]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CalloutConfig {
    /// The backend to ask.
    pub target: Option<Target>,
    /// The prefix of its users' names.
    pub user_prefix: Option<String>,
    /// Roles that all of its users have.
    pub roles: Vec<Role>,
    /// Maps roles in its answers to roles.
    pub role_map: BTreeMap<String, Role>,
    /// Roles in its answers that are used unchanged.
    pub roles_allowed: Vec<Role>,
    /// How long an answer may take.
    pub timeout: HumanDuration,
    /// How many questions may wait for an answer at the same time.
    pub at_once: usize,
    /// How long an acceptance is remembered. 0s: not at all.
    pub cache: HumanDuration,
    /// How many are remembered.
    pub cache_entries: usize,
    /// Headers of the upgrade that the backend is told.
    pub headers: Vec<HeaderName>,
    /// The certificate authorities for its server, instead of the system's.
    pub ca_file: Option<String>,
}

impl Default for CalloutConfig {
    fn default() -> Self {
        Self {
            target: None,
            user_prefix: None,
            roles: vec![Role::user()],
            role_map: BTreeMap::new(),
            roles_allowed: Vec::new(),
            timeout: HumanDuration::secs(1),
            at_once: 256,
            cache: HumanDuration::secs(0),
            cache_entries: 10_000,
            headers: Vec::new(),
            ca_file: None,
        }
    }
}

impl CalloutConfig {
    /// Checks that questions are bounded, and that the backend's users cannot be confused with others. `others`: the
    /// prefixes of issuers.
    pub(in crate::auth) fn check<'a>(&self, others: impl Iterator<Item = &'a str>, findings: &mut Findings) {
        let (least, most) = (HumanDuration::millis(100), HumanDuration::secs(30));
        findings.within("auth.callout.timeout", self.timeout, least, most);
        findings.within("auth.callout.at_once", self.at_once, 1, 10_000);
        findings.within("auth.callout.cache_entries", self.cache_entries, 1, 1_000_000);
        findings.within("auth.callout.headers", self.headers.len(), 0, HEADERS_MAX);
        let longest = HumanDuration::secs(3_600);
        findings.within("auth.callout.cache", self.cache, HumanDuration::secs(0), longest);
        for (key, roles) in [("roles", &self.roles), ("roles_allowed", &self.roles_allowed)] {
            let mighty = [ROLE_ADMIN, ROLE_PUBLISHER];
            if roles.iter().any(|role| mighty.contains(&role.as_str())) {
                findings.error(
                    format!("auth.callout.{key}"),
                    "ROLE_ADMIN and ROLE_PUBLISHER are given by role_map alone",
                );
            }
        }
        let key = "auth.callout.user_prefix";
        match self.user_prefix.as_deref() {
            None if self.target.is_some() => {
                findings.error(
                    key,
                    "expected what stands before the names of its users, such as \"app:\"",
                );
            }
            None => {}
            Some("") if self.target.is_some() => {
                findings.warn(
                    key,
                    "the backend's users share the names of the users with passwords",
                );
            }
            Some("") => {}
            Some(prefix) => {
                if let Some(words) = prefix_problem(prefix) {
                    findings.error(key, words);
                }
            }
        }
        if let Some(prefix) = self.user_prefix.as_deref() {
            check_names(key, prefix, others, findings);
        }
    }
}

/// Checks `auth.order` against what is configured: whether there are users with passwords, issuers, and a callout.
pub(in crate::auth) fn check_order(
    order: &[Source],
    users: bool,
    issuers: bool,
    callout: &CalloutConfig,
    findings: &mut Findings,
) {
    let key = "auth.order";
    let mut seen = HashSet::new();
    if !order.iter().all(|source| seen.insert(*source)) {
        findings.error(key, "expected each of token, password and callout at most once");
    }
    let place = order.iter().position(|source| *source == Source::Callout);
    if place.is_some_and(|place| place + 1 < order.len()) {
        findings.error(
            key,
            "expected callout as the last: Herald's own users and issuers never depend on it",
        );
    }
    let there = [
        (
            Source::Password,
            users,
            "password: there are users with passwords",
        ),
        (Source::Token, issuers, "token: there are issuers in auth.issuers"),
        (
            Source::Callout,
            callout.target.is_some(),
            "callout: auth.callout.target is set",
        ),
    ];
    for (source, is_there, words) in there {
        if is_there && !order.contains(&source) {
            findings.error(key, format!("expected {words}"));
        }
    }
    if callout.target.is_none() && place.is_some() {
        findings.error(
            "auth.callout.target",
            "expected whom to ask: auth.order has callout",
        );
    }
}

/// Whether questions go to another machine unencrypted, over NATS at `url`: they contain passwords.
pub fn is_in_the_clear(url: &str) -> bool {
    url.split(',').any(|server| {
        let url = Url::parse(server.trim());
        url.is_ok_and(|url| {
            let host = url.host_str().unwrap_or_default();
            let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            let is_near = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
            !is_near && url.scheme() != "tls"
        })
    })
}
