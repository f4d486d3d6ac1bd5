//! What this instance knows about one other instance, and how it fetches its snapshot. Pure. Knows no third instance.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::online::Online;
use super::protocol::{Changes, Cursor, Digest, Page, SnapshotRequest};
use crate::principal::UserName;

mod held;

use held::{Gathered, Held, gather};

/// The most names in changes that wait for a snapshot. Beyond it they are dropped, and the next digest asks again.
const WAITING_MAX_NAMES: usize = 64 << 10;
/// The pause after the first failed fetch. It doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(4);

/// Another instance. Times count from this process's start.
#[derive(Debug)]
pub(super) struct Peer {
    /// Its name.
    pub name: Arc<str>,
    /// When it was last heard of.
    pub heard: Duration,
    held: Held,
    /// The highest change number heard of.
    known: u64,
    fetch: Fetch,
    round: u64,
    waiting: Vec<Changes>,
    waiting_names: usize,
}

#[derive(Debug)]
enum Fetch {
    Current,
    Wanted {
        at: Duration,
        failures: u32,
    },
    Asking {
        failures: u32,
        gathered: Option<Gathered>,
    },
}

/// How the cluster's set changed when a snapshot replaced a peer's users.
#[derive(Debug, Default)]
pub(super) struct Installed {
    /// Users who were online nowhere before.
    pub appeared: Vec<UserName>,
    /// Users who are no longer at this peer.
    pub vanished: Vec<UserName>,
}

/// What to do after a page.
#[derive(Debug)]
pub(super) enum Progress {
    /// Ask for the next page.
    Next(SnapshotRequest),
    /// Nothing: the snapshot is in place.
    Installed(Installed),
    /// The page is unusable. The fetch is tried again later.
    Failed,
}

impl Peer {
    /// An instance heard of for the first time: every instance starts without changes and without users.
    pub(super) fn new(name: Arc<str>, now: Duration) -> Self {
        Self {
            name,
            heard: now,
            held: Held::default(),
            known: 0,
            fetch: Fetch::Current,
            round: 0,
            waiting: Vec::new(),
            waiting_names: 0,
        }
    }

    /// The users known there.
    pub(super) fn users(&self) -> &HashSet<UserName> {
        &self.held.users
    }

    /// Applies changes at once if they are the next ones. While a snapshot is being fetched, they are also kept for
    /// afterwards.
    pub(super) fn changed(&mut self, now: Duration, changes: Changes, online: &mut Online) {
        self.known = self.known.max(changes.number);
        if self.held.is_next(&changes) {
            self.held.apply(&changes, |user, came| {
                if came {
                    online.add(user);
                } else {
                    online.remove(user);
                }
            });
        } else if changes.number > self.held.number {
            self.want(now);
        }
        if !matches!(self.fetch, Fetch::Current) {
            self.wait(changes);
        }
    }

    /// Compares a digest, and returns whether this peer is known as it describes itself.
    pub(super) fn compare(&mut self, now: Duration, digest: &Digest) -> bool {
        self.known = self.known.max(digest.number);
        let same = digest.number == self.held.number && digest.summary == self.held.summary;
        if !same {
            self.want(now);
        }
        same && matches!(self.fetch, Fetch::Current)
    }

    /// Whether a fetch is due.
    pub(super) fn is_fetch_due(&self, now: Duration) -> bool {
        matches!(self.fetch, Fetch::Wanted { at, .. } if at <= now)
    }

    /// Whether a fetch is in progress.
    pub(super) fn is_fetching(&self) -> bool {
        matches!(self.fetch, Fetch::Asking { .. })
    }

    /// Begins the fetch that is due. Returns its round, which identifies it, and its first request.
    pub(super) fn begin_fetch(&mut self) -> (u64, SnapshotRequest) {
        let failures = match self.fetch {
            Fetch::Wanted { failures, .. } => failures,
            _ => 0,
        };
        self.fetch = Fetch::Asking {
            failures,
            gathered: None,
        };
        self.round += 1;
        let request = SnapshotRequest {
            at_least: self.known,
            cursor: None,
        };
        (self.round, request)
    }

    /// Takes a page of the fetch of `round`, or its failure. An answer to an earlier fetch is ignored.
    pub(super) fn page(
        &mut self,
        now: Duration,
        round: u64,
        page: Option<Page>,
        online: &mut Online,
    ) -> Option<Progress> {
        let Fetch::Asking { failures, gathered } = &mut self.fetch else {
            return None;
        };
        if round != self.round {
            return None;
        }
        let failures = *failures;
        let Some((gathered, more)) = page.and_then(|page| gather(gathered.take(), page)) else {
            let pause = BACKOFF_MIN.saturating_mul(1 << failures.min(8)).min(BACKOFF_MAX);
            self.fetch = Fetch::Wanted {
                at: now + pause,
                failures: failures.saturating_add(1),
            };
            return Some(Progress::Failed);
        };
        if more {
            let cursor = Some(Cursor {
                number: gathered.number,
                offset: gathered.names.len(),
            });
            let request = SnapshotRequest {
                at_least: gathered.number,
                cursor,
            };
            self.fetch = Fetch::Asking {
                failures,
                gathered: Some(gathered),
            };
            return Some(Progress::Next(request));
        }
        Some(Progress::Installed(self.install(gathered, online)))
    }

    /// Removes all users here, and returns those who are now nowhere.
    pub(super) fn dissolve(self, online: &mut Online) -> Vec<UserName> {
        let users = self.held.users.into_iter();
        users.filter(|user| online.remove(user)).collect()
    }

    fn want(&mut self, now: Duration) {
        if matches!(self.fetch, Fetch::Current) {
            self.fetch = Fetch::Wanted { at: now, failures: 0 };
        }
    }

    fn wait(&mut self, changes: Changes) {
        self.waiting_names += names(&changes) + 1;
        if self.waiting_names > WAITING_MAX_NAMES {
            self.stop_waiting();
        } else {
            self.waiting.push(changes);
        }
    }

    fn stop_waiting(&mut self) -> Vec<Changes> {
        self.waiting_names = 0;
        std::mem::take(&mut self.waiting)
    }

    /// Installs a complete snapshot with the changes that waited for it. Only the difference touches the cluster's
    /// set, so that nobody who stays flickers.
    fn install(&mut self, gathered: Gathered, online: &mut Online) -> Installed {
        let mut held = Held {
            users: gathered.names.into_iter().collect(),
            summary: gathered.summary,
            number: gathered.number,
        };
        let mut waiting = self.stop_waiting();
        waiting.sort_by_key(|changes| changes.number);
        for changes in waiting {
            if held.is_next(&changes) {
                held.apply(&changes, |_, _| {});
            }
        }
        let before = std::mem::replace(&mut self.held, held);
        self.fetch = Fetch::Current;
        let mut installed = Installed::default();
        for user in self.held.users.difference(&before.users) {
            if online.add(user) {
                installed.appeared.push(user.clone());
            }
        }
        for user in before.users.difference(&self.held.users) {
            online.remove(user);
            installed.vanished.push(user.clone());
        }
        installed
    }
}

fn names(changes: &Changes) -> usize {
    [&changes.came, &changes.joined, &changes.went, &changes.left]
        .iter()
        .map(|names| names.0.len())
        .sum()
}
