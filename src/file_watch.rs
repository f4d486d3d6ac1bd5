//! Tells when a file may have changed. Watches the parent folder, since editors and Kubernetes replace files by renames and
//! symbolic links, and also says so at intervals for cases without events (links that lead elsewhere, file systems without
//! events). Knows nothing of the file's content.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

pub(crate) mod settings_file;

pub(crate) use settings_file::{NotLoaded, SettingsFile};

/// The file is read after it has been left alone for this long, so that a writer in place is not caught halfway.
const QUIET: Duration = Duration::from_millis(200);
/// The file is read at the latest after this long.
const RESTLESS: Duration = Duration::from_secs(5);
/// How often the file is read without an event.
const POLL: Duration = Duration::from_secs(30);

/// A watch on one file, until it is dropped.
pub(crate) struct FileWatch {
    changed: Arc<Notify>,
    /// Watches as long as it lives.
    _watcher: Option<RecommendedWatcher>,
    poll: Interval,
    is_first: bool,
}

impl FileWatch {
    /// Watches the file at `path`. `what` names it in the log, such as `the users file`. Needs the runtime's timer.
    pub(crate) fn new(path: &Path, what: &'static str) -> Self {
        let changed = Arc::new(Notify::new());
        let watcher = match watch(path, Arc::clone(&changed)) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(
                    file = %path.display(), %error,
                    "{what} cannot be watched, it is looked at every {}s instead", POLL.as_secs()
                );
                None
            }
        };
        let mut poll = interval_at(Instant::now() + POLL, POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            changed,
            _watcher: watcher,
            poll,
            is_first: true,
        }
    }

    /// Waits until the file should be read: at once the first time, since it may have changed between its first reading and
    /// the start of the watch.
    ///
    /// # Cancel safety
    /// If dropped before it is ready, an event may be lost; the next poll makes up for it.
    pub(crate) async fn changed(&mut self) {
        if std::mem::take(&mut self.is_first) {
            return;
        }
        tokio::select! {
            () = self.changed.notified() => {
                let deadline = Instant::now() + RESTLESS;
                while timeout(QUIET, self.changed.notified()).await.is_ok() && Instant::now() < deadline {}
            }
            _ = self.poll.tick() => {}
        }
    }
}

fn watch(path: &Path, changed: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading the file is an event too, which must not cause the next reading. An error (lost events) is a reason
        // to look.
        if !matches!(&event, Ok(event) if matches!(event.kind, EventKind::Access(_))) {
            changed.notify_one();
        }
    })?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
