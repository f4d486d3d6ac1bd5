//! Builds issuers from `[[auth.issuers]]`, with their keys or with the sources of their keys. Reads the files that they
//! name.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::keys::source::Source;
use super::keys::{Key, KeyError, KeySet, pem};
use super::token::Issuers;
use super::token::config::{IssuerConfig, KeyConfig, TokenConfig};
use super::token::issuer::Issuer;
use crate::auth::config::Config;
use crate::setting::Findings;
use crate::telemetry::metrics::Metrics;

/// The largest file with a key.
const KEY_FILE_MAX_BYTES: u64 = 64 << 10;

/// The issuer whose tokens `--demo` accepts if none is configured.
pub const DEMO_ISSUER: &str = "herald-demo";
/// The audience of its tokens.
pub const DEMO_AUDIENCE: &str = "herald";
/// The secret that signs them (HS256). It is public.
pub const DEMO_SECRET: &str = "herald-demo: everybody knows this secret";

/// Issuers whose own keys have been read.
#[derive(Debug, Clone, Default)]
pub struct KnownIssuers {
    pub(super) token: TokenConfig,
    pub(super) issuers: Vec<Known>,
}

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) config: IssuerConfig,
    pub(super) issuer: Arc<Issuer>,
    /// `None`: they are fetched.
    pub(super) own: Option<Arc<KeySet>>,
}

/// Where an issuer's keys are.
#[derive(Debug, Clone)]
pub(super) enum Keys {
    /// In the configuration, fixed.
    Own(Arc<KeySet>),
    /// At its server.
    Fetched(Arc<Source>),
}

impl KnownIssuers {
    /// Reads the keys of `config`'s issuers. `demo` adds one if there is none. Files that cannot be read are reported
    /// as errors. Blocks.
    pub fn open(config: &Config, demo: bool, findings: &mut Findings) -> Self {
        let mut issuers: Vec<_> = config
            .issuers
            .iter()
            .enumerate()
            .map(|(index, issuer)| {
                let at = |field: String| format!("auth.issuers[{index}].{field}");
                Known {
                    config: issuer.clone(),
                    issuer: Arc::new(Issuer::new(issuer)),
                    own: own(issuer, &at, findings),
                }
            })
            .collect();
        if demo && issuers.is_empty() {
            issuers.extend(demo_issuer());
        }
        Self {
            token: config.token.clone(),
            issuers,
        }
    }

    /// Whether no tokens are accepted.
    pub fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// The issuers whose keys are fetched.
    pub fn fetched(&self) -> impl Iterator<Item = &IssuerConfig> {
        self.issuers
            .iter()
            .filter(|known| known.own.is_none())
            .map(|known| &known.config)
    }

    /// Checks tokens as a login does.
    pub fn looking(&self) -> Issuers {
        let issuers = self.issuers.iter().map(|known| Arc::clone(&known.issuer));
        Issuers::new(self.token.max_bytes.0, issuers.collect())
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.issuers.iter().map(|known| &*known.issuer.name)
    }

    /// The keys of this issuer from the configuration.
    pub fn own_keys(&self, issuer: &str) -> Option<Arc<KeySet>> {
        let known = self.issuers.iter().find(|known| *known.issuer.name == *issuer)?;
        known.own.clone()
    }

    /// Where the keys of each issuer are.
    pub(super) fn keys(&self, metrics: &Metrics) -> Vec<Keys> {
        let waiting = Arc::new(Semaphore::new(self.token.waiting));
        let keys = self.issuers.iter().map(|known| match &known.own {
            Some(set) => Keys::Own(Arc::clone(set)),
            None => Keys::Fetched(Source::new(&known.config, Arc::clone(&waiting), metrics.clone())),
        });
        keys.collect()
    }
}

fn own(issuer: &IssuerConfig, at: &dyn Fn(String) -> String, findings: &mut Findings) -> Option<Arc<KeySet>> {
    if issuer.is_fetched() {
        return None;
    }
    let mut keys = Vec::new();
    for (index, key) in issuer.keys.iter().enumerate() {
        match read(key) {
            Ok(key) => keys.push(key),
            Err((field, words)) => findings.error(at(format!("keys[{index}].{field}")), words),
        }
    }
    Some(Arc::new(KeySet::new(keys)))
}

fn read(config: &KeyConfig) -> Result<Key, (&'static str, String)> {
    let (field, path) = match (&config.secret_file, &config.public_key_file) {
        (Some(path), _) => ("secret_file", path),
        (None, Some(path)) => ("public_key_file", path),
        (None, None) => return Err(("secret_file", "expected a file".into())),
    };
    let bytes = key_file(path).map_err(|words| (field, words))?;
    let (kid, algorithm) = (config.kid.as_deref(), config.algorithm.map(|name| name.0));
    let key = match config.secret_file {
        Some(_) => Key::secret(kid, &bytes, algorithm),
        None => pem::public(&bytes).and_then(|material| Key::public(kid, material, algorithm)),
    };
    key.map_err(|error: KeyError| {
        let words = match error {
            KeyError::NoSecret(_) => format!("{error}: a public key belongs in public_key_file"),
            _ => error.to_string(),
        };
        (field, words)
    })
}

/// A file with a key or a secret, without the trailing line end.
///
/// # Errors
/// It cannot be read or is too large; the text names it.
pub fn key_file(path: &str) -> Result<zeroize::Zeroizing<Vec<u8>>, String> {
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(|error| format!("{path}: {error}"))?;
    let read = file.take(KEY_FILE_MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("{path}: {error}"))?;
    if bytes.len() as u64 > KEY_FILE_MAX_BYTES {
        return Err(format!("{path}: more than {KEY_FILE_MAX_BYTES} bytes"));
    }
    while bytes.last().is_some_and(|last| matches!(last, b'\n' | b'\r')) {
        bytes.pop();
    }
    Ok(bytes)
}

fn demo_issuer() -> Option<Known> {
    let mut config = IssuerConfig::new(DEMO_ISSUER, DEMO_AUDIENCE, "");
    config.roles_claim = Some("roles".into());
    for (value, role) in [("admin", "ROLE_ADMIN"), ("publisher", "ROLE_PUBLISHER")] {
        config.role_map.insert(value.into(), role.parse().ok()?);
    }
    config.attributes = vec!["tenant".into()];
    config.algorithms = Some(vec!["HS256".parse().ok()?]);
    let key = Key::secret(None, DEMO_SECRET.as_bytes(), None).ok()?;
    Some(Known {
        issuer: Arc::new(Issuer::new(&config)),
        config,
        own: Some(Arc::new(KeySet::new([key]))),
    })
}
