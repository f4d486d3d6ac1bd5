//! `herald check`: the configuration in force as TOML-like text, each value with its source and secrets hidden. Knows
//! what was loaded; `main` has prepared a start with it before, as `serve` does.

use std::fmt::Write;

use clap::Args;
use toml::Value;

use super::ConfigArgs;
use crate::config::{Config, Loaded};

pub mod production;

/// The arguments of `herald check`.
#[derive(Debug, Clone, Default, Args)]
pub struct CheckArgs {
    /// The configuration, as for `serve`.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Checks the list "Before production" of README.md instead: what to change and what to decide. Exit code 0 or 1.
    #[arg(long)]
    pub production: bool,
    /// Prints each item of that list as one line of JSON.
    #[arg(long, requires = "production")]
    pub json: bool,
}

/// The column of the sources, if the values leave room for it.
const SOURCE_COLUMN: usize = 56;

/// The text of `loaded`: one section after the other, with sorted keys. A key that is not set is a comment.
///
/// # Errors
/// The configuration cannot be written as TOML.
pub fn render(loaded: &Loaded) -> Result<String, toml::ser::Error> {
    let keys = serde_json::to_value(&loaded.config).unwrap_or_default();
    let values = Value::try_from(&loaded.config)?;
    let mut text = String::new();
    section(&mut text, loaded, "", &keys, &values);
    Ok(text)
}

/// Writes the keys directly in `prefix`, then the sections below it. `keys` also lists those that are not set.
fn section(text: &mut String, loaded: &Loaded, prefix: &str, keys: &serde_json::Value, values: &Value) {
    let Some(keys) = keys.as_object() else { return };
    let (sections, leaves): (Vec<_>, Vec<_>) = keys.iter().partition(|(_, value)| value.is_object());
    if !prefix.is_empty() {
        let gap = if text.is_empty() { "" } else { "\n" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{gap}[{prefix}]");
    }
    for (name, _) in leaves {
        let line = match values.get(name) {
            Some(value) => format!("{name} = {}", inline(value)),
            None => format!("# {name} is not set"),
        };
        let source = loaded.origins.of(&join(prefix, name));
        // A list of tables spans several lines; its source belongs to the first.
        let (first, rest) = line.split_once('\n').unwrap_or((&line, ""));
        let _ = writeln!(text, "{first:SOURCE_COLUMN$} # {source}");
        if !rest.is_empty() {
            let _ = writeln!(text, "{rest}");
        }
    }
    for (name, inner) in sections {
        if let Some(values) = values.get(name) {
            section(text, loaded, &join(prefix, name), inner, values);
        }
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.into()
    } else {
        format!("{prefix}.{name}")
    }
}

/// What is allowed, looks right, and has a cost that operators should know.
pub fn notes(config: &Config) -> Vec<&'static str> {
    let forgets = !config.auth.issuers.is_empty() && config.auth.revoked_file.is_none();
    let forgotten = "auth.revoked_file is not set: revocations are only in memory; they are lost if all instances stop at the same time";
    forgets.then_some(forgotten).into_iter().collect()
}

/// One line, except for a list of tables, which has one line per element.
fn inline(value: &Value) -> String {
    match value {
        Value::Array(elements) if elements.iter().any(Value::is_table) => {
            let lines: String = elements
                .iter()
                .map(|element| format!("  {},\n", inline(element)))
                .collect();
            format!("[\n{lines}]")
        }
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(inline).collect();
            format!("[{}]", elements.join(", "))
        }
        Value::Table(table) => {
            let entries: Vec<String> = table
                .iter()
                .map(|(name, value)| format!("{name} = {}", inline(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests;
