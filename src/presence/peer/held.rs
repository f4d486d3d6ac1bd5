//! A set of users at a numbered change, and the pages it is assembled from. Pure.

use std::collections::HashSet;

use super::super::protocol::{Changes, INSTANCE_MAX_USERS, Page, Summary};
use crate::principal::UserName;

/// A set of users and the last change that it includes.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The users.
    pub users: HashSet<UserName>,
    /// Their summary.
    pub summary: Summary,
    /// The number of the change.
    pub number: u64,
}

impl Held {
    /// Whether `changes` follow directly.
    pub(super) fn is_next(&self, changes: &Changes) -> bool {
        self.number.checked_add(1) == Some(changes.number)
    }

    /// Applies the changes. `each` is told who really came (`true`) or went (`false`).
    pub(super) fn apply(&mut self, changes: &Changes, mut each: impl FnMut(&UserName, bool)) {
        for user in changes.came.0.iter().chain(&changes.joined.0) {
            if self.users.len() < INSTANCE_MAX_USERS && self.users.insert(user.clone()) {
                self.summary.insert(user);
                each(user, true);
            }
        }
        for user in changes.went.0.iter().chain(&changes.left.0) {
            if self.users.remove(user) {
                self.summary.remove(user);
                each(user, false);
            }
        }
        self.number = changes.number;
    }
}

/// A snapshot of which some pages have been read.
#[derive(Debug)]
pub(super) struct Gathered {
    /// The number of the change.
    pub number: u64,
    /// Their summary.
    pub summary: Summary,
    /// The users read so far, sorted.
    pub names: Vec<UserName>,
}

/// Appends a page to the pages before it. `None` if it does not follow them, or if the whole does not match its
/// summary.
pub(super) fn gather(before: Option<Gathered>, page: Page) -> Option<(Gathered, bool)> {
    let mut gathered = before.unwrap_or(Gathered {
        number: page.number,
        summary: page.summary,
        names: Vec::new(),
    });
    let names = page.names.0;
    let follows = page.number == gathered.number
        && page.summary == gathered.summary
        && page.offset == gathered.names.len()
        && gathered
            .names
            .last()
            .is_none_or(|last| names.first().is_none_or(|first| last < first))
        && names.is_sorted_by(|a, b| a < b)
        && gathered.names.len() + names.len() <= gathered.summary.users.min(INSTANCE_MAX_USERS)
        && (!page.more || !names.is_empty());
    if !follows {
        return None;
    }
    gathered.names.extend(names);
    let complete = page.more || gathered.names.iter().collect::<Summary>() == gathered.summary;
    complete.then_some((gathered, page.more))
}
