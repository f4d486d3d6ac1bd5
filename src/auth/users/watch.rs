//! Makes the store reload the users file when it changes. Knows nothing of the file's content.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{UserStore, UsersError, file};
use crate::file_watch::FileWatch;

/// What was last seen of the file, so that each state of it is loaded, or complained about, once.
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

/// Reloads `store` whenever the file at `path` changes, until dropped. `content` is what the store already holds.
///
/// # Cancel safety
/// May be dropped at any await: a reload is one step without one.
pub(in crate::auth) async fn run(store: Arc<UserStore>, path: Arc<Path>, content: Vec<u8>) {
    let mut watch = FileWatch::new(&path, "the users file");
    let mut seen = Seen::content(&content);
    drop(content);
    loop {
        watch.changed().await;
        let (store, path) = (Arc::clone(&store), Arc::clone(&path));
        match tokio::task::spawn_blocking(move || look(&store, &path, seen)).await {
            Ok(now) => seen = now,
            // What the file holds must not end the watch: it is read again at the next look.
            Err(error) if error.is_panic() => {
                tracing::error!("reading the users file panicked, the users stay as they were");
                seen = Seen::Unreadable("reading it panicked".into());
            }
            // The runtime ends.
            Err(_) => return std::future::pending().await,
        }
    }
}

/// Reads the file and loads it if it differs from `seen`. Blocks.
fn look(store: &UserStore, path: &Path, seen: Seen) -> Seen {
    let kept = "the users file is not usable, the users stay as they were";
    let content = match file::read(path, store.file_max) {
        Ok(content) => content,
        Err(error) => {
            let now = Seen::Unreadable(error.to_string());
            if now != seen {
                tracing::error!(%error, "{kept}");
            }
            return now;
        }
    };
    let now = Seen::content(&content);
    if now != seen {
        match store.replace(path, &content) {
            Ok(replaced) => tracing::info!(
                file = %path.display(), users = replaced.users, withdrawn = replaced.withdrawn, "users reloaded"
            ),
            Err(error @ UsersError::Random(_)) => {
                // Not the file's fault: try again at the next look.
                tracing::error!(%error, "{kept}");
                return seen;
            }
            Err(error) => tracing::error!(%error, "{kept}"),
        }
    }
    now
}

#[cfg(test)]
mod tests {
    use std::io;

    use parking_lot::Mutex;

    use super::*;
    use crate::auth::phc::cheap;
    use crate::auth::{Config, LoginConfig};

    /// What was logged while `f` ran.
    fn logged<T>(f: impl FnOnce() -> T) -> (T, String) {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let result = tracing::subscriber::with_default(subscriber, f);
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        (result, text)
    }

    #[test]
    fn a_broken_file_keeps_the_users_and_is_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        let hash = cheap("x");
        let good = format!("[[users]]\nname = \"alice\"\npassword = {hash:?}\n");
        std::fs::write(&path, &good).unwrap();
        let config = Config {
            users_file: Some(path.to_str().unwrap().to_owned()),
            ..Config::default()
        };
        let (store, watched) = UserStore::open(&config, &LoginConfig::default()).unwrap();
        let users = store.current();
        let mut seen = Seen::content(&watched.unwrap().1);
        let mut check = |content: Option<&str>, expected: Option<&str>| {
            match content {
                Some(content) => std::fs::write(&path, content).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            for expected in [expected, None] {
                let before = std::mem::replace(&mut seen, Seen::Unreadable(String::new()));
                let (now, log) = logged(|| look(&store, &path, before));
                seen = now;
                match expected {
                    Some(words) => assert!(log.contains(words) && log.lines().count() == 1, "{log}"),
                    None => assert_eq!(log, ""),
                }
                assert!(!log.contains(&hash), "{log}");
            }
        };
        check(Some(&good), None);
        check(Some(&good.replace("alice", "a:b")), Some("must not contain ':'"));
        check(Some("[[users]"), Some("line 1"));
        check(None, Some("No such file"));
        check(Some(&good.replace("m=8", "m=9999999")), Some("login.hash_memory"));
        assert!(Arc::ptr_eq(&users, &store.current()));
        check(Some(&good), Some("withdrawn=0"));
        check(Some(""), Some("withdrawn=1"));
        assert!(store.current().is_empty());
    }
}
