//! The promise: a client that is refused at CONNECT does not learn which users exist: an unknown user and a wrong
//! password get the same bytes after the same time. Over a real WebSocket, with hashes that are cheap but not too cheap
//! to be measured.

use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use base64::Engine as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::UPGRADE;
use crate::support::process::{Herald, Launch};
use crate::support::within;

/// Pairs of tries. A median of fewer is not steady on a busy machine.
const TRIES: usize = 60;
/// How far apart the medians may be. A hash takes some milliseconds, everything else together well under one.
const BAND: std::ops::RangeInclusive<f64> = 0.8..=1.25;
/// The memory of a hash in KiB.
const HASH_KIB: u32 = 8 << 10;

/// An open WebSocket on which CONNECT has not been sent.
pub async fn open(herald: &Herald) -> TcpStream {
    let mut stream = TcpStream::connect(herald.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(UPGRADE.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    stream
}

/// CONNECT as a WebSocket message.
pub fn connect(user: &str, password: &str) -> Vec<u8> {
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let connect = format!("CONNECT\naccept-version:1.2\nhost:a\nX-Authorization:{basic}\n\n\0");
    assert!(connect.len() < 126, "the length has another form");
    [
        &[0x81, 0x80 | connect.len() as u8, 0, 0, 0, 0],
        connect.as_bytes(),
    ]
    .concat()
}

/// Everything that a refused login receives, and how long its first byte takes.
async fn refused(herald: &Herald, user: &str, password: &str) -> (Vec<u8>, Duration) {
    within("a refusal", async {
        let mut stream = open(herald).await;
        let begun = Instant::now();
        stream.write_all(&connect(user, password)).await.unwrap();
        let first = stream.read_u8().await.unwrap();
        let took = begun.elapsed();
        let mut answer = vec![first];
        stream.read_to_end(&mut answer).await.unwrap();
        (answer, took)
    })
    .await
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

/// The ratio of the medians: unknown user to wrong password. The two take turns, so that what else the machine does
/// affects both alike. Every try has a password of its own, since equal logins may share a hash.
async fn ratio(herald: &Herald, run: &str) -> f64 {
    let (expected, _) = refused(herald, "alice", "first").await;
    assert!(String::from_utf8_lossy(&expected).contains("message:authentication failed\n"));
    let (mut unknown, mut wrong) = (Vec::new(), Vec::new());
    for number in 0..TRIES {
        let password = format!("{run}{number}");
        for (user, times) in [("nobody", &mut unknown), ("alice", &mut wrong)] {
            let (answer, took) = refused(herald, user, &password).await;
            assert_eq!(answer, expected, "{user}");
            times.push(took);
        }
    }
    median(unknown) / median(wrong)
}

#[tokio::test]
async fn a_refusal_does_not_tell_who_exists() {
    let params = Params::new(HASH_KIB, 1, 1, None).unwrap();
    let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(b"right")
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("herald.toml");
    std::fs::write(
        &config,
        format!("[[auth.users]]\nname = \"alice\"\npassword = \"{hash}\"\n"),
    )
    .unwrap();
    let launch = Launch::new(&["serve", "--listen", "127.0.0.1:0", "--config"])
        .argument(&config.to_string_lossy())
        // The delay is the same for all who fail, and would hide what is measured.
        .set("HERALD_LOGIN__DELAY", "0s");
    let herald = Herald::start("discreet", &launch).await;
    // A right password is admitted: what is measured is the refusal of a wrong one.
    let mut stream = open(&herald).await;
    stream.write_all(&connect("alice", "right")).await.unwrap();
    let mut answer = [0; 13];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer[4..], b"CONNECTED");

    // Repeated once before it counts: another process may have taken the machine for half of a run.
    let mut ratios = Vec::new();
    for run in ["a", "b"] {
        ratios.push(ratio(&herald, run).await);
        if ratios.last().is_some_and(|ratio| BAND.contains(ratio)) {
            return;
        }
    }
    panic!("an unknown user takes {ratios:?} of the time of a wrong password");
}
