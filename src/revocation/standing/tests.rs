//! Two newcomers beside an old instance that may pause at any moment, or end: every order of what can happen. No newcomer vouches, or
//! is ready before the bound, without what the old one has; each is ready in the end, and whole once somebody who is can be heard.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// A message to one newcomer: what somebody has, and whether that one is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    has: bool,
    is_whole: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Newcomer {
    is_there: bool,
    standing: Standing,
    /// Whether it has the old one's revocation.
    has: bool,
    /// Whether its time to learn is over.
    is_late: bool,
    /// What comes to it, from the old one and from the other newcomer: the last word of each, in the order of each.
    inbox: [Option<Said>; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct World {
    old_is_there: bool,
    old_is_paused: bool,
    newcomers: [Newcomer; 2],
}

impl World {
    /// What the bus knows: whether any whole instance is subscribed. A paused one is.
    fn is_served(&self) -> bool {
        self.old_is_there || self.newcomers.iter().any(|one| one.standing.is_whole())
    }

    /// Everything that may happen next.
    fn next(self) -> Vec<Self> {
        let mut all = Vec::new();
        let mut may = |change: &dyn Fn(&mut Self)| {
            let mut after = self;
            change(&mut after);
            all.push(after);
        };
        if self.old_is_there {
            may(&|world| world.old_is_paused = !world.old_is_paused);
            may(&|world| world.old_is_there = false);
        }
        for (own, newcomer) in self.newcomers.into_iter().enumerate() {
            let other = 1 - own;
            if !newcomer.is_there {
                may(&|world| world.newcomers[own].is_there = true);
                continue;
            }
            if !newcomer.standing.is_whole() && !self.is_served() {
                may(&|world| world.newcomers[own].standing.hear(Heard::Nobody));
            }
            if !newcomer.is_late {
                may(&|world| {
                    world.newcomers[own].is_late = true;
                    world.newcomers[own].standing.hear(Heard::Late);
                });
            }
            // It asks again and again, and so does whoever is not whole.
            if self.old_is_there && !self.old_is_paused {
                let said = Said {
                    has: true,
                    is_whole: true,
                };
                may(&|world| world.newcomers[own].inbox[0] = Some(said));
            }
            if self.newcomers[other].is_there {
                let said = Said {
                    has: self.newcomers[other].has,
                    is_whole: self.newcomers[other].standing.is_whole(),
                };
                may(&|world| world.newcomers[own].inbox[1] = Some(said));
            }
            for (from, said) in newcomer.inbox.into_iter().enumerate() {
                let Some(said) = said else { continue };
                // The answer to what it asks then holds at least what was said; whoever is paused or gone does not answer.
                let answers = match from {
                    0 => self.old_is_there && !self.old_is_paused,
                    _ => true,
                };
                may(&|world| {
                    let newcomer = &mut world.newcomers[own];
                    newcomer.inbox[from] = None;
                    let is_known = newcomer.has || !said.has;
                    if is_known || answers {
                        newcomer.has |= said.has;
                        let is_whole = said.is_whole;
                        newcomer.standing.hear(Heard::All { is_whole });
                    }
                });
            }
        }
        all
    }

    /// Whether the old one was there all the time is not seen here: nobody lacks what nobody has.
    fn is_right(&self) -> bool {
        self.newcomers.iter().all(|one| {
            let lacks = self.old_is_there && !one.has;
            let (is_ready, is_whole) = (one.standing.is_ready(), one.standing.is_whole());
            !(lacks && (is_whole || is_ready && !one.is_late))
        })
    }
}

/// All worlds that can come of [`FIRST`].
fn all() -> BTreeSet<World> {
    let (mut seen, mut left) = (BTreeSet::from([FIRST]), vec![FIRST]);
    while let Some(world) = left.pop() {
        left.extend(world.next().into_iter().filter(|after| seen.insert(*after)));
    }
    seen
}

const FIRST: World = World {
    old_is_there: true,
    old_is_paused: false,
    newcomers: [Newcomer {
        is_there: false,
        standing: Standing {
            is_ready: false,
            is_whole: false,
        },
        has: false,
        is_late: false,
        inbox: [None; 2],
    }; 2],
};

#[test]
fn no_order_lets_a_newcomer_serve_or_vouch_without_what_the_old_one_has() {
    let worlds = all();
    assert!(worlds.len() > 1_000, "{}", worlds.len());
    for world in &worlds {
        assert!(world.is_right(), "{world:?}");
        for one in world.newcomers {
            assert!(one.standing.is_ready() >= one.is_late, "{world:?}");
        }
    }
}

#[test]
fn whatever_has_happened_each_can_come_to_be_whole() {
    let worlds = all();
    let is_whole = |world: &World| world.newcomers.iter().all(|one| one.standing.is_whole());
    // From where on nothing bad has to happen any more: backwards.
    let mut before: BTreeMap<World, Vec<World>> = BTreeMap::new();
    for world in &worlds {
        let good = world.next().into_iter().filter(|after| {
            (world.old_is_there, world.old_is_paused) == (after.old_is_there, after.old_is_paused)
        });
        good.for_each(|after| before.entry(after).or_default().push(*world));
    }
    let mut left: Vec<_> = worlds.iter().filter(|world| is_whole(world)).copied().collect();
    let mut come: BTreeSet<_> = left.iter().copied().collect();
    while let Some(world) = left.pop() {
        let comes = before.get(&world).into_iter().flatten();
        left.extend(comes.filter(|world| come.insert(**world)));
    }
    for world in worlds
        .iter()
        .filter(|world| !(world.old_is_there && world.old_is_paused))
    {
        assert!(come.contains(world), "{world:?}");
    }
}
