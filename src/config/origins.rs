//! The source of each value in force, from figment's [`Metadata`]. Knows no value.

use std::collections::BTreeMap;

use figment::{Figment, Metadata, Profile};

/// What stands for the origin of a key that no source sets.
pub(super) const DEFAULT: &str = "default";

/// The origin of every key, in words for an operator: `herald.toml:12`, `HERALD_HTTP__LISTEN`, `--listen`, `default`.
#[derive(Debug, Clone, Default)]
pub struct Origins(BTreeMap<String, Metadata>);

impl Origins {
    /// The origins of `keys` in `figment`. Keeps no value: some are secrets.
    pub(super) fn of_all(figment: &Figment, keys: Vec<String>) -> Self {
        let found = keys.into_iter().filter_map(|key| {
            let metadata = figment.find_metadata(&key)?.clone();
            Some((key, metadata))
        });
        Self(found.collect())
    }

    /// Whether no source sets `key`, so that its default is in force.
    pub fn is_default(&self, key: &str) -> bool {
        self.of(key) == DEFAULT
    }

    /// The origin of `key`, dotted, elements of lists as `api.keys[0].name`; where an element has none of its own, that
    /// of the nearest key that holds it.
    pub fn of(&self, key: &str) -> String {
        let mut known = key;
        loop {
            if let Some(metadata) = self.0.get(known) {
                let path: Vec<&str> = key
                    .split(['.', '[', ']'])
                    .filter(|segment| !segment.is_empty())
                    .collect();
                return metadata.interpolate(&Profile::Default, &path);
            }
            match known.rfind(['.', '[']) {
                Some(end) => known = &known[..end],
                None => return DEFAULT.to_owned(),
            }
        }
    }
}
