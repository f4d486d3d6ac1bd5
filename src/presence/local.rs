//! The users of this instance, counted by session, and which changes the others have not been sent yet. Pure. Knows no
//! other instance.

use std::collections::{HashMap, HashSet};

use super::protocol::Summary;
use crate::principal::UserName;

/// This instance's users. `told` is what has been published. `untold` is exactly the difference to who is here, so
/// that changes need no queue while the bus is down: they cancel out in the set.
#[derive(Debug, Default)]
pub(super) struct Local {
    users: HashMap<UserName, Entry>,
    untold: HashSet<UserName>,
    online: usize,
    number: u64,
    told: Summary,
}

#[derive(Debug, Default)]
struct Entry {
    sessions: u32,
    told: bool,
}

impl Local {
    /// Adds a session, and returns whether it is the user's first one here.
    pub(super) fn opened(&mut self, user: &UserName) -> bool {
        let entry = self.users.entry(user.clone()).or_default();
        entry.sessions = entry.sessions.saturating_add(1);
        if entry.sessions > 1 {
            return false;
        }
        self.online += 1;
        if entry.told {
            self.untold.remove(user);
        } else {
            self.untold.insert(user.clone());
        }
        true
    }

    /// Removes a session, and returns whether it was the user's last one here. A user who is not here is not an
    /// error.
    pub(super) fn closed(&mut self, user: &UserName) -> bool {
        let Some(entry) = self.users.get_mut(user).filter(|entry| entry.sessions > 0) else {
            return false;
        };
        entry.sessions -= 1;
        if entry.sessions > 0 {
            return false;
        }
        self.online -= 1;
        if entry.told {
            self.untold.insert(user.clone());
        } else {
            self.untold.remove(user);
            self.users.remove(user);
        }
        true
    }

    /// Removes all sessions and returns the users who were here.
    pub(super) fn close_all(&mut self) -> Vec<UserName> {
        let here = self.users.iter_mut().filter(|(_, entry)| entry.sessions > 0);
        let here: Vec<UserName> = here
            .map(|(user, entry)| {
                entry.sessions = 1;
                user.clone()
            })
            .collect();
        here.iter().for_each(|user| {
            self.closed(user);
        });
        here
    }

    /// What the others must be told now: who came and who went. Both count as told afterwards. With `hold_went`,
    /// those who went stay untold.
    pub(super) fn take_untold(&mut self, hold_went: bool) -> (Vec<UserName>, Vec<UserName>) {
        let (mut came, mut went) = (Vec::new(), Vec::new());
        if self.untold.is_empty() {
            return (came, went);
        }
        for user in std::mem::take(&mut self.untold) {
            let Some(entry) = self.users.get_mut(&user) else {
                continue;
            };
            if entry.sessions > 0 {
                entry.told = true;
                self.told.insert(&user);
                came.push(user);
            } else if hold_went {
                self.untold.insert(user);
            } else {
                self.users.remove(&user);
                self.told.remove(&user);
                went.push(user);
            }
        }
        (came, went)
    }

    /// Whether the user has a session here.
    pub(super) fn is_online(&self, user: &UserName) -> bool {
        self.users.get(user).is_some_and(|entry| entry.sessions > 0)
    }

    /// How many users have a session here.
    pub(super) fn online(&self) -> usize {
        self.online
    }

    /// The number of the last published change.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The number for the next change.
    pub(super) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// What the others have been told.
    pub(super) fn told(&self) -> Summary {
        self.told
    }

    /// Whom the others have been told about, unsorted.
    pub(super) fn told_users(&self) -> Vec<UserName> {
        let told = self.users.iter().filter(|(_, entry)| entry.told);
        told.map(|(user, _)| user.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserName {
        UserName::parse(name).unwrap()
    }

    #[test]
    fn only_first_and_last_sessions_are_news() {
        let mut local = Local::default();
        let alice = user("alice");
        assert!(local.opened(&alice));
        assert!(!local.opened(&alice));
        assert_eq!(local.take_untold(false), (vec![alice.clone()], vec![]));
        assert!(!local.closed(&alice));
        assert_eq!(local.take_untold(false), (vec![], vec![]));
        assert!(local.closed(&alice));
        assert!(!local.closed(&alice), "a session that never was");
        assert_eq!(local.take_untold(false), (vec![], vec![alice]));
        assert_eq!(local.told(), Summary::default());
    }

    #[test]
    fn changes_that_pile_up_meet_in_the_set_and_leave_nothing_behind() {
        let mut local = Local::default();
        for name in 0..100 {
            local.opened(&user(&name.to_string()));
            local.closed(&user(&name.to_string()));
        }
        assert!(local.users.is_empty() && local.untold.is_empty());
        let alice = user("alice");
        local.opened(&alice);
        local.take_untold(false);
        local.closed(&alice);
        local.opened(&alice);
        assert_eq!(local.take_untold(false), (vec![], vec![]), "a reload is no news");
    }

    #[test]
    fn those_who_went_can_be_held_back() {
        let mut local = Local::default();
        local.opened(&user("a"));
        local.take_untold(false);
        local.close_all();
        local.opened(&user("b"));
        assert_eq!(local.take_untold(true), (vec![user("b")], vec![]));
        assert_eq!(local.told().users, 2);
        assert_eq!(local.take_untold(false), (vec![], vec![user("a")]));
        assert_eq!(local.told(), [user("b")].iter().collect());
        assert_eq!(local.told_users(), [user("b")]);
    }
}
