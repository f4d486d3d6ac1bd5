//! Which keys an issuer has: what no whole set of its has taken away. Knows no fetch.

use std::collections::HashMap;

use crate::auth::keys::{Key, KeyId, KeySet};

/// The most keys that are remembered where sets are damaged.
const HELD_MAX: usize = 1_024;
/// The most keys that are named of those that are gone, and the most characters of each name.
const GONE_NAMED: usize = 8;
const GONE_MAX_CHARS: usize = 64;

/// The keys of this set and of earlier ones, with their names.
#[derive(Default)]
pub(super) struct Held(HashMap<KeyId, Option<Box<str>>>);

/// The names of keys that are gone.
#[derive(Default)]
pub(super) struct Gone(Vec<Option<Box<str>>>);

impl Held {
    pub(super) fn has(&self, key: &KeyId) -> bool {
        self.0.contains_key(key)
    }

    /// Takes the keys of a new set. Those that it takes away.
    pub(super) fn take(&mut self, set: &KeySet) -> Gone {
        let keys = set.keys().map(|key: &Key| (key.id(), key.kid().map(Box::from)));
        if set.damaged() > 0 {
            let room = HELD_MAX.saturating_sub(self.0.len());
            self.0.extend(keys.take(room));
            return Gone::default();
        }
        let before = std::mem::replace(&mut self.0, keys.collect());
        let gone = before.into_iter().filter(|(id, _)| !self.0.contains_key(id));
        Gone(gone.map(|(_, kid)| kid).collect())
    }
}

impl Gone {
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// For the log: sorted, and the first of many.
    pub(super) fn names(&self) -> String {
        let name = |kid: &Option<Box<str>>| match kid {
            Some(kid) => kid.escape_debug().take(GONE_MAX_CHARS).collect(),
            None => "(no kid)".to_owned(),
        };
        let mut names: Vec<String> = self.0.iter().map(name).collect();
        names.sort_unstable();
        let left_out = names.len().saturating_sub(GONE_NAMED);
        names.truncate(GONE_NAMED);
        match left_out {
            0 => names.join(", "),
            _ => format!("{} and {left_out} more", names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_those_that_are_gone_are_named_and_forge_no_line() {
        let names =
            |names: &[Option<&str>]| Gone(names.iter().map(|name| name.map(Box::from)).collect()).names();
        assert_eq!(names(&[None, Some("b"), Some("a")]), "(no kid), a, b");
        let nine = ["1", "2", "3", "4", "5", "6", "7", "8", "9"].map(Some);
        assert_eq!(names(&nine[..8]), "1, 2, 3, 4, 5, 6, 7, 8");
        assert_eq!(names(&nine), "1, 2, 3, 4, 5, 6, 7, 8 and 1 more");
        assert_eq!(names(&[Some("a\nforged")]), r"a\nforged");
        assert_eq!(names(&[Some(&"x".repeat(10_000))]), "x".repeat(64));
    }
}
