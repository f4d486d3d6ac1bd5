//! `herald api-key new`: creates a key for the REST interface and the configuration entry for it. Knows no running
//! instance.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use rustls::crypto::GetRandomFailed;
use serde_json::json;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::http::access::{KEY_PREFIX, Key, KeysFile};

/// The commands for keys.
#[derive(Debug, Subcommand)]
pub enum ApiKey {
    /// Makes a key: prints its entry for api.keys_file on standard output, and the key itself on standard error or to a file.
    #[command(
        after_help = "Examples:\n  herald api-key new orders --destination '/queue/orders/**' >> keys.toml\n  \
        herald api-key new scraper --scope metrics --key-file scraper.key >> keys.toml\n  \
        herald api-key new orders --digest --key-file orders.new.key\n\n\
        The entry holds the SHA-256 of the key alone. In the configuration itself it begins with [[api.keys]]."
    )]
    New(NewArgs),
}

/// The arguments of `herald api-key new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The name of the key, shown in spans and in the audit.
    pub name: String,
    /// The scopes of the key: publish, read, metrics or admin. Repeatable.
    #[arg(long, value_name = "SCOPE", default_value = "publish")]
    pub scope: Vec<String>,
    /// The destinations it may publish to, such as `/queue/orders/**`. Repeatable. Default: those that permissions.publish permits.
    #[arg(long, value_name = "DESTINATION")]
    pub destination: Vec<String>,
    /// The rate of targets it may publish to, such as `100/s burst 1000`.
    #[arg(long, value_name = "RATE")]
    pub rate: Option<String>,
    /// The rate of bytes it may publish, such as `1MiB/s burst 8MiB`.
    #[arg(long, value_name = "RATE")]
    pub bytes: Option<String>,
    /// The time when it expires, such as 2027-01-31T00:00:00Z.
    #[arg(long, value_name = "MOMENT")]
    pub not_after: Option<String>,
    /// Writes the key to this new file, which only its owner can read, instead of showing it.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Prints only the SHA-256. Add it to an existing entry to replace a key without a gap.
    #[arg(long, conflicts_with = "json")]
    pub digest: bool,
    /// Prints the entry as one line of JSON.
    #[arg(long)]
    pub json: bool,
}

/// Why no key was created.
#[derive(Debug)]
pub enum ApiKeyError {
    /// An argument is invalid, in words.
    Usage(String),
    /// The operating system returned no random bytes.
    Random,
    /// The key's file cannot be written. An existing file is never replaced.
    KeyFile(PathBuf, io::Error),
    /// The output cannot be written.
    Io(io::Error),
}

impl fmt::Display for ApiKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(words) => f.write_str(words),
            Self::Random => f.write_str("no random bytes from the operating system"),
            Self::KeyFile(path, error) => write!(f, "--key-file {}: {error}", path.display()),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ApiKeyError {}

impl From<io::Error> for ApiKeyError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Creates a key and prints its entry.
///
/// # Errors
/// What is wrong with the arguments, before anything is written; or what could not be written.
pub fn run(args: &NewArgs) -> Result<(), ApiKeyError> {
    let secret = generate().map_err(|_| ApiKeyError::Random)?;
    let key = entry(args, &secret)?;
    let text = match (args.json, args.digest) {
        (true, _) => {
            let mut entry = json!(key);
            entry["sha256"] = digest(&secret).into();
            entry.to_string() + "\n"
        }
        (_, true) => digest(&secret) + "\n",
        _ => as_toml(key, &digest(&secret))?,
    };
    match &args.key_file {
        Some(path) => {
            write_secret(path, &secret).map_err(|error| ApiKeyError::KeyFile(path.clone(), error))?;
        }
        None => writeln!(io::stderr().lock(), "The key, shown only this once: {}", *secret)?,
    }
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// The entry as in a keys file. Wherever else a key is shown, its digest is hidden, so it is inserted here.
fn as_toml(key: Key, digest: &str) -> Result<String, ApiKeyError> {
    let text = toml::to_string(&KeysFile { keys: vec![key] });
    let text = text.map_err(|error| ApiKeyError::Usage(error.to_string()))?;
    // A line of its own: no name has a line break.
    const HIDDEN: &str = "\nsha256 = \"***\"\n";
    match text.contains(HIDDEN) {
        true => Ok(text.replacen(HIDDEN, &format!("\nsha256 = \"{digest}\"\n"), 1)),
        false => Err(ApiKeyError::Usage("the entry has no place for the digest".into())),
    }
}

/// 256 random bits as text.
fn generate() -> Result<Zeroizing<String>, GetRandomFailed> {
    let mut bytes = Zeroizing::new([0; 32]);
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut *bytes)?;
    let mut text = Zeroizing::new(String::with_capacity(KEY_PREFIX.len() + 43));
    text.push_str(KEY_PREFIX);
    BASE64_URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
    Ok(text)
}

/// The entry for `secret`, checked by the code that reads it from a file.
fn entry(args: &NewArgs, secret: &str) -> Result<Key, ApiKeyError> {
    let mut fields = json!({"name": args.name, "sha256": digest(secret), "scopes": args.scope});
    let mut set = |name: &str, value: serde_json::Value| {
        if !value.is_null() && value != json!([]) {
            fields[name] = value;
        }
    };
    set("destinations", json!(args.destination));
    set("rate", json!(args.rate));
    set("bytes", json!(args.bytes));
    set("not_after", json!(args.not_after));
    serde_path_to_error::deserialize(fields).map_err(|error| {
        let path = error.path().to_string();
        let option = match path.split('[').next().unwrap_or_default() {
            "scopes" => "--scope",
            "destinations" => "--destination",
            "rate" => "--rate",
            "bytes" => "--bytes",
            "not_after" => "--not-after",
            _ => "NAME",
        };
        ApiKeyError::Usage(format!("{option}: {}", error.inner()))
    })
}

fn digest(secret: &str) -> String {
    let digest = Sha256::digest(secret);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write_secret(path: &Path, secret: &str) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(name: &str, change: impl FnOnce(&mut NewArgs)) -> NewArgs {
        let mut args = NewArgs {
            name: name.into(),
            scope: vec!["publish".into()],
            destination: Vec::new(),
            rate: None,
            bytes: None,
            not_after: None,
            key_file: None,
            digest: false,
            json: false,
        };
        change(&mut args);
        args
    }

    #[test]
    fn an_entry_is_what_a_keys_file_takes() {
        let secret = generate().unwrap();
        assert_eq!(secret.len(), KEY_PREFIX.len() + 43);
        assert_ne!(*secret, *generate().unwrap());
        let args = args("orders", |args| {
            args.destination = vec!["/queue/orders/**".into()];
            args.rate = Some("100/s burst 1000".into());
            args.bytes = Some("1MiB/s burst 8MiB".into());
            args.not_after = Some("2027-01-31T00:00:00Z".into());
        });
        let key = entry(&args, &secret).unwrap();
        let text = as_toml(key, &digest(&secret)).unwrap();
        let read: KeysFile = toml::from_str(&text).unwrap();
        assert_eq!(read.keys, [entry(&args, &secret).unwrap()]);
        assert!(
            text.starts_with("[[keys]]\nname = \"orders\"\nsha256 = \""),
            "{text}"
        );
        assert!(!text.contains("off"), "{text}");
        assert!(!text.contains(&secret[KEY_PREFIX.len()..]), "{text}");
    }

    #[test]
    fn a_wrong_argument_is_named() {
        let check = |args: NewArgs, expected: &str| {
            let words = entry(&args, "x").unwrap_err().to_string();
            assert!(words.contains(expected), "{words}");
        };
        check(args("", |_| ()), "NAME: expected 1 to 128 bytes");
        check(args("a", |args| args.scope = vec!["root".into()]), "--scope: ");
        check(args("a", |args| args.rate = Some("often".into())), "--rate: ");
        check(args("a", |args| args.bytes = Some("much".into())), "--bytes: ");
        check(
            args("a", |args| args.not_after = Some("soon".into())),
            "--not-after: expected a moment",
        );
        check(
            args("a", |args| args.destination = vec!["x".into()]),
            "--destination: ",
        );
    }

    #[test]
    fn a_file_that_is_there_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_secret(&path, "secret").unwrap();
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            write_secret(&path, "other").unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "secret");
    }
}
