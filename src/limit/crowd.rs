//! Who has how much of something by address, and who goes first where all together have too much. Pure; knows no value of a
//! limit, and nothing of what is had.

use std::collections::{BTreeMap, BTreeSet};

use super::AddressGroup;

/// Members by the address that they belong to, each with a weight. Every step takes logarithmic time.
#[derive(Debug)]
pub(crate) struct Crowd<T> {
    weight: usize,
    groups: BTreeMap<AddressGroup, Group<T>>,
    by_weight: BTreeSet<(usize, AddressGroup)>,
}

#[derive(Debug)]
struct Group<T> {
    weight: usize,
    /// By age.
    members: BTreeMap<u64, (usize, T)>,
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
        let before = group.weight;
        let member = group.members.entry(number).or_insert_with(|| (0, value()));
        let old = std::mem::replace(&mut member.0, weight);
        group.weight = group.weight - old + weight;
        self.weight = self.weight - old + weight;
        self.by_weight.remove(&(before, address));
        self.by_weight.insert((group.weight, address));
    }

    /// Takes a member out, if it is one.
    pub(crate) fn remove(&mut self, (address, number): Member) -> Option<T> {
        let group = self.groups.get_mut(&address)?;
        let (weight, value) = group.members.remove(&number)?;
        self.by_weight.remove(&(group.weight, address));
        self.weight -= weight;
        group.weight -= weight;
        match group.members.is_empty() {
            true => drop(self.groups.remove(&address)),
            false => drop(self.by_weight.insert((group.weight, address))),
        }
        Some(value)
    }

    /// The address whose members weigh most.
    pub(crate) fn heaviest(&self) -> Option<AddressGroup> {
        self.by_weight.last().map(|(_, address)| *address)
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
                let most = (0..4).map(of).max();
                prop_assert_eq!(crowd.heaviest().map(|heaviest| crowd.weight_of(heaviest)).unwrap_or(0), most.unwrap_or(0));
                prop_assert_eq!(crowd.by_weight.len(), crowd.groups.len());
            }
        }
    }
}
