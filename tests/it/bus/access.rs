//! How Herald authenticates to NATS, and NATS to Herald: each way works with the right secret; with a wrong one the
//! bus stays disconnected and reveals nothing of the secret.

use std::io::Write;
use std::time::Duration;

use herald::bus::nats::NatsBus;
use herald::bus::{Bus, Config, Health};
use herald::setting::Secret;

use super::{LIMITS, broadcast, config, instance, next, until};
use crate::support::nats::NatsServer;
use crate::support::tls::tls_file;

const NKEY_SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
const NKEY_PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

async fn connect(config: &Config) -> std::sync::Arc<NatsBus> {
    NatsBus::connect(config, LIMITS, &instance()).await.unwrap()
}

async fn works(config: &Config) {
    let bus = connect(config).await;
    until(&*bus, Health::Connected).await;
    let mut incoming = bus.incoming().unwrap();
    bus.publish(&broadcast("in")).await.unwrap();
    assert_eq!(next(&mut incoming).await.body, "in");
}

async fn does_not_work(config: &Config) {
    let bus = connect(config).await;
    let mut health = bus.health();
    let connected = health.wait_for(|held| *held == Health::Connected);
    let outcome = tokio::time::timeout(Duration::from_millis(500), connected).await;
    assert!(outcome.is_err(), "connected without the right to");
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[tokio::test]
async fn user_and_password() {
    let server = NatsServer::start_with("authorization { user: herald, password: s3cret }");
    let mut with = config(&server.url());
    with.user = Some("herald".into());
    let held = file("s3cret\n");
    with.password_file = Some(held.path().to_str().unwrap().into());
    works(&with).await;
    with.password_file = None;
    with.password = Some(Secret::new("wrong"));
    does_not_work(&with).await;
    does_not_work(&config(&server.url())).await;
}

#[tokio::test]
async fn token() {
    let server = NatsServer::start_with("authorization { token: s3cret }");
    let mut with = config(&server.url());
    with.token = Some(Secret::new("s3cret"));
    works(&with).await;
}

#[tokio::test]
async fn nkey() {
    let users = format!("authorization {{ users: [ {{ nkey: {NKEY_PUBLIC} }} ] }}");
    let server = NatsServer::start_with(&users);
    let mut with = config(&server.url());
    let held = file(&format!("{NKEY_SEED}\n"));
    with.nkey_file = Some(held.path().to_str().unwrap().into());
    works(&with).await;
}

/// Herald's permissions in docs/nats.md suffice for everything it does; a backend's forbid it to speak as Herald.
#[tokio::test]
async fn the_documented_permissions_are_enough() {
    let documentation =
        std::fs::read_to_string(format!("{}/docs/nats.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let (_, rest) = documentation
        .split_once("```conf\n")
        .expect("the permissions in docs/nats.md");
    let (permissions, _) = rest.split_once("```").unwrap();
    let server = NatsServer::start_with(
        &permissions
            .replace("$HERALD_PASSWORD", "h")
            .replace("$ORDERS_PASSWORD", "o"),
    );
    let mut with = config(&server.url());
    (with.user, with.password) = (Some("herald".into()), Some(Secret::new("h")));
    works(&with).await;

    let bus = connect(&with).await;
    until(&*bus, Health::Connected).await;
    let mut incoming = bus.incoming().unwrap();
    let mut control = bus.control_incoming().unwrap();
    let options = async_nats::ConnectOptions::with_user_and_password("orders".into(), "o".into());
    let backend = options.connect(server.url()).await.unwrap();
    backend
        .publish("herald.control.all.test", "forged".into())
        .await
        .unwrap();
    backend
        .publish("herald.event.user.connected", "forged".into())
        .await
        .unwrap();
    backend
        .publish("herald.broadcast.queue.x", "allowed".into())
        .await
        .unwrap();
    assert_eq!(next(&mut incoming).await.body, "allowed");
    bus.control_publish("real", "".into()).await.unwrap();
    assert_eq!(next(&mut control).await.kind, "real");
    let event = herald::bus::UserEvent {
        user: herald::principal::UserName::parse("alice").unwrap(),
        instance: "host".into(),
        connected: true,
        time_ms: 1,
    };
    let mut events = backend.subscribe("herald.event.>").await.unwrap();
    let mut requests = backend
        .queue_subscribe("herald.app.>", "orders".into())
        .await
        .unwrap();
    let pending = async {
        loop {
            // Until the backend's subscription is in place, nobody answers.
            let pending = bus.request(&super::request("/place")).await.unwrap();
            match pending.reply().await {
                Err(herald::bus::RequestError::NoResponders) => {}
                end => break end,
            }
        }
    };
    let answer = async {
        let asked = next(&mut requests).await;
        backend
            .publish(asked.reply.unwrap(), "placed".into())
            .await
            .unwrap();
    };
    let (reply, ()) = tokio::join!(pending, answer);
    assert_eq!(reply.unwrap().body, "placed");
    bus.publish_user_event(&event).await.unwrap();
    let seen = next(&mut events).await;
    assert!(
        seen.payload.starts_with(b"{\"user\":\"alice\""),
        "{:?}",
        seen.payload
    );
}

#[tokio::test]
async fn tls_by_authority_file() {
    let tls = format!(
        "tls {{ cert_file: {:?}, key_file: {:?} }}",
        tls_file("server.pem"),
        tls_file("server-key.pem")
    );
    let server = NatsServer::start_with(&tls);
    let mut with = config(&server.url());
    with.ca_file = Some(tls_file("ca.pem"));
    works(&with).await;
    // Another authority: the server's own certificate is signed by nobody we trust.
    with.ca_file = Some(tls_file("server.pem"));
    does_not_work(&with).await;
    // Herald does not speak in the clear to a server without TLS.
    let clear = NatsServer::start();
    with.url = Some(clear.url().parse().unwrap());
    with.ca_file = Some(tls_file("ca.pem"));
    does_not_work(&with).await;
}
