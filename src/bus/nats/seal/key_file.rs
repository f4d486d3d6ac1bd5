//! The file of `bus.control_key_file`: one key per line, one or two of them. Errors name what is wrong, never a key.
//! Knows no message.

use sha2::{Digest, Sha256};

use super::mac::Key;
use crate::bus::nats::options::{ConnectError, read};
use crate::setting::NoSecret;

/// The setting that names the file.
pub(super) const SETTING: &str = "bus.control_key_file";
/// The length of 16 random bytes in hex: fewer can be guessed.
const KEY_MIN_BYTES: usize = 32;
const KEY_MAX_BYTES: usize = 256;

/// The content of the file: the key that signs, and perhaps one more that is accepted.
pub(super) struct Keys {
    keys: Vec<Key>,
    /// A digest of their text, to tell whether they have changed.
    digest: [u8; 32],
}

impl Keys {
    /// Reads the file at `path`. Blocks.
    ///
    /// # Errors
    /// It cannot be read, or does not contain one or two keys.
    pub(super) fn read(path: &str) -> Result<Self, ConnectError> {
        Self::parse(&read(SETTING, path)?).map_err(|expected| ConnectError::Content {
            setting: SETTING,
            expected,
        })
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        if NoSecret::found(text.as_bytes()).is_some() {
            return Err(
                "one or two random keys, a line each (openssl rand -hex 32), and the file holds PEM, JSON or a public key",
            );
        }
        let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
        let lines: Vec<&str> = lines.take(3).collect();
        match lines.as_slice() {
            [] => return Err("one or two keys, a line each, and the file is empty"),
            [_] => {}
            [first, second] if first == second => {
                return Err("two different keys, and both lines are the same");
            }
            [_, _] => {}
            _ => return Err("one or two keys, a line each, and the file has more lines"),
        }
        if lines
            .iter()
            .any(|line| NoSecret::found(line.as_bytes()).is_some())
        {
            return Err("random keys (openssl rand -hex 32), and a line is a public key or a JWK");
        }
        if lines.iter().any(|line| line.len() < KEY_MIN_BYTES) {
            return Err("keys of at least 32 characters (openssl rand -hex 32), and one is shorter");
        }
        if lines.iter().any(|line| line.len() > KEY_MAX_BYTES) {
            return Err("keys of at most 256 characters, and one is longer");
        }
        // A comment or a sentence is not a secret.
        if lines
            .iter()
            .any(|line| !line.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err("keys of visible ASCII characters without blanks, and one has others");
        }
        let keys = lines.iter().filter_map(|line| Key::new(line.as_bytes()));
        Ok(Self {
            keys: keys.collect(),
            digest: Sha256::digest(lines.join("\n")).into(),
        })
    }

    /// The key that signs: the first.
    pub(super) fn signing(&self) -> Option<&Key> {
        self.keys.first()
    }

    /// Every key that is accepted.
    pub(super) fn all(&self) -> &[Key] {
        &self.keys
    }

    /// Whether both contain the same keys in the same order.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_two_keys() {
        let (one, two) = ("a".repeat(KEY_MIN_BYTES), "b".repeat(KEY_MAX_BYTES));
        for (text, count) in [
            (one.clone(), 1),
            (format!("{one}\n"), 1),
            (format!("{one}\r\n{two}\r\n"), 2),
            (format!("\n{one}\n\n{two}"), 2),
        ] {
            assert_eq!(
                Keys::parse(&text).map(|keys| keys.all().len()),
                Ok(count),
                "{text}"
            );
        }
        for (text, words) in [
            (String::new(), "empty"),
            (" \n\n".into(), "empty"),
            (format!("{one}\n{two}\n{one}c"), "more lines"),
            (format!("{one}\n{one}"), "the same"),
            (format!("{one}\n{}", "b".repeat(KEY_MIN_BYTES - 1)), "shorter"),
            (format!("{two}b"), "longer"),
            (format!("# {one}"), "blanks"),
            (format!(" {one}"), "blanks"),
            (format!("{one}ä"), "others"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n".into(), "PEM"),
            (format!("{{\"kty\":\"oct\",\"k\":\"{one}\"}}"), "JSON"),
            (format!("{one}\n{{\"kty\":\"oct\",\"k\":\"{one}\"}}"), "a line is"),
            (
                "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=".into(),
                "public key",
            ),
        ] {
            let error = Keys::parse(&text).map(drop).unwrap_err();
            assert!(
                error.contains(words) && !error.contains("aaaa"),
                "{text}: {error}"
            );
        }
    }
}
