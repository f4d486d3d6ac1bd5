//! A refusal and its words for the client: they name no other user and no value that was compared.

use std::fmt;

use super::built_in::Effect;
use super::rule::{Compiled, Condition};

/// Why somebody may not. `Display` says it in words fit for whoever asked.
#[derive(Debug, Clone, Copy)]
pub struct Refusal<'a>(pub(super) Why<'a>);

/// The reasons.
#[derive(Debug, Clone, Copy)]
pub(super) enum Why<'a> {
    /// A default, or what no rule changes.
    Fixed(&'static str),
    /// A rule, one of whose conditions does not hold.
    Rule(&'a Compiled, Condition<'a>),
    /// What a built-in route does is not permitted: by a rule, or because no rule permits it.
    Effect(&'a Effect, Option<(&'a Compiled, Condition<'a>)>),
}

impl Refusal<'_> {
    /// The rule that refused: its name, or else its key. `None` if it was none.
    pub fn rule(&self) -> Option<String> {
        let (Why::Rule(rule, _) | Why::Effect(_, Some((rule, _)))) = self.0 else {
            return None;
        };
        let name = rule.rule.name.as_ref().map(ToString::to_string);
        Some(name.unwrap_or_else(|| rule.key.to_string()))
    }
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nobody =
            |condition: &Condition<'_>| matches!(condition, Condition::Roles([]) | Condition::Users([]));
        match &self.0 {
            Why::Fixed(words) => f.write_str(words),
            Why::Rule(rule, condition) => match &rule.rule.name {
                Some(name) if nobody(condition) => write!(f, "rule {name}: {condition}"),
                Some(name) => write!(f, "rule {name} {condition}"),
                None if nobody(condition) => condition.fmt(f),
                None => write!(f, "it {condition}"),
            },
            Why::Effect(effect, rule) => {
                write!(
                    f,
                    "it needs {} to {}, which ",
                    effect.action().name(),
                    effect.destination()
                )?;
                match rule {
                    None => f.write_str("no rule permits"),
                    Some((_, condition)) if nobody(condition) => f.write_str("nobody may do"),
                    Some((_, condition)) => condition.fmt(f),
                }
            }
        }
    }
}
