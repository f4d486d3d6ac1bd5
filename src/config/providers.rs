//! The sources of settings as figment's providers: the file, the environment, the command line. Each states in its
//! [`Metadata`] where a value comes from, so that figment keeps the provenance. Knows no key's type.

use std::collections::BTreeMap;
use std::sync::Arc;

use figment::value::{Dict, Empty, Map, Tag, Value};
use figment::{Metadata, Profile, Provider};

use super::load::Arguments;
use super::schema::Schema;

pub(super) mod env;
pub(super) mod file;

/// Where values stand, in words for an operator, by figment's path: `["api", "keys", "0", "name"]` → `herald.toml:12`.
type Places = BTreeMap<Vec<String>, String>;

/// The settings of one source.
#[derive(Debug, Clone)]
pub(super) struct Source {
    name: &'static str,
    /// Whether every value is a text, whatever its key takes.
    is_text: bool,
    settings: Dict,
    places: Arc<Places>,
}

impl Source {
    /// A source without settings, named in figment's own errors by `name`.
    fn empty(name: &'static str, is_text: bool) -> Self {
        Self {
            name,
            is_text,
            settings: Dict::new(),
            places: Arc::default(),
        }
    }

    /// The built-in values.
    pub(super) fn defaults(settings: Dict) -> Self {
        Self {
            settings,
            ..Self::empty("default", false)
        }
    }

    /// What the flags of the command line set.
    pub(super) fn flags(arguments: &Arguments) -> Self {
        let mut source = Self::empty("flags", true);
        if let Some(address) = &arguments.listen {
            source.set(&["http", "listen"], address.as_str().into(), "--listen".into());
        }
        source
    }

    /// What `--demo` sets where nobody else does: stronger than the defaults alone.
    pub(super) fn demo(arguments: &Arguments) -> Self {
        let mut source = Self::empty("--demo", true);
        if arguments.demo {
            source.set(&["api", "access"], "open".into(), "--demo".into());
        }
        source
    }

    /// Forgets every setting that is not in `section`.
    pub(super) fn keep_section(&mut self, section: &str) {
        self.settings.retain(|name, _| name == section);
    }

    /// Gives the key at `path` a value that stands at `place`.
    fn set(&mut self, path: &[&str], value: Value, place: String) {
        self.place(path.iter().map(|segment| (*segment).to_owned()).collect(), place);
        let Some((last, sections)) = path.split_last() else {
            return;
        };
        let mut dict = &mut self.settings;
        for section in sections {
            let inner = dict
                .entry((*section).to_owned())
                .or_insert_with(|| Value::from(Dict::new()));
            let Value::Dict(_, inner) = inner else { return };
            dict = inner;
        }
        dict.insert((*last).to_owned(), value);
    }

    fn place(&mut self, path: Vec<String>, place: String) {
        Arc::make_mut(&mut self.places).insert(path, place);
    }

    fn value_mut(&mut self, path: &[String]) -> Option<&mut Value> {
        let (first, rest) = path.split_first()?;
        rest.iter()
            .try_fold(self.settings.get_mut(first)?, |value, segment| match value {
                Value::Dict(_, dict) => dict.get_mut(segment),
                _ => None,
            })
    }

    /// Reads the value at `path` in its second meaning, if it has one: an empty text is none where a key can be none, and
    /// a text where it cannot; a text of the environment is a number or a truth value where the key takes no text.
    pub(super) fn read_again(&mut self, path: &[String], takes_text: bool) -> bool {
        let is_text = self.is_text;
        let Some(value) = self.value_mut(path) else {
            return false;
        };
        let second = match value {
            Value::Empty(..) => Some(Value::from("")),
            Value::String(_, text) if is_text && !takes_text => number_or_truth(text.trim()),
            _ => None,
        };
        match second {
            Some(second) => {
                *value = second;
                true
            }
            None => false,
        }
    }

    /// Forgets the value at `path`; says whether there was one.
    pub(super) fn remove(&mut self, path: &[String]) -> bool {
        let Some((last, sections)) = path.split_last() else {
            return false;
        };
        let dict = match sections {
            [] => Some(&mut self.settings),
            sections => match self.value_mut(sections) {
                Some(Value::Dict(_, dict)) => Some(dict),
                _ => None,
            },
        };
        dict.is_some_and(|dict| dict.remove(last).is_some())
    }
}

impl Provider for Source {
    fn metadata(&self) -> Metadata {
        let (name, places) = (self.name, self.places.clone());
        Metadata::named(name).interpolater(move |_, path| {
            let mut path: Vec<String> = path.iter().map(|segment| (*segment).to_owned()).collect();
            while !path.is_empty() {
                if let Some(place) = places.get(&path) {
                    return place.clone();
                }
                path.pop();
            }
            name.to_owned()
        })
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.settings.clone()))
    }
}

/// An empty text means none where a key can be none, but for a few: neither TOML nor the environment has another way to say so.
fn text_or_none(key: &str, value: Value) -> Value {
    match value.as_str() {
        Some("") if Schema::empty_is_none(key) => Value::Empty(Tag::Default, Empty::None),
        _ => value,
    }
}

fn number_or_truth(text: &str) -> Option<Value> {
    let number = || text.parse::<i64>().ok().map(Value::from);
    let fraction = || text.parse::<f64>().ok().map(Value::from);
    let truth = || text.parse::<bool>().ok().map(Value::from);
    number().or_else(fraction).or_else(truth)
}
