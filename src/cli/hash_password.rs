//! `herald hash-password`: reads a password and prints its argon2id PHC string. Knows no user.

use std::fmt;
use std::io::{self, BufRead, IsTerminal, Write};

use zeroize::Zeroizing;

use crate::auth::credentials::PASSWORD_MAX_BYTES;
use crate::auth::phc;

/// Why no hash was printed.
#[derive(Debug)]
pub enum HashPasswordError {
    /// Reading the password or writing the hash failed.
    Io(io::Error),
    /// The two passwords typed differ.
    NotTheSame,
    /// Nothing was entered.
    Empty,
    /// Longer than [`PASSWORD_MAX_BYTES`].
    TooLong,
    /// Not UTF-8, or with a control character: no client could present it (RFC 7617 section 2).
    NotText,
    /// The hash could not be computed.
    Hash(argon2::password_hash::Error),
}

impl fmt::Display for HashPasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::NotTheSame => f.write_str("the two passwords are not the same"),
            Self::Empty => f.write_str("expected a password, got an empty line"),
            Self::TooLong => write!(f, "a password has at most {PASSWORD_MAX_BYTES} bytes"),
            Self::NotText => f.write_str("a password is UTF-8 without control characters"),
            Self::Hash(error) => write!(f, "the hash could not be computed: {error}"),
        }
    }
}

impl std::error::Error for HashPasswordError {}

impl From<io::Error> for HashPasswordError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// On a terminal asks for a password twice without showing it, else reads one line of standard input; prints the PHC
/// string for `auth.users` or the users file. The password is never an argument: those are visible in process lists.
pub fn run() -> Result<(), HashPasswordError> {
    let stdin = io::stdin();
    let password = if stdin.is_terminal() {
        let password = Zeroizing::new(rpassword::prompt_password("Password: ")?);
        // Refused before it is asked for again.
        check(&password)?;
        let again = Zeroizing::new(rpassword::prompt_password("Once more: ")?);
        if password != again {
            return Err(HashPasswordError::NotTheSame);
        }
        password
    } else {
        let password = read_line(stdin.lock())?;
        check(&password)?;
        password
    };
    let hash = phc::hash(&password).map_err(HashPasswordError::Hash)?;
    writeln!(io::stdout().lock(), "{hash}")?;
    Ok(())
}

/// One line without its end.
fn read_line(input: impl BufRead) -> Result<Zeroizing<String>, HashPasswordError> {
    let bound = PASSWORD_MAX_BYTES + "\r\n".len();
    // Allocated at once, so that growing leaves no unwiped buffer behind.
    let mut line = Zeroizing::new(Vec::with_capacity(bound));
    input.take(bound as u64).read_until(b'\n', &mut line)?;
    let ends = [&b"\r\n"[..], b"\n"];
    let text = ends.into_iter().find_map(|end| line.strip_suffix(end));
    match std::str::from_utf8(text.unwrap_or(&line)) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        // Perhaps the bound only cut it in the middle of a character.
        Err(_) if line.len() == bound => Err(HashPasswordError::TooLong),
        Err(_) => Err(HashPasswordError::NotText),
    }
}

fn check(password: &str) -> Result<(), HashPasswordError> {
    match password {
        "" => Err(HashPasswordError::Empty),
        long if long.len() > PASSWORD_MAX_BYTES => Err(HashPasswordError::TooLong),
        text if text.chars().any(char::is_control) => Err(HashPasswordError::NotText),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], expected: Result<&str, &str>) {
        let found = read_line(input).and_then(|line| super::check(&line).map(|()| line));
        match (&found, expected) {
            (Ok(line), Ok(password)) => assert_eq!(**line, password),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            _ => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn one_bounded_line_is_the_password() {
        check(b"secret\n", Ok("secret"));
        check(b"secret\r\n", Ok("secret"));
        check(b"secret", Ok("secret"));
        check("se crét :\nrest\n".as_bytes(), Ok("se crét :"));
        check(b"", Err("empty"));
        check(b"\n", Err("empty"));
        check(b"a\tb\n", Err("control"));
        check(b"a\xff\n", Err("UTF-8"));
        let longest = "x".repeat(PASSWORD_MAX_BYTES);
        check(format!("{longest}\r\n").as_bytes(), Ok(&longest));
        check(format!("{longest}x\n").as_bytes(), Err("1024 bytes"));
        check(&[b'x'; 1 << 20], Err("1024 bytes"));
        check(format!("x{}", "ä".repeat(1 << 10)).as_bytes(), Err("1024 bytes"));
    }
}
