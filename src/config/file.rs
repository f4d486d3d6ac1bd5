//! Settings from a TOML file, each with its line. Knows the file's text alone, not how it was read.
//!
//! A syntax error is told without the line's text, which may hold a secret.

use std::sync::Arc;

use figment::value::{Dict, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::origin::Origin;
use super::problem::{Problem, push_segment};
use super::schema::{Node, Schema};
use super::setting::{Setting, none};

/// The settings of `text`, the content of the file `path`, in the order of their keys.
pub(super) fn read(path: &str, text: &str, schema: &Schema, problems: &mut Vec<Problem>) -> Vec<Setting> {
    let mut reader = Reader {
        path: path.into(),
        line_starts: text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at)
            .collect(),
        schema,
        problems,
        settings: Vec::new(),
    };
    match DeTable::parse(text) {
        Ok(table) => reader.section(&mut Vec::new(), table.get_ref()),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            let origin = reader.origin(at);
            let message = format!("not TOML: {}", error.message());
            reader.problems.push(Problem::new("", origin, message));
        }
    }
    reader.settings
}

/// A TOML array by itself, such as `["a", "b"]`.
pub(super) fn parse_array(text: &str) -> Option<Vec<Value>> {
    let parsed = DeValue::parse(text).ok()?;
    match value(parsed.get_ref(), "", &mut |_, _| ()).ok()? {
        Value::Array(_, values) => Some(values),
        _ => None,
    }
}

struct Reader<'a> {
    path: Arc<str>,
    /// Where each line but the first begins, less one.
    line_starts: Vec<usize>,
    schema: &'a Schema,
    problems: &'a mut Vec<Problem>,
    settings: Vec<Setting>,
}

impl Reader<'_> {
    fn origin(&self, at: usize) -> Origin {
        Origin::File {
            path: self.path.clone(),
            line: self.line_starts.partition_point(|start| *start < at) + 1,
        }
    }

    fn section<'t>(&mut self, path: &mut Vec<&'t str>, table: &'t DeTable<'t>) {
        for (name, content) in table {
            let origin = self.origin(name.span().start);
            path.push(name.get_ref());
            self.entry(path, content, origin);
            path.pop();
        }
    }

    fn entry<'t>(&mut self, path: &mut Vec<&'t str>, content: &'t Spanned<DeValue<'t>>, origin: Origin) {
        let key = || {
            let mut key = String::new();
            path.iter().for_each(|segment| push_segment(&mut key, segment));
            key
        };
        match (self.schema.node(path), content.get_ref()) {
            (None, _) => self.problems.push(self.schema.unknown(path, origin)),
            (Some(Node::Section), DeValue::Table(table)) => self.section(path, table),
            (Some(Node::Section), _) => {
                let message = format!("expected a section, such as [{}]", key());
                self.problems.push(Problem::new(key(), origin, message));
            }
            (Some(_), content) => {
                let key = key();
                let mut elements = Vec::new();
                match value(content, &key, &mut |key, at| {
                    elements.push((key, self.origin(at)))
                }) {
                    Ok(value) => self.settings.push(Setting {
                        key,
                        origin,
                        candidates: candidates(value),
                        elements,
                    }),
                    Err(problem) => self.problems.push(Problem::new(key, origin, problem)),
                }
            }
        }
    }
}

/// An empty text means none where a key can be none: TOML has no other way to say so.
fn candidates(value: Value) -> Vec<Value> {
    match value.as_str() {
        Some("") => vec![none(), value],
        _ => vec![value],
    }
}

/// `content` as figment's value; `place` is told where each element of a list and each key in it stands.
fn value(
    content: &DeValue<'_>,
    key: &str,
    place: &mut dyn FnMut(String, usize),
) -> Result<Value, &'static str> {
    Ok(match content {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
            .map(Value::from)
            .map_err(|_| "the number is too large")?,
        DeValue::Float(digits) => digits
            .as_str()
            .parse::<f64>()
            .map(Value::from)
            .map_err(|_| "not a number")?,
        DeValue::Boolean(truth) => Value::from(*truth),
        DeValue::Datetime(_) => return Err("no key takes a date: put a text in quotes"),
        DeValue::Array(array) => {
            let mut values = Vec::new();
            for (index, element) in array.iter().enumerate() {
                let key = format!("{key}[{index}]");
                place(key.clone(), element.span().start);
                values.push(value(element.get_ref(), &key, place)?);
            }
            Value::from(values)
        }
        DeValue::Table(table) => {
            let mut dict = Dict::new();
            for (name, element) in table {
                let mut key = key.to_owned();
                push_segment(&mut key, name.get_ref());
                place(key.clone(), name.span().start);
                dict.insert(name.get_ref().to_string(), value(element.get_ref(), &key, place)?);
            }
            Value::from(dict)
        }
    })
}
