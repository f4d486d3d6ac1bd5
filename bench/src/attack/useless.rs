//! Attacks by logged-in sessions that send useless data: ACKs of nothing, and bytes.

use super::flood::{Flood, flood};
use super::{Front, Options};
use crate::session::{DESTINATION, client_frame};

/// ACKs in one write.
const ACKS: u32 = 50;
/// What the server takes on the chat's route, and what it does not.
const SMALL_BYTES: usize = 60 << 10;
const LARGE_BYTES: usize = 900_000;

/// ACKs of an id that never was. The good sessions' notifications stay unacknowledged here, so that the server cannot
/// know without looking.
pub(super) fn acks(front: &Front, options: &Options, number: usize) {
    let subscribe =
        format!("SUBSCRIBE\nid:s\ndestination:{DESTINATION}\nack:client-individual\nprefetch:1\n\n\0");
    flood(
        front,
        options,
        &Flood {
            user: 1 + number % 10,
            first: client_frame(subscribe.as_bytes()),
            frames: client_frame(b"ACK\nid:never-was;s\n\n\0").repeat(ACKS as usize),
            together: ACKS,
        },
    );
}

/// Bodies for the chat, which everybody here subscribes to, by one user: as large as its route takes, or as
/// `limits.body_bytes` does.
pub(super) fn bytes(front: &Front, options: &Options, number: usize) {
    let body = match number % 2 {
        0 => "x".repeat(SMALL_BYTES),
        _ => "x".repeat(LARGE_BYTES),
    };
    flood(
        front,
        options,
        &Flood {
            user: 6,
            first: client_frame(b"SUBSCRIBE\nid:s\ndestination:/queue/message\n\n\0"),
            frames: client_frame(format!("SEND\ndestination:/chat/message\n\n{body}\0").as_bytes()),
            together: 1,
        },
    );
}
