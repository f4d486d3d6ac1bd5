//! The requirements for `[[auth.issuers]]`, each entry by itself and all together: above all, no two sources of names
//! may name the same user.

use std::collections::HashSet;

use jsonwebtoken::AlgorithmFamily;
use url::{Host, Url};

use super::{AlgorithmName, IssuerConfig, attribute};
use crate::auth::keys::{KEYS_MAX, KID_MAX_BYTES};
use crate::principal::{ANONYMOUS_PREFIX, ATTRIBUTES_MAX, ROLE_ADMIN, ROLE_PUBLISHER, is_attribute_name};
use crate::setting::{Findings, HumanDuration};

/// The maximum number of issuers.
const ISSUERS_MAX: usize = 64;
/// The maximum length of a prefix of names, in bytes.
const PREFIX_MAX_BYTES: usize = 64;

impl IssuerConfig {
    fn check(&self, at: &dyn Fn(&str) -> String, findings: &mut Findings) {
        let texts = [("issuer", &self.issuer), ("user_claim", &self.user_claim)];
        for (key, text) in texts {
            if text.is_empty() || text.len() > 512 || text.chars().any(char::is_control) {
                findings.error(at(key), "expected 1 to 512 bytes without control characters");
            }
        }
        if self.audience.is_empty() || self.audience.iter().any(String::is_empty) {
            findings.error(
                at("audience"),
                "expected at least one, and none empty: who a token is for",
            );
        }
        self.check_prefix(at, findings);
        self.check_roles(at, findings);
        if self.attributes.len() > ATTRIBUTES_MAX
            || !self
                .attributes
                .iter()
                .all(|text| is_attribute_name(attribute(text).0))
        {
            findings.error(
                at("attributes"),
                format!(
                    "expected at most {ATTRIBUTES_MAX} claims of visible ASCII characters without '/', '{{' and '}}', or NAME=CLAIM"
                ),
            );
        }
        if self.types.is_empty() {
            findings.error(at("types"), "expected at least one; \"\" is none");
        }
        if self.algorithms.as_ref().is_some_and(Vec::is_empty) {
            findings.error(at("algorithms"), "expected at least one");
        }
        self.check_keys(at, findings);
        findings.within(
            &at("leeway"),
            self.leeway,
            HumanDuration::secs(0),
            HumanDuration::secs(600),
        );
        findings.at_least(&at("max_lifetime"), self.max_lifetime, HumanDuration::secs(1));
        findings.at_least(&at("refresh"), self.refresh, HumanDuration::secs(1));
        findings.at_least(&at("stale"), self.stale, self.refresh);
        let (least, most) = (HumanDuration::millis(100), HumanDuration::secs(30));
        findings.within(&at("timeout"), self.timeout, least, most);
    }

    fn check_prefix(&self, at: &dyn Fn(&str) -> String, findings: &mut Findings) {
        if self.user_prefix.is_empty() {
            findings.warn(
                at("user_prefix"),
                "the issuer's users share the names of the users with passwords",
            );
        } else if let Some(words) = prefix_problem(&self.user_prefix) {
            findings.error(at("user_prefix"), words);
        }
    }

    fn check_roles(&self, at: &dyn Fn(&str) -> String, findings: &mut Findings) {
        for (key, roles) in [("roles", &self.roles), ("roles_allowed", &self.roles_allowed)] {
            let mighty = [ROLE_ADMIN, ROLE_PUBLISHER];
            if roles.iter().any(|role| mighty.contains(&role.as_str())) {
                findings.error(
                    at(key),
                    "ROLE_ADMIN and ROLE_PUBLISHER are given by role_map alone",
                );
            }
        }
        let maps = !self.role_map.is_empty() || !self.roles_allowed.is_empty();
        if maps && self.roles_claim.is_none() {
            findings.error(
                at("roles_claim"),
                "expected the claim that role_map and roles_allowed are about",
            );
        }
        let none = self.roles.is_empty() && self.role_map.is_empty() && self.roles_allowed.is_empty();
        if none {
            findings.warn(
                at("roles"),
                "nobody gets a role, and without ROLE_USER no session",
            );
        }
    }

    fn check_keys(&self, at: &dyn Fn(&str) -> String, findings: &mut Findings) {
        let sources = [self.jwks_uri.is_some(), self.discovery, !self.keys.is_empty()];
        if sources.iter().filter(|given| **given).count() != 1 {
            findings.error(
                at("jwks_uri"),
                "expected one of jwks_uri, discovery = true and keys",
            );
        }
        if let Some(uri) = &self.jwks_uri
            && let Err(words) = is_safe(uri)
        {
            findings.error(at("jwks_uri"), words);
        }
        if self.discovery
            && let Err(words) = is_safe(&self.discovery_uri())
        {
            findings.error(at("issuer"), words);
        }
        if self.close_on_key_removal && !self.is_fetched() {
            findings.error(
                at("close_on_key_removal"),
                "expected jwks_uri or discovery beside it: keys of the configuration change with a restart",
            );
        }
        let hashes = |name: &AlgorithmName| name.0.family() == AlgorithmFamily::Hmac;
        if self.is_fetched() && self.algorithms.iter().flatten().any(hashes) {
            findings.error(
                at("algorithms"),
                "HS256, HS384 and HS512 take a secret, which no key set may have",
            );
        }
        if self.keys.len() > KEYS_MAX {
            findings.error(at("keys"), format!("expected at most {KEYS_MAX} keys"));
        }
        for (index, key) in self.keys.iter().enumerate() {
            let at = |field: &str| at(&format!("keys[{index}].{field}"));
            if key.secret_file.is_some() == key.public_key_file.is_some() {
                findings.error(
                    at("secret_file"),
                    "expected either secret_file or public_key_file",
                );
            }
            if key.kid.as_ref().is_some_and(|kid| kid.len() > KID_MAX_BYTES) {
                findings.error(at("kid"), format!("expected at most {KID_MAX_BYTES} bytes"));
            }
            if key.algorithm.is_some_and(|name| hashes(&name)) != key.secret_file.is_some()
                && key.algorithm.is_some()
            {
                findings.error(
                    at("algorithm"),
                    "a secret is for HS256, HS384 or HS512, a public key is not",
                );
            }
        }
    }
}

/// What is wrong with a prefix that is not empty.
pub(in crate::auth) fn prefix_problem(prefix: &str) -> Option<String> {
    if prefix.starts_with(ANONYMOUS_PREFIX) {
        return Some(format!(
            "{ANONYMOUS_PREFIX} is what the names of anonymous sessions begin with"
        ));
    }
    let is_prefix = prefix.ends_with(':')
        && prefix.len() <= PREFIX_MAX_BYTES
        && !prefix.chars().any(crate::deceptive::is_deceptive);
    (!is_prefix).then(|| {
        format!(
            "expected at most {PREFIX_MAX_BYTES} bytes that end with ':', such as \"id:\", or \"\" to share the names of the \
             users with passwords"
        )
    })
}

/// Reports an error if users with `prefix` could have the names of users with one of `others`.
pub(in crate::auth) fn check_names<'a>(
    key: &str,
    prefix: &str,
    mut others: impl Iterator<Item = &'a str>,
    findings: &mut Findings,
) {
    let meets = |other: &str| match (prefix, other) {
        ("", "") => true,
        ("", _) | (_, "") => false,
        (own, other) => own.starts_with(other) || other.starts_with(own),
    };
    if others.any(meets) {
        findings.error(
            key,
            "another issuer's users could have the same names: expected a prefix that none of the others begins with, and that \
             begins with none of them",
        );
    }
}

/// Whether keys may be fetched from there: over https, or from this machine.
pub(in crate::auth) fn is_safe(uri: &str) -> Result<(), String> {
    let expected =
        "expected an https:// address, or an http:// one on a loopback address, without user and password";
    let url = Url::parse(uri).map_err(|_| expected.to_owned())?;
    let is_loopback = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return Err(expected.to_owned()),
    };
    let named = !url.username().is_empty() || url.password().is_some();
    match url.scheme() {
        "https" if !named => Ok(()),
        "http" if is_loopback && !named => Ok(()),
        _ => Err(expected.to_owned()),
    }
}

/// Checks the issuers by themselves and against each other.
pub(in crate::auth) fn check(issuers: &[IssuerConfig], findings: &mut Findings) {
    findings.within("auth.issuers", issuers.len(), 0, ISSUERS_MAX);
    let (mut names, mut prefixes) = (HashSet::new(), Vec::<&str>::new());
    for (index, issuer) in issuers.iter().enumerate() {
        let at = |field: &str| format!("auth.issuers[{index}].{field}");
        issuer.check(&at, findings);
        if !names.insert(&issuer.issuer) {
            findings.error(at("issuer"), "is there twice");
        }
        let prefix = issuer.user_prefix.as_str();
        check_names(&at("user_prefix"), prefix, prefixes.iter().copied(), findings);
        prefixes.push(prefix);
    }
}
