//! The credentials of a command: names, passwords and keys from the environment and from files. No error repeats a
//! secret.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

use super::{ClientError, Login, ServerArgs};
use crate::setting::{NoSecret, Secret};

/// The largest file with a secret.
const FILE_MAX_BYTES: u64 = 64 << 10;

/// Looks up a variable.
pub(in crate::cli) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The text of a variable. An empty one counts as not set.
pub(super) fn variable(env: Environment<'_>, name: &str) -> Result<Option<String>, ClientError> {
    match env(name) {
        None => Ok(None),
        Some(value) if value.is_empty() => Ok(None),
        Some(value) => {
            let text = value.into_string();
            text.map(Some)
                .map_err(|_| ClientError::Usage(format!("{name} is not UTF-8")))
        }
    }
}

/// The login of `args` and the environment. `None`: nobody logs in. What the command line names comes first, then a token.
pub(super) fn login(args: &ServerArgs, env: Environment<'_>) -> Result<Option<Login>, ClientError> {
    if args.login.is_none()
        && let Some(secret) = secret(&args.token_file, env, "HERALD_TOKEN")?
    {
        let file = args.token_file.clone();
        return Ok(Some(Login {
            user: None,
            secret,
            file,
        }));
    }
    let user = match &args.login {
        Some(user) => Some(user.clone()),
        None => variable(env, "HERALD_LOGIN")?,
    };
    let Some(user) = user else {
        return match &args.password_file {
            Some(_) => Err(ClientError::Usage(
                "--password-file needs --login NAME or HERALD_LOGIN".into(),
            )),
            None => Ok(None),
        };
    };
    let password = secret(&args.password_file, env, "HERALD_PASSWORD")?;
    let password = password.ok_or_else(|| {
        ClientError::Usage(format!(
            "the password of {user:?}? HERALD_PASSWORD or --password-file FILE"
        ))
    })?;
    if user.contains(':') {
        return Err(ClientError::Usage("a user name has no ':'".into()));
    }
    Ok(Some(Login {
        user: Some(user),
        secret: password,
        file: args.password_file.clone(),
    }))
}

/// The API key of `args` and the environment.
pub(super) fn key(args: &ServerArgs, env: Environment<'_>) -> Result<Option<Secret>, ClientError> {
    secret(&args.key_file, env, "HERALD_KEY")
}

/// The command line takes precedence over the environment.
fn secret(
    file: &Option<std::path::PathBuf>,
    env: Environment<'_>,
    name: &str,
) -> Result<Option<Secret>, ClientError> {
    match file {
        Some(path) => read(path).map(Some),
        None => Ok(variable(env, name)?.map(Secret::new)),
    }
}

/// Reads one secret without its end of line.
pub(super) fn read(path: &Path) -> Result<Secret, ClientError> {
    let wrong = |why: &dyn std::fmt::Display| ClientError::Usage(format!("{}: {why}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
    let mut text = zeroize::Zeroizing::new(String::with_capacity(1 << 10));
    file.take(FILE_MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| wrong(&error))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() || text.len() as u64 > FILE_MAX_BYTES {
        return Err(wrong(&"expected one secret of at most 64 KiB"));
    }
    if let Some(found) = NoSecret::found(secret.as_bytes()).filter(|found| found.is_file()) {
        return Err(wrong(&format_args!(
            "expected a password, a token or an API key, found {found}"
        )));
    }
    Ok(Secret::new(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn env(pairs: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<OsString> {
        move |wanted| {
            let found = pairs.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| value.into())
        }
    }

    #[test]
    fn a_login_is_whole_or_an_error() {
        let args = |login: Option<&str>, file: Option<&str>| ServerArgs {
            login: login.map(Into::into),
            password_file: file.map(PathBuf::from),
            ..ServerArgs::default()
        };
        #[track_caller]
        fn check(
            args: ServerArgs,
            pairs: &'static [(&str, &str)],
            expected: Result<Option<(&str, &str)>, &str>,
        ) {
            let found = login(&args, &env(pairs));
            match (&found, expected) {
                (Ok(Some(login)), Ok(Some(wanted))) => {
                    assert_eq!(
                        (login.user.as_deref().unwrap_or("token"), login.secret.expose()),
                        wanted
                    );
                }
                (Ok(None), Ok(None)) => {}
                (Err(error), Err(words)) => {
                    let text = error.to_string();
                    assert!(text.contains(words) && !text.contains("hush"), "{text}");
                }
                _ => panic!("{found:?} instead of {expected:?}"),
            }
        }
        check(args(None, None), &[], Ok(None));
        check(args(None, None), &[("HERALD_PASSWORD", "hush")], Ok(None));
        check(
            args(Some("ann"), None),
            &[("HERALD_PASSWORD", "hush")],
            Ok(Some(("ann", "hush"))),
        );
        check(
            args(None, None),
            &[("HERALD_LOGIN", "bob"), ("HERALD_PASSWORD", "hush")],
            Ok(Some(("bob", "hush"))),
        );
        check(args(Some("ann"), None), &[], Err("HERALD_PASSWORD"));
        check(
            args(Some("ann"), None),
            &[("HERALD_PASSWORD", "")],
            Err("HERALD_PASSWORD"),
        );
        check(
            args(Some("a:b"), None),
            &[("HERALD_PASSWORD", "hush")],
            Err("no ':'"),
        );
        let both = &[
            ("HERALD_LOGIN", "bob"),
            ("HERALD_PASSWORD", "hush"),
            ("HERALD_TOKEN", "a.b.c"),
        ];
        check(args(None, None), both, Ok(Some(("token", "a.b.c"))));
        check(args(Some("ann"), None), both, Ok(Some(("ann", "hush"))));
        check(args(None, Some("x")), &[], Err("--login"));
        check(args(Some("ann"), Some("/nowhere")), &[], Err("/nowhere"));
    }

    #[test]
    fn a_file_s_last_end_of_line_is_no_part_of_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "hush\r\n").unwrap();
        assert_eq!(read(&path).unwrap().expose(), "hush");
        std::fs::write(&path, "\n").unwrap();
        assert!(read(&path).is_err());
        std::fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        assert!(read(&path).is_err());
        std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\nhush\n").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(
            error.contains("found a private key") && !error.contains("hush"),
            "{error}"
        );
    }
}
