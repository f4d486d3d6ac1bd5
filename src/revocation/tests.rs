//! The promise: revocations from other instances take effect, whatever arrives with them, and an instance that missed
//! one gets it soon.

use bytes::Bytes;

use super::*;
use crate::bus::ControlMessage;
use crate::control::question::keeps_the_wire;
use crate::http::tests::{RecordingBus, authenticator};
use crate::instance::{Config, Instance};
use crate::principal::{Principal, ROLE_USER, UserName};

/// An operator's block of this user, for an hour.
pub(super) fn block(name: &str) -> Revocation {
    Revocation {
        id: crate::auth::revoked::entry::RevocationId::new(),
        whom: crate::auth::revoked::entry::Whom::Block(UserName::parse(name).unwrap()),
        until_ms: crate::envelope::unix_ms() + 3_600_000,
        lifted: false,
        since_ms: crate::envelope::unix_ms(),
        by: "key:ops".into(),
        reason: None,
    }
}

fn made() -> (Arc<Revocations>, Arc<RecordingBus>, Desk) {
    made_beside(Vec::new())
}

/// Presence knows these.
fn made_beside(known: Vec<InstanceId>) -> (Arc<Revocations>, Arc<RecordingBus>, Desk) {
    let authenticator = authenticator();
    let keeper = Keeper::without_file(authenticator.revoked());
    made_of(authenticator, keeper, Box::new(move || known.clone()))
}

pub(super) fn made_with(
    authenticator: Arc<Authenticator>,
    keeper: Keeper,
) -> (Arc<Revocations>, Arc<RecordingBus>, Desk) {
    made_of(authenticator, keeper, Box::new(Vec::new))
}

fn made_of(
    authenticator: Arc<Authenticator>,
    keeper: Keeper,
    known: Known,
) -> (Arc<Revocations>, Arc<RecordingBus>, Desk) {
    let bus = Arc::new(RecordingBus::default());
    let instance = Instance::new(&Config::default());
    let (audit, _guard, _) = Audit::kept();
    let all = Arc::new(Revocations::new(Parts {
        keeper,
        authenticator,
        bus: bus.clone(),
        own: instance.id,
        metrics: Metrics::new().unwrap(),
        audit,
        known,
    }));
    let mut desk = Desk::default();
    all.register(&mut desk);
    (all, bus, desk)
}

async fn say(desk: &Desk, kind: &str, payload: impl Into<Bytes>) {
    desk.handle(ControlMessage {
        kind: kind.into(),
        payload: payload.into(),
        responder: None,
    })
    .await;
}

const BLOCK: &str = r#"{"id":"01JDEXAMPRE0000000000000AA","user":"a","block":true,"since_ms":1,"until_ms":9000000000000,"by":"x"}"#;

fn until_tomorrow(text: &str) -> String {
    let until = crate::envelope::unix_ms() + 86_400_000;
    text.replace("9000000000000", &until.to_string())
}

pub(super) fn is_shut_out(all: &Revocations, user: &str) -> bool {
    let who = Principal::new(UserName::parse(user).unwrap(), [ROLE_USER]);
    all.here().refuses(&who).is_some()
}

#[tokio::test]
async fn what_is_told_is_in_force_and_what_is_lifted_is_not() {
    let (all, _, desk) = made();
    let block = until_tomorrow(BLOCK);
    let more = r#"{"id":"01JDEXAMPRE0000000000000AB","a_new_kind":7,"since_ms":1,"until_ms":9}"#;
    say(
        &desk,
        "tokens.revoked",
        format!(r#"{{"revocations":[{more},{block}]}}"#),
    )
    .await;
    assert!(
        is_shut_out(&all, "a"),
        "what is not known is left out, the rest is not"
    );
    let lifted = block.replace(r#""block":true,"#, r#""block":true,"lifted":true,"#);
    say(
        &desk,
        "tokens.revoked",
        format!(r#"{{"revocations":[{lifted}]}}"#),
    )
    .await;
    assert!(!is_shut_out(&all, "a"));
    say(&desk, "tokens.revoked", format!(r#"{{"revocations":[{block}]}}"#)).await;
    assert!(!is_shut_out(&all, "a"), "whoever missed that brings it back");
    assert_eq!(
        all.answer(None).revocations.0.len(),
        1,
        "it is told with the rest"
    );
}

#[tokio::test]
async fn rubbish_changes_nothing() {
    let (all, _, desk) = made();
    for rubbish in [
        "",
        "[]",
        r#"{"revocations":7}"#,
        r#"{"revocations":[7,[],{},null,"x"]}"#,
        r#"{"revocations":[["01JDEXAMPRE0000000000000AA","a",null,null,null,true,false,1,9000000000000,"x",null]]}"#,
        &format!(r#"{{"revocations":[{}]}}"#, "[".repeat(60_000)),
        &" ".repeat(1 << 20),
    ] {
        say(&desk, "tokens.revoked", rubbish.to_owned()).await;
        say(&desk, "tokens.digest", rubbish.to_owned()).await;
    }
    assert_eq!(all.here().len(), 0);
    assert!(all.heard.lock().unequal.is_empty());
}

#[tokio::test]
async fn who_has_something_else_is_asked_and_who_has_nothing_is_not() {
    let (all, _, desk) = made();
    let other = Instance::new(&Config::default()).id;
    let said =
        |count, hash| format!(r#"{{"instance":"{other}","count":{count},"hash":{hash},"asks":false}}"#);
    let unequal = || -> Vec<_> {
        let unequal = std::mem::take(&mut all.heard.lock().unequal);
        unequal.iter().map(|one| one.instance).collect()
    };
    say(&desk, "tokens.digest", said(0, 0)).await;
    assert!(unequal().is_empty());
    for _ in 0..2 {
        say(&desk, "tokens.digest", said(2, 7)).await;
    }
    assert_eq!(unequal(), [other]);
    say(
        &desk,
        "tokens.revoked",
        format!(r#"{{"revocations":[{}]}}"#, until_tomorrow(BLOCK)),
    )
    .await;
    let own = all.here().digest(0);
    say(&desk, "tokens.digest", said(own.count as u64, own.hash)).await;
    assert!(unequal().is_empty());
    let own = all.parts.own;
    say(
        &desk,
        "tokens.digest",
        format!(r#"{{"instance":"{own}","count":9,"hash":1}}"#),
    )
    .await;
    assert!(unequal().is_empty(), "it is its own");
}

#[test]
fn answers_go_page_by_page() {
    let (all, ..) = tokio::runtime::Runtime::new().unwrap().block_on(async { made() });
    let now = crate::envelope::unix_ms();
    let told = (0..2_500).map(|number| Revocation {
        id: RevocationId::new(),
        whom: Whom::Block(UserName::parse(&format!("{number}{}", "x".repeat(200))).unwrap()),
        until_ms: now + 60_000,
        lifted: false,
        since_ms: now,
        by: "x".into(),
        reason: None,
    });
    all.accept(told.collect());
    let (mut count, mut pages, mut after) = (0, 0, None);
    loop {
        let answered = all.answer(after);
        assert!(serde_json::to_vec(&answered).unwrap().len() < PAGE_MAX_BYTES);
        (count, pages) = (count + answered.revocations.0.len(), pages + 1);
        match answered.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(count, 2_500);
    assert!(pages > 2);
}

#[test]
fn the_wire_is_kept() {
    keeps_the_wire::<Told>(&format!(r#"{{"revocations":[{BLOCK}]}}"#));
    keeps_the_wire::<Announced>(
        r#"{"instance":"01JDEXAMPRE0000000000000AA","count":1,"hash":2,"from_ms":3,"asks":true,"is_whole":true}"#,
    );
    keeps_the_wire::<wire::After>(r#"{"after":"01JDEXAMPRE0000000000000AA"}"#);
    keeps_the_wire::<Answered>(r#"{"revocations":[],"next":null}"#);
}

/// The digest of another newcomer, with nothing in it, was enough.
#[tokio::test]
async fn only_one_that_is_whole_makes_another_one_whole() {
    let (all, bus, desk) = made();
    let other = Instance::new(&Config::default()).id;
    let said = |from_ms: u64, is_whole: bool| {
        format!(
            r#"{{"instance":"{other}","count":0,"hash":0,"from_ms":{from_ms},"asks":true,"is_whole":{is_whole}}}"#
        )
    };
    say(&desk, "tokens.digest", said(0, false)).await;
    all.pull().await;
    assert!(!all.is_whole() && !all.is_ready() && bus.asked() == 0);
    // What ends soon is left out of this digest, and may be what is missing.
    say(&desk, "tokens.digest", said(30_000, true)).await;
    bus.answer(other, br#"{"revocations":[],"next":null}"#.to_vec());
    all.pull().await;
    assert!(all.is_whole() && all.is_ready() && bus.asked() == 1);
    let (all, bus, desk) = made();
    say(&desk, "tokens.digest", said(0, true)).await;
    all.pull().await;
    assert!(all.is_whole() && bus.asked() == 0, "both have the same");
    // It tells a newcomer so, of everything as it was asked.
    say(&desk, "tokens.digest", said(0, false)).await;
    let (_, told) = bus.said.lock().last().cloned().unwrap();
    let told: Announced = serde_json::from_slice(&told).unwrap();
    assert!(told.is_whole && told.from_ms == 0 && !told.asks);
}

/// What cannot be put in force was asked for again, whole, every 30 s.
#[tokio::test]
async fn who_is_asked_in_vain_is_asked_again_when_something_has_changed() {
    let (all, bus, desk) = made();
    all.is_known();
    let other = Instance::new(&Config::default()).id;
    bus.answer(other, br#"{"revocations":[],"next":null}"#.to_vec());
    let said = |hash: u64| format!(r#"{{"instance":"{other}","count":2,"hash":{hash},"from_ms":0}}"#);
    for _ in 0..3 {
        say(&desk, "tokens.digest", said(7)).await;
        all.pull().await;
    }
    assert_eq!(bus.asked(), 1);
    say(&desk, "tokens.digest", said(8)).await;
    all.pull().await;
    assert_eq!(bus.asked(), 2);
}

/// Who has all, as anybody may say without a control key.
fn whole(instance: InstanceId) -> String {
    format!(r#"{{"instance":"{instance}","count":2,"hash":7,"is_whole":true}}"#)
}

/// Forged digests held a new instance for half a minute.
#[tokio::test(start_paused = true)]
async fn those_who_do_not_answer_hold_up_nobody_who_does() {
    let true_one = InstanceId::random();
    // Presence knows nobody yet, and the true one is among the first.
    let (all, bus, desk) = made();
    for _ in 1..learn::ASKED_AT_ONCE {
        say(&desk, "tokens.digest", whole(InstanceId::random())).await;
    }
    say(&desk, "tokens.digest", whole(true_one)).await;
    bus.answer(true_one, br#"{"revocations":[],"next":null}"#.to_vec());
    let began = tokio::time::Instant::now();
    all.pull().await;
    assert!(
        all.is_whole() && began.elapsed().is_zero(),
        "{:?}",
        began.elapsed()
    );
    // It comes behind more than are remembered, and presence knows it.
    let (all, bus, desk) = made_beside(vec![true_one]);
    for _ in 0..2 * UNEQUAL_MAX {
        say(&desk, "tokens.digest", whole(InstanceId::random())).await;
    }
    say(&desk, "tokens.digest", whole(true_one)).await;
    bus.answer(true_one, br#"{"revocations":[],"next":null}"#.to_vec());
    all.pull().await;
    assert!(
        all.is_whole() && began.elapsed().is_zero(),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(bus.asked(), 1, "nobody else is asked");
}

#[tokio::test(start_paused = true)]
async fn a_new_instance_asks_few() {
    let (all, bus, desk) = made();
    for _ in 0..2 * UNEQUAL_MAX {
        say(&desk, "tokens.digest", whole(InstanceId::random())).await;
    }
    let began = tokio::time::Instant::now();
    all.pull().await;
    assert!(!all.is_whole() && bus.asked() == learn::ASKED_AT_ONCE);
    assert!(began.elapsed() <= std::time::Duration::from_secs(2));
}

/// It held everything else up for hours.
#[tokio::test(start_paused = true)]
async fn an_answer_without_an_end_ends() {
    for late in [1_900, 0].map(std::time::Duration::from_millis) {
        let (all, bus, desk) = made();
        all.is_known();
        let other = InstanceId::random();
        bus.answer(other, br#"{"revocations":[],"next":"NEXT"}"#.to_vec());
        *bus.drips.lock() = Some(late);
        say(&desk, "tokens.digest", whole(other)).await;
        let began = tokio::time::Instant::now();
        all.pull().await;
        assert!(began.elapsed() <= std::time::Duration::from_secs(20));
        assert!(
            bus.asked() > 2 && bus.asked() <= all.here().room(),
            "{}",
            bus.asked()
        );
    }
}
