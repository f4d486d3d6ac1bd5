//! The link that decides who may SUBSCRIBE and SEND where, by the configured rules. Knows no frame and no socket.

use serde::{Deserialize, Serialize};

use super::{Interceptor, Reject};
use crate::close_reason::CloseReason;
use crate::destination::{Destination, Path, Prefixes, Target};
use crate::principal::{Principal, Role};
use crate::setting::Findings;
use pattern::{Kind, Matcher};

mod built_in;
mod pattern;

pub use built_in::{BuiltIn, Effect};
pub use pattern::Pattern;

/// `[permissions]`: who may SUBSCRIBE and SEND where. In each list the first rule whose destination matches decides.
/// If none matches, the defaults of docs/auth.md apply.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Rules for SUBSCRIBE to broadcast destinations. Default: any user.
    pub subscribe: Vec<Rule>,
    /// Rules for SEND. Default: any user to application destinations, nobody to any other.
    pub send: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A destination as clients write it. A segment `*` stands for any one segment, a last segment `**` for any
    /// number of segments, including none.
    pub destination: Pattern,
    /// Holders of any of these roles are permitted. With an empty list nobody is.
    pub roles: Vec<Role>,
}

/// The compiled rules.
pub struct Authorize {
    subscribe: Vec<Compiled>,
    send: Vec<Compiled>,
    built_in: Vec<BuiltIn>,
}

struct Compiled {
    /// The rule's place in its list.
    index: usize,
    pattern: Matcher,
    roles: Vec<Role>,
}

impl Authorize {
    /// Compiles `config`. The prefixes determine the kind of a rule's destination. A rule for an application
    /// destination applies under every application prefix, since they all mean the same. A rule that no prefix gives a
    /// meaning, or that could never decide, is noted as an error.
    pub fn new(config: &Config, prefixes: &Prefixes, findings: &mut Findings) -> Self {
        let subscribe = |kind| match kind {
            Kind::Broadcast => Ok(()),
            Kind::User => {
                Err("a user may always SUBSCRIBE to its own user destinations, no rule changes that")
            }
            Kind::Application => {
                Err("nobody may SUBSCRIBE to an application destination, no rule changes that")
            }
        };
        Self {
            subscribe: compile(
                "permissions.subscribe",
                &config.subscribe,
                prefixes,
                subscribe,
                findings,
            ),
            send: compile("permissions.send", &config.send, prefixes, |_| Ok(()), findings),
            built_in: Vec::new(),
        }
    }

    /// The same, knowing what SENDs to these application destinations do: they need what their effect needs.
    pub fn with_built_in(mut self, built_in: Vec<BuiltIn>) -> Self {
        self.built_in = built_in;
        self
    }
}

fn compile(
    list: &str,
    rules: &[Rule],
    prefixes: &Prefixes,
    fits: impl Fn(Kind) -> Result<(), &'static str>,
    findings: &mut Findings,
) -> Vec<Compiled> {
    let mut compiled = Vec::with_capacity(rules.len());
    for (index, rule) in rules.iter().enumerate() {
        let matcher = rule
            .destination
            .under(prefixes)
            .map_err(|error| error.to_string());
        let matcher = matcher.and_then(|matcher| Ok(fits(matcher.kind()).map(|()| matcher)?));
        match matcher {
            Ok(pattern) => compiled.push(Compiled {
                index,
                pattern,
                roles: rule.roles.clone(),
            }),
            Err(problem) => findings.error(
                format!("{list}[{index}].destination"),
                format!("{:?}: {problem}", rule.destination.to_string()),
            ),
        }
    }
    compiled
}

/// The decision of the first matching rule.
enum Verdict<'a> {
    Permitted,
    Refused(&'a [Role]),
    NoRule,
}

fn ask<'a>(rules: &'a [Compiled], who: &Principal, kind: Kind, path: &Path) -> Verdict<'a> {
    match rules.iter().find(|rule| rule.pattern.matches(kind, path)) {
        None => Verdict::NoRule,
        Some(rule) if rule.roles.iter().any(|role| who.has_role(role.as_str())) => Verdict::Permitted,
        Some(rule) => Verdict::Refused(&rule.roles),
    }
}

impl Interceptor for Authorize {
    fn subscribe(&self, who: &Principal, destination: &Destination, text: &str) -> Result<(), Reject> {
        let refuse = |why: &str| Err(refusal("SUBSCRIBE", text, why));
        let path = match destination {
            Destination::Application(_) => return refuse("an application destination takes SEND only"),
            Destination::Target(Target::User { user, .. }) if user == who.user() => return Ok(()),
            Destination::Target(Target::User { .. }) => return refuse("it is another user's"),
            Destination::Target(Target::Broadcast(path)) => path,
        };
        match ask(&self.subscribe, who, Kind::Broadcast, path) {
            Verdict::Permitted | Verdict::NoRule => Ok(()),
            Verdict::Refused(roles) => refuse(&wanted(roles)),
        }
    }

    fn send(
        &self,
        who: &Principal,
        destination: &Destination,
        text: &str,
        _bytes: usize,
    ) -> Result<(), Reject> {
        let refuse = |why: &str| Err(refusal("SEND", text, why));
        let (kind, path) = match destination {
            Destination::Application(path) => (Kind::Application, path),
            Destination::Target(Target::Broadcast(path)) => (Kind::Broadcast, path),
            Destination::Target(Target::User { user, path }) if user == who.user() => (Kind::User, path),
            Destination::Target(Target::User { .. }) => return refuse("it is another user's"),
        };
        match (ask(&self.send, who, kind, path), kind) {
            (Verdict::Permitted | Verdict::NoRule, Kind::Application) => self.effect(who, path, text),
            (Verdict::Permitted, _) => Ok(()),
            (Verdict::NoRule, Kind::Broadcast) => refuse(
                "a client sends to broadcast destinations only where a rule in permissions.send lets it",
            ),
            (Verdict::NoRule, Kind::User) => {
                refuse("a client sends to user destinations only where a rule in permissions.send lets it")
            }
            (Verdict::Refused(roles), _) => refuse(&wanted(roles)),
        }
    }
}

fn wanted(roles: &[Role]) -> String {
    match roles {
        [] => "nobody may".to_owned(),
        roles => format!("it takes {}", some(roles)),
    }
}

fn some(roles: &[Role]) -> String {
    match roles {
        [role] => role.to_string(),
        roles => {
            let roles: Vec<&str> = roles.iter().map(Role::as_str).collect();
            format!("one of {}", roles.join(", "))
        }
    }
}

fn refusal(command: &str, text: &str, why: &str) -> Reject {
    Reject::new(
        CloseReason::Forbidden,
        format!("{command} to {text} is not permitted: {why}"),
    )
}

#[cfg(test)]
mod tests;
