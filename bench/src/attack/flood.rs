//! Attacks by logged-in sessions.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use super::{Front, Options, Pace};
use crate::session::{Dialogue, client_frame, client_frame_of};

/// Frames in one write.
const TOGETHER: u32 = 50;

/// SUBSCRIBE and UNSUBSCRIBE to the destination of the good sessions, with a RECEIPT each.
pub(super) fn subscribes(front: &Front, options: &Options, _: usize) {
    let mut frames = Vec::new();
    for number in 0..TOGETHER / 2 {
        let said = format!("SUBSCRIBE\nid:{number}\ndestination:/queue/bench\nreceipt:s\n\n\0");
        frames.extend(client_frame(said.as_bytes()));
        let said = format!("UNSUBSCRIBE\nid:{number}\nreceipt:u\n\n\0");
        frames.extend(client_frame(said.as_bytes()));
    }
    flood(front, options, &Flood::of(frames));
}

/// Pings as long as they may be.
pub(super) fn pings(front: &Front, options: &Options, _: usize) {
    let frames = client_frame_of(0x89, &[b'x'; 125]).repeat(TOGETHER as usize);
    flood(front, options, &Flood::of(frames));
}

/// What a session floods with.
pub(super) struct Flood {
    /// The number of its user.
    pub(super) user: usize,
    /// What it says once.
    pub(super) first: Vec<u8>,
    /// What it says again and again.
    pub(super) frames: Vec<u8>,
    /// How many frames that is.
    pub(super) together: u32,
}

impl Flood {
    fn of(frames: Vec<u8>) -> Self {
        Self {
            user: 6,
            first: Vec::new(),
            frames,
            together: TOGETHER,
        }
    }
}

pub(super) fn flood(front: &Front, options: &Options, flood: &Flood) {
    let mut pace = Pace::of(options.flood_per_second);
    while !front.is_over() {
        let Some(stream) = front.connect() else {
            continue;
        };
        let mut dialogue = Dialogue::new(stream);
        if dialogue.upgrade(front.to).is_err() || dialogue.log_in(flood.user, "0,0").is_err() {
            sleep(Duration::from_millis(50));
            continue;
        }
        if pour(front, &mut pace, dialogue.stream, flood).is_err() {
            front.count_ended();
        }
    }
}

/// Writes the frames again and again, and reads what comes back, so that the session is not closed for not reading.
fn pour(front: &Front, pace: &mut Pace, mut stream: TcpStream, flood: &Flood) -> std::io::Result<()> {
    stream.write_all(&flood.first)?;
    stream.set_nonblocking(true)?;
    let frames = &flood.frames;
    let mut chunk = vec![0; 64 * 1024];
    let (mut written, mut idle) = (0, true);
    while !front.is_over() {
        if written == frames.len() {
            front.count(u64::from(flood.together));
            pace.wait(flood.together);
            written = 0;
        }
        for read in [true, false] {
            let outcome = match read {
                true => stream.read(&mut chunk),
                false => stream.write(frames.get(written..).unwrap_or_default()),
            };
            match outcome {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    written += if read { 0 } else { length };
                    idle = false;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if std::mem::replace(&mut idle, true) {
            sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}
