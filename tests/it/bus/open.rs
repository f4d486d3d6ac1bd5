//! The promise: a NATS server that accepts everybody who reaches it over a network is reported: in the log, in
//! `/readyz`'s details and by `herald doctor`. One on this host, or one that asks for credentials, is not.

use std::time::Duration;

use herald::bus::nats::NatsBus;
use herald::bus::{Bus, Config, Health};
use herald::setting::Secret;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::rights::complains;
use super::{LIMITS, config, instance, nats_bus, until};
use crate::support::nats::NatsServer;
use crate::support::process::Launch;

const WORDS: &str = "NATS asks for no credentials";

/// The way to `server` as from another host: in what the server says first, its client has the address 192.0.2.7. Gives
/// the URL.
async fn from_afar(server: &NatsServer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let port = server.port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let mut server = BufReader::new(server);
                let mut info = String::new();
                server.read_line(&mut info).await.unwrap();
                assert!(info.contains("\"client_ip\":\"127.0.0.1\""), "{info}");
                let info = info.replace("\"client_ip\":\"127.0.0.1\"", "\"client_ip\":\"192.0.2.7\"");
                client.write_all(info.as_bytes()).await.unwrap();
                // Until either end is gone.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    url
}

#[tokio::test]
async fn a_server_without_credentials_is_named_from_afar_alone() {
    let server = NatsServer::start();
    let here = nats_bus(&server.url()).await;
    assert_eq!(here.trouble(), Vec::<String>::new());
    let afar = nats_bus(&from_afar(&server).await).await;
    complains(&*afar, WORDS).await;
    assert_eq!(*afar.health().borrow(), Health::Connected);
}

#[tokio::test]
async fn a_server_with_users_is_not_named() {
    let server = NatsServer::start_with("authorization { user: herald, password: s3cret }");
    let with = Config {
        user: Some("herald".into()),
        password: Some(Secret::new("s3cret")),
        ..config(&from_afar(&server).await)
    };
    let bus = NatsBus::connect(&with, LIMITS, &instance()).await.unwrap();
    until(&*bus, Health::Connected).await;
    assert_eq!(bus.trouble(), Vec::<String>::new());
}

#[tokio::test]
async fn the_log_and_readyz_and_doctor_say_so() {
    let server = NatsServer::start();
    let url = from_afar(&server).await;
    let launch = Launch::demo().set("HERALD_BUS__URL", &url);
    let herald = crate::support::process::Herald::start("afar", &launch).await;
    herald.logged(WORDS).await;
    let ready = herald.get("/readyz").await;
    assert_eq!(ready.status, 200);
    assert!(
        ready.json()["components"]["trouble"].to_string().contains(WORDS),
        "{}",
        ready.text()
    );
    let doctor = Launch::new(&["doctor", "--demo"]).set("HERALD_BUS__URL", &url);
    let doctor = tokio::time::timeout(Duration::from_secs(30), doctor.run());
    let (_, said) = doctor.await.expect("doctor ends");
    assert!(said.contains("asks for none: whoever reaches it"), "{said}");
}
