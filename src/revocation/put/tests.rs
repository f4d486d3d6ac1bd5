//! The promise: an operator's revocation is on disk and in force, or neither, no matter who gave up waiting and what
//! the disk does; and "nothing has changed" is said only if it is true.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;

use super::*;
use crate::http::tests::{RecordingBus, authenticator};
use crate::revocation::file::{Faults, RevokedFile};
use crate::revocation::keep::Keeper;
use crate::revocation::tests::{block, is_shut_out, made_with};

struct Kept {
    all: Arc<Revocations>,
    bus: Arc<RecordingBus>,
    faults: Faults,
    folder: tempfile::TempDir,
}

impl Kept {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (file, _) = RevokedFile::open(&folder.path().join("revoked"), 100).unwrap();
        let faults = file.faults.clone();
        let authenticator = authenticator();
        let keeper = Keeper::with(authenticator.revoked(), Some(file));
        let (all, bus, _) = made_with(authenticator, keeper);
        Self {
            all,
            bus,
            faults,
            folder,
        }
    }

    /// Lets what waits come into force.
    fn begin(&self) {
        let all = self.all.clone();
        tokio::spawn(async move { all.put_all(&CancellationToken::new()).await });
    }

    fn has(&self, user: &str) -> bool {
        let text = std::fs::read_to_string(self.folder.path().join("revoked")).unwrap();
        text.contains(&format!("{user:?}"))
    }

    fn has_told(&self, user: &str) -> bool {
        let said = self.bus.said.lock();
        let mut told = said.iter().filter(|(kind, _)| kind == "tokens.revoked");
        told.any(|(_, text)| String::from_utf8_lossy(text).contains(&format!("{user:?}")))
    }

    /// In the file, in force and told; or nothing of that.
    async fn is_in_force(&self, user: &str) {
        let is_so = async {
            while !is_shut_out(&self.all, user) || !self.has_told(user) {
                tokio::task::yield_now().await;
            }
        };
        let waited = std::time::Instant::now();
        tokio::select! {
            () = is_so => {}
            () = async { while waited.elapsed() < Duration::from_secs(20) { tokio::task::yield_now().await } } => {
                panic!("{user} is not in force")
            }
        }
        assert!(self.has(user), "{user} is not in the file");
    }
}

#[tokio::test]
async fn who_gave_up_waiting_has_changed_nothing() {
    let kept = Kept::new();
    let (first, second) = (block("first"), block("second"));
    for revocation in [&first, &second] {
        let waiting = kept.all.put(revocation.clone());
        assert!(waiting.now_or_never().is_none());
    }
    assert!(!kept.has("first") && !is_shut_out(&kept.all, "first"));
    kept.begin();
    kept.is_in_force("first").await;
    kept.is_in_force("second").await;
    // The same of what is lifted.
    assert!(kept.all.put(first.lifted()).now_or_never().is_none());
    assert_eq!(kept.all.put(block("third")).await, Ok(Put::Everywhere));
    assert!(!is_shut_out(&kept.all, "first") && is_shut_out(&kept.all, "second"));
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_answers_late_leaves_nothing_that_is_not_in_force() {
    let kept = Kept::new();
    kept.begin();
    kept.faults.hangs.store(true, Ordering::SeqCst);
    let all = kept.all.clone();
    let waiting = tokio::spawn(async move { all.put(block("late")).await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(waiting.await.unwrap(), Err(NotPut::Unknown), "it may come yet");
    assert!(!is_shut_out(&kept.all, "late") && !kept.has("late"));
    let hangs = |all: &Revocations| all.trouble().any(|words| words.contains("does not answer"));
    let said = hangs(&kept.all);
    // Before anything fails: the thread of the disk would wait for ever.
    kept.faults.hangs.store(false, Ordering::SeqCst);
    assert!(said, "nothing said so");
    kept.is_in_force("late").await;
    assert!(!hangs(&kept.all));
}

#[tokio::test]
async fn what_the_disk_may_have_is_in_force_with_the_next_one() {
    let kept = Kept::new();
    kept.begin();
    kept.faults.fails.store(true, Ordering::SeqCst);
    let maybe = kept.all.put(block("maybe")).await;
    assert_eq!(maybe, Err(NotPut::Unknown), "the file may have it");
    assert!(!is_shut_out(&kept.all, "maybe") && kept.all.trouble().next().is_some());
    kept.faults.fails.store(false, Ordering::SeqCst);
    assert_eq!(kept.all.put(block("next")).await, Ok(Put::Everywhere));
    kept.is_in_force("maybe").await;
    kept.is_in_force("next").await;
    assert!(kept.all.trouble().next().is_none());
}

#[tokio::test]
async fn what_is_refused_is_neither_here_nor_there() {
    let kept = Kept::new();
    kept.begin();
    let (path, away) = (
        kept.folder.path().join("revoked"),
        kept.folder.path().join("away"),
    );
    std::fs::rename(&path, &away).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(kept.all.put(block("refused")).await, Err(NotPut::NotKept));
    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(&away, &path).unwrap();
    assert_eq!(kept.all.put(block("next")).await, Ok(Put::Everywhere));
    assert!(!is_shut_out(&kept.all, "refused") && !kept.has("refused"));
}

/// What somebody else wrote into the file holds after the next start, so it holds now.
#[tokio::test]
async fn what_is_found_in_the_file_is_in_force() {
    let kept = Kept::new();
    kept.begin();
    let path = kept.folder.path().join("revoked");
    let text = std::fs::read_to_string(&path).unwrap();
    let found = serde_json::to_string(&block("found")).unwrap();
    std::fs::write(&path, text + &found + "\n").unwrap();
    assert_eq!(kept.all.put(block("next")).await, Ok(Put::Everywhere));
    assert!(is_shut_out(&kept.all, "found") && kept.has("found"));
}

#[tokio::test]
async fn while_the_bus_is_away_it_is_in_force_here() {
    let kept = Kept::new();
    kept.begin();
    kept.bus.disconnect();
    assert_eq!(kept.all.put(block("here")).await, Ok(Put::Here));
    assert!(is_shut_out(&kept.all, "here") && kept.has("here") && !kept.has_told("here"));
}

/// "In the client's buffer" was said to be everywhere.
#[tokio::test(start_paused = true)]
async fn what_the_bus_does_not_confirm_is_not_told() {
    let kept = Kept::new();
    kept.begin();
    *kept.bus.swallows.lock() = true;
    let began = tokio::time::Instant::now();
    assert_eq!(kept.all.put(block("here")).await, Ok(Put::Here));
    assert!(began.elapsed() <= Duration::from_secs(2));
    assert!(is_shut_out(&kept.all, "here"));
    let untold = |all: &Revocations| all.trouble().any(|words| words.contains("have not been told"));
    assert!(untold(&kept.all));
    // A digest that the bus does not confirm changes nothing.
    kept.all.make_up().await;
    assert!(untold(&kept.all));
    *kept.bus.swallows.lock() = false;
    kept.all.make_up().await;
    assert!(!untold(&kept.all));
    assert_eq!(kept.all.put(block("next")).await, Ok(Put::Everywhere));
}
