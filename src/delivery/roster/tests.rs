//! The promise: a session is found by its key, its user and its slot, and by none of them once it has left.

use std::io::{self, IoSlice};

use bytes::Bytes;

use super::*;
use crate::delivery::ledger::Ledger;
use crate::delivery::outbox::Written;

struct Taking;

impl TryWrite for Taking {
    fn try_write(&self, chunks: &[IoSlice<'_>]) -> io::Result<Written> {
        Ok(Written::taken(chunks.iter().map(|chunk| chunk.len()).sum()))
    }
}

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

fn session(key: u64, of: &str) -> Session {
    let ledger = Arc::new(Ledger::new(1 << 20, Arc::new(())));
    let join = Join {
        outbox: Arc::new(Outbox::new(Arc::new(Taking), 1 << 20, ledger)),
        session: format!("session-{key}").into(),
        principal: Principal::new(user(of), ["ROLE_USER"]),
        version: Version::V1_2,
        send_every_ms: 0,
        receive_every_ms: 0,
        address: [127, 0, 0, 1].into(),
        since_ms: 0,
        connected: Bytes::new(),
    };
    Session::new(SessionKey(key), join)
}

#[test]
fn who_is_there_is_found_and_who_left_is_not() {
    let mut roster = Roster::default();
    let [first, second, other] =
        [(0, "alice"), (1, "alice"), (2, "bob")].map(|(key, of)| roster.add(session(key, of), 1));
    assert_eq!(roster.of_user(&user("alice")), [first, second]);
    assert_eq!(
        (roster.len(), roster.iter().count(), roster.keys().count()),
        (3, 3, 3)
    );
    assert_eq!(roster.remove(first).unwrap().key, SessionKey(0));
    assert!(roster.remove(first).is_none(), "once");
    assert!(roster.get(first).is_none() && roster.get_mut(first).is_none());
    assert_eq!(roster.slot(SessionKey(0)), None);
    assert_eq!(roster.slot(SessionKey(1)), Some(second));
    assert_eq!(roster.of_user(&user("alice")), [second]);
    assert!(roster.remove(other).is_some());
    assert!(roster.of_user(&user("bob")).is_empty());
    assert_eq!((roster.len(), roster.iter().count()), (1, 1));
}

#[test]
fn a_slot_is_used_again_without_what_the_one_before_left() {
    let mut roster = Roster::default();
    let slot = roster.add(session(0, "alice"), 1);
    let earlier = roster.tenancy(slot);
    roster.hot(slot).blocked = true;
    roster.remove(slot);
    assert!(!roster.is_current(earlier));
    let refused = roster.hot(slot).socket.try_write(&[]).unwrap_err();
    assert_eq!(
        refused.kind(),
        io::ErrorKind::NotConnected,
        "the old socket is gone"
    );
    assert_eq!(roster.add(session(1, "bob"), 7), slot);
    let (hot, held) = roster.get(slot).unwrap();
    assert_eq!((hot.blocked, hot.last_write, held.key), (false, 7, SessionKey(1)));
    assert!(roster.is_current(roster.tenancy(slot)) && !roster.is_current(earlier));
}
