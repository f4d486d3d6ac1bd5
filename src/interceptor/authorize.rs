//! The link that decides who may SUBSCRIBE and SEND where, by the configured rules. Knows no frame and no socket.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Interceptor, Reject};
use crate::close_reason::CloseReason;
use crate::destination::{Destination, Path, Prefixes, Target};
use crate::principal::Principal;
use pattern::{Kind, Pattern, PatternError};

mod pattern;

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
    pub destination: String,
    /// Holders of any of these roles are permitted. With an empty list nobody is.
    pub roles: Vec<String>,
}

/// A rule that is not usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermissionsError {
    list: &'static str,
    number: usize,
    destination: String,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Problem {
    Pattern(PatternError),
    OwnUserDestination,
    Application,
    Role(String),
}

impl fmt::Display for PermissionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, rule number {} ({:?}): ",
            self.list, self.number, self.destination
        )?;
        match &self.problem {
            Problem::Pattern(error) => error.fmt(f),
            Problem::OwnUserDestination => {
                f.write_str("a user may always SUBSCRIBE to its own user destinations, no rule changes that")
            }
            Problem::Application => {
                f.write_str("nobody may SUBSCRIBE to an application destination, no rule changes that")
            }
            Problem::Role(role) => {
                write!(f, "roles: expected full names such as ROLE_USER, got {role:?}")
            }
        }
    }
}

impl std::error::Error for PermissionsError {}

/// The compiled rules.
pub struct Authorize {
    subscribe: Vec<Compiled>,
    send: Vec<Compiled>,
}

struct Compiled {
    pattern: Pattern,
    roles: Vec<Box<str>>,
}

impl Authorize {
    /// Compiles `config`. The prefixes determine the kind of a rule's destination. A rule for an application
    /// destination applies under every application prefix, since they all mean the same.
    pub fn new(config: &Config, prefixes: &Prefixes) -> Result<Self, PermissionsError> {
        Ok(Self {
            subscribe: compile(
                "permissions.subscribe",
                &config.subscribe,
                prefixes,
                |kind| match kind {
                    Kind::Broadcast => Ok(()),
                    Kind::User => Err(Problem::OwnUserDestination),
                    Kind::Application => Err(Problem::Application),
                },
            )?,
            send: compile("permissions.send", &config.send, prefixes, |_| Ok(()))?,
        })
    }
}

fn compile(
    list: &'static str,
    rules: &[Rule],
    prefixes: &Prefixes,
    fits: impl Fn(Kind) -> Result<(), Problem>,
) -> Result<Vec<Compiled>, PermissionsError> {
    let compile = |rule: &Rule| {
        let pattern = Pattern::parse(&rule.destination, prefixes).map_err(Problem::Pattern)?;
        fits(pattern.kind())?;
        if let Some(role) = rule.roles.iter().find(|role| !role.starts_with("ROLE_")) {
            return Err(Problem::Role(role.clone()));
        }
        let roles = rule.roles.iter().map(|role| role.as_str().into()).collect();
        Ok(Compiled { pattern, roles })
    };
    rules
        .iter()
        .enumerate()
        .map(|(index, rule)| {
            compile(rule).map_err(|problem| PermissionsError {
                list,
                number: index + 1,
                destination: rule.destination.clone(),
                problem,
            })
        })
        .collect()
}

/// The decision of the first matching rule.
enum Verdict<'a> {
    Permitted,
    Refused(&'a [Box<str>]),
    NoRule,
}

fn ask<'a>(rules: &'a [Compiled], who: &Principal, kind: Kind, path: &Path) -> Verdict<'a> {
    match rules.iter().find(|rule| rule.pattern.matches(kind, path)) {
        None => Verdict::NoRule,
        Some(rule) if rule.roles.iter().any(|role| who.has_role(role)) => Verdict::Permitted,
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

    fn send(&self, who: &Principal, destination: &Destination, text: &str) -> Result<(), Reject> {
        let refuse = |why: &str| Err(refusal("SEND", text, why));
        let (kind, path) = match destination {
            Destination::Application(path) => (Kind::Application, path),
            Destination::Target(Target::Broadcast(path)) => (Kind::Broadcast, path),
            Destination::Target(Target::User { user, path }) if user == who.user() => (Kind::User, path),
            Destination::Target(Target::User { .. }) => return refuse("it is another user's"),
        };
        match (ask(&self.send, who, kind, path), kind) {
            (Verdict::Permitted, _) | (Verdict::NoRule, Kind::Application) => Ok(()),
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

fn wanted(roles: &[Box<str>]) -> String {
    match roles {
        [] => "nobody may".to_owned(),
        [role] => format!("it takes {role}"),
        roles => format!("it takes one of {}", roles.join(", ")),
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
