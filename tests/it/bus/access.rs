//! How Herald authenticates to NATS, and NATS to Herald: each way works with the right secret; with a wrong one the
//! bus stays disconnected and reveals nothing of the secret.

use std::io::Write;
use std::time::Duration;

use herald::bus::nats::NatsBus;
use herald::bus::{Bus, Config, Health};
use herald::setting::Secret;

use super::rights::complains;
use super::{LIMITS, broadcast, config, heard, instance, next, until};
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
    assert_eq!(heard(&mut incoming).await.body, "in");
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
            .replace("$LOGINS_PASSWORD", "l")
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
    assert_eq!(heard(&mut incoming).await.body, "allowed");
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

/// Exchanges the secret in `with`'s file and on the server: at the restart the bus comes back with the new one.
async fn heals(mut server: NatsServer, with: Config, write: impl FnOnce(), configuration: &str) {
    let bus = connect(&with).await;
    until(&*bus, Health::Connected).await;
    server.kill();
    until(&*bus, Health::Disconnected).await;
    server.configure(configuration);
    server.restart();
    complains(
        &*bus,
        with.token_file.as_ref().map_or("bus.", |_| "bus.token_file"),
    )
    .await;
    write();
    until(&*bus, Health::Connected).await;
    assert_eq!((bus.trouble(), bus.stats().reconnects), (vec![], 1));
    let mut incoming = bus.incoming().unwrap();
    bus.publish(&broadcast("in")).await.unwrap();
    assert_eq!(heard(&mut incoming).await.body, "in");
}

fn held_by(held: &tempfile::NamedTempFile) -> Option<String> {
    Some(held.path().to_str().unwrap().into())
}

#[tokio::test]
async fn an_exchanged_password_heals() {
    let server = NatsServer::start_with("authorization { user: herald, password: one }");
    let held = file("one\n");
    let mut with = config(&server.url());
    (with.user, with.password_file) = (Some("herald".into()), held_by(&held));
    let write = || std::fs::write(held.path(), "two\n").unwrap();
    heals(
        server,
        with,
        write,
        "authorization { user: herald, password: two }",
    )
    .await;
}

#[tokio::test]
async fn an_exchanged_token_heals() {
    let server = NatsServer::start_with("authorization { token: one }");
    let held = file("one");
    let mut with = config(&server.url());
    with.token_file = held_by(&held);
    let write = || std::fs::write(held.path(), "two").unwrap();
    heals(server, with, write, "authorization { token: two }").await;
}

#[tokio::test]
async fn an_exchanged_nkey_heals() {
    let configuration = |public: &str| format!("authorization {{ users: [ {{ nkey: {public} }} ] }}");
    let server = NatsServer::start_with(&configuration(NKEY_PUBLIC));
    let held = file(NKEY_SEED);
    let mut with = config(&server.url());
    with.nkey_file = held_by(&held);
    let other = nkeys::KeyPair::new_user();
    let write = || std::fs::write(held.path(), other.seed().unwrap()).unwrap();
    heals(server, with, write, &configuration(&other.public_key())).await;
}

/// A server that asks for a client's certificate, signed by `authority`.
fn verifying(authority: &str, more: &str) -> String {
    format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true, {more} }}",
        tls_file("server.pem"),
        tls_file("server-key.pem"),
        tls_file(authority)
    )
}

fn with_certificate(server: &NatsServer) -> Config {
    Config {
        ca_file: Some(tls_file("ca.pem")),
        cert_file: Some(tls_file("client.pem")),
        key_file: Some(tls_file("client-key.pem")),
        ..config(&server.url())
    }
}

async fn fails_for(config: &Config, cause: &str) {
    let bus = connect(config).await;
    complains(&*bus, cause).await;
    assert_eq!(*bus.health().borrow(), Health::Disconnected);
}

#[tokio::test]
async fn a_clients_certificate() {
    let server = NatsServer::start_with(&verifying("client.pem", ""));
    let with = with_certificate(&server);
    works(&with).await;
    let mut none = with.clone();
    (none.cert_file, none.key_file) = (None, None);
    fails_for(&none, "set bus.cert_file and bus.key_file").await;
    let stranger = NatsServer::start_with(&verifying("ca.pem", ""));
    fails_for(
        &with_certificate(&stranger),
        "does not accept the certificate of bus.cert_file",
    )
    .await;
    let mut doubts = with.clone();
    doubts.ca_file = Some(tls_file("client.pem"));
    fails_for(&doubts, "bus.ca_file").await;
}

#[tokio::test]
async fn tls_before_everything() {
    let server = NatsServer::start_with(&verifying("client.pem", "handshake_first: true"));
    let mut with = with_certificate(&server);
    fails_for(&with, "needs bus.tls_first").await;
    with.tls_first = true;
    works(&with).await;
    let ordinary = NatsServer::start_with(&verifying("client.pem", ""));
    with.url = Some(ordinary.url().parse().unwrap());
    fails_for(&with, "no handshake_first").await;
}

/// The files are read for each connection, and the one that cannot be read is named.
#[tokio::test]
async fn exchanged_certificates_heal() {
    let server = NatsServer::start_with(&verifying("client.pem", ""));
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let copy = |name: &str| std::fs::copy(tls_file(name), place(name)).unwrap();
    for name in ["ca.pem", "client.pem", "client-key.pem"] {
        copy(name);
    }
    let with = Config {
        ca_file: Some(place("ca.pem")),
        cert_file: Some(place("client.pem")),
        key_file: Some(place("client-key.pem")),
        ..config(&server.url())
    };
    let bus = connect(&with).await;
    until(&*bus, Health::Connected).await;
    let mut server = server;
    for (name, setting) in [
        ("ca.pem", "bus.ca_file"),
        ("client.pem", "bus.cert_file"),
        ("client-key.pem", "bus.key_file"),
    ] {
        server.kill();
        until(&*bus, Health::Disconnected).await;
        std::fs::remove_file(place(name)).unwrap();
        server.restart();
        complains(&*bus, setting).await;
        copy(name);
        until(&*bus, Health::Connected).await;
    }
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
