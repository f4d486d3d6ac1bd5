//! A TOML file that a setting names: bounded reading, errors that repeat no value, and reloading whenever it changes.
//! Knows nothing of the file's content.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::FileWatch;
use crate::setting::ByteSize;

/// The file that a setting names. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct SettingsFile {
    /// The setting, such as `auth.users_file`. The one with `_bytes` at its end bounds the file.
    pub setting: &'static str,
    /// What it is in the log, such as `the users file`.
    pub what: &'static str,
    /// What it holds, in the plural, such as `users`.
    pub holds: &'static str,
    /// Where it is.
    pub path: Arc<Path>,
    /// How large it may be.
    pub max: ByteSize,
}

/// Why the file as a whole is unusable. The words repeat nothing of what it holds: that may be a secret in the wrong place.
#[derive(Debug)]
pub struct FileError {
    file: SettingsFile,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    Read(io::Error),
    NotAFile,
    TooLarge,
    Syntax { line: Option<usize>, message: String },
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file.place())?;
        match &self.problem {
            Problem::Read(error) => write!(f, ": {error}"),
            Problem::NotAFile => f.write_str(": expected a regular file"),
            Problem::TooLarge => {
                let (setting, max) = (self.file.setting, self.file.max);
                write!(f, ": larger than {setting}_bytes allows ({max})")
            }
            Problem::Syntax { line, message } => {
                if let Some(line) = line {
                    write!(f, ", line {line}")?;
                }
                write!(f, ": {message}")
            }
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Read(error) => Some(error),
            _ => None,
        }
    }
}

/// Why a changed file was not loaded. What was loaded before stays in force.
#[derive(Debug)]
pub(crate) enum NotLoaded {
    /// The file is at fault; in words.
    Unusable(String),
    /// The machine is, now: the same content is tried again.
    NotNow(String),
}

impl SettingsFile {
    /// How errors name it.
    pub(crate) fn place(&self) -> String {
        format!("{} {}", self.setting, self.path.display())
    }

    /// The content, of a regular file (possibly behind symbolic links). Blocks.
    ///
    /// # Errors
    /// It cannot be read, is no regular file, or is too large.
    pub(crate) fn read(&self) -> Result<Vec<u8>, FileError> {
        let unreadable = |error| self.error(Problem::Read(error));
        // Checked before opening: opening a pipe would wait for its writer.
        if !std::fs::metadata(&self.path).map_err(unreadable)?.is_file() {
            return Err(self.error(Problem::NotAFile));
        }
        let mut content = Vec::new();
        std::fs::File::open(&self.path)
            .map_err(unreadable)?
            .take(self.max.0 as u64 + 1)
            .read_to_end(&mut content)
            .map_err(unreadable)?;
        if content.len() > self.max.0 {
            return Err(self.error(Problem::TooLarge));
        }
        Ok(content)
    }

    /// What `content` says.
    ///
    /// # Errors
    /// It is not UTF-8, not TOML, or has wrong keys or types.
    pub(crate) fn parse<T: DeserializeOwned>(&self, content: &[u8]) -> Result<T, FileError> {
        let syntax = |line, message| self.error(Problem::Syntax { line, message });
        let text = std::str::from_utf8(content).map_err(|error| {
            let before = content.get(..error.valid_up_to()).unwrap_or_default();
            syntax(Some(line_of(before)), "not UTF-8".to_owned())
        })?;
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            syntax(
                before.map(|before| line_of(before.as_bytes())),
                self.harmless(error.message()),
            )
        })
    }

    /// Calls `load` with the content whenever the file has changed, on a thread that may block, until dropped. `content` is what
    /// is loaded already. Each state of the file is loaded, or complained about, once.
    ///
    /// # Cancel safety
    /// May be dropped at any await: a reload is one step without one.
    pub(crate) async fn follow<Load>(self, content: Vec<u8>, load: Load)
    where
        Load: Fn(&[u8]) -> Result<(), NotLoaded> + Send + Sync + 'static,
    {
        let mut watch = FileWatch::new(&self.path, self.what);
        let mut seen = Seen::content(&content);
        drop(content);
        let (file, load) = (Arc::new(self), Arc::new(load));
        loop {
            watch.changed().await;
            let (looked_at, load) = (Arc::clone(&file), Arc::clone(&load));
            match tokio::task::spawn_blocking(move || looked_at.look(&*load, seen)).await {
                Ok(now) => seen = now,
                // What the file holds must not end the watch: it is read again at the next look.
                Err(error) if error.is_panic() => {
                    let (what, holds) = (file.what, file.holds);
                    tracing::error!("reading {what} panicked, the {holds} stay as they were");
                    seen = Seen::Unreadable("reading it panicked".into());
                }
                // The runtime ends.
                Err(_) => return std::future::pending().await,
            }
        }
    }

    /// Reads the file and loads it if it differs from `seen`. Blocks.
    fn look(&self, load: &dyn Fn(&[u8]) -> Result<(), NotLoaded>, seen: Seen) -> Seen {
        let complain = |error: &str| {
            let (what, holds) = (self.what, self.holds);
            tracing::error!(%error, "{what} is not usable, the {holds} stay as they were");
        };
        let content = match self.read() {
            Ok(content) => content,
            Err(error) => {
                let words = error.to_string();
                let now = Seen::Unreadable(words.clone());
                if now != seen {
                    complain(&words);
                }
                return now;
            }
        };
        let now = Seen::content(&content);
        if now == seen {
            return now;
        }
        match load(&content) {
            Ok(()) => now,
            Err(NotLoaded::Unusable(words)) => {
                complain(&words);
                now
            }
            Err(NotLoaded::NotNow(words)) => {
                complain(&words);
                seen
            }
        }
    }

    fn error(&self, problem: Problem) -> FileError {
        let file = self.clone();
        FileError { file, problem }
    }

    /// The words of `toml` and `serde` without the values that some of them repeat: a value in the wrong place may be a
    /// hash, a password or a key.
    fn harmless(&self, message: &str) -> String {
        match message.split_once(", expected ") {
            Some((found, expected)) if found.starts_with("invalid ") => format!("expected {expected}"),
            _ if message.contains(['"', '$']) => format!("not the TOML of {}", self.what),
            _ => message.to_owned(),
        }
    }
}

fn line_of(before: &[u8]) -> usize {
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// What was last seen of the file.
#[derive(PartialEq, Eq)]
enum Seen {
    Content([u8; 32]),
    Unreadable(String),
}

impl Seen {
    fn content(content: &[u8]) -> Self {
        Self::Content(Sha256::digest(content).into())
    }
}

#[cfg(test)]
mod tests;
