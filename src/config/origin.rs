//! Where a value came from. Knows no key and no type.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The source of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// A line of the configuration file.
    File {
        /// The path as it was given.
        path: Arc<str>,
        /// Counted from 1.
        line: usize,
    },
    /// An environment variable, by its name.
    Env(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Env(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// The origin of every key in force that is no default. Keys are dotted, elements of lists `api.keys[0].name`.
#[derive(Debug, Clone, Default)]
pub struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// The origin of `key`, or of the nearest key that holds it, or [`Origin::Default`].
    pub fn of(&self, key: &str) -> Origin {
        let mut key = key;
        loop {
            if let Some(origin) = self.0.get(key) {
                return origin.clone();
            }
            match key.rfind(['.', '[']) {
                Some(end) => key = &key[..end],
                None => return Origin::Default,
            }
        }
    }

    /// Says that `key` now comes from `origin`; what was known of its elements is void.
    pub(super) fn set(&mut self, key: &str, origin: Origin) {
        self.0.retain(|known, _| !is_below(known, key));
        self.0.insert(key.into(), origin);
    }

    /// Says where an element of a list stands, after [`Origins::set`] of the list.
    pub(super) fn set_element(&mut self, key: String, origin: Origin) {
        self.0.insert(key, origin);
    }
}

fn is_below(key: &str, ancestor: &str) -> bool {
    key.strip_prefix(ancestor)
        .is_some_and(|rest| rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_falls_back_on_what_holds_it() {
        let line = |line| Origin::File {
            path: "f".into(),
            line,
        };
        let mut origins = Origins::default();
        origins.set("api.keys", line(1));
        origins.set_element("api.keys[1]".into(), line(5));
        assert_eq!(origins.of("api.keys[1].sha256"), line(5));
        assert_eq!(origins.of("api.keys[0].sha256"), line(1));
        assert_eq!(origins.of("api.access"), Origin::Default);
        origins.set("api.keys", Origin::Env("X".into()));
        assert_eq!(origins.of("api.keys[1].sha256"), Origin::Env("X".into()));
    }
}
