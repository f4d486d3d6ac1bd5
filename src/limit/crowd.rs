//! How much each address has of something, and which one gives way if all together have too much. Pure; knows no value
//! of a limit, and nothing of what is counted.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::AddressGroup;

/// Members by the address that they belong to, each with a weight. Every step takes logarithmic time.
#[derive(Debug)]
pub(crate) struct Crowd<T> {
    weight: usize,
    groups: BTreeMap<AddressGroup, Group<T>>,
    by_weight: BTreeSet<Rank>,
}

#[derive(Debug)]
struct Group<T> {
    weight: usize,
    /// By age.
    members: BTreeMap<u64, (usize, T)>,
}

/// The last one goes first: by weight, and at the same weight by the age of its oldest member. No address is worse than
/// another, or whoever has the better ones could keep all others out.
type Rank = (usize, Reverse<u64>, AddressGroup);

impl<T> Group<T> {
    /// `None` if it has no members.
    fn rank(&self, address: AddressGroup) -> Option<Rank> {
        let (oldest, _) = self.members.first_key_value()?;
        Some((self.weight, Reverse(*oldest), address))
    }
}

/// A member: its address, and a number that is smaller the older it is.
pub(crate) type Member = (AddressGroup, u64);

impl<T> Default for Crowd<T> {
    fn default() -> Self {
        Self {
            weight: 0,
            groups: BTreeMap::new(),
            by_weight: BTreeSet::new(),
        }
    }
}

impl<T> Crowd<T> {
    /// What all members weigh together.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// What the members of `address` weigh together.
    pub(crate) fn weight_of(&self, address: AddressGroup) -> usize {
        self.groups.get(&address).map_or(0, |group| group.weight)
    }

    /// Gives a member, which `value` stands for, another weight. With 0 it is no member any more.
    pub(crate) fn set(&mut self, (address, number): Member, weight: usize, value: impl FnOnce() -> T) {
        if weight == 0 {
            self.remove((address, number));
            return;
        }
        let group = self.groups.entry(address).or_insert_with(|| Group {
            weight: 0,
            members: BTreeMap::new(),
        });
        let before = group.rank(address);
        let member = group.members.entry(number).or_insert_with(|| (0, value()));
        let old = std::mem::replace(&mut member.0, weight);
        group.weight = group.weight - old + weight;
        self.weight = self.weight - old + weight;
        let after = group.rank(address);
        if before != after {
            before.map(|rank| self.by_weight.remove(&rank));
            self.by_weight.extend(after);
        }
    }

    /// Takes a member out, if it is one.
    pub(crate) fn remove(&mut self, (address, number): Member) -> Option<T> {
        let group = self.groups.get_mut(&address)?;
        let before = group.rank(address);
        let (weight, value) = group.members.remove(&number)?;
        before.map(|rank| self.by_weight.remove(&rank));
        self.weight -= weight;
        group.weight -= weight;
        match group.rank(address) {
            None => drop(self.groups.remove(&address)),
            Some(rank) => drop(self.by_weight.insert(rank)),
        }
        Some(value)
    }

    /// The address whose members weigh most; of several the one with the oldest member.
    pub(crate) fn heaviest(&self) -> Option<AddressGroup> {
        self.by_weight.last().map(|(_, _, address)| *address)
    }

    /// Takes out the oldest member of `address`.
    pub(crate) fn remove_oldest(&mut self, address: AddressGroup) -> Option<(Member, T)> {
        let (number, _) = self.groups.get(&address)?.members.first_key_value()?;
        let member = (address, *number);
        self.remove(member).map(|value| (member, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(last: u8) -> AddressGroup {
        AddressGroup::of(std::net::Ipv4Addr::new(192, 0, 2, last).into())
    }

    #[test]
    fn the_oldest_of_the_address_that_has_most_goes() {
        let mut crowd = Crowd::default();
        for (last, number, weight) in [(1, 1, 5), (2, 2, 4), (2, 3, 4), (3, 4, 1)] {
            crowd.set((address(last), number), weight, || number);
        }
        let mut next = || {
            let heaviest = crowd.heaviest()?;
            crowd.remove_oldest(heaviest).map(|((_, number), _)| number)
        };
        assert_eq!(
            std::array::from_fn(|_| next()),
            [Some(2), Some(1), Some(3), Some(4), None]
        );
        assert!(crowd.groups.is_empty() && crowd.by_weight.is_empty());
    }

    /// Whichever addresses the newcomers have.
    #[test]
    fn of_equals_the_oldest_goes() {
        for lasts in [[1, 2, 3, 4], [4, 3, 2, 1], [2, 4, 1, 3]] {
            let mut crowd = Crowd::default();
            for (number, last) in (0..).zip(lasts) {
                crowd.set((address(last), number), 7, || number);
            }
            assert_eq!(crowd.heaviest(), Some(address(lasts[0])), "{lasts:?}");
            // One that is older, but says only now that it waits, comes next; with a younger one it weighs more.
            crowd.remove((address(lasts[0]), 0));
            crowd.set((address(lasts[3]), 3), 0, || 3);
            crowd.set((address(lasts[3]), 0), 7, || 0);
            assert_eq!(crowd.heaviest(), Some(address(lasts[3])), "{lasts:?}");
            crowd.set((address(lasts[2]), 9), 1, || 9);
            assert_eq!(crowd.heaviest(), Some(address(lasts[2])), "{lasts:?}");
        }
    }

    proptest! {
        #[test]
        fn the_sums_are_those_of_the_members(steps in prop::collection::vec((0_u8..4, 0_u64..6, 0_usize..9), 1..80)) {
            let (mut crowd, mut model) = (Crowd::default(), BTreeMap::new());
            for (last, number, weight) in steps {
                let member = (address(last), number);
                crowd.set(member, weight, || ());
                match weight {
                    0 => model.remove(&member),
                    weight => model.insert(member, weight),
                };
                prop_assert_eq!(crowd.weight(), model.values().sum::<usize>());
                let of = |last| model.iter().filter(|((a, _), _)| *a == address(last)).map(|(_, w)| w).sum::<usize>();
                for last in 0..4 {
                    prop_assert_eq!(crowd.weight_of(address(last)), of(last));
                }
                let oldest = |last| model.keys().filter(|(a, _)| *a == address(last)).map(|(_, number)| *number).min();
                let most = (0..4)
                    .filter_map(|last| Some((of(last), Reverse(oldest(last)?))))
                    .max();
                let heaviest = crowd.heaviest().and_then(|heaviest| (0..4).find(|last| address(*last) == heaviest));
                prop_assert_eq!(heaviest.and_then(|last| Some((of(last), Reverse(oldest(last)?)))), most);
                prop_assert_eq!(crowd.by_weight.len(), crowd.groups.len());
            }
        }
    }
}
