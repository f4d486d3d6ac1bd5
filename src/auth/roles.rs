//! The roles of users whom others authenticate: an issuer, or a backend. Their words become roles only if the
//! configuration says so. Knows no token and no answer.

use std::collections::{BTreeMap, HashMap};

use crate::principal::Role;

/// The maximum number of roles of a user.
const ROLES_MAX: usize = 64;

/// The rules.
#[derive(Debug, Clone)]
pub(super) struct RoleRules {
    always: Vec<Role>,
    map: HashMap<Box<str>, Role>,
    allowed: Vec<Role>,
}

impl RoleRules {
    /// Each user has those in `always`; `map` translates words into roles, and `allowed` are used unchanged.
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

    /// The roles for these words. Words without a rule are dropped.
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
