//! The settings of `[history]` for the file. Knows no database.

use std::path::PathBuf;
use std::time::Duration;

use super::medium;
use super::store::Retention;
use crate::bus::history;

/// The file, and what it may cost.
#[derive(Debug, Clone)]
pub struct OnDisk {
    pub(super) path: PathBuf,
    pub(super) retention: [Retention; 2],
    pub(super) reads: usize,
    pub(super) publishes: usize,
    pub(super) publish_timeout: Duration,
}

impl OnDisk {
    /// What `[history]` asks for, if it names a file.
    pub(in crate::bus::embedded) fn of(config: &history::Config) -> Option<Self> {
        let retention = |age: Duration, bytes: usize| Retention {
            age,
            bytes: bytes as u64,
        };
        Some(Self {
            path: config.path.as_ref()?.as_path().to_owned(),
            retention: [
                retention(config.broadcast_age.0, config.broadcast_bytes.0),
                retention(config.user_age.0, config.user_bytes.0),
            ],
            reads: config.reads,
            publishes: config.publishes,
            publish_timeout: config.publish_timeout.0,
        })
    }
}

/// What keeps an instance from using the file that `config` names, as far as that can be told without writing to it. Blocks
/// on the file system.
///
/// # Errors
/// In words, for whoever runs Herald.
pub fn check(config: &history::Config) -> Result<(), String> {
    match &config.path {
        Some(path) => medium::check(path.as_path()),
        None => Ok(()),
    }
}
