//! Whether `[permissions]` has the effect that it seems to have, given the built-in routes and `[api]`.

use crate::config::Config;
use crate::http::access::{Access, Policy};
use crate::permissions::{Otherwise, Permissions};
use crate::principal::Role;
use crate::setting::Findings;

pub(super) fn check(config: &Config, findings: &mut Findings) {
    let permissions = Permissions::new(&config.permissions, &config.destinations, findings);
    routes_for_nobody(config, &permissions, findings);
    // Notes which destinations of keys mean nothing.
    let _ = Policy::new(&config.api, &config.destinations, findings);
    anonymous(config, findings);
    claims_of_nobody(config, findings);
    if config.api.access == Access::Open {
        around_by_rest(config, findings);
    }
}

/// A rule that lets nobody do what a built-in route does closes the route as well.
fn routes_for_nobody(config: &Config, permissions: &Permissions, findings: &mut Findings) {
    let list = config.presence.list_destination.as_ref();
    for (index, built_in) in config.application.built_in(list).enumerate() {
        let Some(built_in) = built_in else { continue };
        if let Some(rule) = permissions.closed_to_everybody(&built_in.effect) {
            findings.warn(
                format!("application.routes[{index}].path"),
                format!(
                    "nobody may SEND to {}: {rule} lets nobody do what the route does",
                    built_in.path
                ),
            );
        }
    }
}

/// Whether rules let in anonymous sessions where there may be any, and only there.
fn anonymous(config: &Config, findings: &mut Findings) {
    let permissions = &config.permissions;
    for (index, rule) in permissions.publish.iter().enumerate() {
        if rule.anonymous {
            findings.error(
                format!("permissions.publish[{index}].anonymous"),
                "nobody is anonymous over REST",
            );
        }
    }
    let lists = [("subscribe", &permissions.subscribe), ("send", &permissions.send)];
    for (name, rules) in lists {
        for (index, rule) in rules.iter().enumerate() {
            if rule.lets_in_anonymous_in_vain() {
                findings.warn(
                    format!("permissions.{name}[{index}].anonymous"),
                    "no anonymous session meets the other conditions: it has ROLE_ANONYMOUS alone, no claim, and a name that \
                     nobody knows beforehand",
                );
            }
        }
    }
    let mut rules = lists.iter().flat_map(|(_, rules)| rules.iter());
    if config.auth.anonymous.enabled && !rules.any(|rule| rule.anonymous) {
        findings.warn(
            "auth.anonymous.enabled",
            "an anonymous session may do nothing: no rule in permissions.subscribe or permissions.send has anonymous = true",
        );
    }
}

/// A rule that asks for an attribute that nobody can have lets in nobody: most often its name is mistyped. What the users' file and
/// a backend give is not known here.
fn claims_of_nobody(config: &Config, findings: &mut Findings) {
    let auth = &config.auth;
    let gives_others = auth.users_file.is_some() || auth.callout.target.is_some();
    if gives_others || (auth.users.is_empty() && auth.issuers.is_empty()) {
        return;
    }
    let is_given = |name: &str| {
        auth.users
            .iter()
            .any(|user| !user.attributes.get(name).is_empty())
            || auth.issuers.iter().any(|issuer| issuer.gives(name))
    };
    let permissions = &config.permissions;
    for (list, rules) in [
        ("subscribe", &permissions.subscribe),
        ("send", &permissions.send),
        ("publish", &permissions.publish),
    ] {
        for (index, rule) in rules.iter().enumerate() {
            let asked = [
                ("destination", rule.destination.claims().collect::<Vec<_>>()),
                ("claims", rule.claims.iter().map(|(name, _)| name).collect()),
            ];
            for (field, names) in asked {
                for name in names.into_iter().filter(|name| !is_given(name)) {
                    findings.warn(
                        format!("permissions.{list}[{index}].{field}"),
                        format!(
                            "this rule lets in nobody: nobody has the attribute {name:?}, for no issuer in auth.issuers has it in \
                             attributes and no user in auth.users has it"
                        ),
                    );
                }
            }
        }
    }
}

/// `permissions.send` is for STOMP. With `api.access = "open"` whoever reaches the port publishes over REST instead, unless
/// `permissions.publish` says who may.
fn around_by_rest(config: &Config, findings: &mut Findings) {
    let permissions = &config.permissions;
    if permissions.default == Otherwise::Closed {
        return;
    }
    let everybody = Role::user();
    for (index, rule) in permissions.send.iter().enumerate() {
        let limits = !rule.lets_in(&everybody);
        let kept = permissions
            .publish
            .iter()
            .any(|publish| publish.destination == rule.destination);
        if limits && !kept && rule.destination.is_broadcast(&config.destinations) {
            findings.warn(
                format!("permissions.send[{index}]"),
                format!(
                    "does not keep anybody from publishing to {} over REST, where anyone may publish: api.access is open",
                    rule.destination
                ),
            );
        }
    }
}
