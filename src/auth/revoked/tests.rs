//! What the shell adds to the set: bounds, and whose sessions are looked at.

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
    revoked.add(of(issued)).unwrap();
    assert_eq!(revoked.refuses(&by_token("alice", "t")), Some(Shut::Revoked));
    assert_eq!(revoked.refuses(&by_password), None);
    revoked.add(block("alice")).unwrap();
    assert_eq!(revoked.refuses(&by_password), Some(Shut::Blocked));
    let token = Whom::Token {
        issuer: "i".into(),
        id: "t".into(),
    };
    revoked.add(of(token)).unwrap();
    assert_eq!(revoked.refuses(&by_token("bob", "t")), Some(Shut::Revoked));
    assert_eq!(revoked.refuses(&by_token("bob", "u")), None);
}

#[test]
fn operators_have_what_the_setting_says_and_others_find_some_room() {
    let revoked = Revoked::new(2);
    revoked.add(block("a")).unwrap();
    let last = block("b");
    revoked.add(last.clone()).unwrap();
    assert!(!revoked.has_room(block("c").id));
    assert!(revoked.has_room(last.id));
    revoked.add(last.lifted()).unwrap();
    let told: Vec<_> = (0..1_002).map(|number| block(&format!("u{number}"))).collect();
    let accepted = revoked.accept(told);
    assert_eq!((accepted.new.len(), accepted.refused), (1_000, 2));
    assert_eq!(revoked.add(block("c")), Err(Full));
    let mut forever = block("d");
    forever.until_ms = u64::MAX;
    let accepted = Revoked::new(2).accept([forever]);
    assert_eq!((accepted.new.len(), accepted.refused), (0, 1));
}

#[test]
fn sessions_are_looked_at_by_user_where_that_is_enough() {
    let revoked = Revoked::new(9_999);
    assert!(revoked.due().now_or_never().is_none());
    revoked.add(block("a")).unwrap();
    revoked.add(block("a").lifted()).unwrap();
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
