//! Settings from environment variables: `HERALD_` and the key with `__` between its levels. Values remain text: what
//! looks like a number or has blanks around it may be a password. Does not read the process environment; the variables
//! are a parameter.

use std::ffi::OsString;

use figment::value::Value;

use super::file::parse_array;
use super::{Source, text_or_none};
use crate::config::problem::Problem;
use crate::config::schema::{Node, Schema};

const PREFIX: &str = "HERALD_";
const SEPARATOR: &str = "__";

/// The settings among `variables`. Variables without `__` are not Herald's: Kubernetes injects `HERALD_PORT` and the
/// like for a service of that name.
pub(in crate::config) fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    schema: &Schema,
    problems: &mut Vec<Problem>,
) -> Source {
    let mut ours: Vec<(String, OsString)> = variables
        .into_iter()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| {
            name.strip_prefix(PREFIX)
                .is_some_and(|rest| rest.contains(SEPARATOR))
        })
        .collect();
    ours.sort();
    let mut source = Source::empty("environment", true);
    for (name, value) in ours {
        if let Err(problem) = setting(&name, value, schema, &mut source) {
            problems.push(problem);
        }
    }
    source
}

fn setting(name: &str, value: OsString, schema: &Schema, source: &mut Source) -> Result<(), Problem> {
    let origin = name.escape_debug().to_string();
    let lower = name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase();
    let path: Vec<&str> = lower.split(SEPARATOR).collect();
    let key = path.join(".");
    let problem = |message: &str| Problem::new(&key, &origin, message);
    let node = match schema.node(&path) {
        None => return Err(schema.unknown(&path, &origin)),
        Some(Node::Section) => return Err(problem("expected one of its keys: this is a section")),
        Some(node) => node,
    };
    let expected_name = format!("{PREFIX}{}", path.join(SEPARATOR).to_ascii_uppercase());
    if name != expected_name {
        return Err(problem(&format!(
            "write the variable in capitals: {expected_name}"
        )));
    }
    if Schema::is_file_only(&key) {
        return Err(problem("can be set in the configuration file only"));
    }
    // The value is not shown: it may be a secret.
    let text = value
        .into_string()
        .map_err(|_| problem("the value is not UTF-8"))?;
    let value = match node {
        Node::List => list(&text),
        _ => text_or_none(&key, Value::from(text)),
    };
    source.set(&path, value, origin);
    Ok(())
}

/// `["a","b"]`, `[a, b]` or `a,b`; nothing for an empty text.
fn list(text: &str) -> Value {
    let text = text.trim();
    if let Some(array) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match parse_array(text) {
            Some(values) => Value::from(values),
            None => split(array),
        };
    }
    split(text)
}

fn split(text: &str) -> Value {
    match text.trim() {
        "" => Value::from(Vec::<Value>::new()),
        text => Value::from(
            text.split(',')
                .map(|item| Value::from(item.trim()))
                .collect::<Vec<_>>(),
        ),
    }
}
