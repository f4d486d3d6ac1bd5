//! Which of a user's sessions must end. Pure; every instance that knows the same sessions gets the same answer.

use crate::setting::SessionsPerUserPolicy;

/// The sessions of `held` beyond `most`: the oldest, or with the policy `refuse` the newest. An instance that knows
/// only a part of a user's sessions names none wrongly: with the rest it would name these and more.
pub(super) fn excess<T: Ord>(mut held: Vec<T>, most: usize, policy: SessionsPerUserPolicy) -> Vec<T> {
    held.sort_unstable();
    held.dedup();
    let over = held.len().saturating_sub(most);
    match policy {
        SessionsPerUserPolicy::Newest => {
            held.truncate(over);
            held
        }
        SessionsPerUserPolicy::Refuse => held.split_off(held.len().saturating_sub(over)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_oldest_or_the_newest_give_way() {
        let check = |held: &[(u64, char)], most, newest: &[(u64, char)], refuse: &[(u64, char)]| {
            let give_way = |policy| excess(held.to_vec(), most, policy);
            assert_eq!(give_way(SessionsPerUserPolicy::Newest), newest, "{held:?} {most}");
            assert_eq!(give_way(SessionsPerUserPolicy::Refuse), refuse, "{held:?} {most}");
        };
        check(&[], 1, &[], &[]);
        check(&[(1, 'a'), (2, 'b')], 2, &[], &[]);
        check(&[(2, 'b'), (3, 'a'), (1, 'b')], 2, &[(1, 'b')], &[(3, 'a')]);
        // At the same moment the instance decides.
        check(&[(1, 'b'), (1, 'a')], 1, &[(1, 'a')], &[(1, 'b')]);
        check(&[(1, 'a'), (1, 'a')], 1, &[], &[]);
    }

    proptest! {
        /// Promise: an instance that has heard of some only closes none that would stay if it had heard of all.
        #[test]
        fn who_knows_a_part_closes_none_that_may_stay(
            held in prop::collection::hash_set(0_u32..64, 0..24),
            known in prop::collection::vec(any::<bool>(), 24),
            most in 1_usize..6,
            newest: bool,
        ) {
            let policy = match newest {
                true => SessionsPerUserPolicy::Newest,
                false => SessionsPerUserPolicy::Refuse,
            };
            let held: Vec<u32> = held.into_iter().collect();
            let part = held.iter().zip(known).filter_map(|(seat, known)| known.then_some(*seat)).collect();
            let all = excess(held.clone(), most, policy);
            prop_assert_eq!(held.len() - all.len(), held.len().min(most));
            for seat in excess(part, most, policy) {
                prop_assert!(all.contains(&seat));
            }
        }
    }
}
