//! Limits events that others can provoke, by groups (an address, a user): the first event of a group in a minute has a
//! line, and the further ones are counted. Bounded: beyond a number of groups of an event within a minute, all others
//! are one. Pure: the time is a parameter.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Entry;
use super::event::{Event, Outcome, What};

/// How long a group lasts.
const WINDOW: Duration = Duration::from_secs(60);
/// How many times as many groups the events have that need a good credential.
const KNOWN_USERS: usize = 16;

/// How many events of a group had no line of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub event: Event,
    /// As in the group's first line; empty and none for what had no group of its own.
    pub who: Box<str>,
    pub address: Option<IpAddr>,
    pub outcome: Outcome,
    pub reason: Option<&'static str>,
    /// What all of them have in common.
    pub what: Option<Box<What>>,
    pub count: u64,
}

#[derive(Debug)]
struct Group {
    since: Instant,
    left_out: LeftOut,
}

/// The groups of the last minute.
#[derive(Debug)]
pub(super) struct Groups {
    most: usize,
    hashing: RandomState,
    table: HashMap<u64, Group>,
    /// By event: how many groups it has.
    sizes: [usize; Event::ALL.len()],
    /// By event: what found no room for a group.
    others: [Option<Group>; Event::ALL.len()],
}

impl Groups {
    /// At most `most` of each event.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            hashing: RandomState::new(),
            table: HashMap::new(),
            sizes: [0; Event::ALL.len()],
            others: [const { None }; Event::ALL.len()],
        }
    }

    fn most(&self, event: Event) -> usize {
        match event {
            Event::Login | Event::Renewal | Event::SessionEnded => self.most.saturating_mul(KNOWN_USERS),
            _ => self.most,
        }
    }

    /// Whether `entry`, which is of `group`, has a line of its own. Counts it if not.
    pub(super) fn admits(&mut self, entry: &Entry<'_>, group: &impl Hash, now: Instant) -> bool {
        let (index, most) = (entry.event as usize, self.most(entry.event));
        let key = self.hashing.hash_one((index, entry.outcome, group));
        let left_out = |who: &str, address, reason, what| LeftOut {
            event: entry.event,
            who: who.into(),
            address,
            outcome: entry.outcome,
            reason,
            what,
            count: 0,
        };
        match (self.table.entry(key), self.sizes.get_mut(index)) {
            (Place::Occupied(mut group), _) => group.get_mut().left_out.count += 1,
            (Place::Vacant(place), Some(size)) if *size < most => {
                *size += 1;
                place.insert(Group {
                    since: now,
                    left_out: left_out(entry.who, entry.address, entry.reason, entry.what.of_a_group()),
                });
                return true;
            }
            (Place::Vacant(_), _) => {
                if let Some(others) = self.others.get_mut(index) {
                    let others = others.get_or_insert_with(|| Group {
                        since: now,
                        left_out: left_out("", None, None, None),
                    });
                    others.left_out.count += 1;
                }
            }
        }
        false
    }

    /// Ends the groups whose minute is over, or `all`, and says what had no line of its own.
    pub(super) fn due(&mut self, now: Instant, all: bool) -> Vec<LeftOut> {
        let is_over = |group: &Group| all || now.duration_since(group.since) >= WINDOW;
        let mut due = Vec::new();
        let sizes = &mut self.sizes;
        self.table.retain(|_, group| {
            if !is_over(group) {
                return true;
            }
            if let Some(size) = sizes.get_mut(group.left_out.event as usize) {
                *size = size.saturating_sub(1);
            }
            if group.left_out.count > 0 {
                due.push(group.left_out.clone());
            }
            false
        });
        let over = self
            .others
            .iter_mut()
            .filter_map(|others| others.take_if(|group| is_over(group)));
        due.extend(over.map(|group| group.left_out));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(groups: &mut Groups, event: Event, who: &str, now: Instant) -> bool {
        let what = What::default();
        let entry = Entry {
            who,
            ..Entry::of(event, &what, Outcome::Refused)
        };
        groups.admits(&entry, &who, now)
    }

    #[test]
    fn a_group_has_one_line_a_minute_and_a_count() {
        let (mut groups, start) = (Groups::new(8), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let refused = Event::LoginRefused;
        let said: Vec<bool> = (0..4)
            .map(|second| told(&mut groups, refused, "a", at(second)))
            .collect();
        assert_eq!(said, [true, false, false, false]);
        assert!(told(&mut groups, refused, "b", at(30)), "another group");
        assert!(
            told(&mut groups, Event::PermissionRefused, "a", at(30)),
            "another event"
        );
        assert_eq!(groups.due(at(59), false), []);
        let due = groups.due(at(60), false);
        let counts: Vec<_> = due.iter().map(|out| (out.event, &*out.who, out.count)).collect();
        assert_eq!(counts, [(refused, "a", 3)]);
        assert!(told(&mut groups, refused, "a", at(61)), "another minute");
        assert_eq!(groups.due(at(90), false), [], "of b nothing was left out");
        told(&mut groups, refused, "a", at(91));
        assert_eq!(groups.due(at(92), true).len(), 1, "at the end");
        assert!(groups.table.is_empty() && groups.sizes.iter().all(|size| *size == 0));
    }

    #[test]
    fn a_flood_of_groups_is_one_line_and_pushes_no_other_event_out() {
        let (mut groups, start) = (Groups::new(3), Instant::now());
        let of_group = |number: usize| format!("10.0.0.{number}");
        let said =
            (0..100).filter(|&number| told(&mut groups, Event::LoginRefused, &of_group(number), start));
        assert_eq!(said.count(), 3);
        let said = (0..100).filter(|&number| told(&mut groups, Event::Login, &of_group(number), start));
        assert_eq!(said.count(), 3 * KNOWN_USERS);
        assert!(told(&mut groups, Event::Renewal, "a", start));
        assert_eq!(groups.table.len(), 3 + 3 * KNOWN_USERS + 1);
        let due = groups.due(start + WINDOW, false);
        let counts: Vec<_> = due.iter().map(|out| (out.event, &*out.who, out.count)).collect();
        assert_eq!(
            counts,
            [(Event::LoginRefused, "", 97), (Event::Login, "", 100 - 48)]
        );
        assert!(told(&mut groups, Event::LoginRefused, "10.0.0.9", start + WINDOW));
    }
}
