//! The subscribers of each broadcast destination in one shard: path → groups → a dense vector of members in order of
//! arrival. This is also the order in which their sockets were opened, which the kernel processes fastest.

use std::collections::HashMap;

use slab::Slab;

use super::roster::Slot;
use super::wire::GroupKey;
use crate::destination::Path;

/// Groups smaller than this are not worth compacting.
const COMPACT_FROM: usize = 64;

/// Which group of which topic. Valid while the group has a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupId {
    topic: u32,
    group: u32,
}

/// The place of a subscription. Valid until it is removed; compaction moves `member`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The group.
    pub group: GroupId,
    /// The member within the group.
    pub member: u32,
}

/// Sessions of one shard that share every byte of a notification.
pub(super) struct Group {
    /// What they share.
    pub key: GroupKey,
    /// Their slots, or [`Slot::NONE`] where a member left.
    members: Vec<Slot>,
    holes: usize,
}

impl Group {
    /// The members' slots, in the order they came.
    #[inline]
    pub(super) fn members(&self) -> impl Iterator<Item = Slot> {
        self.members.iter().copied().filter(|slot| *slot != Slot::NONE)
    }
}

struct Topic {
    path: Path,
    groups: Slab<Group>,
    by_key: HashMap<GroupKey, usize>,
}

/// All broadcast destinations with subscribers.
#[derive(Default)]
pub(super) struct Topics {
    topics: Slab<Topic>,
    by_path: HashMap<Path, usize>,
}

impl Topics {
    /// The destination's groups, if anybody subscribes to it.
    pub(super) fn groups(&self, path: &Path) -> Option<impl Iterator<Item = (GroupId, &Group)>> {
        let index = *self.by_path.get(path)?;
        let groups = self.topics.get(index)?.groups.iter();
        let topic = index as u32;
        Some(groups.map(move |(group, held)| {
            let group = group as u32;
            (GroupId { topic, group }, held)
        }))
    }

    /// The destination of a group.
    pub(super) fn path(&self, group: GroupId) -> Option<&Path> {
        self.topics.get(group.topic as usize).map(|topic| &topic.path)
    }

    /// What the members of a group share.
    pub(super) fn key(&self, group: GroupId) -> Option<&GroupKey> {
        let topic = self.topics.get(group.topic as usize)?;
        topic.groups.get(group.group as usize).map(|group| &group.key)
    }

    /// Adds a session's slot at the end of its group.
    pub(super) fn add(&mut self, path: &Path, key: GroupKey, session: Slot) -> Place {
        let index = *self.by_path.entry(path.clone()).or_insert_with(|| {
            self.topics.insert(Topic {
                path: path.clone(),
                groups: Slab::new(),
                by_key: HashMap::new(),
            })
        });
        let topic = &mut self.topics[index];
        let groups = &mut topic.groups;
        let group = *topic.by_key.entry(key).or_insert_with_key(|key| {
            groups.insert(Group {
                key: key.clone(),
                members: Vec::new(),
                holes: 0,
            })
        });
        let members = &mut topic.groups[group].members;
        members.push(session);
        Place {
            group: GroupId {
                topic: index as u32,
                group: group as u32,
            },
            member: members.len() as u32 - 1,
        }
    }

    /// Removes the subscription at `place`, leaving a hole, in O(1). `moved(slot, from, to)` is called for every
    /// member that a compaction moves, in order. Returns whether the destination has no subscriber left.
    pub(super) fn remove(&mut self, place: Place, mut moved: impl FnMut(Slot, u32, u32)) -> bool {
        let GroupId { topic: index, group } = place.group;
        let Some(topic) = self.topics.get_mut(index as usize) else {
            return false;
        };
        let key = group as usize;
        let Some(group) = topic.groups.get_mut(key) else {
            return false;
        };
        let Some(member) = group.members.get_mut(place.member as usize) else {
            return false;
        };
        *member = Slot::NONE;
        group.holes += 1;
        if group.holes == group.members.len() {
            let group = topic.groups.remove(key);
            topic.by_key.remove(&group.key);
            if topic.groups.is_empty() {
                let topic = self.topics.remove(index as usize);
                self.by_path.remove(&topic.path);
                return true;
            }
        } else if group.members.len() >= COMPACT_FROM && group.holes * 2 > group.members.len() {
            let (mut from, mut to) = (0, 0);
            group.members.retain(|slot| {
                let kept = *slot != Slot::NONE;
                if kept {
                    moved(*slot, from, to);
                    to += 1;
                }
                from += 1;
                kept
            });
            group.members.shrink_to(COMPACT_FROM);
            group.holes = 0;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::wire::AckMode;
    use crate::stomp::Version;

    fn key(subscription: &str) -> GroupKey {
        GroupKey {
            subscription: Some(subscription.into()),
            version: Version::V1_2,
            ack: AckMode::Auto,
        }
    }

    fn only_group<'a>(topics: &'a Topics, path: &Path) -> &'a Group {
        topics.groups(path).unwrap().next().unwrap().1
    }

    #[test]
    fn members_keep_the_order_they_came_in_over_holes_and_compaction() {
        let path = Path::parse("/queue/x").unwrap();
        let mut topics = Topics::default();
        let mut places: Vec<Option<Place>> = (0..200)
            .map(|session| Some(topics.add(&path, key("s"), Slot::of(session))))
            .collect();
        let is_kept = |session: &usize| session.is_multiple_of(3);
        let mut remove = |topics: &mut Topics, session: usize| {
            let mut moves = Vec::new();
            let place = places[session].take().unwrap();
            let last = topics.remove(place, |slot, from, to| moves.push((slot, from, to)));
            for (slot, from, to) in moves {
                let session = (0..200).position(|index| Slot::of(index) == slot).unwrap();
                let member = &mut places[session].as_mut().unwrap().member;
                assert_eq!(std::mem::replace(member, to), from);
            }
            for (session, place) in (0..).zip(&places) {
                let Some(place) = place else { continue };
                let members = &only_group(topics, &path).members;
                assert_eq!(members[place.member as usize], Slot::of(session));
            }
            last
        };
        for session in (0..200).filter(|session| !is_kept(session)) {
            assert!(!remove(&mut topics, session));
        }
        let group = only_group(&topics, &path);
        assert!(group.members.len() < 200, "was compacted");
        let left: Vec<Slot> = (0..200)
            .filter(|session| session % 3 == 0)
            .map(Slot::of)
            .collect();
        assert_eq!(group.members().collect::<Vec<_>>(), left);
        let emptied: Vec<bool> = (0..200)
            .filter(is_kept)
            .map(|session| remove(&mut topics, session))
            .collect();
        assert_eq!(
            emptied.iter().position(|last| *last),
            Some(66),
            "only the last one empties it"
        );
    }

    #[test]
    fn groups_differ_by_key_and_empty_ones_go() {
        let path = Path::parse("/queue/x").unwrap();
        let mut topics = Topics::default();
        let a = topics.add(&path, key("a"), Slot::of(1));
        let b = topics.add(&path, key("b"), Slot::of(1));
        assert_ne!(a.group, b.group);
        assert!(!topics.remove(a, |_, _, _| {}));
        assert!(topics.remove(b, |_, _, _| {}));
        assert!(topics.groups(&path).is_none());
    }
}
