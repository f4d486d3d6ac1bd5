//! Herald's credentials for the NATS server. The files that the settings name are read again for each connection, so
//! that a replaced secret needs no restart. Errors name setting and file, never a secret. Knows no connection.

use std::sync::Arc;

use async_nats::{Auth, AuthError, ConnectOptions};
use nkeys::{KeyPair, KeyPairType};
use tokio::sync::Semaphore;

use super::options::{ConnectError, read};
use crate::bus::Config;
use crate::setting::{NoSecret, Secret};

/// The one method of authentication that the settings name. The section's check does not allow a second one.
pub(super) enum Credentials {
    /// No authentication.
    Nobody,
    /// `bus.user` and its password.
    User(String, Source),
    /// `bus.token`
    Token(Source),
    /// `bus.nkey`
    NKey(Source),
    /// `bus.credentials_file`
    File(String),
}

/// Where a secret is: in the setting itself, or in the file that a setting names.
pub(super) enum Source {
    /// The setting, and its value.
    Inline(&'static str, Secret),
    /// The setting, and the path in it.
    File(&'static str, String),
}

impl Source {
    fn of(inline: (&'static str, &Option<Secret>), file: (&'static str, &Option<String>)) -> Option<Self> {
        match (inline, file) {
            ((setting, Some(secret)), _) => Some(Self::Inline(setting, secret.clone())),
            (_, (setting, Some(path))) => Some(Self::File(setting, path.clone())),
            _ => None,
        }
    }

    fn setting(&self) -> &'static str {
        match self {
            Self::Inline(setting, _) | Self::File(setting, _) => setting,
        }
    }

    /// The secret as it is now; from a file, without the trailing line end.
    pub(super) fn read(&self) -> Result<String, ConnectError> {
        match self {
            Self::Inline(_, secret) => Ok(secret.expose().to_owned()),
            Self::File(setting, path) => Ok(read(setting, path)?.trim_end_matches(['\r', '\n']).to_owned()),
        }
    }

    /// The same for a password or token. A file with a key or a certificate is refused, since its content would be sent
    /// to the server.
    fn read_line(&self) -> Result<String, ConnectError> {
        let text = self.read()?;
        match NoSecret::found(text.as_bytes()) {
            Some(found) if found.is_file() => Err(ConnectError::Content {
                setting: self.setting(),
                expected: "a password or a token, not a key or a certificate",
            }),
            _ => Ok(text),
        }
    }
}

impl Credentials {
    /// The method that `[bus]` names.
    pub(super) fn of(config: &Config) -> Self {
        let password = ("bus.password_file", &config.password_file);
        let token = ("bus.token_file", &config.token_file);
        let nkey = ("bus.nkey_file", &config.nkey_file);
        if let Some(user) = &config.user {
            let password = Source::of(("bus.password", &config.password), password);
            let none = || Source::Inline("bus.password", Secret::new(""));
            return Self::User(user.clone(), password.unwrap_or_else(none));
        }
        if let Some(token) = Source::of(("bus.token", &config.token), token) {
            return Self::Token(token);
        }
        if let Some(seed) = Source::of(("bus.nkey", &config.nkey), nkey) {
            return Self::NKey(seed);
        }
        config.credentials_file.clone().map_or(Self::Nobody, Self::File)
    }

    /// The setting that holds or names the secret. `None`: there is no secret.
    pub(super) fn setting(&self) -> Option<&'static str> {
        match self {
            Self::Nobody => None,
            Self::User(_, source) | Self::Token(source) | Self::NKey(source) => Some(source.setting()),
            Self::File(_) => Some("bus.credentials_file"),
        }
    }

    /// The answer to a server's `nonce`, made with the current secret. Blocks on files.
    ///
    /// # Errors
    /// A file cannot be read or has the wrong content; the error names its setting.
    pub(super) fn auth(&self, nonce: &[u8]) -> Result<Auth, ConnectError> {
        let mut auth = Auth::new();
        match self {
            Self::Nobody => {}
            Self::User(user, password) => {
                auth.username = Some(user.clone());
                auth.password = Some(password.read_line()?);
            }
            Self::Token(token) => auth.token = Some(token.read_line()?),
            Self::NKey(seed) => {
                let wrong = || ConnectError::Content {
                    setting: seed.setting(),
                    expected: "the seed of a user's NKey (SU…)",
                };
                let key = user_key(&seed.read()?).ok_or_else(wrong)?;
                auth.nkey = Some(key.public_key());
                auth.signature = Some(key.sign(nonce).map_err(|_| wrong())?);
            }
            Self::File(path) => {
                let setting = "bus.credentials_file";
                let wrong = || ConnectError::Content {
                    setting,
                    expected: "a user's JWT and NKey seed",
                };
                let text = read(setting, path)?;
                let mut decorated = decorated(&text);
                let (Some(jwt), Some(seed)) = (decorated.next(), decorated.next()) else {
                    return Err(wrong());
                };
                let key = user_key(seed).ok_or_else(wrong)?;
                auth.jwt = Some(jwt.to_owned());
                auth.signature = Some(key.sign(nonce).map_err(|_| wrong())?);
            }
        }
        Ok(auth)
    }

    /// Options of the client that reads the credentials for each connection.
    pub(super) fn options(self) -> ConnectOptions {
        if matches!(self, Self::Nobody) {
            return ConnectOptions::new();
        }
        let credentials = Arc::new(self);
        // A file on a hanging disk holds one thread, not one for each attempt.
        let reading = Arc::new(Semaphore::new(1));
        ConnectOptions::with_auth_callback(move |nonce| {
            let (credentials, reading) = (credentials.clone(), reading.clone());
            async move {
                let setting = credentials.setting().unwrap_or_default();
                let Ok(permit) = reading.try_acquire_owned() else {
                    return Err(AuthError::new(format!("{setting}: reading it takes too long")));
                };
                let answer = tokio::task::spawn_blocking(move || {
                    let _permit = permit;
                    credentials.auth(&nonce)
                });
                match answer.await {
                    Ok(Ok(auth)) => Ok(auth),
                    Ok(Err(error)) => Err(AuthError::new(error)),
                    Err(error) => Err(AuthError::new(format!("{setting}: {error}"))),
                }
            }
        })
    }
}

fn user_key(seed: &str) -> Option<KeyPair> {
    let key = KeyPair::from_seed(seed).ok()?;
    (key.key_pair_type() == KeyPairType::User).then_some(key)
}

/// The text between two lines of dashes, as in `-----BEGIN NATS USER JWT-----`: first the JWT, then the seed.
fn decorated(text: &str) -> impl Iterator<Item = &str> {
    let is_border = |line: &str| line.len() > 6 && line.starts_with("---") && line.ends_with("---");
    let is_token = |line: &str| {
        !line.is_empty()
            && line
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'='))
    };
    let lines = || text.lines().map(str::trim_end);
    lines()
        .zip(lines().skip(1))
        .zip(lines().skip(2))
        .filter(move |((before, line), after)| {
            is_border(before) && is_token(line) && !is_border(line) && is_border(after)
        })
        .map(|((_, line), _)| line)
}
