//! The current keys: those of the configuration and of `api.keys_file`, checked, and replaced as a whole. Knows no request.

use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use super::config::{Config, Key, check_keys, configured, filed};
use super::key::Keys;
use crate::destination::Prefixes;
use crate::file_watch::settings_file::FileError;
use crate::file_watch::{NotLoaded, SettingsFile};
use crate::setting::{Finding, Findings};
use crate::telemetry::audit::Audit;
use crate::telemetry::audit::event::Event;

/// What `api.keys_file` holds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeysFile {
    /// The keys, as `[[api.keys]]` has them.
    #[serde(default)]
    pub keys: Vec<Key>,
}

/// Holds the current keys. They are replaced in one step; whoever holds [`Keys`] keeps what it saw.
pub(super) struct KeyStore {
    configured: Vec<Key>,
    prefixes: Prefixes,
    current: RwLock<Arc<Keys>>,
    /// The file and its content when it was read, until somebody follows it.
    watched: Mutex<Option<(SettingsFile, Vec<u8>)>>,
}

impl KeyStore {
    /// The keys of the configuration.
    pub(super) fn new(config: &Config, prefixes: &Prefixes, findings: &mut Findings) -> Self {
        let keys = Keys::new(configured(&config.keys), prefixes, &Keys::default(), findings);
        Self {
            configured: config.keys.clone(),
            prefixes: prefixes.clone(),
            current: RwLock::new(Arc::new(keys)),
            watched: Mutex::new(None),
        }
    }

    /// Adds those of `api.keys_file`, if it is set. Blocks while it reads the file.
    pub(super) fn open(&self, config: &Config, findings: &mut Findings) -> Result<(), FileError> {
        let Some(path) = &config.keys_file else {
            return Ok(());
        };
        let file = SettingsFile {
            setting: "api.keys_file",
            what: "the keys file",
            holds: "keys",
            path: Path::new(path).into(),
            max: config.keys_file_bytes,
        };
        let content = file.read()?;
        let (read, found) = self.check(&file, &content)?;
        // What is wrong with the configuration's own keys was noted before.
        let of_file = |finding: Finding| {
            let place = finding.key.strip_prefix(file.setting)?.trim_start();
            let message = format!("{}, {place}: {}", file.path.display(), finding.message);
            let key = file.setting.to_owned();
            Some(Finding { key, message })
        };
        findings
            .errors
            .extend(found.errors.into_iter().filter_map(of_file));
        findings
            .warnings
            .extend(found.warnings.into_iter().filter_map(of_file));
        *self.current.write() = Arc::new(read.keys);
        *self.watched.lock() = Some((file, content));
        Ok(())
    }

    pub(super) fn current(&self) -> Arc<Keys> {
        Arc::clone(&self.current.read())
    }

    /// Replaces the keys whenever the file changes, until dropped. `None` without a file, and the second time.
    pub(super) fn follow(self: Arc<Self>, audit: Audit) -> Option<impl Future<Output = ()> + Send> {
        let (file, content) = self.watched.lock().take()?;
        let named = file.clone();
        Some(file.follow(content, move |content| {
            let reloaded = self.reload(&named, content);
            audit.file(Event::KeysFile, named.setting, reloaded.as_ref().ok().copied());
            reloaded.map(drop)
        }))
    }

    /// The keys as `content` makes them. Rates go on where they stand.
    fn check(&self, file: &SettingsFile, content: &[u8]) -> Result<(Read, Findings), FileError> {
        let filed_keys = file.parse::<KeysFile>(content)?.keys;
        let all = || configured(&self.configured).chain(filed(&filed_keys));
        let mut findings = Findings::default();
        check_keys(all(), &mut findings);
        let keys = Keys::new(all(), &self.prefixes, &self.current(), &mut findings);
        let read = Read {
            keys,
            filed: filed_keys.len(),
        };
        Ok((read, findings))
    }

    /// Replaces the keys by those of the configuration and of `content`. On an error nothing changes. Returns how many
    /// come from `content`.
    fn reload(&self, file: &SettingsFile, content: &[u8]) -> Result<usize, NotLoaded> {
        let checked = self.check(file, content);
        let (read, findings) = checked.map_err(|error| NotLoaded::Unusable(error.to_string()))?;
        for warning in &findings.warnings {
            tracing::warn!("{warning}");
        }
        findings
            .into_result()
            .map_err(|finding| NotLoaded::Unusable(finding.to_string()))?;
        *self.current.write() = Arc::new(read.keys);
        tracing::info!(file = %file.path.display(), keys = read.filed, "keys reloaded");
        Ok(read.filed)
    }
}

/// All keys, and how many of them come from the file.
struct Read {
    keys: Keys,
    filed: usize,
}
