//! What a SEND to a built-in route does to broadcast destinations, and what it therefore needs: the same right that the
//! client would need to do it by itself, so that no route leads around a rule. Without a rule nothing is needed. Knows
//! no route's configuration and no answer.

use super::{Authorize, Compiled, Kind, Reject, Verdict, ask, refusal, some};
use crate::destination::Path;
use crate::principal::Principal;

/// An application destination that Herald serves by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltIn {
    /// The destination of the SEND without its application prefix.
    pub path: Path,
    /// What such a SEND does.
    pub effect: Effect,
}

/// What a SEND does, by the broadcast destination that it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Its answer tells what subscribers of this destination are told.
    Reads(Path),
    /// It publishes to this destination.
    Publishes(Path),
}

impl Effect {
    /// The STOMP command that has the same effect.
    fn command(&self) -> &'static str {
        match self {
            Self::Reads(_) => "SUBSCRIBE",
            Self::Publishes(_) => "SEND",
        }
    }

    fn destination(&self) -> &Path {
        match self {
            Self::Reads(path) | Self::Publishes(path) => path,
        }
    }
}

impl Authorize {
    /// Whether `who` may cause the effect of a SEND to the application destination `path`, written `text`.
    pub(super) fn effect(&self, who: &Principal, path: &Path, text: &str) -> Result<(), Reject> {
        let Some(BuiltIn { effect, .. }) = self.built_in.iter().find(|built_in| built_in.path == *path)
        else {
            return Ok(());
        };
        match ask(self.rules(effect), who, Kind::Broadcast, effect.destination()) {
            Verdict::Permitted | Verdict::NoRule => Ok(()),
            Verdict::Refused(roles) => {
                let (command, needed) = (effect.command(), effect.destination());
                let which = match roles {
                    [] => "which nobody may do".to_owned(),
                    roles => format!("which requires {}", some(roles)),
                };
                let why = format!("it needs {command} to {needed}, {which}");
                Err(refusal("SEND", text, &why))
            }
        }
    }

    /// The key of the rule that keeps everybody from `effect`, if there is one.
    pub fn closed_to_everybody(&self, effect: &Effect) -> Option<String> {
        let mut rules = self.rules(effect).iter();
        let rule = rules.find(|rule| rule.pattern.matches(Kind::Broadcast, effect.destination()))?;
        let list = match effect {
            Effect::Reads(_) => "subscribe",
            Effect::Publishes(_) => "send",
        };
        rule.roles
            .is_empty()
            .then(|| format!("permissions.{list}[{}]", rule.index))
    }

    fn rules(&self, effect: &Effect) -> &[Compiled] {
        match effect {
            Effect::Reads(_) => &self.subscribe,
            Effect::Publishes(_) => &self.send,
        }
    }
}
