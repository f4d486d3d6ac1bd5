//! `[audit]`. Knows no line.

use serde::{Deserialize, Serialize};

use super::file::{self, Output};
use crate::setting::{Findings, NoSecret, Secret};

/// The shortest key for names.
const KEY_MIN_BYTES: usize = 16;

/// `[audit]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the lines go: a file, to which they are appended, or `-` for standard error.
    pub file: Output,
    /// Lines that may wait for the disk or for a reader. Further ones are dropped and counted.
    pub queue_lines: usize,
    /// Whether logins that succeed have lines, too.
    pub logins: bool,
    /// How names of users are written.
    pub names: Names,
    /// What names are hashed with.
    pub names_key: Option<Secret>,
    /// How many addresses, users or rules have lines of their own within a minute, of each event that others can provoke.
    pub groups: usize,
}

/// `audit.names`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Names {
    /// As they are.
    #[default]
    Plain,
    /// By a keyed hash, which is the same wherever the key is.
    Hashed,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            file: Output::Stderr,
            queue_lines: 8_192,
            logins: false,
            names: Names::Plain,
            names_key: None,
            groups: 1_024,
        }
    }
}

impl Config {
    /// Checks that what waits is bounded, and that hashed names have a key.
    pub fn check(&self, findings: &mut Findings) {
        findings.within("audit.queue_lines", self.queue_lines, 1, 1_000_000);
        findings.within("audit.groups", self.groups, 1, 65_536);
        let key = self.names_key.as_ref().map_or(0, |key| key.expose().len());
        match self.names {
            Names::Hashed if key < KEY_MIN_BYTES => findings.error(
                "audit.names_key",
                "expected at least 16 bytes, the same on each instance: without a key whoever has a list of names finds \
                 them among the hashes",
            ),
            Names::Hashed
                if let Some(found) =
                    self.names_key.as_ref().and_then(|key| NoSecret::found(key.expose().as_bytes())) =>
            {
                findings.error("audit.names_key", format!("expected a secret of random bytes, found {found}"));
            }
            Names::Plain if self.names_key.is_some() => {
                findings.warn("audit.names_key", "it is not used: audit.names is plain");
            }
            _ => {}
        }
    }

    /// Checks that lines can be appended to the file. Leaves none behind. Blocks on the file system.
    pub fn check_file(&self, findings: &mut Findings) {
        if let Output::File(path) = &self.file
            && let Err(error) = file::check(path)
        {
            findings.error("audit.file", error.to_string());
        }
    }
}
