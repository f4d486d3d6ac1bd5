//! The promise: a waiting login is served if its client stays, leaves its place at once if the client goes, and a full
//! queue says when to try again. Over real WebSockets, with hashes that take about a second.

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::login_time::{connect, open};
use crate::support::process::{Herald, Launch};
use crate::support::within;

/// Masked with zeros, without a payload.
const PING: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];
const CLOSE: [u8; 6] = [0x88, 0x80, 0, 0, 0, 0];

/// The first byte and the payload of the server's next WebSocket message.
async fn message(stream: &mut TcpStream) -> (u8, String) {
    within("a message", async {
        let head = [stream.read_u8().await.unwrap(), stream.read_u8().await.unwrap()];
        let length = match head[1] {
            126 => usize::from(stream.read_u16().await.unwrap()),
            length => usize::from(length),
        };
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
        (head[0], String::from_utf8_lossy(&payload).into_owned())
    })
    .await
}

/// Sends CONNECT and a ping after it. The pong arrives when the login is in progress: pings are answered meanwhile.
async fn login(herald: &Herald, user: &str) -> (TcpStream, u8, String) {
    let mut stream = open(herald).await;
    let frames = [connect(user, "right"), PING.to_vec()].concat();
    stream.write_all(&frames).await.unwrap();
    let (kind, payload) = message(&mut stream).await;
    (stream, kind, payload)
}

#[tokio::test]
async fn who_leaves_the_queue_makes_room_and_who_is_refused_is_told_when_to_come_again() {
    let params = Params::new(64 << 10, 16, 1, None).unwrap();
    let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(b"right")
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("herald.toml");
    let users = ["alice", "bob", "carol"]
        .map(|name| format!("[[auth.users]]\nname = \"{name}\"\npassword = \"{hash}\"\n"))
        .concat();
    std::fs::write(&config, users).unwrap();
    let launch = Launch::new(&["serve", "--listen", "127.0.0.1:0", "--config"])
        .argument(&config.to_string_lossy())
        .set("HERALD_LOGIN__PERMITS", "1")
        .set("HERALD_LOGIN__QUEUE", "1");
    let herald = Herald::start("queue", &launch).await;

    let (mut alice, computing, _) = login(&herald, "alice").await;
    // Sent before the answer, and larger than a frame before login may be. It is judged after the answer.
    let body = "x".repeat(9 << 10);
    let send = format!("SEND\ndestination:/chat/message\nreceipt:sent\n\n{body}\0");
    let head = [
        &[0x81, 0x80 | 126],
        &(send.len() as u16).to_be_bytes()[..],
        &[0; 4],
    ]
    .concat();
    alice.write_all(&[&head, send.as_bytes()].concat()).await.unwrap();
    let (mut bob, waiting, _) = login(&herald, "bob").await;
    assert_eq!([computing, waiting], [0x8a, 0x8a], "pongs");
    let (_, _, refusal) = login(&herald, "carol").await;
    assert!(refusal.starts_with("ERROR\nmessage:overloaded\n"), "{refusal}");
    let told = refusal.split("\nretry-after-ms:").nth(1).unwrap();
    let told: u64 = told.split('\n').next().unwrap().parse().unwrap();
    assert!(told <= 30_000, "{refusal}");

    // Bob leaves; his place is free before anything is computed for him.
    bob.write_all(&CLOSE).await.unwrap();
    assert_eq!(message(&mut bob).await.0, 0x88);
    let mut carol = within("room for carol", async {
        loop {
            if let (stream, 0x8a, _) = login(&herald, "carol").await {
                return stream;
            }
        }
    })
    .await;
    for stream in [&mut alice, &mut carol] {
        let (_, answer) = message(stream).await;
        assert!(answer.starts_with("CONNECTED\n"), "{answer}");
    }
    let (_, answer) = message(&mut alice).await;
    assert!(answer.starts_with("RECEIPT\nreceipt-id:sent\n"), "{answer}");
}
