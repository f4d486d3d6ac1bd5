//! `herald explain`: of a destination, who would get a notification (`client::explain` asks); of a permission, which rule
//! decides, as text or JSON. Knows the decision; `main` lets the configuration make it.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ConfigArgs;
use super::client::explain::RecipientsArgs;
use crate::permissions::{Action, Decision};

/// What `herald explain` takes.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  herald explain /queue/orders
  herald explain /queue/orders --user alice
  herald explain permission --config herald.toml --user alice --subscribe /queue/orders

Asks a running Herald, which publishes nothing; it wants scope admin. Exit code: 0 if anybody would get it, 1 if nobody."
)]
pub struct ExplainArgs {
    /// Something else than who would get a notification.
    #[command(subcommand)]
    pub command: Option<Explain>,
    /// Who would get it.
    #[command(flatten)]
    pub recipients: RecipientsArgs,
}

/// What else can be explained.
#[derive(Debug, Subcommand)]
pub enum Explain {
    /// Says which rule decides whether a user or a key may do something, and what it compared.
    #[command(
        after_help = "Examples:\n  herald explain permission --config herald.toml --user alice --subscribe /queue/orders\n  \
        herald explain permission --config herald.toml --key shop --publish /user/queue/orders\n  \
        herald explain permission --config herald.toml --anonymous --subscribe /topic/news\n  \
        herald explain permission --config herald.toml --token-file token --subscribe /queue/tenant/acme/x\n\n\
        Exit code: 0 if it is permitted, 1 if not."
    )]
    Permission(PermissionArgs),
}

/// What `herald explain permission` takes.
#[derive(Debug, Args)]
pub struct PermissionArgs {
    /// The configuration that `serve` would be given.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Who.
    #[command(flatten)]
    pub who: WhoArgs,
    /// What.
    #[command(flatten)]
    pub what: WhatArgs,
    /// Prints the decision as one line of JSON.
    #[arg(long)]
    pub json: bool,
}

/// Who is asked about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct WhoArgs {
    /// A user of the configuration or the users file.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The holder of a key of api.keys.
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// An anonymous session.
    #[arg(long)]
    pub anonymous: bool,
    /// Whoever the token in this file proves, as a login would find it; '-' is standard input. Fetches its issuer's keys.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// What is asked about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct WhatArgs {
    /// SUBSCRIBE to this destination.
    #[arg(long, value_name = "DESTINATION")]
    pub subscribe: Option<String>,
    /// SEND to this destination.
    #[arg(long, value_name = "DESTINATION")]
    pub send: Option<String>,
    /// Publish to this destination over REST; /user/queue/x is any user's.
    #[arg(long, value_name = "DESTINATION")]
    pub publish: Option<String>,
}

impl WhatArgs {
    /// The action and its destination. clap takes exactly one.
    pub fn action(&self) -> Option<(Action, &str)> {
        let subscribe = self.subscribe.as_deref().map(|at| (Action::Subscribe, at));
        let send = self.send.as_deref().map(|at| (Action::Send, at));
        let publish = self.publish.as_deref().map(|at| (Action::Publish, at));
        subscribe.or(send).or(publish)
    }
}

/// The decision as text, a line each: the rules, their conditions, and what came of it.
pub fn render(decision: &Decision) -> String {
    let mut text = String::new();
    write_decision(&mut text, decision, "");
    text
}

fn write_decision(text: &mut String, decision: &Decision, indent: &str) {
    // Writing to a String cannot fail.
    for rule in &decision.looked_at {
        let name = rule
            .name
            .as_ref()
            .map(|name| format!(" ({name})"))
            .unwrap_or_default();
        let fits = if rule.fits { "fits" } else { "does not fit" };
        let _ = writeln!(text, "{indent}{}{name} {} {fits}", rule.rule, rule.destination);
        for condition in &rule.conditions {
            let mark = if condition.holds { "✓" } else { "✗" };
            let _ = writeln!(text, "{indent}  {mark} {}", condition.condition);
        }
    }
    if let Some(effect) = &decision.effect {
        let _ = writeln!(
            text,
            "{indent}permitted by {}; a built-in route serves it, which needs {} to {}:",
            decision.by, effect.action, effect.destination
        );
        write_decision(text, effect, &format!("{indent}  "));
    }
    let outcome = if decision.permitted {
        "permitted"
    } else {
        "refused"
    };
    let (action, destination, by) = (decision.action, &decision.destination, &decision.by);
    let by = match &decision.effect {
        Some(effect) => &effect.by,
        None => by,
    };
    let _ = writeln!(text, "{indent}{action} {destination}: {outcome} ({by})");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permissions::{Held, LookedAt};

    #[test]
    fn every_rule_and_condition_has_a_line() {
        let rule = |index: usize, name: Option<&str>, fits, conditions| LookedAt {
            rule: format!("permissions.subscribe[{index}]"),
            name: name.map(Into::into),
            destination: "/queue/{user}".into(),
            fits,
            conditions,
        };
        let held = |condition: &str, holds| Held {
            condition: condition.into(),
            holds,
        };
        let decision = Decision {
            permitted: false,
            action: "SUBSCRIBE",
            destination: "/queue/bob".into(),
            by: "permissions.subscribe[1]".into(),
            looked_at: vec![
                rule(0, None, false, Vec::new()),
                rule(1, Some("own"), true, vec![held("a", true), held("b", false)]),
            ],
            effect: None,
        };
        assert_eq!(
            render(&decision),
            "permissions.subscribe[0] /queue/{user} does not fit\n\
             permissions.subscribe[1] (own) /queue/{user} fits\n  ✓ a\n  ✗ b\n\
             SUBSCRIBE /queue/bob: refused (permissions.subscribe[1])\n"
        );
        let sent = Decision {
            permitted: false,
            action: "SEND",
            destination: "/message".into(),
            by: "a default".into(),
            looked_at: Vec::new(),
            effect: Some(Box::new(decision)),
        };
        let text = render(&sent);
        assert!(text.starts_with(
            "permitted by a default; a built-in route serves it, which needs SUBSCRIBE to /queue/bob:\n  perm"
        ));
        assert!(
            text.ends_with("\nSEND /message: refused (permissions.subscribe[1])\n"),
            "{text}"
        );
    }
}
