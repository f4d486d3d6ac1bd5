//! NATS refuses an instance a right that it needs: the instance is not ready and says which right is missing, and once
//! it is granted, everything works without a restart.

use std::sync::Arc;
use std::time::Duration;

use herald::bus::nats::NatsBus;
use herald::bus::{Bus, Config, Health, PublishError};
use herald::setting::Secret;

use super::{LIMITS, broadcast, config, heard, instance, next, request, until};
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
    assert_eq!(heard(&mut incoming).await.body, "in");
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
    let server = NatsServer::start_with(&denying("subscribe", &["herald.reply.>", "_INBOX.>"]));
    let bus = connect(&server).await;
    names_the_reply_subject_alone(&*bus, "subscribe to herald.reply.>").await;
    // What was named is enough.
    server.configure(&denying("subscribe", &["_INBOX.>"]));
    server.reload();
    works(&*bus).await;
    assert!(replies_by(&server, &*bus).await.starts_with("herald.reply."));
}

#[tokio::test]
async fn a_refused_publish_to_the_inbox_is_named() {
    let server = NatsServer::start_with(&denying("publish", &["herald.reply.>", "_INBOX.>"]));
    let bus = connect(&server).await;
    names_the_reply_subject_alone(&*bus, "publish to herald.reply.>").await;
}

/// Nobody needs `_INBOX` who is granted the reply subject: also once that was tried, nothing tells people to grant it.
async fn names_the_reply_subject_alone(bus: &dyn Bus, what: &str) {
    complains(bus, what).await;
    let end = tokio::time::Instant::now() + Duration::from_secs(5);
    while tokio::time::Instant::now() < end {
        let trouble = bus.trouble();
        assert!(!trouble.iter().any(|line| line.contains("_INBOX")), "{trouble:?}");
        assert_eq!(*bus.health().borrow(), Health::Disconnected);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    complains(bus, what).await;
}

/// The reply subject that a backend sees.
async fn replies_by(server: &NatsServer, bus: &dyn Bus) -> String {
    let options = async_nats::ConnectOptions::with_user_and_password("herald".into(), "h".into());
    let backend = options.connect(server.url()).await.unwrap();
    let mut asked = backend.subscribe("herald.app.>").await.unwrap();
    // Once this is here, the server has the subscription.
    backend.publish("herald.app.probe", "".into()).await.unwrap();
    next(&mut asked).await;
    let pending = bus.request(&request("/x")).await.unwrap();
    let reply = next(&mut asked).await.reply.unwrap();
    backend.publish(reply.clone(), "answer".into()).await.unwrap();
    assert_eq!(pending.reply().await.unwrap().body, "answer");
    reply.to_string()
}

#[tokio::test]
async fn replies_are_for_instances_alone() {
    let server = NatsServer::start_with(&denying("subscribe", &["_INBOX.>"]));
    let bus = connect(&server).await;
    works(&*bus).await;
    assert!(replies_by(&server, &*bus).await.starts_with("herald.reply."));
}

/// For this release: permissions as they were before it.
async fn falls_back(verb: &str) {
    let mut server = NatsServer::start_with(&denying(verb, &["herald.reply.>"]));
    let bus = connect(&server).await;
    until(&*bus, Health::Connected).await;
    complains(&*bus, "replies come by _INBOX").await;
    assert_eq!(bus.stats().refused_subscriptions, 0);
    assert!(replies_by(&server, &*bus).await.starts_with("_INBOX."));
    server.configure(&denying(verb, &["other"]));
    server.kill();
    until(&*bus, Health::Disconnected).await;
    server.restart();
    until(&*bus, Health::Connected).await;
    if verb == "subscribe" {
        assert!(replies_by(&server, &*bus).await.starts_with("herald.reply."));
        assert_eq!(bus.trouble(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn without_the_right_to_hear_replies_there_is_inbox() {
    falls_back("subscribe").await;
}

#[tokio::test]
async fn without_the_right_to_reply_there_is_inbox() {
    falls_back("publish").await;
}

/// A question that names another reply subject gets no answer: what instances know stays among them.
#[tokio::test]
async fn instances_answer_nowhere_else() {
    let server = NatsServer::start_with("");
    let instance = instance();
    let bus = NatsBus::connect(&config(&server.url()), LIMITS, &instance)
        .await
        .unwrap();
    until(&*bus, Health::Connected).await;
    let mut control = bus.control_incoming().unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let question = format!("herald.control.instance.{}.test", instance.id);
    for (reply, answered) in [
        ("elsewhere.x", false),
        ("herald.reply.x", true),
        ("_INBOX.x", true),
    ] {
        client
            .publish_with_reply(question.clone(), reply, "".into())
            .await
            .unwrap();
        assert_eq!(next(&mut control).await.responder.is_some(), answered, "{reply}");
    }
    assert_eq!(bus.stats().undeliverable, 1);
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
