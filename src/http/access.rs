//! `[api]`: who may use the REST interface by which key, or anyone (`api.access`). Knows no request.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

mod config;
mod targets;

pub(crate) use config::{Access, Config, Key, Scope};
pub(crate) use targets::{Payer, Targets};

/// `[api]`, prepared for comparison.
#[derive(Clone)]
pub(crate) struct Policy {
    open: bool,
    keys: Arc<[Key]>,
    /// How many targets a caller may publish to.
    pub targets: Targets,
}

impl Policy {
    /// The policy of `[api]`.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            open: config.access == Access::Open,
            keys: config.keys.as_slice().into(),
            targets: Targets::new(config),
        }
    }

    /// Whether anyone may publish (`api.access = "open"`).
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// The key that `token` matches. Takes the same time whichever key it is, and whether or not it is one.
    pub(super) fn key(&self, token: &str) -> Option<&Key> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut found = 0_u32;
        for (index, key) in (1_u32..).zip(&*self.keys) {
            let same: Choice = digest.ct_eq(&key.sha256.0);
            found.conditional_assign(&index, same);
        }
        self.keys.get((found as usize).checked_sub(1)?)
    }
}

impl Key {
    /// Whether its holder may do what requires `scope`.
    pub(super) fn grants(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }
}

#[cfg(test)]
mod tests;
