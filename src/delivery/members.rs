//! Who subscribes to which broadcast destination in one shard: path → groups → a dense vector of members in the order
//! they came, which is the order of their sockets' age and the one the kernel walks fastest.

use std::collections::HashMap;

use slab::Slab;

use super::wire::GroupKey;
use crate::destination::Path;

/// A member that left; the walk steps over it.
pub const HOLE: u32 = u32::MAX;
/// Groups smaller than this are not worth compacting.
const COMPACT_FROM: usize = 64;

/// Where a subscription stands. Valid until it is removed; compaction moves `member`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which topic.
    pub topic: u32,
    /// Which group of it.
    pub group: u32,
    /// Which slot of the group.
    pub member: u32,
}

/// Sessions of one shard that share every byte of a notification.
pub struct Group {
    /// What they share.
    pub key: GroupKey,
    /// Slots of sessions, or [`HOLE`].
    pub members: Vec<u32>,
    holes: usize,
}

/// One broadcast destination with subscribers.
pub struct Topic {
    /// The destination.
    pub path: Path,
    /// Its groups.
    pub groups: Slab<Group>,
    by_key: HashMap<GroupKey, usize>,
}

/// All of them.
#[derive(Default)]
pub struct Topics {
    topics: Slab<Topic>,
    by_path: HashMap<Path, usize>,
}

impl Topics {
    /// The destination's groups, if anybody subscribes to it.
    pub fn get(&self, path: &Path) -> Option<(u32, &Topic)> {
        let index = *self.by_path.get(path)?;
        Some((index as u32, self.topics.get(index)?))
    }

    /// The destination of a place.
    pub fn path(&self, place: Place) -> Option<&Path> {
        self.topics.get(place.topic as usize).map(|topic| &topic.path)
    }

    /// What the members of a place's group share.
    pub fn key(&self, place: Place) -> Option<&GroupKey> {
        let topic = self.topics.get(place.topic as usize)?;
        topic.groups.get(place.group as usize).map(|group| &group.key)
    }

    /// Adds a session's slot at the end of its group.
    pub fn add(&mut self, path: &Path, key: GroupKey, session: u32) -> Place {
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
            topic: index as u32,
            group: group as u32,
            member: members.len() as u32 - 1,
        }
    }

    /// Removes what stands at `place`, leaving a hole in O(1). `moved(session, member)` is told of every member that a
    /// compaction moves. Gives whether the destination has no subscriber left.
    pub fn remove(&mut self, place: Place, mut moved: impl FnMut(u32, u32)) -> bool {
        let Some(topic) = self.topics.get_mut(place.topic as usize) else {
            return false;
        };
        let Some(group) = topic.groups.get_mut(place.group as usize) else {
            return false;
        };
        let Some(member) = group.members.get_mut(place.member as usize) else {
            return false;
        };
        *member = HOLE;
        group.holes += 1;
        if group.holes == group.members.len() {
            let group = topic.groups.remove(place.group as usize);
            topic.by_key.remove(&group.key);
            if topic.groups.is_empty() {
                let topic = self.topics.remove(place.topic as usize);
                self.by_path.remove(&topic.path);
                return true;
            }
        } else if group.members.len() >= COMPACT_FROM && group.holes * 2 > group.members.len() {
            group.members.retain(|session| *session != HOLE);
            group.members.shrink_to(COMPACT_FROM);
            group.holes = 0;
            for (member, session) in group.members.iter().enumerate() {
                moved(*session, member as u32);
            }
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

    #[test]
    fn members_keep_the_order_they_came_in_over_holes_and_compaction() {
        let path = Path::parse("/queue/x").unwrap();
        let mut topics = Topics::default();
        let mut places: HashMap<u32, Place> = (0..200)
            .map(|session| (session, topics.add(&path, key("s"), session)))
            .collect();
        for session in (0..200).filter(|session| session % 3 != 0) {
            let place = places.remove(&session).unwrap();
            let mut moves = Vec::new();
            assert!(!topics.remove(place, |session, member| moves.push((session, member))));
            for (session, member) in moves {
                places.get_mut(&session).unwrap().member = member;
            }
        }
        let left: Vec<u32> = (0..200).filter(|session| session % 3 == 0).collect();
        let group = &topics.get(&path).unwrap().1.groups[0];
        assert!(group.members.len() < 200, "was compacted");
        assert_eq!(
            group
                .members
                .iter()
                .copied()
                .filter(|member| *member != HOLE)
                .collect::<Vec<_>>(),
            left
        );
        for (session, place) in &places {
            assert_eq!(
                topics.get(&path).unwrap().1.groups[0].members[place.member as usize],
                *session
            );
        }
        let mut last = Vec::new();
        for session in left {
            let place = places.remove(&session).unwrap();
            last.push(topics.remove(place, |session, member| {
                places.get_mut(&session).unwrap().member = member
            }));
        }
        assert_eq!(
            last.iter().position(|last| *last),
            Some(66),
            "only the last one empties it"
        );
    }

    #[test]
    fn groups_differ_by_key_and_empty_ones_go() {
        let path = Path::parse("/queue/x").unwrap();
        let mut topics = Topics::default();
        let a = topics.add(&path, key("a"), 1);
        let b = topics.add(&path, key("b"), 1);
        assert_ne!(a.group, b.group);
        assert!(!topics.remove(a, |_, _| {}));
        assert!(topics.remove(b, |_, _| {}));
        assert!(topics.get(&path).is_none());
    }
}
