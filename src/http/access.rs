//! `[api]`: who may use the REST interface by which key, or anyone (`api.access`). Knows no request.

use std::sync::Arc;

use crate::destination::Prefixes;
use crate::setting::Findings;
use key::Keys;

mod config;
mod key;
mod targets;

#[cfg(test)]
pub(crate) use config::Key;
pub(crate) use config::{Access, Config, Scope};
pub(crate) use key::ApiKey;
pub(crate) use targets::Targets;

/// `[api]`, prepared for comparison.
#[derive(Clone)]
pub(crate) struct Policy {
    open: bool,
    keys: Arc<Keys>,
    /// How many targets a caller may publish to.
    pub targets: Targets,
}

impl Policy {
    /// The policy of `[api]`. Destinations of keys that mean nothing under `prefixes` are noted as errors.
    pub(crate) fn new(config: &Config, prefixes: &Prefixes, findings: &mut Findings) -> Self {
        Self {
            open: config.access == Access::Open,
            keys: Arc::new(Keys::new(&config.keys, prefixes, findings)),
            targets: Targets::new(config),
        }
    }

    /// Whether anyone may publish (`api.access = "open"`).
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// The key of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<ApiKey>> {
        self.keys.named(name)
    }

    /// The key that `token` is, good or not. Takes the same time whichever it is, and whether or not it is one.
    pub(super) fn key(&self, token: &str) -> Option<&Arc<ApiKey>> {
        self.keys.find(token)
    }
}

#[cfg(test)]
mod tests;
