//! Settings from a TOML file, each with its line. Knows only the file's text, not how it was read.
//!
//! A syntax error is reported without the line's text, which may contain a secret.

use figment::value::{Dict, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Source, text_or_none};
use crate::config::problem::{Problem, push_segment};
use crate::config::schema::{Node, Schema};

/// The settings of `text`, the content of the file `path`.
pub(in crate::config) fn read(
    path: &str,
    text: &str,
    schema: &Schema,
    problems: &mut Vec<Problem>,
) -> Source {
    let mut reader = Reader {
        path,
        line_starts: text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at)
            .collect(),
        schema,
        problems,
        source: Source::empty("file", false),
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
    reader.source
}

/// A TOML array by itself, such as `["a", "b"]`.
pub(super) fn parse_array(text: &str) -> Option<Vec<Value>> {
    let parsed = DeValue::parse(text).ok()?;
    match value(parsed.get_ref(), &mut Vec::new(), &mut |_, _| ()).ok()? {
        Value::Array(_, values) => Some(values),
        _ => None,
    }
}

struct Reader<'a> {
    path: &'a str,
    /// Where each line but the first begins, less one.
    line_starts: Vec<usize>,
    schema: &'a Schema,
    problems: &'a mut Vec<Problem>,
    source: Source,
}

impl Reader<'_> {
    /// The place of the byte `at`: the file and its line, counted from 1.
    fn origin(&self, at: usize) -> String {
        let line = self.line_starts.partition_point(|start| *start < at) + 1;
        format!("{}:{line}", self.path.escape_debug())
    }

    fn section<'t>(&mut self, path: &mut Vec<&'t str>, table: &'t DeTable<'t>) {
        for (name, content) in table {
            let origin = self.origin(name.span().start);
            path.push(name.get_ref());
            self.entry(path, content, origin);
            path.pop();
        }
    }

    fn entry<'t>(&mut self, path: &mut Vec<&'t str>, content: &'t Spanned<DeValue<'t>>, origin: String) {
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
                let mut elements = Vec::new();
                let mut inside = path.iter().map(|segment| (*segment).to_owned()).collect();
                match value(content, &mut inside, &mut |path, at| {
                    elements.push((path.to_vec(), at))
                }) {
                    Ok(value) => {
                        self.source.set(path, text_or_none(&key(), value), origin);
                        for (path, at) in elements {
                            let origin = self.origin(at);
                            self.source.place(path, origin);
                        }
                    }
                    Err(problem) => self.problems.push(Problem::new(key(), origin, problem)),
                }
            }
        }
    }
}

/// `content` as figment's value; `place` is told where each element of a list and each key in it stands, by its path.
fn value(
    content: &DeValue<'_>,
    path: &mut Vec<String>,
    place: &mut dyn FnMut(&[String], usize),
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
                path.push(index.to_string());
                place(path, element.span().start);
                values.push(value(element.get_ref(), path, place)?);
                path.pop();
            }
            Value::from(values)
        }
        DeValue::Table(table) => {
            let mut dict = Dict::new();
            for (name, element) in table {
                path.push(name.get_ref().to_string());
                place(path, name.span().start);
                dict.insert(name.get_ref().to_string(), value(element.get_ref(), path, place)?);
                path.pop();
            }
            Value::from(dict)
        }
    })
}
