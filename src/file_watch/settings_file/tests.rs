//! The promise: each state of a file is loaded, or reported, once, and no report repeats the file's content.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use serde::Deserialize;

use super::*;

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    words: Vec<String>,
}

fn file(path: &Path) -> SettingsFile {
    SettingsFile {
        setting: "some.file",
        what: "the file of words",
        holds: "words",
        path: path.into(),
        max: ByteSize::kib(1),
    }
}

#[test]
fn a_state_is_loaded_or_complained_about_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("words.toml");
    let file = file(&path);
    let loaded = AtomicUsize::new(0);
    let load = |content: &[u8]| {
        let held: Held = file
            .parse(content)
            .map_err(|e| NotLoaded::Unusable(e.to_string()))?;
        if held.words == ["later"] {
            return Err(NotLoaded::NotNow("no random bytes".into()));
        }
        loaded.fetch_add(held.words.len(), Ordering::Relaxed);
        Ok(())
    };
    let mut seen = Seen::content(b"words = []");
    let mut check = |content: Option<&str>, expected: &str, times: usize| {
        match content {
            Some(content) => std::fs::write(&path, content).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let mut lines = 0;
        for _ in 0..2 {
            let before = std::mem::replace(&mut seen, Seen::Unreadable(String::new()));
            let (now, log) = logged(|| file.look(&load, before));
            seen = now;
            assert!(log.is_empty() || log.contains(expected), "{log}");
            assert!(!log.contains("secret"), "{log}");
            lines += log.lines().count();
        }
        assert_eq!(lines, times, "{content:?}");
    };
    check(Some("words = []"), "", 0);
    check(Some("words = [\"a\", \"b\"]"), "", 0);
    check(Some("words = \"secret\""), "line 1: expected a sequence", 1);
    check(Some("\nwords = ["), "line 2", 1);
    check(Some("other = \"secret\""), "line 1: unknown field `other`", 1);
    check(None, "No such file", 1);
    check(
        Some(&"#".repeat(1_025)),
        "larger than some.file_bytes allows (1KiB)",
        1,
    );
    // Not the file's fault: tried, and complained about, at each look.
    check(Some("words = [\"later\"]"), "no random bytes", 2);
    check(Some("words = [\"c\"]"), "", 0);
    assert_eq!(loaded.into_inner(), 3);
}

#[test]
fn what_is_no_regular_file_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let words = file(folder.path()).read().unwrap_err().to_string();
    assert!(words.ends_with(": expected a regular file"), "{words}");
    let words = file(folder.path())
        .parse::<Held>(b"\n\xff")
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(words.ends_with(", line 2: not UTF-8"), "{words}");
}
