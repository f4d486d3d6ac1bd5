//! The promise: `/ws` implements STOMP 1.0, 1.1 and 1.2, rule by rule, numbered as in docs/stomp-rules.md. Each rule
//! has one test with the exact frames in and out.

use crate::support::app::App;
use crate::support::client::{BINARY, Client, TEXT, frame};

mod client_frames;
mod connecting;
mod coverage;
mod framing;
mod headers;
mod heartbeats;
mod server_frames;
mod silence;
mod websocket;

/// The versions as offered.
const ALL: [&str; 3] = ["1.0", "1.1", "1.2"];

/// In a session of `version`, `sent` is answered by an ERROR with these header lines, then a Close with `code`,
/// however its bytes are cut into messages.
async fn refuses(app: &App, version: &str, sent: impl AsRef<[u8]>, error: &str, code: u16) {
    for messages in cuts(sent.as_ref()) {
        let mut client = app.session(version).await;
        // The server may close before the last byte.
        client.try_write(&messages).await;
        client.expect_error(error, code).await;
    }
}

/// The same bytes as one text message (if they are text), as one binary message, and byte by byte, alternating both.
fn cuts(sent: &[u8]) -> Vec<Vec<u8>> {
    let opcodes = match std::str::from_utf8(sent) {
        Ok(text) if text.is_ascii() => [TEXT, BINARY],
        _ => [BINARY, BINARY],
    };
    let bytes = sent.iter().zip(opcodes.iter().cycle());
    vec![
        frame(opcodes[0], sent),
        frame(BINARY, sent),
        bytes
            .flat_map(|(byte, opcode)| frame(*opcode, &[*byte]))
            .collect(),
    ]
}

/// A session of `version` with the subscription `id` to `destination`.
async fn subscribed(app: &App, version: &str, id: &str, destination: &str) -> Client {
    let mut client = app.session(version).await;
    subscribe(&mut client, id, destination).await;
    client
}

/// Subscribes and reads the RECEIPT.
async fn subscribe(client: &mut Client, id: &str, destination: &str) {
    let frame = format!("SUBSCRIBE\nid:{id}\ndestination:{destination}\nreceipt:subscribed\n\n\0");
    client.say(frame).await;
    client.expect_receipt("subscribed").await;
}

/// A text MESSAGE without headers of the publisher, on the subscription `id`.
fn message(id: &str, destination: &str, body: &str) -> String {
    message_with(id, destination, "", body)
}

/// The same with header lines of the publisher, each with its end of line.
fn message_with(id: &str, destination: &str, headers: &str, body: &str) -> String {
    format!(
        "MESSAGE\nsubscription:{id}\ndestination:{destination}\nmessage-id:*\n\
         content-type:text/plain;charset=UTF-8\ncontent-length:{}\ntimestamp:*\n{headers}\n{body}\0",
        body.len()
    )
}
