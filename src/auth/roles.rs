//! Which roles a user has that somebody else vouches for: an issuer, or a backend. Their words become roles only where the
//! configuration says so. Knows no token and no answer.

use std::collections::{BTreeMap, HashMap};

use crate::principal::Role;

/// The most roles of one user.
const ROLES_MAX: usize = 64;

/// The rules.
#[derive(Debug, Clone)]
pub(super) struct RoleRules {
    always: Vec<Role>,
    map: HashMap<Box<str>, Role>,
    allowed: Vec<Role>,
}

impl RoleRules {
    /// Each user has those of `always`; `map` makes roles of words, and `allowed` are taken as they are.
    pub(super) fn new(always: &[Role], map: &BTreeMap<String, Role>, allowed: &[Role]) -> Self {
        let map = map
            .iter()
            .map(|(word, role)| (word.as_str().into(), role.clone()));
        Self {
            always: always.to_vec(),
            map: map.collect(),
            allowed: allowed.to_vec(),
        }
    }

    /// The roles of whom these words are said. What has no rule is dropped.
    pub(super) fn of<'a>(&self, words: impl Iterator<Item = &'a str>) -> Vec<Role> {
        let mut roles = self.always.clone();
        for word in words {
            let allowed = || self.allowed.iter().find(|role| role.as_str() == word);
            if let Some(role) = self.map.get(word).or_else(allowed)
                && !roles.contains(role)
                && roles.len() < ROLES_MAX
            {
                roles.push(role.clone());
            }
        }
        roles
    }
}
