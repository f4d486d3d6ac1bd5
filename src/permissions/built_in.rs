//! What a SEND to a built-in route does to broadcast destinations, and therefore requires: the same right that the
//! client would need to do it directly, so that no route bypasses a rule. Knows no route's configuration and no answer.

use super::{Action, Kind, Permissions};
use crate::destination::Path;

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
    /// What a client would do by itself with the same effect.
    pub(super) fn action(&self) -> Action {
        match self {
            Self::Reads(_) => Action::Subscribe,
            Self::Publishes(_) => Action::Send,
        }
    }

    /// The broadcast destination.
    pub(super) fn destination(&self) -> &Path {
        match self {
            Self::Reads(path) | Self::Publishes(path) => path,
        }
    }
}

impl Permissions {
    /// What a SEND to the application destination `path` does, if a built-in route serves it.
    pub(super) fn effect_of(&self, path: &Path) -> Option<&Effect> {
        let route = self.built_in.iter().find(|built_in| built_in.path == *path);
        route.map(|built_in| &built_in.effect)
    }

    /// The key of the rule that keeps everybody from `effect`, if there is one.
    pub fn closed_to_everybody(&self, effect: &Effect) -> Option<String> {
        let rules = self.rules(effect.action());
        let rule = rules.first_fitting(Kind::Broadcast, effect.destination())?;
        rule.is_for_nobody().then(|| rule.key.to_string())
    }
}
