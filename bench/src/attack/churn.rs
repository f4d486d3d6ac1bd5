//! Attacks that reconnect again and again.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use super::{Front, Options, Pace};
use crate::session::{Dialogue, abort, client_frame, connect_frame, upgrade_request};

const THREADS: usize = 4;
/// A server that says nothing for so long is left.
const PATIENCE: Duration = Duration::from_secs(3);

/// Wrong passwords: a batch of connections at once, each with its upgrade and its CONNECT in one breath.
pub(super) fn passwords(front: &Front, options: &Options, thread: usize) {
    let mut guess = 0_u64;
    while !front.is_over() {
        let mut batch = Vec::new();
        for number in 0..options.passwords.div_ceil(THREADS) {
            let Some(mut stream) = front.connect() else {
                continue;
            };
            guess += 1;
            let connect = connect_frame(1 + number % 10, &format!("wrong-{thread}-{guess}"), "0,0");
            let said = [
                upgrade_request(front.to).as_bytes(),
                &client_frame(connect.as_bytes()),
            ]
            .concat();
            if stream.write_all(&said).is_ok() {
                front.count(1);
                batch.push(stream);
            }
        }
        for stream in batch {
            if front.is_over() {
                return;
            }
            until_end(front, stream);
        }
    }
}

/// Frames that are too large, of five kinds.
pub(super) fn oversize(front: &Front, options: &Options, thread: usize) {
    let mut pace = Pace::of(options.oversize_per_second / options.oversize.max(1) as u32);
    let mut number = thread;
    while !front.is_over() {
        pace.wait(1);
        number += 1;
        let Some(mut stream) = front.connect() else {
            continue;
        };
        if number.is_multiple_of(5) {
            let head = format!("GET /ws HTTP/1.1\r\nHost: a\r\nX-Long: {}", "x".repeat(1 << 20));
            // Refused midway.
            let _ = stream.write_all(head.as_bytes());
        } else {
            let mut dialogue = Dialogue::new(stream);
            if dialogue.upgrade(front.to).is_err() {
                continue;
            }
            let claimed = [
                &[0x82, 0xFF][..],
                &(1_u64 << 40).to_be_bytes(),
                &[0; 4],
                &[0; 1024],
            ]
            .concat();
            let said = match number % 5 {
                1 => claimed,
                2 => client_frame(b"CONNECT\naccept-version:1.2\ncontent-length:999999999999999\n\nx"),
                3 => client_frame(&vec![b'x'; 1 << 20]),
                _ => match dialogue.log_in(4, "0,0") {
                    Ok(()) => {
                        client_frame(b"SEND\ndestination:/app/x\ncontent-length:18446744073709551615\n\nx")
                    }
                    Err(_) => continue,
                },
            };
            let _ = dialogue.stream.write_all(&said);
            stream = dialogue.stream;
        }
        front.count(1);
        until_end(front, stream);
    }
}

/// Connections reset at three stages.
pub(super) fn resets(front: &Front, options: &Options, thread: usize) {
    let mut pace = Pace::of(options.resets_per_second);
    let mut number = thread;
    while !front.is_over() {
        pace.wait(1);
        number += 1;
        let Some(mut stream) = front.connect() else {
            continue;
        };
        if number.is_multiple_of(3) {
            let _ = stream.write_all(upgrade_request(front.to).as_bytes());
        } else if number.is_multiple_of(10) {
            let mut dialogue = Dialogue::new(stream);
            if dialogue.upgrade(front.to).is_ok() && dialogue.log_in(5, "0,0").is_ok() {
                let _ = dialogue.say("SUBSCRIBE\nid:0\ndestination:/queue/bench\n\n\0");
            }
            stream = dialogue.stream;
        }
        if abort(stream).is_ok() {
            front.count(1);
        }
    }
}

/// Reads until the server ends the connection.
fn until_end(front: &Front, mut stream: std::net::TcpStream) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                if error.kind() == std::io::ErrorKind::WouldBlock {
                    return;
                }
                break;
            }
        }
    }
    front.count_ended();
    // The server waits for this end.
    let _ = stream.shutdown(Shutdown::Both);
}
