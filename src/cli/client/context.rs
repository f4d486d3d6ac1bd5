//! Contexts: the address of a Herald and the credentials for it, under a name. A context names the place of a secret,
//! and contains none unless the user insists. `store` keeps them in files. Opens no connection.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::credentials::{self, Environment, variable};
use super::{ClientError, Login, ServerArgs};
use crate::setting::Secret;

pub(in crate::cli) use store::Contexts;

mod store;

const NAME_MAX_BYTES: usize = 64;
/// If one of these gives an address or credentials, the selected context is not used: none of its secrets goes to
/// another Herald.
const VARIABLES: [&str; 5] = [
    "HERALD_URL",
    "HERALD_LOGIN",
    "HERALD_PASSWORD",
    "HERALD_TOKEN",
    "HERALD_KEY",
];

/// A context's name, which is also that of its file: 1 to 64 letters, digits, `.`, `_` and `-`; it does not begin with
/// `.` or `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Name(String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let begins = text
            .bytes()
            .next()
            .is_some_and(|first| !matches!(first, b'.' | b'-'));
        match begins && text.len() <= NAME_MAX_BYTES && text.bytes().all(legal) {
            true => Ok(Self(text.into())),
            false => Err(format!(
                "expected 1 to {NAME_MAX_BYTES} letters, digits, '.', '_' and '-', the first a letter, a digit or '_'"
            )),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The address of a Herald, and the credentials for it. Serialized with its secrets hidden.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The address of Herald.
    pub url: String,
    /// The address of its port for operators (`http.admin_listen`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_url: Option<String>,
    /// The user name for a login with a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// The password's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The variable that has the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
    /// The password itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// The token's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// The variable that has the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
    /// The token itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// The API key's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The variable that has the API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// The API key itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
    /// Certificate authorities to trust in addition to the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

impl Context {
    fn holds_a_secret(&self) -> bool {
        self.password.is_some() || self.token.is_some() || self.key.is_some()
    }

    /// The login, and the API key.
    ///
    /// # Errors
    /// A file or variable that it names cannot be used.
    pub(super) fn credentials(
        &self,
        env: Environment<'_>,
    ) -> Result<(Option<Login>, Option<Secret>), ClientError> {
        for name in [&self.password_env, &self.token_env, &self.key_env]
            .into_iter()
            .flatten()
        {
            if variable(env, name)?.is_none() {
                return Err(ClientError::Usage(format!("{name}, which it names, is not set")));
            }
        }
        let has_password =
            self.password.is_some() || self.password_file.is_some() || self.password_env.is_some();
        if let Some(user) = self.login.as_ref().filter(|_| !has_password) {
            return Err(ClientError::Usage(format!(
                "it has the login {user:?} without a password, and HERALD_PASSWORD does not count for a context's login: store \
                 where the password is (herald context add with --replace, --login and --password-file FILE or --password-env \
                 VARIABLE), or name --login {user} --password-file FILE on this command line"
            )));
        }
        let args = ServerArgs {
            login: self.login.clone(),
            password_file: self.password_file.clone(),
            token_file: self.token_file.clone(),
            key_file: self.key_file.clone(),
            ..ServerArgs::default()
        };
        let held = |secret: &Option<Secret>, name: &Option<String>| match (secret, name) {
            (Some(secret), _) => Some(OsString::from(secret.expose())),
            (None, Some(name)) => env(name),
            (None, None) => None,
        };
        let own = |name: &str| match name {
            "HERALD_PASSWORD" => held(&self.password, &self.password_env),
            "HERALD_TOKEN" => held(&self.token, &self.token_env),
            "HERALD_KEY" => held(&self.key, &self.key_env),
            _ => None,
        };
        Ok((credentials::login(&args, &own)?, credentials::key(&args, &own)?))
    }

    /// The same with the secrets themselves instead of their places. Without a place, the variable of the command line.
    ///
    /// # Errors
    /// A file or variable cannot be used.
    pub(in crate::cli) fn with_secrets(self, env: Environment<'_>) -> Result<Self, ClientError> {
        let get = |file: &Option<PathBuf>, named: &Option<String>, usual: &str| match (file, named) {
            (Some(path), _) => credentials::read(path).map(Some),
            (None, Some(name)) => match variable(env, name)? {
                Some(text) => Ok(Some(Secret::new(text))),
                None => Err(ClientError::Usage(format!("{name} is not set"))),
            },
            (None, None) => Ok(variable(env, usual)?.map(Secret::new)),
        };
        let password = match self.login {
            Some(_) => get(&self.password_file, &self.password_env, "HERALD_PASSWORD")?,
            None => None,
        };
        let token = match self.login {
            Some(_) => None,
            None => get(&self.token_file, &self.token_env, "HERALD_TOKEN")?,
        };
        Ok(Self {
            password,
            token,
            key: get(&self.key_file, &self.key_env, "HERALD_KEY")?,
            url: self.url,
            admin_url: self.admin_url,
            login: self.login,
            ca_file: self.ca_file,
            ..Self::default()
        })
    }

    /// As it is stored: with the secrets.
    fn to_toml(&self) -> Result<String, ClientError> {
        let wrong = |error: toml::ser::Error| ClientError::Failure(error.to_string());
        let mut table = toml::Table::try_from(self).map_err(wrong)?;
        for (name, secret) in [
            ("password", &self.password),
            ("token", &self.token),
            ("key", &self.key),
        ] {
            if let Some(secret) = secret {
                table.insert(name.into(), secret.expose().into());
            }
        }
        toml::to_string(&table).map_err(wrong)
    }
}

/// The context in force: the one that `args` or `HERALD_CONTEXT` names, else the selected one, unless something else
/// gives an address or credentials.
///
/// # Errors
/// It does not exist, or cannot be used.
pub(super) fn in_force(
    args: &ServerArgs,
    env: Environment<'_>,
) -> Result<Option<(Name, Context)>, ClientError> {
    let named = match &args.context {
        Some(name) => Some(name.clone()),
        None => variable(env, "HERALD_CONTEXT")?
            .map(|text| text.parse())
            .transpose()
            .map_err(|expected: String| ClientError::Usage(format!("HERALD_CONTEXT: {expected}")))?,
    };
    if let Some(name) = named {
        let context = Contexts::required(env)?.read(&name)?;
        return Ok(Some((name, context)));
    }
    if args.url.is_some() || shadowed_by(env).is_some() {
        return Ok(None);
    }
    let Some(contexts) = Contexts::of(env) else {
        return Ok(None);
    };
    match contexts.selected()? {
        Some(name) => Ok(Some((name.clone(), contexts.read(&name)?))),
        None => Ok(None),
    }
}

/// Whether `args`, a variable or the selected context names a running Herald, or credentials.
///
/// # Errors
/// The context in force does not exist, or cannot be used.
pub(in crate::cli) fn names_a_server(args: &ServerArgs, env: Environment<'_>) -> Result<bool, ClientError> {
    Ok(shadowed_by(env).is_some() || in_force(args, env)?.is_some())
}

/// The first variable because of which the selected context is not used.
pub(in crate::cli) fn shadowed_by(env: Environment<'_>) -> Option<&'static str> {
    let is_set = |name: &&&str| env(name).is_some_and(|value| !value.is_empty());
    VARIABLES.iter().find(is_set).copied()
}

#[cfg(test)]
mod tests;
