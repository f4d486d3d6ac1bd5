//! Snapshots of this instance's users for other instances, page by page. A snapshot is taken once, kept for a while,
//! and shared by all requests in that time, so that its pages show one moment whatever happens between them.

use std::sync::Arc;
use std::time::Duration;

use super::protocol::{INSTANCE_MAX_USERS, Names, Page, SnapshotReply, SnapshotRequest, Summary, json_bytes};
use crate::principal::UserName;

/// How many snapshots are kept at the same time. The one not asked for longest is evicted.
const KEPT_MAX: usize = 4;
/// A snapshot that nobody asks for is dropped after this time.
const KEPT_FOR: Duration = Duration::from_secs(10);
/// A snapshot is given to new askers for this time, if it is recent enough for them.
const SHARED_FOR: Duration = Duration::from_secs(1);

/// The snapshots that are being read.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    kept: Vec<Kept>,
}

#[derive(Debug)]
struct Kept {
    number: u64,
    summary: Summary,
    users: Arc<[UserName]>,
    taken: Duration,
    asked: Duration,
}

impl Snapshots {
    /// Answers a request. `number` is the number of the last change; `take` returns the current state: the number of
    /// its last change, its summary, and the users in any order.
    pub(super) fn answer(
        &mut self,
        now: Duration,
        request: &SnapshotRequest,
        page_bytes: usize,
        number: u64,
        take: impl FnOnce() -> (u64, Summary, Vec<UserName>),
    ) -> SnapshotReply {
        self.forget(now);
        let (index, offset) = match request.cursor {
            Some(cursor) => {
                let Some(index) = self.kept.iter().position(|kept| kept.number == cursor.number) else {
                    return SnapshotReply { page: None };
                };
                (index, cursor.offset)
            }
            None => {
                let fits = |kept: &Kept| {
                    kept.number == number
                        || (kept.number >= request.at_least && now.saturating_sub(kept.taken) < SHARED_FOR)
                };
                let index = self.kept.iter().position(fits);
                (index.unwrap_or_else(|| self.keep(now, take())), 0)
            }
        };
        let page = self.kept.get_mut(index).and_then(|kept| {
            kept.asked = now;
            kept.page(offset, page_bytes)
        });
        SnapshotReply { page }
    }

    /// Drops what nobody has asked for recently.
    pub(super) fn forget(&mut self, now: Duration) {
        self.kept.retain(|kept| now.saturating_sub(kept.asked) < KEPT_FOR);
    }

    fn keep(&mut self, now: Duration, (number, summary, mut users): (u64, Summary, Vec<UserName>)) -> usize {
        users.sort_unstable();
        users.truncate(INSTANCE_MAX_USERS);
        let kept = Kept {
            number,
            summary,
            users: users.into(),
            taken: now,
            asked: now,
        };
        if self.kept.len() >= KEPT_MAX {
            let oldest = self.kept.iter().enumerate().min_by_key(|(_, kept)| kept.asked);
            if let Some((oldest, _)) = oldest {
                self.kept.remove(oldest);
            }
        }
        self.kept.push(kept);
        self.kept.len() - 1
    }
}

impl Kept {
    fn page(&self, offset: usize, page_bytes: usize) -> Option<Page> {
        let rest = self.users.get(offset..)?;
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|user| {
            bytes += json_bytes(user);
            bytes <= page_bytes
        });
        let fitting = fitting.count();
        let names = Names(rest.get(..fitting)?.to_vec());
        Some(Page {
            number: self.number,
            summary: self.summary,
            offset,
            names,
            more: fitting < rest.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::protocol::Cursor;

    const PAGE_BYTES: usize = 64;

    fn users(count: usize) -> Vec<UserName> {
        (0..count)
            .rev()
            .map(|n| UserName::parse(&format!("user\"{n:03}")).unwrap())
            .collect()
    }

    fn ask(at_least: u64, cursor: Option<(u64, usize)>) -> SnapshotRequest {
        SnapshotRequest {
            at_least,
            cursor: cursor.map(|(number, offset)| Cursor { number, offset }),
        }
    }

    fn held(number: u64, count: usize) -> (u64, Summary, Vec<UserName>) {
        let users = users(count);
        (number, users.iter().collect(), users)
    }

    #[test]
    fn pages_are_of_one_moment_and_bounded() {
        let mut snapshots = Snapshots::default();
        let now = Duration::ZERO;
        let mut cursor = None;
        let mut read = Vec::new();
        loop {
            // The set grows with every page; the snapshot does not.
            let number = 7 + read.len() as u64;
            let request = ask(7, cursor);
            let reply = snapshots.answer(now, &request, PAGE_BYTES, number, || held(7, 20));
            let page = reply.page.unwrap();
            assert!(serde_json::to_vec(&page.names).unwrap().len() <= PAGE_BYTES + 2);
            assert_eq!(
                (page.number, page.offset, page.summary.users),
                (7, read.len(), 20)
            );
            read.extend(page.names.0);
            if !page.more {
                break;
            }
            cursor = Some((7, read.len()));
        }
        let mut expected = users(20);
        expected.sort();
        assert_eq!(read, expected);
    }

    #[test]
    fn askers_share_a_snapshot_that_is_new_enough_for_them() {
        let mut snapshots = Snapshots::default();
        let mut answer = |ms, at_least, number, fresh: bool| {
            let mut taken = false;
            let request = ask(at_least, None);
            snapshots.answer(Duration::from_millis(ms), &request, PAGE_BYTES, number, || {
                taken = true;
                held(number, 1)
            });
            assert_eq!(taken, fresh, "at {ms} ms");
        };
        answer(0, 1, 1, true);
        answer(500, 1, 2, false);
        answer(500, 2, 2, true);
        answer(2_000, 1, 2, false);
        answer(2_000, 1, 3, true);
        answer(2_000, u64::MAX, 3, false);
    }

    #[test]
    fn what_is_not_kept_makes_the_asker_begin_again() {
        let mut snapshots = Snapshots::default();
        let mut answer = |secs, number, cursor| {
            let request = ask(number, cursor);
            let reply = snapshots.answer(Duration::from_secs(secs), &request, PAGE_BYTES, number, || {
                held(number, 20)
            });
            reply.page.is_some()
        };
        assert!(answer(0, 1, None));
        assert!(answer(0, 1, Some((1, 5))));
        assert!(!answer(0, 1, Some((1, 21))), "an offset behind the end");
        assert!(!answer(11, 1, Some((1, 5))), "too late");
        for number in 1..=5 {
            assert!(answer(12, number, None));
        }
        assert!(!answer(12, 5, Some((1, 5))), "made room for newer ones");
        assert!(answer(12, 5, Some((2, 5))));
    }
}
