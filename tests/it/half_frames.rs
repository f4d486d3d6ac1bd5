//! The promise: a client that begins a frame and does not finish it is told so and closed after `limits.frame_timeout`,
//! however slowly the bytes continue, and all unfinished frames together are bounded by `limits.incoming_total_bytes`.
//! Clients that finish are not affected. Over real sockets.

use std::time::Duration;

use crate::support::app::{ANNA, App, BEN, connect};
use crate::support::client::{
    BINARY, BINARY_START, Client, LAST, MORE, Message, PING, Socket, TEXT, TEXT_START, frame,
};
use crate::support::cluster::until;

const TOO_SLOW: &str = "message:a frame was not complete within 500ms, plus 1s for each 16KiB, of its first byte (limits.frame_timeout)";
const NO_ROOM: &str =
    "message:too many incomplete frames of all sessions, come again later (limits.incoming_total_bytes)";

/// How often a limit was hit.
async fn hits(app: &App, limit: &str) -> u64 {
    let series = format!("herald_limit_hits_total{{limit=\"{limit}\"}}");
    app.metric(&series).await as u64
}

/// A SEND with this body, but for its last `missing` bytes.
fn most_of_a_send(body_bytes: usize, missing: usize) -> Vec<u8> {
    let head = format!("SEND\ndestination:/app/x\ncontent-length:{body_bytes}\n\n");
    let mut bytes = head.into_bytes();
    bytes.resize(bytes.len() + body_bytes - missing, b'x');
    bytes
}

/// The first bytes of a WebSocket frame that claims `bytes` of payload.
fn most_of(first: u8, payload: &[u8], missing: usize) -> Vec<u8> {
    let mut whole = frame(first, payload);
    whole.truncate(whole.len() - missing);
    whole
}

async fn impatient() -> App {
    App::with(|config| config.limits.frame_timeout.0 = Duration::from_millis(500)).await
}

/// Sends `start`, then `more` again and again until the limit is hit, and reads the end.
async fn trickle(app: &App, start: &[u8], more: &[u8]) {
    let before = hits(app, "limits.frame_timeout").await;
    let mut client = app.session("1.2").await;
    client.write(start).await;
    until("the client to be given up", async || {
        client.try_write(more).await;
        hits(app, "limits.frame_timeout").await > before
    })
    .await;
    client.expect_error(TOO_SLOW, 1008).await;
}

/// The example: all of a frame but 40 bytes, then a byte now and then.
#[tokio::test]
async fn a_stomp_frame_in_whole_messages() {
    let app = impatient().await;
    let mut neighbour = app.session_of(BEN, "1.2").await;
    trickle(
        &app,
        &frame(BINARY, &most_of_a_send(8_000, 4_000)),
        &frame(BINARY, b"x"),
    )
    .await;
    // Between two frames there is all the time in the world.
    neighbour.expect_nothing().await;
}

#[tokio::test]
async fn a_header_block_that_never_ends() {
    let app = impatient().await;
    trickle(
        &app,
        &frame(TEXT, b"SEND\ndestination:/app/x\nh:"),
        &frame(TEXT, b"h"),
    )
    .await;
}

#[tokio::test]
async fn a_websocket_frame() {
    let app = impatient().await;
    trickle(&app, &most_of(BINARY, &most_of_a_send(8_000, 0), 4_000), b"x").await;
}

#[tokio::test]
async fn a_message_in_fragments() {
    let app = impatient().await;
    trickle(&app, &frame(TEXT_START, b"\n"), &frame(MORE, b"\n")).await;
    // The frames in it may be complete.
    let begin_and_abort = b"BEGIN\ntransaction:t\n\n\0ABORT\ntransaction:t\n\n\0";
    trickle(
        &app,
        &frame(TEXT_START, begin_and_abort),
        &frame(MORE, begin_and_abort),
    )
    .await;
}

#[tokio::test]
async fn a_control_frame() {
    let app = impatient().await;
    trickle(&app, &most_of(PING, &[0; 125], 124), b"").await;
    trickle(&app, &most_of(PING, &[0; 125], 129), b"").await;
}

#[tokio::test]
async fn before_login_too() {
    let app = impatient().await;
    let mut client = app.open().await;
    client.write(frame(TEXT, b"CONNECT\naccept-version:1.2\n")).await;
    client.expect_error(TOO_SLOW, 1008).await;
    assert_eq!(hits(&app, "limits.frame_timeout").await, 1);
}

/// The rest of it comes after a client that began at the same moment has been given up.
#[tokio::test]
async fn a_large_frame_has_more_time() {
    let app = impatient().await;
    let mut slow = app.session("1.2").await;
    slow.write(frame(BINARY, &most_of_a_send(200_000, 20_000))).await;
    trickle(&app, &frame(TEXT, b"SEND\n"), b"").await;
    slow.write(frame(BINARY, &[b'x'; 20_000])).await;
    slow.write(frame(BINARY, b"\0BEGIN\ntransaction:t\nreceipt:r\n\n\0"))
        .await;
    slow.expect_receipt("r").await;
}

/// How a client holds memory without finishing a frame, and the rest of it.
fn holding(number: usize) -> (Vec<u8>, Vec<u8>) {
    const BODY: usize = 40_000;
    let receipt = b"BEGIN\ntransaction:t\nreceipt:r\n\n\0";
    let most = most_of_a_send(BODY, 1);
    let rest = [b"x\0", &receipt[..]].concat();
    match number % 4 {
        // In the decoder of STOMP.
        0 => (frame(BINARY, &most), frame(BINARY, &rest)),
        1 => (frame(BINARY_START, &most), frame(LAST, &rest)),
        // In the reader of WebSocket frames.
        2 => {
            let mut start = frame(BINARY, &[most, rest].concat());
            let rest = start.split_off(BODY);
            (start, rest)
        }
        // In a header block.
        _ => {
            let mut start = b"SEND\ndestination:/app/x\n".to_vec();
            for number in 0..5 {
                start.extend(format!("h{number}:{}\n", "v".repeat(8_000)).bytes());
            }
            let rest = [b"\n\0", &receipt[..]].concat();
            (frame(BINARY, &start), frame(BINARY, &rest))
        }
    }
}

#[tokio::test]
async fn all_of_them_together_hold_so_much() {
    let app = App::with(|config| {
        config.limits.body_bytes.0 = 64 << 10;
        config.limits.incoming_total_bytes.0 = 1 << 20;
    })
    .await;
    for kind in 0..4 {
        let before = hits(&app, "limits.incoming_total_bytes").await;
        let mut holders: Vec<Client> = Vec::new();
        until("the bound to be reached", async || {
            assert!(holders.len() < 30, "30 hold more than 1 MiB");
            let mut holder = app.session("1.2").await;
            holder.write(holding(kind).0).await;
            holders.push(holder);
            hits(&app, "limits.incoming_total_bytes").await > before
        })
        .await;
        // A client that holds little has room, and one whose frames come whole needs none.
        let mut other = app.session_of(BEN, "1.2").await;
        other.write(frame(TEXT, b"BEGIN\ntransaction:t\n")).await;
        other.write(frame(TEXT, b"receipt:r\n\n\0")).await;
        other.expect_receipt("r").await;
        // Those that were let in are served to the end.
        let mut refused = 0;
        for mut holder in holders {
            holder.try_write(holding(kind).1).await;
            match holder.next().await {
                Message::Text(text) if text == b"RECEIPT\nreceipt-id:r\n\n\0" => {}
                Message::Text(text) => {
                    let error = format!("ERROR\n{NO_ROOM}\n\n\0");
                    assert_eq!(String::from_utf8(text).unwrap(), error);
                    assert!(matches!(holder.next().await, Message::Close(1013, _)));
                    refused += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(refused > 0);
        // All of it is given back.
        let mut again = app.session_of(ANNA, "1.2").await;
        let (start, rest) = holding(kind);
        again.write(start).await;
        again.write(rest).await;
        again.expect_receipt("r").await;
    }
}

/// Begins `start` and waits until that has been judged. Whether it is held.
async fn holds(client: &mut Client, start: &[u8]) -> bool {
    client.write(frame(BINARY, start)).await;
    client.try_write(frame(PING, b"?")).await;
    matches!(client.next().await, Message::Pong(_))
}

/// One user takes what it can get with ever smaller pieces. Everybody else's frames may come in pieces all the same.
#[tokio::test]
async fn one_user_takes_no_more_than_a_quarter() {
    let app = App::with(|config| {
        config.limits.body_bytes.0 = 64 << 10;
        config.limits.incoming_total_bytes.0 = 1 << 20;
    })
    .await;
    let (mut size, mut held, mut holders) = (60_000, 0, Vec::new());
    while size > 500 {
        let mut holder = app.session("1.2").await;
        match holds(&mut holder, &most_of_a_send(size, 1)).await {
            true => held += size,
            false => size = size * 3 / 4,
        }
        holders.push(holder);
    }
    assert!((128 << 10..256 << 10).contains(&held), "{held}");
    for kind in 0..4 {
        let mut other = app.session_of(BEN, "1.2").await;
        let (start, rest) = holding(kind);
        other.write(start).await;
        other.write(rest).await;
        other.expect_receipt("r").await;
    }
}

/// The same by address for those who have not logged in.
#[tokio::test]
async fn strangers_at_one_address_take_no_more_than_a_quarter() {
    let app = App::with(|config| {
        config.limits.body_bytes.0 = 16 << 10;
        config.limits.incoming_total_bytes.0 = 128 << 10;
    })
    .await;
    let (mut size, mut held, mut holders) = (7_000, 0, Vec::new());
    while size > 500 {
        let (mut holder, _) = Socket::at(app.address).from([127, 0, 0, 2]).open().await;
        let start = format!("CONNECT\nlogin:{}", "x".repeat(size));
        match holds(&mut holder, start.as_bytes()).await {
            true => held += size,
            false => size = size * 3 / 4,
        }
        holders.push(holder);
    }
    assert!((16 << 10..32 << 10).contains(&held), "{held}");
    // What it held before its login counts for its user afterwards, and is given back.
    for _ in 0..10 {
        let mut newcomer = app.open().await;
        let whole = connect(ANNA, "1.2", &format!("padding:{}\n", "x".repeat(5_000)));
        let (start, rest) = whole.split_at(4_000);
        assert!(holds(&mut newcomer, start.as_bytes()).await);
        let behind = most_of_a_send(6_000, 10);
        newcomer
            .write(frame(BINARY, &[rest.as_bytes(), &behind].concat()))
            .await;
        newcomer.expect("CONNECTED\n…").await;
        let rest = b"xxxxxxxxxx\0BEGIN\ntransaction:t\nreceipt:r\n\n\0";
        newcomer.write(frame(BINARY, rest)).await;
        newcomer.expect_receipt("r").await;
    }
}
