//! A decision, explained: every rule that was examined, whether it matches, and which of its conditions hold. Decides
//! with the same functions as [`Permissions::decide`], and explains it in words for operators: unlike a refusal, it
//! names what was compared with what.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::pattern::Kind;
use super::rule::{Compiled, Condition};
use super::{Action, Ask, Permissions, Who};
use crate::destination::{DestinationError, Path, Prefixes};

/// What was decided, and why.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// Whether it is permitted.
    pub permitted: bool,
    /// What was asked for: `SUBSCRIBE`, `SEND` or `publishing`.
    #[schema(value_type = String, example = "SUBSCRIBE")]
    pub action: Cow<'static, str>,
    /// The destination as it was asked for; of what a built-in route does, where it does it.
    #[schema(example = "/queue/orders")]
    pub destination: String,
    /// The rule that decided, by its key; of none, the default that did.
    #[schema(example = "permissions.subscribe[0]")]
    pub by: String,
    /// The rules of the list up to the one that decided, in order.
    pub looked_at: Vec<LookedAt>,
    /// What a built-in route does, which had to be permitted as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, no_recursion)]
    pub effect: Option<Box<Decision>>,
}

/// A rule that was looked at.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LookedAt {
    /// Its key.
    #[schema(example = "permissions.subscribe[0]")]
    pub rule: String,
    /// Its name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// Its destination.
    #[schema(example = "/queue/tenant/{claim.tenant}/**")]
    pub destination: String,
    /// Whether it is for this destination; the first that is decides.
    pub fits: bool,
    /// Its conditions, if it fits: all must hold.
    pub conditions: Vec<Held>,
}

/// A condition of a rule.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Held {
    /// What was compared with what.
    #[schema(example = "segment 3 (\"acme\") is in claim tenant: \"acme\"")]
    pub condition: String,
    /// Whether it holds.
    pub holds: bool,
}

/// Why nothing can be explained. `Display` says it to whoever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unexplained {
    /// The destination is none.
    Destination(DestinationError),
    /// SUBSCRIBE and SEND are for users.
    NoUser(Action),
}

impl fmt::Display for Unexplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Destination(error) => write!(f, "destination: {error}"),
            Self::NoUser(action) => write!(f, "{} is for users: a key can only publish", action.name()),
        }
    }
}

impl Decision {
    /// The same, unless there is a reason to refuse that no rule changes.
    pub fn unless_barred(self, reason: Option<&str>) -> Self {
        match reason {
            None => self,
            Some(reason) => Self {
                permitted: false,
                by: reason.to_owned(),
                looked_at: Vec::new(),
                effect: None,
                ..self
            },
        }
    }

    fn written(self, text: &str) -> Self {
        let destination = text.to_owned();
        Self { destination, ..self }
    }
}

impl Permissions {
    /// [`Permissions::explain`] for a destination as `who` would write it; of what is published, `/user/queue/x` is some user's.
    ///
    /// # Errors
    /// The text means nothing, or a key asks for what only users do.
    pub fn explain_text(
        &self,
        prefixes: &Prefixes,
        action: Action,
        who: Who<'_>,
        text: &str,
    ) -> Result<Decision, Unexplained> {
        if action == Action::Publish {
            let path = Path::parse(text).map_err(Unexplained::Destination)?;
            return match path.after(&prefixes.user_prefix) {
                Some(path) => Ok(self.explain(action, who, Ask::SomeUser(&path)).written(text)),
                None => {
                    let target = prefixes.broadcast(text).map_err(Unexplained::Destination)?;
                    Ok(self.explain(action, who, (&target).into()).written(text))
                }
            };
        }
        let user = who.user().ok_or(Unexplained::NoUser(action))?;
        let destination = prefixes
            .for_client(text, user)
            .map_err(Unexplained::Destination)?;
        Ok(self.explain(action, who, (&destination).into()).written(text))
    }

    /// Decides as [`Permissions::decide`] does, and explains.
    pub fn explain(&self, action: Action, who: Who<'_>, ask: Ask<'_>) -> Decision {
        let decide = |permitted, by: &str, looked_at| Decision {
            permitted,
            action: action.name().into(),
            destination: ask.path().to_string(),
            by: by.to_owned(),
            looked_at,
            effect: None,
        };
        let (kind, path) = match ask.for_rules(action, who) {
            Err(fixed) => return decide(fixed.permitted, fixed.words, Vec::new()),
            Ok(found) => found,
        };
        let mut looked_at = Vec::new();
        let mut decision = None;
        for rule in self.rules_for(action, who).iter() {
            let fits = rule.fits(kind, path);
            looked_at.push(LookedAt::new(rule, fits, who, path));
            if fits {
                decision = Some((rule.missing(who, path).is_none(), &*rule.key));
                break;
            }
        }
        let (permitted, by) = match decision {
            Some(decided) => decided,
            None => {
                let default = self.default_of(action, who, kind);
                (default.permitted, default.words)
            }
        };
        let mut decided = decide(permitted, by, looked_at);
        if let (true, Kind::Application, Some(effect)) = (permitted, kind, self.effect_of(path)) {
            let needed = Ask::Broadcast(effect.destination());
            let effect = self.explain_effect(effect.action(), who, needed);
            decided.permitted = effect.permitted;
            decided.effect = Some(Box::new(effect));
        }
        decided
    }

    /// The same of what a built-in route does.
    fn explain_effect(&self, action: Action, who: Who<'_>, ask: Ask<'_>) -> Decision {
        let mut decision = self.explain(action, who, ask);
        if decision.looked_at.iter().all(|rule| !rule.fits) {
            let default = self.default_of_effect(who);
            decision.permitted = default.permitted;
            decision.by = default.words.to_owned();
        }
        decision
    }
}

impl LookedAt {
    fn new(compiled: &Compiled, fits: bool, who: Who<'_>, path: &Path) -> Self {
        let rule = &compiled.rule;
        let held = |condition: Condition<'_>| Held {
            condition: compared(&condition, who, path),
            holds: condition.holds(who, path),
        };
        Self {
            rule: compiled.key.to_string(),
            name: rule.name.as_ref().map(ToString::to_string),
            destination: rule.destination.to_string(),
            fits,
            conditions: match fits {
                true => {
                    // Of users it goes without saying.
                    let said = |asked: &Condition<'_>| *asked != Condition::LoggedIn || who.is_anonymous();
                    compiled.conditions().filter(said).map(held).collect()
                }
                false => Vec::new(),
            },
        }
    }
}

/// What a condition compares with what.
fn compared(condition: &Condition<'_>, who: Who<'_>, path: &Path) -> String {
    let segment = |place: usize| {
        let text = path.segments().nth(place).unwrap_or_default();
        format!("segment {} ({text:?})", place + 1)
    };
    match condition {
        Condition::LoggedIn => format!("the user has logged in: {}", name(who)),
        Condition::Roles(roles) => {
            let wanted = roles.iter().map(|role| role.as_str());
            format!(
                "needs one of the roles {}; has {}",
                list(wanted),
                list(who.roles())
            )
        }
        Condition::Users(users) => {
            let wanted = users.iter().map(|user| user.as_str());
            format!("the user is one of {}: {}", list(wanted), name(who))
        }
        Condition::Claim(claim, values) => format!(
            "claim {claim} has one of {}: {}",
            quoted(values),
            quoted(who.values(claim))
        ),
        Condition::OwnName(place) => format!("{} is the user: {}", segment(*place), name(who)),
        Condition::OwnClaim(place, claim) => {
            let values = quoted(who.values(claim));
            format!("{} is in claim {claim}: {values}", segment(*place))
        }
        Condition::Granted(wanted) => {
            let patterns = quoted(wanted.of(who.granted()));
            format!("{path} is among what the token permits: {patterns}")
        }
    }
}

fn name(who: Who<'_>) -> String {
    who.user()
        .map_or_else(|| "none".to_owned(), |user| format!("{:?}", user.as_str()))
}

fn quoted(values: &[Box<str>]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    list(quoted.iter().map(String::as_str))
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<&str> = items.collect();
    match items.is_empty() {
        true => "none".to_owned(),
        false => items.join(", "),
    }
}
