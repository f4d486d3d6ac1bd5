//! When a session that expires presents its credential again, and which one: the token's file is read again until it
//! contains another token, a password is presented unchanged. Knows no connection and no clock.

use std::time::Duration;

use tokio::time::Instant;

use super::Login;
use super::credentials;
use crate::setting::Secret;

/// How long before the end it begins, at most: time enough for several attempts.
const AHEAD: Duration = Duration::from_secs(60);
/// The pause between two looks at the file, at most and at least.
const LOOK: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// How long the answer to a renewal may take. A refused one has none here; after this time it is presented again, which keeps far from
/// `limits.renewals_per_session`.
const ANSWER: Duration = Duration::from_secs(20);

/// The renewal of one session.
#[derive(Debug)]
pub(super) struct Renewal {
    /// When to do something next. `None`: the session does not end by itself.
    next: Option<Instant>,
    /// The pause between two looks.
    pause: Duration,
}

/// What to do now.
#[derive(Debug)]
pub(super) enum Step {
    /// Present this.
    Present(Login),
    /// Nothing new yet.
    Wait,
    /// The file cannot be read; in words. It is looked at again.
    Unreadable(String),
}

impl Renewal {
    /// Of a session that lives so long from `now` on.
    pub(super) fn of(lives: Option<Duration>, now: Instant) -> Self {
        let ahead = |lives: Duration| AHEAD.min(lives / 3);
        Self {
            next: lives.map(|lives| now + (lives - ahead(lives))),
            pause: lives.map_or(LOOK.1, |lives| (ahead(lives) / 10).clamp(LOOK.0, LOOK.1)),
        }
    }

    /// When [`Self::step`] is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// It is due: what to do, for a session that lives by `login`.
    pub(super) fn step(&mut self, login: &Login, now: Instant) -> Step {
        self.next = Some(now + self.pause);
        match renewed(login) {
            Ok(None) => Step::Wait,
            Ok(Some(login)) => {
                self.next = Some(now + ANSWER);
                Step::Present(login)
            }
            Err(words) => Step::Unreadable(words),
        }
    }
}

/// The credential to present after `login`: its file's, if that has another now. A password is presented again as it is, and a
/// token that came by a variable has none after it.
fn renewed(login: &Login) -> Result<Option<Login>, String> {
    let secret = match &login.file {
        Some(path) => credentials::read(path).map_err(|error| error.to_string())?,
        None => login.secret.clone(),
    };
    let is_new = login.user.is_some() || is_another(&secret, &login.secret);
    Ok(is_new.then(|| Login {
        secret,
        ..login.clone()
    }))
}

/// The credential for a new session after `login` has ended: what its file has now. `None`: nothing that could help.
pub(super) fn after_the_end(login: &Login) -> Option<Login> {
    renewed(login).ok().flatten()
}

fn is_another(new: &Secret, old: &Secret) -> bool {
    new.expose() != old.expose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str, file: Option<std::path::PathBuf>) -> Login {
        Login {
            user: None,
            secret: Secret::new(text),
            file,
        }
    }

    #[test]
    fn it_begins_a_minute_or_a_third_before_the_end() {
        let now = Instant::now();
        let due = |secs| Renewal::of(Some(Duration::from_secs(secs)), now).next().unwrap() - now;
        assert_eq!(due(3_600), Duration::from_secs(3_540));
        assert_eq!(due(30), Duration::from_secs(20));
        assert_eq!(Renewal::of(None, now).next(), None);
        assert_eq!(Renewal::of(Some(Duration::ZERO), now).next(), Some(now));
    }

    #[test]
    fn a_token_is_presented_once_and_a_file_is_read_until_it_has_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "old\n").unwrap();
        let now = Instant::now();
        let mut renewal = Renewal::of(Some(Duration::from_secs(3_600)), now);
        let login = token("old", Some(path.clone()));
        assert!(matches!(renewal.step(&login, now), Step::Wait));
        assert_eq!(renewal.next(), Some(now + LOOK.1));
        std::fs::write(&path, "new\n").unwrap();
        let Step::Present(next) = renewal.step(&login, now) else {
            panic!("nothing to present");
        };
        assert_eq!((next.secret.expose(), &next.file), ("new", &login.file));
        assert_eq!(renewal.next(), Some(now + ANSWER));
        assert!(matches!(renewal.step(&next, now), Step::Wait));
        assert!(after_the_end(&next).is_none() && after_the_end(&login).is_some());
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(renewal.step(&next, now), Step::Unreadable(_)));
        // A variable has the same for ever.
        assert!(matches!(renewal.step(&token("a", None), now), Step::Wait));
        let by_password = Login {
            user: Some("ann".into()),
            ..token("hush", None)
        };
        assert!(matches!(renewal.step(&by_password, now), Step::Present(_)));
    }
}
