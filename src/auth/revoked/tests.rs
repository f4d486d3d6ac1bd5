//! The promise of the shell around the set: bounds, and which sessions are checked.

use futures_util::FutureExt;

use super::entry::Whom;
use super::*;
use crate::principal::{Attributes, ROLE_USER, TokenMark};

fn of(whom: Whom) -> Revocation {
    Revocation {
        id: RevocationId::new(),
        whom,
        until_ms: unix_ms() + 60_000,
        lifted: false,
        since_ms: unix_ms(),
        by: "key:ops".into(),
        reason: None,
    }
}

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

fn block(name: &str) -> Revocation {
    of(Whom::Block(user(name)))
}

fn by_token(name: &str, id: &str) -> Principal {
    let origin = Origin::Issuer("i".into());
    Principal::of(origin, user(name), [ROLE_USER], Attributes::default()).by_token(TokenMark {
        id: Some(id.into()),
        earliest_ms: 1_000,
        key: None,
    })
}

#[test]
fn a_block_holds_for_any_origin_and_the_rest_for_tokens_alone() {
    let revoked = Revoked::new(10);
    let by_password = Principal::new(user("alice"), [ROLE_USER]);
    let issued = Whom::Issued {
        user: Some(user("alice")),
        issuer: None,
        up_to_ms: 1_000,
    };
    revoked.add([of(issued)]);
    assert_eq!(revoked.refuses(&by_token("alice", "t")), Some(Shut::Revoked));
    assert_eq!(revoked.refuses(&by_password), None);
    revoked.add([block("alice")]);
    assert_eq!(revoked.refuses(&by_password), Some(Shut::Blocked));
    let token = Whom::Token {
        issuer: "i".into(),
        id: "t".into(),
    };
    revoked.add([of(token)]);
    assert_eq!(revoked.refuses(&by_token("bob", "t")), Some(Shut::Revoked));
    assert_eq!(revoked.refuses(&by_token("bob", "u")), None);
}

#[test]
fn operators_have_what_the_setting_says_and_others_find_some_room() {
    let revoked = Revoked::new(2);
    revoked.add([block("a")]);
    let last = block("b");
    revoked.add([last.clone()]);
    assert!(!revoked.has_room(block("c").id));
    assert!(revoked.has_room(last.id));
    revoked.add([last.lifted()]);
    let told: Vec<_> = (0..1_002).map(|number| block(&format!("u{number}"))).collect();
    let accepted = revoked.accept(told);
    assert_eq!((accepted.new.len(), accepted.refused), (1_000, 2));
    assert_eq!(revoked.accept([block("c")]).refused, 1);
}

#[test]
fn sessions_are_looked_at_by_user_where_that_is_enough() {
    let revoked = Revoked::new(9_999);
    assert!(revoked.due().now_or_never().is_none());
    revoked.add([block("a")]);
    revoked.add([block("a").lifted()]);
    revoked.accept([block("b"), block("a")]);
    let due = revoked.due().now_or_never().unwrap();
    assert_eq!((due.users, due.everyone), (vec![user("a"), user("b")], false));
    assert!(revoked.due().now_or_never().is_none());
    revoked.accept((0..=DUE_MAX).map(|number| block(&format!("u{number}"))));
    assert!(revoked.due().now_or_never().unwrap().everyone);
    let issuer = Whom::Issued {
        user: None,
        issuer: Some("i".into()),
        up_to_ms: 1,
    };
    revoked.accept([of(issuer), block("a")]);
    let due = revoked.due().now_or_never().unwrap();
    assert!(due.everyone && due.users.is_empty());
}

#[test]
fn pages_hold_what_has_not_ended() {
    let revoked = Revoked::new(10);
    let all: Vec<_> = ["a", "b", "c"].map(block).into();
    revoked.accept(all.clone());
    let mut ids: Vec<_> = all.iter().map(|one| one.id).collect();
    ids.sort_unstable();
    let (page, is_last) = revoked.page(None, 2, |_| true);
    assert_eq!((page.len(), is_last), (2, false));
    let (rest, is_last) = revoked.page(Some(page[1].id), 2, |_| true);
    assert_eq!((rest.len(), is_last), (1, true));
    let found: Vec<_> = page.iter().chain(&rest).map(|one| one.id).collect();
    assert_eq!(found, ids);
    let (page, is_last) = revoked.page(None, 2, |one| one.whom.user() == Some(&user("c")));
    assert_eq!((page.len(), is_last), (1, true));
}

/// A clock ahead of this one reports a later end than any may have here.
#[test]
fn an_end_too_far_away_is_cut_once_and_for_all() {
    let revoked = Revoked::new(2);
    let mut forever = block("a");
    forever.until_ms = u64::MAX;
    assert_eq!(revoked.accept([forever.clone()]).new.len(), 1);
    let by_password = Principal::new(user("a"), [ROLE_USER]);
    assert_eq!(revoked.refuses(&by_password), Some(Shut::Blocked));
    let kept = revoked.get(forever.id).unwrap();
    assert!(kept.until_ms <= latest_end_ms());
    std::thread::sleep(std::time::Duration::from_millis(2));
    let again = revoked.accept([forever.clone()]);
    assert!(again.new.is_empty() && again.refused == 0, "it is known");
    assert_eq!(revoked.accept([forever.lifted()]).new.len(), 1);
    assert_eq!(revoked.refuses(&by_password), None);
}

/// The CPU time of this thread, whatever else the machine does.
fn own_time() -> rustix::time::Timespec {
    rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime)
}

/// Lifting one looked at every revocation, under the lock that each login takes.
#[test]
fn many_are_lifted_in_a_moment_beside_a_hundred_thousand() {
    let revoked = Revoked::new(100_000);
    let all: Vec<_> = (0..100_000)
        .map(|number| block(&format!("u{}", number % 50_000)))
        .collect();
    revoked.accept(all.clone());
    let begun = own_time();
    let lifted = all.iter().step_by(50).map(Revocation::lifted);
    assert_eq!(revoked.accept(lifted).new.len(), 2_000);
    // It took minutes; a slow host has room.
    let took = own_time() - begun;
    assert!(took.tv_sec < 5, "{took:?}");
    assert_eq!(
        revoked.refuses(&Principal::new(user("u1"), [ROLE_USER])),
        Some(Shut::Blocked)
    );
}

/// The same if all are at one spot.
#[test]
fn many_of_one_user_are_lifted_in_a_moment() {
    let revoked = Revoked::new(20_000);
    let all: Vec<_> = (0..20_000).map(|_| block("a")).collect();
    revoked.accept(all.clone());
    let begun = own_time();
    revoked.accept(all.iter().skip(1).map(Revocation::lifted));
    let took = own_time() - begun;
    assert!(took.tv_sec < 10, "{took:?}");
    let who = Principal::new(user("a"), [ROLE_USER]);
    assert_eq!(revoked.refuses(&who), Some(Shut::Blocked));
    revoked.accept([all[0].lifted()]);
    assert_eq!(revoked.refuses(&who), None);
}
