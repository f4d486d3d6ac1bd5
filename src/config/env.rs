//! Settings from environment variables: `HERALD_` and the key with `__` between its levels. Values stay the text they
//! are: what looks like a number or has blanks around it may be a password. Knows no process environment; the
//! variables are given.

use std::ffi::OsString;

use figment::value::Value;

use super::file::parse_array;
use super::origin::Origin;
use super::problem::Problem;
use super::schema::{Node, Schema};
use super::setting::{Setting, none};

const PREFIX: &str = "HERALD_";
const SEPARATOR: &str = "__";

/// The settings among `variables`, sorted by name. Variables without `__` are not ours: Kubernetes injects
/// `HERALD_PORT` and the like for a service of that name.
pub(super) fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    schema: &Schema,
    problems: &mut Vec<Problem>,
) -> Vec<Setting> {
    let mut ours: Vec<(String, OsString)> = variables
        .into_iter()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| {
            name.strip_prefix(PREFIX)
                .is_some_and(|rest| rest.contains(SEPARATOR))
        })
        .collect();
    ours.sort();
    ours.into_iter()
        .filter_map(|(name, value)| {
            setting(&name, value, schema)
                .map_err(|problem| problems.push(problem))
                .ok()
        })
        .collect()
}

fn setting(name: &str, value: OsString, schema: &Schema) -> Result<Setting, Problem> {
    let origin = Origin::Env(name.escape_debug().to_string());
    let lower = name.trim_start_matches(PREFIX).to_ascii_lowercase();
    let path: Vec<&str> = lower.split(SEPARATOR).collect();
    let key = path.join(".");
    let node = match schema.node(&path) {
        None => return Err(schema.unknown(&path, origin)),
        Some(Node::Section) => {
            return Err(Problem::new(
                key,
                origin,
                "expected one of its keys: this is a section",
            ));
        }
        Some(node) => node,
    };
    let expected_name = format!("{PREFIX}{}", path.join(SEPARATOR).to_ascii_uppercase());
    if name != expected_name {
        return Err(Problem::new(
            key,
            origin,
            format!("write the variable in capitals: {expected_name}"),
        ));
    }
    if Schema::is_file_only(&key) {
        return Err(Problem::new(
            key,
            origin,
            "can be set in the configuration file only",
        ));
    }
    // The value is not shown: it may be a secret.
    let text = value
        .into_string()
        .map_err(|_| Problem::new(&key, origin.clone(), "the value is not UTF-8"))?;
    Ok(Setting {
        candidates: candidates(&text, node),
        key,
        origin,
        elements: Vec::new(),
    })
}

/// What `text` may mean, best first; the first that fits the key's type is taken.
pub(super) fn candidates(text: &str, node: Node) -> Vec<Value> {
    if node == Node::List {
        return vec![list(text)];
    }
    let mut candidates = Vec::new();
    if text.is_empty() {
        candidates.push(none());
    }
    candidates.push(Value::from(text));
    let trimmed = text.trim();
    if let Ok(number) = trimmed.parse::<i64>() {
        candidates.push(Value::from(number));
    } else if let Ok(number) = trimmed.parse::<f64>() {
        candidates.push(Value::from(number));
    } else if let Ok(truth) = trimmed.parse::<bool>() {
        candidates.push(Value::from(truth));
    }
    candidates
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
