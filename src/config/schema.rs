//! The keys that exist, from the serialized defaults. Knows nothing of where values come from.

use figment::value::{Dict, Value};

use super::Config;
use super::problem::{Problem, list, push_segment};

/// Keys whose elements have secrets or structure that an environment variable cannot hold well.
const FILE_ONLY: [&str; 3] = ["api.keys", "auth.issuers", "auth.users"];

/// Lists whose default is another key's value: as defaults they are nothing.
const LISTS_BY_DEFAULT_NONE: [&str; 1] = ["history.broadcast"];

/// Keys that can be none, and of which an empty text is a value: it does not mean none.
const EMPTY_OR_NONE: [&str; 1] = ["auth.callout.user_prefix"];

/// The tree of keys.
pub(super) struct Schema {
    root: Value,
}

/// What a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    /// A table with known keys.
    Section,
    /// A list.
    List,
    /// Anything else; serde decides.
    Scalar,
}

impl Schema {
    /// The built-in values, as a table.
    pub(super) fn defaults(&self) -> Dict {
        match &self.root {
            Value::Dict(_, dict) => dict.clone(),
            _ => Dict::new(),
        }
    }

    /// The keys of [`Config`]. Fails only if the defaults cannot be serialised, which a test excludes.
    pub(super) fn new() -> Result<Self, Problem> {
        let root = Value::serialize(Config::default())
            .map_err(|error| Problem::new("", "default", error.to_string()))?;
        Ok(Self { root })
    }

    /// What `path` names.
    pub(super) fn node(&self, path: &[&str]) -> Option<Node> {
        let value = path.iter().try_fold(&self.root, |value, segment| match value {
            Value::Dict(_, dict) => dict.get(*segment),
            _ => None,
        })?;
        Some(match value {
            // A table without known keys has no structure that could be checked here.
            Value::Dict(_, dict) if dict.is_empty() => Node::Scalar,
            Value::Dict(..) => Node::Section,
            Value::Array(..) => Node::List,
            _ if LISTS_BY_DEFAULT_NONE.contains(&path.join(".").as_str()) => Node::List,
            _ => Node::Scalar,
        })
    }

    /// As much of figment's `path` as names a key: the rest is inside its value.
    pub(super) fn key_of(&self, path: &[String]) -> Vec<String> {
        let mut key = Vec::new();
        let mut value = Some(&self.root);
        for segment in path {
            match value {
                Some(Value::Dict(_, dict)) if !dict.is_empty() => value = dict.get(segment),
                _ => break,
            }
            key.push(segment.clone());
        }
        key
    }

    /// Whether `key` may only be set in the file.
    pub(super) fn is_file_only(key: &str) -> bool {
        FILE_ONLY.contains(&key)
    }

    /// Whether an empty text means none as the value of `key`, where that can be none.
    pub(super) fn empty_is_none(key: &str) -> bool {
        !EMPTY_OR_NONE.contains(&key)
    }

    /// The problem that nothing has the name `path`.
    pub(super) fn unknown(&self, path: &[&str], origin: impl Into<String>) -> Problem {
        let mut key = String::new();
        path.iter().for_each(|segment| push_segment(&mut key, segment));
        let message = match (self.closest(&key), self.siblings(path)) {
            (Some(closest), _) => format!("unknown key; did you mean {closest}?"),
            (None, (section, names)) if section.is_empty() => {
                format!("unknown section; known are {}", list(&names, "and"))
            }
            (None, (section, names)) => format!("unknown key; [{section}] has {}", list(&names, "and")),
        };
        Problem::new(key, origin, message)
    }

    /// The known key that `key` most probably means: the same last segment elsewhere, or few letters off.
    fn closest(&self, key: &str) -> Option<String> {
        let last = key.rsplit('.').next()?;
        let (distance, closest) = self
            .all_keys()
            .into_iter()
            .map(|known| (strsim::damerau_levenshtein(key, &known), known))
            .min()?;
        if distance <= 3 && distance * 3 < key.len() {
            return Some(closest);
        }
        let mut same_name = self
            .all_keys()
            .into_iter()
            .filter(|known| known.rsplit('.').next() == Some(last));
        same_name.next().filter(|_| same_name.next().is_none())
    }

    /// The deepest section that `path` reaches, and the names it knows.
    fn siblings(&self, path: &[&str]) -> (String, Vec<String>) {
        let (mut section, mut value) = (String::new(), &self.root);
        for segment in path {
            match value {
                Value::Dict(_, dict) => match dict.get(*segment) {
                    Some(inner @ Value::Dict(_, known)) if !known.is_empty() => {
                        push_segment(&mut section, segment);
                        value = inner;
                    }
                    _ => break,
                },
                _ => break,
            }
        }
        match value {
            Value::Dict(_, dict) => (section, dict.keys().cloned().collect()),
            _ => (section, Vec::new()),
        }
    }

    /// Every key that holds a value, dotted.
    pub(super) fn all_keys(&self) -> Vec<String> {
        fn walk(prefix: &str, dict: &Dict, keys: &mut Vec<String>) {
            for (name, value) in dict {
                let mut key = prefix.to_owned();
                push_segment(&mut key, name);
                match value {
                    Value::Dict(_, inner) if !inner.is_empty() => walk(&key, inner, keys),
                    _ => keys.push(key),
                }
            }
        }
        let mut keys = Vec::new();
        if let Value::Dict(_, dict) = &self.root {
            walk("", dict, &mut keys);
        }
        keys
    }
}
