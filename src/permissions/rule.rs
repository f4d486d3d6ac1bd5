//! One rule: as configured, and compiled. A rule matches a destination only by its shape; its requirements for the
//! client are conditions, which decide once it matches. So a client that fails a condition does not fall through to a
//! wider rule. Deciding and explaining use the same conditions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use std::sync::Arc;

use super::granted::Wanted;
use super::pattern::{Kind, Matcher, Pattern, Segment};
use super::rules::Rules;
use super::{Action, Who};
use crate::destination::{Path, Prefixes};
use crate::principal::{Attributes, ROLE_ANONYMOUS, Role, UserName};
use crate::setting::{Findings, as_text};

/// The most rules of a list.
const RULES_MAX: usize = 1_000;

/// The name of a rule: 1 to 64 visible ASCII characters. It is said to those whom the rule refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleName(Box<str>);

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RuleName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(text.into())),
            false => Err("expected 1 to 64 visible ASCII characters".into()),
        }
    }
}

as_text!(RuleName);

/// One rule. All of its conditions must hold; without any, it lets in everybody whom the list is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What refusals and explanations call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<RuleName>,
    /// A destination as clients write it. A segment `*` stands for any one segment, a last segment `**` for any
    /// number of segments, including none; `{user}` for the name of who asks, `{claim.NAME}` for one of its values of that
    /// attribute.
    pub destination: Pattern,
    /// Holders of any of these roles. With an empty list nobody is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
    /// Any of these users. With an empty list nobody is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<UserName>>,
    /// Who has, of each of these attributes, any of the values.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub claims: Attributes,
    /// Whether anonymous sessions are let in, too, if they meet the other conditions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
    /// Whether the token of who asks has to name the destination itself (`permissions_claim`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub granted: bool,
}

impl Rule {
    /// A rule for `destination` that asks for nothing else.
    pub fn new(destination: Pattern) -> Self {
        Self {
            name: None,
            destination,
            roles: None,
            users: None,
            claims: Attributes::default(),
            anonymous: false,
            granted: false,
        }
    }

    /// Whether it says that anonymous sessions are let in, and asks for what none of them has.
    pub fn lets_in_anonymous_in_vain(&self) -> bool {
        let is_theirs = |role: &Role| role.as_str() == ROLE_ANONYMOUS;
        let asks_in_vain = self
            .roles
            .as_ref()
            .is_some_and(|roles| !roles.iter().any(is_theirs))
            || self.users.is_some()
            || !self.claims.is_empty()
            || self.granted
            || self.destination.has_claims();
        self.anonymous && asks_in_vain
    }

    /// Whether each holder of `role` is let in.
    pub fn lets_in(&self, role: &Role) -> bool {
        let asks_for_roles_alone = self.users.is_none()
            && self.claims.is_empty()
            && !self.granted
            && !self.destination.has_variables();
        asks_for_roles_alone && self.roles.as_ref().is_none_or(|roles| roles.contains(role))
    }

    /// The same for holders of any of `roles`.
    pub fn for_roles(self, roles: Vec<Role>) -> Self {
        Self {
            roles: Some(roles),
            ..self
        }
    }
}

/// A rule, ready to decide.
#[derive(Debug)]
pub(super) struct Compiled {
    /// Its place: `permissions.send[3]`.
    pub key: Box<str>,
    /// As configured.
    pub rule: Rule,
    matcher: Matcher,
    /// If the token is asked.
    wanted: Option<Wanted>,
}

/// A list of rules in the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct List<'a> {
    /// Its key.
    pub name: &'a str,
    /// Where the destination stands in one of its items: `.destination`, or nothing where the item is the destination.
    pub field: &'static str,
    /// What its rules are about.
    pub action: Action,
}

impl<'a> List<'a> {
    /// A list of rules.
    pub(super) fn of_rules(name: &'a str, action: Action) -> Self {
        let field = ".destination";
        Self { name, field, action }
    }
}

/// What a rule asks of who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition<'a> {
    /// Not an anonymous session.
    LoggedIn,
    /// One of these roles.
    Roles(&'a [Role]),
    /// One of these names.
    Users(&'a [UserName]),
    /// One of these values of an attribute.
    Claim(&'a str, &'a [Box<str>]),
    /// This place of the path is the name of who comes.
    OwnName(usize),
    /// This place of the path is one of the values of an attribute.
    OwnClaim(usize, &'a str),
    /// The token of who comes names the path itself.
    Granted(&'a Wanted),
}

impl Condition<'_> {
    /// Whether `who`, asking for `path`, meets it. Allocates nothing.
    pub(super) fn holds(&self, who: Who<'_>, path: &Path) -> bool {
        let there = |place: usize| path.segments().nth(place);
        match *self {
            Self::LoggedIn => !who.is_anonymous(),
            Self::Roles(roles) => roles.iter().any(|role| who.has_role(role.as_str())),
            Self::Users(users) => who.user().is_some_and(|user| users.contains(user)),
            Self::Claim(name, values) => values.iter().any(|value| who.has(name, value)),
            Self::OwnName(place) => who.user().is_some_and(|user| there(place) == Some(user.as_str())),
            Self::OwnClaim(place, name) => there(place).is_some_and(|segment| who.has(name, segment)),
            Self::Granted(wanted) => wanted.has(who.granted(), path),
        }
    }
}

impl fmt::Display for Condition<'_> {
    /// What it takes, without a name of somebody else's: these words reach whoever was refused.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Roles([]) | Self::Users([]) => f.write_str("nobody may"),
            Self::LoggedIn => f.write_str("requires a user who has logged in"),
            Self::Roles(roles) => {
                f.write_str("requires ")?;
                one_of(f, roles)
            }
            Self::Users(_) => f.write_str("is for other users"),
            Self::Claim(name, _) => write!(f, "requires another value of claim {name}"),
            Self::OwnName(_) => f.write_str("requires your own user name for {user}"),
            Self::OwnClaim(_, name) => {
                write!(f, "requires a value of your claim {name} for {{claim.{name}}}")
            }
            Self::Granted(_) => f.write_str("allows only what your token itself permits"),
        }
    }
}

/// `ROLE_A`, or `one of ROLE_A, ROLE_B`.
fn one_of(f: &mut fmt::Formatter<'_>, roles: &[Role]) -> fmt::Result {
    for (index, role) in roles.iter().enumerate() {
        match (index, roles.len()) {
            (0, 1) => {}
            (0, _) => f.write_str("one of ")?,
            _ => f.write_str(", ")?,
        }
        write!(f, "{role}")?;
    }
    Ok(())
}

impl Compiled {
    /// Compiles `rules` of a list. The prefixes determine the kind of a rule's destination, and `suits` says why
    /// a kind cannot be in this list. What no prefix gives a meaning, or could never decide, is noted as an error.
    pub(super) fn all(
        List { name, field, action }: List<'_>,
        rules: &[Rule],
        prefixes: &Prefixes,
        suits: impl Fn(Kind) -> Result<(), &'static str>,
        findings: &mut Findings,
    ) -> Rules {
        if rules.len() > RULES_MAX {
            findings.error(
                name,
                format!("expected at most {RULES_MAX} rules, got {}", rules.len()),
            );
            return Rules::default();
        }
        let mut compiled = Vec::with_capacity(rules.len());
        let shared = Arc::new(prefixes.clone());
        for (index, rule) in rules.iter().enumerate() {
            let key = format!("{name}[{index}]");
            let matcher = rule
                .destination
                .under(prefixes)
                .map_err(|error| error.to_string());
            match matcher.and_then(|matcher| Ok(suits(matcher.kind()).map(|()| matcher)?)) {
                Ok(matcher) => compiled.push(Self {
                    key: key.into(),
                    rule: rule.clone(),
                    wanted: rule
                        .granted
                        .then(|| Wanted::new(action, matcher.kind(), Arc::clone(&shared))),
                    matcher,
                }),
                Err(problem) => findings.error(
                    format!("{key}{field}"),
                    format!("{:?}: {problem}", rule.destination.to_string()),
                ),
            }
        }
        Rules::new(compiled)
    }

    /// Whether the rule is for this destination: by its shape.
    pub(super) fn fits(&self, kind: Kind, path: &Path) -> bool {
        self.matcher.matches(kind, path)
    }

    /// Its destination.
    pub(super) fn matcher(&self) -> &Matcher {
        &self.matcher
    }

    /// What it asks, in the order in which it is said to somebody refused.
    pub(super) fn conditions(&self) -> impl Iterator<Item = Condition<'_>> {
        let variables = self.matcher.segments().iter().enumerate();
        let variables = variables.filter_map(|(place, segment)| match segment {
            Segment::User => Some(Condition::OwnName(place)),
            Segment::Claim(name) => Some(Condition::OwnClaim(place, name)),
            Segment::Literal(_) | Segment::Any => None,
        });
        let rule = &self.rule;
        let roles = rule.roles.as_deref().map(Condition::Roles);
        let users = rule.users.as_deref().map(Condition::Users);
        let claims = rule
            .claims
            .iter()
            .map(|(name, values)| Condition::Claim(name, values));
        let logged_in = (!rule.anonymous).then_some(Condition::LoggedIn);
        let roles = logged_in.into_iter().chain(roles);
        let granted = self.wanted.as_ref().map(Condition::Granted);
        roles.chain(users).chain(claims).chain(variables).chain(granted)
    }

    /// The first condition that `who`, asking for `path`, does not meet. Allocates nothing.
    pub(super) fn missing(&self, who: Who<'_>, path: &Path) -> Option<Condition<'_>> {
        self.conditions().find(|condition| !condition.holds(who, path))
    }

    /// Whether nobody can meet it.
    pub(super) fn is_for_nobody(&self) -> bool {
        self.conditions()
            .any(|condition| matches!(condition, Condition::Roles([]) | Condition::Users([])))
    }
}
