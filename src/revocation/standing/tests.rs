//! The promise of two newcomers beside an old instance that may pause at any moment, or end, and a monitor that listens
//! to everything and may come and go, in every order of events. No newcomer vouches, or is ready before the time limit,
//! without the old one's revocations, unless that one was paused during all questions while the monitor hid whether it
//! exists; each is ready in the end, with a complete set, once an instance that has one can be heard, or none exists.
//! Each rule has faulty versions, which the walk has to detect.

use std::collections::{HashMap, HashSet};

use super::*;

/// A message to one newcomer: what somebody has, and whether that one is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Said {
    has: bool,
    is_whole: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Newcomer {
    is_there: bool,
    standing: Standing,
    /// Whether it has the old one's revocation.
    has: bool,
    /// Whether its time to learn is over.
    is_late: bool,
    /// What comes to it, from the old one and from the other newcomer: the last word of each, in the order of each.
    inbox: [Option<Said>; 2],
    /// How many questions in a row met the old one paused, and a monitor there.
    hidden: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct World {
    old_is_there: bool,
    old_is_paused: bool,
    has_monitor: bool,
    /// Whether a newcomer could not know of the old one: it was hidden for as long as one asks.
    is_excused: bool,
    newcomers: [Newcomer; 2],
}

/// What the real one does, or a wrong version of it.
#[derive(Clone, Copy)]
struct Rules {
    finds: fn(&mut Standing, Option<Listening>) -> bool,
    not_asked: fn(&mut Standing),
    answered: fn(&mut Standing),
}

const RULES: Rules = Rules {
    finds: Standing::finds,
    not_asked: Standing::not_asked,
    answered: Standing::answered,
};

const OLD: Said = Said {
    has: true,
    is_whole: true,
};

impl World {
    /// What the bus knows: whether anybody is subscribed where whole instances are. A paused one is.
    fn found(&self) -> Listening {
        let is_served = self.old_is_there || self.newcomers.iter().any(|one| one.standing.is_whole());
        match (self.has_monitor, is_served) {
            (true, _) => Listening::Listener,
            (false, true) => Listening::Instance,
            (false, false) => Listening::Nobody,
        }
    }

    fn old_runs(&self) -> bool {
        self.old_is_there && !self.old_is_paused
    }

    fn said_by(&self, newcomer: usize) -> Said {
        let Newcomer { has, standing, .. } = self.newcomers[newcomer];
        let is_whole = standing.is_whole();
        Said { has, is_whole }
    }

    /// The newcomer looks who is there, and asks unless nobody is. Whoever runs answers before it looks again.
    fn look(&mut self, own: usize, is_taken: bool, rules: Rules) {
        let (found, other) = (self.found(), 1 - own);
        let is_hidden = self.has_monitor && self.old_is_there && self.old_is_paused;
        let old_is_there = self.old_is_there;
        let newcomer = &mut self.newcomers[own];
        if (rules.finds)(&mut newcomer.standing, Some(found)) {
            newcomer.standing.hear(Heard::Nobody);
            self.is_excused |= old_is_there && newcomer.hidden >= SILENCE;
            return;
        }
        if !is_taken {
            (rules.not_asked)(&mut newcomer.standing);
            return;
        }
        newcomer.hidden = match is_hidden {
            true => (newcomer.hidden + 1).min(SILENCE),
            false => 0,
        };
        if self.old_runs() {
            self.newcomers[own].inbox[0] = Some(OLD);
        }
        if self.newcomers[other].is_there {
            self.newcomers[own].inbox[1] = Some(self.said_by(other));
        }
    }

    /// It hears what one of the others has said.
    fn hear(&mut self, own: usize, from: usize, said: Said, rules: Rules) {
        // The answer to what it asks then holds at least what was said; whoever is paused or gone does not answer.
        let answers = from != 0 || self.old_runs();
        let newcomer = &mut self.newcomers[own];
        newcomer.inbox[from] = None;
        if said.is_whole {
            (rules.answered)(&mut newcomer.standing);
        }
        if newcomer.has || !said.has || answers {
            newcomer.has |= said.has;
            let is_whole = said.is_whole;
            newcomer.standing.hear(Heard::All { is_whole });
        }
    }

    /// Everything that may happen next.
    fn next(self, rules: Rules) -> Vec<Self> {
        let mut all = Vec::new();
        let mut may = |change: &dyn Fn(&mut Self)| {
            let mut after = self;
            change(&mut after);
            all.push(after.told_apart());
        };
        may(&|world| world.has_monitor = !world.has_monitor);
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
            let has_answer = newcomer.inbox.iter().flatten().any(|said| said.is_whole);
            if !newcomer.standing.is_whole() && !has_answer {
                may(&|world| world.look(own, true, rules));
                may(&|world| world.look(own, false, rules));
            }
            if !newcomer.is_late {
                may(&|world| {
                    world.newcomers[own].is_late = true;
                    world.newcomers[own].standing.hear(Heard::Late);
                });
            }
            // Each says what it has now and then, too.
            if self.old_runs() {
                may(&|world| world.newcomers[own].inbox[0] = Some(OLD));
            }
            if self.newcomers[other].is_there {
                may(&|world| world.newcomers[own].inbox[1] = Some(world.said_by(other)));
            }
            for (from, said) in newcomer.inbox.into_iter().enumerate() {
                if let Some(said) = said {
                    may(&|world| world.hear(own, from, said, rules));
                }
            }
        }
        all
    }

    /// The same without what makes no difference any more.
    fn told_apart(mut self) -> Self {
        self.old_is_paused &= self.old_is_there;
        for one in &mut self.newcomers {
            if one.standing.is_whole() {
                (one.standing.unanswered, one.hidden) = (0, 0);
                one.is_late = true;
                // What it hears can only give it what the old one has.
                if one.has || !self.old_is_there {
                    one.inbox = [None; 2];
                }
            }
        }
        self.newcomers.sort_unstable();
        self
    }

    /// Whether the old one was there all the time is not seen here: nobody lacks what nobody has.
    fn is_right(&self) -> bool {
        self.newcomers.iter().all(|one| {
            let lacks = self.old_is_there && !one.has && !self.is_excused;
            let (is_ready, is_whole) = (one.standing.is_ready(), one.standing.is_whole());
            !(lacks && (is_whole || is_ready && !one.is_late)) && is_ready >= one.is_late
        })
    }

    /// Whether both are whole, and lack nothing that somebody has.
    fn is_over(&self) -> bool {
        self.newcomers
            .iter()
            .all(|one| one.standing.is_whole() && (one.has || !self.old_is_there))
    }

    /// What has to be as it was for nothing bad to have happened.
    fn fate(&self) -> (bool, bool, bool) {
        (self.old_is_there, self.old_is_paused, self.has_monitor)
    }
}

const FIRST: World = World {
    old_is_there: true,
    old_is_paused: false,
    has_monitor: false,
    is_excused: false,
    newcomers: [Newcomer {
        is_there: false,
        standing: Standing {
            is_ready: false,
            is_whole: false,
            unanswered: 0,
        },
        has: false,
        is_late: false,
        inbox: [None; 2],
        hidden: 0,
    }; 2],
};

/// All worlds that can come of [`FIRST`], or the first that is wrong.
fn all(rules: Rules) -> Result<HashSet<World>, World> {
    let (mut seen, mut left) = (HashSet::from([FIRST]), vec![FIRST]);
    while let Some(world) = left.pop() {
        if !world.is_right() {
            return Err(world);
        }
        let after = world.next(rules).into_iter();
        left.extend(after.filter(|after| seen.insert(*after)));
    }
    Ok(seen)
}

/// One from which it cannot come to an end although nothing bad has to happen any more.
fn stuck(worlds: &HashSet<World>, rules: Rules) -> Option<World> {
    let mut before: HashMap<World, Vec<World>> = HashMap::new();
    for world in worlds {
        let after = world.next(rules).into_iter();
        let good = after.filter(|after| after.fate() == world.fate());
        good.for_each(|after| before.entry(after).or_default().push(*world));
    }
    let mut left: Vec<_> = worlds.iter().filter(|world| world.is_over()).copied().collect();
    let mut come: HashSet<_> = left.iter().copied().collect();
    while let Some(world) = left.pop() {
        let comes = before.get(&world).into_iter().flatten();
        left.extend(comes.filter(|world| come.insert(**world)));
    }
    let mut can = worlds
        .iter()
        .filter(|world| !(world.old_is_there && world.old_is_paused));
    can.find(|world| !come.contains(world)).copied()
}

#[test]
fn no_order_lets_a_newcomer_serve_or_vouch_without_what_the_old_one_has_and_each_can_come_to_be_whole() {
    let worlds = all(RULES).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    assert!(worlds.len() > 10_000, "{}", worlds.len());
    assert!(worlds.iter().any(|world| world.is_excused));
    assert_eq!(stuck(&worlds, RULES), None);
}

#[test]
fn each_wrong_version_is_found_out() {
    let wrong: [(&str, Rules); 5] = [
        (
            "whoever listens to everything is taken for an instance",
            Rules {
                finds: |standing, found| match found {
                    Some(Listening::Listener) => standing.finds(Some(Listening::Instance)),
                    found => standing.finds(found),
                },
                ..RULES
            },
        ),
        (
            "whoever listens to everything is taken for nobody at once",
            Rules {
                finds: |standing, found| match found {
                    Some(Listening::Listener) => true,
                    found => standing.finds(found),
                },
                ..RULES
            },
        ),
        (
            "an instance's silence is taken for nobody",
            Rules {
                finds: |standing, found| match found {
                    Some(Listening::Instance) => standing.finds(Some(Listening::Listener)),
                    found => standing.finds(found),
                },
                ..RULES
            },
        ),
        (
            "a question that nobody got counts",
            Rules {
                not_asked: |_| {},
                ..RULES
            },
        ),
        (
            "an answer does not count",
            Rules {
                answered: |_| {},
                ..RULES
            },
        ),
    ];
    for (what, rules) in wrong {
        let is_found = all(rules).map_or(true, |worlds| stuck(&worlds, rules).is_some());
        assert!(is_found, "{what}");
    }
}
