//! Promise: an order that the bus has not confirmed is said again for a minute and no longer, with its age; and whoever hears it ends no
//! session that is newer.

use super::*;
use crate::bus::ControlMessage;
use crate::control::question::{Payload, keeps_the_wire};
use crate::http::tests::{RecordingBus, registry};

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

/// Whom the bus was told to disconnect again, and how many seconds ago that was asked for.
fn said(bus: &RecordingBus) -> Vec<(String, u64)> {
    let said = std::mem::take(&mut *bus.said.lock());
    let of = |(kind, payload): (String, bytes::Bytes)| {
        assert_eq!(kind, DisconnectAgain::KIND);
        let order = DisconnectAgain::from_payload(&payload).unwrap();
        (order.user.to_string(), order.ago_ms / 1_000)
    };
    said.into_iter().map(of).collect()
}

/// The task, the bus, and what stops it.
fn running() -> (Unconfirmed, Arc<RecordingBus>, CancellationToken) {
    let (unconfirmed, bus) = (Unconfirmed::default(), Arc::new(RecordingBus::default()));
    let ending = CancellationToken::new();
    let run = unconfirmed
        .clone()
        .run(bus.clone(), InstanceId::random(), ending.clone());
    #[expect(clippy::disallowed_methods, reason = "ends with its test")]
    tokio::spawn(run);
    (unconfirmed, bus, ending)
}

#[test]
fn old_and_new_instances_understand_each_other() {
    keeps_the_wire::<DisconnectAgain>(
        r#"{"user":"älice","by":"key:ops","from":"01JDEXAMPRE0000000000000AA","ago_ms":12000}"#,
    );
}

#[tokio::test(start_paused = true)]
async fn it_is_said_when_the_bus_is_back_and_then_for_the_rest_of_a_minute() {
    let (unconfirmed, bus, ending) = running();
    bus.disconnect();
    unconfirmed.add(user("anna"), "key:ops".into(), Instant::now());
    sleep(Duration::from_millis(20_500)).await;
    assert_eq!(said(&bus), []);
    bus.connect();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(said(&bus), [("anna".into(), 21)]);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(
        said(&bus),
        [("anna".into(), 26)],
        "others may have come back later"
    );
    sleep(Duration::from_secs(300)).await;
    let ages: Vec<_> = said(&bus).into_iter().map(|(_, ago)| ago).collect();
    assert_eq!(ages, [31, 36, 41, 46, 51, 56]);
    ending.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_carries_nothing_is_given_nothing() {
    let (unconfirmed, bus, ending) = running();
    *bus.swallows.lock() = true;
    unconfirmed.add(user("anna"), "key:ops".into(), Instant::now());
    sleep(Duration::from_secs(30)).await;
    assert_eq!(said(&bus), []);
    *bus.swallows.lock() = false;
    sleep(Duration::from_secs(3)).await;
    assert_eq!(said(&bus).len(), 1);
    // And nothing at all once it is too late.
    *bus.swallows.lock() = true;
    unconfirmed.add(user("ben"), "key:ops".into(), Instant::now());
    sleep(Duration::from_secs(70)).await;
    *bus.swallows.lock() = false;
    sleep(Duration::from_secs(70)).await;
    assert_eq!(said(&bus), []);
    ending.cancel();
}

#[tokio::test(start_paused = true)]
async fn there_are_so_many_and_one_for_each_user() {
    let (unconfirmed, bus, ending) = running();
    bus.disconnect();
    for number in 0..WAITING_MAX + 2 {
        unconfirmed.add(user(&number.to_string()), "key:ops".into(), Instant::now());
    }
    sleep(Duration::from_secs(2)).await;
    unconfirmed.add(user("7"), "key:ops".into(), Instant::now());
    bus.connect();
    sleep(Duration::from_secs(1)).await;
    let said = said(&bus);
    assert_eq!(said.len(), WAITING_MAX);
    assert_eq!(said[0].0, "2", "the oldest are forgotten");
    assert_eq!(said.last().unwrap(), &("7".into(), 0), "the newer order counts");
    ending.cancel();
}

#[tokio::test]
async fn what_is_its_own_or_too_old_is_not_obeyed() {
    let (audit, _guard, kept) = Audit::kept();
    let (own, registry) = (InstanceId::random(), registry());
    let mut desk = Desk::default();
    register(&mut desk, &registry, &audit, own);
    let hear = async |from, ago_ms| {
        let order = DisconnectAgain {
            user: user("anna"),
            by: "key:ops".into(),
            from,
            ago_ms,
        };
        desk.handle(ControlMessage {
            kind: DisconnectAgain::KIND.into(),
            payload: order.to_payload(),
            responder: None,
        })
        .await;
        desk.complaints()
    };
    assert_eq!(hear(InstanceId::random(), AGO_MAX_MS).await, 0);
    assert_eq!(hear(InstanceId::random(), AGO_MAX_MS + 1).await, 1);
    assert_eq!(hear(InstanceId::random(), u64::MAX).await, 2);
    assert_eq!(hear(own, 0).await, 2);
    assert!(kept.lines(0).is_empty(), "there was nobody to disconnect");
}
