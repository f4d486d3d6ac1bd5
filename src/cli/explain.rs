//! `herald explain`: for a destination, which sessions would get a notification (`client::explain` asks); for a
//! permission, which rule decides, as text or JSON. Knows the decision; `main` gets it from the configuration or from a
//! running Herald.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::client::context::{Name, names_a_server};
use super::client::explain::RecipientsArgs;
use super::client::{ClientError, Environment, ServerArgs};
use super::{ConfigArgs, paint};
use crate::permissions::{Action, Decision};

/// The arguments of `herald explain`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  herald explain /queue/orders
  herald explain /queue/orders --user alice
  herald explain permission --config herald.toml --user alice --subscribe /queue/orders

Asks a running Herald, which publishes nothing; it requires the scope admin. Exit code: 0 if anybody would get it, 1 if nobody."
)]
pub struct ExplainArgs {
    /// What to explain instead of the recipients of a notification.
    #[command(subcommand)]
    pub command: Option<Explain>,
    /// The recipients of a notification.
    #[command(flatten)]
    pub recipients: RecipientsArgs,
}

/// What else can be explained.
#[derive(Debug, Subcommand)]
pub enum Explain {
    /// Shows which rule decides whether a user or a key may do something, and what it compared.
    #[command(
        after_help = "Examples:\n  herald explain permission --config herald.toml --user alice --subscribe /queue/orders\n  \
        herald explain permission --config herald.toml --key shop --publish /user/queue/orders\n  \
        herald explain permission --config herald.toml --anonymous --subscribe /topic/news\n  \
        herald explain permission --config herald.toml --token-file token --subscribe /queue/tenant/acme/x\n  \
        herald explain permission --context prod --user alice --subscribe /queue/orders\n  \
        herald explain permission --session 01JDEXAMPRE0000000000000AA --send /app/orders\n\n\
        Where a context is selected or HERALD_URL is set, it asks that running Herald, unless --config, --demo or HERALD_CONFIG names a\n\
        configuration. Standard error says which was asked. A running Herald requires scope admin.\n\
        Exit code: 0 if it is permitted, 1 if not."
    )]
    Permission(PermissionArgs),
}

/// The arguments of `herald explain permission`.
#[derive(Debug, Args)]
pub struct PermissionArgs {
    /// The configuration, as for `serve`.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The user or key in question.
    #[command(flatten)]
    pub who: WhoArgs,
    /// The action in question.
    #[command(flatten)]
    pub what: WhatArgs,
    /// Prints the decision as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// A running Herald to ask instead.
    #[command(flatten)]
    pub running: RunningArgs,
}

impl PermissionArgs {
    /// The running Herald that is asked, if any: the one that the command line names; else, unless it or
    /// `HERALD_CONFIG` names a configuration, the one that a variable or the selected context names, as for every other
    /// command.
    ///
    /// # Errors
    /// The context that would be used cannot be used.
    pub fn running(&self, env: Environment<'_>) -> Result<Option<ServerArgs>, ClientError> {
        let RunningArgs {
            running,
            context,
            url,
            login,
            password_file,
            key_file,
            ca_file,
        } = &self.running;
        let server = ServerArgs {
            context: context.clone(),
            url: url.clone(),
            login: login.clone(),
            password_file: password_file.clone(),
            token_file: None,
            key_file: key_file.clone(),
            ca_file: ca_file.clone(),
        };
        let by_name = *running || context.is_some() || url.is_some() || self.who.session.is_some();
        if by_name || login.is_some() || key_file.is_some() {
            return Ok(Some(server));
        }
        let is_set = |name: &str| env(name).is_some_and(|value| !value.is_empty());
        let ConfigArgs { config, demo, listen } = &self.config;
        let of_file = config.is_some() || *demo || listen.is_some() || is_set("HERALD_CONFIG");
        // Only a configuration can be asked about these.
        if of_file || self.who.anonymous || self.who.token_file.is_some() {
            return Ok(None);
        }
        Ok(names_a_server(&server, env)?.then_some(server))
    }
}

/// A running Herald, and the credentials for it. Like [`ServerArgs`], except that --token-file names the user in
/// question.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Server")]
pub struct RunningArgs {
    /// Asks a running Herald, which knows the users, keys and rules that it has now, instead of a configuration. --context, --url,
    /// --login, --key-file and --session mean it too; so do the variables and the selected context, where no configuration is named.
    #[arg(long, conflicts_with_all = ["config", "demo", "listen", "anonymous", "token_file"])]
    pub running: bool,
    /// The context with the address and the credentials (herald context). Default: $HERALD_CONTEXT, then the selected context.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["config", "demo", "listen", "anonymous", "token_file"])]
    pub context: Option<Name>,
    /// The address of Herald. Default: $HERALD_URL, then http://127.0.0.1:8080.
    #[arg(long, value_name = "URL", conflicts_with_all = ["config", "demo", "listen", "anonymous", "token_file"])]
    pub url: Option<String>,
    /// The user who asks. The password comes from $HERALD_PASSWORD or --password-file. Default: $HERALD_LOGIN, $HERALD_TOKEN or $HERALD_KEY.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["config", "demo", "listen", "anonymous", "token_file"])]
    pub login: Option<String>,
    /// A file with the password.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "demo", "listen", "anonymous", "token_file"])]
    pub password_file: Option<PathBuf>,
    /// A file with an API key. Default: $HERALD_KEY.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "demo", "listen", "anonymous", "token_file"])]
    pub key_file: Option<PathBuf>,
    /// A PEM file of certificate authorities to trust for https, in addition to the system's.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "demo", "listen", "anonymous", "token_file"])]
    pub ca_file: Option<PathBuf>,
}

/// The user or key in question.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct WhoArgs {
    /// A user of the configuration or the users file.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The holder of a key of api.keys.
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// The holder of the client's certificate of this entry of api.certificates.
    #[arg(long, value_name = "NAME")]
    pub certificate: Option<String>,
    /// An anonymous session.
    #[arg(long)]
    pub anonymous: bool,
    /// The user whom the token in this file proves, as in a login; '-' is standard input. Fetches its issuer's keys.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// This live session of a running Herald, on whichever instance it is; `herald users NAME` lists them.
    #[arg(long, value_name = "ID", conflicts_with_all = ["config", "demo", "listen"])]
    pub session: Option<String>,
}

/// The action in question.
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

impl WhoArgs {
    /// The parameter that names the user in question on a running Herald's route, and its value.
    pub(in crate::cli) fn parameter(&self) -> Option<(&'static str, &str)> {
        let user = self.user.as_deref().map(|user| ("user", user));
        let key = self.key.as_deref().map(|key| ("key", key));
        let certificate = self.certificate.as_deref().map(|name| ("certificate", name));
        let session = self.session.as_deref().map(|session| ("session", session));
        user.or(key).or(certificate).or(session)
    }
}

/// Says that no running Herald is asked, and which configuration decides.
pub fn say_by_configuration(args: &ConfigArgs) {
    let of_variable = || std::env::var_os("HERALD_CONFIG").filter(|value| !value.is_empty());
    let file = args.config.clone().or_else(|| of_variable().map(PathBuf::from));
    let words = match file {
        Some(file) => format!("asked: the configuration {}, no running Herald", file.display()),
        None if args.demo => "asked: the configuration of --demo, no running Herald".to_owned(),
        None => "asked: the defaults and the variables (--config FILE reads a configuration, --running asks a running Herald)".to_owned(),
    };
    paint::notice(paint::DIM, &words);
}

/// Prints a decision, without characters that control a terminal: the running Herald may not be what it seems.
///
/// # Errors
/// Standard output is gone.
pub fn print(decision: &Decision, as_json: bool) -> std::io::Result<()> {
    use std::io::Write as _;
    match as_json {
        true => paint::json_line(decision),
        false => write!(
            std::io::stdout().lock(),
            "{}",
            paint::printable(&render(decision))
        ),
    }
}

/// A running Herald's answer. `None`: it is not a decision.
pub fn read(answer: &[u8]) -> Option<Decision> {
    serde_json::from_slice(answer).ok()
}

/// The decision as text, a line each: the rules, their conditions, and the result.
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
        let fits = if rule.fits { "matches" } else { "does not match" };
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
    let (action, destination, by) = (&decision.action, &decision.destination, &decision.by);
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
            action: "SUBSCRIBE".into(),
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
            "permissions.subscribe[0] /queue/{user} does not match\n\
             permissions.subscribe[1] (own) /queue/{user} matches\n  ✓ a\n  ✗ b\n\
             SUBSCRIBE /queue/bob: refused (permissions.subscribe[1])\n"
        );
        let sent = Decision {
            permitted: false,
            action: "SEND".into(),
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
