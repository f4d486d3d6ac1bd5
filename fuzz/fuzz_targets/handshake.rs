//! Promise: any first bytes of a client become a login attempt, a goodbye or a refusal in words, within the bounds
//! before login; no word or debug line shows a credential; and CONNECTED is one frame.
//!
//! Input: the stream; each `~` stands for a secret.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use herald::auth::credentials::Credentials;
use herald::close_reason::CloseReason;
use herald::instance::Instance;
use herald::interceptor::Upgrade;
use herald::principal::{Principal, UserName};
use herald::session::HeartbeatConfig;
use herald::session::handshake::{First, Handshake};
use herald::setting::Secret;
use herald::stomp::{Decoder, Frame, Limits};
use herald_fuzz::assert_words;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    frame_bytes: 1_024,
    headers: 16,
    header_bytes: 512,
    body_bytes: 1_024,
};
const SECRET: &str = "pl4nted5ecret";

fuzz_target!(|data: &[u8]| {
    let stream: Vec<u8> = data
        .iter()
        .flat_map(|byte| match byte {
            b'~' => SECRET.as_bytes(),
            byte => std::slice::from_ref(byte),
        })
        .copied()
        .collect();
    match Decoder::new(LIMITS).decode(&mut stream.as_slice()) {
        Err(error) => assert_words(&error.to_string()),
        Ok(None) => {}
        Ok(Some(frame)) => {
            let config = HeartbeatConfig::default();
            let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let upgrade = Upgrade {
                authorization: Some(Secret::new(SECRET)),
                origin: None,
                headers: [("cookie".into(), Secret::new(SECRET))].into(),
            };
            let first = Handshake::on_first_frame(&frame, &config, address, upgrade);
            match first {
                Ok(First::Disconnect(_)) => {}
                Ok(First::Connect(handshake, attempt)) => {
                    // Logins are names and may be shown.
                    if !attempt.login.as_deref().unwrap_or_default().contains(SECRET) {
                        assert_hidden(&format!("{attempt:?}"));
                    }
                    accept(handshake, &frame);
                }
                Err(refusal) => {
                    assert_words(&refusal.message);
                    assert_hidden(&refusal.message);
                    assert_hidden(&refusal.body);
                    assert_eq!(refusal.reason, CloseReason::Malformed);
                }
            }
        }
    }
});

/// Admits whoever presents a name.
fn accept(handshake: Handshake, frame: &Frame) {
    let headers = ["X-Authorization", "Authorization"];
    let presented = headers.iter().find_map(|name| frame.headers.get(name));
    let credentials = presented.and_then(Credentials::from_authorization);
    let user = match &credentials {
        Some(credentials) => credentials.user.as_str(),
        None => frame.headers.get("login").unwrap_or("alice"),
    };
    let Ok(user) = UserName::parse(user) else {
        return;
    };
    let accepted = handshake.accept(
        Principal::new(user, [""; 0]),
        "session",
        &Instance::new(&Default::default()),
        0,
    );
    let connected = accepted.connected.as_slice();
    assert!(connected.starts_with(b"CONNECTED\n") && connected.ends_with(b"\n\n\0"));
    assert_eq!(connected.iter().filter(|byte| **byte == 0).count(), 1);
}

#[track_caller]
fn assert_hidden(said: &str) {
    assert!(!said.contains(SECRET), "the secret in: {said}");
}
