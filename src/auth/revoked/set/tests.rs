//! The promise: the set answers like a naive model that looks at everything it was ever told.

use proptest::prelude::*;

use super::*;
use crate::principal::UserName;

const MOST: usize = 40;

/// A second set, which is too simple to be wrong.
#[derive(Default)]
struct Naive(Vec<Revocation>);

impl Naive {
    fn latest(&self) -> Vec<&Revocation> {
        let is_latest = |one: &&Revocation| self.0.iter().all(|other| other.id != one.id || other <= one);
        self.0.iter().filter(is_latest).collect()
    }

    fn refuses(&self, asked: Asked<'_>, now: u64) -> Option<Shut> {
        let counts = self
            .latest()
            .into_iter()
            .filter(|one| !one.lifted && one.until_ms > now);
        let mut found = None;
        for one in counts {
            match (&one.whom, asked.token) {
                (Whom::Token { issuer, id }, Some(token))
                    if **issuer == *token.issuer && Some(&**id) == token.id =>
                {
                    return Some(Shut::Revoked);
                }
                (
                    Whom::Issued {
                        user,
                        issuer,
                        up_to_ms,
                    },
                    Some(token),
                ) if user.as_ref().is_none_or(|user| user.as_str() == asked.user)
                    && issuer.as_ref().is_none_or(|issuer| **issuer == *token.issuer)
                    && token.earliest_ms <= *up_to_ms =>
                {
                    return Some(Shut::Revoked);
                }
                (Whom::Block(user), _) if user.as_str() == asked.user => found = Some(Shut::Blocked),
                _ => {}
            }
        }
        found
    }
}

fn name(number: u8) -> &'static str {
    ["a", "b", "c"][usize::from(number) % 3]
}

fn id(number: u8) -> RevocationId {
    let digit = char::from(b'0' + number % 10);
    format!("01JDEXAMPRE0000000000000A{digit}").parse().unwrap()
}

fn whom() -> impl Strategy<Value = Whom> {
    let user = || (0_u8..3).prop_map(|number| UserName::parse(name(number)).unwrap());
    let issuer = || (0_u8..3).prop_map(|number| Box::from(name(number)));
    prop_oneof![
        (issuer(), issuer()).prop_map(|(issuer, id)| Whom::Token { issuer, id }),
        (user(), 0_u64..20).prop_map(|(user, up_to_ms)| Whom::Issued {
            user: Some(user),
            issuer: None,
            up_to_ms
        }),
        (issuer(), proptest::option::of(user()), 0_u64..20).prop_map(|(issuer, user, up_to_ms)| {
            Whom::Issued {
                user,
                issuer: Some(issuer),
                up_to_ms,
            }
        }),
        user().prop_map(Whom::Block),
    ]
}

/// Few ids, so that some occur twice, also with different contents.
fn revocation() -> impl Strategy<Value = Revocation> {
    (0_u8..10, whom(), 1_u64..30, any::<bool>()).prop_map(|(number, whom, until_ms, lifted)| Revocation {
        id: id(number),
        whom,
        until_ms,
        lifted,
        since_ms: 0,
        by: "".into(),
        reason: None,
    })
}

/// Everybody whom these sets can distinguish.
fn everybody() -> Vec<Asked<'static>> {
    let mut all = Vec::new();
    for user in 0..3 {
        all.push(Asked {
            user: name(user),
            token: None,
        });
        for (issuer, jti, earliest_ms) in (0..3)
            .flat_map(|issuer| (0..4).flat_map(move |jti| [0, 5, 10, 19, 21].map(|at| (issuer, jti, at))))
        {
            let token = AskedToken {
                issuer: name(issuer),
                id: (jti < 3).then(|| name(jti)),
                earliest_ms,
            };
            all.push(Asked {
                user: name(user),
                token: Some(token),
            });
        }
    }
    all
}

fn set_of(all: &[Revocation], now: u64) -> Set {
    let mut set = Set::default();
    for one in all {
        set.join(one.clone(), now, MOST);
    }
    set
}

fn contents(set: &Set) -> Vec<&Revocation> {
    set.behind(None).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is added and lifted, and whenever ended ones are removed, the set refuses whom the naive one refuses.
    #[test]
    fn it_shuts_out_whom_it_should(
        steps in proptest::collection::vec((revocation(), 0_u64..3, any::<bool>()), 0..30)
    ) {
        let (mut set, mut naive, mut now) = (Set::default(), Naive::default(), 0);
        for (one, later, forgets) in steps {
            now += later;
            if forgets {
                set.expire(now);
            }
            // One that has ended is removed: another one with the same id may come, which no instance creates.
            let held = naive.latest().into_iter().find(|known| known.id == one.id).map(|known| known.until_ms);
            if held.is_some_and(|until| until <= now) {
                naive.0.retain(|known| known.id != one.id);
            }
            let ended = one.until_ms <= now;
            let known = naive.latest().iter().any(|known| known.id == one.id && **known >= one);
            if set.get(one.id).is_some_and(|held| held.until_ms <= now) {
                set.expire(now);
            }
            let joined = set.join(one.clone(), now, MOST);
            prop_assert_eq!(joined == Joined::New, !ended && !known);
            if !ended && !known {
                naive.0.push(one);
            }
            for asked in everybody() {
                prop_assert_eq!(set.refuses(asked, now), naive.refuses(asked, now), "{:?} at {}", asked, now);
            }
        }
    }

    /// The order and the number of repetitions do not matter, nor who told whom.
    #[test]
    fn the_union_is_always_right(
        all in proptest::collection::vec(revocation(), 0..30),
        cut in any::<prop::sample::Index>(),
        now in 0_u64..30,
    ) {
        let forwards = set_of(&all, now);
        let mut turned = all.clone();
        turned.reverse();
        turned.extend(all.clone());
        let backwards = set_of(&turned, now);
        prop_assert_eq!(contents(&forwards), contents(&backwards));
        prop_assert_eq!(forwards.digest(0), backwards.digest(0));
        let (one, other) = all.split_at(cut.index(all.len() + 1).min(all.len()));
        let (mut one, other) = (set_of(one, now), set_of(other, now));
        for revocation in other.behind(None) {
            one.join(revocation.clone(), now, MOST);
        }
        prop_assert_eq!(contents(&one), contents(&forwards));
        prop_assert_eq!(one.digest(0), forwards.digest(0));
        for asked in everybody() {
            prop_assert_eq!(one.refuses(asked, now), backwards.refuses(asked, now));
        }
        one.expire(now);
        prop_assert_eq!(one.digest(0), forwards.digest(0), "nothing of it has ended");
        one.expire(30);
        prop_assert_eq!(one.digest(0), Digest::default());
        prop_assert!(one.tokens.is_empty() && one.issued.is_empty() && one.blocks.is_empty());
    }
}

fn block(number: u8) -> Revocation {
    Revocation {
        id: id(number),
        whom: Whom::Block(UserName::parse(name(number)).unwrap()),
        until_ms: 10,
        lifted: false,
        since_ms: 0,
        by: "".into(),
        reason: None,
    }
}

#[test]
fn it_is_bounded_and_what_is_known_is_never_too_much() {
    let mut set = Set::default();
    for number in 0..2 {
        assert_eq!(set.join(block(number), 0, 2), Joined::New);
    }
    assert_eq!(set.join(block(2), 0, 2), Joined::Full);
    assert_eq!(set.join(block(1), 0, 2), Joined::Known);
    assert_eq!(
        set.join(block(1).lifted(), 0, 2),
        Joined::New,
        "there is room to lift"
    );
    set.expire(10);
    assert_eq!(set.len(), 0);
    assert_eq!(set.join(block(2), 10, 2), Joined::Known, "it has ended");
}

#[test]
fn what_is_lifted_does_not_come_back() {
    let asked = Asked {
        user: "a",
        token: None,
    };
    let mut set = set_of(&[block(0)], 0);
    assert_eq!(set.refuses(asked, 9), Some(Shut::Blocked));
    assert_eq!(set.refuses(asked, 10), None);
    set.join(block(0).lifted(), 0, MOST);
    assert_eq!(set.join(block(0), 0, MOST), Joined::Known);
    assert_eq!(set.refuses(asked, 0), None);
    assert_eq!(set.behind(Some(id(0))).count(), 0);
}

/// Digests differed whenever something ended.
#[test]
fn who_has_forgotten_what_ended_has_the_same_digest() {
    for now in [0, 1_000_000, 1_000_000_007] {
        let from = comparable_from_ms(now);
        assert!(
            (now + 60_000..=now + 90_000).contains(&from) && from.is_multiple_of(30_000),
            "{now}"
        );
        let (mut early, mut late) = (block(0), block(1));
        (early.until_ms, late.until_ms) = (from - 1, from);
        let (mut one, mut other) = (Set::default(), set_of(&[late.clone()], now));
        for revocation in [&early, &late] {
            one.join(revocation.clone(), now, MOST);
        }
        assert_eq!(one.digest(from), other.digest(from));
        assert_eq!(one.digest(from).count, 1);
        assert_ne!(one.digest(0), other.digest(0));
        one.expire(from - 1);
        assert_eq!(one.digest(0), other.digest(0));
        other.join(late.lifted(), now, MOST);
        assert_ne!(one.digest(from), other.digest(from), "one was lifted");
        other.expire(from);
        assert_eq!(other.digest(0), Digest::default());
    }
}
