//! Who may SUBSCRIBE, SEND and publish where: `[permissions]`. In each list the first rule whose pattern matches a
//! destination decides; if none matches, a default does. Used by STOMP, REST and the command line alike. Knows no
//! frame, no socket and no HTTP, and nothing of how a user was authenticated.

use serde::{Deserialize, Serialize};

use crate::destination::{Path, Prefixes};
use crate::setting::Findings;
use ask::{Fixed, suits_publish};
use pattern::Kind;
use refusal::Why;
use rule::{Compiled, List};
use rules::Rules;

mod ask;
mod built_in;
mod decision;
mod granted;
mod pattern;
mod refusal;
mod rule;
mod rules;

pub use ask::{Action, Ask, Destinations, Who};
pub use built_in::{BuiltIn, Effect};
pub use decision::{Decision, Held, LookedAt, Unexplained};
pub use pattern::Pattern;
pub use refusal::Refusal;
pub use rule::{Rule, RuleName};

/// `[permissions]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What holds where no rule fits.
    pub default: Otherwise,
    /// Rules for SUBSCRIBE to broadcast destinations.
    pub subscribe: Vec<Rule>,
    /// Rules for SEND.
    pub send: Vec<Rule>,
    /// Rules for publishing over REST; there `/user/…` is any user's destination.
    pub publish: Vec<Rule>,
}

/// `permissions.default`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Otherwise {
    /// Any user may SUBSCRIBE to broadcast destinations and SEND to application destinations; whoever may publish over REST
    /// may publish everywhere.
    #[default]
    Open,
    /// What no rule fits is refused, but for a user's own destinations.
    Closed,
}

/// The compiled rules.
#[derive(Debug)]
pub struct Permissions {
    closed: bool,
    subscribe: Rules,
    send: Rules,
    publish: Rules,
    built_in: Vec<BuiltIn>,
}

/// What an anonymous session is told where no rule fits, whatever the default.
const ANONYMOUS: &str =
    "an anonymous session may do what a rule with anonymous = true permits, and nothing else";

fn suits_subscribe(kind: Kind) -> Result<(), &'static str> {
    match kind {
        Kind::Broadcast => Ok(()),
        Kind::User => Err("a user may always SUBSCRIBE to its own user destinations, no rule changes that"),
        Kind::Application => Err("nobody may SUBSCRIBE to an application destination, no rule changes that"),
    }
}

impl Permissions {
    /// Compiles `config`. The prefixes determine the kind of a rule's destination. A rule for an application
    /// destination applies under every application prefix, since they all mean the same. A rule that no prefix gives a
    /// meaning, or that could never decide, is noted as an error.
    pub fn new(config: &Config, prefixes: &Prefixes, findings: &mut Findings) -> Self {
        let (subscribe, send, publish) = (&config.subscribe, &config.send, &config.publish);
        Self {
            closed: config.default == Otherwise::Closed,
            subscribe: Compiled::all(
                List::of_rules("permissions.subscribe", Action::Subscribe),
                subscribe,
                prefixes,
                suits_subscribe,
                findings,
            ),
            send: Compiled::all(
                List::of_rules("permissions.send", Action::Send),
                send,
                prefixes,
                |_| Ok(()),
                findings,
            ),
            publish: Compiled::all(
                List::of_rules("permissions.publish", Action::Publish),
                publish,
                prefixes,
                suits_publish,
                findings,
            ),
            built_in: Vec::new(),
        }
    }

    /// The same, knowing what SENDs to these application destinations do: they need what their effect needs.
    pub fn with_built_in(mut self, built_in: Vec<BuiltIn>) -> Self {
        self.built_in = built_in;
        self
    }

    /// Whether `who` may do `action` with what it asks for. Allocates nothing.
    ///
    /// # Errors
    /// It may not: the rule or the default that says so.
    pub fn decide<'a>(&'a self, action: Action, who: Who<'a>, ask: Ask<'_>) -> Result<(), Refusal<'a>> {
        let fixed = |fixed: Fixed| match fixed.permitted {
            true => Ok(()),
            false => Err(Refusal(Why::Fixed(fixed.words))),
        };
        let (kind, path) = match ask.for_rules(action, who) {
            Ok(found) => found,
            Err(decided) => return fixed(decided),
        };
        match self.deciding(action, who, kind, path) {
            Some(rule) => {
                if let Some(condition) = rule.missing(who, path) {
                    return Err(Refusal(Why::Rule(rule, condition)));
                }
            }
            None => fixed(self.default_of(action, who, kind))?,
        }
        match (kind, self.effect_of(path)) {
            (Kind::Application, Some(effect)) => self.may_cause(effect, who),
            _ => Ok(()),
        }
    }

    /// Whether `who` may cause `effect`.
    fn may_cause<'a>(&'a self, effect: &'a Effect, who: Who<'a>) -> Result<(), Refusal<'a>> {
        let path = effect.destination();
        let rule = match self.deciding(effect.action(), who, Kind::Broadcast, path) {
            Some(rule) => match rule.missing(who, path) {
                Some(condition) => Some((rule, condition)),
                None => return Ok(()),
            },
            None if self.default_of_effect(who).permitted => return Ok(()),
            None => None,
        };
        Err(Refusal(Why::Effect(effect, rule)))
    }

    /// The rule that decides: the first that fits.
    fn deciding<'a>(&'a self, action: Action, who: Who<'a>, kind: Kind, path: &Path) -> Option<&'a Compiled> {
        self.rules_for(action, who).first_fitting(kind, path)
    }

    /// The rules that count for `who`.
    fn rules_for<'a>(&'a self, action: Action, who: Who<'a>) -> &'a Rules {
        match (action, who) {
            (
                Action::Publish,
                Who::Key(Destinations(Some(own))) | Who::Certificate(Destinations(Some(own))),
            ) => own,
            _ => self.rules(action),
        }
    }

    fn rules(&self, action: Action) -> &Rules {
        match action {
            Action::Subscribe => &self.subscribe,
            Action::Send => &self.send,
            Action::Publish => &self.publish,
        }
    }

    /// What holds where no rule fits.
    fn default_of(&self, action: Action, who: Who<'_>, kind: Kind) -> Fixed {
        match (action, kind, who) {
            (Action::Publish, _, Who::Key(Destinations(Some(_)))) => {
                Fixed::refused("it is not among the destinations of the key")
            }
            (Action::Publish, _, Who::Certificate(Destinations(Some(_)))) => {
                Fixed::refused("it is not among the destinations of the certificate")
            }
            (Action::Subscribe | Action::Send, ..) if who.is_anonymous() => Fixed::refused(ANONYMOUS),
            (Action::Send, Kind::Broadcast, _) => Fixed::refused(
                "a client sends to broadcast destinations only where a rule in permissions.send lets it",
            ),
            (Action::Send, Kind::User, _) => Fixed::refused(
                "a client sends to user destinations only where a rule in permissions.send lets it",
            ),
            (Action::Subscribe, ..) if self.closed => {
                Fixed::refused("no rule in permissions.subscribe fits, and permissions.default is closed")
            }
            (Action::Send, ..) if self.closed => {
                Fixed::refused("no rule in permissions.send fits, and permissions.default is closed")
            }
            (Action::Publish, ..) if self.closed => {
                Fixed::refused("no rule in permissions.publish fits, and permissions.default is closed")
            }
            (Action::Subscribe, ..) => {
                Fixed::permitted("without a rule any user may SUBSCRIBE to broadcasts")
            }
            (Action::Send, ..) => {
                Fixed::permitted("without a rule any user may SEND to application destinations")
            }
            (Action::Publish, ..) => {
                Fixed::permitted("without a rule whoever may publish may do so everywhere")
            }
        }
    }

    /// What holds for the effect of a built-in route where no rule fits.
    fn default_of_effect(&self, who: Who<'_>) -> Fixed {
        match self.closed {
            _ if who.is_anonymous() => Fixed::refused(ANONYMOUS),
            true => Fixed::refused("no rule fits, and permissions.default is closed"),
            false => Fixed::permitted("without a rule a built-in route is for everybody who may SEND to it"),
        }
    }
}

#[cfg(test)]
mod tests;
