//! NATS refuses an instance a right that it needs: the instance is not ready and says which right is missing, and once
//! it is granted, everything works without a restart.

use std::sync::Arc;
use std::time::Duration;

use herald::bus::nats::NatsBus;
use herald::bus::{Bus, Config, Health, PublishError};
use herald::setting::Secret;

use super::{LIMITS, broadcast, config, instance, next, request, until};
use crate::support::nats::NatsServer;

/// A server whose one user may not `verb` (`publish`, `subscribe`) the subjects.
fn denying(verb: &str, denied: &[&str]) -> String {
    format!(
        "authorization {{ users: [ {{ user: herald, password: h, permissions: {{ {verb}: {{ allow: \">\", deny: \
         {denied:?} }} }} }} ] }}"
    )
}

async fn connect(server: &NatsServer) -> Arc<NatsBus> {
    let with = Config {
        user: Some("herald".into()),
        password: Some(Secret::new("h")),
        ..config(&server.url())
    };
    NatsBus::connect(&with, LIMITS, &instance()).await.unwrap()
}

/// Waits until the bus complains of `what`, or of nothing if that is empty.
pub async fn complains(bus: &dyn Bus, what: &str) {
    let complaint = async {
        loop {
            let trouble = bus.trouble();
            if match what {
                "" => trouble.is_empty(),
                what => trouble.iter().any(|line| line.contains(what)),
            } {
                return;
            }
            // Nothing tells of a complaint: it is for whoever asks.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(30), complaint)
            .await
            .is_ok(),
        "{what:?} is not in {:?}",
        bus.trouble()
    );
}

async fn works(bus: &dyn Bus) {
    until(bus, Health::Connected).await;
    complains(bus, "").await;
    assert_eq!(bus.stats().refused_subscriptions, 0);
    let mut incoming = bus.incoming().unwrap();
    bus.publish(&broadcast("in")).await.unwrap();
    assert_eq!(next(&mut incoming).await.body, "in");
    let mut control = bus.control_incoming().unwrap();
    bus.control_publish("real", "".into()).await.unwrap();
    assert_eq!(next(&mut control).await.kind, "real");
}

async fn refused_until_granted(denied: &str, named: &str) {
    let server = NatsServer::start_with(&denying("subscribe", &[denied]));
    let bus = connect(&server).await;
    complains(&*bus, named).await;
    assert_eq!(*bus.health().borrow(), Health::Disconnected);
    assert_eq!(bus.stats().refused_subscriptions, 1);
    let lost = bus.publish(&broadcast("lost")).await;
    assert_eq!(lost, Err(PublishError::Unavailable));
    server.configure(&denying("subscribe", &["other"]));
    server.reload();
    works(&*bus).await;
    // The connection was never given up for it.
    assert_eq!(bus.stats().reconnects, 0);
}

#[tokio::test]
async fn a_refused_subscription_to_broadcasts_heals() {
    refused_until_granted("herald.broadcast.>", "subscribe to herald.broadcast.>").await;
}

#[tokio::test]
async fn a_refused_subscription_to_users_heals() {
    refused_until_granted("herald.user.>", "subscribe to herald.user.>").await;
}

#[tokio::test]
async fn a_refused_subscription_to_control_heals() {
    refused_until_granted(
        "herald.control.instance.>",
        "subscribe to herald.control.instance.",
    )
    .await;
}

#[tokio::test]
async fn a_refused_subscription_to_the_inbox_heals() {
    refused_until_granted("_INBOX.>", "subscribe to _INBOX.").await;
}

#[tokio::test]
async fn a_right_that_is_taken_away_is_missed() {
    let server = NatsServer::start_with(&denying("subscribe", &["other"]));
    let bus = connect(&server).await;
    until(&*bus, Health::Connected).await;
    server.configure(&denying("subscribe", &["herald.user.>", "herald.control.>"]));
    server.reload();
    until(&*bus, Health::Disconnected).await;
    complains(&*bus, "subscribe to herald.user.>").await;
    complains(&*bus, "subscribe to herald.control.all.>").await;
    server.configure(&denying("subscribe", &["other"]));
    server.reload();
    works(&*bus).await;
}

#[tokio::test]
async fn too_few_subscriptions_are_named() {
    let user = "authorization { user: herald, password: h }\n";
    let mut server = NatsServer::start_with(&format!("{user}max_subscriptions: 3"));
    let bus = connect(&server).await;
    complains(&*bus, "fewer subscriptions").await;
    assert_eq!(*bus.health().borrow(), Health::Disconnected);
    server.configure(&format!("{user}max_subscriptions: 5"));
    server.restart();
    works(&*bus).await;
}

#[tokio::test]
async fn a_refused_publish_is_named_and_counted() {
    let server = NatsServer::start_with(&denying("publish", &["herald.user.>", "herald.app.>"]));
    let bus = connect(&server).await;
    until(&*bus, Health::Connected).await;
    let _ = bus.request(&request("/x")).await.unwrap();
    complains(&*bus, "publish to herald.app.>").await;
    assert_eq!(bus.stats().refused_publishes, 1);
    assert_eq!(*bus.health().borrow(), Health::Connected);
    assert_eq!(bus.trouble().len(), 1);
}
