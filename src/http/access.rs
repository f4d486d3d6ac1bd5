//! `[api]`: who may use the REST interface and with which key, or everybody (`api.access`). Knows no request.

use std::sync::Arc;

use crate::destination::Prefixes;
use crate::file_watch::settings_file::FileError;
use crate::permissions::Action;
use crate::principal::{Principal, ROLE_ADMIN, ROLE_PUBLISHER};
use crate::setting::Findings;
use crate::task::Task;
use crate::telemetry::audit::Audit;
use crate::tls::identity::Names;
use store::KeyStore;

/// What begins every key that `herald api-key` makes, so that programs which look for leaked secrets find it. Nothing else begins so.
pub(crate) const KEY_PREFIX: &str = "herald_";

mod certificate;
mod config;
mod key;
mod store;
mod targets;

use certificate::Certificates;
pub(crate) use config::{Access, Config, Key, Scope};
pub(crate) use key::ApiKey;
pub(crate) use store::KeysFile;
pub(crate) use targets::Targets;

/// `[api]`, prepared for comparison.
#[derive(Clone)]
pub(crate) struct Policy {
    open: bool,
    keys: Arc<KeyStore>,
    certificates: Arc<Certificates>,
    /// How many targets a caller may publish to.
    pub targets: Targets,
}

impl Policy {
    /// The policy of `[api]` without `api.keys_file`. Destinations of keys that mean nothing under `prefixes` are noted as errors.
    pub(crate) fn new(config: &Config, prefixes: &Prefixes, findings: &mut Findings) -> Self {
        Self {
            open: config.is_open(),
            keys: Arc::new(KeyStore::new(config, prefixes, findings)),
            certificates: Arc::new(Certificates::new(&config.certificates, prefixes, findings)),
            targets: Targets::new(config),
        }
    }

    /// The same with the keys of `api.keys_file`, if it is set. Blocks while it reads the file.
    ///
    /// # Errors
    /// The file is unusable as a whole. What is wrong with a key is noted in `findings`.
    pub(crate) fn open(
        config: &Config,
        prefixes: &Prefixes,
        findings: &mut Findings,
    ) -> Result<Self, FileError> {
        let policy = Self::new(config, prefixes, findings);
        policy.keys.open(config, findings)?;
        Ok(policy)
    }

    /// The task that watches `api.keys_file`, if that is set: without it, withdrawn keys would stay good. Taken once; later calls
    /// give none.
    pub(crate) fn task(&self, audit: &Audit) -> Option<Task> {
        let watching = Arc::clone(&self.keys).follow(audit.clone())?;
        Some(Task::essential("keys file", watching))
    }

    /// Whether anyone may publish (`api.access = "open"`).
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Why this user may not publish at all, whatever the rules say.
    pub(crate) fn bars_user(&self, action: Action, principal: &Principal) -> Option<&'static str> {
        match action != Action::Publish || self.open || role_grants(principal, Scope::Publish) {
            true => None,
            false => Some("the user has neither ROLE_PUBLISHER nor ROLE_ADMIN"),
        }
    }

    /// The same for the holder of a key.
    pub(crate) fn bars_key(&self, action: Action, key: &ApiKey) -> Option<&'static str> {
        match key.grants(Scope::Publish) {
            _ if self.open || action != Action::Publish => None,
            _ if key.has_ended() => Some("the key has ended (not_after)"),
            true => None,
            false => Some("the key does not have the scope publish"),
        }
    }

    /// The same for the holder of a certificate.
    pub(crate) fn bars_certificate(&self, action: Action, rights: &ApiKey) -> Option<&'static str> {
        let barred = self.bars_key(action, rights);
        barred.map(|_| "the certificate does not have the scope publish")
    }

    /// What the holder of the certificate of this entry of `api.certificates` may do.
    pub(crate) fn named_certificate(&self, name: &str) -> Option<Arc<ApiKey>> {
        self.certificates.named(name).cloned()
    }

    /// The key of this name.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<ApiKey>> {
        self.keys.current().named(name).cloned()
    }

    /// What the holder of a verified certificate with these names may do.
    pub(super) fn certificate(&self, names: &Names) -> Option<Arc<ApiKey>> {
        self.certificates.find(names).cloned()
    }

    /// The key with this SHA-256, good or not. Takes the same time whichever it is, and whether or not it is one.
    pub(super) fn key(&self, digest: &[u8; 32]) -> Option<Arc<ApiKey>> {
        self.keys.current().find(digest).cloned()
    }
}

/// Whether a role of `principal` grants `scope`.
pub(super) fn role_grants(principal: &Principal, scope: Scope) -> bool {
    principal.has_role(ROLE_ADMIN) || (scope == Scope::Publish && principal.has_role(ROLE_PUBLISHER))
}

#[cfg(test)]
mod tests;
